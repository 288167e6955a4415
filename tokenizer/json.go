package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
)

// The functions here read JSON without copying it: values are slices of the
// file. They are for text that json.Valid has passed.

// A member is a key of a JSON object with its value, still as text.
type member struct {
	key   string
	value json.RawMessage
}

// members returns the members of a JSON object in their order. Unlike
// encoding/json it fails on a key that comes twice.
func members(object json.RawMessage) ([]member, error) {
	var all []member
	seen := make(map[string]bool)
	for key, value := range elements(object, '{') {
		m := member{key: string(unquote(key)), value: value}
		if seen[m.key] {
			return nil, fmt.Errorf("key %q comes twice", m.key)
		}
		seen[m.key] = true
		all = append(all, m)
	}
	if !begins(object, '{') {
		return nil, fmt.Errorf("found %s where an object should stand", shortValue(object))
	}
	return all, nil
}

// begins reports whether a value begins with c.
func begins(value json.RawMessage, c byte) bool { return len(value) > 0 && value[0] == c }

// elements yields the members of an object (open is '{'; keys still quoted) or
// the elements of an array ('[', without keys), and nothing for another value.
func elements(value json.RawMessage, open byte) iter.Seq2[json.RawMessage, json.RawMessage] {
	return func(yield func(key, value json.RawMessage) bool) {
		if !begins(value, open) {
			return
		}
		for i := skipSpace(value, 1); i < len(value) && value[i] != open+2; {
			var key json.RawMessage
			if open == '{' {
				end := skipValue(value, i)
				key = value[i:end]
				i = skipSpace(value, skipSpace(value, end)+1) // past the colon
			}
			end := skipValue(value, i)
			if !yield(key, value[i:end]) {
				return
			}
			i = skipSpace(value, end)
			if i < len(value) && value[i] == ',' {
				i = skipSpace(value, i+1)
			}
		}
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue returns the end of the value that begins at b[i].
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			i++
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		default:
			i++
			if depth == 0 {
				for i < len(b) && bytes.IndexByte([]byte(" \n\r\t,:]}"), b[i]) < 0 {
					i++
				}
			}
		}
		if depth <= 0 {
			break
		}
	}
	return min(i, len(b))
}

// unquote returns what a JSON string says, without a copy where it has no
// escapes.
func unquote(quoted json.RawMessage) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return inner // not reached for valid JSON
	}
	return []byte(s)
}

// count returns how many elements an object or array has.
func count(value json.RawMessage, open byte) int {
	n := 0
	for range elements(value, open) {
		n++
	}
	return n
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
		return err
	}
	for _, m := range all {
		at := where + m.key
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
		list := ""
		for i, a := range allowed {
			if string(value) == a {
				return nil
			}
			if i > 0 {
				list += " or "
			}
			list += a
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
		if string(value) == "null" {
			return nil
		}
		return r(value)
	}
}

// shortValue is a JSON value as an error message shows it.
func shortValue(value json.RawMessage) string {
	const most = 80
	short := value
	if len(short) > 4*most {
		short = short[:4*most]
	}
	// White space outside strings says nothing, and a message is one line.
	text := bytes.Join(bytes.Fields(short), []byte(" "))
	if len(text) > most || len(short) < len(value) {
		return string(bytes.ToValidUTF8(text[:min(most, len(text))], nil)) + "…"
	}
	return string(text)
}
