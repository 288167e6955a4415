package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/rows"
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
	return encodeLine(completionLine{Prompt: a.Prompt.Messages, Prefill: a.Prompt.Prefill, Tools: a.Prompt.Tools, Completions: a.Completions, Ended: ended})
}

// readAnswers reads a row as the completions of one prompt. An empty completion is
// one: the writer ended at once.
func readAnswers(f fields) (a Answers, shape string, err error) {
	if f.any("chosen", "rejected") != "" && f.any("completion", "completions") == "" {
		r, shape, err := readRanking(f)
		return Answers{r.Prompt, r.Completions, nil}, shape, err
	}
	if a.Prompt, err = f.prompt("prompt", "instruction", "question", "query"); err != nil {
		return a, "", err
	}
	if err := a.Prompt.Check(); err != nil {
		return a, "", err
	}
	switch {
	case f.Has("completion") && f.Has("completions"):
		return a, "", errors.New(`both "completion" and "completions"; give one of them`)
	case f.Has("completions"):
		if a.Completions, _, shape, err = readScored(f); err != nil {
			return a, "", err
		}
		if len(a.Completions) == 0 {
			return a, "", errNoCompletion(f)
		}
		if f.Has("ended") {
			if a.Ended, err = listOf[bool](f, "ended", "an array of true and false"); err != nil {
				return a, "", fmt.Errorf(`"ended" must be true or false, or an array of them with "completions": %w`, err)
			}
		}
	default:
		value, given := f.Value("completion")
		if !given || string(value) == "null" {
			return a, "", errNoCompletion(f)
		}
		turns, err := f.turns("completion", chat.Assistant)
		if err != nil {
			return a, "", err
		}
		if len(turns) != 1 || turns[0].Role != chat.Assistant {
			return a, "", fmt.Errorf(`"completion" has %d messages; want one of the assistant's`, len(turns))
		}
		ended := true
		if f.Has("ended") {
			if ended, err = f.yes("ended"); err != nil {
				return a, "", fmt.Errorf(`"ended" must be true or false, or an array of them with "completions": %w`, err)
			}
		}
		shape, a.Completions, a.Ended = "completion", []string{turns[0].Content}, []bool{ended}
	}
	if a.Ended != nil && len(a.Ended) != len(a.Completions) {
		return a, "", fmt.Errorf(`%d completions and %d entries of "ended"; give one for each, or leave it out`, len(a.Completions), len(a.Ended))
	}
	return a, shape, nil
}

func errNoCompletion(f fields) error {
	return f.unknown(`neither "completion" nor "completions"; a line is {"prompt":"…","completion":"…"}`)
}

// yes is a boolean: true or false, and in tables also 1 and 0, in any case.
func (f fields) yes(key string) (bool, error) {
	value, _ := f.Value(key)
	text := string(value)
	if f.Table {
		text = strings.ToLower(strings.TrimSpace(strings.Trim(text, `"`)))
	}
	switch {
	case text == "true", f.Table && text == "1":
		return true, nil
	case text == "false", f.Table && text == "0":
		return false, nil
	}
	return false, notA(key, value, "true or false")
}

// ReadAnswers reads a file of answers as docs/formats/rankings.md draws it, a row for
// each prompt. Files of completions and of rankings are ones too.
func ReadAnswers(path string, how Reading) (*File[Answers], error) {
	return readRows("answers", path, how, func(row rows.Row) ([]Answers, string, error) {
		a, shape, err := readAnswers(fields{row})
		return []Answers{a}, shape, err
	})
}

// WriteAnswers writes a file that ReadAnswers reads, durably.
func WriteAnswers(path string, answers []Answers) error { return WriteLines(path, answers) }
