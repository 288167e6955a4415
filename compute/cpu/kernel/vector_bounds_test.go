//go:build linux

package kernel

import (
	"runtime/debug"
	"testing"
)

func TestVectorKernelsStayInsideTheirSlices(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	onEachSet(t, func(t *testing.T) {
		for _, atEnd := range []bool{false, true} {
			take := func(n int) []float32 { return guarded(t, n, atEnd) }
			for _, n := range []int{1, 3, 7, 8, 9, 12, 31, 33, 45} {
				for _, op := range elementwiseOps {
					var in, out [][]float32
					for range op.inputs {
						in = append(in, take(n))
					}
					for range op.outputs {
						out = append(out, take(n))
					}
					op.run(out, in)
				}
				x, y, z, one := take(n), take(n), take(n), take(1)
				Sum(x)
				Dot(x, y)
				SumSquares(x)
				SumRows(x, take(3*n))
				CrossEntropyRow(x, 0)
				CrossEntropyGradRow(x, 0, 1, 1)
				LogProbRow(x, 0, 1)
				LogProbGradRow(x, 0, 1, 1, 1)
				LayerNorm(y, one, one, x, x, x, 1e-5)
				LayerNormGrad(z, take(n), take(n), y, x, one, one, x)
				RMSNorm(y, one, x, x, 1e-5)
				RMSNormGrad(z, take(n), y, x, one, x)
				rotated := take(4 * n)
				RoPE(rotated, rotated, x, y, []int32{0}, 2, 2*n)
			}
			for _, dim := range []int{1, 7, 8, 16, 20, 32, 40} {
				for _, n := range []int{1, 5, 16, 49, 60} {
					at := Attention{Batch: 1, Positions: n, Heads: 2, KVHeads: 1, HeadDim: dim, Causal: true, Scale: 0.3}
					q, k, v, o, lse := take(2*n*dim), take(n*dim), take(n*dim), take(2*n*dim), take(2*n)
					f, b := take(at.ForwardScratch()), take(at.BackwardScratch())
					at.Forward(o, lse, q, k, v, nil, 0, 0, f)
					at.Forward(o, lse, q, k, v, nil, 0, 1, f)
					at.Backward(take(2*n*dim), take(n*dim), take(n*dim), q, k, v, o, lse, o, nil, 0, 0, b)
					cached := CachedAttention{Heads: 2, KVHeads: 1, HeadDim: dim, MaxPositions: n, Scale: 0.3}
					cached.Forward(o, q, k, v, 0, 0, take(cached.Scratch()))
					cached.Heads = 3
					cached.Forward(take(3*dim), take(3*dim), k, v, n-1, 0, take(cached.Scratch()))
				}
			}
		}
	})
}
