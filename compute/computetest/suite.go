package computetest

import (
	"io"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

// Option asks for more than every engine promises.
type Option int

const (
	// NoAllocations checks that a run allocates nothing once it is warm.
	NoAllocations Option = iota
	// BF16 holds the engine to the accuracy of products and attention on
	// operands rounded to bfloat16, everything else in float32. What must be
	// equal to the last bit stays so.
	BF16
)

// bf16Tolerance bounds the root mean square of what bfloat16 changes in an
// array, in that of the array. One rounding is off by up to 2⁻⁸, in the mean
// less; gradients that cancel lose some bits more.
const bf16Tolerance = 0.04

// threadCounts are the numbers of threads that must give the same bits.
var threadCounts = []int{1, 2, 3, 4, 8}

// suite is the engine under test, once for each number of threads.
type suite struct {
	engines []compute.Engine // as threadCounts
	bf16    bool
}

// differs says where got differs from what the reference gives by more than the
// engine's precision allows, "" if nowhere.
func (s suite) differs(got, want []numbers, tolerance, bf16, floor float64) string {
	if s.bf16 {
		return closeOnAverage(got, want, max(bf16, bf16Tolerance), floor)
	}
	return closeTo(got, want, tolerance, floor)
}

// Run holds an engine to everything that compute promises. newEngine returns
// an engine that runs on the given number of threads; if it is an io.Closer,
// it is closed when the test ends.
func Run(t *testing.T, newEngine func(threads int) compute.Engine, options ...Option) {
	s := suite{bf16: slices.Contains(options, BF16)}
	for _, threads := range threadCounts {
		engine := newEngine(threads)
		if c, ok := engine.(io.Closer); ok {
			t.Cleanup(func() {
				if err := c.Close(); err != nil {
					t.Errorf("closing the engine of %d threads: %v", threads, err)
				}
			})
		}
		s.engines = append(s.engines, engine)
	}
	t.Run("cases", func(t *testing.T) {
		for _, c := range allCases() {
			t.Run(c.name, func(t *testing.T) { s.testCase(t, c) })
		}
	})
	t.Run("contract", s.testContract)
	t.Run("NaN reaches the outputs", s.testNaN)
	t.Run("rows are independent", s.testRows)
	t.Run("micro-batches add up", s.testMicroBatches)
	t.Run("cached attention", s.testCachedAttention)
	for _, option := range options {
		if option == NoAllocations {
			t.Run("runs allocate nothing", s.testAllocations)
		}
	}
}

// one is the engine on one thread.
func (s suite) one() compute.Engine { return s.engines[0] }

// testCase runs a case twice, on changing inputs, and compares outputs and
// variables with the reference and with all numbers of threads.
func (s suite) testCase(t *testing.T, c testCase) {
	deliveries := []delivery{asOutput, accumulated, outputAndAccumulated}
	if c.forwardOnly {
		deliveries = deliveries[:1]
	}
	for _, d := range deliveries {
		tolerance := c.tolerance
		if d != asOutput {
			tolerance = max(tolerance, rounded) // even of what is copied
		}
		all := func(engine compute.Engine) []numbers {
			p := newBuilder(c, d).compile(t, engine)
			return append(append(p.run(t, 1), p.run(t, 2)...), p.state(t)...)
		}
		want, first := all(reference.New()), all(s.one())
		if diff := s.differs(first, want, tolerance, c.bf16, c.floor); diff != "" {
			t.Errorf("where %v, %s", d, diff)
		}
		for i, engine := range s.engines[1:] {
			if diff := sameBits(all(engine), first); diff != "" {
				t.Errorf("where %v, %d threads give other bits than one: %s", d, threadCounts[i+1], diff)
			}
		}
	}
}
