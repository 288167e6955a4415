package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// maxLine is the longest line of a JSONL file of dialogues, prompts or rankings,
// in bytes.
const maxLine = 8 << 20

// readLines calls use for every line of the file that is not blank. An error of
// use, a line that is not JSON, bad UTF-8 or half a surrogate pair becomes an
// error of kind artifact.ErrUsage that begins "reading WHAT FILE:LINE: ". A file
// without any line is such an error too.
func readLines[T any](what, path string, use func(T) error) error {
	f, err := openFile(what, path)
	if err != nil {
		return err
	}
	defer f.Close()
	found := false
	err = scanLines(what, path, f, func(_ int, line []byte) error {
		found = true
		value, err := decodeLine[T](line)
		if err != nil {
			return err
		}
		return use(value)
	})
	if err == nil && !found {
		return artifact.Errorf(artifact.ErrUsage, "reading %s %s: the file is empty; it needs one JSON object a line", what, path)
	}
	return err
}

// openFile opens a file, and says so where it is a folder.
func openFile(what, path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, artifact.Errorf(artifact.ErrUsage, "reading %s %s: it is a folder; give a file", what, path)
	}
	return f, nil
}

// scanLines calls use for every line that is not blank, without the space around
// it, with its number from 1 on. An error of use becomes one of kind
// artifact.ErrUsage that begins "reading WHAT NAME:LINE: ". The line is valid
// during the call only.
func scanLines(what, name string, from io.Reader, use func(number int, line []byte) error) error {
	r := bufio.NewReaderSize(from, 64<<10)
	for number := 1; ; number++ {
		line, readErr := readLine(r)
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		line = bytes.TrimSpace(line)
		if readErr != nil && readErr != io.EOF {
			return artifact.Errorf(artifact.ErrUsage, "reading %s %s:%d: %w", what, name, number, readErr)
		}
		if len(line) > 0 {
			if err := use(number, line); err != nil {
				return artifact.Errorf(artifact.ErrUsage, "reading %s %s:%d: %w", what, name, number, err)
			}
		}
		if readErr == io.EOF {
			return nil
		}
	}
}

// readLine returns the next line, at most maxLine bytes.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, fmt.Errorf("the line is longer than %d bytes", maxLine)
		}
		line = append(line, part...)
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// decodeLine reads one JSON object. Keys that T does not know are left alone:
// people's files carry fields of their own.
func decodeLine[T any](line []byte) (T, error) {
	var value T
	if err := checkUTF8(line); err != nil {
		return value, err
	}
	if line[0] != '{' {
		return value, errors.New("the line is not a JSON object")
	}
	if err := json.Unmarshal(line, &value); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return value, fmt.Errorf("%q holds a JSON %s, which it must not: want %s", wrong.Field, wrong.Value, jsonKind(wrong))
		}
		return value, err
	}
	if i := loneSurrogate(line); i >= 0 {
		return value, fmt.Errorf("byte %d of the line: an escape names half of a surrogate pair", i)
	}
	return value, nil
}

// checkUTF8 names the first byte that is not UTF-8.
func checkUTF8(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	at := 0
	for {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n == 1 {
			return fmt.Errorf("byte %d of the line is not UTF-8", at)
		}
		at += n
	}
}

// jsonKind says in JSON's words what the Go type stands for.
func jsonKind(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); kind {
	case "slice":
		return "an array"
	case "struct", "map":
		return "an object"
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	default:
		return "a " + kind
	}
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

// writeLines writes a JSONL file durably.
func writeLines[T any](path string, values []T) error {
	out, err := artifact.Create(path)
	if err != nil {
		return err
	}
	defer out.Abort()
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i, v := range values {
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("writing %s: line %d: %w", path, i+1, err)
		}
	}
	return out.Commit()
}
