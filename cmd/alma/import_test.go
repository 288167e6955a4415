package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/export"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func TestAModelGoesOutAsGGUFAndComesBack(t *testing.T) {
	f := fixtures(t)
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "base.gguf"), filepath.Join(dir, "imported")
	var r export.Report
	if err := json.Unmarshal([]byte(succeed(t, "export", f.base, "--format", "gguf", "--out", file, "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if !r.Check.LogitsEqual || r.Check.Conversations != 6 || r.Path != file {
		t.Errorf("the report is %+v", r)
	}
	succeed(t, "import", file, "--out", folder)
	if o := alma(t, "import", file, "--out", folder); o.code != 0 || !strings.Contains(o.stderr, "unchanged") {
		t.Errorf("importing again: exit code %d: %s", o.code, o.stderr)
	}
	// The model is the same whichever way it is opened.
	sample := []string{"--plain", "--prompt", "The colour", "--temp", "0", "--max-tokens", "12"}
	want := succeed(t, append([]string{"sample", f.base}, sample...)...)
	for _, path := range []string{file, folder} {
		if got := succeed(t, append([]string{"sample", path}, sample...)...); got != want {
			t.Errorf("%s writes %q, want %q", path, got, want)
		}
	}
	if got, want := succeed(t, "tokenizer", "encode", file, "The colour of house 7"), succeed(t, "tokenizer", "encode", f.base, "The colour of house 7"); got != want {
		t.Errorf("the file's tokenizer gives %q, want %q", got, want)
	}
	// A stage reads the file as its base.
	out := filepath.Join(dir, "sft")
	succeed(t, "sft", "--base", file, "--dialogues", f.dialogues, "--out", out, "--set", "epochs=1", "--set", "batch_rows=2", "--set", "micro_rows=2", "--set", "context=64")

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data[:len(data)/2], 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"import", file, "--out", filepath.Join(dir, "cut")}, {"sample", file, "--prompt", "x"}} {
		if o := alma(t, args...); o.code != 12 || !strings.Contains(o.stderr, "cut off") {
			t.Errorf("alma %s of a file cut off: exit code %d: %s", args[0], o.code, o.stderr)
		}
	}
}

// Of a file that was quantised the perplexity that the export told is that of the file as
// it is opened, on the text that is given and on that at hand.
func TestAQuantisedFileOpensAndCostsWhatItsExportSaid(t *testing.T) {
	f := fixtures(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("The colour of house 7 is blue. ", 100)), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"q4_0", "Q4_K_M"} { // llama.cpp's way to write it, too
		file := filepath.Join(dir, kind, "small.gguf")
		var r export.Report
		if err := json.Unmarshal([]byte(succeed(t, "export", f.base, "--format", "gguf", "--dtype", kind, "--text", text, "--out", file, "--json")), &r); err != nil {
			t.Fatal(err)
		}
		var p perplexity
		if err := json.Unmarshal([]byte(succeed(t, "eval", "perplexity", file, text, "--json")), &p); err != nil {
			t.Fatal(err)
		}
		if r.Type != strings.ToLower(kind) || r.Check.Cost == nil || r.Check.Cost.After.Perplexity != p.Perplexity.Perplexity || p.Windows == 0 {
			t.Errorf("%s: the export says %+v, the file has %+v", kind, r.Check.Cost, p.Perplexity)
		}
		succeed(t, "sample", file, "--prompt", "The colour", "--max-tokens", "4")
	}
	said := succeed(t, "export", f.base, "--format", "gguf", "--dtype", "q4_0", "--out", filepath.Join(dir, "at-hand"))
	if !strings.Contains(said, "  cost            perplexity ") || !strings.Contains(said, " on validation, ") {
		t.Errorf("of a model of which the validation text is there: %s", said)
	}
	other, _, err := tokenizer.Train(t.Context(), func(yield func(string, error) bool) { yield("a few words", nil) }, tokenizer.Options{VocabSize: 260})
	if err != nil {
		t.Fatal(err)
	}
	if path := export.ValidationText(f.base, other); path != "" {
		t.Errorf("%s is the text of a model with another vocabulary", path)
	}
}

func TestExportsAskedForWronglyAreUsageErrors(t *testing.T) {
	f := fixtures(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"export", f.base, "--out", "x"}, 4, "--format is missing"},
		{[]string{"export", f.base, "--format", "onnx", "--out", "x"}, 4, `format "onnx"`},
		{[]string{"export", f.base, "--format", "hf", "--dtype", "q8_0", "--out", "x"}, 4, `no type "q8_0"`},
		{[]string{"export", f.base, "--format", "gguf", "--dtype", "q4_k", "--out", "x"}, 4, "q5_k_m, q4_1, q4_k_m, q4_0"},
		{[]string{"export", f.base, "--format", "gguf", "--text", "none", "--out", "x"}, 10, "none"},
		{[]string{"export", f.base, "--format", "gguf", "--text", f.dialogues, "--max-tokens", "-1", "--out", "x"}, 4, "want 0"},
		{[]string{"export", f.base, "--format", "hf", "--out", f.base}, 4, "is the model itself"},
		{[]string{"export", "none", "--format", "hf", "--out", "x"}, 10, "none"},
		{[]string{"import", "none.gguf", "--out", "x"}, 10, "none.gguf"},
		{[]string{"import", f.base}, 4, "--out is missing"},
	} {
		if o := alma(t, c.args...); o.code != c.code || !strings.Contains(o.stderr, c.says) {
			t.Errorf("alma %s: exit code %d: %s", strings.Join(c.args, " "), o.code, o.stderr)
		}
	}
}

func TestAnExportedFileLeadsBackToWhatItWasMadeFrom(t *testing.T) {
	f := fixtures(t)
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	succeed(t, "sft", "--base", f.base, "--dialogues", f.dialogues, "--out", model, "--set", "epochs=1", "--set", "batch_rows=2", "--set", "micro_rows=2", "--set", "context=64")
	for _, args := range [][]string{{filepath.Join(dir, "model.gguf"), "gguf"}, {filepath.Join(dir, "published"), "hf"}} {
		succeed(t, "export", model, "--format", args[1], "--out", args[0])
		drawn := succeed(t, "lineage", args[0])
		for _, want := range []string{"exported from: " + model, "base: " + f.base, "dialogues: " + f.dialogues, "corpus: " + f.corpus} {
			if !strings.Contains(drawn, want) {
				t.Errorf("the lineage of %s does not show %q:\n%s", args[0], want, drawn)
			}
		}
		succeed(t, "verify", args[0])
	}
	// Where the source is not found, its digest is there all the same.
	elsewhere := filepath.Join(t.TempDir(), "a", "b", "model.gguf")
	if err := os.MkdirAll(filepath.Dir(elsewhere), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "model.gguf"), elsewhere); err != nil {
		t.Fatal(err)
	}
	if o := alma(t, "verify", elsewhere); o.code != 5 || !strings.Contains(o.stdout, "is not found") {
		t.Errorf("without its source: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
}
