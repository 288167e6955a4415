package ppo

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// workshop is the artifacts of a whole run.
type workshop struct {
	t      testing.TB
	engine compute.Engine
	inputs Inputs
	tok    *tokenizer.Tokenizer
	log    strings.Builder
}

func newWorkshop(t testing.TB) *workshop {
	t.Helper()
	docs := func(yield func(string, error) bool) { yield(strings.Repeat("user assistant say it again ", 4), nil) }
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 276})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	w := &workshop{t: t, engine: newEngine(t), tok: tok}
	w.inputs = Inputs{Policy: filepath.Join(folder, "sft"), Critic: filepath.Join(folder, "reward"), Prompts: filepath.Join(folder, "prompts.jsonl")}
	policy := tinyConfig(276, 32, model.LanguageModel)
	policy.InitRange = .1
	w.save(w.inputs.Policy, newModel(t, w.engine, policy, 1))
	w.save(w.inputs.Critic, newModel(t, w.engine, tinyConfig(276, 32, model.Scalar), 2))
	var prompts []dataset.Prompt
	for i := range 10 {
		prompts = append(prompts, dataset.UserPrompt(fmt.Sprint("say ", i), ""))
	}
	if err := dataset.WritePrompts(w.inputs.Prompts, prompts); err != nil {
		t.Fatal(err)
	}
	_, w.inputs.Text = newText(t, 276, 32)
	// The share of even tokens.
	w.inputs.Reward = func(_ context.Context, texts []Text) ([]float32, error) {
		scores := make([]float32, len(texts))
		for i, x := range texts {
			for _, token := range x.Response {
				if token%2 == 0 {
					scores[i] += 1 / float32(len(x.Response))
				}
			}
		}
		return scores, nil
	}
	return w
}

func (w *workshop) save(folder string, m *model.Model) {
	w.t.Helper()
	if err := artifact.MakeFolder(folder); err != nil {
		w.t.Fatal(err)
	}
	if err := train.SaveModel(folder, "", m, w.tok, 1, chat.Ends(w.tok, nil)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workshop) run(ctx context.Context, c Config, out string, every int) (*artifact.Manifest, error) {
	log := &progress.Log{Progress: progress.NewTo(progress.Options{Out: &w.log})}
	return Run(ctx, stage.Environment{Engine: w.engine, Log: log, CheckpointSteps: every, KeepCheckpoints: true}, c, w.inputs, out)
}

func (w *workshop) config() Config {
	c := tinyPPO()
	c.Epochs, c.PretrainCoef, c.PretrainRows, c.TargetKL, c.KLHorizon = 2, .1, 2, .05, 100
	return c
}

func weightsOf(t testing.TB, folder string) string {
	t.Helper()
	_, sum, err := artifact.HashFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
