package godoc

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/recipe"
)

// withBudget resolves an empty recipe.
func withBudget(t *testing.T, budget time.Duration) Config {
	t.Helper()
	c := Defaults()
	if _, err := recipe.Parse("none", nil, &c, recipe.Options{Set: []string{"budget=" + budget.String()}, Derive: Derive}); err != nil {
		t.Fatalf("budget %v: %v", budget, err)
	}
	return c
}

func TestTheBudgetOfTheDefaultsDerivesTheDefaults(t *testing.T) {
	if got := withBudget(t, baseBudget); got != Defaults() {
		t.Errorf("got  %+v\nwant %+v", got, Defaults())
	}
}

func TestALargerBudgetNeverGivesASmallerModelOrLessCompute(t *testing.T) {
	before := withBudget(t, time.Minute)
	compute := func(c Config) float64 {
		return float64(c.Pretrain.Layers) * float64(c.Pretrain.Width*c.Pretrain.Width) * float64(c.Pretrain.Steps)
	}
	for minutes := 2; minutes <= 36*60; minutes += 1 + minutes/10 {
		c := withBudget(t, time.Duration(minutes)*time.Minute)
		if c.Pretrain.Layers < before.Pretrain.Layers || c.Pretrain.Width < before.Pretrain.Width || c.Tokenizer.Vocabulary < before.Tokenizer.Vocabulary {
			t.Errorf("%d minutes: %d layers × %d, %d tokens: smaller than with less time", minutes, c.Pretrain.Layers, c.Pretrain.Width, c.Tokenizer.Vocabulary)
		}
		// Steps are whole, so that equal compute may come out a little lower.
		if compute(c) < .99*compute(before) {
			t.Errorf("%d minutes: compute %.3g, before %.3g", minutes, compute(c), compute(before))
		}
		if c.Pretrain.LR > before.Pretrain.LR || c.PPO.LR > before.PPO.LR {
			t.Errorf("%d minutes: a wider model has a higher rate", minutes)
		}
		before = c
	}
}

func TestThePlanGrowsWithTheBudget(t *testing.T) {
	var before *Plan
	for _, budget := range []time.Duration{15 * time.Minute, 2 * time.Hour, 12 * time.Hour} {
		c := withBudget(t, budget)
		p, err := NewPlan(c, 100e9)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range p.Stages {
			if s.Name != stageTexts[i].name {
				t.Errorf("stage %d is %s, want %s", i, s.Name, stageTexts[i].name)
			}
			if before != nil && (s.FLOPs < before.Stages[i].FLOPs || s.Memory < before.Stages[i].Memory) {
				t.Errorf("%v: %s takes %.3g FLOP and %d bytes, less than with a smaller budget", budget, s.Name, s.FLOPs, s.Memory)
			}
			if s.FLOPs > 0 && (s.Seconds <= 0 || s.Tokens <= 0 || s.Memory <= 4*p.Parameters) {
				t.Errorf("%v: %+v", budget, s)
			}
		}
		// Training takes 6 FLOPs for a weight and token, and attention on top.
		pretrain := p.Stages[2]
		if ratio := pretrain.FLOPs / (6 * float64(p.Parameters) * float64(c.Pretrain.Steps*c.Pretrain.BatchTokens)); ratio < 1 || ratio > 1.5 {
			t.Errorf("%v: pretraining takes %.2f times 6 FLOP a weight and token", budget, ratio)
		}
		before = p
	}
}

func TestAPlanWithoutAPeakTellsNoTime(t *testing.T) {
	p, err := NewPlan(Defaults(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "Time assumes") {
		t.Errorf("it does:\n%s", out.String())
	}
	for _, want := range []string{"parameters", "pretrain ", "evaluate ", "all ", "assumed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestAPlanRefusesWhatTheModelCannotBe(t *testing.T) {
	c := Defaults()
	c.Pretrain.Heads = 7
	if _, err := NewPlan(c, 0); artifact.ExitCode(err) != artifact.ErrUsage.Code() {
		t.Errorf("a width that 7 heads do not divide: %v", err)
	}
}

func TestTheRecipesLoad(t *testing.T) {
	for _, name := range []string{"godoc", "own-data"} {
		c := Defaults()
		if _, err := recipe.Load("../../recipes/"+name+".yaml", &c, recipe.Options{Derive: Derive}); err != nil {
			t.Error(err)
		}
	}
}

func TestARunOfAllStagesRefusesAnEncoder(t *testing.T) {
	c := Defaults()
	_, err := recipe.Load("../../recipes/encoder.yaml", &c, recipe.Options{Derive: Derive})
	if artifact.ExitCode(err) != artifact.ErrUsage.Code() || !strings.Contains(err.Error(), "alma pretrain") {
		t.Errorf("got %v", err)
	}
}

func TestWhatTheRecipesCommentsShowIsTheDefault(t *testing.T) {
	const file = "../../recipes/godoc.yaml"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, sections, ok := strings.Cut(string(data), "seed: 1\n")
	if !ok {
		t.Fatal("the recipe sets no seed")
	}
	text += "seed: 1\n" + regexp.MustCompile(`(?m)^# `).ReplaceAllString(sections, "")
	c := Defaults()
	resolved, err := recipe.Parse(file, []byte(text), &c, recipe.Options{Derive: Derive})
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, v := range resolved.Values {
		if v.Origin.Kind == recipe.FromRecipe {
			shown++
		}
	}
	if shown < 20 {
		t.Errorf("%d values are shown, want the sections' too:\n%s", shown, text)
	}
	if c.Dialogues.Train == "" || c.Rankings.File == "" || c.Evaluate.Split != "validation" {
		t.Error("the recipe does not show how to use own data, or the validation split")
	}
	want := Defaults()
	want.Dialogues.Train, want.Rankings.File, want.Evaluate.Split = c.Dialogues.Train, c.Rankings.File, c.Evaluate.Split
	if c != want {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestAMissingFileOfTheUsersIsFoundBeforeAnythingRuns(t *testing.T) {
	for _, key := range []string{"dialogues.train", "rankings.file"} {
		c := Defaults()
		if _, err := recipe.Parse("none", nil, &c, recipe.Options{Set: []string{key + "=missing.jsonl"}}); err != nil {
			t.Fatal(err)
		}
		err := c.checkOwnData()
		if artifact.ExitCode(err) != artifact.ErrNotFound.Code() || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "missing.jsonl") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// A stage that was made in another precision must not count as the same.
func TestTheRecipesPrecisionIsRecordedWithEveryStageThatTrains(t *testing.T) {
	for _, c := range []struct{ text, want string }{{"", ""}, {"precision: fp32\n", ""}, {"precision: bf16\n", "bf16"}} {
		config := Defaults()
		if _, err := recipe.Parse("recipe.yaml", []byte("recipe: godoc\n"+c.text), &config, recipe.Options{Derive: Derive}); err != nil {
			t.Fatal(err)
		}
		config = config.InPrecision()
		for stage, got := range map[string]string{
			"pretrain": config.Pretrain.Precision, "sft": config.SFT.Precision, "reward": config.Reward.Precision, "ppo": config.PPO.Precision,
		} {
			if got != c.want {
				t.Errorf("with %q, %s records the precision %q, want %q", c.text, stage, got, c.want)
			}
		}
	}
	config := Defaults()
	if _, err := recipe.Parse("recipe.yaml", []byte("recipe: godoc\nprecision: fp8\n"), &config, recipe.Options{}); err == nil {
		t.Error("precision fp8 is no error")
	}
}
