package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
)

// said writes messages as "role: content" with what else they have.
func said(messages []chat.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "[%s:%s", m.Role, m.Content)
		for name, value := range map[string]string{"thinks": m.Reasoning, "calls": string(m.ToolCalls)} {
			if value != "" {
				fmt.Fprintf(&b, " %s %s", name, value)
			}
		}
		if m.Ignored {
			b.WriteString(" ignored")
		}
		b.WriteString("]")
	}
	return b.String()
}

func TestDialoguesAreReadInEveryShape(t *testing.T) {
	const call = `[{"type":"function","function":{"name":"weather","arguments":{"city":"Rome"}}}]`
	for _, c := range []struct{ shape, row, want string }{
		{"messages", `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}`, "[user:u][assistant:a]"},
		{"messages", `{"messages":[{"role":"user","content":[{"type":"text","text":"u"},{"type":"text","text":"v"}]},{"role":"assistant","content":["a","b"]}],"Messages":"n/a"}`, "[user:uv][assistant:ab]"},
		{"messages", `{"messages":[{"role":"developer","content":""},{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}`, "[system:][user:u][assistant:a]"},
		{"messages", `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a","weight":0},{"role":"user","content":"v"},{"role":"assistant","content":"b","weight":1}]}`, "[user:u][assistant:a ignored][user:v][assistant:b]"},
		{"messages", `{"messages":"[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"a\"}]"}`, "[user:u][assistant:a]"},
		{"ShareGPT", `{"conversations":[{"from":"human","value":"u"},{"from":"gpt","value":"a"}],"system":"s"}`, "[system:s][user:u][assistant:a]"},
		{"ShareGPT", `{"conversations":[{"from":"human","value":"u"},{"from":"function_call","value":"{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}"},{"from":"observation","value":"20"},{"from":"gpt","value":"a"}],"tools":"[{\"name\":\"weather\"}]"}`, "[user:u][assistant: calls " + call + "][tool:20][assistant:a]"},
		{"conversations", `{"conversations":[{"role":"user","content":"u"},{"role":"assistant","content":"a","reasoning_content":"r"}]}`, "[user:u][assistant:a thinks r]"},
		{"messages", `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"weather","arguments":"{\"city\": \"Rome\"}"}}]},{"role":"tool","tool_call_id":"1","content":"20"},{"role":"assistant","content":"a"}]}`, "[user:u][assistant: calls " + strings.Replace(call, `{"type"`, `{"id":"1","type"`, 1) + "][tool:20][assistant:a]"},
		{"Alpaca", `{"instruction":"i","input":"x","output":"o"}`, "[user:i\nx][assistant:o]"},
		{"Alpaca", `{"instruction":"i","input":"","output":"o","system":"s","history":[["a","b"]]}`, "[system:s][user:a][assistant:b][user:i][assistant:o]"},
		{"Alpaca", `{"instruction":"i","context":"x","response":"o","category":"closed_qa"}`, "[user:i\nx][assistant:o]"},
		{"self-instruct", `{"instruction":"i","instances":[{"input":"x","output":"o"}]}`, "[user:i\nx][assistant:o]"},
		{"prompt and completion", `{"prompt":"u","completion":"a"}`, "[user:u][assistant:a]"},
		{"prompt and completion", `{"prompt":[{"role":"user","content":"u"}],"completion":[{"role":"assistant","content":"a"}]}`, "[user:u][assistant:a]"},
		{"question and answer", `{"question":"u","answer":"a"}`, "[user:u][assistant:a]"},
		{"query and response", `{"query":"u","response":"a"}`, "[user:u][assistant:a]"},
		{"input and output", `{"input":"u","output":"a"}`, "[user:u][assistant:a]"},
		{"text", `{"text":"t"}`, ""},
	} {
		f, err := ReadDialogues(file(t, c.row), stop)
		if err != nil {
			t.Errorf("%s: %v", c.row, err)
			continue
		}
		if got := said(f.Rows[0].Messages); got != c.want || f.Shapes[0].Name != c.shape {
			t.Errorf("%s\nis %s of shape %q\nwant %s of shape %q", c.row, got, f.Shapes[0].Name, c.want, c.shape)
		}
		if strings.Contains(c.row, `"tools"`) && f.Rows[0].Tools != `[{"name":"weather"}]` {
			t.Errorf("%s: tools %s", c.row, f.Rows[0].Tools)
		}
	}
	f, err := ReadDialogues(file(t, `{"instruction":"i","instances":[{"input":"","output":"o"},{"input":"x","output":"p"}]}`), stop)
	if err != nil || len(f.Rows) != 2 || f.Total != 1 || f.Lines[1] != 1 {
		t.Errorf("two instances: %+v, %v", f, err)
	}
}

