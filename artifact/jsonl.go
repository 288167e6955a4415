package artifact

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"unicode/utf8"
)

// A LineError reports a line of a JSONL file that cannot be used. The lines
// after it can.
type LineError struct {
	Path   string
	Line   int   // from 1
	Offset int64 // of the line's first byte in the file
	Err    error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("reading %s:%d (byte %d): %v", e.Path, e.Line, e.Offset, e.Err)
}

func (e *LineError) Unwrap() error { return e.Err }

// ReadJSONL reads a file with one JSON value a line. Blank lines and a byte
// order mark at the start are passed over. A line longer than maxLine bytes,
// with invalid UTF-8, or that does not decode as a T yields a [*LineError],
// and reading goes on behind it; at most maxLine bytes of it are held in
// memory. Any other error ends the sequence. Unknown keys are ignored, as
// people's files carry more than is asked for.
func ReadJSONL[T any](path string, maxLine int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		f, err := os.Open(path)
		if err != nil {
			yield(zero, fmt.Errorf("reading JSON lines: %w", err))
			return
		}
		defer f.Close()
		DecodeJSONL[T](f, path, maxLine)(yield)
	}
}

// DecodeJSONL is [ReadJSONL] for any reader; name appears in errors.
func DecodeJSONL[T any](r io.Reader, name string, maxLine int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		lines := lineReader{r: bufio.NewReaderSize(r, 64<<10), limit: maxLine}
		for number := 1; ; number++ {
			offset := lines.offset
			line, err := lines.next()
			if err == io.EOF {
				return
			}
			if err != nil && !errors.Is(err, errLineTooLong) {
				yield(zero, fmt.Errorf("reading %s:%d: %w", name, number, err))
				return
			}
			if number == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			line = bytes.TrimSpace(line)
			if err == nil && len(line) == 0 {
				continue
			}
			var value T
			if err == nil {
				err = decodeLine(line, &value)
			}
			if err != nil {
				value, err = zero, &LineError{name, number, offset, err}
			}
			if !yield(value, err) {
				return
			}
		}
	}
}

func decodeLine(line []byte, value any) error {
	// encoding/json would put U+FFFD in the place of what is not UTF-8.
	if !utf8.Valid(line) {
		return errors.New("not valid UTF-8")
	}
	return json.Unmarshal(line, value)
}

// LoadJSONL reads a whole file as [ReadJSONL] does and stops at the first bad
// line, which is an [ErrUsage].
func LoadJSONL[T any](path string, maxLine int) ([]T, error) {
	var values []T
	for value, err := range ReadJSONL[T](path, maxLine) {
		if err != nil {
			if line := (*LineError)(nil); errors.As(err, &line) {
				err = Mark(ErrUsage, err)
			}
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// WriteJSONL writes one JSON value a line to path, durably.
func WriteJSONL[T any](path string, values iter.Seq[T]) error {
	w, err := Create(path)
	if err != nil {
		return err
	}
	defer w.Abort()
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	number := 0
	for value := range values {
		number++
		if err := encoder.Encode(value); err != nil {
			return fmt.Errorf("writing %s: value %d: %w", path, number, err)
		}
	}
	return w.Commit()
}

var errLineTooLong = errors.New("the line is too long")

// lineReader reads lines of bounded length.
type lineReader struct {
	r      *bufio.Reader
	limit  int
	offset int64 // of the next byte
	line   []byte
}

// next returns the next line without its end, valid until the next call, and
// io.EOF behind the last. Of a line above the limit it returns nothing and an
// errLineTooLong, and goes behind it.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	length := 0 // of the line, its end included
	for {
		part, err := l.r.ReadSlice('\n')
		length += len(part)
		l.offset += int64(len(part))
		content := length
		if bytes.HasSuffix(part, []byte{'\n'}) {
			content--
		}
		if content <= l.limit {
			l.line = append(l.line, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && length == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, err
		case content > l.limit:
			return nil, fmt.Errorf("%w: %d bytes, the limit is %d", errLineTooLong, content, l.limit)
		}
		return bytes.TrimSuffix(l.line, []byte{'\n'}), nil
	}
}
