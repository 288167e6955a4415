package ppo

import (
	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

// run is the state of a stage while it runs.
type run struct {
	config  Config
	shape   rollout.Shape
	sampler *rollout.Sampler

	policy    passes
	reference passes
	critic    passes
	updater   *updater
	lm        *train.LanguageModel
	stream    *dataset.Stream
	text      *dataset.Packed

	flops int64

	rollout iteration
}

// newRun returns a run of rows of so many tokens before its first rollout.
func newRun(c Config, length int) *run {
	return &run{
		config: c,
		shape:  rollout.Shape{B: c.MicroRows, T: length},
		sampler: &rollout.Sampler{
			Order:    "ppo prompts",
			Sampling: generate.Sampling{Temperature: c.Temperature, Seed: c.Seed, MaxTokens: c.MaxTokens},
		},
		rollout: iteration{Iteration: -1, Controller: controller{Beta: c.Beta, target: c.TargetKL, horizon: c.KLHorizon}},
	}
}

// compile prepares the Programs of a run for its models; the pretraining mix
// is a part of it if there is a stream of text.
func (r *run) compile(policy, reference, critic *model.Model) (err error) {
	c := r.config
	if r.policy, err = policyPasses(policy, r.shape, c.Temperature, c.Clip, true); err != nil {
		return err
	}
	if r.reference, err = policyPasses(reference, r.shape, c.Temperature, c.Clip, false); err != nil {
		return err
	}
	if r.critic, err = criticPasses(critic, r.shape, c.ClipValue, c.ValueCoef); err != nil {
		return err
	}
	if r.stream != nil {
		if r.lm, err = train.NewLanguageModel(policy, c.PretrainRows, r.shape.T); err != nil {
			return err
		}
		r.text = train.NewTextRows(c.PretrainRows, r.shape.T)
	}
	return r.sampler.Use(policy, c.Slots, r.shape.T)
}

// addAdapters puts the adapters that are asked for on the policy and the critic
// and returns the frozen reference: a copy of the policy or, where an adapter
// holds all that is trained, the policy's own body without it.
func (c Config) addAdapters(policy, critic *model.Model) (reference *model.Model, err error) {
	if c.LoRAConfig.Rank == 0 {
		return policy.Clone()
	}
	if err := c.LoRAConfig.AddTo(policy, c.Seed); err != nil {
		return nil, err
	}
	if err := c.LoRAConfig.AddTo(critic, c.Seed); err != nil {
		return nil, err
	}
	return policy.WithoutAdapter(), nil
}

// prepare makes a run ready for its first step: adapters, Programs and
// optimizers. It returns the frozen reference.
func (r *run) prepare(policy, critic *model.Model) (reference *model.Model, err error) {
	c := r.config
	if reference, err = c.addAdapters(policy, critic); err != nil {
		return nil, err
	}
	if err := r.compile(policy, reference, critic); err != nil {
		return nil, err
	}
	policyOptimizer, err := train.NewOptimizer(policy, c.AdamW())
	if err != nil {
		return nil, err
	}
	criticOptimizer, err := train.NewOptimizer(critic, c.AdamW())
	if err != nil {
		return nil, err
	}
	r.updater, err = newUpdater(c, c.Iterations*c.minibatches(), policyOptimizer, criticOptimizer)
	return reference, err
}

// openCritic opens what the critic begins as, and checks that it and the reward
// model read the tokens that the policy writes.
func openCritic(t *train.Trainer, c Config, in Inputs) (*model.Model, error) {
	critic, err := file.Load(t.Engine, in.Critic)
	if err != nil {
		return nil, err
	}
	if critic.Vocabulary != t.Model.Vocabulary {
		return nil, artifact.Errorf(artifact.ErrUsage, "configuring ppo: the critic %s has %d tokens and the policy %s has %d; both must have one tokenizer", in.Critic, critic.Vocabulary, in.Policy, t.Model.Vocabulary)
	}
	for _, folder := range []string{in.Critic, in.RewardModel} {
		if folder == "" {
			continue
		}
		if err := sameTokenizer(t.Tokenizer, in.Policy, folder); err != nil {
			return nil, err
		}
	}
	if critic.Head != model.Scalar {
		return critic.WithHead(model.Scalar, c.Seed)
	}
	return critic, nil
}

// length is the tokens of a packed row, which both models must have positions for.
func (c Config) length(policy, critic *model.Model) (int, error) {
	longest := min(policy.Context, critic.Context)
	if c.Context > longest {
		return 0, artifact.Errorf(artifact.ErrUsage, "configuring ppo: context %d is longer than the models', which is %d", c.Context, longest)
	}
	if c.Context == 0 {
		return longest, nil
	}
	return c.Context, nil
}
