package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// The noncharacters of the Basic Multilingual Plane that no text should hold
// (Unicode 16, section 23.7).
const (
	firstNoncharacter = 0xfdd0
	lastNoncharacter  = 0xfdef
)

// guard finds the names of a vocabulary's special tokens in texts.
type guard struct{ names []string } // longest first

func newGuard(tok *tokenizer.Tokenizer) guard {
	var g guard
	for _, a := range tok.AddedTokens() {
		if a.Special {
			g.names = append(g.names, a.Content)
		}
	}
	slices.SortStableFunc(g.names, func(a, b string) int { return len(b) - len(a) })
	return g
}

// spelled tells whether a name stands in text.
func (g guard) spelled(text string) bool {
	return slices.ContainsFunc(g.names, func(name string) bool { return strings.Contains(text, name) })
}

// text puts mark after every character of a name in s.
func (g guard) text(s, mark string) string {
	if mark == "" || !g.spelled(s) {
		return s
	}
	var b strings.Builder
	for s != "" {
		name := ""
		for _, n := range g.names {
			if strings.HasPrefix(s, n) {
				name = n
				break
			}
		}
		if name == "" {
			_, n := utf8.DecodeRuneInString(s)
			b.WriteString(s[:n])
			s = s[n:]
			continue
		}
		for _, r := range name {
			b.WriteRune(r)
			b.WriteString(mark)
		}
		s = s[len(name):]
	}
	return b.String()
}

// turns are messages with guarded names.
func (g guard) turns(messages []turn, mark string) []turn {
	out := make([]turn, len(messages))
	for i, m := range messages {
		m.Content, m.Reasoning = g.text(m.Content, mark), g.text(m.Reasoning, mark)
		m.ToolCalls = g.json(m.ToolCalls, mark)
		m.ToolCallID, m.Name = g.text(m.ToolCallID, mark), g.text(m.Name, mark)
		out[i] = m
	}
	return out
}

// json is a JSON value with guarded names in its strings.
func (g guard) json(value JSON, mark string) JSON {
	if value == "" || mark == "" {
		return value
	}
	var b bytes.Buffer
	if err := eachString(json.RawMessage(value), func(s string) string { return g.text(s, mark) }, &b); err != nil {
		return value // it was encoded as JSON before
	}
	return JSON(b.String())
}

// conversation returns the messages and tools of c with guarded names, and the
// guard; "" if no name stands in them.
func (g guard) conversation(c Conversation) (mark string, messages, tools json.RawMessage, err error) {
	if messages, err = encode(c.Messages); err != nil {
		return "", nil, nil, err
	}
	if tools, err = encode(c.Tools); err != nil {
		return "", nil, nil, err
	}
	spelled := false
	both := ""
	for _, data := range []json.RawMessage{messages, tools} {
		err := eachString(data, func(s string) string {
			spelled = spelled || g.spelled(s)
			both += s
			return s
		}, nil)
		if err != nil {
			return "", nil, nil, err
		}
	}
	if !spelled {
		return "", nil, nil, nil
	}
	for _, name := range g.names {
		if utf8.RuneCountInString(name) == 1 && strings.Contains(both, name) {
			return "", nil, nil, fmt.Errorf("a message holds the special token %q, which one character cannot be kept apart from; take it out of the message", name)
		}
	}
	if mark, err = unused(both); err != nil {
		return "", nil, nil, err
	}
	for _, data := range []*json.RawMessage{&messages, &tools} {
		var b bytes.Buffer
		if err := eachString(*data, func(s string) string { return g.text(s, mark) }, &b); err != nil {
			return "", nil, nil, err
		}
		*data = b.Bytes()
	}
	return mark, messages, tools, nil
}

// unused returns a noncharacter that stands in none of the texts.
func unused(texts ...string) (string, error) {
	for r := rune(firstNoncharacter); r <= lastNoncharacter; r++ {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.ContainsRune(text, r) }) {
			return string(r), nil
		}
	}
	return "", fmt.Errorf("the messages hold all of the noncharacters U+%X to U+%X, one of which is needed as a mark", firstNoncharacter, lastNoncharacter)
}

func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("writing a conversation for the chat template: %w", err)
	}
	return b.Bytes(), nil
}

// eachString calls change for every string and key of a JSON text and, if to is
// not nil, writes the text with the results there. The order of keys stays.
func eachString(data json.RawMessage, change func(string) string, to *bytes.Buffer) error {
	for i := 0; i < len(data); {
		if data[i] != '"' {
			if to != nil {
				to.WriteByte(data[i])
			}
			i++
			continue
		}
		end := i + 1
		for ; end < len(data) && data[end] != '"'; end++ {
			if data[end] == '\\' {
				end++
			}
		}
		end = min(end+1, len(data))
		var s string
		if err := json.Unmarshal(data[i:end], &s); err != nil {
			return fmt.Errorf("reading a string of a conversation: %w", err)
		}
		s = change(s)
		if to != nil {
			text, err := encode(s)
			if err != nil {
				return err
			}
			to.Write(bytes.TrimSuffix(text, []byte("\n")))
		}
		i = end
	}
	return nil
}
