package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// canary is a NaN that no kernel produces: its payload is ours.
var canary = math.Float32frombits(0x7fc0a1a1)

// buffer is a matrix [rows, cols] with a stride, between canaries and off the
// natural alignment.
type buffer struct {
	all    []float32
	x      []float32
	offset int
	stride int
	cols   int
}

// newBuffer fills a matrix from a seed with numbers in [-1, 1).
func newBuffer(seed uint64, rows, cols, gap, offset int) buffer {
	stride := cols + gap
	size := (rows-1)*stride + cols
	b := buffer{all: make([]float32, size+offset+17), offset: offset, stride: stride, cols: cols}
	for i := range b.all {
		b.all[i] = canary
	}
	b.x = b.all[offset : offset+size : offset+size]
	for i := range rows {
		for j := range cols {
			b.x[i*stride+j] = uniform(seed, uint64(i*cols+j))
		}
	}
	return b
}

// check fails if anything beside the matrix changed.
func (b buffer) check(t *testing.T, what string) {
	t.Helper()
	for i, v := range b.all {
		at := i - b.offset
		inside := at >= 0 && at < len(b.x) && at%b.stride < b.cols
		if !inside && math.Float32bits(v) != math.Float32bits(canary) {
			t.Fatalf("%s: float %d beside the matrix was overwritten", what, at)
		}
	}
}

// uniform is the i-th number of a stream, in [-1, 1).
func uniform(seed, i uint64) float32 {
	z := seed*0x9e3779b97f4a7c15 + i*0xd1342543de82ef95 + 0x632be59bd9b4e019
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return float32(int64(z>>40)-1<<23) / (1 << 23)
}

// packed packs b and returns it with its panels between canaries checked.
func packed(t *testing.T, b buffer, k, n int) []float32 {
	t.Helper()
	size := PackedSize(k, n)
	all := make([]float32, size+9)
	for i := range all {
		all[i] = canary
	}
	PackB(Panels{all[5 : 5+size], k, n}, Matrix{b.x, b.stride}, 0, (n+NR-1)/NR)
	for i, v := range all {
		if (i < 5 || i >= 5+size) && math.Float32bits(v) != math.Float32bits(canary) {
			t.Fatalf("PackB wrote float %d of %d", i-5, size)
		}
	}
	return all[5 : 5+size]
}

func transposed(b buffer, rows, cols int) buffer {
	out := newBuffer(0, cols, rows, 2, 3)
	for i := range rows {
		for j := range cols {
			out.x[j*out.stride+i] = b.x[i*b.stride+j]
		}
	}
	return out
}

// checkClose compares c with the float64 product, plus before if acc, within
// the rounding that any order of float32 operations stays below.
func checkClose(t *testing.T, what string, c, before, a, b buffer, k, n, m int, acc bool) {
	t.Helper()
	for i := range m {
		for j := range n {
			var sum, size float64
			for kk := range k {
				p := float64(a.x[i*a.stride+kk]) * float64(b.x[kk*b.stride+j])
				sum += p
				size += math.Abs(p)
			}
			if acc {
				v := float64(before.x[i*before.stride+j])
				sum += v
				size += math.Abs(v)
			}
			got := float64(c.x[i*c.stride+j])
			if limit := float64(k+2) * 0x1p-23 * size; !(math.Abs(got-sum) <= limit) {
				t.Fatalf("%s: c[%d,%d] = %g, want %g within %g", what, i, j, got, sum, limit)
			}
		}
	}
}

