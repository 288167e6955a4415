package ppo

import (
	"context"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

// Trial takes PPO's iterations on models in memory, without a folder, a
// tokenizer or checkpoints: what an iteration costs can be measured with it.
type Trial struct {
	run   *run
	steps int // optimizer steps so far
}

// NewTrial prepares Config.Iterations of them on prompts of token ids. The
// policy and the critic are trained; the critic has a scalar head. There is no
// pretraining mix, and no token ends a response.
func NewTrial(c Config, policy, critic *model.Model, prompts [][]int32, reward Reward) (*Trial, error) {
	if c.PretrainCoef != 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing a trial of ppo: pretrain_coefficient is %g, and a trial has no pretraining text; set it to 0", c.PretrainCoef)
	}
	t := &Trial{run: newRun(c, c.Context)}
	t.run.sampler.Reward = reward
	for _, tokens := range prompts {
		t.run.sampler.Prompts = append(t.run.sampler.Prompts, rollout.Prompt{Tokens: tokens})
	}
	var err error
	_, err = t.run.prepare(policy, critic)
	return t, err
}

// Iterate takes one iteration, a rollout and the optimizer steps on it, and
// returns the FLOPs that it took, those of the reward apart.
func (t *Trial) Iterate(ctx context.Context) (flops int64, err error) {
	for range t.run.config.minibatches() {
		report, err := t.run.update(ctx, t.steps)
		if err != nil {
			return flops, err
		}
		flops += report.FLOPs
		t.steps++
	}
	return flops, nil
}
