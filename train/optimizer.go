package train

import (
	"fmt"
	"io"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
)

// Backward extends a Program with the gradient of the loss by every trained
// parameter of the model ([model.Model.Trained]) and accumulates it in the
// Store. The part of the backward pass that only frozen parameters need is not
// computed.
//
// A parameter that the Program uses twice (an embedding tied to the head) has
// a gradient that is a sum. Each part of it is accumulated in an array of its
// own, and [Optimizer] adds the parts up: so every array takes its terms in
// the order of the rows, however the rows are split into micro-batches.
func Backward(p *compute.Program, m *model.Model, loss *compute.Tensor) error {
	parameters := m.Trained()
	wrt := make([]*compute.Tensor, len(parameters))
	for i, param := range parameters {
		wrt[i] = p.Variable(param.Name, param.Shape...)
	}
	p.Recompute = m.Recompute
	for i, gradient := range compute.Gradient(loss, wrt...) {
		for j, part := range terms(gradient) {
			name := gradientName(parameters[i].Name, j)
			if err := m.Store.Define(name, parameters[i].Shape...); err != nil {
				return err
			}
			p.Accumulate(name, part)
		}
	}
	return nil
}

// terms takes a sum of tensors of one shape apart.
func terms(t *compute.Tensor) []*compute.Tensor {
	op, ok := t.Node.Op.(compute.BinaryOp)
	if !ok || op.Function != compute.BinaryAdd || !t.Node.Inputs[0].Shape.Equal(t.Shape) || !t.Node.Inputs[1].Shape.Equal(t.Shape) {
		return []*compute.Tensor{t}
	}
	return append(terms(t.Node.Inputs[0]), terms(t.Node.Inputs[1])...)
}

func gradientName(parameter string, part int) string {
	if part == 0 {
		return "grad/" + parameter
	}
	return fmt.Sprintf("grad/%s/%d", parameter, part)
}

// AdamW holds the optimizer's constants (see [compute.AdamWOp]).
type AdamW struct {
	Beta1, Beta2, Epsilon float64
	Decay                 float64 // on matrices only
	MaxNorm               float64 // the gradients' global norm is clipped to it; 0: not clipped
}

// Optimizer updates the trained parameters of one model from the gradients in
// its Store.
type Optimizer struct {
	AdamW
	model  *model.Model
	norm   compute.Executable
	update compute.Executable
	zero   compute.Executable
	steps  int // updates so far: t of Adam's bias correction
}

