package reward

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

func TestReward10RenderEndsWithTheLastRealToken(t *testing.T) {
	tok := newTokenizer(t)
	template := newTemplate(t, tok)
	prompt := dataset.UserPrompt("say it", "say")
	end, _ := tok.TokenID(tokenizer.IMEnd)
	ended, err := Render(template, prompt, " it up", true)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := Render(template, prompt, " it up", false)
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
	row, mask, err := template.RenderChat(answered(prompt, " it up").Messages, false)
	if err != nil {
		t.Fatal(err)
	}
	last := len(mask) - 1
	for !mask[last] {
		last--
	}
	if !slices.Equal(row[:last+1], ended) {
		t.Errorf("rendered as %v, the dialogue as %v", ended, row[:last+1])
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

func TestShortTextsDoNotPayForALongContext(t *testing.T) {
	tok := newTokenizer(t)
	engine := cpu.New(cpu.Options{Threads: 2})
	defer engine.Close()
	c := tinyConfig(tok)
	c.Head, c.Context = model.Scalar, 4096
	m := newModel(t, engine, c)
	short := randomTexts(6, 1, 30, tok.VocabSize(), 4)
	long := append(randomTexts(1, 1500, 1500, tok.VocabSize(), 5), short...)

	of512, s := newScorer(t, m, 8, 512), newScorer(t, m, 8, 4096)
	want, err := of512.Scores(t.Context(), short)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Scores(t.Context(), short)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) || s.FLOPs() != of512.FLOPs() {
		t.Errorf("rewards %v for %d FLOPs; for texts of at most 512 tokens %v for %d", got, s.FLOPs(), want, of512.FLOPs())
	}
	for _, texts := range [][][]int32{long, short} {
		got, err := s.Scores(t.Context(), texts)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[len(got)-len(want):], want) {
			t.Errorf("beside %d texts rewards %v, want %v", len(texts)-len(want), got, want)
		}
	}
	tooLong := [][]int32{make([]int32, 4097)}
	if _, err := s.Scores(t.Context(), tooLong); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "4096") {
		t.Errorf("a text longer than the context: %v", err)
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
