package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// nearestBF16 rounds by the definition: of all bfloat16 the nearest one, the
// even one of two.
func nearestBF16(x float32) float32 {
	if x != x || math.IsInf(float64(x), 0) {
		return x
	}
	low := math.Float32frombits(math.Float32bits(x) &^ 0xffff) // toward zero
	high := math.Float32frombits(math.Float32bits(low) + 1<<16)
	limit := float64(high)
	if math.IsInf(limit, 0) {
		limit = math.Copysign(0x1p128, limit)
	}
	toLow, toHigh := math.Abs(float64(x)-float64(low)), math.Abs(limit-float64(x))
	if toLow < toHigh || toLow == toHigh && math.Float32bits(low)>>16&1 == 0 {
		return low
	}
	return high
}

func TestRoundingTakesTheNearestBFloat16(t *testing.T) {
	x := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 1 + 0x1p-8, 1 + 0x1p-7, 1 + 0x3p-8, 1 + 0x1.000002p-8, 1 + 0x0.fffffep-8,
		math.MaxFloat32, -math.MaxFloat32, 0x1.fep127, 0x1.feffffp127, 0x1.ffp127, math.SmallestNonzeroFloat32, 0x1p-126, 0x1.81p-127,
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.Float32frombits(0x7f800001), math.Float32frombits(0xffffffff)}
	for i := range uint64(4000) {
		x = append(x, uniform(1, i)*float32(math.Exp2(float64(int(i%80)-40))))
	}
	onEachSet(t, func(t *testing.T) {
		for _, offset := range []int{0, 1, 3} {
			dst := make([]float32, len(x)-offset)
			RoundBF16(dst, x[offset:])
			for i, got := range dst {
				want := nearestBF16(x[offset+i])
				if math.Float32bits(got) != math.Float32bits(want) && !(got != got && want != want) {
					t.Errorf("%g rounds to %g (%08x), want %g", x[offset+i], got, math.Float32bits(got), want)
				}
				if math.Float32bits(got)&0xffff != 0 {
					t.Errorf("%g rounds to %08x, which is no bfloat16", x[offset+i], math.Float32bits(got))
				}
			}
		}
	})
}

// packedBF16 packs b, and checks the words beside the panels.
func packedBF16(t *testing.T, b buffer, k, n int, transposed bool) []uint32 {
	t.Helper()
	const beside = 0xdeadbeef
	size := PackedSizeBF16(k, n)
	all := slices.Repeat([]uint32{beside}, size+9)
	panels := (n + NR - 1) / NR
	for p := range panels { // one by one, the last one first
		p = panels - 1 - p
		if transposed {
			PackBTBF16(PanelsBF16{all[5 : 5+size], k, n}, Matrix{b.x, b.stride}, p, p+1)
		} else {
			PackBBF16(PanelsBF16{all[5 : 5+size], k, n}, Matrix{b.x, b.stride}, p, p+1)
		}
	}
	for i, v := range all {
		if (i < 5 || i >= 5+size) && v != beside {
			t.Fatalf("packing wrote word %d of %d", i-5, size)
		}
	}
	return all[5 : 5+size]
}

