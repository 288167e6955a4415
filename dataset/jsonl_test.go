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
	"github.com/seed-b72bdb6c/alma/rows"
)

// stop ends the reading at the first bad row.
var stop = Reading{BadRows: Stop}

func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadDialogues(t *testing.T) {
	f, err := ReadDialogues(file(t, "\ufeff"+`{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u\ud83d\ude00"},{"role":"assistant","content":"a b","prefill":"a"}],"source":{"own":1}}`+"\r\n\n"+
		`{"messages":[{"role":"assistant","content":"hello","tool_calls":null}],"tools":[]}`), stop)
	if err != nil {
		t.Fatal(err)
	}
	chats := f.Rows
	if len(chats) != 2 || chats[0].Messages[1].Content != "u😀" || chats[0].Messages[2].Prefill != "a" {
		t.Errorf("%+v", chats)
	}
}

// refusal is a line that a reader must refuse, and what the error must say.
type refusal struct{ line, say string }

func testRefusals[T any](t *testing.T, good string, read func(string, Reading) (*File[T], error), cases []refusal) {
	t.Helper()
	for _, c := range cases {
		path := file(t, good+"\n"+c.line+"\n")
		_, err := read(path, stop)
		if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), path+":2: ") || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s\ngives %v\nwant one of file:2 that says %q", c.line, err, c.say)
		}
	}
	if _, err := read(file(t, "\n \n"), stop); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: %v", err)
	}
	if _, err := read(filepath.Join(t.TempDir(), "absent"), stop); artifact.ExitCode(err) != artifact.ErrNotFound.Code() {
		t.Errorf("an absent file: %v", err)
	}
	if _, err := read(file(t, good), stop); err != nil {
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
	{`{"a":"` + strings.Repeat("x", rows.Longest) + `"}`, "longer than"},
}

func TestReadDialoguesNamesThePlaceAndTheFault(t *testing.T) {
	testRefusals(t, `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}`, ReadDialogues, append([]refusal{
		{`{}`, `no "messages"`},
		{`{"messages":[]}`, `no "messages"`},
		{`{"messages":[{"role":"user","content":"u"}]}`, "assistant"},
		{`{"messages":[{"role":"User","content":"u"}]}`, `role "User"`},
		{`{"messages":[{"content":"u"}]}`, `no "role"`},
		{`{"messages":[{"role":"user","content":""},{"role":"assistant","content":"a"}]}`, "message 0 (user) is empty"},
		{`{"messages":[{"role":"user","content":7}]}`, "number"},
		{`{"messages":"u"}`, "want an array of messages"},
		{`{"messages":[{"role":"assistant","content":"a","prefill":"b"}]}`, "prefill"},
		{`{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}],"tools":7}`, `"tools" holds a JSON number`},
		{`{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a","tool_calls":[{"id":1}]}]}`, `message 1: call 0 names no function`},
		{`{"messages":[{"role":"user","content":"u","tool_calls":[{"name":"f"}]},{"role":"assistant","content":"a"}]}`, `calls of tools, which only the assistant's`},
		{`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"x"}]},{"role":"assistant","content":"a"}]}`, `a part of type "image_url"`},
		{`{"prompt":"p","chosen":"a","rejected":"b"}`, "alma reward"},
	}, badLines...))
}

func TestReadPromptsNamesThePlaceAndTheFault(t *testing.T) {
	testRefusals(t, `{"prompt":"p"}`, ReadPrompts, append([]refusal{
		{`{}`, `neither "prompt" nor "messages"`},
		{`{"prompt":""}`, "empty"},
		{`{"prompt":7}`, "want an array of messages"},
		{`{"messages":[{"role":"assistant","content":"a"}]}`, "the prompt is empty"},
		{`{"prompt":"p","prefill":[]}`, "want a string"},
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
		{`{"prompt":"p","chosen":"a","rejected":"b","ranks":[1,2]}`, "give one of them"},
		{`{"prompt":[{"role":"robot","content":"u"}],"chosen":"a","rejected":"b"}`, `role "robot"`},
	}, badLines...))
}

func TestPairsAreRankingsOfTwo(t *testing.T) {
	got, err := ReadRankings(file(t, `{"prompt":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"chosen":"good","rejected":"bad","annotator":"anna"}`), stop)
	if err != nil {
		t.Fatal(err)
	}
	r := got.Rows[0]
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
	if got, err := ReadPrompts(path, stop); err != nil || !reflect.DeepEqual(got.Rows, prompts) {
		t.Errorf("prompts %+v, %v", got, err)
	}
	rankings := []Ranking{
		{Prompt: prompts[0], Completions: []string{" <x>", "", " y"}, Ranks: []int{1, 3, 1}, Ended: []bool{true, true, false}, Annotator: "simulated annotator"},
		{Prompt: prompts[1], Completions: []string{"x", "y"}, Ranks: []int{2, 1}},
	}
	if err := WriteRankings(path, rankings); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadRankings(path, stop); err != nil || !reflect.DeepEqual(got.Rows, rankings) {
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
	if got, err := ReadDialogues(path, stop); err != nil || !reflect.DeepEqual(got.Rows, chats) {
		t.Errorf("dialogues %+v, %v", got, err)
	}
	if err := WriteRankings(path, []Ranking{{Prompt: prompts[0], Completions: []string{"\xff", "a"}, Ranks: []int{1, 2}}}); err == nil {
		t.Error("a completion that is not UTF-8 was written")
	}
}

func FuzzReaders(f *testing.F) {
	for _, seed := range []string{
		`{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}`,
		`{"prompt":"p","prefill":"x","completions":["a","b"],"ranks":[1,2],"ended":[true,false],"annotator":"n"}`,
		`{"prompt":[{"role":"user","content":"\ud83d\ude00"}],"chosen":"a","rejected":"b"}`,
		`{"conversations":[{"from":"human","value":"u"},{"from":"function_call","value":"{\"name\":\"f\"}"},{"from":"observation","value":"1"},{"from":"gpt","value":"a"}],"tools":"[{\"name\":\"f\"}]"}`,
		`{"chosen":"\n\nHuman: a\n\nAssistant: b","rejected":"\n\nHuman: a\n\nAssistant: c"}`,
		`{"instruction":"i","completions":[{"response":"a","overall_score":7.5},{"response":"b","overall_score":"3"}]}`,
		`{"instruction":"i","input":"x","output":"o","history":[["a","b"]],"system":"s"}`,
		`{"text":"t"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := file(t, string(data))
		back(t, path, ReadDialogues, WriteDialogues)
		back(t, path, ReadAnswers, WriteAnswers)
		back(t, path, ReadRankings, WriteRankings)
		if _, err := ReadPrompts(path, stop); err != nil && !errors.Is(err, artifact.ErrUsage) {
			t.Fatal(err)
		}
		if asked, err := ReadAsked(path, stop); err == nil {
			for _, a := range asked.Rows {
				if err := a.Prompt.Check(); err != nil {
					t.Fatalf("%+v was read: %v", a, err)
				}
			}
		}
	})
}

// back writes what was read of a file and reads it again.
func back[T any](t *testing.T, path string, read func(string, Reading) (*File[T], error), write func(string, []T) error) {
	t.Helper()
	f, err := read(path, stop)
	if err != nil || len(f.Rows) == 0 {
		return
	}
	to := file(t, "")
	if err := write(to, f.Rows); err != nil {
		t.Fatal(err)
	}
	if again, err := read(to, stop); err != nil || !reflect.DeepEqual(f.Rows, again.Rows) {
		t.Fatalf("%+v came back as %+v, %v", f.Rows, again, err)
	}
}
