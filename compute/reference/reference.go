package reference

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Engine is the float64 interpreter. Its zero value is ready for use.
type Engine struct{}

// New returns the interpreter.
func New() *Engine { return &Engine{} }

// Name is "reference".
func (*Engine) Name() string { return "reference" }

// NewStore returns an empty Store.
func (*Engine) NewStore() compute.Store { return &Store{arrays: map[string]*array{}} }

// Store holds the variables in float64.
type Store struct {
	names  []string
	arrays map[string]*array
}

type array struct {
	shape compute.Shape
	data  []float64
}

// Define adds an array of zeros.
func (s *Store) Define(name string, shape ...int) error {
	if a, ok := s.arrays[name]; ok {
		if !a.shape.Equal(shape) {
			return fmt.Errorf("defining variable %q with shape %v: the store holds it with shape %v", name, shape, a.shape)
		}
		return nil
	}
	a := &array{shape: append(compute.Shape{}, shape...)}
	a.data = make([]float64, a.shape.Size())
	s.arrays[name] = a
	s.names = append(s.names, name)
	return nil
}

// Shape returns the shape of an array, false if there is none.
func (s *Store) Shape(name string) (compute.Shape, bool) {
	a, ok := s.arrays[name]
	if !ok {
		return nil, false
	}
	return append(compute.Shape{}, a.shape...), true
}

// Names lists the arrays in the order of their definition.
func (s *Store) Names() []string { return append([]string(nil), s.names...) }

// Read rounds an array to float32 into dst.
func (s *Store) Read(name string, dst []float32) error {
	a, err := s.sized("reading", name, len(dst))
	if err != nil {
		return err
	}
	for i, v := range a.data {
		dst[i] = float32(v)
	}
	return nil
}

// Write copies src into an array.
func (s *Store) Write(name string, src []float32) error {
	a, err := s.sized("writing", name, len(src))
	if err != nil {
		return err
	}
	for i, v := range src {
		a.data[i] = float64(v)
	}
	return nil
}

// Float64 returns the array itself, nil if there is none of that name. A
// change to its elements is what the next run reads; a run that updates the
// variable may replace the slice, so ask again after it.
func (s *Store) Float64(name string) []float64 {
	if a, ok := s.arrays[name]; ok {
		return a.data
	}
	return nil
}

func (s *Store) sized(doing, name string, size int) (*array, error) {
	a, ok := s.arrays[name]
	if !ok {
		return nil, fmt.Errorf("%s variable %q: the store has none of that name; define it first", doing, name)
	}
	if len(a.data) != size {
		return nil, fmt.Errorf("%s variable %q: got a slice of %d elements for shape %v", doing, name, size, a.shape)
	}
	return a, nil
}

// Executable is a Program with the variables that it runs against.
type Executable struct {
	program   *compute.Program
	nodes     []*compute.Node
	loops     []loop   // of each node, nil for inputs and variables
	variables []*array // of each node, nil where it is no variable
	values    [][]value
	floats    map[string][]float32
	ints      map[string][]int32
}

// value holds the numbers of one tensor: f for Float32, i for Int32.
type value struct {
	f []float64
	i []int32
}

// Compile prepares a Program to run against the variables of a Store that
// this engine made.
func (*Engine) Compile(p *compute.Program, s compute.Store) (compute.Executable, error) {
	store, ok := s.(*Store)
	if !ok {
		return nil, fmt.Errorf("compiling program %s: the store belongs to another engine (%T)", p.Name, s)
	}
	e := &Executable{
		program:   p,
		nodes:     p.Live(),
		loops:     make([]loop, len(p.Nodes)),
		variables: make([]*array, len(p.Nodes)),
		values:    make([][]value, len(p.Nodes)),
		floats:    map[string][]float32{},
		ints:      map[string][]int32{},
	}
	for _, v := range p.Variables {
		a, ok := store.arrays[v.Name]
		if !ok {
			return nil, fmt.Errorf("compiling program %s: variable %q is not in the store; define it with shape %v", p.Name, v.Name, []int(v.Tensor.Shape))
		}
		if !a.shape.Equal(v.Tensor.Shape) {
			return nil, fmt.Errorf("compiling program %s: variable %q has shape %v in the program and %v in the store", p.Name, v.Name, []int(v.Tensor.Shape), []int(a.shape))
		}
		e.variables[v.Tensor.Node.ID] = a
	}
	for _, n := range e.nodes {
		if _, ok := n.Op.(compute.Source); ok {
			continue
		}
		if e.loops[n.ID] = loopOf(n.Op); e.loops[n.ID] == nil {
			return nil, fmt.Errorf("compiling program %s: the reference engine does not know operator %s (%T)", p.Name, n.Op.Kind(), n.Op)
		}
	}
	for _, named := range append(append([]compute.Named{}, p.Inputs...), p.Outputs...) {
		if named.Tensor.DType == compute.Int32 {
			e.ints[named.Name] = make([]int32, named.Tensor.Shape.Size())
		} else {
			e.floats[named.Name] = make([]float32, named.Tensor.Shape.Size())
		}
	}
	return e, nil
}

