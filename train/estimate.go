package train

import (
	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/count"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/stage"
)

// Sketch counts what Programs of a stage would take, for its estimate.
type Sketch struct {
	*model.Model
	Counted   *count.Engine
	Published bool // see stage.Facts
}

// packing is the share of packed rows that texts fill.
const packing = .94

// AssumedRow are tokens of a dialogue or of a ranked answer with its prompt, where
// no file tells.
const AssumedRow = 200

// NewSketch sketches the model that facts know, with a head and, if the
// configuration asks for one, an adapter.
func NewSketch(f stage.Facts, head model.Head, lora LoRAConfig) (*Sketch, error) {
	m, engine, err := file.Sketch(f.Model, head)
	if err != nil {
		return nil, err
	}
	return &Sketch{m, engine, f.Published}, lora.AddTo(m, 0)
}

// RowLength is the length of a packed row that a stage asks for, 0 for the model's
// context.
func (s *Sketch) RowLength(kind string, asked int) (int, error) {
	if asked > s.Context {
		return 0, artifact.Errorf(artifact.ErrUsage, "configuring %s: context %d is longer than the model's, which is %d", kind, asked, s.Context)
	}
	if asked == 0 {
		return s.Context, nil
	}
	return asked, nil
}

// HeldOut is how many rows are measured on: those of the validation file, or where none
// is given the share of the rows to learn.
func HeldOut(in stage.Known, learned string, share float64) float64 {
	if n := in["validation"].Rows; n > 0 {
		return float64(n)
	}
	return share * float64(in[learned].Rows)
}

// PackedRows is how many rows of so many tokens hold n texts.
func PackedRows(f stage.Facts, n float64, length int) float64 {
	each := f.RowTokens
	if each == 0 {
		each = min(AssumedRow, float64(length))
	}
	return n * each / (float64(length) * packing)
}

// Forward counts the FLOPs of a forward pass of b rows of t tokens.
func (s *Sketch) Forward(b, t int, head func(*compute.Program, *model.Model, *compute.Tensor) *compute.Tensor) float64 {
	p := compute.NewProgram("forward")
	p.Output("out", head(p, s.Model, s.Hidden(p, s.NewBatch(p, b, t))))
	return float64(p.FLOPs())
}

// Step counts the FLOPs of a forward and backward pass, whose gradients the Store
// then has.
func (s *Sketch) Step(b, t int, head func(*compute.Program, *model.Model, *compute.Tensor) *compute.Tensor) (float64, error) {
	p := compute.NewProgram("step")
	loss := compute.Sum(head(p, s.Model, s.Hidden(p, s.NewBatch(p, b, t))))
	p.Output("loss", loss)
	if err := Backward(p, s.Model, loss); err != nil {
		return 0, err
	}
	if _, err := s.Engine.Compile(p, s.Store); err != nil {
		return 0, err
	}
	return s.Counted.Last(), nil
}

// Update counts the FLOPs of an optimizer step.
func (s *Sketch) Update(c OptimizerConfig) (float64, error) {
	o, err := NewOptimizer(s.Model, c.AdamW())
	if err != nil {
		return 0, err
	}
	return float64(o.FLOPs()), nil
}

// Rewards is the head of a reward model and of a critic.
func Rewards(p *compute.Program, m *model.Model, hidden *compute.Tensor) *compute.Tensor {
	return m.Score(p, hidden)
}

// LeavesModel are the facts of a trained model.
func (s *Sketch) LeavesModel() (map[string]stage.Facts, error) {
	config, err := file.MarshalConfig(s.Config, "F32")
	return map[string]stage.Facts{"": {Model: config, Vocabulary: s.Vocabulary, Published: s.Published}}, err
}