func TestTablesHoldDialoguesAndPrompts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(path, []byte("Prompt;Completion\nu;a\nv;\"b;\nc\"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := ReadDialogues(path, stop)
	if err != nil || len(f.Rows) != 2 || said(f.Rows[1].Messages) != "[user:v][assistant:b;\nc]" {
		t.Errorf("%+v, %v", f, err)
	}
	if got := f.String(); got != "a.csv: 2 rows of dialogues (CSV with ; between fields: prompt and completion)" {
		t.Errorf("said %q", got)
	}
	asked, err := ReadAsked(path, stop)
	if err != nil || asked.Rows[0].Prompt.Text() != "u" || asked.Rows[0].Reference != "a" {
		t.Errorf("%+v, %v", asked, err)
	}
}

func TestKeysOfOtherNamesAreMapped(t *testing.T) {
	f, err := ReadDialogues(file(t, `{"meta":{"ask":"u"},"reply":"a"}`), Reading{BadRows: Stop, Map: "prompt=meta.ask,completion=reply"})
	if err != nil || said(f.Rows[0].Messages) != "[user:u][assistant:a]" {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := ReadDialogues(file(t, `{"ask":"u","reply":"a"}`), stop); err == nil || !strings.Contains(err.Error(), `"ask", "reply"`) || !strings.Contains(err.Error(), "--map") {
		t.Errorf("unknown keys: %v", err)
	}
}

func TestRankingsAreReadInEveryShape(t *testing.T) {
	const u = `{"role":"user","content":"u"}`
	answer := func(text string) string { return `{"role":"assistant","content":"` + text + `"}` }
	for _, c := range []struct{ shape, row, want string }{
		{"completions", `{"prompt":"u","completions":["a","b"],"ranks":[2,1]}`, "[user:u] a,b [2 1]"},
		{"pairs", `{"prompt":"u","chosen":"a","rejected":"b"}`, "[user:u] a,b [1 2]"},
		{"pairs", `{"prompt":"u","chosen":"a","rejected":"a"}`, "[user:u] a,a [1 1]"},
		{"pairs of messages", `{"prompt":[` + u + `],"chosen":[` + answer("a") + `],"rejected":[` + answer("b") + `]}`, "[user:u] a,b [1 2]"},
		{"pairs of messages", `{"chosen":[` + u + `,` + answer("a") + `],"rejected":[` + u + `,` + answer("b") + `]}`, "[user:u] a,b [1 2]"},
		{"pairs of messages", `{"prompt":"u","chosen":[` + u + `,` + answer("a") + `],"rejected":[` + u + `,` + answer("b") + `],"score_chosen":8.0}`, "[user:u] a,b [1 2]"},
		{"pairs of messages", `{"prompt":"u","chosen":` + answer("a") + `,"rejected":` + answer("b") + `}`, "[user:u] a,b [1 2]"},
		{"pairs of messages", `{"conversations":[{"from":"human","value":"u"}],"chosen":{"from":"gpt","value":"a"},"rejected":{"from":"gpt","value":"b"}}`, "[user:u] a,b [1 2]"},
		{"pairs of Human and Assistant", `{"chosen":"\n\nHuman: u\n\nAssistant: v\n\nHuman: w\n\nAssistant: a","rejected":"\n\nHuman: u\n\nAssistant: v\n\nHuman: w\n\nAssistant: b"}`, "[user:u][assistant:v][user:w] a,b [1 2]"},
		{"completions with scores", `{"prompt":"u","completions":["a","b","c"],"scores":[1,3.5,3.5]}`, "[user:u] a,b,c [3 1 1]"},
		{"scored completions", `{"instruction":"u","completions":[{"model":"m","response":"a","overall_score":7.5},{"response":"b","overall_score":"9"},{"response":"c","overall_score":1}]}`, "[user:u] a,b,c [2 1 3]"},
		{"scored completions", `{"instruction":"u","completions":[{"response":"a","annotations":{"helpfulness":{"Rating":"2"},"honesty":{"Rating":"3"}}},{"response":"b","annotations":{"helpfulness":{"Rating":"5"},"honesty":{"Rating":"N/A"}}}]}`, "[user:u] a,b [2 1]"},
	} {
		f, err := ReadRankings(file(t, c.row), stop)
		if err != nil {
			t.Errorf("%s: %v", c.row, err)
			continue
		}
		r := f.Rows[0]
		if got := fmt.Sprintf("%s %s %v", said(r.Prompt.Messages), strings.Join(r.Completions, ","), r.Ranks); got != c.want || f.Shapes[0].Name != c.shape {
			t.Errorf("%s\nis %s of shape %q\nwant %s of shape %q", c.row, got, f.Shapes[0].Name, c.want, c.shape)
		}
	}
	for row, say := range map[string]string{
		`{"chosen":"a","rejected":"b"}`:                "Human:",
		`{"prompt":"u","completion":"a","label":true}`: "no pairs to compare",
		`{"chosen":[` + u + `,` + answer("a") + `],"rejected":[{"role":"user","content":"v"},` + answer("b") + `]}`: "different prompts",
		`{"prompt":"u","completions":[{"response":"a","overall_score":1},{"response":"b"}]}`:                        "1 have a score",
		`{"prompt":"u","completions":["a","b"]}`:                                                                    "2 completions and 0 ranks",
		`{"chosen":[` + u + `],"rejected":[` + u + `]}`:                                                             "must end with the assistant's",
	} {
		if _, err := ReadRankings(file(t, row), stop); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v, want %q", row, err, say)
		}
	}
}

func TestEqualNumbersAreOneLabel(t *testing.T) {
	labels := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		f, err := ReadTexts(path, TextOptions{Labels: true, Reading: stop})
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, x := range f.Rows {
			all += x.Label + " "
		}
		return all
	}
	for _, c := range []struct{ name, text, want string }{
		{"a.jsonl", "{\"text\":\"a\",\"label\":1}\n{\"text\":\"a\",\"label\":1.0}\n{\"text\":\"a\",\"label\":1e0}\n{\"text\":\"a\",\"label\":0.5}\n{\"text\":\"a\",\"label\":true}", "1 1 1 0.5 true "},
		{"a.csv", "text,label\na,1.0\nb,0\nc,1\nd,-2.00\n", "1 0 1 -2 "},
		{"a.csv", "text,label\na,1.0\nb,1.1\n", "1.0 1.1 "},
		{"a.csv", "text,label\na,1.0\nb,x\n", "1.0 x "},
	} {
		if got := labels(c.name, c.text); got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
}

func TestBadRowsAreSkippedCountedAndListedAsLongAsTheyAreFew(t *testing.T) {
	good := strings.Repeat(`{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}`+"\n", 100)
	bad := "{\n" + `{"messages":[{"role":"user","content":"u"}]}` + "\n" + `{"messages":[{"role":"user","content":"u"}]}` + "\n"
	f, err := ReadDialogues(file(t, good+bad), Reading{})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Rows) != 100 || f.Total != 103 || f.Bad() != 3 || len(f.Rejected) != 2 {
		t.Fatalf("%d rows of %d, %d bad: %+v", len(f.Rows), f.Total, f.Bad(), f.Rejected)
	}
	if r := f.Rejected[1]; r.N != 2 || len(r.First) != 2 || !strings.HasPrefix(r.First[0], "line 102: no message has the role") {
		t.Errorf("%+v", r)
	}
	if r := f.Rejected[0]; r.Reason != "broken JSON" || r.N != 1 || !strings.Contains(r.First[0], "line 101: ") {
		t.Errorf("%+v", r)
	}
	for n, want := range map[int]bool{1: true, 5: true, 6: false} { // of 106 rows and fewer
		_, err := ReadDialogues(file(t, good+strings.Repeat("{}\n", n)), Reading{BadRows: Skip})
		if ok := err == nil; ok != want {
			t.Errorf("%d bad rows beside 100 good ones: %v", n, err)
		}
		if !want && (!errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), ":101: ") || !strings.Contains(err.Error(), "6 of 106 rows cannot be used, more than 5 %")) {
			t.Error(err)
		}
	}
	if _, err := ReadDialogues(file(t, good+"{}\n"), stop); err == nil || !strings.Contains(err.Error(), ":101: ") {
		t.Errorf("stop: %v", err)
	}
	// One row may always be bad, but not all of them.
	if f, err := ReadPrompts(file(t, "{\"prompt\":\"a\"}\n{}\n"), Reading{}); err != nil || f.Bad() != 1 {
		t.Error(f, err)
	}
	if _, err := ReadPrompts(file(t, "{}\n"), Reading{}); err == nil {
		t.Error("a file of one bad row was read")
	}
}

