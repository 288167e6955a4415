package kernel

import (
	"fmt"
	"math"
	"testing"
)

// sizes are lengths on both sides of every loop of the kernels, and of the
// bound of one assembly call.
var sizes = []int{0, 1, 2, 7, 8, 9, 15, 16, 31, 32, 33, 40, 63, 65, 100, 257, chunkLen - 1, chunkLen + 9}

// vector returns n numbers in [-scale, scale), off the natural alignment and
// between canaries.
func vector(seed uint64, n int, scale float32) buffer {
	if n == 0 {
		return buffer{x: []float32{}, stride: 1, cols: 1}
	}
	b := newBuffer(seed, 1, n, 0, 1+int(seed%7))
	for i := range b.x {
		b.x[i] *= scale
	}
	return b
}

// elementwise is an operation whose outputs at i depend on its inputs at i.
type elementwise struct {
	name    string
	inputs  int
	outputs int
	scale   float32 // of the inputs
	run     func(out, in [][]float32)
	want    func(in []float64) []float64
	ulps    float64 // error allowed, in units in the last place of the result
	abs     float64 // error allowed besides
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func geluReference(x float64) float64 {
	return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

// slope is the derivative of f at x, by a central difference of fourth order.
func slope(f func(float64) float64, x float64) float64 {
	const h = 1e-3
	return (8*(f(x+h)-f(x-h)) - (f(x+2*h) - f(x-2*h))) / (12 * h)
}

var elementwiseOps = []elementwise{
	{"Add", 2, 1, 10, func(o, i [][]float32) { Add(o[0], i[0], i[1]) },
		func(x []float64) []float64 { return []float64{x[0] + x[1]} }, 0.5, 0},
	{"Mul", 2, 1, 10, func(o, i [][]float32) { Mul(o[0], i[0], i[1]) },
		func(x []float64) []float64 { return []float64{x[0] * x[1]} }, 0.5, 0},
	{"Scale", 1, 1, 10, func(o, i [][]float32) { Scale(o[0], i[0], -1.7) },
		func(x []float64) []float64 { return []float64{x[0] * float64(float32(-1.7))} }, 0.5, 0},
	{"AddScaled", 2, 1, 10, func(o, i [][]float32) { copy(o[0], i[1]); AddScaled(o[0], i[0], 0.3) },
		func(x []float64) []float64 { return []float64{x[1] + x[0]*float64(float32(0.3))} }, 0.5, 1e-6},
	{"Exp", 1, 1, 80, func(o, i [][]float32) { Exp(o[0], i[0]) },
		func(x []float64) []float64 { return []float64{math.Exp(x[0])} }, 2, 0},
	{"Log", 1, 1, 10, func(o, i [][]float32) { Exp(o[0], i[0]); Log(o[0], o[0]) },
		func(x []float64) []float64 { return []float64{x[0]} }, 1, 3e-7},
	{"Sigmoid", 1, 1, 30, func(o, i [][]float32) { Sigmoid(o[0], i[0]) },
		func(x []float64) []float64 { return []float64{logistic(x[0])} }, 4, 0},
	{"LogSigmoid", 1, 1, 30, func(o, i [][]float32) { LogSigmoid(o[0], i[0]) },
		func(x []float64) []float64 { return []float64{math.Log(logistic(x[0]))} }, 1, 1e-12},
	{"GELU", 1, 1, 6, func(o, i [][]float32) { GELU(o[0], i[0]) },
		func(x []float64) []float64 { return []float64{geluReference(x[0])} }, 8, 1e-6},
	{"GELUGrad", 2, 1, 6, func(o, i [][]float32) { GELUGrad(o[0], i[0], i[1]) },
		func(x []float64) []float64 { return []float64{x[1] * slope(geluReference, x[0])} }, 8, 4e-6},
	{"GELUExact", 1, 1, 6, func(o, i [][]float32) { GELUExact(o[0], i[0]) },
		func(x []float64) []float64 { return []float64{x[0] / 2 * (1 + math.Erf(x[0]/math.Sqrt2))} }, 1, 1e-12},
	{"GELUExactGrad", 2, 1, 6, func(o, i [][]float32) { GELUExactGrad(o[0], i[0], i[1]) },
		func(x []float64) []float64 {
			return []float64{x[1] * slope(func(z float64) float64 { return z / 2 * (1 + math.Erf(z/math.Sqrt2)) }, x[0])}
		}, 2, 1e-7},
	{"SiLUMul", 2, 1, 9, func(o, i [][]float32) { SiLUMul(o[0], i[0], i[1]) },
		func(x []float64) []float64 { return []float64{x[0] * logistic(x[0]) * x[1]} }, 8, 0},
	{"SiLUMulGrad", 3, 2, 9, func(o, i [][]float32) { SiLUMulGrad(o[0], o[1], i[0], i[1], i[2]) },
		func(x []float64) []float64 {
			silu := func(z float64) float64 { return z * logistic(z) }
			return []float64{x[2] * x[1] * slope(silu, x[0]), x[2] * silu(x[0])}
		}, 8, 4e-5},
	{"AdamW", 4, 3, 1, func(o, i [][]float32) {
		copy(o[0], i[0])
		copy(o[1], i[1])
		for j, v := range i[2] {
			o[2][j] = v * v
		}
		AdamW(o[0], i[3], o[1], o[2], 1e-2, 0.9, 0.95, 1e-8, 0.1, 0.271, 0.142625, 0.7)
	}, func(x []float64) []float64 {
		g := x[3] * 0.7
		m := 0.9*x[1] + 0.1*g
		v := 0.95*x[2]*x[2] + 0.05*g*g
		return []float64{x[0]*(1-1e-3) - 1e-2*(m/0.271)/(math.Sqrt(v/0.142625)+1e-8), m, v}
	}, 4, 1e-6},
}

// ulp is the distance of two neighbouring float32 at x.
func ulp(x float64) float64 {
	x = math.Abs(x)
	if x < 0x1p-126 {
		return 0x1p-149
	}
	return math.Ldexp(1, math.Ilogb(x)-23)
}

func TestElementwiseAgreesWithFloat64AndStaysInside(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, op := range elementwiseOps {
			for _, n := range sizes {
				in, out := operands(op, n)
				op.run(slicesOf(out), slicesOf(in))
				what := fmt.Sprintf("%s of %d", op.name, n)
				x := make([]float64, op.inputs)
				for i := range n {
					for k := range in {
						x[k] = float64(in[k].x[i])
					}
					for k, want := range op.want(x) {
						got := float64(out[k].x[i])
						if !(math.Abs(got-want) <= op.ulps*ulp(want)+op.abs) {
							t.Fatalf("%s: output %d at %d is %v, want %v (inputs %v)", what, k, i, got, want, x)
						}
					}
				}
				for _, b := range append(in, out...) {
					b.check(t, what)
				}
			}
		}
	})
}