func TestBFloat16ProductsStayWithinTheirErrorBound(t *testing.T) {
	type shape struct{ m, n, k int }
	shapes := []shape{{96, 33, KC}, {97, 16, KC + 1}, {100, 50, 2*KC + 3}, {193, 17, 5}}
	for m := 1; m <= 20; m++ {
		for _, n := range []int{1, 8, 15, 16, 17, 32, 33, 64, 70} {
			for _, k := range []int{1, 2, 3, 4, 7, 8, 16, 19, 65} {
				shapes = append(shapes, shape{m, n, k})
			}
		}
	}
	onEachSet(t, func(t *testing.T) {
		scratch := slices.Repeat([]float32{canary}, GemmBF16Scratch())
		for i, s := range fewer(shapes) {
			what, acc := fmt.Sprintf("%+v", s), i%2 == 1
			a, b := newBuffer(1, s.m, s.k, 3, 1), newBuffer(2, s.k, s.n, 5, 3)
			at := transposed(a, s.m, s.k)
			bp := packedBF16(t, b, s.k, s.n, false)
			if bt := packedBF16(t, transposed(b, s.k, s.n), s.k, s.n, true); !slices.Equal(bp, bt) {
				t.Fatalf("%s: the transposed matrix is packed otherwise", what)
			}
			before := newBuffer(3, s.m, s.n, 2, 1)
			c, ct := newBuffer(3, s.m, s.n, 2, 1), newBuffer(3, s.m, s.n, 2, 1)
			panels := (s.n + NR - 1) / NR
			GemmBF16(Matrix{c.x, c.stride}, Matrix{a.x, a.stride}, PanelsBF16{bp, s.k, s.n}, Area{0, s.m, 0, panels}, acc, scratch, Ahead{})
			GemmATBF16(Matrix{ct.x, ct.stride}, Matrix{at.x, at.stride}, PanelsBF16{bp, s.k, s.n}, Area{0, s.m, 0, panels}, acc, scratch, nil)
			c.check(t, what)
			for i, v := range c.all {
				if math.Float32bits(v) != math.Float32bits(ct.all[i]) {
					t.Fatalf("%s: GemmATBF16 gives %g where GemmBF16 gives %g", what, ct.all[i], v)
				}
			}
			for i := range s.m {
				for j := range s.n {
					var sum, rounded, size float64
					for kk := range s.k {
						x, y := a.x[i*a.stride+kk], b.x[kk*b.stride+j]
						sum += float64(x) * float64(y)
						rounded += float64(nearestBF16(x)) * float64(nearestBF16(y))
						size += math.Abs(float64(x) * float64(y))
					}
					if acc {
						v := float64(before.x[i*before.stride+j])
						sum, rounded, size = sum+v, rounded+v, size+math.Abs(v)
					}
					got := float64(c.x[i*c.stride+j])
					if limit := (0x1p-7 + 0x1p-16 + float64(s.k+2)*0x1p-23) * size; !(math.Abs(got-sum) <= limit) {
						t.Fatalf("%s: c[%d,%d] = %g, want %g within %g", what, i, j, got, sum, limit)
					}
					if limit := 1.02 * float64(s.k+2) * 0x1p-23 * size; !(math.Abs(got-rounded) <= limit) {
						t.Fatalf("%s: c[%d,%d] = %g, the rounded operands give %g within %g", what, i, j, got, rounded, limit)
					}
				}
			}
		}
	})
}

func TestBFloat16ProductsDoNotDependOnTheirRange(t *testing.T) {
	const m, n, k = 101, 75, KC + 37
	a, b := newBuffer(1, m, k, 0, 0), newBuffer(2, k, n, 0, 0)
	panels := (n + NR - 1) / NR
	onEachSet(t, func(t *testing.T) {
		scratch := make([]float32, GemmBF16Scratch())
		bp := packedBF16(t, b, k, n, false)
		want := make([]float32, m*n)
		GemmBF16(Matrix{want, n}, Matrix{a.x, k}, PanelsBF16{bp, k, n}, Area{0, m, 0, panels}, false, scratch, Ahead{})
		for rows := range 12 {
			for _, columns := range []int{1, 2, 4, 5} {
				c := newBuffer(4, m, n, 0, 0)
				for i := 0; i < m; i += rows + 1 {
					for p := 0; p < panels; p += columns {
						GemmBF16(Matrix{c.x, n}, Matrix{a.x, k}, PanelsBF16{bp, k, n}, Area{i, min(m, i+rows+1), p, min(panels, p+columns)}, false, scratch, Ahead{})
					}
				}
				if !slices.Equal(c.x, want) {
					t.Errorf("tasks of %d rows and %d panels give other bits", rows+1, columns)
				}
			}
		}
	})
}

