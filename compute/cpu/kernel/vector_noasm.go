//go:build !amd64 || purego

package kernel

func vec() *vectorKernels { return &portable }
