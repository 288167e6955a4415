package ppo

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
)

func TestMetricsHaveTheNamesOfTRL(t *testing.T) {
	w := newWorkshop(t)
	out := filepath.Join(t.TempDir(), "out")
	if _, err := w.run(t.Context(), w.config(), out, 0); err != nil {
		t.Fatal(err)
	}
	lines, err := train.ReadMetrics(filepath.Join(out, train.MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("objective/kl objective/entropy objective/non_score_reward objective/rlhf_reward objective/scores" +
		" policy/approxkl_avg policy/clipfrac_avg policy/entropy_avg loss/policy_avg loss/value_avg val/clipfrac_avg val/ratio val/ratio_var" +
		" val/num_eos_tokens lr eps episode vf_explained_var response_length/clip_ratio") {
		value, ok := lines[0].Value(name)
		if !ok || math.IsNaN(value) {
			t.Errorf("%s is %v (there: %v)", name, value, ok)
		}
	}
	if kl, _ := lines[0].Value("objective/kl"); kl != 0 {
		t.Errorf("the KL of the SFT model against itself is %v", kl)
	}
}

// An update is applied to both models or to none.
func TestBadUpdateOfTheCriticIsNotAppliedToThePolicy(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	c.PretrainCoef = 0
	// The squares of such values overflow in the critic's loss; the advantages,
	// which are whitened, stay what they were.
	m, err := file.Load(w.engine, w.inputs.Critic)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Store.Write(model.ScoreBias, []float32{1e20}); err != nil {
		t.Fatal(err)
	}
	w.save(w.inputs.Critic, m)
	c.OnBadBatch, c.WhitenRewards = "skip", false
	out := filepath.Join(t.TempDir(), "out")
	if _, err := w.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	if weightsOf(t, out) != weightsOf(t, w.inputs.Policy) {
		t.Error("the policy was updated")
	}
	if log := w.log.String(); !strings.Contains(log, "in the critic at iteration 0, minibatch 0, responses") || strings.Contains(log, "the policy at") {
		t.Errorf("the log does not name the critic and the batch alone:\n%s", log)
	}
}

// course trains on a rule and returns score and KL by iteration.
func (w *workshop) course(beta float64) (scores, kls []float64) {
	w.t.Helper()
	c := tinyPPO()
	c.Iterations, c.Prompts, c.Minibatch, c.MicroRows, c.Slots, c.MaxTokens, c.Epochs = 24, 64, 16, 8, 32, 8, 2
	c.LR, c.CriticLR, c.MissingEnd, c.Beta = 2e-2, 1e-2, "keep", beta
	out := filepath.Join(w.t.TempDir(), "out")
	if _, err := w.run(w.t.Context(), c, out, 0); err != nil {
		w.t.Fatal(err)
	}
	lines, err := train.ReadMetrics(filepath.Join(out, train.MetricsName))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range lines {
		if v, ok := line.Value("objective/scores"); ok {
			kl, _ := line.Value("objective/kl")
			scores, kls = append(scores, v), append(kls, kl)
		}
	}
	w.t.Logf("β %g: scores %.3f, KL %.2f", beta, scores, kls)
	return scores, kls
}

func TestPPORaisesTheScoreAndBetaHoldsTheKL(t *testing.T) {
	w := newWorkshop(t)
	scores, kls := w.course(.02)
	last := len(scores) - 1
	if scores[0] > .65 || scores[last] < .9 {
		t.Errorf("the share of even tokens went from %.3f to %.3f", scores[0], scores[last])
	}
	heldScores, held := w.course(.5)
	if heldScores[last] < scores[0]+.02 || held[last] > kls[last]/2 {
		t.Errorf("with a larger β the score ends at %.3f and the KL at %.2f; without, at %.3f and %.2f", heldScores[last], held[last], scores[last], kls[last])
	}
}
