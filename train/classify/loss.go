package classify

import (
	"context"
	"slices"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

// classLoss is the weighted cross entropy of a step's texts,
//
//	loss = Σ_i w(y_i) · −log p(y_i | text_i) / Σ_i w(y_i)
//
// the mean of PyTorch's CrossEntropyLoss with class weights. The sum of the
// weights is that of the whole step, so micro-batches add up to it. Where texts have
// several labels it is the mean binary cross entropy over N texts and K labels,
//
//	loss = Σ_i Σ_k −log σ(±z_ik) / N·K,  + where text i has label k
//
// that of PyTorch's BCEWithLogitsLoss.
type classLoss struct {
	model    *model.Model
	programs map[int]*lossProgram // by the number of rows
	examples Examples
	weights  []float64 // [K]
	// states [N][D] of all examples, where the body is frozen: it then runs once,
	// and a step through the new layers alone. nil: the body takes part.
	states [][]float32
}

// lossProgram is the loss compiled for micro-batches of so many rows, with room
// for slots texts in each.
type lossProgram struct {
	x      compute.Executable
	packed *dataset.Packed
	slots  int
}

// newLoss compiles the loss for every number of rows that the steps have.
// Gradients are accumulated in the model's Store.
func newLoss(m *model.Model, steps []stepPlan, e Examples, states [][]float32, c Config, length int) (*classLoss, error) {
	l := &classLoss{model: m, programs: make(map[int]*lossProgram), examples: e, weights: c.weights(e, len(m.Labels)), states: states}
	slots := 0
	var counts []int
	for _, s := range steps {
		for micro := range slices.Chunk(s.rows, c.MicroRows) {
			counts = append(counts, len(micro))
			for _, row := range micro {
				slots = max(slots, len(row))
			}
		}
	}
	slices.Sort(counts)
	for _, rows := range slices.Compact(counts) {
		x, err := l.compile(rows, length, slots)
		if err != nil {
			return nil, err
		}
		l.programs[rows] = &lossProgram{x, dataset.NewPacked(rows, length), slots}
	}
	return l, nil
}

// compile builds the loss over rows of length tokens with at most slots texts
// each. A free slot reads position −1, which gathers zeros, has no target, and
// weighs 0.
func (l *classLoss) compile(rows, length, slots int) (compute.Executable, error) {
	m, n := l.model, rows*slots
	p := compute.NewProgram("classification loss")
	var hidden *compute.Tensor
	if l.states != nil {
		hidden = p.Input("states", compute.Float32, n, m.Width) // slot i reads row i
	} else {
		hidden = m.Hidden(p, m.NewBatch(p, rows, length)) // [rows·length, D]
	}
	at := p.Input("at", compute.Int32, n)
	var loss *compute.Tensor
	if k := len(m.Labels); l.examples.Sets != nil {
		signs, weights := p.Input("signs", compute.Float32, n, k), p.Input("weights", compute.Float32, n, k)
		loss = compute.Scale(compute.Sum(compute.Mul(weights, compute.LogSigmoid(compute.Mul(signs, m.ClassLogits(p, hidden, at))))), -1)
	} else {
		targets, weights := p.Input("targets", compute.Int32, n), p.Input("weights", compute.Float32, n)
		loss = compute.Sum(compute.Mul(weights, m.ClassLosses(p, hidden, at, targets)))
	}
	p.Output("loss", loss)
	if err := train.Backward(p, m, loss); err != nil {
		return nil, err
	}
	return m.Engine.Compile(p, m.Store)
}

// weight is the sum of the weights of a step's texts, where they have several labels of
// all that each may have.
func (l *classLoss) weight(s stepPlan) float64 {
	sum := 0.0
	for _, row := range s.rows {
		for _, i := range row {
			if l.examples.Sets != nil {
				sum += float64(len(l.model.Labels))
			} else {
				sum += l.weights[l.examples.Classes[i]]
			}
		}
	}
	return sum
}

// target writes what text i of the examples is to be, into a slot of a program's
// inputs.
func (l *classLoss) target(p *lossProgram, slot, i int, total float64) {
	if l.examples.Sets == nil {
		class := l.examples.Classes[i]
		p.x.Ints("targets")[slot], p.x.Floats("weights")[slot] = int32(class), float32(l.weights[class]/total)
		return
	}
	k := len(l.model.Labels)
	signs, weights := p.x.Floats("signs")[slot*k:(slot+1)*k], p.x.Floats("weights")[slot*k:(slot+1)*k]
	for j := range signs {
		signs[j], weights[j] = -1, float32(1/total)
	}
	for _, j := range l.examples.Sets[i] {
		signs[j] = 1
	}
}

// accumulate adds the gradients of a micro-batch of a step whose texts weigh
// total to the model's, and returns its part of the loss. Once ctx ends it gives up.
func (l *classLoss) accumulate(ctx context.Context, rows [][]int, total float64) (loss float64, tokens, flops int64, err error) {
	p := l.programs[len(rows)]
	at := p.x.Ints("at")
	for i := range at {
		at[i] = -1
	}
	clear(p.x.Floats("weights"))
	if l.examples.Sets == nil {
		targets := p.x.Ints("targets")
		for i := range targets {
			targets[i] = compute.IgnoreTarget
		}
	}
	var places []int32
	if l.states == nil {
		if err := p.packed.FillTexts(rows, l.examples.Tokens, int32(max(l.model.Pad, 0))); err != nil {
			return 0, 0, 0, err
		}
		p.packed.Feed(p.x)
		places = l.model.ReadAt(p.packed.Segments, p.packed.T)
	}
	for r, row := range rows {
		for s, i := range row {
			slot := r*p.slots + s
			l.target(p, slot, i, total)
			if l.states == nil {
				at[slot], places = places[0], places[1:]
			} else {
				at[slot] = int32(slot)
				copy(p.x.Floats("states")[slot*l.model.Width:], l.states[i])
			}
			tokens += int64(len(l.examples.Tokens[i]))
		}
	}
	if err := compute.RunUntil(ctx, p.x); err != nil {
		return 0, 0, 0, err
	}
	return float64(p.x.Floats("loss")[0]), tokens, p.x.FLOPs(), nil
}