func TestProductsAgreeWithFloat64OnOddShapes(t *testing.T) {
	type shape struct{ m, n, k int }
	var shapes []shape
	for m := 1; m <= 40; m++ {
		for _, n := range []int{1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 40} {
			for _, k := range []int{1, 2, 3, 4, 5, 7, 8, 9, 16, 19, 40} {
				shapes = append(shapes, shape{m, n, k})
			}
		}
	}
	for n := 1; n <= 40; n++ {
		for k := 1; k <= 40; k++ {
			shapes = append(shapes, shape{5, n, k})
		}
	}
	shapes = append(shapes,
		shape{1, 5, KC - 1}, shape{3, 18, KC}, shape{7, 33, KC + 1}, shape{13, 17, 3*KC + 5},
		shape{rowBlock - 1, 20, 30}, shape{rowBlock, 16, KC + 3}, shape{rowBlock + 1, 9, 2*KC + 2},
		shape{2*rowBlock + 5, 35, KC + 9})
	onEachSet(t, func(t *testing.T) {
		scratch := make([]float32, GemmATScratch())
		for x, s := range fewer(shapes) {
			seed := uint64(x)
			panels := (s.n + NR - 1) / NR
			a := newBuffer(seed, s.m, s.k, x%4, x%5)
			b := newBuffer(seed+1000, s.k, s.n, x%3, x%7)
			at := transposed(a, s.m, s.k)
			bp := packed(t, b, s.k, s.n)
			for _, acc := range []bool{false, true} {
				what := fmt.Sprintf("m %d n %d k %d acc %t", s.m, s.n, s.k, acc)
				before := newBuffer(seed+2000, s.m, s.n, x%5, x%6)
				c := newBuffer(seed+2000, s.m, s.n, x%5, x%6)
				Gemm(Matrix{c.x, c.stride}, Matrix{a.x, a.stride}, Panels{bp, s.k, s.n}, Area{0, s.m, 0, panels}, acc, Ahead{})
				checkClose(t, "Gemm "+what, c, before, a, b, s.k, s.n, s.m, acc)
				c.check(t, "Gemm "+what)
				d := newBuffer(seed+2000, s.m, s.n, x%5, x%6)
				GemmAT(Matrix{d.x, d.stride}, Matrix{at.x, at.stride}, Panels{bp, s.k, s.n}, Area{0, s.m, 0, panels}, acc, scratch, nil)
				if !sameBits(c.all, d.all) {
					t.Fatalf("GemmAT %s differs from Gemm of the transposed matrix", what)
				}
			}
		}
	})
}

// fewer leaves one case in eleven to a short test: enough for a look, and for an
// emulated processor.
func fewer[T any](cases []T) []T {
	if !testing.Short() {
		return cases
	}
	var some []T
	for i := 0; i < len(cases); i += 11 {
		some = append(some, cases[i])
	}
	return some
}

func sameBits(x, y []float32) bool {
	return slices.EqualFunc(x, y, func(u, v float32) bool {
		return math.Float32bits(u) == math.Float32bits(v)
	})
}

// fma32 is the fused multiply-add of float32. The product is exact in float64;
// the sum is rounded to odd there, so that the second rounding is right.
func fma32(a, b, c float32) float32 {
	p, z := float64(a)*float64(b), float64(c)
	s := p + z
	back := s - p
	if lost := (p - (s - back)) + (z - back); lost != 0 && math.Float64bits(s)&1 == 0 {
		s = math.Nextafter(s, math.Copysign(math.Inf(1), lost))
	}
	return float32(s)
}

func TestElementIsOneChainPerBlockAddedInOrder(t *testing.T) {
	const m, n, k = 11, 21, 2*KC + 37
	a, b := newBuffer(1, m, k, 0, 0), newBuffer(2, k, n, 0, 0)
	bp := packed(t, b, k, n)
	onEachSet(t, func(t *testing.T) {
		step := fma32
		if Name() == "portable" {
			step = func(a, b, c float32) float32 { return c + float32(a*b) }
		}
		for _, acc := range []bool{false, true} {
			c := newBuffer(3, m, n, 0, 0)
			want := newBuffer(3, m, n, 0, 0)
			for i := range m {
				for j := range n {
					sum := want.x[i*n+j]
					for k0 := 0; k0 < k; k0 += KC {
						var block float32
						for kk := k0; kk < min(k, k0+KC); kk++ {
							block = step(a.x[i*k+kk], b.x[kk*n+j], block)
						}
						if k0 == 0 && !acc {
							sum = block
						} else {
							sum += block
						}
					}
					want.x[i*n+j] = sum
				}
			}
			Gemm(Matrix{c.x, n}, Matrix{a.x, k}, Panels{bp, k, n}, Area{0, m, 0, 2}, acc, Ahead{})
			if !sameBits(c.x, want.x) {
				t.Errorf("acc %t: Gemm's bits are not those of the documented order", acc)
			}
		}
	})
}

