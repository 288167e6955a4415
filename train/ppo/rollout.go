package ppo

import (
	"context"
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/generate"
)

// sequence is one response of a rollout with what the update needs of it. The
// slices run over the tokens of the response, which ends with its first end
// token if it has one (detail 17).
type sequence struct {
	Prompt      []int32   `json:"prompt"`
	Response    []int32   `json:"response"`
	Ended       bool      `json:"ended"`
	Score       float32   `json:"score"` // of the reward, before clipping and the penalty for not ending
	OldLogProbs []float32 `json:"old_log_probs"`
	RefLogProbs []float32 `json:"ref_log_probs"`
	Entropies   []float32 `json:"entropies"`
	OldValues   []float32 `json:"old_values"`
	Advantages  []float32 `json:"advantages"`
	Returns     []float32 `json:"returns"`
	KL          float64   `json:"kl"`     // Σ over the response
	Reward      float64   `json:"reward"` // Σ of the rewards before whitening
}

// Text is the response as it was sampled, for the reward.
type Text struct {
	Index    int     // of the prompt
	Prompt   []int32 // tokens, up to where the response begins
	Response []int32 // tokens, the end token included if there is one
	Ended    bool
}

// Reward scores responses: a reward model, a rule, or anything else.
type Reward func(ctx context.Context, texts []Text) ([]float32, error)

// sample lets the policy answer the prompts of an iteration.
func (r *run) sample(ctx context.Context, iteration int) ([]*sequence, error) {
	n := r.config.Prompts
	requests := make([]generate.Request, n)
	indices := make([]int, n)
	for i := range n {
		// A new order of the prompts for every pass over them.
		count := iteration*n + i
		epoch, at := count/len(r.prompts), count%len(r.prompts)
		if r.order == nil || epoch != r.epoch {
			r.epoch = epoch
			r.order = compute.Permutation(r.config.Seed, compute.Stream("ppo prompts")+uint64(epoch), len(r.prompts))
		}
		indices[i] = r.order[at]
		requests[i] = generate.Request{Prompt: r.prompts[indices[i]], Sample: count}
	}
	before := r.generator.FLOPs
	completions, err := r.generator.All(ctx, requests, generate.Sampling{
		Temperature: r.config.Temperature, Seed: r.config.Seed, MaxTokens: r.config.MaxTokens, Stop: r.stop,
	})
	if err != nil {
		return nil, err
	}
	r.flops += r.generator.FLOPs - before
	rollout := make([]*sequence, n)
	texts := make([]Text, n)
	for i, c := range completions {
		rollout[i] = &sequence{Prompt: requests[i].Prompt, Response: c.Tokens, Ended: c.Ended}
		texts[i] = Text{indices[i], requests[i].Prompt, c.Tokens, c.Ended}
	}
	scores, err := r.reward(ctx, texts)
	if err != nil {
		return nil, err
	}
	if len(scores) != len(texts) {
		return nil, fmt.Errorf("rewarding iteration %d: %d scores for %d responses", iteration, len(scores), len(texts))
	}
	for i, s := range scores {
		if math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
			return nil, artifact.Errorf(artifact.ErrDiverged, "rewarding iteration %d: the score of response %d, to prompt %d, is %v; a reward must be a finite number", iteration, i, indices[i], s)
		}
		rollout[i].Score = s
	}
	return rollout, nil
}

// measure runs the frozen and the current models over the rollout: old and
// reference log-probabilities and old values.
func (r *run) measure(ctx context.Context, rollout []*sequence) error {
	all := make([]int, len(rollout))
	for i, s := range rollout {
		all[i] = i
		n := len(s.Response)
		s.OldLogProbs, s.RefLogProbs, s.Entropies, s.OldValues = make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	}
	batches, err := split(rollout, all, r.shape)
	if err != nil {
		return err
	}
	for _, b := range batches {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, pass := range []struct {
			passes
			policy bool
			copy   func(x compute.Executable, seq *sequence, t, position int)
		}{
			{r.policy, true, func(x compute.Executable, seq *sequence, t, position int) {
				seq.OldLogProbs[t], seq.Entropies[t] = x.Floats("log_probs")[position], x.Floats("entropies")[position]
			}},
			{r.reference, true, func(x compute.Executable, seq *sequence, t, position int) {
				seq.RefLogProbs[t] = x.Floats("log_probs")[position]
			}},
			{r.critic, false, func(x compute.Executable, seq *sequence, t, position int) {
				seq.OldValues[t] = x.Floats("values")[position]
			}},
		} {
			x := pass.forward
			b.fill(x, rollout, r.shape, pass.policy)
			flops, err := pass.run(x, b, r.shape)
			if err != nil {
				return err
			}
			r.flops += flops
			b.each(rollout, r.shape, func(seq *sequence, t, position int) { pass.copy(x, seq, t, position) })
		}
	}
	return nil
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
func (c Config) estimate(rollout []*sequence, beta float64) {
	rewards := make([][]float32, len(rollout))
	for i, s := range rollout {
		rewards[i] = c.rewards(s, beta)
	}
	if c.WhitenRewards {
		whiten(rewards, false)
	}
	all := make([][]float32, len(rollout))
	for i, s := range rollout {
		s.Advantages, s.Returns = advantages(rewards[i], s.OldValues, c.Gamma, c.Lambda)
		all[i] = s.Advantages
	}
	whiten(all, true)
}
