package reward

import (
	"context"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// Trial takes a reward model's steps on rankings in memory, without a folder, a
// tokenizer or checkpoints: what a step costs can be measured with it.
type Trial struct {
	plan      []preference.Step
	rankings  []preference.Ranking
	loss      *rankingLoss
	optimizer *train.Optimizer
	rate      float64
}

// NewTrial prepares the steps of Config.Epochs of the rankings, in rows of
// Config.Context tokens. The model has a scalar head.
func NewTrial(c Config, m *model.Model, rankings []preference.Ranking) (*Trial, error) {
	t := &Trial{rankings: rankings, rate: c.LR}
	var err error
	if t.plan, err = plan(rankings, c, c.Context); err != nil {
		return nil, err
	}
	if t.loss, err = newLoss(m, t.plan, rankings, c, c.Context); err != nil {
		return nil, err
	}
	t.optimizer, err = train.NewOptimizer(m, c.AdamW())
	return t, err
}

// Step takes step number i of the plan, which begins again behind its end, and returns
// the FLOPs that it took.
func (t *Trial) Step(i int) (flops int64, err error) {
	step := t.plan[i%len(t.plan)]
	var sum stepSum
	for _, micro := range step.Micros {
		if err := t.loss.accumulate(context.Background(), &sum, t.rankings, micro, step.Prompts()); err != nil {
			return 0, err
		}
	}
	norm, err := t.optimizer.Norm()
	if err != nil {
		return 0, err
	}
	return sum.flops + t.optimizer.FLOPs(), t.optimizer.Step(t.rate, norm)
}
