package cpu

import (
	"fmt"
	"unsafe"

	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// Precision is the arithmetic of matrix products and attention.
type Precision string

const (
	// FP32 multiplies and adds in float32.
	FP32 Precision = "fp32"
	// BF16 rounds the operands of matrix products and the inputs of attention
	// to bfloat16 and adds in float32. Weights, their gradients, the
	// optimizer's moments and all other operators stay in float32. The key and
	// value caches hold rounded numbers.
	BF16 Precision = "bf16"
)

// ParsePrecision reads "fp32" or "bf16"; an empty name is FP32.
func ParsePrecision(name string) (Precision, error) {
	switch p := Precision(name); p {
	case "":
		return FP32, nil
	case FP32, BF16:
		return p, nil
	}
	return "", fmt.Errorf("choosing the precision %q: the name is unknown; use fp32 or bf16", name)
}

// products are the matrix products of one precision, with the arguments of
// kernel.Gemm, GemmAT, PackB and PackBT. A packed matrix is memory counted in
// floats, whatever it holds.
type products struct {
	packedSize    func(k, n int) int
	packB, packBT func(dst, b []float32, ldb, k, n, p0, p1 int)
	// together is the most panels that a task packs at a time (see fresh). With
	// blocks of kernel.KC steps and of 96 rows they stay in a second-level cache.
	together int
	scratch  int // floats that gemm and gemmAT need of each worker
	gemmAT   func(c []float32, ldc int, a []float32, lda int, packed []float32, k, n, m0, m1, p0, p1 int, add bool, scratch, next []float32)
	// gemm may fetch what is read after it, gemmAT the next product's left matrix.
	gemm func(c []float32, ldc int, a []float32, lda int, packed []float32, k, n, m0, m1, p0, p1 int, add bool, scratch []float32, ahead kernel.Ahead)
}

func productsOf(p Precision) products {
	if p == BF16 {
		return products{
			packedSize: kernel.PackedSizeBF16,
			packB: func(dst, b []float32, ldb, k, n, p0, p1 int) {
				kernel.PackBBF16(words(dst), b, ldb, k, n, p0, p1)
			},
			packBT: func(dst, b []float32, ldb, k, n, p0, p1 int) {
				kernel.PackBTBF16(words(dst), b, ldb, k, n, p0, p1)
			},
			together: 24,
			scratch:  kernel.GemmBF16Scratch(),
			gemm: func(c []float32, ldc int, a []float32, lda int, packed []float32, k, n, m0, m1, p0, p1 int, add bool, scratch []float32, ahead kernel.Ahead) {
				kernel.GemmBF16(c, ldc, a, lda, words(packed), k, n, m0, m1, p0, p1, add, scratch, ahead)
			},
			gemmAT: func(c []float32, ldc int, a []float32, lda int, packed []float32, k, n, m0, m1, p0, p1 int, add bool, scratch, next []float32) {
				kernel.GemmATBF16(c, ldc, a, lda, words(packed), k, n, m0, m1, p0, p1, add, scratch, next)
			},
		}
	}
	return products{
		packedSize: kernel.PackedSize,
		packB:      kernel.PackB,
		packBT:     kernel.PackBT,
		together:   12,
		scratch:    kernel.GemmATScratch(),
		gemm: func(c []float32, ldc int, a []float32, lda int, packed []float32, k, n, m0, m1, p0, p1 int, add bool, _ []float32, ahead kernel.Ahead) {
			kernel.GemmFetch(c, ldc, a, lda, packed, k, n, m0, m1, p0, p1, add, ahead)
		},
		gemmAT: kernel.GemmAT,
	}
}

// words is the memory of floats as words.
func words(f []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
}
