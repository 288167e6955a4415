package cpu

import (
	"math"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

const (
	formRows, formWidth = 600, 3 // more rows than a block has
	formIDs             = 4
)

// formWorld is a store with the gradient g of an embedding, and programs that
// add to it, clear it and use it as an optimizer does. part is a second part of
// the gradient, as a tied head has it.
type formWorld struct {
	*testing.T
	store                    *Store
	add, clear, norm, update compute.Executable
}

func newFormWorld(t *testing.T) formWorld {
	e := New(Options{Threads: 2})
	t.Cleanup(func() { e.Close() })
	w := formWorld{T: t, store: e.NewStore().(*Store)}
	shape := compute.Shape{formRows, formWidth}
	for _, name := range []string{"table", "g", "part", "m", "v", "doubled"} {
		if err := w.store.Define(name, shape...); err != nil {
			t.Fatal(err)
		}
	}
	w.write("part", numbers(formRows*formWidth, 7))
	w.write("table", numbers(formRows*formWidth, 8))
	compile := func(x *compute.Executable, build func(p *compute.Program, variable func(string) *compute.Tensor)) {
		p := compute.NewProgram("p")
		build(p, func(name string) *compute.Tensor { return p.Variable(name, shape...) })
		var err error
		if *x, err = e.Compile(p, w.store); err != nil {
			t.Fatal(err)
		}
	}
	compile(&w.add, func(p *compute.Program, variable func(string) *compute.Tensor) {
		table := variable("table")
		y := compute.Embedding(table, p.Input("ids", compute.Int32, formIDs))
		loss := compute.Sum(compute.Mul(y, p.Input("dy", compute.Float32, formIDs, formWidth)))
		p.Accumulate("g", compute.Gradient(loss, table)[0])
	})
	compile(&w.norm, func(p *compute.Program, variable func(string) *compute.Tensor) {
		p.Output("norm", compute.GlobalNorm(compute.Add(variable("part"), variable("g")), variable("g")))
	})
	compile(&w.update, func(p *compute.Program, variable func(string) *compute.Tensor) {
		scalars := make([]*compute.Tensor, 4)
		for i, name := range []string{"lr", "scale", "c1", "c2"} {
			scalars[i] = p.Input(name, compute.Float32)
		}
		compute.AdamW(variable("table"), compute.Add(variable("part"), variable("g")), variable("m"), variable("v"),
			scalars[0], scalars[1], scalars[2], scalars[3], compute.AdamWOp{Beta1: .9, Beta2: .95, Epsilon: 1e-8, Decay: .1})
	})
	for _, name := range []string{"lr", "scale", "c1", "c2"} {
		w.update.Floats(name)[0] = .5
	}
	compile(&w.clear, func(p *compute.Program, variable func(string) *compute.Tensor) {
		p.Update(variable("g"), compute.Fill(p, 0, shape...))
	})
	return w
}

func (w formWorld) write(name string, values []float32) {
	w.Helper()
	if err := w.store.Write(name, values); err != nil {
		w.Fatal(err)
	}
}

func (w formWorld) read(name string) []float32 {
	w.Helper()
	dst := make([]float32, formRows*formWidth)
	if err := w.store.Read(name, dst); err != nil {
		w.Fatal(err)
	}
	return dst
}

func (w formWorld) run(x compute.Executable) {
	w.Helper()
	if err := x.Run(); err != nil {
		w.Fatal(err)
	}
}

// adds names ids, with the gradients 1, 2, 3, … of their rows' elements, and
// keeps account of what g should hold.
func (w formWorld) adds(want []float32, ids ...int32) {
	w.Helper()
	copy(w.add.Ints("ids"), ids)
	for i := range w.add.Floats("dy") {
		dy := float32(i + 1)
		w.add.Floats("dy")[i] = dy
		if id := int(ids[i/formWidth]); id >= 0 {
			want[id*formWidth+i%formWidth] += dy
		}
	}
	w.run(w.add)
}

func TestTheGradientOfAnEmbeddingHasMemoryForTheRowsOfItsTokensAlone(t *testing.T) {
	w := newFormWorld(t)
	g := w.store.arrays["g"]
	want := make([]float32, formRows*formWidth)
	w.adds(want, 3, 599, 3, -1)
	w.adds(want, 0, 4, 599, 5)
	if got := w.read("g"); !slices.Equal(got, want) {
		t.Errorf("two steps leave %v", got)
	}
	if g.data != nil || len(g.rows.taken) != 5 || len(g.rows.blocks) != 1 {
		t.Errorf("five tokens take %d rows in %d blocks, and %d floats of an array in one piece", len(g.rows.taken), len(g.rows.blocks), len(g.data))
	}
	w.run(w.clear)
	if got := w.read("g"); !slices.Equal(got, make([]float32, len(want))) {
		t.Errorf("cleared it holds %v", got)
	}
	clear(want)
	for id := range int32(formRows / 2) {
		w.adds(want, 2*id, -1, 2*id+1, -1)
	}
	if got := w.read("g"); !slices.Equal(got, want) {
		t.Error("a step for each row leaves other numbers")
	}
	if g.data != nil || len(g.rows.taken) != formRows {
		t.Errorf("all tokens take %d rows, and %d floats of an array in one piece", len(g.rows.taken), len(g.data))
	}
	w.run(w.clear)
	clear(want)
	w.adds(want, 7, 8, 9, 7)
	if got := w.read("g"); !slices.Equal(got, want) {
		t.Errorf("the first step after a clearing leaves %v", got)
	}
}

// Whether the gradient lies in one piece changes no bit of what the optimizer
// makes of it.
func TestTheOptimizerReadsAGradientOfRowsAsOneInAPiece(t *testing.T) {
	results := map[bool][]float32{}
	for _, whole := range []bool{false, true} {
		w := newFormWorld(t)
		if whole {
			w.store.View("g")
		}
		sum := make([]float32, formRows*formWidth)
		for step := range int32(3) {
			w.adds(sum, 1, 300+step, 599, 1)
			w.run(w.norm)
			results[whole] = append(results[whole], w.norm.Floats("norm")[0])
			w.run(w.update)
			w.run(w.clear)
		}
		for _, name := range []string{"table", "m", "v"} {
			results[whole] = append(results[whole], w.read(name)...)
		}
		if g := w.store.arrays["g"]; (g.rows == nil) != whole {
			t.Errorf("whole %v: rows %v", whole, g.rows)
		}
	}
	for i, want := range results[true] {
		if got := results[false][i]; math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("number %d is %g, with the gradient in one piece %g", i, got, want)
		}
	}
	if norm := results[true][0]; !(norm > 0) {
		t.Errorf("the norm is %g", norm)
	}
}

