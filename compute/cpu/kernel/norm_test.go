package kernel

import (
	"fmt"
	"math"
	"testing"
)

var normDims = []int{1, 3, 8, 17, 32, 45, 192, 257, 768}

// normReference computes LayerNorm, or RMSNorm when rms, of one row.
func normReference(x, gamma, beta []float64, eps float64, rms bool) (y []float64, mean, rstd float64) {
	d := float64(len(x))
	if !rms {
		for _, v := range x {
			mean += v / d
		}
	}
	var variance float64
	for _, v := range x {
		variance += (v - mean) * (v - mean) / d
	}
	rstd = 1 / math.Sqrt(variance+eps)
	y = make([]float64, len(x))
	for i, v := range x {
		y[i] = (v - mean) * rstd * gamma[i]
		if beta != nil {
			y[i] += beta[i]
		}
	}
	return y, mean, rstd
}

func doubles(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func checkNear(t *testing.T, what string, got []float32, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if !(math.Abs(float64(got[i])-w) <= tol*(1+math.Abs(w))) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], w)
		}
	}
}

func TestNormsAgreeWithFloat64(t *testing.T) {
	const rows, eps = 3, 1e-5
	onEachSet(t, func(t *testing.T) {
		for _, d := range normDims {
			x, gamma, beta := vector(1, rows*d, 3), vector(2, d, 2), vector(3, d, 2)
			y, mean, rstd := vector(4, rows*d, 1), vector(5, rows, 1), vector(6, rows, 1)
			for i := range x.x {
				x.x[i] += 4
			}
			for _, rms := range []bool{false, true} {
				what := fmt.Sprintf("dim %d, rms %v", d, rms)
				if rms {
					RMSNorm(y.x, rstd.x, x.x, gamma.x, eps)
				} else {
					LayerNorm(y.x, mean.x, rstd.x, x.x, gamma.x, beta.x, eps)
				}
				b := doubles(beta.x)
				if rms {
					b = nil
				}
				for r := range rows {
					want, m, rs := normReference(doubles(x.x[r*d:(r+1)*d]), doubles(gamma.x), b, eps, rms)
					// A row of one element divides 0 by √eps: rounding
					// of the mean is magnified by it.
					checkNear(t, what, y.x[r*d:(r+1)*d], want, 2e-5)
					checkNear(t, what+" rstd", rstd.x[r:r+1], []float64{rs}, 1e-5)
					if !rms {
						checkNear(t, what+" mean", mean.x[r:r+1], []float64{m}, 1e-6)
					}
				}
				for _, buf := range []buffer{x, gamma, beta, y, mean, rstd} {
					buf.check(t, what)
				}
			}
		}
	})
}

func TestNormGradientsAgreeWithFiniteDifferences(t *testing.T) {
	const rows, eps, h = 2, 1e-5, 1e-4
	onEachSet(t, func(t *testing.T) {
		for _, d := range []int{3, 8, 17, 45} {
			x, gamma, beta, dy := vector(1, rows*d, 1), vector(2, d, 2), vector(3, d, 2), vector(4, rows*d, 1)
			for _, rms := range []bool{false, true} {
				xs, gs, bs, dys := doubles(x.x), doubles(gamma.x), doubles(beta.x), doubles(dy.x)
				loss := func() (sum float64) {
					b := bs
					if rms {
						b = nil
					}
					for r := range rows {
						y, _, _ := normReference(xs[r*d:(r+1)*d], gs, b, eps, rms)
						for i, v := range y {
							sum += v * dys[r*d+i]
						}
					}
					return sum
				}
				gradient := func(p []float64) []float64 {
					g := make([]float64, len(p))
					for i, v := range p {
						p[i] = v + h
						up := loss()
						p[i] = v - h
						g[i] = (up - loss()) / (2 * h)
						p[i] = v
					}
					return g
				}
				y, mean, rstd := vector(5, rows*d, 1), vector(6, rows, 1), vector(7, rows, 1)
				dx, dgamma, dbeta := vector(8, rows*d, 1), vector(9, d, 1), vector(10, d, 1)
				wantG, wantB := gradient(gs), gradient(bs)
				for i := range d { // the kernel adds to what is there
					wantG[i] += float64(dgamma.x[i])
					wantB[i] += float64(dbeta.x[i])
				}
				what := fmt.Sprintf("dim %d, rms %v", d, rms)
				if rms {
					RMSNorm(y.x, rstd.x, x.x, gamma.x, eps)
					RMSNormGrad(dx.x, dgamma.x, dy.x, x.x, rstd.x, gamma.x)
				} else {
					LayerNorm(y.x, mean.x, rstd.x, x.x, gamma.x, beta.x, eps)
					LayerNormGrad(dx.x, dgamma.x, dbeta.x, dy.x, x.x, mean.x, rstd.x, gamma.x)
					checkNear(t, what+" dbeta", dbeta.x, wantB, 1e-5)
				}
				checkNear(t, what+" dgamma", dgamma.x, wantG, 1e-5)
				checkNear(t, what+" dx", dx.x, gradient(xs), 3e-5)
				for _, buf := range []buffer{dx, dgamma, dbeta, dy, x} {
					buf.check(t, what)
				}
			}
		}
	})
}

