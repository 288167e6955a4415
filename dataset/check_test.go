package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// counting renders every message as as many tokens as it has words, and an end.
type counting struct{}

func (counting) RenderChat(messages []tokenizer.Message, _ bool) (ids []int32, mask []bool, err error) {
	for _, m := range messages {
		for range len(strings.Fields(m.Content)) + 1 {
			ids, mask = append(ids, 1), append(mask, m.Role == tokenizer.Assistant)
		}
	}
	return ids, mask, nil
}

func (c counting) RenderPrompt(messages []tokenizer.Message, prefill string) ([]int32, error) {
	ids, _, err := c.RenderChat(messages, true)
	return append(ids, make([]int32, len(strings.Fields(prefill)))...), err
}

func (c counting) RenderAnswer(messages []tokenizer.Message, prefill, completion string, ended bool) ([]int32, error) {
	ids, err := c.RenderPrompt(messages, prefill+completion)
	if ended {
		ids = append(ids, 2)
	}
	return ids, err
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
	got, err := CheckDialogues(counting{}, lines(t, dialogue("a b", "c")+dialogue("a", "b c d e f g")+dialogue("a b", "c")+dialogue("a b c d", "e f g")), 8)
	want := CheckReport{
		As: "dialogues", Limit: 8, Entries: 4, Kept: 2, Repeated: 1, Tokens: 10, Learned: 4,
		Dropped: []Drop{{"more than 8 tokens", 2, 2}},
		Lengths: LengthReport{Median: 5, P90: 9, P99: 9, Longest: 9, LongestAt: 2},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v)\nwant %+v", got, err, want)
	}
}

func TestCheckingPromptsLeavesRoomForAnAnswer(t *testing.T) {
	got, err := CheckPrompts(counting{}, lines(t, `{"prompt":"a b c"}
{"prompt":"a b c d e f"}
{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b c","prefill":"b"}]}
`), 10, 4)
	want := CheckReport{
		As: "prompts", Limit: 6, Entries: 3, Kept: 2, Tokens: 7,
		Dropped: []Drop{{"more than 6 tokens, which leaves no room for an answer of 4 in 10", 1, 2}},
		Lengths: LengthReport{Median: 4, P90: 7, P99: 7, Longest: 7, LongestAt: 2},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v)\nwant %+v", got, err, want)
	}
}

func TestCheckingRankingsTellsWhyOneIsLeftOut(t *testing.T) {
	got, err := CheckRankings(counting{}, lines(t, `{"prompt":"a","completions":["b","c d","e"],"ranks":[1,2,2],"annotator":"zoe"}
{"prompt":"a","completions":["b","c"],"ranks":[1,1],"annotator":"ann"}
{"prompt":"a","chosen":"b c d e f g h","rejected":"b"}
{"prompt":"a b c","completions":["d","e","f"],"ranks":[1,2,3]}
`), 2, 8)
	// The prompt has a token more than words, and every completion an end.
	want := CheckReport{
		As: "rankings", Limit: 8, Entries: 4, Kept: 1, Pairs: 2, Tokens: 4 + 5 + 4, Annotators: []string{"ann", "zoe"},
		Dropped: []Drop{{"all completions tie", 1, 2}, {"a completion with more than 8 tokens", 1, 3}, {"completions that do not fit into 2 rows of 8 tokens together", 1, 4}},
		Lengths: LengthReport{Median: 4, P90: 6, P99: 10, Longest: 10, LongestAt: 3},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v)\nwant %+v", got, err, want)
	}
}
