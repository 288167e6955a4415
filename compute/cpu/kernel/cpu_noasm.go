//go:build !amd64 || purego

package kernel

const missing = "this build carries no assembly"

func hasAVX2() bool { return false }
