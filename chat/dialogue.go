package chat

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

// Dialogue is a conversation, a line of a dialogues file.
type Dialogue struct {
	Messages []Message `json:"messages"`
}

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
