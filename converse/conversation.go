package converse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// ErrCut is the cause with which a context ends an answer, and not the conversation:
// what was written by then stays in it.
var ErrCut = errors.New("the answer was stopped")

// Conversation is a dialogue with a model. Between its turns the model's cache is
// kept, so a turn costs what is new in it; therefore the model's weights must not
// change, and nothing else may generate with it. It is not safe for concurrent use.
type Conversation struct {
	// Sampling says how the next answers are drawn. What ends an answer and what is
	// never drawn is the conversation's to know and not read from it.
	Sampling generate.Sampling

	generator *generate.Generator
	tok       *tokenizer.Tokenizer
	template  *chat.Template
	context   int // of the model, in tokens
	stop      []int32
	banned    []int32
	stops     chat.StopStrings

	messages []chat.Message
	tools    chat.JSON
	asked    *asked // nil before the first question
	usage    Usage  // of the last answer; zero where none was given since the messages changed otherwise
}

// asked is the last question, whether or not an answer to it is in the conversation.
type asked struct {
	at     int // messages before it
	text   string
	sample int // of its last answer
}

// New begins a conversation with a model. It fails where the model's chat template
// cannot be used, with an artifact.ErrUsage.
func New(m *model.Model, tok *tokenizer.Tokenizer) (*Conversation, error) {
	g, err := generate.New(m, 1, m.Context)
	if err != nil {
		return nil, err
	}
	g.Keep()
	template, err := chat.For(tok)
	if err != nil {
		return nil, err
	}
	stop := chat.Ends(tok, template, m.EndTokens()...)
	return &Conversation{
		generator: g, tok: tok, template: template.At(time.Now()), context: m.Context,
		stop: stop, banned: chat.Banned(tok, template, stop, m.Vocabulary), stops: m.Generation.StopStrings,
	}, nil
}

// Reset begins the conversation anew; a system message stays.
func (c *Conversation) Reset() {
	system := c.System()
	c.messages, c.tools, c.asked, c.usage = nil, "", nil, Usage{}
	c.SetSystem(system)
}

// System is the system message, "" for none.
func (c *Conversation) System() string {
	if c.hasSystem() {
		return c.messages[0].Content
	}
	return ""
}

func (c *Conversation) hasSystem() bool {
	return len(c.messages) > 0 && c.messages[0].Role == chat.System
}

// SetSystem replaces the system message; "" removes it. What was said stays.
func (c *Conversation) SetSystem(text string) {
	said := c.messages
	if c.hasSystem() {
		said = said[1:]
	}
	before := len(c.messages)
	c.messages = nil
	if text != "" {
		c.messages = []chat.Message{{Role: chat.System, Content: text}}
	}
	c.messages = append(c.messages, said...)
	if c.asked != nil {
		c.asked.at += len(c.messages) - before
	}
	c.usage = Usage{}
}

// Dialogue is what was said so far.
func (c *Conversation) Dialogue() chat.Dialogue {
	return chat.Dialogue{Messages: slices.Clone(c.messages), Tools: c.tools}
}

// Question is the last question, "" before the first.
func (c *Conversation) Question() string {
	if c.asked == nil {
		return ""
	}
	return c.asked.text
}

// Answered tells whether the last question has an answer in the conversation.
func (c *Conversation) Answered() bool { return c.asked != nil && len(c.messages) > c.asked.at }

// Full says that a conversation with the next question leaves no room for an answer.
// It is an artifact.ErrUsage.
type Full struct{ Tokens, Context int }

// Error implements error.
func (f *Full) Error() string {
	return fmt.Sprintf("chatting: the conversation has %d tokens, and the model's context of %d leaves no room for an answer; /reset begins a new one", f.Tokens, f.Context)
}

// Unwrap makes the error an artifact.ErrUsage.
func (f *Full) Unwrap() error { return artifact.ErrUsage }

// Answer is what the model said.
type Answer struct {
	Text    string
	Ended   bool // by itself; else it is cut
	Stopped bool // it is cut because the context ended with ErrCut
}

// Usage is what an answer took.
type Usage struct {
	Prompt int // tokens of the conversation before the answer
	Kept   int // of them, those that the cache held already; not counted of an answer that was stopped
	Answer int // tokens of the answer, that which ends it included
	// Reading lasts until the first token of the answer is there, Writing from then on.
	Reading, Writing time.Duration
}

// Say takes the user's turn and hands out the answer part by part. A turn that fails,
// or is answered with nothing, is no part of the conversation.
func (c *Conversation) Say(ctx context.Context, text string, part func(string)) (Answer, error) {
	return c.ask(ctx, asked{at: len(c.messages), text: text}, part)
}

// Retry answers the last question once more, with the random numbers of the next
// sample, and forgets what was said after it. Where nothing is written, the
// conversation stays as it was.
func (c *Conversation) Retry(ctx context.Context, part func(string)) (Answer, error) {
	if c.asked == nil {
		return Answer{}, artifact.Errorf(artifact.ErrUsage, "answering again: nothing was asked yet")
	}
	again := *c.asked
	again.sample++
	return c.ask(ctx, again, part)
}

// Replace asks another question in the place of the last one, whose answer is
// forgotten, unless nothing is written.
func (c *Conversation) Replace(ctx context.Context, text string, part func(string)) (Answer, error) {
	if c.asked == nil {
		return c.Say(ctx, text, part)
	}
	return c.ask(ctx, asked{at: c.asked.at, text: text}, part)
}