func TestAFileThatIsRefusedNamesTheFirstTenBadRowsAndCountsTheRest(t *testing.T) {
	good := `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}` + "\n"
	for _, tt := range []struct {
		text  string
		how   Reading
		wants []string
		lines int // of the message
	}{
		{good + strings.Repeat("{}\n", 3) + "{\n" + strings.Repeat("[]\n", 9), Reading{}, []string{"13 of 14 rows cannot be used, more than 5 %", "\n%s:2: ", "\n%s:5: ", "\n%s:11: ", "\nand 3 more"}, 12},
		{strings.Repeat(good, 50) + "{}\n" + good + "{}\n", stop, []string{"2 of 53 rows cannot be used; mend them, or leave them out", "\n%s:51: ", "\n%s:53: "}, 3},
		{strings.Repeat(good, 50) + "{}\n", stop, []string{"reading dialogues %s:51: ", "1 of 51 rows"}, 1},
	} {
		path := file(t, tt.text)
		_, err := ReadDialogues(path, tt.how)
		if !errors.Is(err, artifact.ErrUsage) {
			t.Fatalf("%v, want a usage error", err)
		}
		for _, want := range tt.wants {
			if want = strings.ReplaceAll(want, "%s", path); !strings.Contains(err.Error(), want) {
				t.Errorf("%q is missing in\n%v", want, err)
			}
		}
		if n := strings.Count(err.Error(), "\n") + 1; n != tt.lines {
			t.Errorf("%d lines, want %d:\n%v", n, tt.lines, err)
		}
	}
}

