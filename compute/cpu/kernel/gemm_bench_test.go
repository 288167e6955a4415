package kernel

import (
	"fmt"
	"testing"
)

// BenchmarkPeak measures the ceiling of one thread: multiply-adds on registers
// with nothing to move. Compare with BenchmarkGemm of the same run, since
// clocks differ between runs.
func BenchmarkPeak(b *testing.B) {
	flops := 0
	for b.Loop() {
		flops = Peak(1 << 17)
	}
	reportRate(b, flops)
}

func reportRate(b *testing.B, flops int) {
	b.ReportMetric(float64(flops)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

// BenchmarkGemm has the products of a model of width 192, of GPT-2 and, with
// few rows, of decoding.
func BenchmarkGemm(b *testing.B) {
	for _, s := range []struct{ m, k, n int }{
		{2048, 192, 192}, {2048, 192, 576}, {2048, 192, 768}, {2048, 768, 192}, {2048, 192, 2048},
		{2048, 1024, 1024}, {256, 768, 768}, {1024, 768, 2304}, {1024, 768, 3072}, {1024, 3072, 768},
		{1, 192, 768}, {2, 192, 768}, {3, 192, 768}, {4, 192, 768}, {16, 192, 768}, {32, 192, 768}, {128, 192, 768}, {128, 192, 2048},
		{1, 768, 3072}, {2, 768, 3072}, {3, 768, 3072}, {4, 768, 3072}, {8, 768, 3072}, {16, 768, 3072}, {32, 768, 3072}, {128, 768, 3072},
		{128, 3072, 768}, {1, 768, 50304}, {4, 768, 50304}, {16, 768, 50304},
	} {
		b.Run(fmt.Sprintf("m=%d/k=%d/n=%d", s.m, s.k, s.n), func(b *testing.B) {
			x, w := newBuffer(1, s.m, s.k, 0, 0).x, newBuffer(2, s.k, s.n, 0, 0).x
			c := make([]float32, s.m*s.n)
			bp := make([]float32, PackedSize(s.k, s.n))
			PackB(Panels{bp, s.k, s.n}, Matrix{w, s.n}, 0, s.n/NR)
			for b.Loop() {
				Gemm(Matrix{c, s.n}, Matrix{x, s.k}, Panels{bp, s.k, s.n}, Area{0, s.m, 0, s.n / NR}, false, Ahead{})
			}
			reportRate(b, 2*s.m*s.k*s.n)
		})
	}
}

// BenchmarkGemmAT has the weight gradients of the same models over 2048 tokens.
func BenchmarkGemmAT(b *testing.B) {
	scratch := make([]float32, GemmATScratch())
	for _, s := range []struct{ m, k, n int }{
		{192, 2048, 192}, {192, 2048, 768}, {768, 2048, 192}, {768, 1024, 3072}, {3072, 1024, 768},
	} {
		b.Run(fmt.Sprintf("m=%d/k=%d/n=%d", s.m, s.k, s.n), func(b *testing.B) {
			x, w := newBuffer(1, s.k, s.m, 0, 0).x, newBuffer(2, s.k, s.n, 0, 0).x
			c := make([]float32, s.m*s.n)
			bp := make([]float32, PackedSize(s.k, s.n))
			PackB(Panels{bp, s.k, s.n}, Matrix{w, s.n}, 0, s.n/NR)
			for b.Loop() {
				GemmAT(Matrix{c, s.n}, Matrix{x, s.m}, Panels{bp, s.k, s.n}, Area{0, s.m, 0, s.n / NR}, true, scratch, nil)
			}
			reportRate(b, 2*s.m*s.k*s.n)
		})
	}
}

// BenchmarkPack reports the bytes of the matrix, read once and written once.
func BenchmarkPack(b *testing.B) {
	for _, s := range []struct{ k, n int }{{192, 768}, {2048, 192}, {2048, 768}, {768, 3072}, {3072, 768}, {1024, 1024}} {
		w := newBuffer(2, s.k, s.n, 0, 0).x
		bp := make([]float32, PackedSize(s.k, s.n))
		b.Run(fmt.Sprintf("PackB/k=%d/n=%d", s.k, s.n), func(b *testing.B) {
			b.SetBytes(int64(4 * s.k * s.n))
			for b.Loop() {
				PackB(Panels{bp, s.k, s.n}, Matrix{w, s.n}, 0, s.n/NR)
			}
		})
		b.Run(fmt.Sprintf("PackBT/k=%d/n=%d", s.k, s.n), func(b *testing.B) {
			b.SetBytes(int64(4 * s.k * s.n))
			for b.Loop() {
				PackBT(Panels{bp, s.k, s.n}, Matrix{w, s.k}, 0, s.n/NR)
			}
		})
	}
}
