package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// A dialogue of two turns takes 21 tokens beside its bytes, a prompt of one 19, and
// an answer that ended one.
func bytesAsTokens(t *testing.T) *chat.Template {
	t.Helper()
	tok, _, err := tokenizer.Train(t.Context(), func(func(string, error) bool) {}, tokenizer.Options{VocabSize: 260})
	if err != nil {
		t.Fatal(err)
	}
	return chatML(t, tok)
}

func lines(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckingDialoguesTellsWhatFineTuningKeeps(t *testing.T) {
	dialogue := func(question, answer string) string {
		return fmt.Sprintf(`{"messages":[{"role":"user","content":%q},{"role":"assistant","content":%q}]}`+"\n", question, answer)
	}
	got, err := CheckDialogues(bytesAsTokens(t), lines(t, dialogue("a b", "c")+dialogue("a", "b c d e f g")+dialogue("a b", "c")+dialogue("a b c d", "e f g")), stop, 30)
	want := CheckReport{
		As: "dialogues", Limit: 30, Entries: 4, Kept: 2, Repeated: 1, Tokens: 2 * 25, Learned: 4,
		Dropped: []Drop{{"more than 30 tokens", 2, 2}},
		Lengths: LengthReport{Median: 25, P90: 33, P99: 33, Longest: 33, LongestAt: 2},
	}
	if got.Read == "" || got.Rows != got.Entries {
		t.Errorf("read %q, %d rows", got.Read, got.Rows)
	}
	got.Read, got.Rows = "", 0
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v)\nwant %+v", got, err, want)
	}
}

func TestCheckingPromptsLeavesRoomForAnAnswer(t *testing.T) {
	got, err := CheckPrompts(bytesAsTokens(t), lines(t, `{"prompt":"a b c"}
{"prompt":"a b c d e f"}
{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b c","prefill":"b"}]}
`), stop, 33, 4)
	want := CheckReport{
		As: "prompts", Limit: 29, Entries: 3, Kept: 2, Tokens: 24 + 21,
		Dropped: []Drop{{"more than 29 tokens, which leaves no room for an answer of 4 in 33", 1, 2}},
		Lengths: LengthReport{Median: 24, P90: 30, P99: 30, Longest: 30, LongestAt: 2},
	}
	if got.Read == "" || got.Rows != got.Entries {
		t.Errorf("read %q, %d rows", got.Read, got.Rows)
	}
	got.Read, got.Rows = "", 0
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v)\nwant %+v", got, err, want)
	}
}

func TestCheckingRankingsTellsWhyOneIsLeftOut(t *testing.T) {
	got, err := CheckRankings(bytesAsTokens(t), lines(t, `{"prompt":"a","completions":["b","c d","e"],"ranks":[1,2,2],"annotator":"zoe"}
{"prompt":"a","completions":["b","c"],"ranks":[1,1],"annotator":"ann"}
{"prompt":"a","chosen":"b c d e f g h","rejected":"b"}
{"prompt":"a b c","completions":["d","e","f","g"],"ranks":[1,2,3,4]}
`), stop, 3, 30)
	want := CheckReport{
		As: "rankings", Limit: 30, Entries: 4, Kept: 1, Pairs: 2, Tokens: 22 + 24 + 22, Annotators: []string{"ann", "zoe"},
		Dropped: []Drop{{"all completions tie", 1, 2}, {"a completion with more than 30 tokens", 1, 3}, {"completions that do not fit into 3 rows of 30 tokens together", 1, 4}},
		Lengths: LengthReport{Median: 24, P90: 26, P99: 34, Longest: 34, LongestAt: 3},
	}
	if got.Read == "" || got.Rows != got.Entries {
		t.Errorf("read %q, %d rows", got.Read, got.Rows)
	}
	got.Read, got.Rows = "", 0
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v)\nwant %+v", got, err, want)
	}
}
