package chat

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// ChatML is the Jinja text of the form in which vocabularies trained here write
// dialogues, for chat_template.jinja: what it makes of messages, encoded with
// EncodeWithSpecial, are RenderChat's ids (a turn of the assistant that begins
// with white space apart: see renderChatML).
const ChatML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// renderChatML is RenderChat in ChatML without Jinja: for each message
//
//	<|im_start|>ROLE\nCONTENT<|im_end|>\n
//
// and, if addGenerationPrompt is set, "<|im_start|>assistant\n" at the end.
//
// The assistant's header, its prefill and the rest of its content are encoded
// each by itself, so that the ids of a prompt (RenderPrompt) are, exactly, the
// beginning of the ids of every row that answers it. Of the other messages
// header and content are encoded together, as Hugging Face encodes the rendered
// template. Special tokens come from the form alone: a message that spells one
// out gets its characters' tokens.
func renderChatML(tok *tokenizer.Tokenizer, messages []Message, addGenerationPrompt bool) (ids []int32, mask []bool, err error) {
	start, end, err := chatMLTokens(tok)
	if err != nil {
		return nil, nil, err
	}
	if err := CheckMessages(messages); err != nil {
		return nil, nil, err
	}
	if err := purpose(messages, addGenerationPrompt); err != nil {
		return nil, nil, err
	}
	if slices.ContainsFunc(messages, func(m Message) bool { return m.Role == Tool || m.ToolCalls != "" }) {
		return nil, nil, errNoTools
	}

	extend := func(train bool) {
		for len(mask) < len(ids) {
			mask = append(mask, train)
		}
	}
	for _, m := range messages {
		ids = append(ids, start)
		if m.Role == Assistant {
			ids = tok.AppendEncode(ids, assistantHeader)
			if m.Reasoning != "" {
				extend(false)
				ids = tok.AppendEncode(ids, "<think>\n"+m.Reasoning+"\n</think>\n\n")
				extend(!m.Ignored)
			}
			ids = tok.AppendEncode(ids, m.Prefill)
			extend(false)
			ids = tok.AppendEncode(ids, m.Content[len(m.Prefill):])
			ids = append(ids, end)
			extend(!m.Ignored)
		} else {
			ids = tok.AppendEncode(ids, m.Role+"\n"+m.Content)
			ids = append(ids, end)
		}
		ids = tok.AppendEncode(ids, "\n")
		extend(false)
	}
	if addGenerationPrompt {
		ids = append(ids, start)
		ids = tok.AppendEncode(ids, assistantHeader)
		extend(false)
	}
	return ids, mask, nil
}

var errNoTools = errors.New("tools are given, and ChatML without a template has no form for them; take a model that came with a chat template, or leave tools out")

const assistantHeader = Assistant + "\n"

// purpose refuses a dialogue without a turn of the assistant, unless one is asked
// for, and one that ends with it where one is.
func purpose(messages []Message, addGenerationPrompt bool) error {
	answered := slices.ContainsFunc(messages, func(m Message) bool { return m.Role == Assistant && !m.Ignored })
	if !answered && !addGenerationPrompt {
		return errors.New("it has no turn of the assistant, so there is nothing to train on")
	}
	if addGenerationPrompt && messages[len(messages)-1].Role == Assistant {
		return errors.New("it ends with the assistant's turn, so there is nothing to generate")
	}
	return nil
}

// chatMLTokens returns the ids of <|im_start|> and <|im_end|>.
func chatMLTokens(tok *tokenizer.Tokenizer) (start, end int32, err error) {
	start, ok1 := tok.TokenID(tokenizer.IMStart)
	end, ok2 := tok.TokenID(tokenizer.IMEnd)
	if !ok1 || !ok2 {
		return 0, 0, fmt.Errorf("the model came with no chat template, and its tokenizer has no %s and %s for ChatML: it knows no dialogues; continue text with --plain, or take a model that was made for them", tokenizer.IMStart, tokenizer.IMEnd)
	}
	return start, end, nil
}