func TestNormRowsDoNotDependOnTheRange(t *testing.T) {
	const rows, d, eps = 7, 45, 1e-5
	onEachSet(t, func(t *testing.T) {
		run := func(cuts ...int) (all []float32) {
			x, gamma, beta, dy := vector(1, rows*d, 1), vector(2, d, 2), vector(3, d, 2), vector(4, rows*d, 1)
			y, mean, rstd := make([]float32, rows*d), make([]float32, rows), make([]float32, rows)
			y2, rstd2, dx2 := make([]float32, rows*d), make([]float32, rows), make([]float32, rows*d)
			dx, dgamma, dbeta := make([]float32, rows*d), make([]float32, d), make([]float32, d)
			from := 0
			for _, to := range append(cuts, rows) {
				a, b := from*d, to*d
				LayerNorm(y[a:b], mean[from:to], rstd[from:to], x.x[a:b], gamma.x, beta.x, eps)
				LayerNormGrad(dx[a:b], dgamma, dbeta, dy.x[a:b], x.x[a:b], mean[from:to], rstd[from:to], gamma.x)
				RMSNorm(y2[a:b], rstd2[from:to], x.x[a:b], gamma.x, eps)
				RMSNormGrad(dx2[a:b], dgamma, dy.x[a:b], x.x[a:b], rstd2[from:to], gamma.x)
				from = to
			}
			for _, s := range [][]float32{y, mean, rstd, dx, y2, rstd2, dx2} {
				all = append(all, s...)
			}
			return all
		}
		whole := run()
		for _, cuts := range [][]int{{1}, {3, 4}, {1, 2, 3, 4, 5, 6}} {
			if !sameBits(whole, run(cuts...)) {
				t.Errorf("cut at %v: results differ", cuts)
			}
		}
	})
}

func TestNormsCarryNaNWithinTheirRow(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		const d = 20
		x, gamma := vector(1, 3*d, 1), vector(2, d, 1)
		x.x[d+13] = float32(math.NaN())
		y, mean, rstd := make([]float32, 3*d), make([]float32, 3), make([]float32, 3)
		LayerNorm(y, mean, rstd, x.x, gamma.x, gamma.x, 1e-5)
		for i, v := range y {
			if (i/d == 1) != math.IsNaN(float64(v)) {
				t.Fatalf("element %d of row %d is %v", i%d, i/d, v)
			}
		}
	})
}

func BenchmarkNorm(b *testing.B) {
	const rows, d = 64, 768
	x, y, dy, dx := vector(1, rows*d, 1).x, vector(2, rows*d, 1).x, vector(3, rows*d, 1).x, vector(4, rows*d, 1).x
	gamma, beta, dgamma, dbeta := vector(5, d, 1).x, vector(6, d, 1).x, vector(7, d, 1).x, vector(8, d, 1).x
	mean, rstd := make([]float32, rows), make([]float32, rows)
	for _, set := range Names() {
		for _, bench := range []struct {
			name   string
			arrays int64
			run    func()
		}{
			{"LayerNorm", 2, func() { LayerNorm(y, mean, rstd, x, gamma, beta, 1e-5) }},
			{"LayerNormGrad", 3, func() { LayerNormGrad(dx, dgamma, dbeta, dy, x, mean, rstd, gamma) }},
			{"RMSNorm", 2, func() { RMSNorm(y, rstd, x, gamma, 1e-5) }},
			{"RMSNormGrad", 3, func() { RMSNormGrad(dx, dgamma, dy, x, rstd, gamma) }},
		} {
			b.Run(bench.name+"/"+set, func(b *testing.B) {
				useSet(b, set)
				b.SetBytes(bench.arrays * rows * d * 4)
				for b.Loop() {
					bench.run()
				}
			})
		}
	}
}
