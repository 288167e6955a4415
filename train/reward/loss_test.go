package reward

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// oneStep computes the loss of rankings as one step and leaves its gradients
// in the model.
func oneStep(t testing.TB, m *model.Model, rankings []preference.Ranking, c Config, length int) stepSum {
	t.Helper()
	c.Epochs, c.BatchPrompts = 1, len(rankings)
	steps, err := plan(rankings, c, length)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 1 {
		t.Fatalf("%d steps, want 1", len(steps))
	}
	loss, err := newLoss(m, steps, rankings, c, length)
	if err != nil {
		t.Fatal(err)
	}
	var sum stepSum
	for _, micro := range steps[0].Micros {
		if err := loss.accumulate(t.Context(), &sum, rankings, micro, steps[0].Prompts()); err != nil {
			t.Fatal(err)
		}
	}
	return sum
}

// naiveLoss is the loss as the paper's equation 1 reads, in float64: for each
// prompt a loop over pairs, each text scored alone.
func naiveLoss(t testing.TB, s *preference.Scorer, rankings []preference.Ranking, margin, centering float64) float64 {
	t.Helper()
	total := 0.0
	for _, r := range rankings {
		rewards := make([]float64, len(r.Texts))
		for k, text := range r.Texts {
			scores, err := s.Scores(t.Context(), [][]int32{text})
			if err != nil {
				t.Fatal(err)
			}
			rewards[k] = float64(scores[0])
		}
		sum, pairs := 0.0, 0
		for i := range rewards {
			for j := range rewards {
				if r.Ranks[i] < r.Ranks[j] {
					sum -= math.Log(1 / (1 + math.Exp(-(rewards[i] - rewards[j] - margin))))
					sum += centering * math.Pow(rewards[i]+rewards[j], 2)
					pairs++
				}
			}
		}
		total += sum / float64(pairs)
	}
	return total / float64(len(rankings))
}

func checkAgainstPairLoop(t *testing.T, c Config) {
	t.Helper()
	tok := newTokenizer(t)
	m := newRewardModel(t, reference.New(), tok)
	write(t, m, model.ScoreBias, .3)
	rankings := randomRankings(tok.VocabSize(),
		[]int{2, 1, 4, 3}, []int{1, 2}, []int{1, 1, 3, 3}, []int{3, 1, 2, 5, 4, 6, 7, 9, 8}, []int{2, 2, 1})
	got := oneStep(t, m, rankings, c, 48)
	want := naiveLoss(t, newScorer(t, m, 1, 48), rankings, c.Margin, c.Centering)
	if math.Abs(got.loss-want) > 1e-6 {
		t.Errorf("loss %.9f, the pair loop gives %.9f", got.loss, want)
	}
	if want := 6 + 1 + 4 + 36 + 2; got.pairs != want {
		t.Errorf("%d pairs, want %d: ties are none", got.pairs, want)
	}
}

func TestReward11LossIsTheNaivePairLoop(t *testing.T) {
	for _, rows := range []int{3, 5, 16} {
		t.Run(fmt.Sprint("micro-batches of ", rows), func(t *testing.T) {
			checkAgainstPairLoop(t, Config{MicroRows: rows})
		})
	}
}

func TestReward14MarginAndCenteringJoinTheLoss(t *testing.T) {
	if c := Defaults(); c.Margin != 0 || c.Centering != 0 {
		t.Errorf("margin %g and centering %g by default, want neither", c.Margin, c.Centering)
	}
	for _, c := range []struct{ margin, centering float64 }{{.5, 0}, {0, .01}, {1, .1}} {
		t.Run(fmt.Sprintf("margin %g, centering %g", c.margin, c.centering), func(t *testing.T) {
			checkAgainstPairLoop(t, Config{MicroRows: 4, Margin: c.margin, Centering: c.centering})
		})
	}
}

