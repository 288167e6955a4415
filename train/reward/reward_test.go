package reward

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

func newTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	docs := func(yield func(string, error) bool) {
		yield(strings.Repeat("say it up say it down say it up and say it down user assistant ", 3), nil)
	}
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 280})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func tinyConfig(tok *tokenizer.Tokenizer) model.Config {
	pad, _ := tok.Pad()
	return model.Config{
		Family: model.Llama, Head: model.LanguageModel, Vocabulary: tok.VocabSize(), Context: 64,
		Width: 32, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 16, FeedForward: 48,
		Epsilon: 1e-6, RoPETheta: 10000, Tied: true, InitRange: .08, BOS: -1, EOS: -1, Pad: int(pad),
	}
}

func newModel(t testing.TB, engine compute.Engine, c model.Config) *model.Model {
	t.Helper()
	m, err := model.New(engine, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newRewardModel(t testing.TB, engine compute.Engine, tok *tokenizer.Tokenizer) *model.Model {
	t.Helper()
	c := tinyConfig(tok)
	c.Head = model.Scalar
	return newModel(t, engine, c)
}

func newScorer(t testing.TB, m *model.Model, rows, length int) *preference.Scorer {
	t.Helper()
	s, err := preference.NewScorer(m, rows, length)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t testing.TB, m *model.Model, name string) []float32 {
	t.Helper()
	shape, ok := m.Store.Shape(name)
	if !ok {
		t.Fatalf("the model has no %s", name)
	}
	data := make([]float32, shape.Size())
	if err := m.Store.Read(name, data); err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, m *model.Model, name string, data ...float32) {
	t.Helper()
	if err := m.Store.Write(name, data); err != nil {
		t.Fatal(err)
	}
}

// randomTexts draws token sequences that hold no pad token.
func randomTexts(n, least, most, vocabulary int, seed uint64) [][]int32 {
	texts := make([][]int32, n)
	for i := range texts {
		texts[i] = make([]int32, least+int(compute.Bits(seed, 1, uint64(i))%uint64(most-least+1)))
		for j := range texts[i] {
			texts[i][j] = 4 + int32(compute.Bits(seed, 2, uint64(i*1000+j))%uint64(vocabulary-4))
		}
	}
	return texts
}

// randomRankings makes a ranking of random texts of each list of ranks.
func randomRankings(vocabulary int, ranks ...[]int) []preference.Ranking {
	var list []preference.Ranking
	for i, r := range ranks {
		list = append(list, preference.Ranking{Index: i, Texts: randomTexts(len(r), 3, 14, vocabulary, uint64(i+1)), Ranks: r, Pairs: dataset.Pairs(r)})
	}
	return list
}

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
		if err := loss.accumulate(&sum, rankings, micro, steps[0].Prompts()); err != nil {
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

func TestReward9HeadIsNormalWithBiasZero(t *testing.T) {
	c := tinyConfig(newTokenizer(t))
	c.Width, c.Layers, c.FeedForward = 768, 1, 4
	m, err := newModel(t, reference.New(), c).WithHead(model.Scalar, 5)
	if err != nil {
		t.Fatal(err)
	}
	weights := read(t, m, model.ScoreWeight)
	var sum, squares float64
	for _, w := range weights {
		sum += float64(w)
		squares += float64(w) * float64(w)
	}
	n := float64(len(weights))
	std := 1 / math.Sqrt(float64(c.Width)+1)
	if got := sum / n; math.Abs(got) > 4*std/math.Sqrt(n) {
		t.Errorf("mean of the head's weights %g, want 0 within %g", got, 4*std/math.Sqrt(n))
	}
	if got := math.Sqrt(squares / n); math.Abs(got/std-1) > .1 {
		t.Errorf("standard deviation of the head's weights %g, want %g", got, std)
	}
	if bias := read(t, m, model.ScoreBias); bias[0] != 0 {
		t.Errorf("bias %g, want 0", bias[0])
	}
	if len(weights) != c.Width || c.Tied != true {
		t.Errorf("%d weights for width %d", len(weights), c.Width)
	}
}

func TestReward10RenderEndsWithTheLastRealToken(t *testing.T) {
	tok := newTokenizer(t)
	prompt := dataset.UserPrompt("say it", "say")
	end, _ := tok.TokenID(tokenizer.IMEnd)
	ended, err := Render(tok, prompt, " it up", true)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := Render(tok, prompt, " it up", false)
	if err != nil {
		t.Fatal(err)
	}
	if ended[len(ended)-1] != end || !slices.Equal(ended[:len(ended)-1], cut) {
		t.Errorf("ended %v is not the cut-off %v and %d", ended, cut, end)
	}
	if want := tok.Encode(" it up"); !slices.Equal(cut[len(cut)-len(want):], want) {
		t.Errorf("cut off %v does not end with the completion %v", cut, want)
	}
	// What the language model was fine-tuned on for the same answer.
	chat, mask, err := tok.RenderChat(prompt.Dialogue(" it up").Messages, false)
	if err != nil {
		t.Fatal(err)
	}
	last := len(mask) - 1
	for !mask[last] {
		last--
	}
	if !slices.Equal(chat[:last+1], ended) {
		t.Errorf("rendered as %v, the dialogue as %v", ended, chat[:last+1])
	}
}

func TestReward10ScoreIsThatOfTheLastRealToken(t *testing.T) {
	tok := newTokenizer(t)
	m := newRewardModel(t, reference.New(), tok)
	write(t, m, model.ScoreBias, .25)
	texts := randomTexts(9, 1, 16, tok.VocabSize(), 3)
	got, err := newScorer(t, m, 2, 20).Scores(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		// One row without any padding: the last position is the last token.
		p := compute.NewProgram("alone")
		p.Output("rewards", m.Score(p, m.Hidden(p, m.NewBatch(p, 1, len(text)))))
		x, err := m.Engine.Compile(p, m.Store)
		if err != nil {
			t.Fatal(err)
		}
		copy(x.Ints("tokens"), text)
		for j := range text {
			x.Ints("positions")[j], x.Ints("segments")[j] = int32(j), 0
		}
		if err := x.Run(); err != nil {
			t.Fatal(err)
		}
		if want := x.Floats("rewards")[len(text)-1]; math.Abs(float64(got[i]-want)) > 1e-6 {
			t.Errorf("text %d of %d tokens: reward %g, want %g", i, len(text), got[i], want)
		}
	}
}

func TestScoresDoNotDependOnPackingNorOrder(t *testing.T) {
	tok := newTokenizer(t)
	engine := cpu.New(cpu.Options{Threads: 2})
	defer engine.Close()
	m := newRewardModel(t, engine, tok)
	texts := randomTexts(40, 1, 30, tok.VocabSize(), 4)
	want, err := newScorer(t, m, 4, 32).Scores(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ rows, length int }{{1, 32}, {3, 64}, {8, 33}} {
		s := newScorer(t, m, c.rows, c.length)
		shuffled := make([][]int32, len(texts))
		order := compute.Permutation(9, uint64(c.rows), len(texts))
		for i, x := range order {
			shuffled[i] = texts[x]
		}
		got, err := s.Scores(t.Context(), shuffled)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range order {
			if got[i] != want[x] {
				t.Errorf("%d rows of %d: text %d has reward %g, want %g", c.rows, c.length, x, got[i], want[x])
			}
		}
	}
}

func TestScorerRefusesWhatItCannotScore(t *testing.T) {
	tok := newTokenizer(t)
	m := newRewardModel(t, reference.New(), tok)
	if _, err := preference.NewScorer(newModel(t, reference.New(), tinyConfig(tok)), 1, 8); !errors.Is(err, artifact.ErrUsage) {
		t.Errorf("a language model's head: %v", err)
	}
	for _, c := range [][2]int{{0, 8}, {1, 0}, {1, 65}} {
		if _, err := preference.NewScorer(m, c[0], c[1]); !errors.Is(err, artifact.ErrUsage) {
			t.Errorf("%d rows of %d tokens: %v", c[0], c[1], err)
		}
	}
	s := newScorer(t, m, 1, 8)
	for _, n := range []int{0, 9} {
		if _, err := s.Scores(t.Context(), [][]int32{{5}, make([]int32, n)}); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "text 1") {
			t.Errorf("a text of %d tokens: %v", n, err)
		}
	}
	if got, err := s.Scores(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no texts: %v, %v", got, err)
	}
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(artifact.ErrInterrupted)
	if _, err := s.Scores(cancelled, [][]int32{{5}}); !errors.Is(err, artifact.ErrInterrupted) {
		t.Errorf("a context that has ended: %v", err)
	}
	write(t, m, model.ScoreBias, float32(math.Inf(1)))
	if _, err := s.Scores(t.Context(), [][]int32{{5}}); !errors.Is(err, artifact.ErrDiverged) {
		t.Errorf("an infinite reward: %v", err)
	}
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
				t.Errorf("completion %d of prompt %d went through the model %d times", k, r.Index, n)
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

func TestReward12EveryPromptIsSeenOnceByDefault(t *testing.T) {
	rankings := randomRankings(200, slices.Repeat([][]int{{2, 1, 3}}, 23)...)
	c := Defaults()
	if c.Epochs != 1 {
		t.Fatalf("%g epochs by default, want 1", c.Epochs)
	}
	for _, test := range []struct {
		epochs float64
		steps  int
		seen   int
	}{{1, 2, 23}, {2, 4, 46}, {1.5, 3, 34}} {
		c.Epochs = test.epochs
		steps, err := plan(rankings, c, 64)
		if err != nil {
			t.Fatal(err)
		}
		seen, total := make([]int, len(rankings)), 0
		for _, s := range steps {
			for _, m := range s.Micros {
				if len(m.Rows) > c.MicroRows {
					t.Errorf("a micro-batch of %d rows, want at most %d", len(m.Rows), c.MicroRows)
				}
				for _, x := range m.Prompts {
					seen[x]++
					total++
				}
			}
		}
		if len(steps) != test.steps || total != test.seen || slices.Min(seen) < int(test.epochs) {
			t.Errorf("%g epochs: %d steps, %d prompts, each at least %d times", test.epochs, len(steps), total, slices.Min(seen))
		}
	}
}

func TestReward15MeasuresOfKnownRewards(t *testing.T) {
	// Leads of the pairs: 2 and −1 one rank apart, 1 two ranks apart; 0 for
	// the second prompt; the third is a tie.
	v := Measure([]Scored{
		{[]float32{3, 1, 2}, []int{1, 2, 3}},
		{[]float32{5, 5}, []int{2, 1}},
		{[]float32{0, 9}, []int{1, 1}},
	})
	sigma := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s %g, want %g", what, got, want)
		}
	}
	if v.Prompts != 3 || v.Pairs != 4 {
		t.Errorf("%d prompts and %d pairs, want 3 and 4", v.Prompts, v.Pairs)
	}
	near("accuracy", v.Accuracy, 2.5/4)
	near("nll", v.NLL, -(math.Log(sigma(2))+math.Log(sigma(-1))+math.Log(sigma(1))+math.Log(.5))/4)
	// .88 is right; .73 once right, once wrong; .5 half right.
	near("ece", v.ECE, (1-sigma(2))/4+2*math.Abs(.5-sigma(1))/4)
	near("accuracy one rank apart", v.ByRankGap[0].Accuracy, 1.5/3)
	near("accuracy two ranks apart", v.ByRankGap[1].Accuracy, 1)
	if got := []int{v.ByMargin[0].N, v.ByMargin[1].N, v.ByMargin[2].N, v.ByMargin[3].N, v.ByMargin[4].N}; !slices.Equal(got, []int{1, 0, 2, 1, 0}) {
		t.Errorf("pairs by margin %v", got)
	}
	near("accuracy at a margin of 1", v.ByMargin[2].Accuracy, .5)
	if got := v.Reliability[9].Low; got != .95 {
		t.Errorf("the last bin begins at %g", got)
	}
}

// words draws a text of "up" and "down"; the fewer "up", the better.
func words(seed, index uint64) (text string, ups int) {
	var b strings.Builder
	for i := range uint64(6) {
		if compute.Uniform(seed, index, i) < .5 {
			b.WriteString(" up")
			ups++
		} else {
			b.WriteString(" down")
		}
	}
	return b.String(), ups
}

// workplace is a folder with the inputs of a run.
type workplace struct {
	folder string
	inputs Inputs
}

// newWorkplace writes n rankings, a fifth as many for validation, and
// demonstrations.
func newWorkplace(t testing.TB, n int) workplace {
	t.Helper()
	w := workplace{folder: t.TempDir()}
	w.inputs = Inputs{
		Base: filepath.Join(w.folder, "base"), Rankings: filepath.Join(w.folder, "rankings.jsonl"),
		Validation: filepath.Join(w.folder, "validation.jsonl"), Demonstrations: filepath.Join(w.folder, "demonstrations.jsonl"),
	}
	tok := newTokenizer(t)
	if err := os.Mkdir(w.inputs.Base, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := train.SaveModel(w.inputs.Base, "", newModel(t, reference.New(), tinyConfig(tok)), tok, 1, chat.Ends(tok, nil)); err != nil {
		t.Fatal(err)
	}
	makeRankings := func(n int, seed uint64) []dataset.Ranking {
		var list []dataset.Ranking
		for i := range n {
			r := dataset.Ranking{Prompt: dataset.UserPrompt(fmt.Sprint("say it ", i%10), "say"), Ended: []bool{true, true, false, true}, Annotator: "simulated annotator"}
			var ups []int
			for k := range 4 {
				text, n := words(seed, uint64(4*i+k))
				r.Completions, ups = append(r.Completions, text), append(ups, n)
			}
			for _, n := range ups {
				rank := 1
				for _, other := range ups {
					if other < n {
						rank++
					}
				}
				r.Ranks = append(r.Ranks, rank)
			}
			list = append(list, r)
		}
		return list
	}
	for path, list := range map[string][]dataset.Ranking{w.inputs.Rankings: makeRankings(n, 1), w.inputs.Validation: makeRankings(n/5, 2)} {
		if err := dataset.WriteRankings(path, list); err != nil {
			t.Fatal(err)
		}
	}
	var chats []tokenizer.Chat
	for i := range 30 {
		text, _ := words(3, uint64(i))
		chats = append(chats, dataset.UserPrompt("say it", "say").Dialogue(text))
	}
	if err := dataset.WriteDialogues(w.inputs.Demonstrations, chats); err != nil {
		t.Fatal(err)
	}
	return w
}

func environment(engine compute.Engine) stage.Environment {
	return stage.Environment{Engine: engine, Log: &progress.Log{Progress: progress.NewTo(progress.Options{Out: io.Discard})}}
}

func newCPU(t testing.TB, threads int) *cpu.Engine {
	engine := cpu.New(cpu.Options{Threads: threads})
	t.Cleanup(func() { engine.Close() })
	return engine
}

func small() Config {
	c := Defaults()
	c.BatchPrompts, c.MicroRows, c.Context, c.LR = 4, 4, 48, 3e-3
	return c
}

func runIn(t testing.TB, engine compute.Engine, c Config, w workplace, name string) (*artifact.Manifest, string) {
	t.Helper()
	out := filepath.Join(w.folder, name)
	manifest, err := Run(t.Context(), environment(engine), c, w.inputs, out)
	if err != nil {
		t.Fatal(err)
	}
	return manifest, out
}

func TestARewardModelLearnsAVisibleRule(t *testing.T) {
	w := newWorkplace(t, 500)
	c := small()
	c.BatchPrompts, c.MicroRows = 8, 8
	engine := newCPU(t, 2)
	untrained := c
	untrained.LR = 1e-30
	before, _ := runIn(t, engine, untrained, w, "untrained")
	if got := before.Metrics["validation/accuracy"]; got > .6 {
		t.Fatalf("accuracy on held-out rankings %.3f without training: nothing to learn", got)
	}
	manifest, out := runIn(t, engine, c, w, "out")
	if got := manifest.Metrics["validation/accuracy"]; !(got >= .9) {
		t.Errorf("accuracy on held-out rankings %.3f, want at least .9", got)
	}
	if manifest.Kind != "reward" || manifest.Extra["annotators"] != "simulated annotator" {
		t.Errorf("kind %q, annotators %q", manifest.Kind, manifest.Extra["annotators"])
	}
	if _, err := artifact.Open(out, true); err != nil {
		t.Error(err)
	}

	var v Validation
	data, err := os.ReadFile(filepath.Join(out, ValidationFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	// TestReward15: what is reported.
	if v.Accuracy != manifest.Metrics["validation/accuracy"] || v.NLL != manifest.Metrics["validation/nll"] || v.ECE != manifest.Metrics["validation/ece"] || len(v.Reliability) != reliabilityBins {
		t.Errorf("%s says %+v, the manifest %v", ValidationFile, v, manifest.Metrics)
	}

	// TestReward13, on the model as it lies in the folder.
	m, tok, err := train.LoadModel(engine, out)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := loadDemonstrations(tok, w.inputs.Demonstrations, c, 48)
	if err != nil {
		t.Fatal(err)
	}
	rewards, err := newScorer(t, m, 3, 64).Scores(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	if got := mean(rewards); len(rewards) != 30 || math.Abs(got) > 1e-3 {
		t.Errorf("mean reward of %d demonstrations %g, want 0 within 1e-3", len(rewards), got)
	}
}

func TestReward13BiasMakesTheMeanOfTheDemonstrationsZero(t *testing.T) {
	tok := newTokenizer(t)
	m := newRewardModel(t, reference.New(), tok)
	s := newScorer(t, m, 2, 32)
	texts := randomTexts(25, 2, 30, tok.VocabSize(), 6)
	before, err := s.Scores(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // setting it again changes nothing
		if _, err := setBias(t.Context(), m, s, texts); err != nil {
			t.Fatal(err)
		}
		after, err := s.Scores(t.Context(), texts)
		if err != nil {
			t.Fatal(err)
		}
		if got := mean(after); math.Abs(got) > 1e-3 {
			t.Errorf("mean reward %g, want 0 within 1e-3", got)
		}
		for i := range after {
			if d := (after[i] - after[0]) - (before[i] - before[0]); math.Abs(float64(d)) > 1e-5 {
				t.Errorf("the bias changed a difference of rewards by %g", d)
			}
		}
	}
}

func TestReward9TrainingBeginsFromTheBaseModelWithANewHead(t *testing.T) {
	w := newWorkplace(t, 10)
	w.inputs.Demonstrations, w.inputs.Validation = "", ""
	c := small()
	c.LR = 1e-30 // no weight moves: what training began from is what comes out
	c.Seed = 11
	engine := reference.New()
	_, out := runIn(t, engine, c, w, "out")
	m, _, err := train.LoadModel(engine, out)
	if err != nil {
		t.Fatal(err)
	}
	base, _, err := train.LoadModel(engine, w.inputs.Base)
	if err != nil {
		t.Fatal(err)
	}
	want, err := base.WithHead(model.Scalar, c.Seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range want.Parameters() {
		if !slices.Equal(read(t, m, p.Name), read(t, want, p.Name)) {
			t.Errorf("%s is not that of the base model with a new head", p.Name)
		}
	}
}

func TestWithoutDemonstrationsTheBiasStaysAndANoteSaysSo(t *testing.T) {
	w := newWorkplace(t, 10)
	w.inputs.Demonstrations, w.inputs.Validation = "", ""
	engine := newCPU(t, 1)
	manifest, out := runIn(t, engine, small(), w, "out")
	m, _, err := train.LoadModel(engine, out)
	if err != nil {
		t.Fatal(err)
	}
	if bias := read(t, m, model.ScoreBias); bias[0] != 0 {
		t.Errorf("bias %g, want the 0 that it began with", bias[0])
	}
	if len(manifest.Notes) != 1 || !strings.Contains(manifest.Notes[0], "bias") {
		t.Errorf("notes %q, want one on the bias", manifest.Notes)
	}
	if _, err := os.Stat(filepath.Join(out, ValidationFile)); !os.IsNotExist(err) {
		t.Errorf("%s without validation rankings: %v", ValidationFile, err)
	}
}

func TestDemonstrationsAreDrawnBySeed(t *testing.T) {
	w := newWorkplace(t, 10)
	tok := newTokenizer(t)
	draw := func(n int, seed uint64) [][]int32 {
		texts, err := loadDemonstrations(tok, w.inputs.Demonstrations, Config{Demonstrations: n, Seed: seed}, 64)
		if err != nil {
			t.Fatal(err)
		}
		return texts
	}
	same := func(a, b [][]int32) bool { return slices.EqualFunc(a, b, slices.Equal) }
	if all := draw(0, 1); len(all) != 30 || !same(all, draw(99, 2)) {
		t.Errorf("%d of 30 demonstrations without a limit", len(all))
	}
	if some := draw(7, 1); len(some) != 7 || !same(some, draw(7, 1)) || same(some, draw(7, 2)) {
		t.Errorf("a draw of 7 gives %d, or does not follow the seed", len(some))
	}
}

func TestPromptsThatCannotBeUsedAreCounted(t *testing.T) {
	tok := newTokenizer(t)
	path := filepath.Join(t.TempDir(), "rankings.jsonl")
	prompt := dataset.UserPrompt("say it", "")
	long := strings.Repeat(" up", 60)
	if err := dataset.WriteRankings(path, []dataset.Ranking{
		{Prompt: prompt, Completions: []string{"up", "down"}, Ranks: []int{1, 1}},
		{Prompt: prompt, Completions: []string{"up", long}, Ranks: []int{1, 2}},
		{Prompt: prompt, Completions: []string{"up", "down"}, Ranks: []int{2, 1}},
		{Prompt: prompt, Completions: slices.Repeat([]string{"up up", "down"}, 10), Ranks: slices.Repeat([]int{1, 2}, 10)},
	}); err != nil {
		t.Fatal(err)
	}
	f, err := preference.Load(tok, path, 4, 64)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Rankings) != 1 || f.Rankings[0].Index != 2 || f.Long != 2 || f.Tied != 1 {
		t.Errorf("%d used, %d too long, %d tied; want the third alone, 2 and 1", len(f.Rankings), f.Long, f.Tied)
	}
	if _, err := preference.Load(tok, path, 4, 8); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), path) {
		t.Errorf("a context that nothing fits into: %v", err)
	}
}

func TestBadInputsAreRefusedWithTheirPlace(t *testing.T) {
	w := newWorkplace(t, 10)
	lonely := filepath.Join(w.folder, "lonely.jsonl")
	if err := os.WriteFile(lonely, []byte(`{"prompt":"say it","completions":["up"],"ranks":[1]}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	encoder := filepath.Join(w.folder, "encoder")
	if err := artifact.MakeFolder(encoder); err != nil {
		t.Fatal(err)
	}
	base, tok, err := train.LoadModel(reference.New(), w.inputs.Base)
	if err != nil {
		t.Fatal(err)
	}
	bert := model.Config{
		Family: model.BERT, Head: model.NoHead, Vocabulary: base.Vocabulary, Context: base.Context, Width: 8, Layers: 1, Heads: 2, FeedForward: 8,
		Epsilon: 1e-6, InitRange: .1, BOS: -1, EOS: -1, Pad: -1,
	}
	m, err := model.New(reference.New(), bert.Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := train.SaveModel(encoder, "", m, tok, 1, chat.Ends(tok, nil)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config, *Inputs)
		code   int
		says   string
	}{
		"a context longer than the model's": {func(c *Config, _ *Inputs) { c.Context = 65 }, 4, "context 65"},
		"an unknown decay":                  {func(c *Config, _ *Inputs) { c.Decay = "steps" }, 4, `"steps"`},
		"a missing file of rankings":        {func(_ *Config, in *Inputs) { in.Rankings = "nowhere.jsonl" }, 10, "nowhere.jsonl"},
		"a missing base model":              {func(_ *Config, in *Inputs) { in.Base = "nowhere" }, 10, "nowhere"},
		"an encoder":                        {func(_ *Config, in *Inputs) { in.Base = encoder }, 4, "is an encoder"},
		"one answer for a prompt":           {func(_ *Config, in *Inputs) { in.Rankings = lonely }, 4, lonely + ":1"},
		"rankings as demonstrations":        {func(_ *Config, in *Inputs) { in.Demonstrations = lonely }, 4, lonely + ":1"},
	} {
		config, inputs := small(), w.inputs
		c.change(&config, &inputs)
		_, err := Run(t.Context(), environment(reference.New()), config, inputs, filepath.Join(w.folder, "out"))
		if err == nil || artifact.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func weights(t testing.TB, folder string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAStageStoppedAndResumedGivesTheSameBits(t *testing.T) {
	w := newWorkplace(t, 40) // 10 steps
	c := small()
	c.EvalEvery = 4
	engine := newCPU(t, 2)
	_, straight := runIn(t, engine, c, w, "straight")
	want := weights(t, straight)

	env := environment(engine)
	env.CheckpointSteps = 3
	out := filepath.Join(w.folder, "stopped")
	stops := 0
	t.Cleanup(func() { artifact.ArmFailpoint("") })
	for _, failpoint := range []string{
		"train.after_step:1:error", "train.after_step:4:error", "train.before_checkpoint:1:error",
		"train.after_checkpoint:2:error", "train.after_step:3:error", "stage.finish.before:1:error",
	} {
		if err := artifact.ArmFailpoint(failpoint); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), env, c, w.inputs, out); errors.Is(err, artifact.ErrFailpoint) {
			stops++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := artifact.ArmFailpoint(""); err != nil {
		t.Fatal(err)
	}
	if stops < 5 {
		t.Errorf("stopped %d times, want at least 5", stops)
	}
	manifest, err := Run(t.Context(), env, c, w.inputs, out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(weights(t, out), want) {
		t.Error("the weights differ from those of the straight run")
	}
	if manifest.Metrics["bias"] == 0 || manifest.Metrics["validation/accuracy"] == 0 {
		t.Errorf("a finished run that is run again reports %v", manifest.Metrics)
	}
}

func TestThreadsChangeNoBit(t *testing.T) {
	w := newWorkplace(t, 20)
	var want []byte
	for _, threads := range []int{1, 2, 4} {
		_, out := runIn(t, newCPU(t, threads), small(), w, fmt.Sprint("threads", threads))
		if got := weights(t, out); want == nil {
			want = got
		} else if !bytes.Equal(got, want) {
			t.Errorf("the weights with %d threads differ from those with 1", threads)
		}
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
		rankings = append(rankings, preference.Ranking{Index: i, Texts: randomTexts(4, 60, 120, m.Vocabulary, uint64(i)), Ranks: ranks, Pairs: dataset.Pairs(ranks)})
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
			if err := loss.accumulate(&sum, rankings, micro, steps[0].Prompts()); err != nil {
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
