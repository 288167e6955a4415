package dataset

import (
	"encoding/json"
	"fmt"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/rows"
)

// A Completion is an answer to a prompt that is to be given a reward.
type Completion struct {
	Prompt Prompt
	Text   string // what was written after the prefill
	Ended  bool   // whether the writer ended it itself rather than being cut off
}

// completionLine is a line of a completions file that is written: one completion, or
// several of one prompt as alma sample --json writes them.
type completionLine struct {
	Prompt      turns           `json:"prompt"`
	Prefill     string          `json:"prefill,omitempty"`
	Tools       chat.JSON       `json:"tools,omitempty"`
	Completion  *string         `json:"completion,omitempty"`
	Completions []string        `json:"completions,omitempty"`
	Ended       json.RawMessage `json:"ended,omitempty"` // bool, or [K] of them
}

// MarshalJSON implements json.Marshaler: the line of a completions file.
func (c Completion) MarshalJSON() ([]byte, error) {
	ended := json.RawMessage("false")
	if c.Ended {
		ended = json.RawMessage("true")
	}
	return encodeLine(completionLine{Prompt: c.Prompt.Messages, Prefill: c.Prompt.Prefill, Tools: c.Prompt.Tools, Completion: &c.Text, Ended: ended})
}

// ReadCompletions reads a file of completions as docs/formats/rankings.md draws it,
// in the order of the file; a rankings file is one too.
func ReadCompletions(path string, how Reading) (*File[Completion], error) {
	return readRows("completions", path, how, func(row rows.Row) ([]Completion, string, error) {
		a, shape, err := readAnswers(fields{row})
		if err != nil {
			return nil, "", err
		}
		for i, text := range a.Completions {
			if text == "" && a.Prompt.Prefill == "" {
				return nil, "", fmt.Errorf("completion %d is empty", i)
			}
		}
		return a.All(), shape, nil
	})
}
