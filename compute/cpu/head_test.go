package cpu_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

// A vocabulary operator leaves its logits to the gradient where they are few.
// What it would compute again has the same bits.
func TestLogitsThatAreKeptGiveTheBitsOfLogitsComputedAgain(t *testing.T) {
	const d, v = 70, 300
	for _, shape := range []compute.Shape{{5}, {3, 40}, {1, 300}, {2, 257}} {
		for _, outIn := range []bool{false, true} {
			for _, precision := range []cpu.Precision{cpu.FP32, cpu.BF16} {
				t.Run(fmt.Sprintf("tokens %v, OutIn %v, %s", []int(shape), outIn, precision), func(t *testing.T) {
					results := func(keep int) [][]float32 {
						e := cpu.New(cpu.Options{Threads: 2, Precision: precision})
						defer e.Close()
						e.KeepLogits(keep)
						p := compute.NewProgram("head")
						w := []int{d, v}
						if outIn {
							w = []int{v, d}
						}
						hidden, weight := p.Variable("hidden", shape.Size(), d), p.Variable("w", w...)
						losses := compute.LinearCrossEntropy(hidden, weight, p.Input("targets", compute.Int32, shape...), outIn)
						p.Output("losses", losses)
						gradients := compute.Gradient(compute.Mean(losses), hidden, weight)
						p.Output("dhidden", gradients[0])
						p.Accumulate("grad/w", gradients[1])
						s := e.NewStore()
						x := compile(t, e, s, p)
						for i := range x.Ints("targets") {
							x.Ints("targets")[i] = int32(i*37%(v+30)) - 30 // some of them have no loss
						}
						for range 2 {
							if err := x.Run(); err != nil {
								t.Fatal(err)
							}
						}
						dw := make([]float32, d*v)
						if err := s.Read("grad/w", dw); err != nil {
							t.Fatal(err)
						}
						return [][]float32{x.Floats("losses"), x.Floats("dhidden"), dw}
					}
					kept, again := results(math.MaxInt), results(0)
					for i, name := range []string{"losses", "dhidden", "dw"} {
						if !slices.Equal(kept[i], again[i]) {
							t.Errorf("%s have other bits", name)
						}
					}
				})
			}
		}
	}
}

// Two gradients of the same losses cannot both turn the logits into gradients.
func TestLogitsAreComputedAgainForEachOfTwoGradients(t *testing.T) {
	const n, d, v = 9, 5, 40
	e := cpu.New(cpu.Options{Threads: 1})
	defer e.Close()
	p := compute.NewProgram("head")
	hidden, w := p.Variable("hidden", n, d), p.Variable("w", v, d)
	losses := compute.LinearCrossEntropy(hidden, w, p.Input("targets", compute.Int32, n), true)
	p.Output("one", compute.Gradient(compute.Sum(losses), hidden)[0])
	p.Output("two", compute.Gradient(compute.Sum(losses), hidden)[0])
	x := compile(t, e, e.NewStore(), p)
	for i := range x.Ints("targets") {
		x.Ints("targets")[i] = int32(i)
	}
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(x.Floats("one"), x.Floats("two")) {
		t.Errorf("the first gradient is %v, the second %v", x.Floats("one"), x.Floats("two"))
	}
}
