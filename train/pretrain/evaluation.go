package pretrain

import (
	"context"
	"math"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// Evaluation measures a language model on validation text.
type Evaluation struct {
	lm      *train.LanguageModel
	reader  *reader
	lengths []int32
	rows    *dataset.Packed
}

// NewEvaluation prepares the measurement of a causal model on shards with a
// compiled objective.
func NewEvaluation(lm *train.LanguageModel, shards *dataset.Shards, t *tokenizer.Tokenizer) (*Evaluation, error) {
	r, err := Config{Objective: Causal, Context: lm.T}.newReader(shards, t, false)
	if err != nil {
		return nil, err
	}
	return newEvaluation(lm, r, t), nil
}

func newEvaluation(lm *train.LanguageModel, r *reader, t *tokenizer.Tokenizer) *Evaluation {
	return &Evaluation{lm, r, t.ByteLengths(), train.NewTextRows(lm.B, lm.T)}
}

// Run returns the mean loss in nats per target and in bits per byte over the
// first limit rows, 0 for all.
func (e *Evaluation) Run(ctx context.Context, limit int) (loss, bitsPerByte float64, err error) {
	total := e.reader.stream.RowsPerEpoch()
	if limit > 0 {
		total = min(total, limit)
	}
	var targets, bytes int64
	for row := 0; row < total; row += e.lm.B {
		if ctx.Err() != nil {
			return 0, 0, context.Cause(ctx)
		}
		for b := range e.lm.B {
			if row+b >= total { // past the last row: no targets
				for i := b * e.lm.T; i < (b+1)*e.lm.T; i++ {
					e.rows.Targets[i] = dataset.Ignored
				}
				continue
			}
			n, err := e.reader.row(uint64(row+b), e.rows, b)
			if err != nil {
				return 0, 0, err
			}
			targets += int64(n)
		}
		if e.reader.masking != nil {
			e.rows.SplitAt(e.reader.begin)
		}
		losses, err := e.lm.Losses(ctx, e.rows)
		if err != nil {
			return 0, 0, err
		}
		for _, l := range losses {
			loss += float64(l)
		}
		bytes += dataset.CountBytes(e.rows.Targets, e.lengths)
	}
	return loss / float64(max(1, targets)), loss / math.Ln2 / float64(max(1, bytes)), nil
}
