package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
)

func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadDialogues(t *testing.T) {
	chats, err := ReadDialogues(file(t, "\ufeff"+`{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u\ud83d\ude00"},{"role":"assistant","content":"a b","prefill":"a"}],"source":{"own":1}}`+"\r\n\n"+
		`{"messages":[{"role":"assistant","content":"hello","tool_calls":null}],"tools":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(chats) != 2 || chats[0].Messages[1].Content != "u😀" || chats[0].Messages[2].Prefill != "a" {
		t.Errorf("%+v", chats)
	}
}

// refusal is a line that a reader must refuse, and what the error must say.
type refusal struct{ line, say string }

func testRefusals[T any](t *testing.T, good string, read func(string) ([]T, error), cases []refusal) {
	t.Helper()
	for _, c := range cases {
		path := file(t, good+"\n"+c.line+"\n")
		_, err := read(path)
		if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), path+":2: ") || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s\ngives %v\nwant one of file:2 that says %q", c.line, err, c.say)
		}
	}
	if _, err := read(file(t, "\n \n")); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: %v", err)
	}
	if _, err := read(filepath.Join(t.TempDir(), "absent")); artifact.ExitCode(err) != artifact.ErrNotFound.Code() {
		t.Errorf("an absent file: %v", err)
	}
	if _, err := read(file(t, good)); err != nil {
		t.Errorf("the good line: %v", err)
	}
}

// badLines are refused by every reader.
var badLines = []refusal{
	{`{"prompt":`, "unexpected end"},
	{`[1]`, "not a JSON object"},
	{`{"prompt":"` + "\xff" + `"}`, "byte 11 of the line is not UTF-8"},
	{`{"prompt":"\\\ud800x","completions":["a","b"],"ranks":[1,2],"messages":[]}`, "surrogate"},
	{`{"a":` + strings.Repeat("[", 20000) + `}`, "exceeded max depth"},
	{`{"a":"` + strings.Repeat("x", maxLine) + `"}`, "longer than"},
}

func TestReadDialoguesNamesThePlaceAndTheFault(t *testing.T) {
	testRefusals(t, `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}`, ReadDialogues, append([]refusal{
		{`{}`, `no "messages"`},
		{`{"messages":[]}`, `no "messages"`},
		{`{"messages":[{"role":"user","content":"u"}]}`, "assistant"},
		{`{"messages":[{"role":"User","content":"u"}]}`, `role "User"`},
		{`{"messages":[{"content":"u"}]}`, `role ""`},
		{`{"messages":[{"role":"user","content":""},{"role":"assistant","content":"a"}]}`, "message 0 (user) is empty"},
		{`{"messages":[{"role":"user","content":7}]}`, "number"},
		{`{"messages":"u"}`, "want an array"},
		{`{"messages":[{"role":"assistant","content":"a","prefill":"b"}]}`, "prefill"},
		{`{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}],"tools":[{"name":"t"}]}`, `"tools" is given`},
		{`{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a","tool_calls":[{"id":1}]}]}`, `message 1 has "tool_calls"`},
	}, badLines...))
}

func TestReadPromptsNamesThePlaceAndTheFault(t *testing.T) {
	testRefusals(t, `{"prompt":"p"}`, ReadPrompts, append([]refusal{
		{`{}`, `neither "prompt" nor "messages"`},
		{`{"prompt":""}`, "empty"},
		{`{"prompt":7}`, "a string or an array"},
		{`{"prompt":"p","messages":[{"role":"user","content":"u"}]}`, "both"},
		{`{"messages":[{"role":"assistant","content":"a"}]}`, "ends with a turn of the assistant"},
		{`{"prompt":"p","prefill":[]}`, "want a string"},
		{`{"prompt":"p","tools":[{"name":"t"}]}`, `"tools" is given`},
	}, badLines...))
}

func TestReadRankingsNamesThePlaceAndTheFault(t *testing.T) {
	testRefusals(t, `{"prompt":"p","completions":["a","b"],"ranks":[1,2]}`, ReadRankings, append([]refusal{
		{`{"completions":["a","b"],"ranks":[1,2]}`, "prompt is empty"},
		{`{"prompt":"p"}`, `no "completions"`},
		{`{"prompt":"p","completions":["a"],"ranks":[1]}`, "one completion only"},
		{`{"prompt":"p","completions":["a","b"],"ranks":[1]}`, "2 completions and 1 ranks"},
		{`{"prompt":"p","completions":["a","b"],"ranks":[0,1]}`, "rank 0 of completion 0"},
		{`{"prompt":"p","completions":["a","b"],"ranks":[1,3]}`, "rank 3 of completion 1"},
		{`{"prompt":"p","completions":["a","b"],"ranks":[1,1.5]}`, "whole number"},
		{`{"prompt":"p","completions":["a",""],"ranks":[1,2]}`, "completion 1 is empty"},
		{`{"prompt":"p","completions":["a","a"],"ranks":[1,2]}`, "the same text"},
		{`{"prompt":"p","completions":["a","b"],"ranks":[1,2],"ended":[true]}`, `"ended"`},
		{`{"prompt":"p","chosen":"a"}`, `both "chosen" and "rejected"`},
		{`{"prompt":"p","chosen":"a","rejected":"a"}`, "the same text"},
		{`{"prompt":"p","chosen":"a","rejected":"b","ranks":[1,2]}`, "give one of them"},
		{`{"prompt":[{"role":"robot","content":"u"}],"chosen":"a","rejected":"b"}`, `role "robot"`},
	}, badLines...))
}

