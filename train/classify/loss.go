package classify

import (
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
// weights is that of the whole step, so micro-batches add up to it.
type classLoss struct {
	programs map[int]*lossProgram // by the number of rows
	examples Examples
	weights  []float64 // [K]
	pad      int32
	places   func(segments []int32, t int) []int32
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
func newLoss(m *model.Model, steps []stepPlan, e Examples, c Config, length int) (*classLoss, error) {
	l := &classLoss{
		programs: make(map[int]*lossProgram), examples: e, weights: c.weights(e, len(m.Labels)),
		pad: int32(max(m.Pad, 0)), places: m.ReadAt,
	}
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
		x, err := compileLoss(m, rows, length, slots)
		if err != nil {
			return nil, err
		}
		l.programs[rows] = &lossProgram{x, dataset.NewPacked(rows, length), slots}
	}
	return l, nil
}

// compileLoss builds the loss over rows of length tokens with at most slots
// texts each. A free slot reads position −1, which gathers zeros, has no target,
// and weighs 0.
func compileLoss(m *model.Model, rows, length, slots int) (compute.Executable, error) {
	p := compute.NewProgram("classification loss")
	hidden := m.Hidden(p, m.NewBatch(p, rows, length)) // [rows·length, D]
	at, targets := p.Input("at", compute.Int32, rows*slots), p.Input("targets", compute.Int32, rows*slots)
	weights := p.Input("weights", compute.Float32, rows*slots)
	loss := compute.Sum(compute.Mul(weights, m.ClassLosses(p, hidden, at, targets)))
	p.Output("loss", loss)
	if err := train.Backward(p, m, loss); err != nil {
		return nil, err
	}
	return m.Engine.Compile(p, m.Store)
}

// weight is the sum of the weights of a step's texts.
func (l *classLoss) weight(s stepPlan) float64 {
	sum := 0.0
	for _, row := range s.rows {
		for _, i := range row {
			sum += l.weights[l.examples.Classes[i]]
		}
	}
	return sum
}

// accumulate adds the gradients of a micro-batch of a step whose texts weigh
// total to the model's, and returns its part of the loss.
func (l *classLoss) accumulate(rows [][]int, total float64) (loss float64, tokens, flops int64, err error) {
	p := l.programs[len(rows)]
	if err := p.packed.FillTexts(rows, l.examples.Tokens, l.pad); err != nil {
		return 0, 0, 0, err
	}
	p.packed.Feed(p.x)
	at, targets, weights := p.x.Ints("at"), p.x.Ints("targets"), p.x.Floats("weights")
	for i := range at {
		at[i], targets[i], weights[i] = -1, compute.IgnoreTarget, 0
	}
	places := l.places(p.packed.Segments, p.packed.T)
	for r, row := range rows {
		for s, i := range row {
			class := l.examples.Classes[i]
			slot := r*p.slots + s
			at[slot], targets[slot], weights[slot] = places[0], int32(class), float32(l.weights[class]/total)
			places = places[1:]
			tokens += int64(len(l.examples.Tokens[i]))
		}
	}
	if err := p.x.Run(); err != nil {
		return 0, 0, 0, err
	}
	return float64(p.x.Floats("loss")[0]), tokens, p.x.FLOPs(), nil
}
