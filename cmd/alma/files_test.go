package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
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
