//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// missing says of a level that best does not reach what is not there.
var missing = [...]string{
	avx2Level:   "this machine lacks AVX2 or FMA, or its operating system does not save their registers",
	avx512Level: "this machine lacks AVX-512 F, BW, DQ or VL, or its operating system does not save their registers",
}

// best returns the highest level that runs here. The flags of x/sys already
// include the operating system's support for the wide registers.
func best() level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return portableLevel
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasAVX512VL:
		return avx2Level
	}
	return avx512Level
}

func hasDotBF16() bool { return cpu.X86.HasAVX512BF16 }
