package kernel

import (
	"math"
	"testing"
)

// distribution returns softmax(row·c), log Σ exp(row·c) and the entropy.
func distribution(row []float64, c float64) (p []float64, lse, entropy float64) {
	top := math.Inf(-1)
	for _, v := range row {
		top = math.Max(top, v*c)
	}
	var sum float64
	p = make([]float64, len(row))
	for i, v := range row {
		p[i] = math.Exp(v*c - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
		if p[i] > 0 {
			entropy -= p[i] * math.Log(p[i])
		}
	}
	return p, top + math.Log(sum), entropy
}

var vocabularies = []int{1, 2, 7, 8, 31, 33, 100, 2048, 2*chunkLen + 11}

func TestCrossEntropyAgreesWithFloat64(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, n := range vocabularies {
			for _, scale := range []float32{1, 30} {
				row := vector(1, n, scale)
				p, lse, _ := distribution(doubles(row.x), 1)
				target := n / 3
				largest, sum := SoftmaxStats(row.x)
				checkNear(t, "lse of SoftmaxStats", []float32{float32(float64(largest) + math.Log(float64(sum)))}, []float64{lse}, 1e-6)
				loss, got := CrossEntropyRow(row.x, target)
				checkNear(t, "lse", []float32{got}, []float64{lse}, 1e-6)
				checkNear(t, "loss", []float32{loss}, []float64{lse - float64(row.x[target])}, 1e-6)
				want := make([]float64, n)
				for i := range p {
					want[i] = p[i] * 0.25
				}
				want[target] -= 0.25
				CrossEntropyGradRow(row.x, target, got, 0.25)
				checkNear(t, "gradient", row.x, want, 3e-6)
				row.check(t, "CrossEntropyGradRow")
			}
		}
	})
}

func TestLogProbAgreesWithFloat64(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, n := range vocabularies {
			for _, temperature := range []float32{0.3, 0.7, 1, 2} {
				row := vector(2, n, 8)
				if n > 30 {
					for i := 0; i < n; i += 3 {
						row.x[i] = float32(math.Inf(-1)) // excluded tokens
					}
				}
				token := n / 2
				if token%3 == 0 && n > 30 {
					token++
				}
				p, lse, entropy := distribution(doubles(row.x), 1/float64(temperature))
				logprob, ent, got := LogProbRow(row.x, token, temperature)
				checkNear(t, "lse", []float32{got}, []float64{lse}, 1e-6)
				checkNear(t, "logprob", []float32{logprob}, []float64{math.Log(p[token])}, 2e-6)
				checkNear(t, "entropy", []float32{ent}, []float64{entropy}, 3e-6)
				want := make([]float64, n)
				for i := range p {
					want[i] = -p[i] * 1.5 / float64(temperature)
				}
				want[token] += 1.5 / float64(temperature)
				LogProbGradRow(row.x, token, got, temperature, 1.5)
				checkNear(t, "gradient", row.x, want, 1e-5)
				row.check(t, "LogProbGradRow")
			}
		}
	})
}

func TestLogitRowsCarryNaN(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, bad := range []float64{math.NaN(), math.Inf(1)} {
			for _, n := range []int{5, 8, 40, 75} {
				for _, at := range []int{0, 4, n - 1} {
					row := vector(3, n, 1).x
					row[at] = float32(bad)
					loss, lse := CrossEntropyRow(row, 1)
					logprob, entropy, _ := LogProbRow(row, 1, 1)
					for name, v := range map[string]float32{"loss": loss, "lse": lse, "logprob": logprob, "entropy": entropy} {
						if !math.IsNaN(float64(v)) {
							t.Errorf("%v at %d of %d: %s is %v", bad, at, n, name, v)
						}
					}
				}
			}
		}
	})
}

func BenchmarkLogits(b *testing.B) {
	const n = 8192
	x := vector(1, n, 5).x
	row := make([]float32, n)
	for _, set := range Names() {
		for _, bench := range []struct {
			name string
			run  func()
		}{
			{"CrossEntropyRow", func() { CrossEntropyRow(x, 7) }},
			{"CrossEntropyGradRow", func() { copy(row, x); CrossEntropyGradRow(row, 7, 11, 1) }},
			{"LogProbRow", func() { LogProbRow(x, 7, 0.7) }},
		} {
			b.Run(bench.name+"/"+set, func(b *testing.B) {
				useSet(b, set)
				b.SetBytes(4 * n)
				for b.Loop() {
					bench.run()
				}
			})
		}
	}
}
