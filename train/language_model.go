package train

import (
	"context"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
)

// LanguageModel is the objective of pretraining, of supervised fine-tuning
// and of PPO's pretraining mix: −Σ log p(target | what stands before it).
type LanguageModel struct {
	B, T    int
	forward compute.Executable
	step    compute.Executable // nil for an evaluation
	head    HeadFLOPs
}

// HeadFLOPs counts what the vocabulary operators take for one position. A
// Program counts them for all of its positions, though an engine passes over
// those without a token; see [HeadFLOPs.Skipped].
type HeadFLOPs int64

// HeadFLOPsOf returns the count of a model's head.
func HeadFLOPsOf(c model.Config) HeadFLOPs {
	return HeadFLOPs(2 * int64(c.Vocabulary) * int64(c.Width))
}

// Skipped is the part of a Program's count that so many positions without a
// token did not take: in a forward pass one product each, in a whole step that and
// two for the gradients.
func (h HeadFLOPs) Skipped(positions int, step bool) int64 {
	if step {
		return 3 * int64(positions) * int64(h)
	}
	return int64(positions) * int64(h)
}

// NewLanguageModel compiles the objective for micro-batches of b rows of t
// tokens. The gradients are accumulated in the model's Store.
func NewLanguageModel(m *model.Model, b, t int) (*LanguageModel, error) {
	l, err := NewEvaluation(m, b, t)
	if err != nil {
		return nil, err
	}
	p, losses := lossProgram("language model step", m, b, t)
	scale := p.Input("scale", compute.Float32)
	loss := compute.Mul(compute.Sum(losses), scale)
	p.Output("loss", loss)
	if err := Backward(p, m, loss); err != nil {
		return nil, err
	}
	l.step, err = m.Engine.Compile(p, m.Store)
	return l, err
}

// NewEvaluation compiles the forward pass alone: of the result only Losses and
// ForwardFLOPs may be called, and the Store needs no gradients.
func NewEvaluation(m *model.Model, b, t int) (*LanguageModel, error) {
	p, losses := lossProgram("language model evaluation", m, b, t)
	p.Output("losses", losses)
	forward, err := m.Engine.Compile(p, m.Store)
	return &LanguageModel{B: b, T: t, forward: forward, head: HeadFLOPsOf(m.Config)}, err
}

func lossProgram(name string, m *model.Model, b, t int) (*compute.Program, *compute.Tensor) {
	p := compute.NewProgram(name)
	hidden := m.Hidden(p, m.NewBatch(p, b, t))
	targets := p.Input("targets", compute.Int32, b, t)
	return p, m.Losses(p, hidden, targets)
}

// Accumulate adds the gradients of scale·Σ loss over the rows to the model's
// gradients and returns scale·Σ loss. With scale = 1/(target tokens of the
// whole step) the micro-batches add up to the mean. Once ctx ends it gives up
// (compute.RunUntil).
func (l *LanguageModel) Accumulate(ctx context.Context, rows *dataset.Packed, scale float64) (loss float64, err error) {
	fillRows(l.step, rows)
	l.step.Floats("scale")[0] = float32(scale)
	if err := compute.RunUntil(ctx, l.step); err != nil {
		return 0, err
	}
	return float64(l.step.Floats("loss")[0]), nil
}

// Losses returns the loss of each position [B·T] in nats, 0 where there is no
// target. The slice is valid until the next call.
func (l *LanguageModel) Losses(ctx context.Context, rows *dataset.Packed) ([]float32, error) {
	fillRows(l.forward, rows)
	if err := compute.RunUntil(ctx, l.forward); err != nil {
		return nil, err
	}
	return l.forward.Floats("losses"), nil
}

// FLOPs is the count of one micro-batch, forward and backward, with a target at
// every position.
func (l *LanguageModel) FLOPs() int64 { return l.step.FLOPs() }

// FLOPsOf is the count of one micro-batch of these rows.
func (l *LanguageModel) FLOPsOf(rows *dataset.Packed) int64 {
	skipped := 0
	for _, target := range rows.Targets {
		if target < 0 {
			skipped++
		}
	}
	return l.step.FLOPs() - l.head.Skipped(skipped, true)
}

// ForwardFLOPs is the count of one micro-batch, forward only.
func (l *LanguageModel) ForwardFLOPs() int64 { return l.forward.FLOPs() }

// fillRows copies rows to the inputs of a Program that was built with
// [model.Config.NewBatch] and a "targets" input.
func fillRows(x compute.Executable, rows *dataset.Packed) {
	copy(x.Ints("tokens"), rows.Tokens)
	copy(x.Ints("positions"), rows.Positions)
	copy(x.Ints("segments"), rows.Segments)
	copy(x.Ints("targets"), rows.Targets)
}

// NewTextRows returns rows of running text: one segment of T positions a row.
// The tokens and targets are to be filled in.
func NewTextRows(b, t int) *dataset.Packed {
	rows := dataset.NewPacked(b, t)
	for i := range rows.Positions {
		rows.Positions[i] = int32(i % t)
	}
	return rows
}

// LogProbs returns the log-probability of each example's trained tokens, in
// nats.
func LogProbs(ctx context.Context, l *LanguageModel, examples []dataset.Example) ([]float64, error) {
	rows, err := dataset.Pack(dataset.Lengths(examples), l.T)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(examples))
	packed := dataset.NewPacked(l.B, l.T)
	for at := 0; at < len(rows); at += l.B {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		batch := rows[at:min(at+l.B, len(rows))]
		if err := packed.Fill(batch, examples, 0); err != nil {
			return nil, err
		}
		losses, err := l.Losses(ctx, packed)
		if err != nil {
			return nil, err
		}
		for b, row := range batch {
			i := b * l.T
			for _, x := range row {
				for range examples[x].Tokens {
					out[x] -= float64(losses[i])
					i++
				}
			}
		}
	}
	return out, nil
}
