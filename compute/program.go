package compute

import (
	"fmt"
	"slices"
)

// DType is the element type of a tensor.
type DType uint8

const (
	Float32 DType = iota // real numbers
	Int32                // token ids, positions, row numbers
)

func (d DType) String() string {
	if d == Int32 {
		return "i32"
	}
	return "f32"
}

// Shape lists a tensor's dimensions, outermost first. A scalar has none.
type Shape []int

// Size is the number of elements, 1 for a scalar.
func (s Shape) Size() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Rows is the product of all dimensions but the last.
func (s Shape) Rows() int { return s[:len(s)-1].Size() }

// Last is the last dimension.
func (s Shape) Last() int { return s[len(s)-1] }

// Equal reports whether both shapes have the same dimensions.
func (s Shape) Equal(t Shape) bool { return slices.Equal(s, t) }

// Type is an element type with a shape.
type Type struct {
	DType DType
	Shape Shape
}

func (t Type) String() string { return fmt.Sprintf("%v%v", t.DType, []int(t.Shape)) }

// Tensor is one value of a Program: output Index of its Node.
type Tensor struct {
	Type
	Node  *Node
	Index int
}

// Node is one operator applied to tensors.
type Node struct {
	ID      int // position in Program.Nodes
	Op      Op
	Inputs  []*Tensor
	Outputs []*Tensor
	program *Program
	again   bool // computes what another node computed: see recomputation
}

// Op is an operator: its attributes, and what does not depend on an engine.
type Op interface {
	// Kind is the operator's name, as profiles and errors print it.
	Kind() string
	// Infer is the shape rule: the types of the outputs for inputs of the
	// given types. It panics when they do not fit.
	Infer(in []Type) []Type
	// Gradient is the gradient rule. dOut holds the gradient of the loss by
	// each output, nil where the output does not reach the loss; the result
	// holds the gradient by each input, nil where there is none.
	Gradient(n *Node, dOut []*Tensor) []*Tensor
	// FLOPs counts the floating-point operations of one run as the package
	// comment says. Operators bound by memory count one per element.
	FLOPs(n *Node) int64
}

// Update says that a variable takes a value when the run ends.
type Update struct {
	Variable *Tensor
	Value    *Tensor
	Add      bool // the variable's old value is added to Value
}

// Named is an input, variable or output with its name.
type Named struct {
	Name   string
	Tensor *Tensor
}

// Program is a list of operators in an order in which they can run.
type Program struct {
	Name      string
	Nodes     []*Node
	Inputs    []Named
	Variables []Named
	Outputs   []Named
	Updates   []Update

	// Recompute has [Gradient] compute the tensors within layers (see
	// [Program.StartLayer]) again, so that they need not be kept from the
	// forward to the backward pass. No bit of a result changes.
	Recompute bool

	layers []*Tensor // where they begin
}

// NewProgram returns an empty Program. The name appears in errors and profiles.
func NewProgram(name string) *Program { return &Program{Name: name} }

// StartLayer says that a layer of the model begins, whose operators read what
// came before it through x alone, inputs and variables apart.
func (p *Program) StartLayer(x *Tensor) { p.layers = append(p.layers, x) }

// Source is the operator behind inputs and variables.
type Source struct {
	Name     string
	Variable bool
	typ      Type
}

func (s Source) Kind() string {
	if s.Variable {
		return "variable"
	}
	return "input"
}
func (s Source) Infer([]Type) []Type                 { return []Type{s.typ} }
func (s Source) Gradient(*Node, []*Tensor) []*Tensor { return nil }
func (s Source) FLOPs(*Node) int64                   { return 0 }

// Input declares a tensor whose numbers come with each run.
func (p *Program) Input(name string, dtype DType, shape ...int) *Tensor {
	for _, in := range p.Inputs {
		if in.Name == name {
			panic(fmt.Sprintf("compute: program %s declares input %q twice", p.Name, name))
		}
	}
	t := p.node(Source{name, false, Type{dtype, slices.Clone(shape)}})[0]
	p.Inputs = append(p.Inputs, Named{name, t})
	return t
}

// Variable refers to the Store's array of that name. Asking twice for a name
// returns the same tensor; the shapes must agree.
func (p *Program) Variable(name string, shape ...int) *Tensor {
	for _, v := range p.Variables {
		if v.Name == name {
			if !v.Tensor.Shape.Equal(shape) {
				panic(fmt.Sprintf("compute: program %s uses variable %q with shapes %v and %v", p.Name, name, v.Tensor.Shape, shape))
			}
			return v.Tensor
		}
	}
	t := p.node(Source{name, true, Type{Float32, slices.Clone(shape)}})[0]
	p.Variables = append(p.Variables, Named{name, t})
	return t
}

