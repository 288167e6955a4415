package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A Completion is an answer to a prompt that is to be given a reward.
type Completion struct {
	Prompt Prompt
	Text   string // what was written after the prefill
	Ended  bool   // whether the writer ended it itself rather than being cut off
}

// completionLine is a line of a completions file: one completion, or several of
// one prompt as alma sample --json writes them, or a pair. ranks and annotator of
// a rankings file are other keys, which are left alone.
type completionLine struct {
	Prompt      turns           `json:"prompt"`
	Prefill     string          `json:"prefill,omitempty"`
	Completion  *string         `json:"completion,omitempty"`
	Completions []string        `json:"completions,omitempty"`
	Chosen      *string         `json:"chosen,omitempty"`
	Rejected    *string         `json:"rejected,omitempty"`
	Ended       json.RawMessage `json:"ended,omitempty"` // bool, or [K] of them
}

// MarshalJSON implements json.Marshaler: the line of a completions file.
func (c Completion) MarshalJSON() ([]byte, error) {
	ended := json.RawMessage("false")
	if c.Ended {
		ended = json.RawMessage("true")
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(completionLine{Prompt: c.Prompt.Messages, Prefill: c.Prompt.Prefill, Completion: &c.Text, Ended: ended})
	return bytes.TrimSpace(line.Bytes()), err
}

func (l completionLine) completions() ([]Completion, error) {
	a, err := l.answers()
	if err != nil {
		return nil, err
	}
	for i, text := range a.Completions {
		if text == "" && a.Prompt.Prefill == "" {
			return nil, fmt.Errorf("completion %d is empty", i)
		}
	}
	return a.All(), nil
}

// ReadCompletions reads a JSONL file of completions as docs/formats/rankings.md
// draws it, in the order of the file; a rankings file is one too. The first line
// that is none ends it with an error that names file and line.
func ReadCompletions(path string) ([]Completion, error) {
	var all []Completion
	err := readLines("completions", path, func(l completionLine) error {
		more, err := l.completions()
		all = append(all, more...)
		return err
	})
	return all, err
}