func (c *Conversation) ask(ctx context.Context, q asked, part func(string)) (Answer, error) {
	if q.at == len(c.messages) { // it takes the place of no answer
		c.asked = &q
	}
	messages := append(slices.Clone(c.messages[:q.at]), chat.Message{Role: chat.User, Content: q.text})
	ids, err := c.template.WithTools(c.tools).RenderPrompt(messages, "")
	if err != nil {
		return Answer{}, artifact.Mark(artifact.ErrUsage, fmt.Errorf("chatting: %w", err))
	}
	if len(ids) >= c.context {
		return Answer{}, &Full{len(ids), c.context}
	}
	s := c.Sampling
	s.Stop, s.Banned, s.Until = c.stop, c.banned, c.stops.Until(c.tok)
	write := writer{stops: c.stops, part: part}
	usage := Usage{Prompt: len(ids)}
	decoder, begun := c.tok.NewDecoder(), time.Now()
	var first time.Time
	completion, err := c.generator.Stream(ctx, generate.Request{Prompt: ids, Sample: q.sample}, s, func(id int32) error {
		if usage.Answer++; usage.Answer == 1 {
			first = time.Now()
			usage.Reading = first.Sub(begun)
		}
		text, err := decoder.Next(id)
		write.add(text)
		return err
	})
	answer := Answer{Ended: completion.Ended, Stopped: err != nil && errors.Is(context.Cause(ctx), ErrCut)}
	if err != nil && !answer.Stopped {
		return Answer{}, err
	}
	write.add(decoder.Flush())
	write.end()
	if usage.Answer > 0 {
		usage.Writing = time.Since(first)
	}
	usage.Kept = completion.Kept
	answer.Text = write.written.String()
	if answer.Text != "" {
		c.messages = append(messages, chat.Message{Role: chat.Assistant, Content: answer.Text, Ignored: !answer.Ended})
		c.usage, c.asked = usage, &q
	}
	return answer, nil
}

// writer hands out text as it comes, but for what may be the beginning of a stop
// string.
type writer struct {
	stops   chat.StopStrings
	part    func(string)
	held    string
	stopped bool
	written strings.Builder
}

func (w *writer) add(text string) {
	if w.stopped {
		return
	}
	w.held += text
	before, stopped := w.stops.Cut(w.held)
	if w.stopped = stopped; !stopped {
		before = w.held[:len(w.held)-w.stops.Held(w.held)]
	}
	w.held = w.held[len(before):]
	w.hand(before)
}

// end hands out what is held back, if it was no stop string.
func (w *writer) end() {
	if !w.stopped {
		w.hand(w.held)
	}
}

func (w *writer) hand(text string) {
	if text != "" {
		w.written.WriteString(text)
		w.part(text)
	}
}

// Save writes the conversation as one line of dialogues, which training reads. It
// refuses to write over a file unless over is set.
func (c *Conversation) Save(path string, over bool) error {
	if !slices.ContainsFunc(c.messages, func(m chat.Message) bool { return m.Role == chat.Assistant }) {
		return artifact.Errorf(artifact.ErrUsage, "saving the conversation: it has no answer yet")
	}
	if _, err := os.Lstat(path); err == nil && !over {
		return artifact.Errorf(artifact.ErrUsage, "saving the conversation: %s exists; /save! %s writes over it", path, path)
	}
	return dataset.WriteDialogues(path, []chat.Dialogue{c.Dialogue()})
}

// Load takes the place of what was said: the one dialogue of a file, in any of the
// shapes that training reads. A last question without an answer is the one that Retry
// answers.
func (c *Conversation) Load(path string) error {
	f, err := dataset.ReadConversations(path, dataset.Reading{BadRows: dataset.Stop})
	if err != nil {
		return err
	}
	if len(f.Rows) != 1 {
		return artifact.Errorf(artifact.ErrUsage, "loading %s: it holds %d dialogues, and a conversation is one; put the line that you want into a file of its own", path, len(f.Rows))
	}
	d := f.Rows[0]
	last := len(d.Messages) - 1
	for last >= 0 && d.Messages[last].Role != chat.User {
		last--
	}
	switch end := d.Messages[len(d.Messages)-1].Role; {
	case end == chat.Tool:
		return artifact.Errorf(artifact.ErrUsage, "loading %s: the dialogue ends with what a tool returned, and a conversation goes on from the user's or the assistant's words", path)
	case last < 0:
		return artifact.Errorf(artifact.ErrUsage, "loading %s: the dialogue has no turn of the user", path)
	}
	c.messages, c.tools, c.usage = d.Messages, d.Tools, Usage{}
	c.asked = &asked{at: last, text: d.Messages[last].Content, sample: -1}
	if last == len(d.Messages)-1 {
		c.messages = d.Messages[:last]
	} else {
		c.asked.sample = 0
	}
	return nil
}

// Used is how many tokens of how many the conversation takes, and what the last answer
// took, zero where there was none since the conversation changed otherwise.
func (c *Conversation) Used() (tokens, context int, last Usage, err error) {
	if c.usage != (Usage{}) {
		return c.usage.Prompt + c.usage.Answer, c.context, c.usage, nil
	}
	if len(c.messages) == 0 {
		return 0, c.context, Usage{}, nil
	}
	messages := slices.Clone(c.messages)
	for i := range messages {
		messages[i].Ignored = false // which is of training, and not of what is read
	}
	template := c.template.WithTools(c.tools)
	var ids []int32
	if messages[len(messages)-1].Role == chat.Assistant {
		ids, _, err = template.RenderChat(messages, false)
	} else {
		ids, err = template.RenderPrompt(messages, "")
	}
	return len(ids), c.context, Usage{}, err
}