func TestResultDoesNotDependOnTheRange(t *testing.T) {
	const m, n, k = 2*rowBlock + 41, 4*NR + 5, KC + 44
	a, b := newBuffer(1, m, k, 1, 1), newBuffer(2, k, n, 0, 0)
	at := transposed(a, m, k)
	bp := packed(t, b, k, n)
	onEachSet(t, func(t *testing.T) {
		scratch := make([]float32, GemmATScratch())
		whole := newBuffer(3, m, n, 2, 0)
		Gemm(Matrix{whole.x, whole.stride}, Matrix{a.x, a.stride}, Panels{bp, k, n}, Area{0, m, 0, 5}, true, Ahead{})
		for _, rows := range []int{1, 2, 3, 5, 6, 7, 11, 40, rowBlock, m} {
			for _, panels := range []int{1, 2, 5} {
				c, d := newBuffer(3, m, n, 2, 0), newBuffer(3, m, n, 2, 0)
				for i := 0; i < m; i += rows {
					for p := 0; p < 5; p += panels {
						i1, p1 := min(m, i+rows), min(5, p+panels)
						Gemm(Matrix{c.x, c.stride}, Matrix{a.x, a.stride}, Panels{bp, k, n}, Area{i, i1, p, p1}, true, Ahead{})
						if rows >= 40 {
							GemmAT(Matrix{d.x, d.stride}, Matrix{at.x, at.stride}, Panels{bp, k, n}, Area{i, i1, p, p1}, true, scratch, nil)
						}
					}
				}
				if !sameBits(c.all, whole.all) {
					t.Errorf("Gemm in %d rows × %d panels differs", rows, panels)
				}
				if rows >= 40 && !sameBits(d.all, whole.all) {
					t.Errorf("GemmAT in %d rows × %d panels differs", rows, panels)
				}
			}
		}
	})
}

// What a product fetches may be shorter than it asks for, or lie anywhere.
func TestFetchingChangesNoBit(t *testing.T) {
	const m, n, k = 2*rowBlock + 41, 4*NR + 5, KC + 44
	a, b := newBuffer(1, m, k, 1, 1), newBuffer(2, k, n, 0, 0)
	bp, words := packed(t, b, k, n), packedBF16(t, b, k, n, false)
	onEachSet(t, func(t *testing.T) {
		want, wantBF16 := newBuffer(3, m, n, 2, 0), newBuffer(3, m, n, 2, 0)
		scratch := make([]float32, GemmBF16Scratch())
		Gemm(Matrix{want.x, want.stride}, Matrix{a.x, a.stride}, Panels{bp, k, n}, Area{0, m, 0, 5}, true, Ahead{})
		GemmBF16(Matrix{wantBF16.x, want.stride}, Matrix{a.x, a.stride}, PanelsBF16{words, k, n}, Area{0, m, 0, 5}, true, scratch, Ahead{})
		fetches := []Fetch{
			{},
			FetchRows(b.x, n, k, k),
			FetchColumns(b.x[len(b.x)-1:], k),
			{make([]float32, 1), 0, 1 << 30, 1 << 20},
			{[]float32{}, 1, 1, 1},
		}
		for i, x := range fetches {
			for j, y := range fetches {
				c := newBuffer(3, m, n, 2, 0)
				Gemm(Matrix{c.x, c.stride}, Matrix{a.x, a.stride}, Panels{bp, k, n}, Area{0, m, 0, 5}, true, Ahead{x, y})
				if !sameBits(c.all, want.all) {
					t.Errorf("fetching %d and %d changes the product", i, j)
				}
				c = newBuffer(3, m, n, 2, 0)
				GemmBF16(Matrix{c.x, c.stride}, Matrix{a.x, a.stride}, PanelsBF16{words, k, n}, Area{0, m, 0, 5}, true, scratch, Ahead{x, y})
				if !sameBits(c.all, wantBF16.all) {
					t.Errorf("fetching %d and %d changes the product in bfloat16", i, j)
				}
			}
		}
	})
}