func TestRowsThatTheTemplateRefusesAreBadRows(t *testing.T) {
	f := given(make([]chat.Dialogue, 60)...)
	f.policy = Skip
	kept := 0
	err := f.Keep(func(i int, _ chat.Dialogue) error {
		if i%30 == 7 {
			return &chat.RefusedError{Message: "System role not supported"}
		}
		kept++
		return nil
	})
	if err != nil || kept != 58 || len(f.Rows) != 58 || f.Rejected[0].N != 2 || !strings.HasPrefix(f.Rejected[0].First[1], "line 38: ") || f.Lines[7] != 9 {
		t.Errorf("kept %d, %+v, %v", kept, f.Account, err)
	}
	limit := &chat.LimitError{Limit: "2 s"}
	if err := f.Keep(func(int, chat.Dialogue) error { return limit }); !errors.Is(err, error(limit)) {
		t.Errorf("a rendering without end: %v", err)
	}
}

func TestToolsAndPromptsAreWrittenAndReadBack(t *testing.T) {
	row := `{"prompt":[{"role":"user","content":"u"},{"role":"assistant","content":"","tool_calls":[{"name":"f","arguments":{"b":1,"a":2}}]},{"role":"tool","content":"r","name":"f"}],"tools":[{"type":"function","function":{"name":"f"}}]}`
	f, err := ReadPrompts(file(t, row), stop)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.jsonl")
	if err := WritePrompts(path, f.Rows); err != nil {
		t.Fatal(err)
	}
	again, err := ReadPrompts(path, stop)
	if err != nil || !reflect.DeepEqual(f.Rows, again.Rows) || f.Rows[0].Tools == "" || f.Rows[0].Messages[1].ToolCalls != `[{"type":"function","function":{"name":"f","arguments":{"b":1,"a":2}}}]` {
		t.Errorf("%+v came back as %+v, %v", f.Rows, again, err)
	}
}

