package cpu_test

import (
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

// What a cleared variable holds must not depend on who looks first: its memory
// is written only when someone does.
func TestAClearedVariableIsZeroForEveryReader(t *testing.T) {
	program := func(name string, build func(p *compute.Program, g *compute.Tensor)) *compute.Program {
		p := compute.NewProgram(name)
		build(p, p.Variable("g", 2))
		return p
	}
	for _, c := range []struct {
		name string
		then func(w world, run func(name string))
	}{
		{"the caller", func(w world, run func(string)) { w.wantVariable("g", 0, 0) }},
		{"a view", func(w world, run func(string)) {
			if got := w.store.(*cpu.Store).View("g"); !slices.Equal(got, []float32{0, 0}) {
				w.Errorf("the view holds %v", got)
			}
		}},
		{"a program that reads it", func(w world, run func(string)) {
			run("copy")
			w.wantVariable("h", 0, 0)
		}},
		{"a program that doubles it", func(w world, run func(string)) {
			run("double")
			w.wantVariable("g", 0, 0)
		}},
		{"a step that adds to it", func(w world, run func(string)) {
			run("add rows")
			w.wantVariable("g", 4, 6)
			run("add rows")
			w.wantVariable("g", 8, 12)
		}},
		{"an addition of an input", func(w world, run func(string)) {
			run("add")
			w.wantVariable("g", 5, 7)
			run("add rows")
			w.wantVariable("g", 9, 13)
		}},
		{"a write", func(w world, run func(string)) {
			w.set("g", 3, 4)
			run("add rows")
			w.wantVariable("g", 7, 10)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.set("g", 8, 9)
			w.set("h", 1, 1)
			programs := map[string]compute.Executable{}
			for _, p := range []*compute.Program{
				program("clear", func(p *compute.Program, g *compute.Tensor) { p.Update(g, compute.Fill(p, 0, 2)) }),
				program("copy", func(p *compute.Program, g *compute.Tensor) { p.Update(p.Variable("h", 2), compute.Neg(compute.Neg(g))) }),
				program("double", func(p *compute.Program, g *compute.Tensor) { p.Update(g, compute.Add(g, g)) }),
				program("add rows", func(p *compute.Program, _ *compute.Tensor) {
					bias := p.Variable("bias", 2)
					y := compute.Linear(p.Input("x", compute.Float32, 2, 1), p.Variable("w", 1, 2), bias, false)
					loss := compute.Sum(compute.Mul(y, p.Input("weights", compute.Float32, 2, 2)))
					p.Accumulate("g", compute.Gradient(loss, bias)[0])
				}),
				program("add", func(p *compute.Program, g *compute.Tensor) { p.Accumulate("g", p.Input("x", compute.Float32, 2)) }),
			} {
				for _, v := range p.Variables {
					if err := w.store.Define(v.Name, v.Tensor.Shape...); err != nil {
						t.Fatal(err)
					}
				}
				programs[p.Name] = w.compile(p)
			}
			copy(programs["add rows"].Floats("weights"), []float32{1, 2, 3, 4})
			copy(programs["add"].Floats("x"), []float32{5, 7})
			w.run(programs["clear"])
			c.then(w, func(name string) { w.run(programs[name]) })
			// Once viewed or not, clearing again shows everywhere.
			w.run(programs["clear"])
			w.wantVariable("g", 0, 0)
		})
	}
}

func TestAViewShowsThatItsVariableWasCleared(t *testing.T) {
	w := newWorld(t)
	w.set("g", 8, 9)
	view := w.store.(*cpu.Store).View("g")
	p := compute.NewProgram("clear")
	p.Update(p.Variable("g", 2), compute.Fill(p, 0, 2))
	w.run(w.compile(p))
	if !slices.Equal(view, []float32{0, 0}) {
		t.Errorf("the view holds %v", view)
	}
}
