package kernel

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// level is an instruction set. A machine that runs one runs those below it.
type level int

const (
	portableLevel level = iota
	avx2Level
	avx512Level
)

var levelNames = [...]string{"portable", "avx2", "avx512"}

var (
	// selected is the instruction set of every kernel. It changes only in
	// Select, before any kernel runs.
	selected level
	// dotBF16 is true while products in bfloat16 run the dot products of
	// AVX512_BF16, which is a part of avx512 where the machine has it.
	dotBF16 bool
)

var selectError error

// EnvName is the environment variable that chooses an instruction set below
// what the machine has: "avx512", "avx2" or "portable". Unset or empty means
// the best that the machine runs.
const EnvName = "ALMA_CPU"

func init() { selectFromEnvironment() }

func selectFromEnvironment() {
	selectError = nil
	if err := Select(os.Getenv(EnvName)); err != nil {
		selectError = fmt.Errorf("reading %s: %w", EnvName, err)
		selected, dotBF16 = best(), false
	}
}

// SelectError tells why the value of ALMA_CPU could not be followed when the
// program started, or nil. A program that runs kernels reports it and stops,
// because results differ in their last bits between instruction sets.
func SelectError() error { return selectError }

// Select chooses the instruction set of every kernel in this package:
// "avx512", "avx2", "portable", or "" for the best that the machine runs. It
// fails, changing nothing, for a name that is unknown or that this machine or
// build cannot run. It must not be called while a kernel runs.
//
// avx512 is the foundation with BW, DQ and VL. Where the machine has
// AVX512_BF16 too, products in bfloat16 use it, after a small product has been
// compared with plain loops: Select fails if it differs by more than rounding.
func Select(name string) error {
	to := best()
	if name != "" {
		i := slices.Index(levelNames[:], name)
		if i < 0 {
			return fmt.Errorf("selecting kernels %q: the name is unknown; use %s or leave it unset", name, strings.Join(Names(), ", "))
		}
		if to = level(i); to > best() {
			return fmt.Errorf("selecting kernels %q: %s; use %s or leave it unset", name, missing[to], strings.Join(Names(), ", "))
		}
	}
	before, beforeDot := selected, dotBF16
	selected, dotBF16 = to, to == avx512Level && hasDotBF16()
	if dotBF16 {
		if err := checkBF16(GemmBF16); err != nil {
			selected, dotBF16 = before, beforeDot
			return fmt.Errorf("selecting kernels %q: checking the products of AVX512_BF16: %w; use avx2, and do not trust this machine", levelNames[to], err)
		}
	}
	return nil
}

// Name returns the instruction set that the kernels run: "avx512", "avx2" or
// "portable".
func Name() string { return levelNames[selected] }

// NameBF16 returns what the products in bfloat16 run: "avx512_bf16", or what
// Name returns, with float32 arithmetic on bfloat16 operands.
func NameBF16() string {
	if dotBF16 {
		return "avx512_bf16"
	}
	return Name()
}

// Names lists the instruction sets that this machine and build can run, the
// best one first.
func Names() []string {
	names := slices.Clone(levelNames[:best()+1])
	slices.Reverse(names)
	return names
}