func TestAScoreThatIsNoneIsNotZero(t *testing.T) {
	for _, row := range []string{
		`{"prompt":"q","completions":["good","failed"],"scores":[-1.5,NaN]}`,
		`{"prompt":"q","completions":["good","failed"],"scores":[-0.5,null]}`,
		`{"prompt":"q","completions":["a","b"],"ranks":[1,2],"ended":[true,null]}`,
	} {
		if _, err := ReadRankings(file(t, row), stop); err == nil || !strings.Contains(err.Error(), "at place 1") {
			t.Errorf("%s: %v", row, err)
		}
	}
	f, err := ReadRankings(file(t, `{"prompt":"q","completions":["a","b"],"ranks":[1.0,2.0]}`), stop)
	if err != nil || f.Rows[0].Ranks[1] != 2 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestAStringThatIsJSONIsText(t *testing.T) {
	for _, answer := range []string{"[1, 2, 3]", `{\"a\":1}`, `[{\"name\":\"f\"}]`, "[]"} {
		f, err := ReadDialogues(file(t, `{"prompt":"x","completion":"`+answer+`"}`), stop)
		if want := strings.ReplaceAll(answer, `\`, ""); err != nil || f.Rows[0].Messages[1].Content != want {
			t.Errorf("%s: %+v, %v", answer, f, err)
		}
	}
	if f, err := ReadDialogues(file(t, `{"text":"[1, 2]"}`), stop); err != nil || f.Rows[0].Text != "[1, 2]" {
		t.Errorf("%+v, %v", f, err)
	}
	f, err := ReadDialogues(file(t, `{"prompt":"x","completion":"[{\"role\":\"assistant\",\"content\":\"y\"}]"}`), stop)
	if err != nil || f.Rows[0].Messages[1].Content != "y" {
		t.Errorf("messages written into a string: %+v, %v", f, err)
	}
}

func TestNothingOfADialogueIsLostWithoutAWord(t *testing.T) {
	f, err := ReadDialogues(file(t, `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"3"},{"role":"assistant","content":"a"}],"functions":[{"name":"f"}]}`), stop)
	if err != nil || said(f.Rows[0].Messages) != `[user:u][assistant: calls [{"type":"function","function":{"name":"f","arguments":{}}}]][tool:3][assistant:a]` || f.Rows[0].Tools != `[{"type":"function","function":{"name":"f"}}]` {
		t.Errorf("OpenAI's functions: %+v, %v", f, err)
	}
	for row, want := range map[string]string{
		`{"instruction":"i","input":"","context":"c","output":"o"}`:                                                                                                                  "[user:i\nc][assistant:o]",
		`{"instruction":"i","instances":[{"input":"","output":""},{"input":"x","output":"p"}]}`:                                                                                      "[user:i\nx][assistant:p]",
		`{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a","train":true},{"role":"user","content":"v"},{"role":"assistant","content":"b","weight":"0"}]}`: "[user:u][assistant:a][user:v][assistant:b ignored]",
	} {
		if f, err := ReadDialogues(file(t, row), stop); err != nil || len(f.Rows) != 1 || said(f.Rows[0].Messages) != want {
			t.Errorf("%s: %+v, %v", row, f, err)
		}
	}
	if _, err := ReadDialogues(file(t, `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a","weight":0.5}]}`), stop); err == nil || !strings.Contains(err.Error(), `"weight" is 0.5`) {
		t.Error(err)
	}
}

func TestNothingOfAPairIsLostWithoutAWord(t *testing.T) {
	const talk = `"chosen":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"u"},{"role":"assistant","content":"b"}]`
	for row, want := range map[string]string{
		`{"system":"s",` + talk + `}`: "[system:s][user:u]",
		`{"prompt":[{"role":"system","content":"s"},{"role":"user","content":"u"}],` + talk + `}`:         "[system:s][user:u]",
		`{"prompt":"\n\nHuman: u\n\nAssistant: v\n\nHuman: w\n\nAssistant:","chosen":"a","rejected":"b"}`: "[user:u][assistant:v][user:w]",
	} {
		f, err := ReadRankings(file(t, row), stop)
		if err != nil || said(f.Rows[0].Prompt.Messages) != want || f.Rows[0].Completions[0] != "a" {
			t.Errorf("%s: %+v, %v", row, f, err)
		}
	}
	calls := strings.Replace(talk, `"content":"a"}`, `"content":"a","tool_calls":[{"name":"f"}]}`, 1)
	if _, err := ReadRankings(file(t, "{"+calls+"}"), stop); err == nil || !strings.Contains(err.Error(), "chosen calls tools") {
		t.Error(err)
	}
}