// countingEngine counts the texts that go through programs of one name.
type countingEngine struct {
	compute.Engine
	name  string
	texts int
	last  [][]int32 // tokens of each text
}

type countingExecutable struct {
	compute.Executable
	engine *countingEngine
}

func (e *countingEngine) Compile(p *compute.Program, s compute.Store) (compute.Executable, error) {
	x, err := e.Engine.Compile(p, s)
	if err == nil && p.Name == e.name {
		return countingExecutable{x, e}, nil
	}
	return x, err
}

func (x countingExecutable) Run() error {
	for i, position := range x.Ints("positions") {
		if position == 0 && x.Ints("segments")[i] >= 0 {
			x.engine.texts++
			x.engine.last = append(x.engine.last, nil)
		}
		if n := len(x.engine.last); x.Ints("segments")[i] >= 0 {
			x.engine.last[n-1] = append(x.engine.last[n-1], x.Ints("tokens")[i])
		}
	}
	return x.Executable.Run()
}

func TestReward11EveryCompletionGoesThroughTheModelOnce(t *testing.T) {
	tok := newTokenizer(t)
	engine := &countingEngine{Engine: reference.New(), name: "ranking loss"}
	m := newRewardModel(t, engine, tok)
	rankings := randomRankings(tok.VocabSize(), []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, []int{2, 1, 3, 4}, []int{1, 2})
	oneStep(t, m, rankings, Config{MicroRows: 3}, 48)
	if want := 9 + 4 + 2; engine.texts != want {
		t.Errorf("%d forward passes, want %d", engine.texts, want)
	}
	for _, r := range rankings {
		for k, text := range r.Texts {
			n := 0
			for _, seen := range engine.last {
				if slices.Equal(seen, text) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("completion %d of prompt %d went through the model %d times", k, r.Line, n)
			}
		}
	}
}

func TestReward11AConstantAddedToAllRewardsChangesNothing(t *testing.T) {
	tok := newTokenizer(t)
	rankings := randomRankings(tok.VocabSize(), []int{2, 1, 4, 3}, []int{1, 1, 2})
	// A centering too small to count keeps the bias in the loss; without any
	// the loss is computed without it, and its gradient is exactly 0.
	for _, c := range []struct{ centering, tolerance float64 }{{0, 0}, {1e-30, 1e-5}} {
		run := func(bias float32) (float64, map[string][]float32) {
			m := newRewardModel(t, reference.New(), tok)
			write(t, m, model.ScoreBias, bias)
			sum := oneStep(t, m, rankings, Config{MicroRows: 4, Centering: c.centering}, 48)
			return sum.loss, gradients(t, m)
		}
		plain, gradPlain := run(0)
		moved, gradMoved := run(7)
		if math.Abs(plain-moved) > c.tolerance {
			t.Errorf("loss %v, with a constant %v", plain, moved)
		}
		for name, g := range gradPlain {
			for i := range g {
				if math.Abs(float64(g[i]-gradMoved[name][i])) > c.tolerance {
					t.Errorf("the gradient of %s[%d] is %g, with a constant %g", name, i, g[i], gradMoved[name][i])
				}
			}
		}
		if g := gradPlain[model.ScoreBias][0]; math.Abs(float64(g)) > c.tolerance {
			t.Errorf("gradient of the bias %g, want 0 within %g", g, c.tolerance)
		}
	}
}

func TestGradientReachesEveryParameterAndIsThatOfMicroBatches(t *testing.T) {
	tok := newTokenizer(t)
	rankings := randomRankings(tok.VocabSize(), []int{2, 1, 4, 3}, []int{1, 2, 3}, []int{3, 2, 1, 4})
	run := func(rows int) map[string][]float32 {
		m := newRewardModel(t, reference.New(), tok)
		oneStep(t, m, rankings, Config{MicroRows: rows, Centering: .01}, 48)
		return gradients(t, m)
	}
	whole, parts := run(16), run(2)
	for name, g := range whole {
		var norm, difference float64
		for i := range g {
			norm += float64(g[i]) * float64(g[i])
			difference += math.Pow(float64(g[i]-parts[name][i]), 2)
		}
		if norm == 0 {
			t.Errorf("no gradient reaches %s", name)
		}
		if difference > 1e-10*norm {
			t.Errorf("the gradient of %s in micro-batches differs by %g of its norm", name, math.Sqrt(difference/norm))
		}
	}
}

