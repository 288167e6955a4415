package rollout

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
)

// Text is a response as it was sampled, for the reward.
type Text struct {
	Prompt   dataset.Prompt
	Tokens   []int32 // of prompt and response
	Response []int32 // the end of Tokens, with the end token if there is one
	Ended    bool
}

// Reward scores responses: a reward model, a rule, or anything else.
type Reward func(ctx context.Context, texts []Text) ([]float32, error)

// Prompt is a prompt with its tokens, up to where the response begins.
type Prompt struct {
	dataset.Prompt
	Tokens []int32
}

// ReadPrompts reads prompts, or dialogues without their last turns, of at most so many
// tokens. It returns how many are longer, and what the file held.
func ReadPrompts(template *chat.Template, path string, how dataset.Reading, longest int) (prompts []Prompt, dropped int, account *dataset.Account, err error) {
	asked, err := dataset.ReadAsked(path, how)
	if err != nil {
		return nil, 0, nil, err
	}
	err = asked.Keep(func(_ int, a dataset.Asked) error {
		ids, err := a.Prompt.Render(template)
		switch {
		case err != nil:
			return err
		case len(ids) > longest:
			dropped++
		default:
			prompts = append(prompts, Prompt{a.Prompt, ids})
		}
		return nil
	})
	return prompts, dropped, asked.Account, err
}

// Sequence is one response with what an update needs of it; what an algorithm has
// no use for is nil. The slices run over the tokens of the response, which ends
// with its first end token if it has one (detail 17).
type Sequence struct {
	Prompt      []int32   `json:"prompt"`
	Response    []int32   `json:"response"`
	Ended       bool      `json:"ended"`
	Score       float32   `json:"score"` // of the reward, as it came
	OldLogProbs []float32 `json:"old_log_probs"`
	RefLogProbs []float32 `json:"ref_log_probs"`
	Entropies   []float32 `json:"entropies"`
	OldValues   []float32 `json:"old_values"`
	Advantages  []float32 `json:"advantages"`
	Returns     []float32 `json:"returns"`
	KL          float64   `json:"kl"`     // Σ over the response
	Reward      float64   `json:"reward"` // Σ of the tokens' rewards
}

// Sampler lets a policy answer prompts and has the answers scored. Who answers what
// is a function of the seed and the iteration alone.
type Sampler struct {
	Prompts []Prompt
	Reward  Reward
	generate.Sampling
	Order string // names the orders of the prompts, of which every pass over them has its own

	generator *generate.Generator
	order     []int // of the prompts in this epoch
	epoch     int
}

// Use takes the policy that answers, so many responses at one time in rows of so
// many tokens. It reads the weights that the policy has when Sample is called.
func (s *Sampler) Use(policy *model.Model, slots, length int) (err error) {
	s.generator, err = generate.New(policy, slots, length)
	return err
}

// Sample lets the policy answer the n prompts of an iteration.
func (s *Sampler) Sample(ctx context.Context, iteration, n int) (rollout []*Sequence, flops int64, err error) {
	requests := make([]generate.Request, n)
	indices := make([]int, n)
	for i := range n {
		count := iteration*n + i
		epoch, at := count/len(s.Prompts), count%len(s.Prompts)
		if s.order == nil || epoch != s.epoch {
			s.epoch = epoch
			s.order = compute.Permutation(s.Seed, compute.Stream(s.Order)+uint64(epoch), len(s.Prompts))
		}
		indices[i] = s.order[at]
		requests[i] = generate.Request{Prompt: s.Prompts[indices[i]].Tokens, Sample: count}
	}
	before := s.generator.FLOPs
	completions, err := s.generator.All(ctx, requests, s.Sampling)
	if err != nil {
		return nil, 0, err
	}
	rollout = make([]*Sequence, n)
	texts := make([]Text, n)
	for i, c := range completions {
		prompt := s.Prompts[indices[i]]
		rollout[i] = &Sequence{Prompt: prompt.Tokens, Response: c.Tokens, Ended: c.Ended}
		tokens := slices.Concat(prompt.Tokens, c.Tokens)
		texts[i] = Text{prompt.Prompt, tokens, tokens[len(prompt.Tokens):], c.Ended}
	}
	scores, err := s.Reward(ctx, texts)
	if err != nil {
		return nil, 0, err
	}
	if len(scores) != len(texts) {
		return nil, 0, fmt.Errorf("rewarding iteration %d: %d scores for %d responses", iteration, len(scores), len(texts))
	}
	for i, score := range scores {
		if math.IsNaN(float64(score)) || math.IsInf(float64(score), 0) {
			return nil, 0, artifact.Errorf(artifact.ErrDiverged, "rewarding iteration %d: the score of response %d, to prompt %d, is %v; a reward must be a finite number", iteration, i, indices[i], score)
		}
		rollout[i].Score = score
	}
	return rollout, s.generator.FLOPs - before, nil
}
