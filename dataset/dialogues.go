package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seed-b72bdb6c/alma/chat"
)

// ReadDialogues reads a JSONL file of dialogues as docs/formats/dialogues.md
// draws it. The first line that is none ends it with an error that names file
// and line: what chat.CheckMessages refuses, or a dialogue without a turn
// of the assistant.
func ReadDialogues(path string) ([]chat.Dialogue, error) {
	var dialogues []chat.Dialogue
	err := readLines("dialogues", path, func(l dialogueLine) error {
		if err := l.tools.check(); err != nil {
			return err
		}
		if err := checkDialogue(l.dialogue); err != nil {
			return err
		}
		dialogues = append(dialogues, l.dialogue)
		return nil
	})
	return dialogues, err
}

// dialogueLine is a line of a dialogues file, with the keys of tools, which alma
// does not train with: left alone, a dialogue would be learned without what its
// answer rests on.
type dialogueLine struct {
	dialogue chat.Dialogue
	tools    toolKeys
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *dialogueLine) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &l.dialogue); err != nil {
		return err
	}
	return json.Unmarshal(data, &l.tools)
}

// toolKeys are the keys of tools on a line of dialogues or prompts.
type toolKeys struct {
	Tools    json.RawMessage `json:"tools,omitempty"`
	Messages []struct {
		ToolCalls json.RawMessage `json:"tool_calls"`
	} `json:"messages"`
}

func (k *toolKeys) check() error {
	given := func(value json.RawMessage) bool {
		return len(value) > 0 && string(value) != "null" && string(value) != "[]"
	}
	if given(k.Tools) {
		return errors.New(`"tools" is given, and stages learn no use of tools; leave the line out, or the key where the answer does not rest on it`)
	}
	for i, m := range k.Messages {
		if given(m.ToolCalls) {
			return fmt.Errorf(`message %d has "tool_calls", and stages learn no use of tools; leave the line out`, i)
		}
	}
	return nil
}

func checkDialogue(d chat.Dialogue) error {
	if len(d.Messages) == 0 {
		return errors.New(`no "messages"; a dialogue is {"messages":[{"role":"user","content":"…"},{"role":"assistant","content":"…"}]}`)
	}
	if err := chat.CheckMessages(d.Messages); err != nil {
		return err
	}
	for _, m := range d.Messages {
		if m.Role == chat.Assistant {
			return nil
		}
	}
	return errors.New(`no message has the role "assistant", so there is nothing to learn; add the answer or leave the dialogue out`)
}

// WriteDialogues writes a file that ReadDialogues reads, durably.
func WriteDialogues(path string, dialogues []chat.Dialogue) error { return writeLines(path, dialogues) }

// A Prompt is what a model is to answer.
type Prompt struct {
	// Messages end with the user's turn.
	Messages []chat.Message
	// Prefill is the beginning of the answer that is given, or "".
	Prefill string
}

// UserPrompt is a Prompt of one message of the user's.
func UserPrompt(text, prefill string) Prompt {
	return Prompt{Messages: []chat.Message{{Role: chat.User, Content: text}}, Prefill: prefill}
}

// Text returns the last message, the one to answer.
func (p Prompt) Text() string {
	if len(p.Messages) == 0 {
		return ""
	}
	return p.Messages[len(p.Messages)-1].Content
}

// Check says what is wrong with a prompt: what chat.CheckMessages refuses,
// or a last turn that is not the user's.
func (p Prompt) Check() error {
	if len(p.Messages) == 0 {
		return errors.New("the prompt is empty")
	}
	if err := chat.CheckMessages(p.Messages); err != nil {
		return fmt.Errorf("the prompt: %w", err)
	}
	if last := p.Messages[len(p.Messages)-1]; last.Role != chat.User {
		return fmt.Errorf("the prompt ends with a turn of the %s; it must end with the user's", last.Role)
	}
	return nil
}

// turns is a prompt on a JSON line: a string, the user's turn alone, or an array
// of messages.
type turns []chat.Message

// UnmarshalJSON implements json.Unmarshaler.
func (t *turns) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*t = turns{{Role: chat.User, Content: text}}
		return nil
	}
	var messages []chat.Message
	if err := json.Unmarshal(data, &messages); err != nil {
		return errors.New(`"prompt" must be a string or an array of messages`)
	}
	*t = messages
	return nil
}

// MarshalJSON implements json.Marshaler.
func (t turns) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	var v any = []chat.Message(t)
	if len(t) == 1 && t[0].Role == chat.User && t[0].Prefill == "" {
		v = t[0].Content
	}
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// promptLine is a line of a prompts file.
type promptLine struct {
	Prompt   turns          `json:"prompt,omitempty"`
	Messages []chat.Message `json:"messages,omitempty"`
	Prefill  string         `json:"prefill,omitempty"`
}

func (l promptLine) prompt() (Prompt, error) {
	if len(l.Prompt) > 0 && len(l.Messages) > 0 {
		return Prompt{}, errors.New(`both "prompt" and "messages"; give one of them`)
	}
	if len(l.Prompt)+len(l.Messages) == 0 {
		return Prompt{}, errors.New(`neither "prompt" nor "messages"; a prompt is {"prompt":"…"}`)
	}
	p := Prompt{Messages: append([]chat.Message(l.Prompt), l.Messages...), Prefill: l.Prefill}
	return p, p.Check()
}

// promptWithTools is a promptLine that is read, with the keys of tools.
type promptWithTools struct {
	line  promptLine
	tools toolKeys
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *promptWithTools) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &l.line); err != nil {
		return err
	}
	return json.Unmarshal(data, &l.tools)
}

// ReadPrompts reads a JSONL file of prompts as docs/formats/dialogues.md draws
// it. The first line that is none ends it with an error that names file and
// line.
func ReadPrompts(path string) ([]Prompt, error) {
	var prompts []Prompt
	err := readLines("prompts", path, func(given promptWithTools) error {
		if err := given.tools.check(); err != nil {
			return err
		}
		p, err := given.line.prompt()
		prompts = append(prompts, p)
		return err
	})
	return prompts, err
}

// WritePrompts writes a file that ReadPrompts reads, durably.
func WritePrompts(path string, prompts []Prompt) error {
	lines := make([]promptLine, len(prompts))
	for i, p := range prompts {
		lines[i] = promptLine{Prompt: p.Messages, Prefill: p.Prefill}
	}
	return writeLines(path, lines)
}

// TokenizePrompts renders prompts up to where the answer goes on, with
// RenderPrompt. Those of more than maxTokens tokens are left out:
// kept lists the indices of the others, one for each entry of ids.
func TokenizePrompts(template *chat.Template, prompts []Prompt, maxTokens int) (ids [][]int32, kept []int, err error) {
	for i, p := range prompts {
		tokens, err := template.RenderPrompt(p.Messages, p.Prefill)
		if err != nil {
			return nil, nil, fmt.Errorf("tokenizing prompt %d: %w", i, err)
		}
		if len(tokens) <= maxTokens {
			ids = append(ids, tokens)
			kept = append(kept, i)
		}
	}
	return ids, kept, nil
}
