package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// openJSON reads JSON: an object a line, objects over several lines, or one array
// of objects.
func (r *Reader) openJSON(text peeker) error {
	begin, err := text.Peek(text.Size())
	if err != nil && err != io.EOF {
		return err
	}
	switch first := firstByte(text); {
	case first == '[':
		v := &values{reader: r, text: text, line: 1, array: true}
		v.skip("[")
		r.form, r.next = "JSON array", v.next
		return nil
	case first != '{' && first != 0:
		return fmt.Errorf("it begins with %q, and JSON of rows with { or [; say with --format what it is", first)
	case first == '{' && overLines(begin):
		v := &values{reader: r, text: text, line: 1}
		r.form, r.next = "JSON objects", v.next
		return nil
	}
	l := newLineReader(text)
	r.form = "JSON Lines"
	r.next = func() (Row, error) {
		for {
			line, err := l.next()
			if err == io.EOF {
				return Row{}, err
			}
			if err == nil {
				if line = bytes.TrimSpace(line); len(line) == 0 {
					continue
				}
				var row Row
				if row, err = object(line); err == nil {
					row.Line = l.number
					return row, nil
				}
			}
			return Row{}, r.fault(l.number, err)
		}
	}
	return nil
}

// overLines tells whether the first object of a text that begins with one goes over
// several lines.
func overLines(begin []byte) bool {
	first, rest, found := bytes.Cut(bytes.TrimSpace(begin), []byte{'\n'})
	if !found || json.Valid(first) {
		return false
	}
	begin = bytes.TrimSpace(begin)
	end, ok := valueEnd(begin)
	if ok && json.Valid(begin[:end]) {
		return bytes.IndexByte(begin[:end], '\n') >= 0
	}
	// Broken JSON on a line of its own is followed by another object.
	next := bytes.TrimSpace(rest)
	return len(next) > 0 && next[0] != '{'
}

// valueEnd returns the end of the object that text begins with, false if it does
// not end there.
func valueEnd(text []byte) (int, bool) {
	var s scanner
	for i, c := range text {
		if s.ends(c) {
			return i + 1, true
		}
	}
	return 0, false
}

// scanner finds where an object or array ends.
type scanner struct {
	depth           int
	quoted, escaped bool
}

// ends takes the next byte and tells whether it ends the value.
func (s *scanner) ends(c byte) bool {
	switch {
	case s.escaped:
		s.escaped = false
	case s.quoted && c == '\\':
		s.escaped = true
	case c == '"':
		s.quoted = !s.quoted
	case s.quoted:
	case c == '{' || c == '[':
		s.depth++
	case c == '}' || c == ']':
		s.depth--
		return s.depth <= 0
	}
	return false
}

// values reads objects one after the other, whatever stands on a line.
type values struct {
	reader *Reader
	text   peeker
	line   int
	array  bool // they are the elements of one array
	ended  bool
	first  bool // one was read, and a comma may follow
}