func TestGradientIsTheSlopeOfTheLoss(t *testing.T) {
	tok := newTokenizer(t)
	rankings := randomRankings(tok.VocabSize(), []int{2, 1, 4, 3}, []int{1, 1, 2})
	config := Config{MicroRows: 4, Margin: .3, Centering: .05}
	m := newRewardModel(t, reference.New(), tok)
	oneStep(t, m, rankings, config, 48)
	grads := gradients(t, m)
	scorer := newScorer(t, m, 1, 48)
	for _, name := range []string{model.ScoreWeight, model.ScoreBias, "model.layers.0.mlp.up_proj.weight", "model.norm.weight"} {
		weights := read(t, m, name)
		for i := 0; i < len(weights); i += max(1, len(weights)/3) {
			const h = 1e-2
			at := func(d float32) float64 {
				moved := slices.Clone(weights)
				moved[i] += d
				write(t, m, name, moved...)
				return naiveLoss(t, scorer, rankings, config.Margin, config.Centering)
			}
			slope := (at(h) - at(-h)) / (2 * h)
			if got := float64(grads[name][i]); math.Abs(got-slope) > 1e-3*max(1, math.Abs(slope)) {
				t.Errorf("gradient of %s[%d] is %g, the slope %g", name, i, got, slope)
			}
		}
		write(t, m, name, weights...)
	}
}

// BenchmarkStep is one update of a model of 2.2 million parameters on 16
// prompts with 4 completions of about 90 tokens.
func BenchmarkStep(b *testing.B) {
	engine := newCPU(b, 0)
	c := Defaults()
	m := newModel(b, engine, model.Config{
		Family: model.Llama, Head: model.Scalar, Vocabulary: 2048, Context: 256,
		Width: 192, Layers: 4, Heads: 6, KVHeads: 6, HeadDim: 32, FeedForward: 512,
		Epsilon: 1e-6, RoPETheta: 10000, Tied: true, InitRange: .02, BOS: -1, EOS: -1, Pad: 3,
	})
	var rankings []preference.Ranking
	for i := range c.BatchPrompts {
		ranks := []int{2, 1, 4, 3}
		rankings = append(rankings, preference.Ranking{Line: i, Texts: randomTexts(4, 60, 120, m.Vocabulary, uint64(i)), Ranks: ranks, Pairs: dataset.Pairs(ranks)})
	}
	steps, err := plan(rankings, c, m.Context)
	if err != nil {
		b.Fatal(err)
	}
	loss, err := newLoss(m, steps, rankings, c, m.Context)
	if err != nil {
		b.Fatal(err)
	}
	optimizer, err := train.NewOptimizer(m, c.AdamW())
	if err != nil {
		b.Fatal(err)
	}
	var sum stepSum
	for b.Loop() {
		for _, micro := range steps[0].Micros {
			if err := loss.accumulate(b.Context(), &sum, rankings, micro, steps[0].Prompts()); err != nil {
				b.Fatal(err)
			}
		}
		norm, err := optimizer.Norm()
		if err != nil {
			b.Fatal(err)
		}
		if err := optimizer.Step(c.LR, norm); err != nil {
			b.Fatal(err)
		}
		sum.flops += optimizer.FLOPs()
	}
	b.ReportMetric(float64(sum.tokens)/b.Elapsed().Seconds(), "tok/s")
	b.ReportMetric(float64(sum.flops)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
