package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Template renders dialogues in the form that a tokenizer's model knows. Its
// methods may be called from many goroutines.
type Template struct {
	tok    *tokenizer.Tokenizer
	source string // Jinja, "" for ChatML without it
	tools  string // Jinja for conversations with tools, "" for source
	now    time.Time
	guard  guard
	ends   []int32
	given  JSON // tools that dialogues are rendered with, "" for none
}

// Date is what a template is told when it asks for the time: a fixed day, so that
// the same dialogues make the same tokens on every day. (Llama 3.2's template
// writes the date; this is the day that it writes itself where it can ask nobody.)
var Date = time.Date(2024, time.July, 26, 12, 0, 0, 0, time.UTC)

// For returns the template of a tokenizer: [ChatML] where it came with none or
// with that, else the Jinja that it came with. It fails for a template that is no
// Jinja, or that cannot be run here, with an artifact.ErrUsage.
func For(tok *tokenizer.Tokenizer) (*Template, error) {
	t := &Template{tok: tok, now: Date}
	named := tok.NamedTemplates()
	for _, one := range named {
		if one.Name == "tool_use" {
			t.tools = one.Template
		}
	}
	source := tok.ChatTemplate()
	switch {
	case source == "" && len(named) > 0:
		return nil, artifact.Errorf(artifact.ErrUsage, "choosing the chat template: of %d named ones none is called \"default\"; name one so in tokenizer_config.json", len(named))
	case source == "" || source == ChatML:
		if id, ok := tok.TokenID(tokenizer.IMEnd); ok {
			t.ends = []int32{id}
		}
		return t, nil
	}
	t.source, t.guard = source, newGuard(tok)
	ends, err := t.findEnds()
	if err != nil {
		return nil, artifact.Mark(artifact.ErrUsage, fmt.Errorf("trying the chat template that came with the tokenizer: %w", err))
	}
	t.ends = ends
	return t, nil
}

// At returns the template with another time for those that ask for it.
func (t *Template) At(now time.Time) *Template {
	other := *t
	other.now = now
	return &other
}

// WithTools returns the template for dialogues with tools, an array of JSON schemas;
// "" for none.
func (t *Template) WithTools(tools JSON) *Template {
	if tools == "" && t.given == "" {
		return t
	}
	other := *t
	other.given = tools
	return &other
}

// conversation is what the template renders of messages, with the tools that it has.
func (t *Template) conversation(messages []turn, prompt bool) Conversation {
	c := Conversation{Messages: messages, Prompt: prompt}
	if t.given != "" {
		c.Tools = t.given
	}
	return c
}

// Jinja tells whether dialogues are rendered by a Jinja template; if not, they are
// in ChatML.
func (t *Template) Jinja() bool { return t.source != "" }

// EndTokens returns the tokens that end a turn of the assistant: one, or none
// where the template writes no special token there.
func (t *Template) EndTokens() []int32 { return t.ends }

// Conversation is what a template renders.
type Conversation struct {
	// Messages are objects with role, content and what else the template knows,
	// such as tool_calls: []Message, or anything that becomes such JSON.
	Messages any
	// Tools are descriptions of functions as JSON schemas, or nil.
	Tools any
	// Prompt asks for the beginning of the assistant's next turn at the end.
	Prompt bool
	// Variables are further names that the template may know, such as
	// "enable_thinking".
	Variables map[string]any
}

// Text renders a conversation as text: what transformers' apply_chat_template
// returns with tokenize=False. The Jinja of ChatML is rendered like any other.
func (t *Template) Text(c Conversation) (string, error) {
	variables, err := t.variables(c)
	if err != nil {
		return "", err
	}
	return t.run(c, variables)
}

// Tokens is Text as tokens. The names of special tokens that messages and tools
// spell out are text; those that the template writes are tokens. It fails where
// the template does something else with such a name than to write it.
func (t *Template) Tokens(c Conversation) ([]int32, error) {
	text, mark, err := t.guarded(c)
	if err != nil {
		return nil, err
	}
	return t.tok.EncodeRendered(text, mark), nil
}

func (t *Template) run(c Conversation, variables json.RawMessage) (string, error) {
	source := t.source
	if source == "" {
		source = ChatML
	}
	if t.tools != "" && c.Tools != nil {
		source = t.tools
	}
	text, err := shared.render(source, variables, t.now)
	if err != nil {
		return "", fmt.Errorf("rendering with the chat template: %w", err)
	}
	return text, nil
}

// variables is the JSON object of what the template finds: a conversation, and
// the tokenizer's special tokens by the keys of tokenizer_config.json. As with
// transformers tools and documents are always there.
func (t *Template) variables(c Conversation) (json.RawMessage, error) {
	all := map[string]any{"tools": c.Tools, "documents": nil}
	for key, name := range t.tok.RoleNames() {
		all[key] = name
	}
	for key, value := range c.Variables {
		all[key] = value
	}
	all["messages"], all["add_generation_prompt"] = c.Messages, c.Prompt
	data, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("writing a conversation for the chat template: %w", err)
	}
	return data, nil
}

// guarded renders a conversation with a guard in the names of special tokens
// that it spells out. mark is the guard, "" for none.
func (t *Template) guarded(c Conversation) (text, mark string, err error) {
	free, err := t.variables(c)
	if err != nil {
		return "", "", err
	}
	mark, messages, tools, err := t.guard.conversation(c)
	if err != nil {
		return "", "", err
	}
	if mark == "" {
		text, err = t.run(c, free)
		return text, "", err
	}
	plain, err := t.run(c, free)
	if err != nil {
		return "", "", err
	}
	c.Messages = messages
	if c.Tools != nil {
		c.Tools = tools
	}
	variables, err := t.variables(c)
	if err != nil {
		return "", "", err
	}
	if text, err = t.run(c, variables); err != nil {
		return "", "", err
	}
	if strings.ReplaceAll(text, mark, "") != plain {
		return "", "", errors.New("rendering with the chat template: a message spells out a special token, and the template treats such a message differently; take the token's name out of the message")
	}
	return text, mark, nil
}

