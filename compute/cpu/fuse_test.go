package cpu

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// epilogues are the operators that may run with the product y that they read;
// a and b are arrays beside it.
var epilogues = map[string]func(y, a, b *compute.Tensor) []*compute.Tensor{
	"gelu":        func(y, _, _ *compute.Tensor) []*compute.Tensor { return []*compute.Tensor{compute.GELU(y, false)} },
	"exact gelu":  func(y, _, _ *compute.Tensor) []*compute.Tensor { return []*compute.Tensor{compute.GELU(y, true)} },
	"gate":        func(y, a, _ *compute.Tensor) []*compute.Tensor { return []*compute.Tensor{compute.SwiGLU(y, a)} },
	"up":          func(y, a, _ *compute.Tensor) []*compute.Tensor { return []*compute.Tensor{compute.SwiGLU(a, y)} },
	"residual":    func(y, a, _ *compute.Tensor) []*compute.Tensor { return []*compute.Tensor{compute.Add(a, y)} },
	"sum":         func(y, a, _ *compute.Tensor) []*compute.Tensor { return []*compute.Tensor{compute.Add(y, a)} },
	"gelu.grad":   func(y, a, _ *compute.Tensor) []*compute.Tensor { return gradientOf(compute.GELU(a, false), y) },
	"exact grad":  func(y, a, _ *compute.Tensor) []*compute.Tensor { return gradientOf(compute.GELU(a, true), y) },
	"swiglu.grad": func(y, a, b *compute.Tensor) []*compute.Tensor { return gradientOf(compute.SwiGLU(a, b), y) },
}

func gradientOf(t, dy *compute.Tensor) []*compute.Tensor {
	return t.Node.Op.Gradient(t.Node, []*compute.Tensor{dy})
}

// An operator that runs with its product, part by part, gives the bits that it
// gives in a Program of its own.
func TestAnEpilogueHasTheBitsOfItsOperatorAlone(t *testing.T) {
	const k, n = 37, 85
	for name, apply := range epilogues {
		for _, m := range []int{1, 5, 200} {
			for _, later := range []bool{false, true} { // whether a later step reads the product, too
				t.Run(fmt.Sprintf("%s, %d rows, read later %v", name, m, later), func(t *testing.T) {
					e := New(Options{Threads: 2})
					defer e.Close()
					store := e.NewStore()
					for i, v := range []struct {
						name  string
						shape []int
					}{{"w", []int{k, n}}, {"bias", []int{n}}} {
						if err := store.Define(v.name, v.shape...); err != nil {
							t.Fatal(err)
						}
						if err := store.Write(v.name, numbers(compute.Shape(v.shape).Size(), uint32(i))); err != nil {
							t.Fatal(err)
						}
					}
					// run builds a Program of what is read and fills its inputs.
					run := func(build func(p *compute.Program, input func(name string, columns int) *compute.Tensor), given map[string][]float32) *Executable {
						p := compute.NewProgram(name)
						build(p, func(name string, columns int) *compute.Tensor { return p.Input(name, compute.Float32, m, columns) })
						x, err := e.Compile(p, store)
						if err != nil {
							t.Fatal(err)
						}
						for i, in := range p.Inputs {
							values := given[in.Name]
							if values == nil {
								values = numbers(len(x.Floats(in.Name)), uint32(10+i))
							}
							copy(x.Floats(in.Name), values)
						}
						if err := x.Run(); err != nil {
							t.Fatal(err)
						}
						return x.(*Executable)
					}
					outputs := func(p *compute.Program, results []*compute.Tensor) {
						for i, r := range results {
							p.Output(fmt.Sprintf("out%d", i), r)
						}
					}
					var count int
					together := run(func(p *compute.Program, input func(string, int) *compute.Tensor) {
						a, b, x := input("a", n), input("b", n), input("x", k)
						y := compute.Linear(x, p.Variable("w", k, n), p.Variable("bias", n), false)
						results := apply(y, a, b)
						count = len(results)
						outputs(p, results)
						if later {
							p.Output("negative", compute.Neg(y))
						}
					}, nil)
					want := []string{"linear"}
					if later {
						want = append(want, "neg")
					}
					var steps []string
					for _, s := range together.steps {
						steps = append(steps, s.kind)
					}
					if !slices.Equal(steps, want) {
						t.Fatalf("the steps are %v, want %v", steps, want)
					}
					product := run(func(p *compute.Program, input func(string, int) *compute.Tensor) {
						input("a", n)
						input("b", n)
						p.Output("y", compute.Linear(input("x", k), p.Variable("w", k, n), p.Variable("bias", n), false))
					}, nil).Floats("y")
					alone := run(func(p *compute.Program, input func(string, int) *compute.Tensor) {
						a, b := input("a", n), input("b", n)
						outputs(p, apply(input("y", n), a, b))
					}, map[string][]float32{"y": product})
					for i := range count {
						out := fmt.Sprintf("out%d", i)
						got, want := together.Floats(out), alone.Floats(out)
						for j := range want {
							if math.Float32bits(got[j]) != math.Float32bits(want[j]) {
								t.Fatalf("output %d, element %d is %g, by itself %g", i, j, got[j], want[j])
							}
						}
					}
					if later {
						for j, want := range product {
							if got := -together.Floats("negative")[j]; got != want {
								t.Fatalf("element %d of the product is %g, want %g", j, got, want)
							}
						}
					}
				})
			}
		}
	}
}
