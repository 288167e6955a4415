package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// DecodeJSON reads a JSON text as Python's json.loads does: objects become *Dict
// in the order of their keys, arrays *List, and numbers int64 or, with a fraction
// or an exponent, float64.
func DecodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeJSON(d, 0)
	if err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("reading JSON: more follows after the value")
	}
	return v, nil
}

// maxJSONDepth is how deep arrays and objects may be nested.
const maxJSONDepth = 500

func decodeJSON(d *json.Decoder, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("values are nested more than %d deep", maxJSONDepth)
	}
	t, err := d.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		return decodeNumber(string(t))
	case json.Delim:
		if t == '[' {
			list := &List{}
			for d.More() {
				v, err := decodeJSON(d, depth+1)
				if err != nil {
					return nil, err
				}
				list.Items = append(list.Items, v)
			}
			_, err := d.Token()
			return list, err
		}
		dict := NewDict()
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			dict.Set(key, v)
		}
		_, err := d.Token()
		return dict, err
	}
	return t, nil // a string, a bool or nil
}

func decodeNumber(s string) (any, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // Python reads 1e999 as inf
			return nil, err
		}
		return f, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return largeInt(s), nil
	}
	return n, err
}

// jsonStyle is how tojson writes.
type jsonStyle struct {
	ascii     bool   // escape what is not ASCII
	sorted    bool   // sort the keys
	indent    string // of each level, if indented
	indented  bool
	item, key string // the separators
	limit     int    // bytes that may be written
}

// encodeJSON is Python's json.dumps.
func encodeJSON(v any, s jsonStyle) (string, error) {
	var b strings.Builder
	err := s.write(&b, v, 0)
	return b.String(), err
}

func (s jsonStyle) write(b *strings.Builder, v any, depth int) error {
	if b.Len() > s.limit {
		return SizeError{}
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case largeInt:
		b.WriteString(string(v))
	case float64:
		b.WriteString(formatFloat(v, "Infinity", "NaN"))
	case string:
		s.quote(b, v)
	case *List:
		if len(v.Items) == 0 {
			b.WriteString("[]")
			return nil
		}
		b.WriteByte('[')
		for i, x := range v.Items {
			s.between(b, i, depth+1)
			if err := s.write(b, x, depth+1); err != nil {
				return err
			}
		}
		s.newline(b, depth)
		b.WriteByte(']')
	case *Dict:
		if v.Len() == 0 {
			b.WriteString("{}")
			return nil
		}
		keys := v.keys
		if s.sorted {
			keys = slices.Clone(keys)
			var err error
			slices.SortStableFunc(keys, func(x, y any) int {
				order, e := compare(x, y)
				if e != nil {
					err = e
				}
				return order
			})
			if err != nil {
				return fmt.Errorf("sorting keys for JSON: %w", err)
			}
		}
		b.WriteByte('{')
		for i, key := range keys {
			s.between(b, i, depth+1)
			if text, ok := key.(string); ok {
				s.quote(b, text)
			} else {
				b.WriteByte('"')
				if err := s.write(b, key, depth); err != nil {
					return err
				}
				b.WriteByte('"')
			}
			b.WriteString(s.key)
			if err := s.write(b, v.values[hashed(key)], depth+1); err != nil {
				return err
			}
		}
		s.newline(b, depth)
		b.WriteByte('}')
	default:
		return fmt.Errorf("a %s cannot be written as JSON", typeName(v))
	}
	return nil
}

// between writes what stands before the i-th thing of a list.
func (s jsonStyle) between(b *strings.Builder, i, depth int) {
	if i > 0 {
		b.WriteString(s.item)
	}
	s.newline(b, depth)
}

func (s jsonStyle) newline(b *strings.Builder, depth int) {
	if s.indented {
		b.WriteByte('\n')
		b.WriteString(strings.Repeat(s.indent, depth))
	}
}

func (s jsonStyle) quote(b *strings.Builder, text string) {
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\f':
			b.WriteString(`\f`)
		case r == '\b':
			b.WriteString(`\b`)
		case r < 0x20, s.ascii && r >= 0x7f && r < 0x10000 && r != 0x7f:
			fmt.Fprintf(b, `\u%04x`, r)
		case s.ascii && r >= 0x10000:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