// NewOptimizer prepares the update, with moments of zero. Every Program that
// accumulates gradients must have been built before.
func NewOptimizer(m *model.Model, constants AdamW) (*Optimizer, error) {
	o := &Optimizer{AdamW: constants, model: m}
	norm, update, zero := compute.NewProgram("gradient norm"), compute.NewProgram("optimizer"), compute.NewProgram("zero gradients")
	lr, scale := update.Input("lr", compute.Float32), update.Input("scale", compute.Float32)
	c1, c2 := update.Input("c1", compute.Float32), update.Input("c2", compute.Float32)
	var all []*compute.Tensor
	for _, param := range m.Trained() {
		for _, moment := range []string{momentName(1, param.Name), momentName(2, param.Name)} {
			_, left := m.Store.Shape(moment) // by an earlier optimizer of the model
			if err := m.Store.Define(moment, param.Shape...); err != nil {
				return nil, err
			}
			if !left {
				continue
			}
			if err := m.Store.Write(moment, make([]float32, compute.Shape(param.Shape).Size())); err != nil {
				return nil, err
			}
		}
		var parts []string
		for j := 0; ; j++ {
			name := gradientName(param.Name, j)
			if _, ok := m.Store.Shape(name); !ok {
				break
			}
			parts = append(parts, name)
		}
		if len(parts) == 0 {
			return nil, fmt.Errorf("preparing optimizer: no program accumulates the gradient of %s", param.Name)
		}
		all = append(all, sumOf(norm, parts, param.Shape))
		op := compute.AdamWOp{Beta1: float32(o.Beta1), Beta2: float32(o.Beta2), Epsilon: float32(o.Epsilon)}
		if param.Decays() {
			op.Decay = float32(o.Decay)
		}
		variable := func(name string) *compute.Tensor { return update.Variable(name, param.Shape...) }
		compute.AdamW(variable(param.Name), sumOf(update, parts, param.Shape),
			variable(momentName(1, param.Name)), variable(momentName(2, param.Name)), lr, scale, c1, c2, op)
		for _, name := range parts {
			zero.Update(zero.Variable(name, param.Shape...), compute.Fill(zero, 0, param.Shape...))
		}
	}
	norm.Output("norm", compute.GlobalNorm(all...))
	for _, c := range []struct {
		program *compute.Program
		x       *compute.Executable
	}{{norm, &o.norm}, {update, &o.update}, {zero, &o.zero}} {
		var err error
		if *c.x, err = m.Engine.Compile(c.program, m.Store); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func sumOf(p *compute.Program, names []string, shape []int) *compute.Tensor {
	sum := p.Variable(names[0], shape...)
	for _, name := range names[1:] {
		sum = compute.Add(sum, p.Variable(name, shape...))
	}
	return sum
}

func momentName(order int, parameter string) string {
	return fmt.Sprintf("adam.%d/%s", order, parameter)
}

// Norm is the Euclidean norm of all accumulated gradients. It is not finite
// when any of them is not.
func (o *Optimizer) Norm() (float64, error) {
	if err := o.norm.Run(); err != nil {
		return 0, err
	}
	return float64(o.norm.Floats("norm")[0]), nil
}

// Step clips by the given norm, updates the parameters and clears the
// gradients. Weights or moments that are not what the last update left are an
// [artifact.ErrCorrupt].
func (o *Optimizer) Step(lr, norm float64) error {
	o.steps++
	scale := 1.0
	if o.MaxNorm > 0 {
		// PyTorch's clip_grad_norm_: the small constant keeps the norm just below.
		scale = min(1, o.MaxNorm/(norm+1e-6))
	}
	o.update.Floats("lr")[0] = float32(lr)
	o.update.Floats("scale")[0] = float32(scale)
	o.update.Floats("c1")[0] = float32(1 - math.Pow(o.Beta1, float64(o.steps)))
	o.update.Floats("c2")[0] = float32(1 - math.Pow(o.Beta2, float64(o.steps)))
	if err := o.update.Run(); err != nil {
		return damaged(err)
	}
	return o.Zero()
}

// Zero clears the gradients.
func (o *Optimizer) Zero() error { return o.zero.Run() }

// FLOPs is the count of one update.
func (o *Optimizer) FLOPs() int64 { return o.norm.FLOPs() + o.update.FLOPs() }

// Save writes the moments and the number of updates as safetensors, one array at
// a time.
func (o *Optimizer) Save(w io.Writer) error {
	tensors := []artifact.Tensor{artifact.Int32Tensor(stepsTensor, nil, []int32{int32(o.steps)})}
	for _, param := range o.model.Trained() {
		for order := 1; order <= 2; order++ {
			name := momentName(order, param.Name)
			tensors = append(tensors, artifact.Tensor{Name: name, Shape: param.Shape, Read: func() ([]float32, error) {
				if err := intact(o.model.Store, name); err != nil {
					return nil, err
				}
				return compute.Values(o.model.Store, name)
			}})
		}
	}
	return artifact.WriteSafetensors(w, tensors, nil)
}

// stepsTensor counts the updates in a file of moments.
const stepsTensor = "steps"

// Load reads what Save wrote, size bytes. The name appears in errors.
func (o *Optimizer) Load(name string, r io.ReaderAt, size int64) error {
	tensors, err := artifact.ParseSafetensors(name, r, size)
	if err != nil {
		return err
	}
	arrays := make(map[string]string)
	for _, param := range o.model.Trained() {
		for order := 1; order <= 2; order++ {
			moment := momentName(order, param.Name)
			arrays[moment] = moment
		}
	}
	if err := file.ReadTensors(o.model.Store, tensors, arrays); err != nil {
		return err
	}
	steps, err := tensors.Int32(stepsTensor) // the last tensor, since moments come before it by name
	if err != nil {
		return err
	}
	if len(steps) != 1 {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: tensor %q has %d numbers, want 1", name, stepsTensor, len(steps))
	}
	o.steps = int(steps[0])
	return nil
}

// Gradient returns the accumulated gradient of a parameter, its parts added
// up.
func Gradient(m *model.Model, p model.Parameter) ([]float32, error) {
	sum := make([]float32, compute.Shape(p.Shape).Size())
	part := make([]float32, len(sum))
	for j := 0; ; j++ {
		name := gradientName(p.Name, j)
		if _, ok := m.Store.Shape(name); !ok {
			if j == 0 {
				return nil, fmt.Errorf("reading gradient: no program accumulates the gradient of %s", p.Name)
			}
			return sum, nil
		}
		if err := m.Store.Read(name, part); err != nil {
			return nil, err
		}
		for i, v := range part {
			sum[i] += v
		}
	}
}
