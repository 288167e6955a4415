package ppo

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

func newEngine(t testing.TB) compute.Engine {
	engine := cpu.New(cpu.Options{Threads: 1})
	t.Cleanup(func() { engine.Close() })
	return engine
}

func tinyConfig(vocabulary, context int, head model.Head) model.Config {
	return model.Config{
		Family: model.Llama, Head: head, Vocabulary: vocabulary, Context: context, Width: 16, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 8,
		FeedForward: 24, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .4, BOS: -1, EOS: -1, Pad: -1,
	}
}

func newModel(t testing.TB, engine compute.Engine, c model.Config, seed uint64) *model.Model {
	t.Helper()
	m, err := model.New(engine, c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tinyPPO() Config {
	c := Defaults()
	c.Iterations, c.Prompts, c.Minibatch, c.MicroRows, c.Slots, c.MaxTokens = 3, 12, 6, 2, 4, 7
	c.PretrainCoef = 0
	return c
}

const (
	vocabulary = 13
	stopToken  = 2
)

// lab is a run on models without a tokenizer, whose parts can be looked at.
type lab struct {
	*run
	t                          testing.TB
	policy, reference, critic  *model.Model
	policyOptimizer, criticOpt *train.Optimizer
}

// newLab makes a run in which the reference is another model than the policy.
func newLab(t testing.TB, engine compute.Engine, c Config, length int, stream *dataset.Stream) *lab {
	t.Helper()
	l := &lab{
		t: t, run: newRun(c, length),
		policy:    newModel(t, engine, tinyConfig(vocabulary, 40, model.LanguageModel), 1),
		reference: newModel(t, engine, tinyConfig(vocabulary, 40, model.LanguageModel), 2),
		critic:    newModel(t, engine, tinyConfig(vocabulary, 40, model.Scalar), 3),
	}
	l.stream = stream
	l.sampler.Stop = []int32{stopToken}
	for i := range 9 {
		prompt := make([]int32, 1+i%4)
		for j := range prompt {
			prompt[j] = int32(3 + (i+j)%10)
		}
		l.sampler.Prompts = append(l.sampler.Prompts, rollout.Prompt{Tokens: prompt})
	}
	l.sampler.Reward = func(_ context.Context, texts []Text) ([]float32, error) {
		scores := make([]float32, len(texts))
		for i, x := range texts {
			scores[i] = float32(x.Response[0]) / 3
		}
		return scores, nil
	}
	if err := l.compile(l.policy, l.reference, l.critic); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.policyOptimizer, err = train.NewOptimizer(l.policy, c.AdamW()); err != nil {
		t.Fatal(err)
	}
	if l.criticOpt, err = train.NewOptimizer(l.critic, c.AdamW()); err != nil {
		t.Fatal(err)
	}
	return l
}

// roll makes a rollout and leaves it in the run.
func (l *lab) roll() []*sequence {
	l.t.Helper()
	sequences, err := l.sample(l.t.Context(), 0)
	if err == nil {
		err = l.measure(l.t.Context(), sequences)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.config.estimate(sequences, l.config.Beta)
	l.rollout.Iteration, l.rollout.Sequences = 0, sequences
	return sequences
}

// take runs a step with the optimizers at a rate.
func (l *lab) take(step int, lr float64) (train.StepReport, minibatchSum) {
	l.t.Helper()
	var seen minibatchSum
	report, err := l.step(l.t.Context(), step, func(s *minibatchSum, _ func() string) error {
		for _, o := range []*train.Optimizer{l.policyOptimizer, l.criticOpt} {
			norm, err := o.Norm()
			if err == nil {
				err = o.Step(lr, norm)
			}
			if err != nil {
				return err
			}
		}
		seen = *s
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return report, seen
}

func metric(t testing.TB, metrics []train.Metric, name string) float64 {
	t.Helper()
	for _, m := range metrics {
		if m.Name == name {
			return m.Value
		}
	}
	t.Fatalf("no metric %q", name)
	return 0
}

func gradients(t testing.TB, m *model.Model) map[string][]float32 {
	t.Helper()
	out := make(map[string][]float32)
	for _, p := range m.Parameters() {
		g, err := train.Gradient(m, p)
		if err != nil {
			t.Fatal(err)
		}
		out[p.Name] = g
	}
	return out
}

func farthest(a, b map[string][]float32) (most float64) {
	for name := range a {
		for i := range a[name] {
			most = max(most, math.Abs(float64(a[name][i]-b[name][i])))
		}
	}
	return most
}

func digest(t testing.TB, m *model.Model) [32]byte {
	t.Helper()
	sum, err := file.Digest(m)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// newText writes shards of text and opens a stream of rows of length tokens.
func newText(t testing.TB, vocabulary, length int) (*dataset.Stream, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "text")
	w, err := dataset.NewShardWriter(folder, dataset.ShardOptions{VocabSize: vocabulary, EndToken: 0})
	if err != nil {
		t.Fatal(err)
	}
	for doc := range 20 {
		ids := make([]int32, 37)
		for i := range ids {
			ids[i] = int32(compute.Bits(8, uint64(doc), uint64(i))%uint64(vocabulary-4)) + 4
		}
		if err := w.Append(ids); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	shards, err := dataset.OpenShards(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shards.Close() })
	stream, err := dataset.NewStream(shards, dataset.StreamOptions{T: length, Seed: 0, Shuffle: true})
	if err != nil {
		t.Fatal(err)
	}
	return stream, folder
}