func TestNaNAndInfinityPassThroughBFloat16Products(t *testing.T) {
	const m, n, k = 7, 20, 9
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	onEachSet(t, func(t *testing.T) {
		scratch := make([]float32, GemmBF16Scratch())
		for _, v := range []float32{nan, inf, math.Float32frombits(0x7f800001), math.MaxFloat32} {
			a, b := newBuffer(1, m, k, 0, 0), newBuffer(2, k, n, 0, 0)
			a.x[3*k+8] = v // the odd last step
			b.x[2*n+17] = v
			b.x[8*n+1] = 0
			c := make([]float32, m*n)
			GemmBF16(Matrix{c, n}, Matrix{a.x, k}, PanelsBF16{packedBF16(t, b, k, n, false), k, n}, Area{0, m, 0, 2}, false, scratch, Ahead{})
			for i := range m {
				for j := range n {
					got := c[i*n+j]
					finite := !math.IsNaN(float64(got)) && !math.IsInf(float64(got), 0)
					if (i == 3 || j == 17) == finite {
						t.Errorf("with %g at a[3,8] and b[2,17], c[%d,%d] is %g", v, i, j, got)
					}
				}
			}
			if v == inf && c[3*n+1] == c[3*n+1] {
				t.Errorf("Inf·0 is %g, want NaN", c[3*n+1])
			}
		}
	})
}

func TestSelfCheckPassesRightProductsAndNamesWrongOnes(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		if err := checkBF16(GemmBF16); err != nil {
			t.Errorf("the products of this set fail the check: %v", err)
		}
	})
	for name, spoil := range map[string]func(c []float32){
		"one element off":         func(c []float32) { c[len(c)-1] += 0x1p-10 },
		"NaN":                     func(c []float32) { c[3] = float32(math.NaN()) },
		"nothing computed":        func(c []float32) { clear(c) },
		"first and second differ": func(c []float32) { c[0], c[1] = c[1], c[0] },
	} {
		err := checkBF16(func(c, a Matrix, b PanelsBF16, at Area, acc bool, scratch []float32, ahead Ahead) {
			GemmBF16(c, a, b, at, acc, scratch, ahead)
			spoil(c.Data)
		})
		if err == nil {
			t.Errorf("%s: the check passes", name)
		}
	}
	swapped := func(c, a Matrix, b PanelsBF16, at Area, acc bool, scratch []float32, ahead Ahead) {
		for i, w := range b.Data {
			b.Data[i] = w<<16 | w>>16
		}
		GemmBF16(c, a, b, at, acc, scratch, ahead)
	}
	if checkBF16(swapped) == nil {
		t.Error("the two steps of a word swapped: the check passes")
	}
}

// BenchmarkGemmBF16 has products of GPT-2 and of decoding with it; compare with
// BenchmarkGemm of the same run.
func BenchmarkGemmBF16(b *testing.B) {
	scratch := make([]float32, GemmBF16Scratch())
	for _, s := range []struct{ m, k, n int }{
		{2048, 192, 768}, {256, 768, 768}, {1024, 768, 3072}, {1024, 3072, 768}, {1, 768, 3072}, {16, 768, 3072}, {1, 768, 50304}, {4, 768, 50304}, {16, 768, 50304},
	} {
		b.Run(fmt.Sprintf("m=%d/k=%d/n=%d", s.m, s.k, s.n), func(b *testing.B) {
			x, w := newBuffer(1, s.m, s.k, 0, 0).x, newBuffer(2, s.k, s.n, 0, 0).x
			c := make([]float32, s.m*s.n)
			bp := make([]uint32, PackedSizeBF16(s.k, s.n))
			PackBBF16(PanelsBF16{bp, s.k, s.n}, Matrix{w, s.n}, 0, s.n/NR)
			for b.Loop() {
				GemmBF16(Matrix{c, s.n}, Matrix{x, s.k}, PanelsBF16{bp, s.k, s.n}, Area{0, s.m, 0, s.n / NR}, false, scratch, Ahead{})
			}
			reportRate(b, 2*s.m*s.k*s.n)
		})
	}
}
