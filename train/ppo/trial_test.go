package ppo

import (
	"context"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
)

func TestTrialTrainsPolicyAndCriticAndCountsItsWork(t *testing.T) {
	engine := cpu.New(cpu.Options{Threads: 2})
	defer engine.Close()
	config := model.Config{
		Family: model.GPT2, Head: model.LanguageModel, Vocabulary: 32, Context: 12,
		Width: 16, Layers: 1, Heads: 2, KVHeads: 2, HeadDim: 8, FeedForward: 64,
		Epsilon: 1e-5, Tied: true, InitRange: .02, BOS: -1, EOS: -1, Pad: -1,
	}
	policy, err := model.New(engine, config, 1)
	if err != nil {
		t.Fatal(err)
	}
	critic, err := policy.WithHead(model.Scalar, 2)
	if err != nil {
		t.Fatal(err)
	}
	weights := func() (p, c [32]byte) { return digest(t, policy), digest(t, critic) }
	c := Defaults()
	c.Iterations, c.Prompts, c.Minibatch, c.Epochs, c.MicroRows, c.Slots = 2, 4, 2, 2, 2, 4
	c.Context, c.MaxTokens, c.PretrainCoef = 12, 8, 0
	var scored int
	trial, err := NewTrial(c, policy, critic, [][]int32{{1, 2, 3, 4}, {5, 6, 7, 8}}, func(_ context.Context, texts []Text) ([]float32, error) {
		scores := make([]float32, len(texts))
		for i, text := range texts {
			scored++
			scores[i] = float32(text.Response[0])
			if len(text.Response) != c.MaxTokens {
				t.Errorf("a response of %d tokens, want %d", len(text.Response), c.MaxTokens)
			}
		}
		return scores, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var work []int64
	for range 2 {
		p0, c0 := weights()
		flops, err := trial.Iterate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		work = append(work, flops)
		p1, c1 := weights()
		if p0 == p1 {
			t.Error("the policy did not change")
		}
		if c0 == c1 {
			t.Error("the critic did not change")
		}
	}
	if work[0] <= 0 || work[0] != work[1] {
		t.Errorf("iterations of the same shapes took %v FLOPs", work)
	}
	if scored != 2*c.Prompts {
		t.Errorf("%d responses were rewarded, want %d", scored, 2*c.Prompts)
	}
}

func TestTrialTrainsTheAdapterThatIsAskedFor(t *testing.T) {
	engine := cpu.New(cpu.Options{Threads: 1})
	defer engine.Close()
	policy, err := model.New(engine, tinyConfig(32, 12, model.LanguageModel), 1)
	if err != nil {
		t.Fatal(err)
	}
	critic, err := policy.WithHead(model.Scalar, 2)
	if err != nil {
		t.Fatal(err)
	}
	c := Defaults()
	c.Context, c.MaxTokens, c.PretrainCoef, c.LoRAConfig.Rank = 12, 8, 0, 2
	if _, err := NewTrial(c, policy, critic, [][]int32{{1, 2}}, nil); err != nil {
		t.Fatal(err)
	}
	if policy.Adapter == nil || policy.Adapter.Rank != 2 || critic.Adapter == nil {
		t.Errorf("adapters %+v and %+v, want rank 2", policy.Adapter, critic.Adapter)
	}
}

func TestTrialRefusesAPretrainingMix(t *testing.T) {
	if _, err := NewTrial(Defaults(), nil, nil, nil, nil); err == nil {
		t.Error("a trial with a pretraining mix was accepted")
	}
}
