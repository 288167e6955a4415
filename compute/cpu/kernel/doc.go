// Package kernel holds the inner loops of the CPU engine.
//
// Every kernel exists in plain Go, which is the reference and runs on every
// machine, and in assembly generated from _generate: for AVX2 with FMA, and for
// AVX-512 with F, BW, DQ and VL. Which one runs is decided once, when the
// program starts (see Select and ALMA_CPU). The build tag purego leaves the
// assembly out.
//
// A kernel works on slices of float32 and on a range of its output, so that a
// caller can share the work among threads. A result never depends on how the
// output was divided into ranges, nor on what else is computed beside it: the
// same instruction set gives the same bits for any number of threads and any
// batch. AVX-512 gives the bits of AVX2, whose lanes and chains it keeps; the
// portable kernels round products before adding them, so their last bits
// differ, as do those of products in bfloat16 where the machine has
// AVX512_BF16 (see NameBF16).
//
// # Terms
//
//   - stride (lda, ldb, ldc): floats between the starts of two rows.
//   - panel: NR = 16 columns of a packed matrix, stored as [k][16] so that the
//     inner loop reads it front to back; the last panel is filled with zeros.
//   - strip: up to MR = 6 rows of the output; a strip times a panel is the tile
//     that stays in registers. In AVX-512 it is up to 8 rows times 3 panels.
//   - block: KC steps of the inner dimension; partial sums of one block are
//     completed in registers, then added to the output.
//
// # What it is not
//
// Kernels know nothing of tensors, threads or memory plans; they allocate
// nothing and start no goroutine. A wrong length is a bug of the caller: they
// panic. No assembly call lasts longer than about 100 µs, because the garbage
// collector cannot interrupt one; only the softmax against a cache of more than
// some 100,000 positions, which is one call, takes longer.
package kernel

//go:generate go -C _generate run . -kernel gemm -pkg kernel -out ../gemm_amd64.s -stubs ../stubs_gemm_amd64.go
//go:generate go -C _generate run . -kernel vector -pkg kernel -out ../vector_amd64.s -stubs ../stubs_vector_amd64.go
//go:generate go -C _generate run . -kernel bf16 -pkg kernel -out ../bf16_amd64.s -stubs ../stubs_bf16_amd64.go
//go:generate go -C _generate run . -kernel gemm_avx512 -pkg kernel -out ../gemm_avx512_amd64.s -stubs ../stubs_gemm_avx512_amd64.go
//go:generate go -C _generate run . -kernel vector_avx512 -pkg kernel -out ../vector_avx512_amd64.s -stubs ../stubs_vector_avx512_amd64.go
