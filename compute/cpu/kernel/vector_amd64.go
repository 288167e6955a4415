//go:build !purego

package kernel

func vec() *vectorKernels { return &portable }
