//go:build !amd64 || purego

package kernel

func bf16() *bf16Kernels { return &portableBF16 }
