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

// toyRecipe is godoc's recipe without its thresholds, which no toy meets.
var toyRecipe = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile(godocRecipe)
	if err != nil {
		return "", err
	}
	stages, _, found := strings.Cut(string(text), "\nthresholds:\n")
	if !found {
		return "", fmt.Errorf("%s has no thresholds", godocRecipe)
	}
	path := filepath.Join(scratch, "toy.yaml")
	return path, os.WriteFile(path, []byte(stages), 0o666)
})

// toyRun is the command line of the whole recipe on a little of Go's source
// with a model that can say nothing.
func toyRun(t testing.TB, out string, more ...string) []string {
	t.Helper()
	root, err := source()
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := toyRecipe()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"run", recipe, "--out", out, "--set", "corpus.goroot=" + root}
	for _, set := range []string{
		"corpus.max_bytes=800000", "corpus.validation=0.1", "corpus.test=0.1", "tokenizer.vocabulary=400",
		"pretrain.layers=1", "pretrain.width=16", "pretrain.heads=1", "pretrain.steps=3", "pretrain.eval_rows=8", "sft.epochs=0.01",
		"rankings.prompts=16", "rankings.validation=16", "rankings.slots=16", "reward.max_demonstrations=8",
		"ppo.force=true", "ppo.iterations=1", "ppo.batch_prompts=8", "ppo.minibatch=4", "ppo.slots=8", "ppo.max_tokens=16",
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
	for _, want := range []string{"[3/9] pretrain: trains a model from random weights"} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("progress does not say %q\n%s", want, o.stderr)
		}
	}
	for _, want := range []string{filepath.Join(run, "report.html"), "go run ./cmd/alma chat " + filepath.ToSlash(run) + "/ppo"} {
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

	// A changed value has its stage and those after it done again, and the screen says
	// which it was.
	o = alma(t, toyRun(t, run, "--set", "ppo.beta=0.2")...)
	if o.code != 0 || strings.Count(o.stderr, ": unchanged") != 7 || !strings.Contains(o.stderr, "[8/9] ppo: is done again: beta was 0.1 and is 0.2") || !strings.Contains(o.stderr, "[8/9] ppo: done") || !strings.Contains(o.stderr, "[9/9] evaluate: done") {
		t.Errorf("exit code %d after a new ppo.beta\n%s", o.code, o.stderr)
	}
	if got := succeed(t, "report", run); !strings.Contains(got, "report.html") {
		t.Errorf("alma report: %s", got)
	}

	// Stages can be chosen.
	o = alma(t, toyRun(t, run, "--set", "ppo.beta=0.3", "--set", "reward.lr=1e-4", "--only", "ppo")...)
	if o.code != 0 || strings.Contains(o.stderr, "reward:") || !strings.Contains(o.stderr, "ppo: done") || strings.Contains(o.stderr, "evaluate") {
		t.Errorf("--only ppo: exit code %d\n%s", o.code, o.stderr)
	}
	for _, c := range []struct{ args, says string }{
		{"--only=pp", "did you mean ppo?"}, {"--from=ppo --until=sft", "ppo comes after sft"}, {"--only=ppo --from=sft", "--only goes with neither"},
	} {
		if o := alma(t, toyRun(t, run, strings.Fields(c.args)...)...); o.code != 4 || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%s: exit code %d, want 4 and %q\n%s", c.args, o.code, c.says, o.stderr)
		}
	}

	// The chain leads back to the source text, and a changed byte in it is found.
	drawn := succeed(t, "lineage", filepath.Join(run, "ppo"))
	for _, want := range []string{"policy: ", "reward: ", "(godoc-corpus", "(tokenizer", "(pretrain", "prompts.jsonl (godoc-dialogues.prompts.jsonl"} {
		if !strings.Contains(drawn, want) {
			t.Errorf("the lineage does not show %q:\n%s", want, drawn)
		}
	}
	succeed(t, "verify", filepath.Join(run, "ppo"))
	vocabulary := filepath.Join(run, "dialogues", "vocabulary.json")
	data, err := os.ReadFile(vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	write(t, vocabulary, strings.Replace(string(data), "a", "b", 1))
	if o := alma(t, "verify", filepath.Join(run, "ppo")); o.code != 5 || !strings.Contains(o.stdout, "vocabulary.json") {
		t.Errorf("verify after a change: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	if err := os.RemoveAll(filepath.Join(run, "tokenizer")); err != nil {
		t.Fatal(err)
	}
	if o := alma(t, "verify", filepath.Join(run, "ppo"), "--json"); o.code != 5 || !strings.Contains(o.stdout, "tokenizer: is gone") {
		t.Errorf("verify without the tokenizer: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
}

// A measure that misses its threshold is shown and has an exit code of its own; what
// was made is there all the same.
func TestAMissedThresholdIsExitCode5(t *testing.T) {
	f := fixtures(t)
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	recipe := write(t, filepath.Join(dir, "r.yaml"), fmt.Sprintf(`stages:
  sft: {use: sft, base: %q, dialogues: %q, epochs: 1, batch_rows: 2, micro_rows: 2}
thresholds:
  - {measure: sft.dialogues, at_least: 8, name: Dialogues}
  - {measure: sft.loss, below: 0.001}
`, f.base, f.dialogues))
	o := alma(t, "run", recipe, "--out", run)
	if o.code != 5 || !strings.Contains(o.stdout, "✓ Dialogues") || !strings.Contains(o.stdout, "✗ sft.loss") || !strings.Contains(o.stdout, "1 of 2 thresholds are met") {
		t.Errorf("exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	if _, err := artifact.Open(filepath.Join(run, "sft"), true); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(recipe)
	if err != nil {
		t.Fatal(err)
	}
	write(t, recipe, strings.Replace(string(text), "sft.loss, below", "sft.los, below", 1))
	if o := alma(t, "run", recipe, "--out", run); o.code != 4 || !strings.Contains(o.stderr, "did you mean sft.loss?") {
		t.Errorf("an unknown measure: exit code %d\n%s", o.code, o.stderr)
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
	for _, tt := range []struct{ name, key, says string }{
		{"an unknown key", "betta: 0.1", "did you mean ppo.beta?"},
		{"a wrong type", "iterations: many", "needs an integer"},
		{"out of bounds", "temperature: 0", "needs a number > 0"},
		{"answers without room", "max_tokens: 256", "leaves no room for a prompt in a context of 256"},
		{"a file that is missing", "critic: none", "neither a stage of the recipe nor a file or folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := write(t, filepath.Join(dir, "recipe.yaml"), strings.Replace(string(good), "    use: ppo\n", "    use: ppo\n    "+tt.key+"\n", 1))
			out := filepath.Join(dir, "run")
			o := alma(t, "run", path, "--out", out)
			if o.code != 4 && o.code != 10 || !strings.Contains(o.stderr, tt.says) || !strings.Contains(o.stderr, path) {
				t.Errorf("exit code %d, want 4 and %q\n%s", o.code, tt.says, o.stderr)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("the folder of the run was made")
			}
		})
	}
	before, _, _ := strings.Cut(string(good), "    use: ppo\n")
	path := write(t, filepath.Join(t.TempDir(), "recipe.yaml"), strings.Replace(string(good), "    use: ppo\n", "    use: ppo\n    betta: 0.1\n", 1))
	place := fmt.Sprintf("%s:%d:5", path, 2+strings.Count(before, "\n"))
	if o := alma(t, "run", path); !strings.Contains(o.stderr, place) || !strings.Contains(o.stderr, "|     betta: 0.1\n      |     ^") {
		t.Errorf("the place %s is not shown\n%s", place, o.stderr)
	}
}

func TestRunsThatCannotBeginSayWhy(t *testing.T) {
	dir := t.TempDir()
	escaping := write(t, filepath.Join(dir, "escaping.yaml"), "name: ../elsewhere\nstages: {a: {use: sft, base: m, dialogues: d}}\n")
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"a missing recipe", []string{"run", filepath.Join(dir, "none.yaml")}, 10, "give the path of a recipe"},
		{"an empty recipe", []string{"run", write(t, filepath.Join(dir, "empty.yaml"), "\n")}, 4, "the file is empty"},
		{"a folder for a recipe", []string{"run", dir}, 4, "is a directory; give the path of a recipe"},
		{"own rankings that are missing", toyRun(t, filepath.Join(dir, "a"), "--set", "reward.rankings="+filepath.Join(dir, "none.jsonl")), 10, "reward.rankings"},
		{"a name that leaves runs", []string{"run", escaping}, 4, "--out"},
		{"no Go source", toyRun(t, filepath.Join(dir, "b"), "--set", "corpus.goroot="+dir), 10, "src/fmt"},
		{"a report of nothing", []string{"report", filepath.Join(dir, "none")}, 10, "opening the folder"},
		{"a report of another folder", []string{"report", dir}, 10, "recipe.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if o := alma(t, tt.args...); o.code != tt.code || !strings.Contains(o.stderr, tt.says) {
				t.Errorf("exit code %d, want %d and %q\n%s", o.code, tt.code, tt.says, o.stderr)
			}
		})
	}
}
