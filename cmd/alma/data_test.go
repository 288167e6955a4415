package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model/file"
)

// dialogueFile holds three short dialogues and one that fits into no context.
func dialogueFile(t *testing.T) string {
	line := func(question, answer string) string {
		return fmt.Sprintf(`{"messages":[{"role":"user","content":%q},{"role":"assistant","content":%q}]}`+"\n", question, answer)
	}
	return write(t, filepath.Join(t.TempDir(), "dialogues.jsonl"),
		line("Name a colour.", "Blue.")+line("Name a colour.", strings.Repeat("Blue or red. ", 40))+line("And a door.", "A white\tone.")+line("Name a colour.", "Blue."))
}

func TestDialoguesAreShownWithWhatCounts(t *testing.T) {
	f := fixtures(t)
	path := dialogueFile(t)
	shown := succeed(t, "data", "show", path, "--model", f.base)
	for _, want := range []string{
		"<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n⟦Blue.<|im_end|>⟧\n",
		"more than 64: left out\n   (64 tokens of ", "✂", "⟦A white\tone.<|im_end|>⟧",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing in\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "dialogue 4") || strings.Contains(shown, "\x1b[") {
		t.Errorf("four are shown of three, or colors in a file:\n%s", shown)
	}
	// The tokens are those of the model's tokenizer, the marks those of the mask.
	tok, err := file.LoadTokenizer(f.base)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Number, Fits int
		Tokens       []int32
		Trained      []bool
	}
	if err := json.Unmarshal([]byte(succeed(t, "data", "show", path, "--model", f.base, "-n", "1", "--from", "4", "--json")), &e); err != nil {
		t.Fatal(err)
	}
	var learned []int32
	for i, id := range e.Tokens {
		if e.Trained[i] {
			learned = append(learned, id)
		}
	}
	if text, err := tok.Decode(learned); err != nil || text != "Blue.<|im_end|>" || e.Number != 4 || e.Fits != len(e.Tokens) {
		t.Errorf("%+v: learned %q (%v)", e, text, err)
	}
	rows := succeed(t, "data", "show", path, "--model", f.base, "--rows", "2x64")
	for _, want := range []string{"3 dialogues in 2 rows of 64; 1 do not fit", "row 1, segment 0, positions 0 to ", "of padding"} {
		if !strings.Contains(rows, want) {
			t.Errorf("%q is missing in\n%s", want, rows)
		}
	}
}

func TestRankingsPromptsTextsAndShardsAreShown(t *testing.T) {
	a := alignedFixture(t)
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{a.rankings, "-n", "1"}, []string{"ranking 1: 4 completions, 4 pairs, by anna", "1, rank 1: ", "Blue.<|im_end|>\n", "4, rank 3: ", "cut off\nIt is\n"}},
		{[]string{a.prompts, "-n", "1"}, []string{"prompt 1: ", "assistant\nIt\n"}},
		{[]string{a.dialogues, "--as", "prompts", "-n", "1"}, []string{"<|im_start|>assistant\n\n"}},
		{[]string{write(t, filepath.Join(t.TempDir(), "a.jsonl"), `{"prompt":"A?","completions":["B."]}`)}, []string{"prompt 1: 1 answers", "B.<|im_end|>"}},
		{[]string{write(t, filepath.Join(t.TempDir(), "t.txt"), strings.Repeat("white ", 60)), "--context", "8"}, []string{"cut at 8", "✂"}},
		{[]string{filepath.Join(a.base, "shards", "train"), "-n", "1"}, []string{"document 1: ", "The colour of house", "<|endoftext|>"}},
		{[]string{filepath.Join(a.base, "shards", "train"), "--rows", "2×400"}, []string{"row 2, positions 0 to", "the next document"}},
	} {
		shown := succeed(t, append([]string{"data", "show", "--model", a.base}, tt.args...)...)
		for _, want := range tt.want {
			if !strings.Contains(shown, want) {
				t.Errorf("%v: %q is missing in\n%s", tt.args, want, shown)
			}
		}
	}
}