// Programs that were compiled while the gradient lay in rows go on when someone
// needs it in one piece.
func TestAGradientOfRowsIsJoinedForWhoeverNeedsIt(t *testing.T) {
	for _, c := range []struct {
		name string
		join func(w formWorld, want []float32)
	}{
		{"a view", func(w formWorld, want []float32) {
			if view := w.store.View("g"); !slices.Equal(view, want) {
				w.Errorf("the view shows %v", view)
			}
		}},
		{"a write", func(w formWorld, want []float32) {
			copy(want, numbers(len(want), 9))
			w.write("g", want)
		}},
		{"a program that reads it", func(w formWorld, want []float32) {
			p := compute.NewProgram("double")
			g := p.Variable("g", formRows, formWidth)
			p.Update(p.Variable("doubled", formRows, formWidth), compute.Add(g, g))
			e := New(Options{Threads: 1})
			defer e.Close()
			x, err := e.Compile(p, w.store)
			if err != nil {
				w.Fatal(err)
			}
			w.run(x)
			for i, got := range w.read("doubled") {
				if got != 2*want[i] {
					w.Fatalf("element %d is read as %g, want %g", i, got, 2*want[i])
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newFormWorld(t)
			want := make([]float32, formRows*formWidth)
			w.adds(want, 5, 6, 5, 599)
			c.join(w, want)
			if w.store.arrays["g"].rows != nil {
				t.Error("it still lies in rows")
			}
			w.adds(want, 6, 7, 0, 5)
			if got := w.read("g"); !slices.Equal(got, want) {
				t.Errorf("the next step leaves %v", got)
			}
			w.run(w.clear)
			clear(want)
			w.adds(want, 6, 7, 0, 5)
			if got := w.read("g"); !slices.Equal(got, want) {
				t.Errorf("the step after a clearing leaves %v", got)
			}
		})
	}
}
