package converse

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
)

// script is a person who enters lines, or presses keys that are errors.
type script struct {
	lines      []any
	prefills   []string // of the lines that were asked for
	remembered []string
}

func (s *script) ReadLine(_, prefill string) (string, error) {
	s.prefills = append(s.prefills, prefill)
	if len(s.lines) == 0 {
		return "", io.EOF
	}
	next := s.lines[0]
	s.lines = s.lines[1:]
	if err, ok := next.(error); ok {
		return "", err
	}
	return next.(string), nil
}

func (s *script) Remember(entry string) { s.remembered = append(s.remembered, entry) }

// run lets a person enter lines and returns what was written between the lines that
// begin the session and its end.
func run(t *testing.T, talk *Conversation, lines ...any) (out string, person *script, err error) {
	t.Helper()
	settings := Recommended(model.Generation{}, "")
	settings.MaxTokens, settings.Temperature = 6, 1
	person = &script{lines: lines}
	var written strings.Builder
	s := Session{Talk: talk, Settings: settings, Lines: person, Out: &written}
	err = s.Run(t.Context())
	_, out, _ = strings.Cut(written.String(), "Ctrl-D the chat.\n")
	return out, person, err
}

func TestCommandsDoWhatTheySay(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "talk.jsonl")
	for _, test := range []struct {
		name  string
		lines []any
		roles string   // of what was said in the end
		says  []string // in this order
	}{
		{"a turn", []any{"Hello."}, "ua", nil},
		{"nothing", []any{"", "  "}, "", nil},
		{"help", []any{"/help"}, "", []string{"/help ", "/system [TEXT]", "/quit", `from """ to """`, "//TEXT"}},
		{"help with more", []any{"/help me"}, "", []string{`/help stands alone, and "me" follows it`}},
		{"a system message", []any{"/system", "/system Be brief.", "/system", "Hello."}, "sua", []string{"no system message", "Be brief."}},
		{"no system message any more", []any{"/system Be brief.", "Hello.", `/system ""`}, "ua", []string{"no system message"}},
		{"another answer", []any{"Hello.", "/retry", "/retry"}, "ua", nil},
		{"another answer to nothing", []any{"/retry"}, "", []string{"nothing was asked yet"}},
		{"another greedy answer", []any{"/set temp 0", "Hello.", "/retry"}, "ua", []string{"temperature 0: the same question has the same answer"}},
		{"a changed question", []any{"Hello.", "More.", "/edit", "Less."}, "uaua", nil},
		{"a question left as it was", []any{"Hello.", "/edit", ""}, "ua", nil},
		{"a change given up", []any{"Hello.", "/edit", ErrDropped, "More."}, "uaua", nil},
		{"a change of nothing", []any{"/edit"}, "", []string{"nothing was asked yet"}},
		{"saving and loading", []any{"Hello.", "/save " + file, "/save " + file, "/save! " + file, "/reset", "/load " + file, "More."}, "uaua",
			[]string{"2 messages in " + file + "; 1 cut answers are marked", file + " exists; /save! " + file, "2 messages in " + file, "2 messages; the last one:\n"}},
		{"saving nothing", []any{"/save " + file}, "", []string{"it has no answer yet"}},
		{"saving nowhere", []any{"Hello.", "/save", "/save " + filepath.Join(folder, "none", "x.jsonl")}, "ua", []string{"name the file", "no such file"}},
		{"loading nothing", []any{"Hello.", "/load", "/load " + filepath.Join(folder, "none")}, "ua", []string{"name the file", "no such file"}},
		{"settings", []any{"/set", "/set temp 0.3", "/set min-p 2", "/set temp warm", "/set tmp 1", "/set temp", "/set top-k 1.5", "/set seed -1", "/set"}, "",
			[]string{"temp            1 ", ownOrigin, "min-p is 2", `"warm" is not a number`, "no such setting; did you mean temp?", "give a name and a value", `"1.5" is not a whole number`, `"-1" is not a whole number`, "temp            0.3      /set"}},
		{"tokens", []any{"/tokens", "Hello.", "/tokens", "More.", "/tokens"}, "uaua",
			[]string{"0 of 512 tokens", "the last answer:", "0 of ", "were in the cache; 6 written in", "the last answer:"}},
		{"beginning anew", []any{"/system Be brief.", "Hello.", "/reset", "More."}, "sua", nil},
		{"leaving", []any{"Hello.", "/quit", "More."}, "ua", nil},
		{"an unknown command", []any{"/restart", "/retri", "/helpme"}, "", []string{"no command /restart; ", "no command /retri; did you mean /retry?", "sent with two: //helpme"}},
		{"a turn that begins with a slash", []any{"//retry it"}, "ua", nil},
		{"a line that is no text", []any{"caf\xc3", "Hello."}, "ua", []string{"not valid UTF-8; enter it again"}},
		{"a turn that is too long", []any{strings.Repeat("long ", 600), "Hello."}, "ua", []string{"leaves no room for an answer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			talk := newTalk(t, 512)
			out, _, err := run(t, talk, test.lines...)
			if err != nil || roles(talk) != test.roles {
				t.Errorf("%s was said, want %s; %v\n%s", roles(talk), test.roles, err, out)
			}
			for _, want := range test.says {
				_, after, ok := strings.Cut(out, want)
				if !ok {
					t.Errorf("it does not say %q where it should:\n%s", want, out)
					break
				}
				out = after
			}
		})
	}
}