// A matrix is fetched whole, each of its lines of 16 floats once.
func TestAFetchNamesEachLineOnce(t *testing.T) {
	const panels, stride = 3, 1000
	for _, kc := range []int{KC, 128, 64, 16} {
		rows, columns := FetchRows(make([]float32, stride*kc), stride, kc, kc), FetchColumns(make([]float32, stride*panels*NR), stride)
		for _, test := range []struct {
			name string
			Fetch
			rows, columns int
		}{{"rows", rows, kc, panels * NR}, {"columns", columns, panels * NR, kc}} {
			times := map[int]int{}
			for j := range panels {
				for s := range rowStrips {
					for line := range kc / rowStrips {
						times[j*test.Panel+s*test.Strip+line*test.Line]++
					}
				}
			}
			for r := range test.rows {
				for c := 0; c < test.columns; c += NR {
					if n := times[r*stride+c]; n != 1 {
						t.Fatalf("%s, %d steps: the line at row %d, column %d is fetched %d times", test.name, kc, r, c, n)
					}
				}
			}
			if want := test.rows * test.columns / NR; len(times) != want {
				t.Errorf("%s, %d steps: %d lines are fetched, want %d", test.name, kc, len(times), want)
			}
		}
	}
}

func TestRowDoesNotDependOnTheOtherRows(t *testing.T) {
	const n, k = 2*NR + 3, KC + 31
	b := newBuffer(2, k, n, 0, 0)
	bp := packed(t, b, k, n)
	onEachSet(t, func(t *testing.T) {
		row := newBuffer(7, 1, k, 0, 0)
		want := make([]float32, n)
		Gemm(Matrix{want, n}, Matrix{row.x, k}, Panels{bp, k, n}, Area{0, 1, 0, 3}, false, Ahead{})
		for _, m := range []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 40, 61, rowBlock + 3} {
			for _, fill := range []float32{0.5, float32(math.NaN()), float32(math.Inf(1))} {
				a := newBuffer(1, m, k, 0, 0)
				for i := range a.x {
					a.x[i] = fill
				}
				for _, at := range []int{0, m / 2, m - 1} {
					a := slices.Clone(a.x)
					copy(a[at*k:], row.x)
					c := make([]float32, m*n)
					Gemm(Matrix{c, n}, Matrix{a, k}, Panels{bp, k, n}, Area{0, m, 0, 3}, false, Ahead{})
					if !sameBits(c[at*n:at*n+n], want) {
						t.Fatalf("row %d of %d beside rows of %g differs from the row alone", at, m, fill)
					}
				}
			}
		}
	})
}

