package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A member is a key of a JSON object with its value, still as text.
type member struct {
	key   string
	value json.RawMessage
}

// members returns the members of a JSON object in their order. Unlike
// encoding/json it fails on a key that comes twice.
func members(object json.RawMessage) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if err := openDelim(d, '{'); err != nil {
		return nil, err
	}
	var all []member
	seen := make(map[string]bool)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{key: key.(string)}
		if seen[m.key] {
			return nil, fmt.Errorf("key %q comes twice", m.key)
		}
		seen[m.key] = true
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	_, err := d.Token()
	return all, err
}

// openDelim reads the delimiter that a JSON object or array begins with.
func openDelim(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("found %s where %q should begin", shortValue(got), want)
	}
	return nil
}

// atEnd fails if d has anything left to read.
func atEnd(d *json.Decoder) error {
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// A rule says what a key may hold. It returns an error that says what is wrong
// with the value, or with what the value asks for.
type rule func(value json.RawMessage) error

// checkObject holds an object against the rules for its keys, and fails on a
// key that has none: what a file asks for and is not understood must not be
// ignored.
func checkObject(where string, object json.RawMessage, rules map[string]rule) error {
	all, err := members(object)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for _, m := range all {
		at := where + "." + m.key
		if where == "" {
			at = m.key
		}
		r, ok := rules[m.key]
		if !ok {
			return fmt.Errorf("%s is %s: this key is not supported", at, shortValue(m.value))
		}
		if err := r(m.value); err != nil {
			return fmt.Errorf("%s is %s: %w", at, shortValue(m.value), err)
		}
	}
	return nil
}

// oneOf accepts the values listed, as compact JSON, and names them in its error.
func oneOf(allowed ...string) rule {
	return func(value json.RawMessage) error {
		var b bytes.Buffer
		if err := json.Compact(&b, value); err != nil {
			return err
		}
		for _, a := range allowed {
			if b.String() == a {
				return nil
			}
		}
		list := allowed[0]
		for _, a := range allowed[1:] {
			list += " or " + a
		}
		return fmt.Errorf("only %s is supported", list)
	}
}

// anyBool accepts true and false, for flags that do not change ids.
func anyBool(value json.RawMessage) error { return oneOf("true", "false")(value) }

// into stores the value in p.
func into(p any) rule {
	return func(value json.RawMessage) error { return json.Unmarshal(value, p) }
}

// nullOr accepts null, and otherwise what r accepts.
func nullOr(r rule) rule {
	return func(value json.RawMessage) error {
		if string(bytes.TrimSpace(value)) == "null" {
			return nil
		}
		return r(value)
	}
}

// shortValue is a JSON value as an error message shows it.
func shortValue(v any) string {
	raw, ok := v.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			return fmt.Sprint(v)
		}
	}
	const most = 80
	if len(raw) > most {
		return string(bytes.ToValidUTF8(raw[:most], nil)) + "…"
	}
	return string(raw)
}
