package preference

import (
	"context"
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
)

// A Rule says how good completions are where no person does.
type Rule interface {
	// Name says what the rule is, so that nobody takes its order for a person's.
	Name() string
	// Judge returns a number for each completion, larger for a better one; NaN
	// for one that the rule cannot judge.
	Judge(ctx context.Context, completions []dataset.Completion) ([]float64, error)
}

// Length is the rule that the nearer an answer, prefill included, is to so many
// words (stats.Words), the better it is. One that was cut off, whose length nobody
// knows, is at best as good as an empty one.
type Length int

// Name implements Rule.
func (l Length) Name() string { return fmt.Sprintf("length near %d words", int(l)) }

// Judge implements Rule: minus the words that an answer is off.
func (l Length) Judge(_ context.Context, completions []dataset.Completion) ([]float64, error) {
	out := make([]float64, len(completions))
	for i, c := range completions {
		out[i] = -math.Abs(float64(stats.Words(c.Prompt.Prefill+c.Text) - int(l)))
		if !c.Ended {
			out[i] = min(out[i], -float64(l))
		}
	}
	return out, nil
}

// Name implements Rule.
func (p *Program) Name() string { return "program" }

// Judge implements Rule.
func (p *Program) Judge(ctx context.Context, completions []dataset.Completion) ([]float64, error) {
	scores, err := p.Scores(ctx, completions)
	return widen(scores), err
}

func widen(scores []float32) []float64 {
	out := make([]float64, len(scores))
	for i, s := range scores {
		out[i] = float64(s)
	}
	return out
}

// RewardModel is a reward model that judges completions as text: it renders them in
// its own chat form, so that the models that wrote them may have other tokenizers.
type RewardModel struct {
	scorer   *Scorer
	template *chat.Template
	context  int
}

// OpenRewardModel opens the folder of a reward model.
func OpenRewardModel(engine compute.Engine, folder string) (*RewardModel, error) {
	m, tok, err := train.LoadModel(engine, folder)
	if err != nil {
		return nil, err
	}
	scorer, err := NewScorer(m, ScoreRows, m.Context)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	template, err := chat.For(tok)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	return &RewardModel{scorer, template, m.Context}, nil
}

// Name implements Rule.
func (r *RewardModel) Name() string { return "reward model" }

// Judge implements Rule: the reward of each completion, NaN for one that does not
// fit into the model's context.
func (r *RewardModel) Judge(ctx context.Context, completions []dataset.Completion) ([]float64, error) {
	out := make([]float64, len(completions))
	var texts [][]int32
	var at []int // of each text
	for i, c := range completions {
		ids, err := c.Prompt.RenderAnswer(r.template, c.Text, c.Ended)
		if err != nil {
			return nil, artifact.Mark(artifact.ErrUsage, fmt.Errorf("rendering completion %d for the reward model: %w", i, err))
		}
		if len(ids) > r.context {
			out[i] = math.NaN()
			continue
		}
		texts, at = append(texts, ids), append(at, i)
	}
	scores, err := r.scorer.Scores(ctx, texts)
	for j, s := range scores {
		out[at[j]] = float64(s)
	}
	return out, err
}

// FLOPs is the count of all work so far.
func (r *RewardModel) FLOPs() int64 { return r.scorer.FLOPs() }