func TestNaNAndInfinityPropagateEvenTimesZero(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	tests := []struct {
		name       string
		a, b, want float32
	}{
		{"zero times infinity", 0, inf, nan},
		{"infinity times zero", inf, 0, nan},
		{"NaN times zero", nan, 0, nan},
		{"zero times NaN", 0, nan, nan},
		{"infinity times two", inf, 2, inf},
		{"minus two times infinity", -2, inf, -inf},
		{"overflow", 3e38, 10, inf},
	}
	onEachSet(t, func(t *testing.T) {
		for _, test := range tests {
			for _, m := range []int{1, 2, 3, 4, 5, 6, 9, 50} {
				for _, k := range []int{1, 7, KC + 2} {
					const n = NR + 3
					for _, j := range []int{0, 9, n - 1} {
						a, b, c := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
						for i := range a {
							a[i] = 1
						}
						i, kk := m-1, k-1
						a[i*k+kk], b[kk*n+j] = test.a, test.b
						bp := make([]float32, PackedSize(k, n))
						PackB(Panels{bp, k, n}, Matrix{b, n}, 0, 2)
						Gemm(Matrix{c, n}, Matrix{a, k}, Panels{bp, k, n}, Area{0, m, 0, 2}, true, Ahead{})
						got := c[i*n+j]
						if got != test.want && !(got != got && test.want != test.want) {
							t.Errorf("%s, m %d k %d column %d: got %g, want %g", test.name, m, k, j, got, test.want)
						}
						if test.a == test.a && !math.IsInf(float64(test.a), 0) && m > 1 && !math.IsInf(float64(test.b), 0) && test.b == test.b && c[j] != test.b {
							t.Errorf("%s: row 0 has %g, want %g", test.name, c[j], test.b)
						}
					}
				}
			}
		}
	})
}

func TestProductOverNothing(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		scratch := make([]float32, GemmATScratch())
		c := []float32{1, 2, 3, 4, 5, 6}
		Gemm(Matrix{c, 3}, Matrix{nil, 0}, Panels{nil, 0, 2}, Area{0, 2, 0, 1}, true, Ahead{})
		if !slices.Equal(c, []float32{1, 2, 3, 4, 5, 6}) {
			t.Errorf("k = 0 with acc changed C to %v", c)
		}
		Gemm(Matrix{c, 3}, Matrix{nil, 0}, Panels{nil, 0, 2}, Area{1, 2, 0, 1}, false, Ahead{})
		if !slices.Equal(c, []float32{1, 2, 3, 0, 0, 6}) {
			t.Errorf("k = 0 gave %v", c)
		}
		GemmAT(Matrix{c, 3}, Matrix{nil, 2}, Panels{nil, 0, 2}, Area{0, 1, 0, 1}, false, scratch, nil)
		if !slices.Equal(c, []float32{0, 0, 3, 0, 0, 6}) {
			t.Errorf("GemmAT with k = 0 gave %v", c)
		}
		Gemm(Matrix{nil, 0}, Matrix{nil, 0}, Panels{nil, 5, 7}, Area{3, 3, 0, 1}, false, Ahead{})
		Gemm(Matrix{nil, 0}, Matrix{nil, 0}, Panels{nil, 5, 7}, Area{0, 3, 1, 1}, false, Ahead{})
		PackB(Panels{nil, 0, 0}, Matrix{nil, 0}, 0, 0)
		PackBT(Panels{nil, 0, 20}, Matrix{nil, 0}, 0, 2)
	})
}

