package cpu

import (
	"fmt"
	"math"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// Products that pack as they go have the bits of a product packed whole, for any
// number of workers, and every part of it is told to done once.
func TestAProductPackedAsItGoesHasTheBitsOfOnePackedWhole(t *testing.T) {
	for _, precision := range []Precision{FP32, BF16} {
		for _, s := range []struct{ m, k, n int }{{768, 128, 128}, {256, 300, 520}, {100, 17, 200}, {130, 512, 64}, {64, 1, 1000}} {
			for _, transposed := range []bool{false, true} {
				a, w := numbers(s.m*s.k, 1), numbers(s.k*s.n, 2)
				x := productsOf(precision)
				weight := matrix{w, s.n}
				if transposed {
					weight.Stride = s.k
				}
				packed := panels{make([]float32, x.packedSize(s.k, s.n)), s.k, s.n}
				x.pack(packed, weight, transposed, 0, panelCount(s.n))
				want := make([]float32, s.m*s.n)
				x.multiply(matrix{want, s.n}, matrix{a, s.k}, packed, all(s.m, s.n), false, make([]float32, x.scratch), kernel.Ahead{})

				for workers := 1; workers <= 4; workers++ {
					name := fmt.Sprintf("%s %v transposed %v workers %d", precision, s, transposed, workers)
					f := fresh{products: x, k: s.k, n: s.n, transposed: transposed, workers: workers}
					if !f.share(s.m) {
						continue
					}
					// A run may have fewer rows than were shared out.
					for _, m := range []int{s.m, s.m / 2, 1} {
						got, told := make([]float32, s.m*s.n), make([]int, s.m*s.n)
						for task := range f.tasks {
							f.run(task, matrix{got, s.n}, matrix{a, s.k}, m, w, make([]float32, f.packedSize()+x.scratch), done{beside: &storage{f: want}, apply: func(m0, m1, lo, hi int) {
								for i := m0; i < m1; i++ {
									for j := lo; j < hi; j++ {
										told[i*s.n+j]++
									}
								}
							}})
						}
						for i := range m * s.n {
							if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
								t.Fatalf("%s: element %d of %d rows is %g, packed whole %g", name, i, m, got[i], want[i])
							}
							if told[i] != 1 {
								t.Fatalf("%s: element %d of %d rows was told to done %d times", name, i, m, told[i])
							}
						}
					}
				}
			}
		}
	}
}

// A small weight is shared out by rows: two workers read half of the left
// matrix each.
func TestASmallWeightIsSharedOutByRows(t *testing.T) {
	f := fresh{products: productsOf(FP32), k: 128, n: 128, workers: 2}
	if !f.share(768) || f.rows != 384 || f.each != panelCount(128) {
		t.Errorf("768 rows and 128 columns are shared out as %d rows and %d panels a task, want 384 and 8", f.rows, f.each)
	}
	f = fresh{products: productsOf(FP32), k: 768, n: 50304, workers: 2}
	if !f.share(256) || f.rows < 256 {
		t.Errorf("256 rows and 50304 columns are shared out as %d rows, want all of them", f.rows)
	}
}

// numbers are reproducible ones of both signs.
func numbers(count int, seed uint32) []float32 {
	x := make([]float32, count)
	for i := range x {
		seed = seed*1664525 + 1013904223
		x[i] = float32(int32(seed)) * (1.0 / (1 << 31))
	}
	return x
}
