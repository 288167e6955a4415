package reward

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

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
	if len(manifest.Notes) != 2 || !strings.Contains(manifest.Notes[0], "held out") || !strings.Contains(manifest.Notes[1], "bias") {
		t.Errorf("notes %q, want one on what was not held out and one on the bias", manifest.Notes)
	}
	if _, err := os.Stat(filepath.Join(out, ValidationFile)); !os.IsNotExist(err) {
		t.Errorf("%s without validation rankings: %v", ValidationFile, err)
	}
}

func TestDemonstrationsAreDrawnBySeed(t *testing.T) {
	w := newWorkplace(t, 10)
	template := newTemplate(t, newTokenizer(t))
	draw := func(n int, seed uint64) [][]int32 {
		texts, _, err := loadDemonstrations(template, w.inputs.Demonstrations, Config{Demonstrations: n, Seed: seed}, 64)
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