func TestShortSlicesPanic(t *testing.T) {
	const m, n, k = 7, 20, 9
	x := func(size int) []float32 { return make([]float32, size) }
	full := PackedSize(k, n)
	scratch := x(GemmATScratch())
	tests := map[string]func(){
		"Gemm c": func() {
			Gemm(Matrix{x(m*n - 1), n}, Matrix{x(m * k), k}, Panels{x(full), k, n}, Area{0, m, 0, 2}, false, Ahead{})
		},
		"Gemm a": func() {
			Gemm(Matrix{x(m * n), n}, Matrix{x(m*k - 1), k}, Panels{x(full), k, n}, Area{0, m, 0, 2}, false, Ahead{})
		},
		"Gemm bp": func() {
			Gemm(Matrix{x(m * n), n}, Matrix{x(m * k), k}, Panels{x(full - 1), k, n}, Area{0, m, 0, 2}, false, Ahead{})
		},
		"Gemm ldc": func() {
			Gemm(Matrix{x(m * n), n - 1}, Matrix{x(m * k), k}, Panels{x(full), k, n}, Area{0, m, 0, 2}, false, Ahead{})
		},
		"Gemm lda": func() {
			Gemm(Matrix{x(m * n), n}, Matrix{x(m * k), k - 1}, Panels{x(full), k, n}, Area{0, m, 0, 2}, false, Ahead{})
		},
		"Gemm panels": func() {
			Gemm(Matrix{x(9 * m * n), n}, Matrix{x(m * k), k}, Panels{x(9 * full), k, n}, Area{0, m, 0, 3}, false, Ahead{})
		},
		"Gemm rows": func() {
			Gemm(Matrix{x(m * n), n}, Matrix{x(m * k), k}, Panels{x(full), k, n}, Area{-1, m, 0, 2}, false, Ahead{})
		},
		"GemmAT a": func() {
			GemmAT(Matrix{x(m * n), n}, Matrix{x(m*k - 1), m}, Panels{x(full), k, n}, Area{0, m, 0, 2}, false, scratch, nil)
		},
		"GemmAT scratch": func() {
			GemmAT(Matrix{x(m * n), n}, Matrix{x(m * k), m}, Panels{x(full), k, n}, Area{0, m, 0, 2}, false, scratch[1:], nil)
		},
		"PackB b":         func() { PackB(Panels{x(full), k, n}, Matrix{x(k*n - 1), n}, 0, 2) },
		"PackB dst":       func() { PackB(Panels{x(full - 1), k, n}, Matrix{x(k * n), n}, 0, 2) },
		"PackBT b":        func() { PackBT(Panels{x(full), k, n}, Matrix{x(k*n - 1), k}, 0, 2) },
		"PackBT dst":      func() { PackBT(Panels{x(full - 1), k, n}, Matrix{x(k * n), k}, 0, 2) },
		"PackBT panels":   func() { PackBT(Panels{x(9 * full), k, n}, Matrix{x(k * n), k}, 0, 3) },
		"PackB backwards": func() { PackB(Panels{x(full), k, n}, Matrix{x(k * n), n}, 1, 0) },
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func TestPackingKeepsEveryElementAndPadsWithZeros(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for k := 1; k <= 150; k += 1 + k/20 {
			for n := 1; n <= 40; n++ {
				b := newBuffer(uint64(k*100+n), k, n, n%3, k%5)
				bt := transposed(b, k, n)
				size := PackedSize(k, n)
				panels := size / (k * NR)
				one := newBuffer(9, 1, size, 0, k%3)
				two := newBuffer(9, 1, size, 0, k%3)
				for p := range panels {
					PackB(Panels{one.x, k, n}, Matrix{b.x, b.stride}, p, p+1)
				}
				PackBT(Panels{two.x, k, n}, Matrix{bt.x, bt.stride}, 0, panels)
				one.check(t, "PackB")
				two.check(t, "PackBT")
				for p := range panels {
					for kk := range k {
						for j := range NR {
							var want float32
							if p*NR+j < n {
								want = b.x[kk*b.stride+p*NR+j]
							}
							at := (p*k+kk)*NR + j
							if one.x[at] != want || two.x[at] != want {
								t.Fatalf("k %d n %d: panel %d row %d column %d: PackB %g, PackBT %g, want %g",
									k, n, p, kk, j, one.x[at], two.x[at], want)
							}
						}
					}
				}
			}
		}
	})
}

func TestProductsAllocateNothing(t *testing.T) {
	const m, n, k = 50, 21, 40
	a, b, c, bp := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n), make([]float32, PackedSize(k, n))
	scratch := make([]float32, GemmATScratch())
	onEachSet(t, func(t *testing.T) {
		allocs := testing.AllocsPerRun(5, func() {
			PackB(Panels{bp, k, n}, Matrix{b, n}, 0, 2)
			PackBT(Panels{bp, k, n}, Matrix{b, k}, 0, 2)
			Gemm(Matrix{c, n}, Matrix{a, k}, Panels{bp, k, n}, Area{0, m, 0, 2}, false, Ahead{})
			GemmAT(Matrix{c, n}, Matrix{a, m}, Panels{bp, k, n}, Area{0, m, 0, 2}, true, scratch, nil)
		})
		if allocs != 0 {
			t.Errorf("%g allocations", allocs)
		}
	})
}
