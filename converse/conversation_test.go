package converse

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// newTalk is a conversation with a model of random weights, which writes no sense and
// always the same.
func newTalk(t *testing.T, context int) *Conversation {
	t.Helper()
	tok, err := tokenizer.Load(filepath.Join("..", "tokenizer", "testdata", "huggingface.json"))
	if err != nil {
		t.Fatal(err)
	}
	engine := cpu.New(cpu.Options{Threads: 2})
	t.Cleanup(func() { engine.Close() })
	m, err := model.New(engine, model.Config{
		Family: model.Gemma3, Head: model.LanguageModel, Vocabulary: tok.VocabSize(), Context: context, Width: 16, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 8,
		FeedForward: 24, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .5, BOS: -1, EOS: -1, Pad: -1, Window: 20, Windowed: []bool{true, false},
	}.Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(m, tok)
	if err != nil {
		t.Fatal(err)
	}
	c.Sampling = generate.Sampling{Temperature: 1, Seed: 3, MaxTokens: 12}
	return c
}

func say(t *testing.T, c *Conversation, text string) Answer {
	t.Helper()
	answer, err := c.Say(t.Context(), text, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// roles are those of what was said, for short.
func roles(c *Conversation) string {
	var b strings.Builder
	for _, m := range c.Dialogue().Messages {
		b.WriteByte(m.Role[0])
	}
	return b.String()
}

var questions = []string{"Hello there.", "And what is that?", "Once more, please.", "你好", "Name a colour, then another colour."}

func TestAConversationAnswersAsIfItReadEverythingAnew(t *testing.T) {
	for _, temperature := range []float64{0, 1} {
		kept, fresh := newTalk(t, 2048), newTalk(t, 2048)
		kept.Sampling.Temperature, fresh.Sampling.Temperature = temperature, temperature
		kept.SetSystem(strings.Repeat("Answer in one sentence. ", 20))
		fresh.SetSystem(kept.System())
		for i, question := range questions {
			fresh.generator.Forget()
			got, want := say(t, kept, question), say(t, fresh, question)
			if got != want {
				t.Fatalf("temperature %g, turn %d: %+v, and %+v where all is read", temperature, i, got, want)
			}
			if i > 0 && kept.usage.Kept < fresh.usage.Prompt/2 {
				t.Errorf("turn %d: %d of %d tokens were kept", i, kept.usage.Kept, kept.usage.Prompt)
			}
		}
	}
}

func TestAnotherAnswerTakesThePlaceOfTheLast(t *testing.T) {
	c := newTalk(t, 512)
	say(t, c, questions[0])
	first := say(t, c, questions[1])
	var streamed strings.Builder
	second, err := c.Retry(t.Context(), func(part string) { streamed.WriteString(part) })
	if err != nil || second.Text == first.Text || streamed.String() != second.Text {
		t.Fatalf("%q after %q (streamed %q), %v", second.Text, first.Text, streamed.String(), err)
	}
	third, err := c.Retry(t.Context(), func(string) {})
	if err != nil || third.Text == first.Text || third.Text == second.Text {
		t.Errorf("the third answer is %q after %q and %q, %v", third.Text, first.Text, second.Text, err)
	}
	if got := c.Dialogue().Messages; roles(c) != "uaua" || got[3].Content != third.Text || got[2].Content != questions[1] {
		t.Errorf("%s, ending with %q", roles(c), got[len(got)-1].Content)
	}
	if _, err := c.Replace(t.Context(), questions[2], func(string) {}); err != nil || roles(c) != "uaua" || c.Dialogue().Messages[2].Content != questions[2] {
		t.Errorf("%s, %q, %v", roles(c), c.Dialogue().Messages[2].Content, err)
	}
	// The replaced question is answered as if it had been the first.
	again := newTalk(t, 512)
	say(t, again, questions[0])
	if want, got := say(t, again, questions[2]).Text, c.Dialogue().Messages[3].Content; got != want {
		t.Errorf("the changed question is answered %q, want %q", got, want)
	}
}

func TestTheSystemMessageChangesUnderWhatWasSaid(t *testing.T) {
	c := newTalk(t, 512)
	say(t, c, questions[0])
	say(t, c, questions[1])
	for _, step := range []struct{ system, want string }{{"Be brief.", "suaua"}, {"Be kind.", "suaua"}, {"", "uaua"}, {"Be brief.", "suaua"}} {
		if c.SetSystem(step.system); roles(c) != step.want || c.System() != step.system {
			t.Errorf("after %q: %s with %q", step.system, roles(c), c.System())
		}
		if _, err := c.Retry(t.Context(), func(string) {}); err != nil || roles(c) != step.want || c.Question() != questions[1] {
			t.Errorf("again after %q: %s, question %q, %v", step.system, roles(c), c.Question(), err)
		}
	}
	if c.Reset(); roles(c) != "s" || c.Question() != "" {
		t.Errorf("after a reset: %s, question %q", roles(c), c.Question())
	}
	if _, err := c.Retry(t.Context(), func(string) {}); artifact.ExitCode(err) != 4 {
		t.Errorf("after a reset an answer is tried again: %v", err)
	}
}

// stopping is a context that the nth part of an answer ends, and what counts.
func stopping(t *testing.T, n int) (context.Context, func(string)) {
	ctx, cancel := context.WithCancelCause(t.Context())
	return ctx, func(string) {
		if n--; n == 0 {
			cancel(ErrCut)
		}
	}
}

func TestAnAnswerThatIsStoppedStaysAsFarAsItCame(t *testing.T) {
	c := newTalk(t, 512)
	c.Sampling.MaxTokens = 100
	full := say(t, c, questions[0])
	c.Reset()
	ctx, part := stopping(t, 3)
	answer, err := c.Say(ctx, questions[0], part)
	if err != nil || !answer.Stopped || answer.Ended || !strings.HasPrefix(full.Text, answer.Text) || len(answer.Text) >= len(full.Text) || answer.Text == "" {
		t.Fatalf("%+v, %v; the whole answer is %q", answer, err, full.Text)
	}
	if got := c.Dialogue().Messages[1]; !got.Ignored || got.Content != answer.Text {
		t.Errorf("it stays as %+v", got)
	}
	// The next turn sees it, and goes on from the cache that it left.
	other := newTalk(t, 512)
	other.Sampling = c.Sampling
	other.messages = c.Dialogue().Messages
	if got, want := say(t, c, questions[1]), say(t, other, questions[1]); got != want || c.usage.Kept == 0 {
		t.Errorf("goes on with %+v (%d kept), want %+v", got, c.usage.Kept, want)
	}

	// Stopped before the first word, it is as if it had not been asked, but can be again.
	stopped, cancel := context.WithCancelCause(t.Context())
	cancel(ErrCut)
	before := roles(c)
	if answer, err := c.Say(stopped, questions[2], func(string) {}); err != nil || !answer.Stopped || answer.Text != "" || roles(c) != before || c.Question() != questions[2] {
		t.Errorf("%+v, %v, %s, question %q", answer, err, roles(c), c.Question())
	}
	if _, err := c.Retry(t.Context(), func(string) {}); err != nil || roles(c) != before+"ua" {
		t.Errorf("asked again: %s, %v", roles(c), err)
	}
	// What ends the program ends the answer as an error.
	cause := errors.New("the machine stops")
	ctx2, cancel2 := context.WithCancelCause(t.Context())
	cancel2(cause)
	if _, err := c.Say(ctx2, questions[3], func(string) {}); !errors.Is(err, cause) {
		t.Errorf("the cause became %v", err)
	}
}

func TestAFullConversationSaysSoAndGoesOn(t *testing.T) {
	c := newTalk(t, 64)
	say(t, c, questions[0])
	before := roles(c)
	_, err := c.Say(t.Context(), strings.Repeat("long ", 100), func(string) {})
	var full *Full
	if !errors.As(err, &full) || artifact.ExitCode(err) != 4 || full.Context != 64 || roles(c) != before {
		t.Fatalf("%v, %s", err, roles(c))
	}
	if _, err := c.Replace(t.Context(), "short", func(string) {}); err != nil || roles(c) != before+"ua" {
		t.Errorf("a shorter question in its place: %s, %v", roles(c), err)
	}
}

// The text that the model would write, cut at a string from its middle: the same text
// up to there, whatever parts it came in, and nothing of the string is shown.
func TestAnAnswerEndsBeforeAStopString(t *testing.T) {
	c := newTalk(t, 512)
	c.Sampling.MaxTokens = 40
	full := say(t, c, questions[0]).Text
	middle := []rune(full)[len([]rune(full))/2:]
	stop := string(middle[:3])
	c.Reset()
	c.stops = chat.StopStrings{"no such thing", stop}
	var streamed strings.Builder
	answer, err := c.Say(t.Context(), questions[0], func(part string) { streamed.WriteString(part) })
	want, _, _ := strings.Cut(full, stop)
	if err != nil || answer.Text != want || streamed.String() != want || !answer.Ended {
		t.Errorf("%+v, streamed %q, %v; want %q, ended", answer, streamed.String(), err, want)
	}
	if c.usage.Answer >= 40 {
		t.Error("it was written to its end all the same")
	}
}

func TestASavedConversationIsDataForTrainingAndGoesOn(t *testing.T) {
	c := newTalk(t, 512)
	c.SetSystem("Be brief.")
	path := filepath.Join(t.TempDir(), "talk.jsonl")
	if err := c.Save(path, false); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "no answer yet") {
		t.Errorf("nothing was saved as %v", err)
	}
	c.Sampling.MaxTokens = 400
	c.stops = chat.StopStrings{"e"} // an answer that ends by itself
	if !say(t, c, questions[0]).Ended {
		t.Fatal("the answer is cut")
	}
	c.stops, c.Sampling.MaxTokens = nil, 3
	if say(t, c, questions[1]).Ended {
		t.Fatal("the answer is not cut")
	}
	if err := c.Save(path, false); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.Count(data, []byte("\n")) != 1 || !bytes.HasPrefix(data, []byte(`{"messages":[{"role":"system","content":"Be brief."},{"role":"user",`)) {
		t.Errorf("%s, %v", data, err)
	}
	f, err := dataset.ReadDialogues(path, dataset.DefaultReading())
	if err != nil || len(f.Rows) != 1 || f.Rows[0].Messages[2].Ignored || !f.Rows[0].Messages[4].Ignored {
		t.Fatalf("training reads %+v, %v", f, err)
	}
	if err := c.Save(path, false); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "/save! "+path) {
		t.Errorf("written over: %v", err)
	}
	say(t, c, questions[2])
	if err := c.Save(path, true); err != nil {
		t.Errorf("asked to, not written over: %v", err)
	}

	other := newTalk(t, 512)
	other.Sampling = c.Sampling
	if err := other.Load(path); err != nil || !slices.Equal(other.Dialogue().Messages, c.Dialogue().Messages) || other.Question() != questions[2] || !other.Answered() {
		t.Fatalf("loaded %+v, %v", other.Dialogue(), err)
	}
	if got, want := say(t, other, questions[3]), say(t, c, questions[3]); got != want {
		t.Errorf("goes on with %+v, want %+v", got, want)
	}
}

func TestWhatIsNoConversationIsNotLoaded(t *testing.T) {
	c := newTalk(t, 512)
	say(t, c, questions[0])
	before := c.Dialogue()
	one := `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`
	for content, says := range map[string]string{
		one + "\n" + one:  "it holds 2 dialogues",
		`{"role":"user"}`: `no "messages"`,
		`{"messages":[]}`: "no messages",
		`{"messages":[{"role":"system","content":"a"}]}`: "no turn of the user",
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"f","arguments":{}}}]},{"role":"tool","content":"1"}]}`: "what a tool returned",
		"": "empty",
	} {
		path := filepath.Join(t.TempDir(), "f.jsonl")
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := c.Load(path); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", content, err, says)
		}
	}
	if err := c.Load(filepath.Join(t.TempDir(), "none")); artifact.ExitCode(err) != 10 {
		t.Errorf("no file: %v", err)
	}
	if got := c.Dialogue(); !slices.Equal(got.Messages, before.Messages) {
		t.Errorf("it changed what was said to %+v", got)
	}
	// A question without an answer is asked once more.
	path := filepath.Join(t.TempDir(), "f.jsonl")
	if err := os.WriteFile(path, []byte(`{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := c.Load(path); err != nil || c.Answered() || c.Question() != "a" || roles(c) != "s" {
		t.Fatalf("%v, %s, %q", err, roles(c), c.Question())
	}
	answer, err := c.Retry(t.Context(), func(string) {})
	other := newTalk(t, 512)
	other.SetSystem("s")
	if want := say(t, other, "a"); err != nil || answer != want {
		t.Errorf("answered %+v, %v; want %+v", answer, err, want)
	}
}

func TestTheTokensOfAConversationAreCounted(t *testing.T) {
	c := newTalk(t, 512)
	used := func() int {
		t.Helper()
		n, of, _, err := c.Used()
		if err != nil || of != 512 {
			t.Fatalf("%d of %d, %v", n, of, err)
		}
		return n
	}
	if used() != 0 {
		t.Errorf("nothing takes %d tokens", used())
	}
	c.SetSystem("Be brief.")
	system := used()
	say(t, c, questions[0])
	_, _, last, _ := c.Used()
	if system == 0 || used() != last.Prompt+last.Answer || last.Answer != 12 || last.Reading <= 0 || last.Writing <= 0 {
		t.Errorf("%d for the system message, then %d with %+v", system, used(), last)
	}
	if c.SetSystem("Be brief!"); used() < last.Prompt {
		t.Errorf("%d after another system message, %+v before", used(), last)
	}
}