// RenderPrompt renders messages and the beginning of the assistant's next turn,
// with prefill as its first words; "" for none: what the model's answer goes on
// from. Before a prefill stands what the template writes before an answer: a
// space, or empty thoughts. The ids are those that RenderChat's row for the
// answered dialogue begins with, as long as no token there lies on both sides of an
// earlier turn's beginning or end.
func (t *Template) RenderPrompt(messages []Message, prefill string) ([]int32, error) {
	if !t.Jinja() {
		ids, _, err := t.RenderChat(messages, true)
		if err != nil {
			return nil, err
		}
		return t.tok.AppendEncode(ids, prefill), nil
	}
	return t.renderParts(messages, prefill)
}

// RenderAnswer is RenderPrompt with a completion, and if ended is set with the
// token that ends it: what a reward model reads.
func (t *Template) RenderAnswer(messages []Message, prefill, completion string, ended bool) ([]int32, error) {
	if !t.Jinja() {
		ids, err := t.RenderPrompt(messages, prefill)
		if err != nil {
			return nil, err
		}
		ids = t.tok.AppendEncode(ids, completion)
		if ended {
			ids = append(ids, t.ends[0]) // there, or the prompt could not be rendered
		}
		return ids, nil
	}
	ids, err := t.renderParts(messages, prefill, completion)
	if err != nil || !ended {
		return ids, err
	}
	if len(t.ends) == 0 {
		return nil, errors.New("rendering a dialogue: the chat template writes no special token after the assistant's words, so none can end an answer")
	}
	return append(ids, t.ends[0]), nil
}

// RenderText renders plain text as a row for training of which every token is
// trained on: the text, in which the names of special tokens are tokens, after the
// token that begins texts where the tokenizer has one of its own, and before the one
// that ends them. Whoever writes texts for training writes the form of dialogues
// himself.
func (t *Template) RenderText(text string) (ids []int32, mask []bool, err error) {
	end, ok := t.tok.EOS()
	if !ok && len(t.ends) > 0 {
		end, ok = t.ends[0], true
	}
	if !ok {
		return nil, nil, errors.New("rendering a text: the tokenizer names no token that ends texts")
	}
	ids = t.tok.EncodeWithSpecial(text)
	if len(ids) == 0 {
		return nil, nil, errors.New("rendering a text: it has no tokens")
	}
	if ids[len(ids)-1] != end {
		ids = append(ids, end)
	}
	if wrapped := t.tok.Wrap(nil); len(wrapped) > 0 {
		if begin, ok := t.tok.BOS(); ok && wrapped[0] == begin && ids[0] != begin {
			ids = append([]int32{begin}, ids...)
		}
	}
	mask = make([]bool, len(ids))
	for i := range mask {
		mask[i] = i > 0 || len(ids) == 1
	}
	return ids, mask, nil
}

// renderParts renders a prompt with parts of an answer after it.
func (t *Template) renderParts(messages []Message, parts ...string) ([]int32, error) {
	ids, err := t.partTokens(messages, parts)
	if err != nil {
		return nil, artifact.Mark(artifact.ErrUsage, fmt.Errorf("rendering a dialogue: %w", err))
	}
	return ids, nil
}

// partTokens is renderParts. The first part is a prefill.
func (t *Template) partTokens(messages []Message, parts []string) ([]int32, error) {
	if err := check(messages); err != nil {
		return nil, err
	}
	if err := purpose(messages, true); err != nil {
		return nil, err
	}
	all := turns(messages)
	text, mark, err := t.guarded(t.conversation(all, true))
	if err != nil {
		return nil, err
	}
	lead := ""
	if parts[0] != "" {
		if lead, err = t.lead(text, t.guard.turns(all, mark)); err != nil {
			return nil, err
		}
	}
	answer := strings.Join(parts, "")
	switch {
	case mark == "" && t.guard.spelled(answer):
		if mark, err = unused(text, answer); err != nil {
			return nil, err
		}
	case mark != "" && strings.Contains(answer, mark):
		return nil, fmt.Errorf("the answer holds the noncharacter %q, which the messages need as a mark", mark)
	}
	row := row{template: t, text: text, guard: mark}
	if err := row.extend(len(row.text), false); err != nil {
		return nil, err
	}
	row.text += lead
	for _, part := range parts {
		row.text += t.guard.text(part, mark)
		if err := row.extend(len(row.text), false); err != nil {
			return nil, err
		}
	}
	return row.ids, nil
}

// check refuses what CheckMessages refuses, and text that JSON cannot carry.
func check(messages []Message) error {
	if err := CheckMessages(messages); err != nil {
		return err
	}
	for i, m := range messages {
		if !utf8.ValidString(m.Content) || !utf8.ValidString(m.Reasoning) {
			return fmt.Errorf("message %d (%s) is not valid UTF-8", i, m.Role)
		}
	}
	return nil
}

// turn is a message as templates know it.
type turn struct {
	Role       string `json:"role"`
	Content    string `json:"content"`
	Reasoning  string `json:"reasoning_content,omitempty"`
	ToolCalls  JSON   `json:"tool_calls,omitempty"`
	ToolCallID string `json:"tool_call_id,omitempty"`
	Name       string `json:"name,omitempty"`
}

func turns(messages []Message) []turn {
	out := make([]turn, len(messages))
	for i, m := range messages {
		out[i] = turn{m.Role, m.Content, m.Reasoning, m.ToolCalls, m.ToolCallID, m.Name}
	}
	return out
}
