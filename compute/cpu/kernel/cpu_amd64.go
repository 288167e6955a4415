//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

const missing = "this machine lacks AVX2 or FMA, or its operating system does not save their registers"

// hasAVX2 reports whether the AVX2 kernels can run here. The flags of x/sys
// already include the operating system's support for the wide registers.
func hasAVX2() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA }
