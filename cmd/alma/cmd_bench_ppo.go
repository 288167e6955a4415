package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train/ppo"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

func newBenchPPOCommand(c *call) *cobra.Command {
	o := benchOptions{Model: "6x384", Batch: 32, Seq: 16, New: 48, Vocab: 4096, Steps: 3}
	epochs := 4
	cmd := &cobra.Command{
		Use:   "ppo",
		Short: "Time iterations of PPO",
		Long: `Time iterations of PPO: the policy samples a response to each prompt of a batch,
a reward model scores them, the frozen reference and the critic read them, and
policy and critic are updated, the whole batch in one optimizer step an epoch.
Reward model and critic are as large as the policy. A step of the result is an
iteration; its FLOPs are without the reward model's.`,
		Example: examples("alma bench ppo", "alma bench ppo --model 4x192 --batch 64 --epochs 1 --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runBench(cmd.Context(), o, func(_ *cpu.Engine, m *model.Model, o benchOptions) (benchmark, error) {
				return benchPPO(cmd.Context(), m, o, epochs)
			})
		},
	}
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a prompt")
	cmd.Flags().IntVar(&o.New, "new", o.New, "tokens of a response")
	cmd.Flags().IntVar(&epochs, "epochs", epochs, "times that the update sees a rollout")
	c.modelFlags(cmd, &o)
	return cmd
}

func benchPPO(ctx context.Context, policy *model.Model, o benchOptions, epochs int) (benchmark, error) {
	critic, err := policy.WithHead(model.Scalar, 1)
	if err != nil {
		return benchmark{}, err
	}
	rewards, err := policy.WithHead(model.Scalar, 2)
	if err != nil {
		return benchmark{}, err
	}
	length := o.Seq + o.New
	scorer, err := preference.NewScorer(rewards, o.Batch, length)
	if err != nil {
		return benchmark{}, err
	}
	prompts := make([][]int32, o.Batch)
	for i := range prompts {
		prompts[i] = make([]int32, o.Seq)
		for j := range prompts[i] {
			prompts[i][j] = randomToken(uint64(i), uint64(j), o.Vocab)
		}
	}
	config := ppo.Defaults()
	config.Iterations, config.Prompts, config.Minibatch, config.Epochs = o.Steps+1, o.Batch, o.Batch, epochs
	config.MicroRows, config.Slots, config.Context, config.MaxTokens = o.Batch, o.Batch, length, o.New
	config.PretrainCoef = 0
	trial, err := ppo.NewTrial(config, policy, critic, prompts, func(ctx context.Context, texts []ppo.Text) ([]float32, error) {
		whole := make([][]int32, len(texts))
		for i, t := range texts {
			whole[i] = t.Tokens
		}
		return scorer.Scores(ctx, whole)
	})
	if err != nil {
		return benchmark{}, err
	}
	var flops int64
	step := func(int) (time.Duration, error) {
		start := time.Now()
		flops, err = trial.Iterate(ctx)
		return time.Since(start), err
	}
	return benchmark{name: "ppo", tokens: o.Batch * o.New, step: step, flops: func() int64 { return flops }}, nil
}
