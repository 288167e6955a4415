//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// unreadable is a model whose weights end the opening of it: what is said of other
// things was found before they were read.
func unreadable(t *testing.T) string {
	t.Helper()
	folder := others(t, fixtures(t).base)
	write(t, filepath.Join(folder, "model.safetensors"), "{}")
	return folder
}

// A model of seven billion parameters takes minutes to open; a file of rows seconds.
func TestDataAreCheckedBeforeAModelIsOpened(t *testing.T) {
	a := alignedFixture(t)
	model, dir := unreadable(t), t.TempDir()
	bad := write(t, filepath.Join(dir, "bad.jsonl"), strings.Repeat("{}\n", 3)+"{\n"+strings.Repeat("{}\n", 9))
	for _, args := range [][]string{
		{"sft", "--base", model, "--dialogues", bad},
		{"sft", "--base", model, "--dialogues", a.dialogues, "--validation", bad},
		{"reward", "--base", model, "--rankings", bad},
		{"reward", "--base", model, "--rankings", a.rankings, "--demonstrations", bad},
		{"ppo", "--policy", model, "--reward-command", "true", "--prompts", bad, "--set", "pretrain_coefficient=0"},
		{"answers", "--model", model, "--prompts", bad},
		{"rank", "rule", "--reward", model, "--answers", bad, "--set", "by=reward"},
		{"classify", "train", "--base", model, "--texts", bad},
		{"classify", "predict", model, bad},
		{"classify", "eval", model, bad},
		{"embed", model, bad},
		{"sample", model, "--prompts", bad},
		{"reward", "score", model, bad},
		{"eval", "models", model, "--prompts", bad},
		{"eval", "models", model, "--rankings", bad},
		{"eval", "perplexity", model, bad, "--as", "dialogues"},
	} {
		out := filepath.Join(dir, "out")
		switch args[0] + " " + args[1] {
		case "classify predict", "classify eval", "reward score", "eval perplexity", "eval models":
		default:
			if args[0] != "embed" && args[0] != "sample" {
				args = append(args, "--out", out)
			}
		}
		o := alma(t, args...)
		if o.code != 4 || strings.Contains(o.stderr, "safetensors") {
			t.Errorf("%v: exit code %d, want 4 and nothing of the weights\n%s", args, o.code, o.stderr)
		}
		for _, says := range []string{"13 of 13 rows cannot be used", "bad.jsonl:1: ", "bad.jsonl:4: ", "bad.jsonl:10: ", "and 3 more"} {
			if !strings.Contains(o.stderr, says) {
				t.Errorf("%v: %q is missing in\n%s", args, says, o.stderr)
			}
		}
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Errorf("%v: %s is left (%v)", args, out, err)
		}
	}
	// Of two files with faults both are named.
	other := write(t, filepath.Join(dir, "other.jsonl"), "{}\n{}\n")
	o := alma(t, "sft", "--base", model, "--dialogues", bad, "--validation", other, "--out", filepath.Join(dir, "out"))
	if o.code != 4 || !strings.Contains(o.stderr, "bad.jsonl:10: ") || !strings.Contains(o.stderr, "other.jsonl:2: ") {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
}

// What alma sft reports of dialogues that it does not learn, alma eval perplexity
// reports of the model that came out.
func TestThePerplexityOfDialoguesIsTheValidationLossOfFineTuning(t *testing.T) {
	a := alignedFixture(t)
	dir := t.TempDir()
	var held strings.Builder
	for i := range 30 {
		fmt.Fprintf(&held, `{"messages":[{"role":"user","content":"Colour %d?"},{"role":"assistant","content":"%s"}]}`+"\n", i, strings.Repeat("blue ", 1+i%4))
	}
	held.WriteString(`{"messages":[{"role":"user","content":"` + strings.Repeat("long ", 60) + `"},{"role":"assistant","content":"Blue."}]}` + "\n")
	// A turn that does not count, and a dialogue of several turns.
	held.WriteString(`{"messages":[{"role":"user","content":"A"},{"role":"assistant","content":"red","weight":0},{"role":"user","content":"B"},{"role":"assistant","content":"green"}]}` + "\n")
	file := write(t, filepath.Join(dir, "held.jsonl"), held.String())
	for _, precision := range []string{"fp32", "bf16"} {
		out := filepath.Join(dir, precision)
		succeed(t, "sft", "--base", a.base, "--dialogues", a.dialogues, "--validation", file, "--out", out, "--set", "epochs=2", "--set", "micro_rows=2", "--precision", precision)
		m, err := artifact.Open(out, false)
		if err != nil {
			t.Fatal(err)
		}
		var p dialoguePerplexity
		if err := json.Unmarshal([]byte(succeed(t, "eval", "perplexity", out, file, "--json", "--precision", precision)), &p); err != nil {
			t.Fatal(err)
		}
		if want := m.Metrics["validation/loss"]; p.Loss.Value != want || want == 0 {
			t.Errorf("%s: loss %v, and fine-tuning's %v", precision, p.Loss.Value, want)
		}
		if math.Abs(p.Perplexity.Value-math.Exp(p.Loss.Value)) > 1e-12 || p.Dialogues != 31 || p.TooLong != 1 || p.Context != 64 || !(p.Loss.Low < p.Loss.Value && p.Loss.Value < p.Loss.High) {
			t.Errorf("%s: %+v", precision, p)
		}
	}
	shown := succeed(t, "eval", "perplexity", a.sft, file)
	for _, want := range []string{"perplexity  ", "nats a token of the assistant", "31 dialogues, ", "; 1 do not fit in 64 tokens"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing in\n%s", want, shown)
		}
	}
	table := write(t, filepath.Join(dir, "d.csv"), "prompt,completion\nName a colour.,Blue.\nName one.,Red.\n")
	if shown := succeed(t, "eval", "perplexity", a.sft, table); !strings.Contains(shown, "2 dialogues, ") {
		t.Errorf("of a table:\n%s", shown)
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{file, "--as", "poems"}, 4, "want text or dialogues"},
		{[]string{file, "--context", "65"}, 4, "outside 1 to 64"},
		{[]string{file, "--context", "5"}, 4, "fits into 5 tokens"},
		{[]string{file, "--max-tokens", "5"}, 4, "--max-tokens"},
		{[]string{a.rankings}, 4, "text"},
		{[]string{write(t, filepath.Join(dir, "one-bad.jsonl"), held.String()+"{}\n")}, 3, "1 rows of"},
	} {
		if o := alma(t, append([]string{"eval", "perplexity", a.sft}, tt.args...)...); o.code != tt.code || !strings.Contains(o.stderr, tt.says) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s%s", tt.args, o.code, tt.code, tt.says, o.stdout, o.stderr)
		}
	}
}