// Floats returns the host buffer of a Float32 input or output.
func (e *Executable) Floats(name string) []float32 {
	buffer, ok := e.floats[name]
	if !ok {
		panic(fmt.Sprintf("reference: program %s has no f32 input or output %q", e.program.Name, name))
	}
	return buffer
}

// Ints returns the host buffer of an Int32 input or output.
func (e *Executable) Ints(name string) []int32 {
	buffer, ok := e.ints[name]
	if !ok {
		panic(fmt.Sprintf("reference: program %s has no i32 input or output %q", e.program.Name, name))
	}
	return buffer
}

// Float64 returns an output of the last run before it was rounded.
func (e *Executable) Float64(name string) []float64 {
	for _, out := range e.program.Outputs {
		if out.Name == name && out.Tensor.DType == compute.Float32 {
			return e.of(out.Tensor).f
		}
	}
	panic(fmt.Sprintf("reference: program %s has no f32 output %q", e.program.Name, name))
}

// FLOPs is the Program's count for one run.
func (e *Executable) FLOPs() int64 { return e.program.FLOPs() }

func (e *Executable) of(t *compute.Tensor) value { return e.values[t.Node.ID][t.Index] }

// Run computes the nodes in order and then applies the updates in order, all
// of them from values that were computed before the first.
func (e *Executable) Run() error {
	for _, n := range e.nodes {
		out, err := e.node(n)
		if err != nil {
			return fmt.Errorf("running program %s: operator %s (node %d): %w", e.program.Name, n.Op.Kind(), n.ID, err)
		}
		e.values[n.ID] = out
	}
	next := map[*array][]float64{}
	for _, u := range e.program.Updates {
		a := e.variables[u.Variable.Node.ID]
		updated := append([]float64(nil), e.of(u.Value).f...)
		if u.Add {
			old, ok := next[a]
			if !ok {
				old = a.data
			}
			for i := range updated {
				updated[i] += old[i]
			}
		}
		next[a] = updated
	}
	for _, out := range e.program.Outputs {
		v := e.of(out.Tensor)
		if out.Tensor.DType == compute.Int32 {
			copy(e.ints[out.Name], v.i)
			continue
		}
		buffer := e.floats[out.Name]
		for i, x := range v.f {
			buffer[i] = float32(x)
		}
	}
	for a, data := range next {
		a.data = data
	}
	return nil
}

// node computes the outputs of one node from its inputs.
func (e *Executable) node(n *compute.Node) ([]value, error) {
	if source, ok := n.Op.(compute.Source); ok {
		return []value{e.source(n, source)}, nil
	}
	c := call{node: n, in: make([]value, len(n.Inputs)), out: make([]value, len(n.Outputs))}
	for i, t := range n.Inputs {
		c.in[i] = e.of(t)
	}
	for i, t := range n.Outputs {
		if t.DType == compute.Int32 {
			c.out[i].i = make([]int32, t.Shape.Size())
		} else {
			c.out[i].f = make([]float64, t.Shape.Size())
		}
	}
	return c.out, e.loops[n.ID](c)
}

func (e *Executable) source(n *compute.Node, source compute.Source) value {
	switch {
	case source.Variable:
		return value{f: e.variables[n.ID].data}
	case n.Outputs[0].DType == compute.Int32:
		return value{i: e.ints[source.Name]}
	}
	buffer := e.floats[source.Name]
	f := make([]float64, len(buffer))
	for i, v := range buffer {
		f[i] = float64(v)
	}
	return value{f: f}
}
