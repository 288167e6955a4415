package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// oldRun is a run that the program of November 2026 left (testdata/old-run, made by
// alma run recipe.yaml --out run --checkpoint-steps 10 there; checkpoints kept of sft
// alone). It is never made again: what was written once is opened forever
// (RELIABILITY, row 12).
func oldRun(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(dir, os.DirFS("testdata/old-run")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir) // paths of its inputs are relative to where it was made
	return "run"
}

func TestARunOfAnEarlierVersionIsOpened(t *testing.T) {
	run := oldRun(t)
	stages, err := os.ReadDir(run)
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, s := range stages {
		if !s.IsDir() {
			continue
		}
		if _, err := artifact.Open(filepath.Join(run, s.Name()), true); err != nil {
			t.Error(err)
		}
		opened++
	}
	if opened != 10 {
		t.Errorf("%d stages, want 10", opened)
	}
	succeed(t, "verify", filepath.Join(run, "gguf"))
	succeed(t, "report", run)
	page, err := os.ReadFile(filepath.Join(run, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A run of an earlier version", "evaluate.sft/ended", "Reward model", "sft.lr"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("its report does not say %q", want)
		}
	}
}

// Its models write what they wrote, whichever way they are opened.
func TestModelsOfAnEarlierVersionWriteWhatTheyWrote(t *testing.T) {
	run := oldRun(t)
	for _, model := range []string{"ppo", "sft", "sft/checkpoints/step-00000480", "gguf/model.gguf"} {
		var line sampleLine
		if err := json.Unmarshal([]byte(succeed(t, "sample", filepath.Join(run, model), "--prompt", "House 3?", "--temp", "0", "--max-tokens", "8", "--json")), &line); err != nil {
			t.Fatal(err)
		}
		if len(line.Completions) != 1 || line.Completions[0] != "It is green." || !line.Ended[0] {
			t.Errorf("%s writes %q, ended %v", model, line.Completions, line.Ended)
		}
	}
	scores := succeed(t, "reward", "score", filepath.Join(run, "reward"), filepath.Join(run, "answers", "validation.jsonl"))
	if n := strings.Count(scores, "\n"); n != 18 {
		t.Errorf("the reward model gives %d scores to 6 × 3 answers", n)
	}
}

// A stage that is done again from it begins where it stood: with the same
// configuration its last checkpoint is taken up.
func TestACheckpointOfAnEarlierVersionGoesOn(t *testing.T) {
	run := oldRun(t)
	before := weightsOf(t, filepath.Join(run, "sft"))
	for _, name := range []string{"artifact.json", "model.safetensors"} {
		if err := os.Remove(filepath.Join(run, "sft", name)); err != nil {
			t.Fatal(err)
		}
	}
	o := alma(t, "run", "recipe.yaml", "--out", run, "--only", "sft")
	if o.code != 0 || !strings.Contains(o.stderr, "continuing from step 480") {
		t.Fatalf("exit code %d\n%s", o.code, o.stderr)
	}
	if weightsOf(t, filepath.Join(run, "sft")) != before {
		t.Error("other weights")
	}
}
