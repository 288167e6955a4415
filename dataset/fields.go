package dataset

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seed-b72bdb6c/alma/rows"
)

// fields is a row of which values are taken by key.
type fields struct{ rows.Row }

// any returns the first of keys that the row has a value for, "" for none.
func (f fields) any(keys ...string) string {
	for _, key := range keys {
		if f.Has(key) {
			return key
		}
	}
	return ""
}

// text returns the string of a key, "" if the row has none.
func (f fields) text(key string) (string, error) {
	value, ok := f.Value(key)
	if !ok || string(value) == "null" {
		return "", nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return "", notA(key, value, "a string")
	}
	return text, nil
}

// list decodes the array or object of a key. In a table, and in files of tables that
// became JSON, it is written as JSON within a string.
func (f fields) list(key string, into any, want string) error {
	value, ok := f.Value(key)
	if !ok {
		return fmt.Errorf("no %q", key)
	}
	if inner, ok := inString(value); ok {
		value = inner
	}
	if err := json.Unmarshal(value, into); err != nil {
		return notA(key, value, want)
	}
	return nil
}

// listOf decodes an array none of whose elements is null.
func listOf[T any](f fields, key, want string) ([]T, error) {
	var list []*T
	if err := f.list(key, &list, want); err != nil {
		return nil, err
	}
	out := make([]T, len(list))
	for i, v := range list {
		if v == nil {
			return nil, fmt.Errorf("%q has null, or a number that is none, at place %d; give a value for each", key, i)
		}
		out[i] = *v
	}
	return out, nil
}

// isText tells whether a key's value is a string that is text: not messages that were
// written as JSON into a string, as tables have them.
func (f fields) isText(key string) bool {
	value, _ := f.Value(key)
	if len(value) == 0 || value[0] != '"' {
		return false
	}
	nested, ok := inString(value)
	if !ok {
		return true
	}
	var messages []map[string]json.RawMessage
	if json.Unmarshal(nested, &messages) != nil || len(messages) == 0 {
		return true
	}
	for _, m := range messages {
		if m["role"] == nil && m["from"] == nil {
			return true
		}
	}
	return false
}

// isList tells whether a key's value is an array or an object, or one in a string.
func (f fields) isList(key string) bool {
	value, _ := f.Value(key)
	_, nested := inString(value)
	return nested || len(value) > 0 && (value[0] == '[' || value[0] == '{')
}

// inString returns the JSON array or object that a JSON string holds.
func inString(value json.RawMessage) (json.RawMessage, bool) {
	if len(value) == 0 || value[0] != '"' {
		return nil, false
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return nil, false
	}
	text = strings.TrimSpace(text)
	if text == "" || text[0] != '[' && text[0] != '{' || !json.Valid([]byte(text)) {
		return nil, false
	}
	return json.RawMessage(text), true
}

// notA says that a key holds another kind of value than it must.
func notA(key string, value json.RawMessage, want string) error {
	kind := "value"
	if len(value) > 0 {
		switch value[0] {
		case '"':
			kind = "string"
		case '[':
			kind = "array"
		case '{':
			kind = "object"
		case 't', 'f':
			kind = "boolean"
		case 'n':
			kind = "null"
		default:
			kind = "number"
		}
	}
	return fmt.Errorf("%q holds a JSON %s, which it must not: want %s", key, kind, want)
}

// keys lists the keys of a row for an error, a few of them.
func (f fields) keys() string {
	var names []string
	for _, key := range f.Names() {
		names = append(names, fmt.Sprintf("%q", key))
	}
	if len(names) == 0 {
		return "none"
	}
	if len(names) > 12 {
		names = append(names[:12], "…")
	}
	return strings.Join(names, ", ")
}

// unknown is a row that holds nothing of what is wanted: the error lists its keys.
func (f fields) unknown(want string) error {
	bad := fmt.Sprintf("%s; the row's keys are %s: name the right ones with --map", want, f.keys())
	return &rows.Bad{Reason: want, Detail: bad}
}
