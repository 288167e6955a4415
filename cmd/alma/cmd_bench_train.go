package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

func newBenchTrainCommand(c *call) *cobra.Command {
	o := benchOptions{Model: "llama:4x192", Batch: 8, Seq: 256, Steps: 10}
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Time training steps",
		Long: `Time steps of training on batches of random tokens: the forward and backward
pass, the gradients' norm and their clipping, and AdamW.`,
		Example: examples("alma bench train", "alma bench train --model gpt2-124m --batch 4 --seq 256 --json"),
		Args:    arguments(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runBench(cmd.Context(), o, benchTrain) },
	}
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a sequence")
	c.modelFlags(cmd, &o)
	return cmd
}

func benchTrain(_ *cpu.Engine, m *model.Model, o benchOptions) (benchmark, error) {
	lm, err := train.NewLanguageModel(m, o.Batch, o.Seq)
	if err != nil {
		return benchmark{}, err
	}
	optimizer, err := train.NewOptimizer(m, train.DefaultOptimizer(1e-3).AdamW())
	if err != nil {
		return benchmark{}, err
	}
	rows := train.NewTextRows(o.Batch, o.Seq)
	step := func(i int) (time.Duration, error) {
		for j := range rows.Tokens {
			rows.Tokens[j] = randomToken(uint64(i), 2*uint64(j), o.Vocab)
			rows.Targets[j] = randomToken(uint64(i), 2*uint64(j)+1, o.Vocab)
		}
		start := time.Now()
		if _, err := lm.Accumulate(rows, 1/float64(len(rows.Tokens))); err != nil {
			return 0, err
		}
		norm, err := optimizer.Norm()
		if err != nil {
			return 0, err
		}
		err = optimizer.Step(1e-3, norm)
		return time.Since(start), err
	}
	flops := func() int64 { return lm.FLOPs() + optimizer.FLOPs() }
	return benchmark{name: "train", tokens: o.Batch * o.Seq, step: step, flops: flops}, nil
}
