package kernel

import (
	"fmt"
	"math"
	"testing"
)

// specials are what a diverging run feeds to every kernel.
var specials = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}

// kindOf tells numbers apart that are not finite.
func kindOf(x float64) string {
	switch {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 1):
		return "+Inf"
	case math.IsInf(x, -1):
		return "-Inf"
	}
	return "finite"
}

// otherAtInfinity are the inputs by which an operation's expectation is not to be
// taken at infinity: it is a difference of function values there, or, for AdamW's
// first moment, β1·m + (1 − β1)·g in place of m + (g − m)·(1 − β1).
var otherAtInfinity = map[string]int{"GELUGrad": 0, "GELUExactGrad": 0, "SiLUMulGrad": 0, "AdamW": 1}

func TestElementwiseTakesNaNAndInfinityAsItsFormulaDoesAndKeepsThemToTheirPlace(t *testing.T) {
	const n = 45
	onEachSet(t, func(t *testing.T) {
		for _, op := range elementwiseOps {
			_, clean := operands(op, n)
			in, _ := operands(op, n)
			op.run(slicesOf(clean), slicesOf(in))
			for k := range op.inputs {
				for _, v := range specials {
					if other, ok := otherAtInfinity[op.name]; ok && other == k && v == v {
						continue
					}
					for _, at := range []int{0, 7, 21, n - 1} { // in vectors and in the tail
						in, out := operands(op, n)
						in[k].x[at] = v
						op.run(slicesOf(out), slicesOf(in))
						x := make([]float64, op.inputs)
						for j := range in {
							x[j] = float64(in[j].x[at])
						}
						for o, want := range op.want(x) {
							if got := float64(out[o].x[at]); kindOf(got) != kindOf(want) {
								t.Errorf("%s: output %d at %d is %g, want %g (inputs %v)", op.name, o, at, got, want, x)
							}
							out[o].x[at] = clean[o].x[at]
							if !sameBits(out[o].x, clean[o].x) {
								t.Errorf("%s: %g in input %d at %d changes output %d elsewhere", op.name, v, k, at, o)
							}
						}
					}
				}
			}
		}
	})
}

func TestReductionsCarryNaNAndInfinity(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, n := range []int{1, 5, 33, 100, chunkLen + 9} {
			for _, v := range specials {
				for _, at := range []int{0, n / 2, n - 1} {
					x, ones := make([]float32, n), make([]float32, n)
					fill(ones, 1)
					fill(x, 1)
					x[at] = v
					what := fmt.Sprintf("%g at %d of %d", v, at, n)
					for name, got := range map[string]float64{
						"Sum": float64(Sum(x)), "Dot": float64(Dot(x, ones)), "Dot, the other": float64(Dot(ones, x)),
					} {
						if kindOf(got) != kindOf(float64(v)) {
							t.Errorf("%s: %s is %g", what, name, got)
						}
					}
					if got := SumSquares(x); kindOf(got) != kindOf(math.Abs(float64(v))) {
						t.Errorf("%s: SumSquares is %g", what, got)
					}
					sums := make([]float32, n)
					SumRows(sums, append(ones, x...))
					for i, got := range sums {
						if i == at && kindOf(float64(got)) != kindOf(float64(v)) || i != at && got != 2 {
							t.Errorf("%s: SumRows gives %g at %d", what, got, i)
						}
					}
				}
			}
		}
	})
}

// A number that is not finite spoils its row of a norm and of its gradient, and
// of what is added up over the rows its column or, through the row's
// statistics, all of it; never another row.
func TestNormsCarryNaNAndInfinityWithinTheirRow(t *testing.T) {
	const rows, d, row = 3, 45, 1
	onEachSet(t, func(t *testing.T) {
		for _, v := range specials {
			for _, at := range []int{0, 13, d - 1} {
				for _, inGradient := range []bool{false, true} {
					x, dy, gamma := vector(1, rows*d, 1).x, vector(2, rows*d, 1).x, vector(3, d, 1).x
					y, mean, rstd := make([]float32, rows*d), make([]float32, rows), make([]float32, rows)
					dx, dgamma, dbeta := make([]float32, rows*d), make([]float32, d), make([]float32, d)
					if inGradient {
						dy[row*d+at] = v
					} else {
						x[row*d+at] = v
					}
					what := fmt.Sprintf("%g at %d, in the gradient %v", v, at, inGradient)
					check := func(name string, spoiled []float32) {
						t.Helper()
						bad := 0
						for i, got := range spoiled {
							finite := kindOf(float64(got)) == "finite"
							if !finite && i/d != row {
								t.Errorf("%s: %s is %g in row %d", what, name, got, i/d)
							}
							if !finite {
								bad++
							}
						}
						if bad == 0 {
							t.Errorf("%s: %s is finite everywhere", what, name)
						}
					}
					column := func(name string, sum []float32) {
						t.Helper()
						if kindOf(float64(sum[at])) == "finite" {
							t.Errorf("%s: %s is %g there", what, name, sum[at])
						}
					}
					LayerNorm(y, mean, rstd, x, gamma, gamma, 1e-5)
					LayerNormGrad(dx, dgamma, dbeta, dy, x, mean, rstd, gamma)
					if !inGradient {
						check("LayerNorm", y)
					} else {
						column("LayerNormGrad's dbeta", dbeta)
					}
					check("LayerNormGrad", dx)
					column("LayerNormGrad's dgamma", dgamma)
					clear(dgamma)
					RMSNorm(y, rstd, x, gamma, 1e-5)
					RMSNormGrad(dx, dgamma, dy, x, rstd, gamma)
					if !inGradient {
						check("RMSNorm", y)
					}
					check("RMSNormGrad", dx)
					column("RMSNormGrad's dgamma", dgamma)
				}
			}
		}
	})
}