// Weights and moments several times over are most of what a run would leave.
func TestAFinishedStageKeepsNoOptimizerStateUnlessAsked(t *testing.T) {
	a := alignedFixture(t)
	dir := t.TempDir()
	texts := filepath.Join(dir, "texts.jsonl")
	jsonl, _ := labelled(40)
	write(t, texts, jsonl)
	checkpoints := func(out string) int {
		list, err := filepath.Glob(filepath.Join(out, "checkpoints", "step-*", "optimizer.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for name, args := range map[string][]string{
		"pretrain": a.pretrain("OUT", "--set", "steps=5"),
		"sft":      {"sft", "--base", a.base, "--dialogues", a.dialogues, "--set", "epochs=3", "--set", "batch_rows=1", "--set", "micro_rows=1", "--out", "OUT"},
		"reward":   a.rewards("OUT"),
		"ppo":      a.byModel("OUT"),
		"classify": {"classify", "train", "--base", a.base, "--texts", texts, "--set", "epochs=1", "--set", "batch_texts=8", "--out", "OUT"},
	} {
		t.Run(name, func(t *testing.T) {
			in := func(out string, more ...string) []string {
				return append(append(slices.Clone(args), "--checkpoint-steps", "1", "--out", out), more...)
			}
			out, kept := filepath.Join(dir, name), filepath.Join(dir, name+"-kept")
			o := alma(t, in(out)...)
			if o.code != 0 || !strings.Contains(o.stderr, name+": finished, so its checkpoints are removed (") {
				t.Fatalf("exit code %d\n%s", o.code, o.stderr)
			}
			if _, err := os.Stat(filepath.Join(out, "checkpoints")); !os.IsNotExist(err) {
				t.Errorf("checkpoints are left (%v)", err)
			}
			succeed(t, in(kept, "--keep-checkpoints")...)
			if n := checkpoints(kept); n != 2 {
				t.Errorf("%d checkpoints are kept, want 2", n)
			}
			// They stay when the command is given again without the flag.
			if o := alma(t, in(kept)...); o.code != 0 || !strings.Contains(o.stderr, "unchanged") || checkpoints(kept) != 2 {
				t.Errorf("given again: exit code %d, %d checkpoints\n%s", o.code, checkpoints(kept), o.stderr)
			}
			if weightsOf(t, out) != weightsOf(t, kept) {
				t.Error("the weights differ by whether checkpoints are kept")
			}
			if _, err := artifact.Open(out, true); err != nil {
				t.Error(err)
			}
		})
	}
}

// A stage that is killed between its result and the removal has both, and the next
// start removes what it would have removed.
func TestCheckpointsThatAKillLeftGoWithTheNextStart(t *testing.T) {
	needSignals(t)
	f := fixtures(t)
	out := filepath.Join(t.TempDir(), "out")
	args := f.pretrain(out, "--set", "steps=4")
	for _, failpoint := range []string{"stage.finish.after:1", "folder.remove.before:1", "folder.remove.after:1"} {
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
		if o := at(t, failpoint, args); o.code != -1 {
			t.Fatalf("%s: exit code %d\n%s", failpoint, o.code, o.stderr)
		}
		if _, err := artifact.Open(out, true); err != nil {
			t.Errorf("%s: the result was not durable before: %v", failpoint, err)
		}
		if o := alma(t, args...); o.code != 0 || !strings.Contains(o.stderr, "unchanged") {
			t.Errorf("%s: exit code %d\n%s", failpoint, o.code, o.stderr)
		}
		entries, err := os.ReadDir(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() == "checkpoints" || strings.Contains(e.Name(), ".tmp") {
				t.Errorf("%s: %s is left", failpoint, e.Name())
			}
		}
		if left, err := artifact.CleanTemporaries(out); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %v (%v)", failpoint, left, err)
		}
	}
	// So does a run.
	run := before(t, "sft")
	if o := at(t, "folder.remove.before:1", life(t, run)); o.code != -1 || lastBegun(o.stderr) != "sft" {
		t.Fatalf("exit code %d\n%s", o.code, o.stderr)
	}
	if o := alma(t, append(life(t, run), "--until", "sft")...); o.code > 0 && o.code != 5 || !strings.Contains(o.stderr, "sft: finished, so its checkpoints are removed") {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
	if _, err := os.Stat(filepath.Join(run, "sft", "checkpoints")); !os.IsNotExist(err) {
		t.Errorf("checkpoints are left (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(run, "pretrain", "checkpoints")); !os.IsNotExist(err) {
		t.Errorf("checkpoints are left (%v)", err)
	}
}
