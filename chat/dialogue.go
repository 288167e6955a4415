package chat

import (
	"encoding/json"
	"errors"
	"fmt"
)

// The roles of messages.
const (
	System    = "system"
	User      = "user"
	Assistant = "assistant"
	Tool      = "tool" // what a function returned that the assistant called
)

// Message is one turn of a dialogue.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	// Prefill is the beginning of an assistant's Content that the prompt gave:
	// context, like what the user says, and not trained on.
	Prefill string `json:"prefill,omitempty"`
	// Reasoning is what an assistant thought before its Content, for templates that
	// know "reasoning_content". ChatML without a template writes it as Qwen 3 does,
	// between <think> and </think>.
	Reasoning string `json:"reasoning_content,omitempty"`
	// ToolCalls are an assistant's calls of functions: an array of objects as OpenAI
	// has them, {"type":"function","function":{"name":…,"arguments":{…}}}.
	ToolCalls JSON `json:"tool_calls,omitempty"`
	// ToolCallID and Name say which call a Tool's message answers.
	ToolCallID string `json:"tool_call_id,omitempty"`
	Name       string `json:"name,omitempty"`
	// Ignored marks an assistant's turn that is context and not trained on, "weight"
	// 0 of OpenAI's files.
	Ignored bool `json:"ignored,omitempty"`
}

// Dialogue is a conversation, a line of a dialogues file.
type Dialogue struct {
	Messages []Message `json:"messages"`
	// Tools describe the functions that the assistant may call, an array of JSON
	// schemas; "" for none.
	Tools JSON `json:"tools,omitempty"`
	// Text, in place of messages, is plain text of which every token is trained on.
	Text string `json:"text,omitempty"`
}

// JSON is a JSON value, "" for none. Values with equal text are equal.
type JSON string

// MarshalJSON implements json.Marshaler.
func (j JSON) MarshalJSON() ([]byte, error) {
	if j == "" {
		return []byte("null"), nil
	}
	return []byte(j), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (j *JSON) UnmarshalJSON(data []byte) error {
	if *j = JSON(data); string(data) == "null" {
		*j = ""
	}
	return nil
}

// Any is the value as encoding/json decodes it, nil for none.
func (j JSON) Any() (v any) {
	if j != "" && json.Unmarshal([]byte(j), &v) != nil {
		return nil
	}
	return v
}

// CheckMessages says what is wrong with a dialogue: no messages, a role that is
// not system, user, assistant or tool, a system message that is not the first, a
// turn of the user or the assistant without anything in it, calls, a prefill or
// thoughts that are not the assistant's, a prefill that does not begin the content.
func CheckMessages(messages []Message) error {
	if len(messages) == 0 {
		return errors.New("the dialogue has no messages")
	}
	for i, m := range messages {
		switch m.Role {
		case User, Assistant, Tool:
		case System:
			if i > 0 {
				return fmt.Errorf("message %d has role %q, which only the first may have", i, m.Role)
			}
		default:
			return fmt.Errorf("message %d has role %q; allowed are %q, %q, %q and %q", i, m.Role, System, User, Assistant, Tool)
		}
		for _, of := range []struct {
			what  string
			given bool
		}{{"a prefill", m.Prefill != ""}, {"thoughts", m.Reasoning != ""}, {"calls of tools", m.ToolCalls != ""}} {
			if of.given && m.Role != Assistant {
				return fmt.Errorf("message %d (%s) has %s, which only the assistant's may have", i, m.Role, of.what)
			}
		}
		switch {
		case m.Content == "" && (m.Role == User || m.Role == Assistant && m.ToolCalls == "" && m.Reasoning == ""):
			return fmt.Errorf("message %d (%s) is empty", i, m.Role)
		case len(m.Prefill) > len(m.Content) || m.Content[:len(m.Prefill)] != m.Prefill:
			return fmt.Errorf("message %d: the content does not begin with its prefill %q", i, m.Prefill)
		}
	}
	return nil
}
