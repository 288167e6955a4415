package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/bench"
	"github.com/seed-b72bdb6c/alma/progress"
)

func newBenchCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "bench",
		GroupID: groupCheck,
		Short:   "Measure the speed of this machine",
		Long: `Measure how fast this machine trains and generates, on models of random weights,
so that nothing need be downloaded. docs/benchmarks.md holds results beside
those of other programs.`,
	})
	cmd.AddCommand(
		newBenchTrainCommand(c),
		newBenchRewardCommand(c),
		newBenchDecodeCommand(c),
		newBenchPrefillCommand(c),
		newBenchPPOCommand(c),
		newBenchAttentionCommand(c),
		newBenchGEMMCommand(c),
		newBenchPeakCommand(c),
	)
	return cmd
}

// benchSetup is what the flags ask a benchmark to run on.
func (c *call) benchSetup() (bench.Setup, error) {
	options, err := c.engineOptions()
	return bench.Setup{Engine: options, Seed: c.seed, Progress: progress.New(os.Stderr)}, err
}
