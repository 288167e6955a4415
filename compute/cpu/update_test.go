package cpu_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

// world is an engine with a store.
type world struct {
	*testing.T
	engine *cpu.Engine
	store  compute.Store
}

func newWorld(t *testing.T) world {
	e := cpu.New(cpu.Options{Threads: 2})
	t.Cleanup(func() { e.Close() })
	return world{t, e, e.NewStore()}
}

func (w world) set(name string, values ...float32) {
	w.Helper()
	if err := w.store.Define(name, len(values)); err != nil {
		w.Fatal(err)
	}
	if err := w.store.Write(name, values); err != nil {
		w.Fatal(err)
	}
}

func (w world) compile(p *compute.Program) compute.Executable {
	w.Helper()
	x, err := w.engine.Compile(p, w.store)
	if err != nil {
		w.Fatal(err)
	}
	return x
}

func (w world) run(x compute.Executable) {
	w.Helper()
	if err := x.Run(); err != nil {
		w.Fatal(err)
	}
}

func (w world) wantVariable(name string, want ...float32) {
	w.Helper()
	got := make([]float32, len(want))
	if err := w.store.Read(name, got); err != nil {
		w.Fatal(err)
	}
	if !slices.Equal(got, want) {
		w.Errorf("variable %s is %v, want %v", name, got, want)
	}
}

func (w world) wantOutput(x compute.Executable, name string, want ...float32) {
	w.Helper()
	if got := x.Floats(name); !slices.Equal(got, want) {
		w.Errorf("output %s is %v, want %v", name, got, want)
	}
}

func TestUpdates(t *testing.T) {
	for _, c := range []struct {
		name   string
		build  func(p *compute.Program, a, b *compute.Tensor)
		a, b   []float32 // after one run from a = 1, 2 and b = 10, 20
		y      []float32 // output "y", if any
		aa, bb []float32 // after a second run
		yy     []float32
	}{
		{
			name: "variables can change places",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				p.Update(a, b)
				p.Update(b, a)
			},
			a: []float32{10, 20}, b: []float32{1, 2}, aa: []float32{1, 2}, bb: []float32{10, 20},
		},
		{
			name: "a node after the new value reads the old one",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				p.Update(a, compute.Add(a, b))
				p.Output("y", compute.Sub(b, a))
			},
			a: []float32{11, 22}, b: []float32{10, 20}, y: []float32{9, 18},
			aa: []float32{21, 42}, bb: []float32{10, 20}, yy: []float32{-1, -2},
		},
		{
			name: "an output of an updated variable is its old value",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				p.Output("y", a)
				p.Update(a, compute.Mul(a, b))
			},
			a: []float32{10, 40}, b: []float32{10, 20}, y: []float32{1, 2},
			aa: []float32{100, 800}, bb: []float32{10, 20}, yy: []float32{10, 40},
		},
		{
			name: "an output of the new value is the new value",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				sum := compute.Add(a, b)
				p.Update(a, sum)
				p.Output("y", sum)
			},
			a: []float32{11, 22}, b: []float32{10, 20}, y: []float32{11, 22},
			aa: []float32{21, 42}, bb: []float32{10, 20}, yy: []float32{21, 42},
		},
		{
			name: "one value can go to two variables",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				sum := compute.Add(a, b)
				p.Update(a, sum)
				p.Update(b, sum)
			},
			a: []float32{11, 22}, b: []float32{11, 22}, aa: []float32{22, 44}, bb: []float32{22, 44},
		},
		{
			name: "accumulations of one variable add up",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				p.Accumulate("a", compute.Mul(b, b))
				p.Accumulate("a", compute.Add(compute.Neg(b), compute.Exp(compute.Fill(p, 0, 2))))
			},
			a: []float32{92, 383}, b: []float32{10, 20}, aa: []float32{183, 764}, bb: []float32{10, 20},
		},
		{
			name: "an update after an accumulation replaces it",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				p.Accumulate("a", compute.Mul(b, b))
				p.Update(a, compute.Neg(b))
			},
			a: []float32{-10, -20}, b: []float32{10, 20}, aa: []float32{-10, -20}, bb: []float32{10, 20},
		},
		{
			name: "a sum of which one part is read elsewhere is accumulated whole",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				part := compute.SumTo(compute.Reshape(b, 1, 2), compute.Shape{2})
				p.Accumulate("a", compute.Add(part, compute.Neg(b)))
				p.Output("y", part)
			},
			a: []float32{1, 2}, b: []float32{10, 20}, y: []float32{10, 20},
			aa: []float32{1, 2}, bb: []float32{10, 20}, yy: []float32{10, 20},
		},
		{
			name: "a part of a sum that is an update of its own is not lost",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				part := compute.Mul(b, b)
				p.Accumulate("a", compute.Add(part, compute.Neg(b)))
				p.Update(b, part)
			},
			a: []float32{91, 382}, b: []float32{100, 400}, aa: []float32{9991, 159982}, bb: []float32{10000, 160000},
		},
		{
			name: "a filled variable is set",
			build: func(p *compute.Program, a, b *compute.Tensor) {
				p.Output("y", compute.Neg(a))
				p.Update(a, compute.Fill(p, 0, 2))
			},
			a: []float32{0, 0}, b: []float32{10, 20}, y: []float32{-1, -2},
			aa: []float32{0, 0}, bb: []float32{10, 20}, yy: []float32{-0, -0},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.set("a", 1, 2)
			w.set("b", 10, 20)
			p := compute.NewProgram("updates")
			c.build(p, p.Variable("a", 2), p.Variable("b", 2))
			x := w.compile(p)
			w.run(x)
			w.wantVariable("a", c.a...)
			w.wantVariable("b", c.b...)
			if c.y != nil {
				w.wantOutput(x, "y", c.y...)
			}
			w.run(x)
			w.wantVariable("a", c.aa...)
			w.wantVariable("b", c.bb...)
			if c.yy != nil {
				w.wantOutput(x, "y", c.yy...)
			}
		})
	}
}

