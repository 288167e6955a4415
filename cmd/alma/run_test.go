package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const godocRecipe = "../../recipes/godoc.yaml"

// toyRun is the command line of the whole recipe on a little of Go's source
// with a model that can say nothing.
func toyRun(out string, more ...string) []string {
	args := []string{"run", godocRecipe, "--out", out}
	for _, set := range []string{
		"corpus.max_bytes=2000000", "tokenizer.vocabulary=400",
		"pretrain.layers=1", "pretrain.width=16", "pretrain.heads=1", "pretrain.steps=3", "pretrain.eval_rows=8", "sft.epochs=0.01",
		"rankings.prompts=16", "rankings.validation=16", "rankings.slots=16", "reward.demonstrations=8",
		"ppo.iterations=1", "ppo.prompts=8", "ppo.minibatch=4", "ppo.slots=8", "ppo.max_tokens=16",
		"evaluate.prompts=8", "evaluate.slots=8", "evaluate.best_of=2", "evaluate.samples=2",
	} {
		args = append(args, "--set", set)
	}
	return append(args, more...)
}

func TestARunGoesFromSourceTextToAReportAndIsThenUnchanged(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	o := alma(t, toyRun(run)...)
	if o.code != 0 {
		t.Fatalf("exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	stages := []string{"corpus", "tokenizer", "pretrain", "dialogues", "sft", "rankings", "reward", "ppo", "evaluate"}
	for _, name := range stages {
		if !strings.Contains(o.stderr, "/9] "+name+": done") {
			t.Errorf("no word of the end of %s", name)
		}
	}
	for _, want := range []string{"(derived from budget 15m)", "[3/9] pretrain: a language model"} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("progress does not say %q\n%s", want, o.stderr)
		}
	}
	for _, want := range []string{"of 12 thresholds are met", filepath.Join(run, "report.html"), "go run ./cmd/alma chat " + filepath.ToSlash(run) + "/ppo"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("the result does not say %q\n%s", want, o.stdout)
		}
	}
	weights := weightsOf(t, filepath.Join(run, "ppo"))

	// Given again, nothing is done, and a report that was lost comes back.
	if err := os.Remove(filepath.Join(run, "report.html")); err != nil {
		t.Fatal(err)
	}
	o = alma(t, toyRun(run)...)
	if o.code != 0 || strings.Count(o.stderr, ": unchanged") != len(stages) || weightsOf(t, filepath.Join(run, "ppo")) != weights {
		t.Errorf("exit code %d, not all stages unchanged\n%s", o.code, o.stderr)
	}
	if _, err := os.Stat(filepath.Join(run, "report.html")); err != nil {
		t.Error(err)
	}

	// A changed value has its stage and those after it done again.
	o = alma(t, toyRun(run, "--set", "ppo.beta=0.2")...)
	if o.code != 0 || strings.Count(o.stderr, ": unchanged") != 7 || !strings.Contains(o.stderr, "[8/9] ppo: done") || !strings.Contains(o.stderr, "[9/9] evaluate: done") {
		t.Errorf("exit code %d after a new ppo.beta\n%s", o.code, o.stderr)
	}
	if got := succeed(t, "report", run); !strings.Contains(got, "of 12 thresholds are met") {
		t.Errorf("alma report: %s", got)
	}
}

func TestADryRunShowsWhatItWouldTakeAndWritesNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	got := succeed(t, "run", godocRecipe, "--dry-run", "--out", out, "--budget", "2h", "--set", "ppo.beta=0.05")
	for _, want := range []string{"derived from budget 2h", "ppo.beta", "--set", "parameters", "pretrain ", "FLOP", "measured peak"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the folder of the run was made")
	}
}

func TestARecipeThatIsWrongExits4BeforeAnythingIsWritten(t *testing.T) {
	good, err := os.ReadFile(godocRecipe)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, line, says string }{
		{"an unknown key", "ppo: {betta: 0.1}", "did you mean ppo.beta?"},
		{"an unknown section", "pretraim: {steps: 1}", "did you mean pretrain?"},
		{"a wrong type", "pretrain: {steps: many}", "needs an integer"},
		{"out of bounds", "ppo: {temperature: 0}", "needs a number > 0"},
		{"prompts that do not fit", "dialogues: {max_prompt: 1000}", "do not fit into pretrain.context"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := write(t, filepath.Join(dir, "recipe.yaml"), string(good)+tt.line+"\n")
			out := filepath.Join(dir, "run")
			o := alma(t, "run", path, "--out", out)
			if o.code != 4 || !strings.Contains(o.stderr, tt.says) || !strings.Contains(o.stderr, path) {
				t.Errorf("exit code %d, want 4 and %q\n%s", o.code, tt.says, o.stderr)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("the folder of the run was made")
			}
		})
	}
	line := 1 + strings.Count(string(good), "\n")
	path := write(t, filepath.Join(t.TempDir(), "recipe.yaml"), string(good)+"ppo: {betta: 0.1}\n")
	if o := alma(t, "run", path); !strings.Contains(o.stderr, fmt.Sprintf("%s:%d", path, line)) {
		t.Errorf("the place %s is not named\n%s", fmt.Sprintf("%s:%d", path, line), o.stderr)
	}
}

func TestRunsThatCannotBeginSayWhy(t *testing.T) {
	dir := t.TempDir()
	escaping := write(t, filepath.Join(dir, "escaping.yaml"), "recipe: godoc\nname: ../elsewhere\n")
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"a missing recipe", []string{"run", filepath.Join(dir, "none.yaml")}, 10, "give the path of a recipe"},
		{"own rankings that are missing", toyRun(filepath.Join(dir, "a"), "--set", "rankings.file="+filepath.Join(dir, "none.jsonl")), 10, "rankings.file"},
		{"a name that leaves runs", []string{"run", escaping}, 4, "--out"},
		{"no Go source", toyRun(filepath.Join(dir, "b"), "--set", "corpus.goroot="+dir), 10, "src/fmt"},
		{"a report of nothing", []string{"report", filepath.Join(dir, "none")}, 10, "opening the run"},
		{"a report of another folder", []string{"report", dir}, 10, "recipe.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if o := alma(t, tt.args...); o.code != tt.code || !strings.Contains(o.stderr, tt.says) {
				t.Errorf("exit code %d, want %d and %q\n%s", o.code, tt.code, tt.says, o.stderr)
			}
		})
	}
}
