package dataset

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func completionsOf(t *testing.T, text string) ([]Completion, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "completions.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := ReadCompletions(path, stop)
	if err != nil {
		return nil, err
	}
	return f.Rows, nil
}

func TestCompletionsAreReadOneOrSeveralToALine(t *testing.T) {
	got, err := completionsOf(t, `{"prompt":"Name a colour.","completion":"Blue."}
{"prompt":"Name a colour.","prefill":"It","completions":[" is"," is red."],"ended":[false,true],"ranks":[2,1]}
{"prompt":[{"role":"user","content":"Name one."}],"completion":"Gr","ended":false}
{"prompt":"Name one.","chosen":"Red.","rejected":"R"}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Completion{
		{UserPrompt("Name a colour.", ""), "Blue.", true},
		{UserPrompt("Name a colour.", "It"), " is", false},
		{UserPrompt("Name a colour.", "It"), " is red.", true},
		{UserPrompt("Name one.", ""), "Gr", false},
		{UserPrompt("Name one.", ""), "Red.", true},
		{UserPrompt("Name one.", ""), "R", true},
	}
	if len(got) != len(want) {
		t.Fatalf("%d completions, want %d", len(got), len(want))
	}
	for i := range want {
		a, b := got[i], want[i]
		if a.Text != b.Text || a.Ended != b.Ended || a.Prompt.Text() != b.Prompt.Text() || a.Prompt.Prefill != b.Prompt.Prefill {
			t.Errorf("completion %d is %+v, want %+v", i, a, b)
		}
	}
}

func TestCompletionsThatAreNoneNameTheirLine(t *testing.T) {
	for _, tt := range []struct{ line, says string }{
		{`{"prompt":"A"}`, `neither "completion" nor "completions"`},
		{`{"prompt":"A","completions":[]}`, "neither"},
		{`{"prompt":"A","completion":"b","completions":["c"]}`, "both"},
		{`{"prompt":"A","completion":"b","ended":[true]}`, `"ended" must be true or false`},
		{`{"prompt":"A","completions":["b","c"],"ended":[true]}`, `2 completions and 1 entries`},
		{`{"prompt":"A","completion":""}`, "completion 0 is empty"},
		{`{"completion":"b"}`, "prompt"},
	} {
		_, err := completionsOf(t, `{"prompt":"A","completion":"b"}`+"\n"+tt.line)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "completions.jsonl:2: ") {
			t.Errorf("%s: %v, want %q at line 2", tt.line, err, tt.says)
		}
	}
}

func FuzzCompletionLine(f *testing.F) {
	f.Add(`{"prompt":"A","completion":"b","ended":false}`)
	f.Add(`{"prompt":[{"role":"user","content":"A"}],"prefill":"x","completions":["b","<c>"],"ended":[true,false]}`)
	f.Fuzz(func(t *testing.T, line string) {
		all, err := completionsOf(t, line)
		if err != nil {
			return
		}
		for _, c := range all {
			data, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			back, err := completionsOf(t, string(data))
			if err != nil || len(back) != 1 || back[0].Text != c.Text || back[0].Ended != c.Ended {
				t.Fatalf("%s came back as %+v (%v)", data, back, err)
			}
		}
	})
}
