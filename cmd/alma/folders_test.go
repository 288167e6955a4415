package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// others copies a model of alma's as one of others': without artifact.json.
func others(t *testing.T, folder string) string {
	t.Helper()
	to := copied(t, folder)
	if err := os.Remove(filepath.Join(to, "artifact.json")); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestAKeyThatAlmaDoesNotKnowIsRefusedOrLetPass(t *testing.T) {
	model := others(t, fixtures(t).base)
	path := filepath.Join(model, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(string(data), "{", `{"colour": "red", "shape": 3,`, 1))
	for _, args := range [][]string{
		{"sample", model, "--plain", "--prompt", "a", "--max-tokens", "2"},
		{"import", model, "--out", filepath.Join(t.TempDir(), "refused")},
		{"export", model, "--format", "hf", "--out", filepath.Join(t.TempDir(), "refused")},
	} {
		o := alma(t, args...)
		if o.code != 4 || !strings.Contains(o.stderr, `"colour"`) || !strings.Contains(o.stderr, "--accept-keys colour") || !strings.Contains(o.stderr, path) {
			t.Errorf("%v: exit code %d\n%s", args, o.code, o.stderr)
		}
	}
	out := filepath.Join(t.TempDir(), "imported")
	succeed(t, "import", model, "--out", out, "--accept-keys", "colour,shape")
	manifest, err := artifact.Open(out, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := manifest.Environment["accepted_keys"]; got != "colour,shape" {
		t.Errorf("the manifest says of accepted keys %q", got)
	}
	succeed(t, "sample", out, "--plain", "--prompt", "a", "--max-tokens", "2")
	if o := alma(t, "sample", model, "--plain", "--prompt", "a", "--accept-keys", "colour,"); o.code != 4 {
		t.Errorf("an empty key: exit code %d\n%s", o.code, o.stderr)
	}
}

func TestWhatAFolderSaysOfWritingTextsIsUsedAndShown(t *testing.T) {
	model := others(t, fixtures(t).base)
	write(t, filepath.Join(model, "generation_config.json"), `{"eos_token_id": [0, 70], "do_sample": true, "temperature": 0.25, "top_k": 3, "repetition_penalty": 1.2, "no_repeat_ngram_size": 2}`)
	write(t, filepath.Join(model, "modeling_special.py"), "")
	var shown struct {
		Ends []struct {
			ID   int32
			From []string
		}
	}
	if err := json.Unmarshal([]byte(succeed(t, "tokenizer", "show", model, "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	found := map[int32][]string{}
	for _, e := range shown.Ends {
		found[e.ID] = e.From
	}
	if !slices.Contains(found[0], "generation_config.json") || !slices.Equal(found[70], []string{"generation_config.json"}) || len(found[2]) == 0 {
		t.Errorf("texts end at %v", found)
	}
	o := alma(t, "sample", model, "--plain", "--prompt", "a", "--max-tokens", "2")
	for _, want := range []string{"--temp 0.25 --top-k 3 --top-p 1 --repeat-penalty 1.2", `"no_repeat_ngram_size" (2) is not used`, ": not used: "} {
		if o.code != 0 || strings.Count(o.stderr, want) != 1 {
			t.Errorf("exit code %d, and %q is not said once:\n%s", o.code, want, o.stderr)
		}
	}
	if !strings.Contains(o.stderr, "modeling_special.py") {
		t.Errorf("what is not used is not named:\n%s", o.stderr)
	}
	if o := alma(t, "sample", model, "--plain", "--prompt", "a", "--max-tokens", "2", "--temp", "1"); strings.Contains(o.stderr, "recommends") {
		t.Errorf("with a flag of the user's: %s", o.stderr)
	}
}

func TestATextEndsBeforeAStopStringOfTheModels(t *testing.T) {
	model := others(t, fixtures(t).base)
	args := []string{"sample", model, "--plain", "--prompt", "The colour", "--max-tokens", "30", "-n", "3", "--json"}
	var free, stopped struct {
		Completions []string
		Ended       []bool
	}
	if err := json.Unmarshal([]byte(succeed(t, args...)), &free); err != nil {
		t.Fatal(err)
	}
	first := []rune(free.Completions[0])
	stop := string(first[len(first)/2 : len(first)/2+2])
	asked, err := json.Marshal(map[string]any{"stop_strings": []string{stop}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(model, "generation_config.json"), string(asked))
	o := alma(t, args...)
	if err := json.Unmarshal([]byte(o.stdout), &stopped); err != nil || strings.Contains(o.stderr, "stop_strings") {
		t.Fatalf("%v\n%s", err, o.stderr)
	}
	for i, text := range free.Completions {
		want, _, found := strings.Cut(text, stop)
		if stopped.Completions[i] != want || found && !stopped.Ended[i] {
			t.Errorf("with the stop string %q: %q (ended %v), want %q", stop, stopped.Completions[i], stopped.Ended[i], want)
		}
	}
}

func TestATextThatIsContinuedBeginsAsTheTokenizerSays(t *testing.T) {
	model := others(t, fixtures(t).base)
	path := filepath.Join(model, "tokenizer_config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tokens := func() []int32 {
		tok, err := tokenizer.Load(model)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := promptTokens(tok, nil, dataset.UserPrompt("a plan", ""))
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	before := tokens()
	write(t, path, strings.Replace(string(data), "{", `{"bos_token": "<|endoftext|>", "add_bos_token": true,`, 1))
	if got := tokens(); !slices.Equal(got, append([]int32{0}, before...)) {
		t.Errorf("with a token that begins a text: %v, without %v", got, before)
	}
}
