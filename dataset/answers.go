package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/chat"
)

// Answers are several completions of one prompt, not yet in order.
type Answers struct {
	Prompt Prompt
	// Completions [K], K ≥ 1, are what was written after the prefill; "" where
	// the writer ended at once.
	Completions []string
	// Ended [K] says which completions the writer ended itself rather than
	// being cut off; nil: all of them.
	Ended []bool
}

// EndedAt tells whether completion k was ended by its writer.
func (a Answers) EndedAt(k int) bool { return a.Ended == nil || a.Ended[k] }

// All lists the completions one by one.
func (a Answers) All() []Completion {
	out := make([]Completion, len(a.Completions))
	for k, text := range a.Completions {
		out[k] = Completion{a.Prompt, text, a.EndedAt(k)}
	}
	return out
}

// MarshalJSON implements json.Marshaler: the line of an answers file.
func (a Answers) MarshalJSON() ([]byte, error) {
	var ended json.RawMessage
	if a.Ended != nil {
		var err error
		if ended, err = json.Marshal(a.Ended); err != nil {
			return nil, err
		}
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(completionLine{Prompt: a.Prompt.Messages, Prefill: a.Prompt.Prefill, Completions: a.Completions, Ended: ended})
	return bytes.TrimSpace(line.Bytes()), err
}

// answers reads a line as the completions of one prompt. An empty completion is
// one: the writer ended at once.
func (l completionLine) answers() (Answers, error) {
	prompt := Prompt{Messages: l.Prompt, Prefill: l.Prefill}
	if err := prompt.Check(); err != nil {
		return Answers{}, err
	}
	if l.Completion == nil && l.Completions == nil && l.Chosen != nil && l.Rejected != nil {
		l.Completions = []string{*l.Chosen, *l.Rejected}
	}
	texts, ended := l.Completions, []bool(nil)
	var err error
	switch {
	case l.Completion != nil && l.Completions != nil:
		return Answers{}, errors.New(`both "completion" and "completions"; give one of them`)
	case l.Completion == nil && len(l.Completions) == 0:
		return Answers{}, errors.New(`neither "completion" nor "completions"; a line is {"prompt":"…","completion":"…"}`)
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
		return Answers{}, errors.New(`"ended" must be true or false, or an array of them with "completions"`)
	}
	if ended != nil && len(ended) != len(texts) {
		return Answers{}, fmt.Errorf(`%d completions and %d entries of "ended"; give one for each, or leave it out`, len(texts), len(ended))
	}
	for i, text := range texts {
		if !utf8.ValidString(text) {
			return Answers{}, fmt.Errorf("completion %d is not UTF-8, which JSON cannot hold; replace the bad bytes", i)
		}
	}
	return Answers{prompt, texts, ended}, nil
}

// ReadAnswers reads a JSONL file of answers as docs/formats/rankings.md draws it,
// a line for each prompt. Files of completions and of rankings are ones too. The
// first line that is none ends it with an error that names file and line.
func ReadAnswers(path string) ([]Answers, error) {
	var all []Answers
	err := readLines("answers", path, func(l completionLine) error {
		a, err := l.answers()
		all = append(all, a)
		return err
	})
	return all, err
}

// WriteAnswers writes a file that ReadAnswers reads, durably.
func WriteAnswers(path string, answers []Answers) error { return writeLines(path, answers) }

// Asked is a prompt with the answer that somebody gave to it.
type Asked struct {
	Prompt Prompt
	// Reference is what was answered after the prefill, "" where nobody did.
	Reference string
}

// ReadAsked reads a JSONL file of prompts or of dialogues, or of both. The prompt
// of a dialogue is what stands before the assistant's last turn, with that turn's
// prefill, and the turn is the reference. The first line that is neither ends it
// with an error that names file and line.
func ReadAsked(path string) ([]Asked, error) {
	var all []Asked
	err := readLines("prompts", path, func(l promptWithTools) error {
		a, err := l.asked()
		all = append(all, a)
		return err
	})
	return all, err
}

func (l promptWithTools) asked() (Asked, error) {
	if err := l.tools.check(); err != nil {
		return Asked{}, err
	}
	messages := l.line.Messages
	if n := len(messages); len(l.line.Prompt) == 0 && n > 0 && messages[n-1].Role == chat.Assistant {
		if err := checkDialogue(chat.Dialogue{Messages: messages}); err != nil {
			return Asked{}, err
		}
		if l.line.Prefill != "" {
			return Asked{}, errors.New(`a dialogue with "prefill" beside its messages; put it into the assistant's last message`)
		}
		last := messages[n-1]
		a := Asked{Prompt{messages[:n-1], last.Prefill}, last.Content[len(last.Prefill):]}
		return a, a.Prompt.Check()
	}
	p, err := l.line.prompt()
	return Asked{Prompt: p}, err
}
