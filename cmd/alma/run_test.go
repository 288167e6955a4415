package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

const godocRecipe = "../../recipes/godoc.yaml"

// source is a Go tree of some packages, which the toy runs read.
var source = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	from, to := filepath.Join(strings.TrimSpace(string(root)), "src"), filepath.Join(scratch, "goroot", "src")
	for _, name := range []string{
		"archive/tar", "archive/zip", "bufio", "bytes", "compress/flate", "container/heap", "container/list", "context", "database/sql", "encoding/base64", "encoding/csv",
		"encoding/json", "encoding/xml", "errors", "expvar", "flag", "fmt", "go/ast", "go/parser", "go/scanner", "go/token", "html/template", "io", "io/fs", "log", "log/slog",
		"math/big", "math/rand", "mime", "net/mail", "net/url", "path", "path/filepath", "regexp", "sort", "strconv", "strings", "text/tabwriter", "text/template", "time", "unicode/utf8",
	} {
		files, err := filepath.Glob(filepath.Join(from, name, "*.go"))
		if err != nil {
			return "", err
		}
		if err := os.MkdirAll(filepath.Join(to, name), 0o777); err != nil {
			return "", err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(filepath.Join(to, name, filepath.Base(file)), data, 0o666)
			}
			if err != nil {
				return "", err
			}
		}
	}
	return filepath.Dir(to), nil
})

// toyRun is the command line of the whole recipe on a little of Go's source
// with a model that can say nothing.
func toyRun(t testing.TB, out string, more ...string) []string {
	t.Helper()
	root, err := source()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"run", godocRecipe, "--out", out, "--set", "corpus.goroot=" + root}
	for _, set := range []string{
		"corpus.max_bytes=800000", "corpus.validation=0.1", "corpus.test=0.1", "tokenizer.vocabulary=400",
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
	o := alma(t, toyRun(t, run)...)
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
	o = alma(t, toyRun(t, run)...)
	if o.code != 0 || strings.Count(o.stderr, ": unchanged") != len(stages) || weightsOf(t, filepath.Join(run, "ppo")) != weights {
		t.Errorf("exit code %d, not all stages unchanged\n%s", o.code, o.stderr)
	}
	if _, err := os.Stat(filepath.Join(run, "report.html")); err != nil {
		t.Error(err)
	}

	// A changed value has its stage and those after it done again.
	o = alma(t, toyRun(t, run, "--set", "ppo.beta=0.2")...)
	if o.code != 0 || strings.Count(o.stderr, ": unchanged") != 7 || !strings.Contains(o.stderr, "[8/9] ppo: done") || !strings.Contains(o.stderr, "[9/9] evaluate: done") {
		t.Errorf("exit code %d after a new ppo.beta\n%s", o.code, o.stderr)
	}
	if got := succeed(t, "report", run); !strings.Contains(got, "of 12 thresholds are met") {
		t.Errorf("alma report: %s", got)
	}
}

// A run that is killed before and after every stage is complete, and within
// those that train, ends with the bits of one that was never killed
// (RELIABILITY, row 1).
func TestAKilledRunGoesOnAndEndsWithTheSameBits(t *testing.T) {
	needSignals(t)
	dir := t.TempDir()
	straight, run := filepath.Join(dir, "straight"), filepath.Join(dir, "run")
	succeed(t, toyRun(t, straight, "--checkpoint-steps", "1")...)
	failpoints := []string{"stage.finish.before:1", "train.after_step:1", "train.after_checkpoint:1", "stage.finish.after:1"}
	kills := 0
	for done := false; !done; kills++ {
		cmd := command(toyRun(t, run, "--checkpoint-steps", "1")...)
		cmd.Env = append(cmd.Env, "ALMA_FAILPOINT="+failpoints[kills%len(failpoints)])
		o := finish(t, cmd)
		if done = o.code == 0; !done && o.code != -1 || kills > 60 {
			t.Fatalf("kill %d: exit code %d\n%s", kills, o.code, o.stderr)
		}
	}
	if kills < 9 {
		t.Errorf("killed %d times, want 9 or more", kills)
	}
	for _, name := range []string{"pretrain", "sft", "reward", "ppo"} {
		if weightsOf(t, filepath.Join(run, name)) != weightsOf(t, filepath.Join(straight, name)) {
			t.Errorf("the weights of %s differ from those of the run that was never killed", name)
		}
		if _, err := artifact.Open(filepath.Join(run, name), true); err != nil {
			t.Error(err)
		}
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
		{"an empty recipe", []string{"run", write(t, filepath.Join(dir, "empty.yaml"), "\n")}, 4, "the file is empty"},
		{"a folder for a recipe", []string{"run", dir}, 4, "is a directory; give the path of a recipe"},
		{"own rankings that are missing", toyRun(t, filepath.Join(dir, "a"), "--set", "rankings.file="+filepath.Join(dir, "none.jsonl")), 10, "rankings.file"},
		{"a name that leaves runs", []string{"run", escaping}, 4, "--out"},
		{"no Go source", toyRun(t, filepath.Join(dir, "b"), "--set", "corpus.goroot="+dir), 10, "src/fmt"},
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