func operands(op elementwise, n int) (in, out []buffer) {
	for k := range op.inputs {
		in = append(in, vector(uint64(3*k+1), n, op.scale))
	}
	for k := range op.outputs {
		out = append(out, vector(uint64(5*k+2), n, 1))
	}
	return in, out
}

func slicesOf(b []buffer) [][]float32 {
	s := make([][]float32, len(b))
	for i := range b {
		s[i] = b[i].x
	}
	return s
}

func TestElementwiseDoesNotDependOnTheRange(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, op := range elementwiseOps {
			const n = 167
			in, whole := operands(op, n)
			op.run(slicesOf(whole), slicesOf(in))
			for _, cut := range []int{1, 5, 8, 33, 100, n - 1} {
				_, parts := operands(op, n)
				for _, r := range [][2]int{{cut, n}, {0, cut}} {
					var i, o [][]float32
					for _, b := range in {
						i = append(i, b.x[r[0]:r[1]])
					}
					for _, b := range parts {
						o = append(o, b.x[r[0]:r[1]])
					}
					op.run(o, i)
				}
				for k := range whole {
					if !sameBits(whole[k].x, parts[k].x) {
						t.Errorf("%s: output %d differs when cut at %d", op.name, k, cut)
					}
				}
			}
		}
	})
}

