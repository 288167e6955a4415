package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/evaluate"
)

func TestModelsAreHeldAgainstEachOther(t *testing.T) {
	a := alignedFixture(t)
	dir := t.TempDir()
	text := write(t, filepath.Join(dir, "text.txt"), strings.Repeat("The colour of house 7 is blue. ", 40))
	args := []string{
		"eval", "models", a.base, a.sft, "--prompts", a.dialogues, "--text", text, "--reward", a.reward, "--rankings", a.rankings,
		"--set", "max_tokens=8", "--seed", "3",
	}
	shown := succeed(t, args...)
	for _, want := range []string{"On the text", "Answers at temperature 0.7", "Wins at temperature 1", "Divergence from the first model", "Held-out rankings foretold", "> Name a colour.\n", "  people", "  sft, 0.7"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing in\n%s", want, shown)
		}
	}
	out := filepath.Join(dir, "evaluation")
	var e evaluate.Evaluation
	if err := json.Unmarshal([]byte(succeed(t, append(args, "--out", out, "--json")...)), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Models) != 2 || e.Models[1].Name != "sft" || e.Models[1].KL == nil || e.Models[0].Text == nil || e.Prompts != 1 {
		t.Errorf("%+v", e)
	}
	if _, err := os.Stat(filepath.Join(out, "artifact.json")); err != nil {
		t.Error(err)
	}
	// Given again it is read, and another evaluation does not overwrite it.
	if o := alma(t, append(args, "--out", out)...); o.code != 0 || o.stdout != shown || !strings.Contains(o.stderr, "unchanged") {
		t.Errorf("exit code %d, %s\n%swant\n%s", o.code, o.stderr, o.stdout, shown)
	}
	if o := alma(t, append(args, "--out", out, "--set", "words=7")...); o.code != 4 || !strings.Contains(o.stderr, "words was 40 and is 7") {
		t.Errorf("exit code %d: %s", o.code, o.stderr)
	}
	if o := alma(t, "eval", "models", a.base); o.code != 4 || !strings.Contains(o.stderr, "nothing to measure on") {
		t.Errorf("exit code %d: %s", o.code, o.stderr)
	}
}
