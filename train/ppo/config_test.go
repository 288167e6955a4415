package ppo

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

func TestPPO3NoDropout(t *testing.T) {
	encoded, err := json.Marshal(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(encoded), "dropout") {
		t.Error("the configuration has a dropout")
	}
	l := newLab(t, newEngine(t), tinyPPO(), 16, nil)
	first := l.roll()
	want := slices.Clone(first[0].OldLogProbs)
	if err := l.measure(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first[0].OldLogProbs, want) {
		t.Error("two passes over one text give two log-probabilities")
	}
}

func TestPPO4AdamEpsilon(t *testing.T) {
	if got := Defaults().AdamW().Epsilon; got != 1e-5 {
		t.Errorf("Adam's epsilon is %g, want 1e-5", got)
	}
}

func TestPPO5LearningRateAnnealsToZero(t *testing.T) {
	c := Defaults()
	steps := c.Iterations * c.minibatches()
	s := c.Schedule(steps)
	if s.At(steps) != 0 || s.At(steps-1) <= 0 {
		t.Errorf("the rate is %g in the last step and %g after it, want 0 after it", s.At(steps-1), s.At(steps))
	}
	for step := s.Warmup + 1; step < steps; step++ {
		if s.At(step) >= s.At(step-1) {
			t.Errorf("the rate does not fall at step %d", step)
		}
	}
}

func TestPolicyAndCriticHaveLearningRatesOfTheirOwn(t *testing.T) {
	for _, rates := range [][2]float64{{1e-3, 1e-60}, {1e-60, 1e-3}} {
		w := newWorkshop(t)
		c := w.config()
		c.LR, c.CriticLR = rates[0], rates[1]
		out := filepath.Join(t.TempDir(), "out")
		if _, err := w.run(t.Context(), c, out, 0); err != nil {
			t.Fatal(err)
		}
		last := filepath.Join(out, train.CheckpointFolder, artifact.CheckpointName(12))
		for name, start := range map[string]string{"model.safetensors": w.inputs.Policy, "critic-model.safetensors": w.inputs.Critic} {
			_, sum, err := artifact.HashFile(filepath.Join(last, name))
			if err != nil {
				t.Fatal(err)
			}
			rate := rates[0]
			if name != "model.safetensors" {
				rate = rates[1]
			}
			if moved := sum != weightsOf(t, start); moved != (rate > 1e-9) {
				t.Errorf("rates %g: %s changed: %v", rates, name, moved)
			}
		}
	}
}

func TestPPORefusesInputsThatDoNotFit(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(w *workshop, c *Config)
		code   int
		want   string
	}{
		{"no text for the mix", func(w *workshop, c *Config) { w.inputs.Text = "" }, 4, "pretrain_coefficient"},
		{"context too long", func(w *workshop, c *Config) { c.Context = 33 }, 4, "context 33 is longer than the models', which is 32"},
		{"no prompt fits", func(w *workshop, c *Config) { c.MaxTokens = 31 }, 4, "none of 10 leaves room for 31 tokens"},
		{"a critic of another vocabulary", func(w *workshop, c *Config) {
			w.save(w.inputs.Critic, newModel(w.t, w.engine, tinyConfig(280, 32, model.Scalar), 2))
		}, 4, "280"},
		{"text of another vocabulary", func(w *workshop, c *Config) { _, w.inputs.Text = newText(w.t, 300, 32) }, 4, "300"},
		{"a policy that is a reward model", func(w *workshop, c *Config) { w.inputs.Policy = w.inputs.Critic }, 4, "head"},
		{"a policy that is an encoder", func(w *workshop, c *Config) {
			config := tinyConfig(276, 32, model.MaskedLanguageModel)
			config.Family, config.KVHeads, config.Types = model.BERT, 2, 2
			w.save(w.inputs.Policy, newModel(w.t, w.engine, config, 2))
		}, 4, `has a "mlm" head; give a language model`},
		{"a missing folder", func(w *workshop, c *Config) { w.inputs.Critic += "-none" }, 10, "reward-none"},
		{"a decay that does not exist", func(w *workshop, c *Config) { c.Decay = "staircase" }, 4, "staircase"},
	} {
		w := newWorkshop(t)
		c := w.config()
		test.change(w, &c)
		_, err := w.run(t.Context(), c, filepath.Join(t.TempDir(), "out"), 0)
		if artifact.ExitCode(err) != test.code || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s: %v, want exit code %d and %q", test.name, err, test.code, test.want)
		}
	}
}
