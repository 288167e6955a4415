package dataset

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/chat"
)

func TestAnswersAreWrittenAsSampleWritesThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.jsonl")
	system := Prompt{Messages: []chat.Message{{Role: chat.System, Content: "Be <brief>."}, {Role: chat.User, Content: "Name one."}}}
	answers := []Answers{
		{UserPrompt("Name a colour.", "It"), []string{" is", ""}, []bool{false, true}},
		{system, []string{"Red."}, []bool{true}},
	}
	if err := WriteAnswers(path, answers); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"prompt":"Name a colour.","prefill":"It","completions":[" is",""],"ended":[false,true]}
{"prompt":[{"role":"system","content":"Be <brief>."},{"role":"user","content":"Name one."}],"completions":["Red."],"ended":[true]}
`
	if string(text) != want {
		t.Errorf("wrote\n%swant\n%s", text, want)
	}
	if back, err := ReadAnswers(path, stop); err != nil || !reflect.DeepEqual(back.Rows, answers) {
		t.Errorf("read back %+v (%v)", back, err)
	}
}

func asked(t *testing.T, text string) ([]Asked, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "asked.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := ReadAsked(path, stop)
	if err != nil {
		return nil, err
	}
	return f.Rows, nil
}

func TestThePromptOfADialogueIsWhatItsLastAnswerAnswers(t *testing.T) {
	got, err := asked(t, `{"prompt":"Name a colour."}
{"messages":[{"role":"user","content":"Name a colour."}],"prefill":"It"}
{"messages":[{"role":"user","content":"A?"},{"role":"assistant","content":"B."},{"role":"user","content":"C?"},{"role":"assistant","content":"It is D.","prefill":"It"}]}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Asked{
		{UserPrompt("Name a colour.", ""), ""},
		{UserPrompt("Name a colour.", "It"), ""},
		{Prompt{Messages: []chat.Message{{Role: "user", Content: "A?"}, {Role: "assistant", Content: "B."}, {Role: "user", Content: "C?"}}, Prefill: "It"}, " is D."},
	}
	if len(got) != len(want) {
		t.Fatalf("%d prompts, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i].Prompt.Messages, want[i].Prompt.Messages) || got[i].Prompt.Prefill != want[i].Prompt.Prefill || got[i].Reference != want[i].Reference {
			t.Errorf("line %d is %+v, want %+v", i+1, got[i], want[i])
		}
	}
	for _, line := range []string{
		`{"messages":[{"role":"assistant","content":"Red."}]}`, // nothing is asked
		`{"messages":[]}`,
		`{"messages":[{"role":"user","content":"A?"},{"role":"assistant","content":"B."}],"prefill":"C"}`,
		`{"messages":[{"role":"user","content":"A?"},{"role":"assistant","content":"B."}],"tools":1}`,
	} {
		if _, err := asked(t, line); err == nil || !strings.Contains(err.Error(), "asked.jsonl:1: ") {
			t.Errorf("%s: %v, want a refusal of line 1", line, err)
		}
	}
}
