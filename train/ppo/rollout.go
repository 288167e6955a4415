package ppo

import (
	"context"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

// Text is the response as it was sampled, for the reward.
type Text = rollout.Text

// Reward scores responses: a reward model, a rule, or anything else.
type Reward = rollout.Reward

// sequence is one response of a rollout. Its Reward is the sum before whitening.
type sequence = rollout.Sequence

// sample lets the policy answer the prompts of an iteration.
func (r *run) sample(ctx context.Context, iteration int) ([]*sequence, error) {
	sequences, flops, err := r.sampler.Sample(ctx, iteration, r.config.Prompts)
	r.flops += flops
	return sequences, err
}

// measure runs the frozen and the current models over the rollout: old and
// reference log-probabilities and old values.
func (r *run) measure(ctx context.Context, sequences []*sequence) error {
	for _, s := range sequences {
		n := len(s.Response)
		s.OldLogProbs, s.RefLogProbs, s.Entropies, s.OldValues = make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	}
	flops, err := rollout.Measure(ctx, sequences, r.shape,
		rollout.Reading{Pass: r.policy.forward, Keep: func(x compute.Executable, seq *sequence, t, position int) {
			seq.OldLogProbs[t], seq.Entropies[t] = x.Floats("log_probs")[position], x.Floats("entropies")[position]
		}},
		rollout.Reading{Pass: r.reference.forward, Keep: func(x compute.Executable, seq *sequence, t, position int) {
			seq.RefLogProbs[t] = x.Floats("log_probs")[position]
		}},
		rollout.Reading{Pass: r.critic.forward, Keep: func(x compute.Executable, seq *sequence, t, position int) {
			seq.OldValues[t] = x.Floats("values")[position]
		}})
	r.flops += flops
	return err
}

// rewards turns scores into a reward for each token: −β·KL at every token
// (detail 19), and the score at the last, clipped (detail 24); a response that
// did not end itself has its score replaced or lowered (detail 18).
func (c Config) rewards(s *sequence, beta float64) []float32 {
	out := make([]float32, len(s.Response))
	s.KL, s.Reward = 0, 0
	for t := range out {
		kl := c.KLEstimator.at(float64(s.OldLogProbs[t]) - float64(s.RefLogProbs[t]))
		s.KL += kl
		out[t] = float32(-beta * kl)
	}
	score := float64(s.Score)
	if c.ClipScore > 0 {
		score = min(max(score, -c.ClipScore), c.ClipScore)
	}
	if !s.Ended {
		switch c.MissingEnd {
		case "replace":
			score = -c.MissingEndPenalty
		case "subtract":
			score -= c.MissingEndPenalty
		}
	}
	out[len(out)-1] += float32(score)
	for _, x := range out {
		s.Reward += float64(x)
	}
	return out
}

// estimate fills in the advantages and returns of a rollout.
func (c Config) estimate(sequences []*sequence, beta float64) {
	rewards := make([][]float32, len(sequences))
	for i, s := range sequences {
		rewards[i] = c.rewards(s, beta)
	}
	if c.WhitenRewards {
		whiten(rewards, false)
	}
	all := make([][]float32, len(sequences))
	for i, s := range sequences {
		s.Advantages, s.Returns = advantages(rewards[i], s.OldValues, c.Gamma, c.Lambda)
		all[i] = s.Advantages
	}
	whiten(all, true)
}
