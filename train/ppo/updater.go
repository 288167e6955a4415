package ppo

import (
	"errors"

	"github.com/seed-b72bdb6c/alma/train"
)

// updater takes the optimizer steps of policy and critic.
type updater struct {
	config                           Config
	rates                            train.Schedule
	policyOptimizer, criticOptimizer *train.Optimizer
	policyGuard, criticGuard         *train.Guard
}

func newUpdater(c Config, steps int, policy, critic *train.Optimizer) (*updater, error) {
	u := &updater{
		config: c, rates: c.Schedule(steps),
		policyOptimizer: policy, criticOptimizer: critic,
		policyGuard: c.Guard(), criticGuard: c.Guard(),
	}
	// The critic's loss starts far from its end and leaps with the rewards.
	u.criticGuard.Spike = 0
	// Where all responses of a rollout score alike the policy's gradient all but
	// vanishes, and the whitened advantages of the next one bring it back.
	u.policyGuard.Least = c.OptimizerConfig.Clip
	return u, u.rates.Validate()
}

// apply takes the step of a minibatch, which batch describes, and completes
// its sum.
func (u *updater) apply(step int, sum *minibatchSum, batch func() string) error {
	lr := u.rates.At(step)
	// Both are checked before either is updated: a step is applied as a whole or
	// not at all.
	norm, err := u.policyGuard.Check(u.policyOptimizer, sum.policyLoss, func() string { return "the policy at " + batch() })
	criticNorm, criticErr := u.criticGuard.Check(u.criticOptimizer, sum.valueLoss, func() string { return "the critic at " + batch() })
	if err == nil {
		err = criticErr
	}
	if err != nil {
		return errors.Join(err, u.policyOptimizer.Zero(), u.criticOptimizer.Zero())
	}
	if err := u.policyGuard.Step(u.policyOptimizer, lr, norm); err != nil {
		return err
	}
	if err := u.criticGuard.Step(u.criticOptimizer, lr/u.config.LR*u.config.CriticLR, criticNorm); err != nil {
		return err
	}
	sum.norm, sum.criticNorm, sum.lr = norm, criticNorm, lr
	sum.flops += u.policyOptimizer.FLOPs() + u.criticOptimizer.FLOPs()
	return nil
}