func TestGradientsOfLogitRowsCarryNaN(t *testing.T) {
	nan := float32(math.NaN())
	onEachSet(t, func(t *testing.T) {
		for _, n := range []int{2, 8, 33, 75} {
			for name, gradient := range map[string]func(row []float32, lse, scale float32){
				"CrossEntropyGradRow": func(row []float32, lse, scale float32) { CrossEntropyGradRow(row, 1, lse, scale) },
				"LogProbGradRow":      func(row []float32, lse, scale float32) { LogProbGradRow(row, 1, lse, .7, scale) },
			} {
				for what, c := range map[string]struct{ logit, lse, scale float32 }{
					"a logit": {nan, 2, 1}, "the log-sum-exp": {1, nan, 1}, "the scale": {1, 2, nan},
				} {
					row := vector(3, n, 1).x
					row[n-1] = c.logit
					gradient(row, c.lse, c.scale)
					for i, got := range row {
						if want := what != "a logit" || i == n-1; want != (got != got) {
							t.Errorf("%s of %d, NaN in %s: element %d is %g", name, n, what, i, got)
						}
					}
				}
			}
		}
	})
}

func TestRoPECarriesNaNAndInfinityToTheirPair(t *testing.T) {
	const heads, dim = 2, 24
	cos, sin := ropeTables(8, dim, 10000)
	onEachSet(t, func(t *testing.T) {
		for _, rotate := range []func(dst, x, cos, sin []float32, positions []int32, heads, headDim int){RoPE, RoPEInverse} {
			for _, v := range specials {
				for at := range 2 * heads * dim {
					x, y := vector(1, 2*heads*dim, 1).x, make([]float32, 2*heads*dim)
					x[at] = v
					rotate(y, x, cos, sin, []int32{3, 5}, heads, dim)
					for i, got := range y {
						pair := i == at || i/dim == at/dim && (i-at == dim/2 || at-i == dim/2)
						if pair == (kindOf(float64(got)) == "finite") {
							t.Errorf("%g at %d: element %d is %g", v, at, i, got)
						}
					}
				}
			}
		}
	})
}

func TestAttentionGradientsCarryNaNToWhatReadsIt(t *testing.T) {
	const n, dim, at = 100, 16, 60
	c := attentionCase{Attention: Attention{Batch: 1, Positions: n, Heads: 1, KVHeads: 1, HeadDim: dim, Causal: true, Scale: 0.3}}
	onEachSet(t, func(t *testing.T) {
		for name, of := range map[string]func(x attentionTensors) buffer{
			"q": func(x attentionTensors) buffer { return x.q }, "k": func(x attentionTensors) buffer { return x.k },
			"v": func(x attentionTensors) buffer { return x.v }, "do": func(x attentionTensors) buffer { return x.do },
		} {
			x := c.tensors()
			of(x).x[at*dim+3] = float32(math.NaN())
			c.run(t, x)
			nan := func(b buffer, i int) bool { return b.x[i*dim+3] != b.x[i*dim+3] }
			// A query is spoiled by its own q and do, and by every k and v that it
			// sees; a key by what the queries that see it have.
			if name == "q" || name == "do" {
				if !nan(x.dq, at) || !nan(x.dk, 0) || nan(x.dk, at+6) || nan(x.dq, at-6) || nan(x.dq, at+6) {
					t.Errorf("NaN in %s at %d: dq, dk carry it wrongly", name, at)
				}
			} else if !nan(x.dq, n-1) || nan(x.dq, at-6) || name == "k" && !nan(x.dk, 0) {
				t.Errorf("NaN in %s at %d: dq, dk carry it wrongly", name, at)
			}
		}
	})
}