func TestProductsSeeEveryWriteToTheirWeight(t *testing.T) {
	w := newWorld(t)
	w.set("x", 1)
	w.set("w", 3)
	product := compute.NewProgram("product")
	weight := compute.Reshape(product.Variable("w", 1), 1, 1)
	product.Output("y", compute.Linear(product.Variable("x", 1), weight, nil, false))
	double := compute.NewProgram("double")
	v := double.Variable("w", 1)
	double.Update(v, compute.Add(v, v))

	y, twice := w.compile(product), w.compile(double)
	w.run(y)
	w.wantOutput(y, "y", 3)
	w.run(twice)
	w.run(y)
	w.wantOutput(y, "y", 6)
	w.set("w", 5)
	w.run(y)
	w.wantOutput(y, "y", 5)
}

func TestExecutablesThatShareTheArenaDoNotDisturbEachOther(t *testing.T) {
	w := newWorld(t)
	build := func(name string, size int) compute.Executable {
		p := compute.NewProgram(name)
		x := p.Input("x", compute.Float32, size)
		y := compute.Neg(compute.Add(compute.Mul(x, x), x))
		p.Output("y", y)
		p.Output("z", compute.Add(y, x))
		return w.compile(p)
	}
	small := build("small", 1)
	small.Floats("x")[0] = 3
	w.run(small)
	large := build("large", 70000) // the arena moves
	large.Floats("x")[69999] = 2
	w.run(large)
	w.wantOutput(small, "y", -12)
	w.run(small)
	w.wantOutput(small, "z", -9)
	if got := large.Floats("y")[69999]; got != -6 {
		t.Errorf("the output of an executable changed from -6 to %v while another ran", got)
	}
}

