package dataset

import (
	"errors"
	"fmt"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/rows"
)

// ReadDialogues reads a file of dialogues in any of the shapes that
// docs/formats/dialogues.md draws. A bad row is one that is none: what
// chat.CheckMessages refuses, or a dialogue without a turn of the assistant.
func ReadDialogues(path string, how Reading) (*File[chat.Dialogue], error) {
	return readRows("dialogues", path, how, func(row rows.Row) ([]chat.Dialogue, string, error) {
		f := fields{row}
		all, shape, err := readConversation(f, false)
		if err != nil {
			return nil, "", err
		}
		if all == nil {
			if f.any("chosen", "rejected") != "" {
				return nil, "", f.unknown(`preferences ("chosen", "rejected"), which a reward model learns (alma reward), and no dialogue`)
			}
			return nil, "", f.unknown(`no "messages"; a dialogue is {"messages":[{"role":"user","content":"…"},{"role":"assistant","content":"…"}]}`)
		}
		for _, d := range all {
			if err := checkDialogue(d); err != nil {
				return nil, "", err
			}
		}
		return all, shape, nil
	})
}

// ReadConversations is ReadDialogues for who goes on with them: they may lack the
// answer to the last question, and need none to learn.
func ReadConversations(path string, how Reading) (*File[chat.Dialogue], error) {
	return readRows("conversations", path, how, func(row rows.Row) ([]chat.Dialogue, string, error) {
		f := fields{row}
		all, shape, err := readConversation(f, true)
		if err != nil {
			return nil, "", err
		}
		if all == nil {
			return nil, "", f.unknown(`no "messages"; a conversation is {"messages":[{"role":"user","content":"…"},{"role":"assistant","content":"…"}]}`)
		}
		for _, d := range all {
			if err := chat.CheckMessages(d.Messages); err != nil {
				return nil, "", err
			}
		}
		return all, shape, nil
	})
}

func checkDialogue(d chat.Dialogue) error {
	if d.Text != "" && len(d.Messages) == 0 {
		return nil
	}
	if len(d.Messages) == 0 {
		return errors.New(`no "messages"; a dialogue is {"messages":[{"role":"user","content":"…"},{"role":"assistant","content":"…"}]}`)
	}
	if err := chat.CheckMessages(d.Messages); err != nil {
		return err
	}
	for _, m := range d.Messages {
		if m.Role == chat.Assistant && !m.Ignored {
			return nil
		}
	}
	return errors.New(`no message has the role "assistant", so there is nothing to learn; add the answer or leave the dialogue out`)
}

// WriteDialogues writes a file that ReadDialogues reads, durably.
func WriteDialogues(path string, dialogues []chat.Dialogue) error { return WriteLines(path, dialogues) }