// Output names a tensor whose numbers go back to the caller.
func (p *Program) Output(name string, t *Tensor) {
	for _, out := range p.Outputs {
		if out.Name == name {
			panic(fmt.Sprintf("compute: program %s declares output %q twice", p.Name, name))
		}
	}
	p.Outputs = append(p.Outputs, Named{name, t})
}

// Update gives the variable its next value. Readers within the run see the
// old one.
func (p *Program) Update(variable, value *Tensor) { p.update(variable, value, false) }

// Accumulate adds value to the Store's array of that name when the run ends.
//
// The gradient of a weight, bias, norm or table goes on summing from the old
// value, row after row. A batch of sequences that is processed in several runs
// leaves the same bits as in one run; for the gradient by the vocabulary, where
// the tokens' shape tells the sequences apart. A gradient that is itself a
// sum, of a tensor with two readers, does not: give each reader a [Reshape] of
// the variable, and accumulate the gradients by those apart.
func (p *Program) Accumulate(name string, value *Tensor) {
	p.update(p.Variable(name, value.Shape...), value, true)
}

func (p *Program) update(variable, value *Tensor, add bool) {
	if s, ok := variable.Node.Op.(Source); !ok || !s.Variable {
		panic(fmt.Sprintf("compute: program %s updates a tensor of operator %s, which is no variable", p.Name, variable.Node.Op.Kind()))
	}
	if value.DType != Float32 || !variable.Shape.Equal(value.Shape) {
		panic(fmt.Sprintf("compute: program %s updates variable %v with a value %v", p.Name, variable.Type, value.Type))
	}
	p.Updates = append(p.Updates, Update{variable, value, add})
}

// node appends an operator and returns its outputs.
func (p *Program) node(op Op, inputs ...*Tensor) []*Tensor {
	types := make([]Type, len(inputs))
	for i, t := range inputs {
		if t == nil {
			panic(fmt.Sprintf("compute: input %d of %s is nil", i, op.Kind()))
		}
		if t.Node.program != p {
			panic(fmt.Sprintf("compute: input %d of %s belongs to program %s, not %s", i, op.Kind(), t.Node.program.Name, p.Name))
		}
		types[i] = t.Type
	}
	n := &Node{ID: len(p.Nodes), Op: op, Inputs: inputs, program: p}
	for i, typ := range op.Infer(types) {
		for _, d := range typ.Shape {
			if d < 1 {
				panic(fmt.Sprintf("compute: output %d of %s has shape %v, want dimensions of 1 and more", i, op.Kind(), []int(typ.Shape)))
			}
		}
		n.Outputs = append(n.Outputs, &Tensor{Type: typ, Node: n, Index: i})
	}
	p.Nodes = append(p.Nodes, n)
	return n.Outputs
}

// apply appends an operator to the Program of its first input.
func apply(op Op, inputs ...*Tensor) []*Tensor {
	return inputs[0].Node.program.node(op, inputs...)
}

// Live lists, in running order, the nodes that outputs and updates depend on.
// What else was built (a gradient that nobody asked for) is not run.
func (p *Program) Live() []*Node {
	live := make([]bool, len(p.Nodes))
	for _, o := range p.Outputs {
		live[o.Tensor.Node.ID] = true
	}
	for _, u := range p.Updates {
		live[u.Value.Node.ID] = true
		live[u.Variable.Node.ID] = true
	}
	for i := len(p.Nodes) - 1; i >= 0; i-- {
		if live[i] {
			for _, in := range p.Nodes[i].Inputs {
				live[in.Node.ID] = true
			}
		}
	}
	var nodes []*Node
	for i, n := range p.Nodes {
		if live[i] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// FLOPs counts the floating-point operations of one run, each once, as the
// package comment says.
func (p *Program) FLOPs() int64 {
	var total int64
	for _, n := range p.Live() {
		if !n.again {
			total += n.Op.FLOPs(n)
		}
	}
	return total
}

func badShape(op, want string, in []Type) {
	panic(fmt.Sprintf("compute: %s wants %s, got %v", op, want, in))
}

// wantFloats panics where one of the inputs holds integers.
func wantFloats(op string, in []Type) {
	for _, t := range in {
		if t.DType != Float32 {
			badShape(op, "f32", in)
		}
	}
}

// elements is the FLOP count of an operator that is bound by memory.
func elements(n *Node) int64 { return int64(n.Outputs[0].Shape.Size()) }