func TestIndexesOutOfRangeAreErrorsAndChangeNothing(t *testing.T) {
	table := func(p *compute.Program) *compute.Tensor { return compute.Reshape(p.Variable("v", 4), 2, 2) }
	cached := func(slot, start, count int32) (func(p *compute.Program), map[string]int32) {
		return func(p *compute.Program) {
			q := p.Input("q", compute.Float32, 1, 2, 1, 2)
			ints := make([]*compute.Tensor, 3)
			for i, name := range []string{"slots", "starts", "counts"} {
				ints[i] = p.Input(name, compute.Int32, 1)
			}
			keys, values := p.Variable("keys", 3, 4, 1, 2), p.Variable("values", 3, 4, 1, 2)
			p.Output("y", compute.CachedAttention(q, q, q, keys, values, ints[0], ints[1], ints[2], compute.CachedAttentionOp{Scale: 1}))
		}, map[string]int32{"slots": slot, "starts": start, "counts": count}
	}
	type test struct {
		name  string
		build func(p *compute.Program)
		ints  map[string]int32
		want  []string // in the error
	}
	tests := []test{
		{"embedding", func(p *compute.Program) {
			p.Output("y", compute.Embedding(table(p), p.Input("ids", compute.Int32, 1)))
		}, map[string]int32{"ids": 2}, []string{"embedding", "row 2"}},
		{"sliced ids", func(p *compute.Program) {
			ids := compute.Slice(p.Input("ids", compute.Int32, 3), 0, 1, 2)
			p.Output("y", compute.Embedding(table(p), ids))
		}, map[string]int32{"ids": 7}, []string{"embedding", "row 7"}},
		{"targets", func(p *compute.Program) {
			p.Output("y", compute.LinearCrossEntropy(p.Input("h", compute.Float32, 1, 2), table(p), p.Input("targets", compute.Int32, 1), true))
		}, map[string]int32{"targets": 2}, []string{"linear_cross_entropy", "token 2"}},
		{"rotary positions", func(p *compute.Program) {
			p.Output("y", compute.RoPE(p.Input("x", compute.Float32, 1, 1, 2), p.Input("at", compute.Int32, 1), []float64{1}))
		}, map[string]int32{"at": -1}, []string{"rope", "position -1"}},
	}
	for _, c := range []struct {
		name               string
		slot, start, count int32
		want               string
	}{
		{"cache slot", 3, 0, 1, "slot 3"},
		{"cache start", 0, -1, 1, "positions -1..-1"},
		{"cache end", 0, 3, 2, "positions 3..4"},
		{"cache count", 0, 0, 3, "count 3"},
	} {
		build, ints := cached(c.slot, c.start, c.count)
		tests = append(tests, test{c.name, build, ints, []string{"cached_attention", c.want}})
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.set("v", 1, 2, 3, 4)
			for _, cache := range []string{"keys", "values"} {
				if err := w.store.Define(cache, 3, 4, 1, 2); err != nil {
					t.Fatal(err)
				}
			}
			p := compute.NewProgram("indexes")
			v := p.Variable("v", 4)
			p.Update(v, compute.Neg(v))
			c.build(p)
			x := w.compile(p)
			for name, value := range c.ints {
				for i := range x.Ints(name) {
					x.Ints(name)[i] = value
				}
			}
			err := x.Run()
			if err == nil {
				t.Fatal("the run succeeded")
			}
			for _, part := range append(c.want, "program indexes") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not name %q", err, part)
				}
			}
			w.wantVariable("v", 1, 2, 3, 4)
		})
	}
}

func TestCompileErrorsNameTheCause(t *testing.T) {
	w := newWorld(t)
	w.set("v", 1, 2)
	other := cpu.New(cpu.Options{Threads: 1})
	defer other.Close()
	for _, c := range []struct {
		name  string
		build func(p *compute.Program)
		want  string
	}{
		{"missing variable", func(p *compute.Program) { p.Output("y", p.Variable("lost", 2)) }, `variable "lost" is not in the store`},
		{"other shape", func(p *compute.Program) { p.Output("y", p.Variable("v", 3)) }, `variable "v" has shape [3] in the program and [2] in the store`},
		{"one name for input and output", func(p *compute.Program) { p.Output("x", compute.Neg(p.Input("x", compute.Float32, 1))) }, `"x" is the name of an input and of an output`},
		{"unknown function", func(p *compute.Program) {
			p.Output("y", compute.Neg(p.Variable("v", 2)))
			p.Nodes[len(p.Nodes)-1].Op = compute.UnaryOp{Function: "sine"}
		}, `operator sine (node 1): the cpu engine does not know function "sine"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := compute.NewProgram("faulty")
			c.build(p)
			_, err := w.engine.Compile(p, w.store)
			if err == nil || !strings.Contains(err.Error(), "compiling program faulty: "+c.want) {
				t.Errorf("got error %v, want it to say %q", err, c.want)
			}
		})
	}
}

func TestViewShowsWhatRunsWrite(t *testing.T) {
	w := newWorld(t)
	w.set("v", 1, 2)
	view := w.store.(*cpu.Store).View("v")
	p := compute.NewProgram("negate")
	v := p.Variable("v", 2)
	p.Update(v, compute.Neg(v))
	w.run(w.compile(p))
	if want := []float32{-1, -2}; !slices.Equal(view, want) {
		t.Errorf("the view holds %v, want %v", view, want)
	}
	if w.store.(*cpu.Store).View("none") != nil {
		t.Error("a view of an unknown variable is not nil")
	}
}
