package bench

import (
	"context"
	"time"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

// Train times steps of training on batches of random tokens: the forward and
// backward pass, the gradients' norm and their clipping, and AdamW.
func Train(ctx context.Context, s Setup, o Options) (Result, error) {
	return run(ctx, s, o, training)
}

func training(_ *cpu.Engine, m *model.Model, o Options) (work, error) {
	if err := o.adapt(m); err != nil {
		return work{}, err
	}
	lm, err := train.NewLanguageModel(m, o.Batch, o.Seq)
	if err != nil {
		return work{}, err
	}
	optimizer, err := train.NewOptimizer(m, train.DefaultOptimizer(1e-3).AdamW())
	if err != nil {
		return work{}, err
	}
	rows := train.NewTextRows(o.Batch, o.Seq)
	without := 0 // positions of a row
	if o.Targets > 0 {
		without = int((1 - o.Targets) * float64(o.Seq))
	}
	step := func(i int) (time.Duration, error) {
		for j := range rows.Tokens {
			rows.Tokens[j] = randomToken(uint64(i), 2*uint64(j), o.Vocab)
			rows.Targets[j] = randomToken(uint64(i), 2*uint64(j)+1, o.Vocab)
			if j%o.Seq < without {
				rows.Targets[j] = compute.IgnoreTarget
			}
		}
		start := time.Now()
		if _, err := lm.Accumulate(context.Background(), rows, 1/float64(o.Batch*(o.Seq-without))); err != nil {
			return 0, err
		}
		norm, err := optimizer.Norm()
		if err != nil {
			return 0, err
		}
		err = optimizer.Step(1e-3, norm)
		return time.Since(start), err
	}
	flops := func() int64 { return lm.FLOPsOf(rows) + optimizer.FLOPs() }
	return work{name: "train", tokens: o.Batch * o.Seq, step: step, flops: flops}, nil
}

// adapt puts the adapter that is asked for on a model.
func (o Options) adapt(m *model.Model) error {
	lora := train.DefaultLoRA()
	lora.Rank = o.LoRA
	return lora.AddTo(m, 1)
}
