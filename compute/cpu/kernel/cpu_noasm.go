//go:build !amd64 || purego

package kernel

var missing = [...]string{
	avx2Level:   "this build carries no assembly",
	avx512Level: "this build carries no assembly",
}

func best() level { return portableLevel }

func hasDotBF16() bool { return false }
