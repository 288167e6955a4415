package rollout

import (
	"context"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

// Shape is the size of a micro-batch: B packed rows of T tokens.
type Shape struct{ B, T int }

// LogProbs begins a Program that sees packed rows of whole sequences (prompt and
// response), with the log-probability and the entropy [B·T] of each response token
// at a temperature. What belongs to a response token stands at the position whose
// hidden state predicts it, the one before the token's own: the input "responses"
// [B, T] holds the token, −1 where no response token is predicted. There the head
// does no work.
func LogProbs(name string, m *model.Model, s Shape, temperature float64) (p *compute.Program, logProb *compute.Tensor) {
	p = compute.NewProgram(name)
	hidden := m.Hidden(p, m.NewBatch(p, s.B, s.T))
	logProb, entropy := compute.TokenLogProb(hidden, m.HeadWeight(p), p.Input("responses", compute.Int32, s.B, s.T), true, float32(temperature))
	p.Output("log_probs", logProb)
	p.Output("entropies", entropy)
	return p, logProb
}

// Pass is a compiled Program that sees packed rows of whole sequences.
type Pass struct {
	compute.Executable
	Shape     Shape
	Responses bool            // it has the input of [LogProbs]
	Head      train.HeadFLOPs // of a model with a vocabulary, else 0
	Step      bool            // it has a backward pass
}

// Fill lays the rows of a micro-batch out in the inputs.
func (p Pass) Fill(b Batch, rollout []*Sequence) {
	tokens, positions, segments := p.Ints("tokens"), p.Ints("positions"), p.Ints("segments")
	clear(tokens)
	clear(positions)
	for i := range segments {
		segments[i] = -1
	}
	for r, row := range b.Rows {
		i := r * p.Shape.T
		for segment, index := range row {
			seq := rollout[index]
			start := i
			for _, part := range [][]int32{seq.Prompt, seq.Response} {
				for _, token := range part {
					tokens[i], positions[i], segments[i] = token, int32(i-start), int32(segment)
					i++
				}
			}
		}
	}
	if !p.Responses {
		return
	}
	want := p.Ints("responses")
	for i := range want {
		want[i] = -1
	}
	p.Each(b, rollout, func(seq *Sequence, t, position int) { want[position] = seq.Response[t] })
}

// Each calls place for every response token: token t of a sequence, and the
// position in the rows that predicts it.
func (p Pass) Each(b Batch, rollout []*Sequence, place func(seq *Sequence, t, position int)) {
	for r, row := range b.Rows {
		at := r * p.Shape.T
		for _, index := range row {
			seq := rollout[index]
			for t := range seq.Response {
				place(seq, t, at+len(seq.Prompt)+t-1)
			}
			at += len(seq.Prompt) + len(seq.Response)
		}
	}
}

// RunOn runs the Program on a micro-batch that was filled in and returns what it
// took. Once ctx ends it gives up (compute.RunUntil).
func (p Pass) RunOn(ctx context.Context, b Batch) (flops int64, err error) {
	if err := compute.RunUntil(ctx, p.Executable); err != nil {
		return 0, err
	}
	return p.FLOPs() - p.Head.Skipped(p.Shape.B*p.Shape.T-b.Tokens, p.Step), nil
}

// Batch is a micro-batch: some sequences of a rollout, packed.
type Batch struct {
	Rows   [][]int // indices into the rollout
	Tokens int     // of the responses
}

// Split packs sequences into rows and the rows into micro-batches that fit.
func Split(rollout []*Sequence, which []int, s Shape) ([]Batch, error) {
	lengths := make([]int, len(which))
	for i, x := range which {
		lengths[i] = len(rollout[x].Prompt) + len(rollout[x].Response)
	}
	rows, err := dataset.Pack(lengths, s.T)
	if err != nil {
		return nil, err
	}
	var out []Batch
	for at := 0; at < len(rows); at += s.B {
		b := Batch{Rows: rows[at:min(at+s.B, len(rows))]}
		for _, row := range b.Rows {
			for i, x := range row {
				row[i] = which[x]
				b.Tokens += len(rollout[row[i]].Response)
			}
		}
		out = append(out, b)
	}
	return out, nil
}

// Reading is a pass whose outputs are kept with the sequences.
type Reading struct {
	Pass
	// Keep takes what stands at the position of token t of a sequence.
	Keep func(x compute.Executable, seq *Sequence, t, position int)
}

// Measure runs passes of one shape over all sequences.
func Measure(ctx context.Context, rollout []*Sequence, s Shape, readings ...Reading) (flops int64, err error) {
	all := make([]int, len(rollout))
	for i := range all {
		all[i] = i
	}
	batches, err := Split(rollout, all, s)
	if err != nil {
		return 0, err
	}
	for _, b := range batches {
		if ctx.Err() != nil {
			return flops, context.Cause(ctx)
		}
		for _, r := range readings {
			r.Fill(b, rollout)
			took, err := r.RunOn(ctx, b)
			if err != nil {
				return flops, err
			}
			flops += took
			r.Each(b, rollout, func(seq *Sequence, t, position int) { r.Keep(r.Executable, seq, t, position) })
		}
	}
	return flops, nil
}
