package bench

import (
	"context"
	"time"

	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train/preference"
	"github.com/seed-b72bdb6c/alma/train/reward"
)

// Reward times steps of a reward model on pairs of random texts, each as long as a row,
// that go through the model together: the forward and backward pass, the gradients'
// norm and their clipping, and AdamW.
func Reward(ctx context.Context, s Setup, o Options) (Result, error) {
	return run(ctx, s, o, rewarding)
}

func rewarding(_ *cpu.Engine, m *model.Model, o Options) (work, error) {
	m, err := m.WithHead(model.Scalar, 1)
	if err != nil {
		return work{}, err
	}
	if err := o.adapt(m); err != nil {
		return work{}, err
	}
	rankings := make([]preference.Ranking, o.Batch)
	for i := range rankings {
		r := preference.Ranking{Texts: make([][]int32, 2), Ranks: []int{1, 2}, Pairs: [][2]int{{0, 1}}}
		for k := range r.Texts {
			r.Texts[k] = make([]int32, o.Seq)
			for j := range r.Texts[k] {
				r.Texts[k][j] = randomToken(uint64(2*i+k), uint64(j), o.Vocab)
			}
		}
		rankings[i] = r
	}
	c := reward.Defaults()
	c.BatchPrompts, c.MicroRows, c.Context = o.Batch, 2*o.Batch, o.Seq
	trial, err := reward.NewTrial(c, m, rankings)
	if err != nil {
		return work{}, err
	}
	var flops int64
	step := func(i int) (time.Duration, error) {
		start := time.Now()
		flops, err = trial.Step(i)
		return time.Since(start), err
	}
	return work{name: "reward", tokens: 2 * o.Batch * o.Seq, step: step, flops: func() int64 { return flops }}, nil
}