func TestPairsAreRankingsOfTwo(t *testing.T) {
	got, err := ReadRankings(file(t, `{"prompt":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"chosen":"good","rejected":"bad","annotator":"anna"}`))
	if err != nil {
		t.Fatal(err)
	}
	r := got[0]
	if !slices.Equal(r.Completions, []string{"good", "bad"}) || !slices.Equal(r.Ranks, []int{1, 2}) || r.Annotator != "anna" || r.Prompt.Text() != "u" || !r.EndedAt(1) {
		t.Errorf("%+v", r)
	}
}

func TestPairsListEveryWinnerAndLoserOnce(t *testing.T) {
	for _, c := range []struct {
		ranks []int
		want  [][2]int
	}{
		{[]int{2, 1, 3}, [][2]int{{0, 2}, {1, 0}, {1, 2}}},
		{[]int{1, 1, 3}, [][2]int{{0, 2}, {1, 2}}},
		{[]int{1, 1}, nil},
		{nil, nil},
	} {
		if got := Pairs(c.ranks); !slices.Equal(got, c.want) {
			t.Errorf("ranks %v: pairs %v, want %v", c.ranks, got, c.want)
		}
	}
	if n := len(Pairs([]int{4, 2, 1, 3})); n != 6 {
		t.Errorf("four ranks make %d pairs, want C(4,2) = 6", n)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	conversation := Prompt{Messages: []chat.Message{{Role: "user", Content: "<a>"}, {Role: "assistant", Content: "b"}, {Role: "user", Content: "c"}}}
	prompts := []Prompt{UserPrompt("p\nq", "// Name"), conversation}
	path := filepath.Join(t.TempDir(), "x.jsonl")
	if err := WritePrompts(path, prompts); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadPrompts(path); err != nil || !reflect.DeepEqual(got, prompts) {
		t.Errorf("prompts %+v, %v", got, err)
	}
	rankings := []Ranking{
		{Prompt: prompts[0], Completions: []string{" <x>", "", " y"}, Ranks: []int{1, 3, 1}, Ended: []bool{true, true, false}, Annotator: "simulated annotator"},
		{Prompt: prompts[1], Completions: []string{"x", "y"}, Ranks: []int{2, 1}},
	}
	if err := WriteRankings(path, rankings); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadRankings(path); err != nil || !reflect.DeepEqual(got, rankings) {
		t.Errorf("rankings %+v, %v", got, err)
	}
	if text, _ := os.ReadFile(path); !strings.HasPrefix(string(text), `{"prompt":"p\nq","prefill":"// Name","completions":[" <x>","`) {
		t.Errorf("the first line is %s", text)
	}
	chats := []chat.Dialogue{
		{Messages: []chat.Message{{Role: chat.User, Content: "p\nq"}, {Role: chat.Assistant, Content: "// Name does.", Prefill: "// Name"}}},
		{Messages: append(slices.Clip(conversation.Messages), chat.Message{Role: chat.Assistant, Content: "d"})},
	}
	if err := WriteDialogues(path, chats); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadDialogues(path); err != nil || !reflect.DeepEqual(got, chats) {
		t.Errorf("dialogues %+v, %v", got, err)
	}
	if err := WriteRankings(path, []Ranking{{Prompt: prompts[0], Completions: []string{"\xff", "a"}, Ranks: []int{1, 2}}}); err == nil {
		t.Error("a completion that is not UTF-8 was written")
	}
}

func FuzzReaders(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}`))
	f.Add([]byte(`{"prompt":"p","prefill":"x","completions":["a","b"],"ranks":[1,2],"ended":[true,false],"annotator":"n"}`))
	f.Add([]byte(`{"prompt":[{"role":"user","content":"\ud83d\ude00"}],"chosen":"a","rejected":"b"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := file(t, string(data))
		if chats, err := ReadDialogues(path); err == nil {
			if err := WriteDialogues(path, chats); err != nil {
				t.Fatal(err)
			}
			if again, err := ReadDialogues(path); err != nil || !reflect.DeepEqual(chats, again) {
				t.Fatalf("%+v came back as %+v, %v", chats, again, err)
			}
		}
		path = file(t, string(data))
		if _, err := ReadPrompts(path); err != nil && !errors.Is(err, artifact.ErrUsage) {
			t.Fatal(err)
		}
		if asked, err := ReadAsked(path); err == nil {
			for _, a := range asked {
				if err := a.Prompt.Check(); err != nil {
					t.Fatalf("%+v was read: %v", a, err)
				}
			}
		}
		if answers, err := ReadAnswers(path); err == nil {
			to := file(t, "")
			if err := WriteAnswers(to, answers); err != nil {
				t.Fatal(err)
			}
			if again, err := ReadAnswers(to); err != nil || !reflect.DeepEqual(answers, again) {
				t.Fatalf("%+v came back as %+v, %v", answers, again, err)
			}
		}
		if rankings, err := ReadRankings(path); err == nil {
			if err := WriteRankings(path, rankings); err != nil {
				t.Fatal(err)
			}
			if again, err := ReadRankings(path); err != nil || !reflect.DeepEqual(rankings, again) {
				t.Fatalf("%+v came back as %+v, %v", rankings, again, err)
			}
		}
	})
}
