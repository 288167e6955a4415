package artifact_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

type jsonlRow struct {
	A int    `json:"a"`
	B string `json:"b,omitempty"`
}

func TestJSONLPassesOverBadLinesAndSaysWhereTheyAre(t *testing.T) {
	text := "\ufeff{\"a\":1}\r\n" + // line 1
		"\n" +
		"{\"a\":\n" + // 3: cut off
		"{\"a\":\"x\"}\n" + // 4: wrong type
		"{\"a\":2,\"b\":\"\xff\"}\n" + // 5: not UTF-8
		"{\"a\":3,\"b\":\"" + strings.Repeat("x", 200_000) + "\"}\n" + // 6: too long
		"{\"a\":4} {}\n" + // 7: two values
		"{\"a\":5,\"c\":null}" // 8: no end of line, an unknown key
	var rows []jsonlRow
	var bad []int
	var first *artifact.LineError
	for row, err := range artifact.DecodeJSONL[jsonlRow](strings.NewReader(text), "f.jsonl", 100) {
		var line *artifact.LineError
		switch {
		case errors.As(err, &line):
			bad = append(bad, line.Line)
			if first == nil {
				first = line
			}
			if text[line.Offset] != '{' || line.Offset > 0 && text[line.Offset-1] != '\n' {
				t.Errorf("line %d: offset %d is not the beginning of a line", line.Line, line.Offset)
			}
		case err != nil:
			t.Fatal(err)
		default:
			rows = append(rows, row)
		}
	}
	if want := []jsonlRow{{A: 1}, {A: 5}}; !reflect.DeepEqual(rows, want) {
		t.Errorf("rows %v, want %v", rows, want)
	}
	if want := []int{3, 4, 5, 6, 7}; !slices.Equal(bad, want) {
		t.Errorf("bad lines %v, want %v", bad, want)
	}
	if !strings.HasPrefix(first.Error(), "reading f.jsonl:3 (byte 13)") {
		t.Errorf("error is %q", first)
	}
}

func TestJSONLTakesALineOfExactlyTheLimit(t *testing.T) {
	line := `{"a":1}`
	for _, end := range []string{"", "\n"} {
		for limit, want := range map[int]int{len(line): 0, len(line) - 1: 1} {
			bad := 0
			for _, err := range artifact.DecodeJSONL[jsonlRow](strings.NewReader(line+end), "f", limit) {
				if err != nil {
					bad++
				}
			}
			if bad != want {
				t.Errorf("limit %d, end %q: %d errors, want %d", limit, end, bad, want)
			}
		}
	}
}

func TestJSONLEndsAtAReadError(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("{\"a\":1}\n{\"a\""), errorReader{})
	var errs []error
	n := 0
	for _, err := range artifact.DecodeJSONL[jsonlRow](broken, "f", 100) {
		n++
		if err != nil {
			errs = append(errs, err)
		}
	}
	if n != 2 || len(errs) != 1 || !errors.Is(errs[0], io.ErrClosedPipe) {
		t.Errorf("%d values, errors %v", n, errs)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestJSONLReadsWhatItWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl")
	rows := []jsonlRow{{1, "<é>\n"}, {2, ""}}
	if err := artifact.WriteJSONL(path, slices.Values(rows)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "{\"a\":1,\"b\":\"<é>\\n\"}\n{\"a\":2}\n" {
		t.Errorf("file is %q, %v", data, err)
	}
	got, err := artifact.LoadJSONL[jsonlRow](path, 1000)
	if err != nil || !reflect.DeepEqual(got, rows) {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = artifact.LoadJSONL[jsonlRow](path, 10)
	if artifact.ExitCode(err) != 4 {
		t.Errorf("a bad line gives %v", err)
	}
	_, err = artifact.LoadJSONL[jsonlRow](path+"x", 10)
	if artifact.ExitCode(err) != 10 {
		t.Errorf("a missing file gives %v", err)
	}
}

// FuzzJSONL holds the reader to this: every line that is not blank comes out
// once, as a value or as an error with its number, in order.
func FuzzJSONL(f *testing.F) {
	f.Add([]byte("{\"a\":1}\n\n[]\n"), 16)
	f.Add([]byte("\xef\xbb\xbfnull\r\n\x00"), 4)
	f.Add([]byte("{\"a\":\"\xed\xa0\x80\"}"), 100)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		limit = limit & 0xff
		lines := strings.Split(string(data), "\n")
		want := 0
		for i, line := range lines {
			long := len(line) > limit
			if i == 0 {
				line = strings.TrimPrefix(line, "\ufeff")
			}
			if long || strings.TrimSpace(line) != "" {
				want++
			}
		}
		got, last := 0, 0
		for _, err := range artifact.DecodeJSONL[any](strings.NewReader(string(data)), "f", limit) {
			got++
			var line *artifact.LineError
			if errors.As(err, &line) {
				if line.Line <= last || line.Line > len(lines) {
					t.Fatalf("line %d after %d", line.Line, last)
				}
				last = line.Line
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Fatalf("%d lines came out, want %d", got, want)
		}
	})
}