// skip passes over white space and the characters of more, and returns what comes
// next, 0 at the end.
func (v *values) skip(more string) (byte, error) {
	for {
		c, err := v.text.ReadByte()
		if err == io.EOF {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		switch {
		case c == '\n':
			v.line++
		case c == ' ' || c == '\t' || c == '\r':
		case strings.IndexByte(more, c) >= 0:
			more = strings.Replace(more, string(c), "", 1)
		default:
			return c, v.text.UnreadByte()
		}
	}
}

func (v *values) next() (Row, error) {
	if v.ended {
		return Row{}, io.EOF
	}
	comma := ""
	if v.first {
		comma = ","
	}
	c, err := v.skip(comma)
	v.first = true
	switch {
	case err != nil:
		return Row{}, fmt.Errorf("line %d: %w", v.line, err)
	case c == 0 && v.array:
		return Row{}, fmt.Errorf("line %d: the array does not end; the file was cut off: fetch it again", v.line)
	case c == 0:
		return Row{}, io.EOF
	case c == ']' && v.array:
		v.text.ReadByte()
		v.ended = true
		if c, _ := v.skip(""); c != 0 {
			return Row{}, fmt.Errorf("line %d: more stands behind the array's end; give one array, or an object a line", v.line)
		}
		return Row{}, io.EOF
	case c != '{':
		return Row{}, fmt.Errorf("line %d: %q where an object should begin; rows are objects, {\"key\": …}", v.line, c)
	}
	begin := v.line
	var s scanner
	var value []byte
	length := 0
	for {
		c, err := v.text.ReadByte()
		if err == io.EOF {
			return Row{}, fmt.Errorf("line %d: the object that begins here does not end; the file was cut off, or a bracket is missing", begin)
		}
		if err != nil {
			return Row{}, fmt.Errorf("line %d: %w", v.line, err)
		}
		if c == '\n' {
			v.line++
		}
		if length++; length <= Longest {
			value = append(value, c)
		}
		if length > unending {
			return Row{}, fmt.Errorf("line %d: %w", begin, errUnending)
		}
		if s.ends(c) {
			break
		}
	}
	if length > Longest {
		return Row{}, v.reader.fault(begin, errTooLong)
	}
	row, err := object(value)
	if err != nil {
		return Row{}, v.reader.fault(begin, err)
	}
	row.Line = begin
	return row, nil
}

// object reads one JSON object. Python's NaN and Infinity, which are not JSON, are
// read as null.
func object(text []byte) (Row, error) {
	if err := checkUTF8(text); err != nil {
		return Row{}, err
	}
	if text[0] != '{' {
		return Row{}, errors.New("the line is not a JSON object")
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(text, &fields)
	if err != nil {
		if plain, ok := withoutNaN(text); ok && json.Unmarshal(plain, &fields) == nil {
			err = nil
		}
	}
	if err != nil {
		detail := err.Error()
		if n, ok := valueEnd(text); ok && n < len(text) && bytes.HasPrefix(bytes.TrimLeft(text[n:], ", \t"), []byte{'{'}) {
			detail += ": several objects stand on the line; give each a line of its own"
		}
		return Row{}, &Bad{Reason: "broken JSON", Detail: detail}
	}
	if i := loneSurrogate(text); i >= 0 {
		return Row{}, &Bad{Reason: "half a surrogate pair", Detail: fmt.Sprintf("byte %d of the line: an escape names half of a surrogate pair", i)}
	}
	return Row{Fields: fields}, nil
}

// withoutNaN puts null in the place of NaN, Infinity and -Infinity outside strings.
func withoutNaN(text []byte) ([]byte, bool) {
	if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
		return nil, false
	}
	var out []byte
	found, quoted := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\' && i+1 < len(text):
			out = append(out, c)
			i++
			c = text[i]
		case c == '"':
			quoted = !quoted
		case !quoted:
			for _, name := range []string{"NaN", "-Infinity", "Infinity"} {
				if bytes.HasPrefix(text[i:], []byte(name)) {
					out = append(out, "null"...)
					i += len(name)
					found = true
					break
				}
			}
			if i >= len(text) {
				return out, found
			}
			c = text[i]
		}
		out = append(out, c)
	}
	return out, found
}

// loneSurrogate returns the place of the first escape \uD800–\uDFFF without its
// other half, or -1. encoding/json would read it as U+FFFD without a word. A
// backslash occurs in JSON only within strings, so the whole line can be read.
func loneSurrogate(line []byte) int {
	unit := func(i int) (u rune, ok bool) {
		if i+6 > len(line) || line[i] != '\\' || line[i+1] != 'u' {
			return 0, false
		}
		for _, c := range line[i+2 : i+6] {
			u = u<<4 | rune(strings.IndexByte("0123456789abcdef", c|0x20))
		}
		return u, true
	}
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' {
			continue
		}
		u, ok := unit(i)
		switch {
		case !ok:
			i++ // the escaped character
		case u < 0xd800 || u > 0xdfff:
			i += 5
		default:
			low, ok := unit(i + 6)
			if u >= 0xdc00 || !ok || low < 0xdc00 || low > 0xdfff {
				return i
			}
			i += 11
		}
	}
	return -1
}
