package dataset

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
)

// WalkTexts runs x, a Program over B rows of T tokens with the inputs that Feed
// fills, on any number of texts of 1 to T tokens each. Texts of like length share
// rows, so that little of a row is padding. visit learns of each text once, after
// the run that it took part in: its tokens stand at the positions start to end,
// end excluded, of x's outputs over [B·T], which hold until visit returns.
//
// A pad token below 0, which stands for none, is laid out as token 0: attention
// does not see padding. flops is the count of all runs. A text that does not fit
// is an [artifact.ErrUsage] that names it before anything runs; when ctx ends,
// its cause is returned.
func (p *Packed) WalkTexts(ctx context.Context, x compute.Executable, texts [][]int32, pad int, visit func(text, start, end int) error) (flops int64, err error) {
	lengths := make([]int, len(texts))
	for i, t := range texts {
		if lengths[i] = len(t); len(t) < 1 || len(t) > p.T {
			return 0, artifact.Errorf(artifact.ErrUsage, "text %d has %d tokens, want 1 to %d; cut it, or leave it out", i, len(t), p.T)
		}
	}
	rows, err := PackLongest(lengths, p.T)
	if err != nil {
		return 0, err
	}
	for batch := range slices.Chunk(rows, p.B) {
		if ctx.Err() != nil {
			return flops, context.Cause(ctx)
		}
		if err := p.FillTexts(batch, texts, int32(max(pad, 0))); err != nil {
			return flops, err
		}
		p.Feed(x)
		if err := compute.RunUntil(ctx, x); err != nil {
			return flops, err
		}
		flops += x.FLOPs()
		for r, row := range batch {
			start := r * p.T
			for _, i := range row {
				end := start + lengths[i]
				if err := visit(i, start, end); err != nil {
					return flops, fmt.Errorf("text %d: %w", i, err)
				}
				start = end
			}
		}
	}
	return flops, nil
}