func TestDataIsCheckedBeforeAnythingIsTrained(t *testing.T) {
	a := alignedFixture(t)
	path := dialogueFile(t)
	check := func(args ...string) (r dataset.CheckReport) {
		if err := json.Unmarshal([]byte(succeed(t, append([]string{"data", "check", "--json"}, args...)...)), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := check(path, "--model", a.base)
	if r.As != "dialogues" || r.Entries != 4 || r.Kept != 3 || r.Repeated != 1 || r.Dropped[0].First != 2 || r.Lengths.LongestAt != 2 || r.Limit != 64 {
		t.Errorf("%+v", r)
	}
	if r := check(a.rankings, "--model", a.base); r.As != "rankings" || r.Pairs != 12*4 || r.Annotators[0] != "anna" {
		t.Errorf("%+v", r)
	}
	if r := check(a.prompts, "--model", a.base, "--max-tokens", "60"); r.As != "prompts" || r.Kept != 0 || r.Dropped[0].N != 12 {
		t.Errorf("%+v", r)
	}
	texts := write(t, filepath.Join(t.TempDir(), "t.csv"), "text,label\nwhite house,a\nblue house,b\nred house,a\n")
	if r := check(texts, "--model", a.base, "--labels"); r.As != "texts" || r.Kept != 3 || r.Labels["a"] != 2 {
		t.Errorf("%+v", r)
	}
	if shown := succeed(t, "data", "check", path, "--model", a.base); !strings.Contains(shown, "left out  1: more than 64 tokens (the first is number 2)\n") {
		t.Errorf("check wrote\n%s", shown)
	}
	bad := write(t, filepath.Join(t.TempDir(), "bad.jsonl"), `{"messages":[{"role":"user","content":"A"},{"role":"assistant","content":"B"}]}`+"\n{}\n")
	for _, tt := range []struct{ args, says string }{
		{bad + " --model " + a.base + " --bad-rows stop", "bad.jsonl:2: "},
		{a.prompts + " --model " + a.base + " --as rankings", "prompts.jsonl:1: "},
		{a.prompts + " --model " + a.base + " --as shards", "this verb reads dialogues, prompts, rankings, texts"},
		{a.prompts + " --model " + a.base + " --context 65", "longer than the model's, which is 64"},
		{a.prompts, "--model is missing"},
	} {
		if o := alma(t, append([]string{"data", "check"}, strings.Fields(tt.args)...)...); o.code != 4 || !strings.Contains(o.stderr, tt.says) {
			t.Errorf("%s: exit code %d, %s, want 4 and %q", tt.args, o.code, o.stderr, tt.says)
		}
	}
	if o := alma(t, "data", "show", a.prompts, "--model", a.base, "--rows", "2"); o.code != 4 || !strings.Contains(o.stderr, "as 2x256") {
		t.Errorf("exit code %d: %s", o.code, o.stderr)
	}
	if o := alma(t, "data", "check", "none.jsonl", "--model", a.base); o.code != 10 {
		t.Errorf("exit code %d: %s", o.code, o.stderr)
	}
}

func TestABadRowIsLeftOutToldAndRecorded(t *testing.T) {
	a := alignedFixture(t)
	good := strings.Repeat(`{"messages":[{"role":"user","content":"Name a colour."},{"role":"assistant","content":"Blue."}]}`+"\n", 30)
	path := write(t, filepath.Join(t.TempDir(), "d.jsonl"), good+`{"messages":[{"role":"user","content":"A"}]}`+"\n"+good)
	out := filepath.Join(t.TempDir(), "sft")
	args := []string{"sft", "--base", a.base, "--dialogues", path, "--out", out, "--set", "epochs=1"}
	o := alma(t, args...)
	for _, want := range []string{"d.jsonl: 61 rows of dialogues (JSON Lines: messages)", "1 of 61 rows left out: no message has the role \"assistant\"", "first: line 31: ", "done, and 1 rows of " + path} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("%q is missing in\n%s", want, o.stderr)
		}
	}
	m, err := artifact.Open(out, true)
	if o.code != 3 || err != nil || len(m.Rejected) != 1 || m.Rejected[0].N != 1 || m.Rejected[0].Rows != 61 || m.Metrics["dialogues"] != 60 {
		t.Errorf("exit code %d, manifest %+v (%v)", o.code, m, err)
	}
	// Given again nothing is done, and it is still told.
	if o := alma(t, args...); o.code != 3 || !strings.Contains(o.stderr, "unchanged") {
		t.Errorf("given again: exit code %d\n%s", o.code, o.stderr)
	}
	if o := alma(t, append(args, "--out", out+"2", "--bad-rows", "stop")...); o.code != 4 || !strings.Contains(o.stderr, "d.jsonl:31: ") {
		t.Errorf("stop: exit code %d\n%s", o.code, o.stderr)
	}
	recipe := write(t, filepath.Join(t.TempDir(), "r.yaml"), fmt.Sprintf("name: r\nstages:\n  sft: {use: sft, base: %s, dialogues: %s, epochs: 1}\n", a.base, path))
	if o := alma(t, "run", recipe, "--out", filepath.Join(t.TempDir(), "run")); o.code != 3 || !strings.Contains(o.stderr, "were left out") {
		t.Errorf("a run: exit code %d\n%s", o.code, o.stderr)
	}
	// Read without training: what is found and what is bad.
	if o := alma(t, "sft", "--base", a.base, "--dialogues", path, "--out", out+"3", "--check"); o.code != 3 || !strings.Contains(o.stderr, "61 rows of dialogues") || !strings.Contains(o.stderr, "first: line 31: ") || !strings.Contains(o.stdout, "the inputs can be read") {
		t.Errorf("--check: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	// What is written a line for each row stops, so that lines do not shift.
	texts := write(t, filepath.Join(t.TempDir(), "t.jsonl"), "{\"text\":\"white house\"}\n{}\n")
	if o := alma(t, "embed", a.base, texts); o.code != 4 || !strings.Contains(o.stderr, "t.jsonl:2: ") {
		t.Errorf("embed: exit code %d\n%s", o.code, o.stderr)
	}
	if o := alma(t, "embed", a.base, texts, "--bad-rows", "skip"); o.code != 3 || strings.Count(o.stdout, "\n") != 1 {
		t.Errorf("embed, skipping: exit code %d\n%s", o.code, o.stderr)
	}
}

func TestFilesOfOtherToolsAreLearnedFrom(t *testing.T) {
	a := alignedFixture(t)
	dir := t.TempDir()
	dialogues := write(t, filepath.Join(dir, "d.csv"), "\ufeff\"ask\";\"reply\"\n"+strings.Repeat("\"Name a colour.\";\"Blue.\"\n", 8))
	o := alma(t, "sft", "--base", a.base, "--dialogues", dialogues, "--map", "prompt=ask,completion=reply", "--out", filepath.Join(dir, "sft"), "--set", "epochs=1")
	if o.code != 0 || !strings.Contains(o.stderr, "d.csv: 8 rows of dialogues (CSV with ; between fields: prompt and completion)") {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
	shown := succeed(t, "data", "show", dialogues, "--model", a.base, "--map", "prompt=ask,completion=reply", "-n", "1")
	if !strings.Contains(shown, "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n⟦Blue.<|im_end|>⟧") {
		t.Errorf("shown\n%s", shown)
	}
}