func TestLabelsInCellsAreLists(t *testing.T) {
	read := func(text string) (*File[Text], error) {
		path := filepath.Join(t.TempDir(), "a.csv")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return ReadTexts(path, TextOptions{Labels: true, Reading: stop})
	}
	f, err := read("text,labels\na b,\"[\"\"x\"\",\"\"y\"\"]\"\nc d,[]\n")
	if err != nil || !reflect.DeepEqual(f.Rows[0].Labels, []string{"x", "y"}) || len(f.Rows[1].Labels) != 0 || f.Rows[1].Labels == nil {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := read("text,labels\na b,\"['x', 'y']\"\n"); err == nil || !strings.Contains(err.Error(), "as Python prints it") {
		t.Error(err)
	}
	large, err := ReadTexts(file(t, "{\"text\":\"a\",\"label\":1152921504606846977}\n{\"text\":\"b\",\"label\":1152921504606846978}\n{\"text\":\"c\",\"label\":\"1.0\"}\n"), TextOptions{Labels: true, Reading: stop})
	if err != nil || large.Rows[0].Label == large.Rows[1].Label || large.Rows[2].Label != "1.0" {
		t.Errorf("%+v, %v", large, err)
	}
}

func TestTheShareOfBadRowsIsOfTheWholeFile(t *testing.T) {
	good := strings.Repeat("{\"prompt\":\"a\"}\n", 3000)
	bad := strings.Repeat("{}\n", 100)
	for _, text := range []string{bad + good, good + bad} {
		if f, err := ReadPrompts(file(t, text), Reading{}); err != nil || f.Bad() != 100 || len(f.Rows) != 3000 {
			t.Errorf("%v", err)
		}
	}
}

func TestAFileIsGuessedAsItsReadersReadIt(t *testing.T) {
	for row, want := range map[string]Kind{
		`{"instruction":"i","input":"","output":"o","text":"Below is"}`:                       Dialogues,
		`{"question":"q","answer":"a","text":"t"}`:                                            Dialogues,
		`{"text":"t","label":"l","scores":[1]}`:                                               Texts,
		`{"text":"t"}`:                                                                        Texts,
		`{"prompt":"p"}`:                                                                      Prompts,
		`{"prompt":"p","completion":"c"}`:                                                     Dialogues,
		`{"prompt":"p","completion":"c","ended":true}`:                                        AnswerKind,
		`{"prompt":"p","completions":["a","b"]}`:                                              AnswerKind,
		`{"prompt":"p","completions":["a","b"],"scores":[1,2]}`:                               RankingKind,
		`{"chosen":"a","rejected":"b"}`:                                                       RankingKind,
		"{\n" + `{"conversations":[{"from":"human","value":"u"},{"from":"gpt","value":"a"}]}`: Dialogues,
		`{"messages":[{"role":"user","content":"u"}],"prompt":"u"}`:                           Prompts,
	} {
		if got, err := Guess(file(t, row), Reading{}); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", row, got, err, want)
		}
	}
}

func TestAMapNamesWhatIsAskedFor(t *testing.T) {
	if _, err := ReadPrompts(file(t, `{"body":"a"}`), Reading{Map: "promt=body"}); err == nil || !strings.Contains(err.Error(), `nothing is asked for by the name "promt"`) {
		t.Error(err)
	}
	// One map serves several files, of which not each has other names.
	if f, err := ReadPrompts(file(t, `{"prompt":"a"}`), Reading{BadRows: Stop, Map: "prompt=question"}); err != nil || f.Rows[0].Text() != "a" {
		t.Error(f, err)
	}
}

func TestCellsHoldListsAndTruth(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(path, []byte("prompt,completions,ended\np,\"[\"\"a\"\",\"\"b\"\"]\",\"[true,false]\"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if f, err := ReadAnswers(path, stop); err != nil || !reflect.DeepEqual(f.Rows[0].Completions, []string{"a", "b"}) || f.Rows[0].EndedAt(1) {
		t.Errorf("%+v, %v", f, err)
	}
	if err := os.WriteFile(path, []byte("prompt,completion,ended\np,a,0\np,b,TRUE\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if f, err := ReadAnswers(path, stop); err != nil || f.Rows[0].EndedAt(0) || !f.Rows[1].EndedAt(0) {
		t.Errorf("%+v, %v", f, err)
	}
	for row, say := range map[string]string{
		`{"prompt":"p","completions":["a","b"],"scores":[1]}`:         "2 completions and 1 scores",
		`{"prompt":"p","completion":[{"role":"user","content":"a"}]}`: "one of the assistant's",
	} {
		if _, err := ReadAnswers(file(t, row), stop); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v", row, err)
		}
	}
	if f, err := ReadAnswers(file(t, `{"prompt":"p","completion":[{"role":"assistant","content":"a"}]}`), stop); err != nil || f.Rows[0].Completions[0] != "a" {
		t.Error(f, err)
	}
}