func TestElementwiseInPlaceGivesTheSameBits(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, op := range elementwiseOps {
			if op.name == "AdamW" || op.name == "AddScaled" {
				continue // in place already
			}
			in, out := operands(op, 77)
			op.run(slicesOf(out), slicesOf(in))
			var over [][]float32
			for k := range out {
				over = append(over, in[k].x)
			}
			op.run(over, slicesOf(in))
			for k := range out {
				if !sameBits(over[k], out[k].x) {
					t.Errorf("%s: output %d differs when it replaces its input", op.name, k)
				}
			}
		}
	})
}

func TestExpIsWithinTwoUlpsOnItsWholeRange(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		const n = 4096
		x, y := make([]float32, n), make([]float32, n)
		worst, where := 0.0, float32(0)
		for block := range 128 {
			for i := range x {
				x[i] = -105 + 194*(float32(block)+float32(i)/n)/128
			}
			Exp(y, x)
			for i, v := range x {
				want := math.Exp(float64(v))
				if want >= math.MaxFloat32 {
					if want > math.MaxFloat32*(1+0x1p-23) && !math.IsInf(float64(y[i]), 1) {
						t.Fatalf("exp(%v) is %v, want +Inf", v, y[i])
					}
					continue
				}
				if e := math.Abs(float64(y[i])-want) / ulp(want); e > worst {
					worst, where = e, v
				}
			}
		}
		t.Logf("largest error %.3f ulp at %v", worst, where)
		if worst > 2 {
			t.Errorf("exp(%v) is wrong by %.3f ulp", where, worst)
		}
	})
}

func TestSpecialValues(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	tests := []struct {
		name string
		run  func(dst, x []float32)
		x    []float64
		want []float64
	}{
		{"Exp", Exp, []float64{0, -inf, inf, nan, -200, 200, -3e38, 3e38}, []float64{1, 0, inf, nan, 0, inf, 0, inf}},
		{"Sigmoid", Sigmoid, []float64{0, -inf, inf, nan, -200, 200}, []float64{0.5, 0, 1, nan, 0, 1}},
		{"LogSigmoid", LogSigmoid, []float64{-inf, inf, nan, -1e30, 200}, []float64{-inf, 0, nan, -1e30, 0}},
		{"GELU", GELU, []float64{0, inf, nan, -1e20, 1e20, -30}, []float64{0, inf, nan, 0, 1e20, 0}},
		{"GELUGrad", func(dst, x []float32) { fill(dst, 2); GELUGrad(dst, x, dst) },
			[]float64{0, inf, -inf, nan, -1e20, 1e20}, []float64{1, 2, 0, nan, 0, 2}},
		{"SiLUMul", func(dst, x []float32) { fill(dst, 2); SiLUMul(dst, x, dst) },
			[]float64{0, inf, nan, -200, 200}, []float64{0, inf, nan, 0, 400}},
	}
	onEachSet(t, func(t *testing.T) {
		for _, test := range tests {
			for pad := range 9 { // through the vector and the tail of the loop
				x := make([]float32, pad+len(test.x))
				dst := make([]float32, len(x))
				for i, v := range test.x {
					x[pad+i] = float32(v)
				}
				test.run(dst, x)
				for i, want := range test.want {
					got := float64(dst[pad+i])
					if math.IsNaN(want) != math.IsNaN(got) || !math.IsNaN(want) && math.Abs(got-float64(float32(want))) > 1e-34 {
						t.Errorf("%s(%v) is %v, want %v", test.name, test.x[i], got, want)
					}
				}
			}
		}
	})
}

func fill(x []float32, v float32) {
	for i := range x {
		x[i] = v
	}
}

