package tokenizer

import (
	"errors"
	"fmt"
)

// The roles of messages.
const (
	System    = "system"
	User      = "user"
	Assistant = "assistant"
)

// Message is one turn of a dialogue.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	// Prefill is the beginning of an assistant's Content that the prompt gave:
	// context, like what the user says, and not trained on.
	Prefill string `json:"prefill,omitempty"`
}

// Chat is a dialogue, a line of a dialogues file.
type Chat struct {
	Messages []Message `json:"messages"`
}

// ChatTemplateJinja is the Jinja text of the form that RenderChat renders,
// ChatML, for chat_template.jinja: what it makes of messages, encoded with
// EncodeWithSpecial, are RenderChat's ids (a turn of the assistant that begins
// with white space apart: see RenderChat).
const ChatTemplateJinja = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// CheckMessages says what is wrong with a dialogue: no messages, a role that is
// not system, user or assistant, a system message that is not the first, empty
// content, a prefill that does not begin the content or is not the assistant's.
func CheckMessages(messages []Message) error {
	if len(messages) == 0 {
		return errors.New("the dialogue has no messages")
	}
	for i, m := range messages {
		switch m.Role {
		case User, Assistant:
		case System:
			if i > 0 {
				return fmt.Errorf("message %d has role %q, which only the first may have", i, m.Role)
			}
		default:
			return fmt.Errorf("message %d has role %q; allowed are %q, %q and %q", i, m.Role, System, User, Assistant)
		}
		if m.Content == "" {
			return fmt.Errorf("message %d (%s) is empty", i, m.Role)
		}
		if m.Prefill == "" {
			continue
		}
		if m.Role != Assistant {
			return fmt.Errorf("message %d (%s) has a prefill, which only the assistant's may have", i, m.Role)
		}
		if len(m.Prefill) > len(m.Content) || m.Content[:len(m.Prefill)] != m.Prefill {
			return fmt.Errorf("message %d: the content does not begin with its prefill %q", i, m.Prefill)
		}
	}
	return nil
}

// RenderChat renders a dialogue as a row for training, in ChatML: for each
// message
//
//	<|im_start|>ROLE\nCONTENT<|im_end|>\n
//
// and, if addGenerationPrompt is set, "<|im_start|>assistant\n" at the end. mask
// [len(ids)] is true on the tokens to train on: those of the assistant's content
// after its prefill, and the <|im_end|> after it.
//
// The assistant's header, its prefill and the rest of its content are encoded
// each by itself, so that the ids of a prompt (RenderPrompt) are, exactly, the
// beginning of the ids of every row that answers it. Of the other messages
// header and content are encoded together, as Hugging Face encodes the rendered
// template. Special tokens come from the form alone: a message that spells one
// out gets its characters' tokens.
//
// It fails on what CheckMessages refuses, on a dialogue without an assistant's
// turn (unless addGenerationPrompt is set), on one that ends with the
// assistant's turn if addGenerationPrompt is set, and for a tokenizer without
// ChatML's tokens or with another chat template.
func (t *Tokenizer) RenderChat(messages []Message, addGenerationPrompt bool) (ids []int32, mask []bool, err error) {
	start, end, err := t.chatTokens()
	if err != nil {
		return nil, nil, fmt.Errorf("rendering a dialogue: %w", err)
	}
	if err := CheckMessages(messages); err != nil {
		return nil, nil, fmt.Errorf("rendering a dialogue: %w", err)
	}
	answered := false
	for _, m := range messages {
		answered = answered || m.Role == Assistant
	}
	if !answered && !addGenerationPrompt {
		return nil, nil, errors.New("rendering a dialogue: it has no turn of the assistant, so there is nothing to train on")
	}
	if addGenerationPrompt && messages[len(messages)-1].Role == Assistant {
		return nil, nil, errors.New("rendering a dialogue: it ends with the assistant's turn, so there is nothing to generate")
	}

	extend := func(train bool) {
		for len(mask) < len(ids) {
			mask = append(mask, train)
		}
	}
	for _, m := range messages {
		ids = append(ids, start)
		if m.Role == Assistant {
			ids = t.AppendEncode(ids, assistantHeader)
			ids = t.AppendEncode(ids, m.Prefill)
			extend(false)
			ids = t.AppendEncode(ids, m.Content[len(m.Prefill):])
			ids = append(ids, end)
			extend(true)
		} else {
			ids = t.AppendEncode(ids, m.Role+"\n"+m.Content)
			ids = append(ids, end)
		}
		ids = t.AppendEncode(ids, "\n")
		extend(false)
	}
	if addGenerationPrompt {
		ids = append(ids, start)
		ids = t.AppendEncode(ids, assistantHeader)
		extend(false)
	}
	return ids, mask, nil
}

const assistantHeader = Assistant + "\n"

// RenderPrompt renders messages and the beginning of the assistant's next turn,
// with prefill as its first words; "" for none. The model's answer goes on from
// there: prefill and answer together are the turn's content. The ids are a
// prefix of RenderChat's for the dialogue in which that turn follows with the
// same Prefill. It fails where RenderChat with addGenerationPrompt fails.
func (t *Tokenizer) RenderPrompt(messages []Message, prefill string) ([]int32, error) {
	ids, _, err := t.RenderChat(messages, true)
	if err != nil {
		return nil, err
	}
	return t.AppendEncode(ids, prefill), nil
}

// RenderAnswer is RenderPrompt with a completion, and if ended is set with the
// <|im_end|> after it: what a reward model reads.
func (t *Tokenizer) RenderAnswer(messages []Message, prefill, completion string, ended bool) ([]int32, error) {
	ids, err := t.RenderPrompt(messages, prefill)
	if err != nil {
		return nil, err
	}
	ids = t.AppendEncode(ids, completion)
	if ended {
		_, end, err := t.chatTokens()
		if err != nil {
			return nil, err
		}
		ids = append(ids, end)
	}
	return ids, nil
}

// chatTokens returns the ids of <|im_start|> and <|im_end|>.
func (t *Tokenizer) chatTokens() (start, end int32, err error) {
	if t.chatTemplate != "" && t.chatTemplate != ChatTemplateJinja {
		return 0, 0, fmt.Errorf("the tokenizer came with a chat template of its own, and only ChatML as in ChatTemplateJinja can be rendered here")
	}
	start, ok1 := t.TokenID(IMStart)
	end, ok2 := t.TokenID(IMEnd)
	if !ok1 || !ok2 {
		return 0, 0, fmt.Errorf("the tokenizer has no %s and %s; train one with these special tokens", IMStart, IMEnd)
	}
	return start, end, nil
}