func TestAnAnswerIsShownAsItIsKept(t *testing.T) {
	talk := newTalk(t, 512)
	out, _, err := run(t, talk, "Hello.")
	if want := "\n" + talk.Dialogue().Messages[1].Content + " […]\n\n"; err != nil || out != want {
		t.Errorf("shown %q, %v; want %q", out, err, want)
	}
}

// A model of random weights writes control characters, too, and a terminal obeys them.
func TestControlCharactersOfTheModelAreNotObeyed(t *testing.T) {
	talk := newTalk(t, 2048)
	out, _, err := run(t, talk, "/set temp 3", "/set min-p 0", "/set max-tokens 1500", "Hello.")
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	if err != nil || strings.ContainsFunc(out, control) {
		t.Errorf("%v; shown %q", err, out)
	}
	if !strings.ContainsFunc(talk.Dialogue().Messages[1].Content, control) {
		t.Error("the model wrote none: this test shows nothing")
	}
}

func TestWhatAPersonEntersIsOneTurn(t *testing.T) {
	for _, test := range []struct {
		lines []any
		turn  string
	}{
		{[]any{"one line"}, "one line"},
		{[]any{`first \`, `second\`, "third"}, "first \nsecond\nthird"},
		{[]any{`a folder C:\\`}, `a folder C:\\`},
		{[]any{`"""`, "first", "", "  second", `"""`}, "first\n\n  second"},
		{[]any{`"""first`, `second"""`}, "first\nsecond"},
		{[]any{`"""/help"""`}, "/help"},
		{[]any{"first\nsecond"}, "first\nsecond"},
		{[]any{"//help"}, "/help"},
	} {
		talk := newTalk(t, 512)
		_, person, err := run(t, talk, test.lines...)
		if err != nil || talk.Question() != test.turn {
			t.Errorf("%q is the turn %q (%v), want %q", test.lines, talk.Question(), err, test.turn)
			continue
		}
		// What is remembered of it and entered again is the same turn.
		again := newTalk(t, 512)
		if _, _, err := run(t, again, person.remembered[0]); err != nil || again.Question() != test.turn {
			t.Errorf("%q is remembered as %q, which is the turn %q (%v)", test.turn, person.remembered, again.Question(), err)
		}
	}
}

func TestTheLastQuestionIsThereToBeChanged(t *testing.T) {
	for _, question := range []string{"Hello.", "first\nsecond", "/etc"} {
		talk := newTalk(t, 512)
		_, person, err := run(t, talk, `"""`+question+`"""`, "/edit", "More.", "/edit", ErrInterrupt, "Other.")
		if err != nil {
			t.Fatal(err)
		}
		want := question
		if question == "/etc" {
			want = "//etc"
		}
		if !slices.Equal(person.prefills, []string{"", "", want, "", "More.", "", ""}) {
			t.Errorf("%q stood in the line as %q", question, person.prefills)
		}
	}
}

func TestCtrlCAtThePromptLeavesOnlyTwiceInARow(t *testing.T) {
	const warning = "Ctrl-C once more ends the chat"
	for _, test := range []struct {
		lines    []any
		code     int
		warnings int
	}{
		{[]any{ErrInterrupt}, 0, 1},
		{[]any{ErrInterrupt, ErrInterrupt}, 130, 1},
		{[]any{ErrInterrupt, "/tokens", ErrInterrupt}, 0, 2},
		{[]any{ErrInterrupt, ErrDropped, ErrInterrupt, "Hello."}, 0, 2},
		{[]any{`"""`, ErrInterrupt, "Hello."}, 0, 0}, // it gives up the turn that was begun
		{[]any{`a\`, ErrInterrupt, ErrInterrupt, ErrInterrupt}, 130, 1},
	} {
		out, _, err := run(t, newTalk(t, 512), test.lines...)
		if artifact.ExitCode(err) != test.code || strings.Count(out, warning) != test.warnings {
			t.Errorf("%v: %v (exit code %d), warned %d times", test.lines, err, artifact.ExitCode(err), strings.Count(out, warning))
		}
	}
}

// wary interrupts the session when it has written so many parts.
type wary struct {
	strings.Builder
	after      int
	interrupts chan struct{}
}

func (w *wary) Write(p []byte) (int, error) {
	if w.after--; w.after == 0 {
		w.interrupts <- struct{}{}
	}
	return w.Builder.Write(p)
}

func TestCtrlCEndsAnAnswerAndNotTheChat(t *testing.T) {
	talk := newTalk(t, 512)
	settings := Recommended(model.Generation{}, "")
	settings.MaxTokens, settings.Temperature = 400, 1
	interrupts := make(chan struct{}, 1)
	interrupts <- struct{}{} // from before: it is of no answer
	out := &wary{after: 6, interrupts: interrupts}
	s := Session{Talk: talk, Settings: settings, Lines: &script{lines: []any{"Hello.", "/set max-tokens 4", "More."}}, Out: out, Interrupts: interrupts}
	if err := s.Run(t.Context()); err != nil || roles(talk) != "uaua" {
		t.Fatalf("%v, %s was said\n%s", err, roles(talk), out.String())
	}
	messages := talk.Dialogue().Messages
	if first := messages[1]; !first.Ignored || !strings.Contains(out.String(), first.Content+" [… stopped]\n") {
		t.Errorf("the answer stays as %+v, and the screen says\n%s", first, out.String())
	}
}

func TestASessionEndsWithItsContextAndItsScreen(t *testing.T) {
	cause := errors.New("the machine stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	s := Session{Talk: newTalk(t, 512), Settings: Recommended(model.Generation{}, ""), Lines: &script{}, Out: io.Discard}
	if err := s.Run(ctx); !errors.Is(err, cause) {
		t.Errorf("the cause became %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	s = Session{Talk: newTalk(t, 512), Settings: Recommended(model.Generation{}, ""), Lines: &script{lines: slices.Repeat([]any{"Hello."}, 99)}, Out: w}
	if err := s.Run(t.Context()); err == nil || len(s.Lines.(*script).lines) < 90 {
		t.Errorf("nobody reads it, and it goes on: %v", err)
	}
}

func TestWhatBeginsWithASlashIsCompleted(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"talk.jsonl", "tale.jsonl", ".hidden"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, "older"), 0o777); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return folder + string(filepath.Separator) + name }
	for line, want := range map[string][]string{
		"/re":                  {"/retry", "/reset"},
		"/s":                   {"/system ", "/save ", "/set "},
		"/x":                   nil,
		"hello":                nil,
		"//":                   nil,
		"/set t":               {"/set temp ", "/set top-k ", "/set top-p "},
		"/set temp":            {"/set temp "},
		"/save " + in("ta"):    {"/save " + in("tale.jsonl"), "/save " + in("talk.jsonl")},
		"/load " + in(""):      {"/load " + in("older/"), "/load " + in("tale.jsonl"), "/load " + in("talk.jsonl")},
		"/save! " + in(".hid"): {"/save! " + in(".hidden")},
		"/load " + in("no/"):   nil,
		"/retry x":             nil,
	} {
		if got := Complete(line); !slices.Equal(got, want) {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
}