func TestReductionsAgreeWithFloat64(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, n := range append(sizes, 3*chunkLen+5) {
			x, y := vector(1, n, 3), vector(2, n, 3)
			var sum, dot, sq, abs float64
			for i := range n {
				a, b := float64(x.x[i]), float64(y.x[i])
				sum += a
				dot += a * b
				sq += a * a
				abs += math.Abs(a) + math.Abs(a*b)
			}
			tol := abs * 1e-6
			if got := float64(Sum(x.x)); math.Abs(got-sum) > tol {
				t.Errorf("Sum of %d is %v, want %v", n, got, sum)
			}
			if got := float64(Dot(x.x, y.x)); math.Abs(got-dot) > tol {
				t.Errorf("Dot of %d is %v, want %v", n, got, dot)
			}
			if got := SumSquares(x.x); math.Abs(got-sq) > 1e-14*sq*math.Sqrt(float64(n)) {
				t.Errorf("SumSquares of %d is %v, want %v", n, got, sq)
			}
		}
		if got := SumSquares([]float32{3e38, 1, 4e-45}); got != float64(float32(3e38))*float64(float32(3e38))+1 {
			t.Errorf("SumSquares overflows: %v", got)
		}
		if !math.IsNaN(SumSquares([]float32{1, float32(math.NaN())})) || !math.IsInf(SumSquares([]float32{1, float32(math.Inf(-1))}), 1) {
			t.Error("SumSquares hides a NaN or Inf")
		}
	})
}

func TestExactKernelsGiveTheSameBitsOnEverySet(t *testing.T) {
	const n = 1003
	type result struct {
		x []float32
		s float64
	}
	var first *result
	for _, name := range Names() {
		useSet(t, name)
		var r result
		keep := func(x []float32) { r.x = append(r.x, x...) }
		for _, op := range elementwiseOps {
			switch op.name {
			case "Add", "Mul", "Scale", "AddScaled", "AdamW":
				in, out := operands(op, n)
				op.run(slicesOf(out), slicesOf(in))
				for _, b := range out {
					keep(b.x)
				}
			}
		}
		x := vector(9, n, 1)
		keep([]float32{Sum(x.x)})
		bias := vector(10, 17, 1)
		SumRows(bias.x, x.x)
		keep(bias.x)
		r.s = SumSquares(x.x)
		if first == nil {
			first = &r
		} else if !sameBits(first.x, r.x) || first.s != r.s {
			t.Errorf("%s differs from %s", name, Names()[0])
		}
	}
}

func TestSumRowsAddsRowsInOrder(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, shape := range [][2]int{{1, 1}, {5, 3}, {7, 8}, {3, 33}, {64, 70}, {300, 129}, {2, chunkLen + 7}} {
			rows, cols := shape[0], shape[1]
			x, got := vector(1, rows*cols, 1), vector(2, cols, 1)
			want := append([]float32(nil), got.x...)
			parts := append([]float32(nil), got.x...)
			for r := range rows {
				for j := range cols {
					want[j] += x.x[r*cols+j]
				}
			}
			SumRows(got.x, x.x)
			if !sameBits(got.x, want) {
				t.Errorf("SumRows [%d, %d] differs from adding row by row", rows, cols)
			}
			cut := rows / 2 * cols
			SumRows(parts, x.x[:cut])
			SumRows(parts, x.x[cut:])
			if !sameBits(parts, want) {
				t.Errorf("SumRows [%d, %d] depends on the range", rows, cols)
			}
			got.check(t, "SumRows")
		}
	})
}

// ropeTables returns the cosines and sines [maxPositions, headDim/2] of rotary
// position embedding (Su et al., arXiv 2104.09864): position p turns pair i by
// the angle p·base^(−2i/headDim).
func ropeTables(maxPositions, headDim int, base float64) (cos, sin []float32) {
	half := headDim / 2
	cos = make([]float32, maxPositions*half)
	sin = make([]float32, maxPositions*half)
	for p := range maxPositions {
		for i := range half {
			s, c := math.Sincos(float64(p) * math.Pow(base, -2*float64(i)/float64(headDim)))
			cos[p*half+i], sin[p*half+i] = float32(c), float32(s)
		}
	}
	return cos, sin
}

