package bench

import (
	"context"
	"time"

	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train/ppo"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// PPO times iterations of PPO, each a step: the policy samples a response to each
// prompt of a batch, a reward model scores them, the frozen reference and the
// critic read them, and policy and critic are updated, the whole batch in one
// optimizer step an epoch. Reward model and critic are as large as the policy; the
// FLOPs are without the reward model's.
func PPO(ctx context.Context, s Setup, o Options, epochs int) (Result, error) {
	return run(ctx, s, o, func(_ *cpu.Engine, m *model.Model, o Options) (work, error) {
		return aligning(ctx, m, o, epochs)
	})
}

func aligning(ctx context.Context, policy *model.Model, o Options, epochs int) (work, error) {
	critic, err := policy.WithHead(model.Scalar, 1)
	if err != nil {
		return work{}, err
	}
	rewards, err := policy.WithHead(model.Scalar, 2)
	if err != nil {
		return work{}, err
	}
	length := o.Seq + o.New
	scorer, err := preference.NewScorer(rewards, o.Batch, length)
	if err != nil {
		return work{}, err
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
		return work{}, err
	}
	var flops int64
	step := func(int) (time.Duration, error) {
		start := time.Now()
		flops, err = trial.Iterate(ctx)
		return time.Since(start), err
	}
	return work{name: "ppo", tokens: o.Batch * o.New, step: step, flops: func() int64 { return flops }}, nil
}