// A Prompt is what a model is to answer.
type Prompt struct {
	// Messages end with the user's turn, or with what a tool returned.
	Messages []chat.Message
	// Prefill is the beginning of the answer that is given, or "".
	Prefill string
	// Tools describe the functions that the answer may call, "" for none.
	Tools chat.JSON
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
// or a last turn that is not the user's or a tool's.
func (p Prompt) Check() error {
	if len(p.Messages) == 0 {
		return errors.New("the prompt is empty")
	}
	if err := chat.CheckMessages(p.Messages); err != nil {
		return fmt.Errorf("the prompt: %w", err)
	}
	if last := p.Messages[len(p.Messages)-1]; last.Role != chat.User && last.Role != chat.Tool {
		return fmt.Errorf("the prompt ends with a turn of the %s; it must end with the user's", last.Role)
	}
	return nil
}

// Render returns the tokens of the prompt, up to where an answer goes on.
func (p Prompt) Render(template *chat.Template) ([]int32, error) {
	return template.WithTools(p.Tools).RenderPrompt(p.Messages, p.Prefill)
}

// RenderAnswer returns the tokens of the prompt with an answer, and with the token
// that ends it if its writer ended it.
func (p Prompt) RenderAnswer(template *chat.Template, completion string, ended bool) ([]int32, error) {
	return template.WithTools(p.Tools).RenderAnswer(p.Messages, p.Prefill, completion, ended)
}

// turns is a prompt on a JSON line that is written: a string, the user's turn alone,
// or an array of messages.
type turns []chat.Message

// MarshalJSON implements json.Marshaler.
func (t turns) MarshalJSON() ([]byte, error) {
	var v any = []chat.Message(t)
	if len(t) == 1 && t[0] == (chat.Message{Role: chat.User, Content: t[0].Content}) {
		v = t[0].Content
	}
	return encodeLine(v)
}

// readPrompt reads a row as a prompt: "prompt" or messages that end with the user's
// turn, or a question in another shape, and the answer that somebody gave, where the
// row has one.
func readPrompt(f fields) (all []Asked, shape string, err error) {
	prefill, err := f.text("prefill")
	if err != nil {
		return nil, "", err
	}
	dialogues, shape, err := readConversation(f, true)
	if err != nil {
		return nil, "", err
	}
	if dialogues == nil && f.isText("text") { // a line of plain text, or the usual column of a table
		text, err := f.text("text")
		if err != nil {
			return nil, "", err
		}
		dialogues, shape = []chat.Dialogue{{Messages: []chat.Message{{Role: chat.User, Content: text}}}}, "text"
	}
	if dialogues == nil {
		return nil, "", f.unknown(`neither "prompt" nor "messages"; a prompt is {"prompt":"…"}`)
	}
	for _, d := range dialogues {
		a := Asked{Prompt: Prompt{Messages: d.Messages, Prefill: prefill, Tools: d.Tools}}
		if n := len(d.Messages); n > 0 && d.Messages[n-1].Role == chat.Assistant {
			if prefill != "" {
				return nil, "", errors.New(`a dialogue with "prefill" beside its messages; put it into the assistant's last message`)
			}
			if err := chat.CheckMessages(d.Messages); err != nil {
				return nil, "", err
			}
			last := d.Messages[n-1]
			a = Asked{Prompt{Messages: d.Messages[:n-1], Prefill: last.Prefill, Tools: d.Tools}, last.Content[len(last.Prefill):]}
		}
		if err := a.Prompt.Check(); err != nil {
			return nil, "", err
		}
		all = append(all, a)
	}
	return all, shape, nil
}

// ReadPrompts reads a file of prompts as docs/formats/dialogues.md draws it, and of
// dialogues without their last answers.
func ReadPrompts(path string, how Reading) (*File[Prompt], error) {
	return readRows("prompts", path, how, func(row rows.Row) ([]Prompt, string, error) {
		asked, shape, err := readPrompt(fields{row})
		prompts := make([]Prompt, len(asked))
		for i, a := range asked {
			prompts[i] = a.Prompt
		}
		return prompts, shape, err
	})
}

// promptLine is a line of a prompts file that is written.
type promptLine struct {
	Prompt  turns     `json:"prompt"`
	Prefill string    `json:"prefill,omitempty"`
	Tools   chat.JSON `json:"tools,omitempty"`
}

// WritePrompts writes a file that ReadPrompts reads, durably.
func WritePrompts(path string, prompts []Prompt) error {
	lines := make([]promptLine, len(prompts))
	for i, p := range prompts {
		lines[i] = promptLine{p.Messages, p.Prefill, p.Tools}
	}
	return WriteLines(path, lines)
}

// Asked is a prompt with the answer that somebody gave to it.
type Asked struct {
	Prompt Prompt
	// Reference is what was answered after the prefill, "" where nobody did.
	Reference string
}

// ReadAsked reads a file of prompts or of dialogues, or of both. The prompt of a
// dialogue is what stands before the assistant's last turn, with that turn's
// prefill, and the turn is the reference.
func ReadAsked(path string, how Reading) (*File[Asked], error) {
	return readRows("prompts", path, how, func(row rows.Row) ([]Asked, string, error) { return readPrompt(fields{row}) })
}

// TokenizePrompts renders prompts up to where the answer goes on, with
// RenderPrompt. Those of more than maxTokens tokens are left out:
// kept lists the indices of the others, one for each entry of ids.
func TokenizePrompts(template *chat.Template, prompts []Prompt, maxTokens int) (ids [][]int32, kept []int, err error) {
	for i, p := range prompts {
		tokens, err := p.Render(template)
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

// Renderable takes the prompts out that the template refuses: they are bad rows.
func Renderable(template *chat.Template, f *File[Asked]) error {
	return f.Keep(func(_ int, a Asked) error {
		_, err := a.Prompt.Render(template)
		return err
	})
}
