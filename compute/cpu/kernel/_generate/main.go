// Command generate writes the assembly of package kernel with avo.
//
// It is a module of its own, so that alma itself depends neither on avo nor on
// golang.org/x/tools. Run it through the go:generate lines of package kernel:
//
//	go generate ./compute/cpu/kernel
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/build"
)

func main() {
	kernel := flag.String("kernel", "", "which part to write: gemm, vector, bf16, gemm_avx512 or vector_avx512")
	flag.Parse()
	// avo takes the amd64 half of the constraint from the file's name.
	build.ConstraintExpr("!purego")
	switch *kernel {
	case "gemm":
		genGemm()
	case "gemm_avx512":
		genGemmAVX512()
	case "vector":
		genVector(avx2)
	case "vector_avx512":
		genVector(avx512)
	case "bf16":
		genBF16()
	default:
		fmt.Fprintf(os.Stderr, "choosing a kernel: -kernel is %q; use gemm, vector, bf16, gemm_avx512 or vector_avx512\n", *kernel)
		os.Exit(2)
	}
	build.Generate()
}