func TestRoPERotatesPairsByTheirPosition(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, dim := range []int{2, 6, 16, 24, 32, 64, 80, 128} {
			const heads, rows, maxPositions = 3, 4, 50
			cos, sin := ropeTables(maxPositions, dim, 10000)
			positions := []int32{0, 1, 49, 17}
			x, y := vector(1, rows*heads*dim, 2), vector(2, rows*heads*dim, 1)
			RoPE(y.x, x.x, cos, sin, positions, heads, dim)
			for r, p := range positions {
				for h := range heads {
					for i := range dim / 2 {
						angle := float64(p) * math.Pow(10000, -2*float64(i)/float64(dim))
						at := (r*heads+h)*dim + i
						a, b := float64(x.x[at]), float64(x.x[at+dim/2])
						s, c := math.Sincos(angle)
						if math.Abs(float64(y.x[at])-(a*c-b*s)) > 5e-7 || math.Abs(float64(y.x[at+dim/2])-(b*c+a*s)) > 5e-7 {
							t.Fatalf("dim %d row %d head %d pair %d: %v, %v", dim, r, h, i, y.x[at], y.x[at+dim/2])
						}
					}
				}
			}
			y.check(t, "RoPE")
			z := vector(3, rows*heads*dim, 1)
			RoPEInverse(z.x, y.x, cos, sin, positions, heads, dim)
			for i := range z.x {
				if math.Abs(float64(z.x[i]-x.x[i])) > 1e-6 {
					t.Fatalf("dim %d: the inverse gives %v for %v", dim, z.x[i], x.x[i])
				}
			}
			RoPE(x.x, x.x, cos, sin, positions, heads, dim)
			if !sameBits(x.x, y.x) {
				t.Errorf("dim %d: in place differs", dim)
			}
		}
	})
}

func TestWrongLengthsPanic(t *testing.T) {
	a, b := make([]float32, 8), make([]float32, 9)
	for name, f := range map[string]func(){
		"Add":           func() { Add(a, a, b) },
		"SumRows":       func() { SumRows(a, b) },
		"LayerNorm":     func() { LayerNorm(b, a[:1], a[:1], b, a, a, 1e-5) },
		"RoPE odd":      func() { RoPE(b, b, a, a, []int32{0}, 3, 3) },
		"RoPE position": func() { RoPE(a, a, a, a, []int32{2}, 1, 8) },
		"temperature":   func() { LogProbRow(a, 0, 0) },
		"target":        func() { CrossEntropyRow(a, 8) },
		"window":        func() { Attention{HeadDim: 1, KVHeads: 1, Window: 3}.Forward(nil, nil, nil, nil, nil, nil, 0, 0, nil) },
		"heads":         func() { Attention{HeadDim: 1, Heads: 3, KVHeads: 2}.Forward(nil, nil, nil, nil, nil, nil, 0, 0, nil) },
		"cache": func() {
			CachedAttention{Heads: 1, KVHeads: 1, HeadDim: 8, MaxPositions: 4}.Forward(a, a, nil, nil, 4, 0, nil)
		},
		"short cache": func() {
			at := CachedAttention{Heads: 1, KVHeads: 1, HeadDim: 8, MaxPositions: 4}
			at.Forward(a, a, a, a, 1, 0, make([]float32, at.Scratch()))
		},
		"short keys": func() {
			at := Attention{Batch: 1, Positions: 1, Heads: 1, KVHeads: 1, HeadDim: 8}
			at.Forward(a, a, a, a[:7], a, nil, 0, 0, make([]float32, at.ForwardScratch()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("did not panic")
				}
			}()
			f()
		})
	}
}

func BenchmarkVector(b *testing.B) {
	const n = 1 << 15
	x := make([][]float32, 5)
	for i := range x {
		x[i] = vector(uint64(i), n, 2).x
	}
	for _, name := range Names() {
		for _, op := range elementwiseOps {
			if op.outputs+op.inputs > len(x) && op.name != "AdamW" {
				continue
			}
			b.Run(fmt.Sprintf("%s/%s", op.name, name), func(b *testing.B) {
				useSet(b, name)
				out := x[len(x)-op.outputs%len(x):]
				if op.name == "AdamW" {
					b.SetBytes(n * 28)
					for b.Loop() {
						AdamW(x[0], x[1], x[2], x[3], 1e-3, 0.9, 0.95, 1e-8, 0.1, 0.5, 0.5, 1)
					}
					return
				}
				b.SetBytes(int64(n * 4 * (op.inputs + op.outputs)))
				for b.Loop() {
					op.run(out, x[:op.inputs])
				}
			})
		}
	}
}
