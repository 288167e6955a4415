package kernel

import (
	"fmt"
	"os"
)

// useAVX2 is true while the kernels run their AVX2 assembly. It changes only
// in Select, before any kernel runs.
var useAVX2 bool

var selectError error

// EnvName is the environment variable that chooses an instruction set below
// what the machine has: "avx2" or "portable". Unset or empty means the best
// that the machine runs.
const EnvName = "ALMA_CPU"

func init() { selectFromEnvironment() }

func selectFromEnvironment() {
	selectError = nil
	if err := Select(os.Getenv(EnvName)); err != nil {
		selectError = fmt.Errorf("reading %s: %w", EnvName, err)
		useAVX2 = hasAVX2()
	}
}

// SelectError tells why the value of ALMA_CPU could not be followed when the
// program started, or nil. A program that runs kernels reports it and stops,
// because results differ in their last bits between instruction sets.
func SelectError() error { return selectError }

// Select chooses the instruction set of every kernel in this package: "avx2",
// "portable", or "" for the best that the machine runs. It fails, changing
// nothing, for a name that is unknown or that this machine or build cannot
// run. It must not be called while a kernel runs.
func Select(name string) error {
	switch name {
	case "":
		useAVX2 = hasAVX2()
	case "portable":
		useAVX2 = false
	case "avx2":
		if !hasAVX2() {
			return fmt.Errorf("selecting kernels %q: %s; use portable or leave it unset", name, missing)
		}
		useAVX2 = true
	default:
		return fmt.Errorf("selecting kernels %q: the name is unknown; use avx2, portable or leave it unset", name)
	}
	return nil
}

// Name returns the instruction set that the kernels run: "avx2" or "portable".
func Name() string {
	if useAVX2 {
		return "avx2"
	}
	return "portable"
}

// Names lists the instruction sets that this machine and build can run, the
// best one first.
func Names() []string {
	if hasAVX2() {
		return []string{"avx2", "portable"}
	}
	return []string{"portable"}
}
