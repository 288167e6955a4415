package computetest

import (
	"fmt"
	"math"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// testCase is a small Program with the numbers that it runs on.
type testCase struct {
	name string
	// |got − want| is bounded by tolerance·(|want| + rms of all want) + floor,
	// the floor for results that cancel from numbers near 1.
	tolerance, floor float64
	// bf16 bounds the root mean square of the difference in bfloat16, where
	// the operator's own conditioning needs more than bf16Tolerance.
	bf16  float64
	build func(b *builder)
	// forwardOnly: the operator has no gradient.
	forwardOnly bool
}

// delivery is what becomes of a gradient. An engine may add a gradient that
// is only accumulated straight into its variable, but not one that is read
// elsewhere as well.
type delivery int

const (
	asOutput delivery = iota
	accumulated
	outputAndAccumulated
)

func (d delivery) String() string {
	return [...]string{"gradients are outputs", "gradients are accumulated", "gradients are outputs and accumulated"}[d]
}

// builder builds a Program and remembers the numbers for its inputs and
// variables. Every number is drawn from the name of its array.
type builder struct {
	p         *compute.Program
	variables []filled // with their first values
	floats    []filled
	ints      []filledInts
	wrt       []compute.Named // what gradients are taken by
	losses    []compute.Named // outputs that the loss adds up

	// The rows first ≤ r < first+n of a larger batch, for Programs that
	// process a part of one.
	first, n int
}

type filled struct {
	name  string
	shape compute.Shape
	fill  func(run, i int) float32
}

type filledInts struct {
	name string
	fill func(run, i int) int32
	size int
}

// normal draws nearly normal numbers, of standard deviation scale around
// shift, that differ from run to run. Sums of four uniform numbers are a cheap
// bell curve, and most of what a suite of small Programs does is draw.
func normal(name string, scale, shift float64) func(run, i int) float32 {
	stream := compute.Stream(name)
	return func(run, i int) float32 {
		bits := compute.Bits(uint64(run), stream, uint64(i))
		sum := bits&0xffff + bits>>16&0xffff + bits>>32&0xffff + bits>>48
		// Four uniform numbers have mean 2 and variance 4/12.
		return float32(shift + scale*(float64(sum)/0x1p16-2)*math.Sqrt(3))
	}
}

// variable is a variable of normal numbers that gradients are taken by.
func (b *builder) variable(name string, shape ...int) *compute.Tensor {
	return b.filled(name, normal(name, 1, 0), shape...)
}

// scaled is a variable of normal numbers with a given spread and mean.
func (b *builder) scaled(name string, scale, shift float64, shape ...int) *compute.Tensor {
	return b.filled(name, normal(name, scale, shift), shape...)
}

// positive is a variable of numbers of at least 0.1.
func (b *builder) positive(name string, shape ...int) *compute.Tensor {
	draw := normal(name, 1, 0)
	return b.filled(name, func(run, i int) float32 {
		return 0.1 + float32(math.Abs(float64(draw(run, i))))
	}, shape...)
}

func (b *builder) filled(name string, fill func(run, i int) float32, shape ...int) *compute.Tensor {
	t := b.state(name, fill, shape...)
	b.wrt = append(b.wrt, compute.Named{Name: name, Tensor: t})
	return t
}

// state is a variable that no gradient is taken by.
func (b *builder) state(name string, fill func(run, i int) float32, shape ...int) *compute.Tensor {
	b.variables = append(b.variables, filled{name, shape, fill})
	return b.p.Variable(name, shape...)
}

// input is a Float32 input of normal numbers.
func (b *builder) input(name string, shape ...int) *compute.Tensor {
	return b.inputOf(name, normal(name, 1, 0), shape...)
}

// rows is a Float32 input [n, row...] of the builder's part of a batch.
func (b *builder) rows(name string, row ...int) *compute.Tensor {
	return b.inputOf(name, part(b, normal(name, 1, 0), compute.Shape(row).Size()), append([]int{b.n}, row...)...)
}

// part is what a fill of a whole batch, with rows of the given size, fills the
// builder's part with.
func part[E any](b *builder, fill func(run, i int) E, row int) func(run, i int) E {
	first := b.first * row
	return func(run, i int) E { return fill(run, first+i) }
}

func (b *builder) inputOf(name string, fill func(run, i int) float32, shape ...int) *compute.Tensor {
	b.floats = append(b.floats, filled{name, shape, fill})
	return b.p.Input(name, compute.Float32, shape...)
}

// integers is an Int32 input that is the same in every run.
func (b *builder) integers(name string, values []int32, shape ...int) *compute.Tensor {
	if len(values) != compute.Shape(shape).Size() {
		panic(fmt.Sprintf("computetest: %d values for integers %s of shape %v", len(values), name, shape))
	}
	return b.integersOf(name, func(_, i int) int32 { return values[i] }, shape...)
}

// below is an Int32 input of numbers from low to high−1.
func (b *builder) below(name string, low, high int, shape ...int) *compute.Tensor {
	return b.integersOf(name, uniform(name, low, high), shape...)
}

func uniform(name string, low, high int) func(run, i int) int32 {
	stream := compute.Stream(name)
	return func(run, i int) int32 {
		return int32(low + int(compute.Bits(uint64(run), stream, uint64(i))%uint64(high-low)))
	}
}

func (b *builder) integersOf(name string, fill func(run, i int) int32, shape ...int) *compute.Tensor {
	b.ints = append(b.ints, filledInts{name, fill, compute.Shape(shape).Size()})
	return b.p.Input(name, compute.Int32, shape...)
}

// output is an output that the loss depends on.
func (b *builder) output(name string, t *compute.Tensor) {
	b.p.Output(name, t)
	b.losses = append(b.losses, compute.Named{Name: name, Tensor: t})
}

// measure is an output that the loss does not depend on.
func (b *builder) measure(name string, t *compute.Tensor) { b.p.Output(name, t) }

// loss is Σ output·weight over all outputs, with weights that are inputs, so
// that every element of the outputs has its own gradient.
func (b *builder) loss() *compute.Tensor {
	var loss *compute.Tensor
	for _, out := range b.losses {
		name := "weight/" + out.Name
		weight := normal(name, 1, 0)
		if size := out.Tensor.Shape.Size(); len(out.Tensor.Shape) > 0 {
			weight = part(b, weight, size/b.n)
		}
		part := compute.Sum(compute.Mul(out.Tensor, b.inputOf(name, weight, out.Tensor.Shape...)))
		if loss == nil {
			loss = part
		} else {
			loss = compute.Add(loss, part)
		}
	}
	return loss
}

// differentiate adds the gradients of the loss.
func (b *builder) differentiate(d delivery) {
	tensors := make([]*compute.Tensor, len(b.wrt))
	for i, w := range b.wrt {
		tensors[i] = w.Tensor
	}
	for i, g := range compute.Gradient(b.loss(), tensors...) {
		name := "gradient/" + b.wrt[i].Name
		if d != accumulated {
			b.p.Output(name, g)
		}
		if d != asOutput {
			sum := "sum of " + name
			b.variables = append(b.variables, filled{sum, g.Shape, normal(sum, 1, 0)})
			b.p.Accumulate(sum, g)
		}
	}
}

// newBuilder builds the case's Program.
func newBuilder(c testCase, d delivery) *builder {
	b := &builder{p: compute.NewProgram(c.name), n: 1}
	c.build(b)
	if !c.forwardOnly {
		b.differentiate(d)
	}
	return b
}

// program is a builder's Program, compiled on an engine.
type program struct {
	*builder
	store      compute.Store
	executable compute.Executable
}

// compile defines the variables in a Store of its own and compiles.
func (b *builder) compile(t *testing.T, engine compute.Engine) *program {
	t.Helper()
	store := engine.NewStore()
	for _, v := range b.variables {
		define(t, store, v.name, v.shape, func(i int) float32 { return v.fill(0, i) })
	}
	return b.compileOn(t, engine, store)
}

// compileOn compiles against a Store that holds the variables.
func (b *builder) compileOn(t *testing.T, engine compute.Engine, store compute.Store) *program {
	t.Helper()
	executable, err := engine.Compile(b.p, store)
	if err != nil {
		t.Fatalf("%s: %v", engine.Name(), err)
	}
	return &program{b, store, executable}
}

func define(t *testing.T, store compute.Store, name string, shape compute.Shape, fill func(i int) float32) {
	t.Helper()
	if err := store.Define(name, shape...); err != nil {
		t.Fatal(err)
	}
	values := make([]float32, shape.Size())
	for i := range values {
		values[i] = fill(i)
	}
	if err := store.Write(name, values); err != nil {
		t.Fatal(err)
	}
}

// fill writes the inputs of a run. What it holds between runs is unspecified,
// so every input is written every time.
func (p *program) fill(run int) {
	for _, in := range p.floats {
		buffer := p.executable.Floats(in.name)
		for i := range buffer {
			buffer[i] = in.fill(run, i)
		}
	}
	for _, in := range p.ints {
		buffer := p.executable.Ints(in.name)
		for i := range buffer {
			buffer[i] = in.fill(run, i)
		}
	}
}

// run fills the inputs, runs, and returns copies of the outputs.
func (p *program) run(t *testing.T, run int) []numbers {
	t.Helper()
	p.fill(run)
	if err := p.executable.Run(); err != nil {
		t.Fatal(err)
	}
	var all []numbers
	for _, out := range p.p.Outputs {
		all = append(all, numbers{out.Name, append([]float32(nil), p.executable.Floats(out.Name)...)})
	}
	return all
}

// state returns copies of the variables.
func (p *program) state(t *testing.T) []numbers {
	t.Helper()
	return stateOf(t, p.store)
}

func stateOf(t *testing.T, store compute.Store) []numbers {
	t.Helper()
	var all []numbers
	for _, name := range store.Names() {
		shape, _ := store.Shape(name)
		values := make([]float32, shape.Size())
		if err := store.Read(name, values); err != nil {
			t.Fatal(err)
		}
		all = append(all, numbers{"variable " + name, values})
	}
	return all
}
