package cpu_test

import (
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/computetest"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

func TestEngineComputesWhatEveryEngineComputes(t *testing.T) {
	computetest.Run(t, func(threads int) compute.Engine {
		return cpu.New(cpu.Options{Threads: threads})
	}, computetest.NoAllocations)
}

func TestEngineInBF16ComputesWhatEveryEngineComputes(t *testing.T) {
	computetest.Run(t, func(threads int) compute.Engine {
		return cpu.New(cpu.Options{Threads: threads, Precision: cpu.BF16})
	}, computetest.NoAllocations, computetest.BF16)
}
