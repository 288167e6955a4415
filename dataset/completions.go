package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
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
	prompt := Prompt{Messages: l.Prompt, Prefill: l.Prefill}
	if err := prompt.Check(); err != nil {
		return nil, err
	}
	if l.Completion == nil && l.Completions == nil && l.Chosen != nil && l.Rejected != nil {
		l.Completions = []string{*l.Chosen, *l.Rejected}
	}
	texts, ended := l.Completions, []bool(nil)
	var err error
	switch {
	case l.Completion != nil && l.Completions != nil:
		return nil, errors.New(`both "completion" and "completions"; give one of them`)
	case l.Completion == nil && len(l.Completions) == 0:
		return nil, errors.New(`neither "completion" nor "completions"; a line is {"prompt":"…","completion":"…"}`)
	case l.Completion != nil:
		one := true
		if l.Ended != nil {
			err = json.Unmarshal(l.Ended, &one)
		}
		texts, ended = []string{*l.Completion}, []bool{one}
	case l.Ended != nil:
		err = json.Unmarshal(l.Ended, &ended)
	}
	if err != nil {
		return nil, errors.New(`"ended" must be true or false, or an array of them with "completions"`)
	}
	if ended != nil && len(ended) != len(texts) {
		return nil, fmt.Errorf(`%d completions and %d entries of "ended"; give one for each, or leave it out`, len(texts), len(ended))
	}
	out := make([]Completion, len(texts))
	for i, text := range texts {
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("completion %d is not UTF-8, which JSON cannot hold; replace the bad bytes", i)
		}
		if text == "" && prompt.Prefill == "" {
			return nil, fmt.Errorf("completion %d is empty", i)
		}
		out[i] = Completion{prompt, text, ended == nil || ended[i]}
	}
	return out, nil
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
