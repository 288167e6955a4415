package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train/sft"
)

// writeModel writes the configuration of a model, which is all that plans read, as the
// stage of a kind made it from a base; "": as no stage did.
func writeModel(t *testing.T, dir, kind, base string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	config := `{"model_type":"llama","architectures":["LlamaForCausalLM"],"vocab_size":49152,"hidden_size":576,"num_hidden_layers":30,
		"num_attention_heads":9,"num_key_value_heads":3,"intermediate_size":1536,"max_position_embeddings":8192,"rms_norm_eps":1e-5,"tie_word_embeddings":true}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if kind == "" {
		return dir
	}
	s, err := artifact.Begin(dir, kind, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if base != "" {
		if err := s.AddInput("base", base); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWhetherAModelIsPublishedFollowsFromItsLineage(t *testing.T) {
	dir := t.TempDir()
	made := writeModel(t, filepath.Join(dir, "pretrain"), "pretrain", "")
	tuned := writeModel(t, filepath.Join(dir, "sft"), "sft", made)
	brought := writeModel(t, filepath.Join(dir, "brought"), "", "")
	imported := writeModel(t, filepath.Join(dir, "import"), "import", "")
	for path, want := range map[string]bool{
		made: false, tuned: false, brought: true, imported: true,
		writeModel(t, filepath.Join(dir, "again"), "reward", tuned):             false,
		writeModel(t, filepath.Join(dir, "tuned-brought"), "sft", brought):      true,
		writeModel(t, filepath.Join(dir, "tuned-imported"), "reward", imported): true,
	} {
		if got := FactsOf(path).Published; got != want {
			t.Errorf("%s: published is %v, want %v", filepath.Base(path), got, want)
		}
	}
}

func TestALineageIsFollowedFromAnotherFolder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	writeModel(t, "pretrain", "pretrain", "")
	writeModel(t, "runs/sft", "sft", "pretrain")
	writeModel(t, "runs/again", "sft", "runs/sft")
	t.Chdir("runs")
	if FactsOf("again").Published {
		t.Error("what was pretrained here is taken for published, seen from another folder")
	}
	if !FactsOf(writeModel(t, "brought", "", "")).Published {
		t.Error("what was brought is taken for pretrained here")
	}
}

func TestWhatNobodySetIsChosenAndSaidAndChosenAgain(t *testing.T) {
	dir := t.TempDir()
	brought := writeModel(t, filepath.Join(dir, "brought"), "", "")
	dialogues := filepath.Join(dir, "dialogues.jsonl")
	var lines strings.Builder
	for i := range 300 {
		fmt.Fprintf(&lines, `{"messages":[{"role":"user","content":"question %d"},{"role":"assistant","content":"answer"}]}`+"\n", i)
	}
	if err := os.WriteFile(dialogues, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	recipe := fmt.Sprintf("stages:\n  model:\n    use: import\n    source: %s\n  sft:\n    use: sft\n    base: model\n    dialogues: %s\n    warmup: 0.03\n", brought, dialogues)
	r, err := Parse("r.yaml", []byte(recipe), Options{Set: []string{"sft.epochs=1"}})
	if err != nil {
		t.Fatal(err)
	}
	// The base is not there yet: the rate is known, what hangs on its tokens is not.
	if _, err := r.Plan(filepath.Join(dir, "run"), 1e11, 0, Selection{}); err != nil {
		t.Fatal(err)
	}
	config := r.Step("sft").Config.(*sft.Config)
	if config.LR != 5e-5 || config.Warmup != .03 || config.Epochs != 1 {
		t.Errorf("lr %g, warmup %g, epochs %g", config.LR, config.Warmup, config.Epochs)
	}
	origins := map[string]string{}
	for _, v := range r.Resolved.Values {
		origins[v.Key] = v.Origin.String()
	}
	if got := origins["sft.lr"]; got != "chosen: a published model of 134,515,008 parameters" {
		t.Errorf("the origin of lr is %q", got)
	}
	if got := origins["sft.epochs"]; got != "--set" {
		t.Errorf("the origin of epochs is %q", got)
	}
	// Of a base that was trained here nothing is chosen, and what was is taken back.
	tuned := writeModel(t, filepath.Join(dir, "sft"), "sft", writeModel(t, filepath.Join(dir, "pretrain"), "pretrain", ""))
	step := r.Step("sft")
	said, err := step.Derive(Known(stage.Inputs{"base": {tuned}, "dialogues": {dialogues}}, config), 0)
	if err != nil {
		t.Fatal(err)
	}
	if config.LR != 5e-4 || len(said) == 0 || !strings.HasPrefix(said[0], "lr 0.0005 (a model of width 576") {
		t.Errorf("lr %g, said %q", config.LR, said)
	}
	// A verb's step, whose values the command line sets.
	step, _, err = Single(sft.Stage, "", []string{"lr=0.001"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := step.Derive(Known(stage.Inputs{"base": {brought}, "dialogues": {dialogues}}, step.Config), 0); err != nil {
		t.Fatal(err)
	}
	if got := step.Config.(*sft.Config); got.LR != .001 || got.Warmup != .1 {
		t.Errorf("lr %g, warmup %g; want .001, which was set, and .1", got.LR, got.Warmup)
	}
}
