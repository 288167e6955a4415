package rows_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-b72bdb6c/alma/rows"
)

// read returns the rows of a file and its bad rows.
func read(t *testing.T, path string, o rows.Options) (good []rows.Row, bad []*rows.Bad, form string, err error) {
	t.Helper()
	r, err := rows.Open(path, o)
	if err != nil {
		return nil, nil, "", err
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	for {
		row, err := r.Next()
		var one *rows.Bad
		switch {
		case err == io.EOF:
			return good, bad, r.Form(), nil
		case errors.As(err, &one):
			bad = append(bad, one)
		case err != nil:
			return good, bad, r.Form(), err
		default:
			good = append(good, row)
		}
	}
}

// write makes a file of a text.
func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// values are the fields of rows as Go values, without those of columns' numbers.
func values(t *testing.T, list []rows.Row) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, row := range list {
		object := map[string]any{}
		for key, value := range row.Fields {
			if row.Table && strings.Trim(key, "0123456789") == "" {
				continue
			}
			var v any
			if err := json.Unmarshal(value, &v); err != nil {
				t.Fatalf("%s: %v", value, err)
			}
			object[key] = v
		}
		out = append(out, object)
	}
	return out
}

func wanted(t *testing.T) (list []map[string]any) {
	t.Helper()
	data, err := os.ReadFile("testdata/rows.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestFilesOfObjectsHoldWhatPandasAndPyarrowWrote(t *testing.T) {
	for name, form := range map[string]string{
		"rows.json": "JSON array", "array.json": "JSON array", "records.jsonl.gz": "JSON Lines, gzip", "rows.jsonl.bz2": "JSON Lines, bzip2",
		"none.parquet": "Parquet", "snappy.parquet": "Parquet", "zstd.parquet": "Parquet", "gzip.parquet": "Parquet",
		"brotli.parquet": "Parquet", "lz4.parquet": "Parquet", "v1.parquet": "Parquet",
	} {
		t.Run(name, func(t *testing.T) {
			good, bad, got, err := read(t, filepath.Join("testdata", name), rows.Options{})
			if err != nil || len(bad) > 0 {
				t.Fatal(err, bad)
			}
			if got != form {
				t.Errorf("form %q, want %q", got, form)
			}
			if got, want := values(t, good), wanted(t); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func TestTablesHoldWhatPandasWrote(t *testing.T) {
	want := []map[string]any{
		{"id": "0", "text": "see you, at noon", "label": "ham", "score": "1.0"},
		{"id": "1", "text": "two\n\"lines\"", "label": "spam", "score": ""},
		{"id": "2", "text": "你好; tab\there", "label": "ham", "score": "0.5"},
	}
	for name, form := range map[string]string{
		"comma.csv": "CSV", "excel.csv": "CSV with ; between fields", "tabs.csv": "CSV with tabs between fields",
		"utf16.csv": "CSV, UTF-16", "utf16le.csv": "CSV, UTF-16",
	} {
		t.Run(name, func(t *testing.T) {
			good, bad, got, err := read(t, filepath.Join("testdata", name), rows.Options{})
			if err != nil || len(bad) > 0 {
				t.Fatal(err, bad)
			}
			if got != form {
				t.Errorf("form %q, want %q", got, form)
			}
			if got := values(t, good); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if lines := []int{good[0].Line, good[1].Line, good[2].Line}; !reflect.DeepEqual(lines, []int{2, 3, 5}) {
				t.Errorf("lines %v", lines)
			}
		})
	}
}

func TestParquetTypesBecomeJSON(t *testing.T) {
	good, _, _, err := read(t, "testdata/types.parquet", rows.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"text": "good", "large": []any{"a"}, "bytes": "x", "nan": 1.5, "map": map[string]any{"k": "v"}},
		{"text": "bad", "large": nil, "bytes": nil, "nan": nil, "map": map[string]any{}},
	}
	if got := values(t, good); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The records are those of Python's csv: testdata/make.py.
func TestRecordsAreThoseOfPython(t *testing.T) {
	data, err := os.ReadFile("testdata/records.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name, Text, Separator string
		Records               [][]string
	}
	if err := json.Unmarshal(data, &all); err != nil || len(all) < 10 {
		t.Fatal(err, len(all))
	}
	for _, one := range all {
		t.Run(one.Name, func(t *testing.T) {
			good, bad, _, err := read(t, write(t, "a.csv", []byte(one.Text)), rows.Options{Header: rows.HeaderNo})
			if err != nil || len(bad) > 0 {
				t.Fatal(err, bad)
			}
			var got [][]string
			for _, row := range good {
				var record []string
				for i := range row.Fields {
					_ = i
					var cell string
					if err := json.Unmarshal(row.Fields[fmt.Sprint(len(record)+1)], &cell); err != nil {
						t.Fatal(err)
					}
					record = append(record, cell)
				}
				got = append(got, record)
			}
			if !reflect.DeepEqual(got, one.Records) {
				t.Errorf("got  %q\nwant %q", got, one.Records)
			}
		})
	}
}

// A field's quotes are looked over once, however much text follows them.
func TestALongFieldBehindAClosedQuoteIsReadInOnePass(t *testing.T) {
	text := strings.Repeat("x", 4<<20)
	begin := time.Now()
	good, bad, _, err := read(t, write(t, "a.csv", []byte("text,label\n\"a\"\"b\""+text+",ham\n")), rows.Options{})
	if err != nil || len(good) != 1 || len(bad) != 0 {
		t.Fatalf("%d rows, %d bad, %v", len(good), len(bad), err)
	}
	var got string
	if err := json.Unmarshal(good[0].Fields["text"], &got); err != nil || got != "a\"b"+text {
		t.Errorf("a field of %d bytes, %v", len(got), err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("%v", took)
	}
}

func TestJSONInEveryLayout(t *testing.T) {
	want := []map[string]any{{"text": "a"}, {"text": "b"}}
	for name, text := range map[string]string{
		"lines":                  "{\"text\":\"a\"}\n{\"text\":\"b\"}\n",
		"mark, CRLF, blank":      "\ufeff{\"text\":\"a\"}\r\n\r\n  \r\n{\"text\":\"b\"}",
		"array on one line":      `[{"text":"a"},{"text":"b"}]`,
		"array, one each line":   "[\n{\"text\":\"a\"},\n{\"text\":\"b\"}\n]\n",
		"array, mark, indented":  "\ufeff  [\n  {\n   \"text\": \"a\"\n  },\n  {\n   \"text\": \"b\"\n  }\n]\n",
		"objects over lines":     "{\n  \"text\": \"a\"\n}\n{\n  \"text\": \"b\"\n}\n",
		"objects, comma between": "{\n  \"text\": \"a\"\n},\n{\n  \"text\": \"b\"\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			good, bad, _, err := read(t, write(t, "a.json", []byte(text)), rows.Options{})
			if err != nil || len(bad) > 0 {
				t.Fatal(err, bad)
			}
			if got := values(t, good); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v", got)
			}
		})
	}
	t.Run("lines of rows", func(t *testing.T) {
		good, _, _, err := read(t, write(t, "a.json", []byte("[\n{\"text\":\n\"a\"},\n\n{\"text\":\"b\"}\n]\n")), rows.Options{})
		if err != nil || good[0].Line != 2 || good[1].Line != 5 {
			t.Error(err, good)
		}
	})
	t.Run("Python's NaN", func(t *testing.T) {
		good, bad, _, err := read(t, "testdata/nan.jsonl", rows.Options{})
		if err != nil || len(bad) > 0 || len(good) != 3 {
			t.Fatal(err, bad)
		}
		if row := values(t, good)[0]; row["score"] != nil || row["note"] != `a NaN, "NaN" in text` {
			t.Error(row)
		}
	})
}

func TestKeysMatchExactly(t *testing.T) {
	good, _, _, err := read(t, write(t, "a.jsonl", []byte(`{"text":"a","Text":"b","TEXT":3}`)), rows.Options{})
	if err != nil || string(good[0].Fields["text"]) != `"a"` {
		t.Error(err, good)
	}
}

func TestABadRowDoesNotEndTheFile(t *testing.T) {
	long := `{"text":"` + strings.Repeat("x", rows.Longest) + `"}`
	for _, test := range []struct {
		name, file, text string
		good             int
		line             int
		says             []string
	}{
		{"broken JSON", "a.jsonl", "{\"text\":\"a\"}\n{\"text\":\n{\"text\":\"b\"}\n", 2, 2, []string{"unexpected end"}},
		{"no object", "a.jsonl", "{\"text\":\"a\"}\n3\n{\"text\":\"b\"}\n", 2, 2, []string{"not a JSON object"}},
		{"two on a line", "a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}{\"text\":\"c\"}\n", 1, 2, []string{"a line of its own"}},
		{"not UTF-8", "a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"caf\xe9\"}\n", 1, 2, []string{"byte 12", "iconv"}},
		{"half a pair", "a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\\ud83e\"}\n", 1, 2, []string{"half of a surrogate pair"}},
		{"too long", "a.jsonl", "{\"text\":\"a\"}\n" + long + "\n{\"text\":\"b\"}\n", 2, 2, []string{"longer than 8 MiB"}},
		{"too long in an array", "a.json", "[{\"text\":\"a\"},\n" + long + ",\n{\"text\":\"b\"}]\n", 2, 2, []string{"longer than 8 MiB"}},
		{"broken in an array", "a.json", "[{\"text\":\"a\"},\n{\"text\" \"x\"},\n{\"text\":\"b\"}]\n", 2, 2, []string{"invalid character"}},
		{"a comma too many", "a.csv", "text,label\nfree prize,spam\nwell, see you,ham\nyes,ham\n", 2, 3, []string{"3 fields", "2 columns (text, label)", "in quotes"}},
		{"a field too few", "a.csv", "text,label\nfree prize,spam\nwell\nyes,ham\n", 2, 3, []string{"1 fields", ",,"}},
		{"a tab too many", "a.tsv", "text\tlabel\nfree prize\tspam\nwell\tsee\tham\nyes\tham\n", 2, 3, []string{"3 fields", "tab"}},
		{"a quote never closed", "a.csv", "text,label\n\"free prize,spam\nwell,ham\nyes,ham\n", 2, 2, []string{"field 1", "not closed", "twice"}},
		{"a quote closed in another row", "a.csv", "text,label\n\"free prize,spam\nsay \"hi\" now,ham\nyes,ham\n", 2, 2, []string{"field 1", "later line"}},
		{"a byte of another encoding", "a.csv", "text,label\ncaf\xe9,spam\nyes,ham\n", 1, 2, []string{"iconv"}},
		{"a plain line", "a.txt", "yes\ncaf\xe9\nno\n", 2, 2, []string{"iconv"}},
		{"half a pair in UTF-16", "a.txt", "\xff\xfea\x00\n\x00\x3e\xd8\n\x00b\x00\n\x00", 2, 2, []string{"not UTF-8"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			good, bad, _, err := read(t, write(t, test.file, []byte(test.text)), rows.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(good) != test.good || len(bad) != 1 || bad[0].Line != test.line || bad[0].Reason == "" {
				t.Fatalf("%d good rows, bad %v", len(good), bad)
			}
			for _, says := range test.says {
				if !strings.Contains(bad[0].Error(), says) {
					t.Errorf("%q does not say %q", bad[0], says)
				}
			}
		})
	}
}

func TestFilesThatCannotBeReadSayWhy(t *testing.T) {
	parquet, err := os.ReadFile("testdata/none.parquet")
	if err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile("testdata/records.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	huge := bytes.Clone(parquet)
	copy(huge[len(huge)-8:], "\xff\xff\xff\x7f")
	for _, test := range []struct {
		name, file, says string
		content          []byte
	}{
		{"name", "a.dat", "say which", []byte("text")},
		{"zip", "a.csv", "unzip", []byte("PK\x03\x04xxxx")},
		{"xz", "a.csv", "xz -d", []byte("\xfd7zXZ\x00\x00")},
		{"array cut off", "a.json", "cut off", []byte(`[{"text":"a"},`)},
		{"array of numbers", "a.json", "rows are objects", []byte(`[1,2]`)},
		{"behind the array", "a.json", "behind the array's end", []byte(`[{"a":1}] {"a":2}`)},
		{"object cut off", "a.json", "does not end", []byte("{\n \"a\": {\n \"b\": 1\n }\n")},
		{"gzip cut off", "a.jsonl.gz", "cut off or damaged", packed[:len(packed)-20]},
		{"parquet cut off", "a.parquet", "cut off", parquet[:len(parquet)-20]},
		{"parquet with a huge footer", "a.parquet", "footer", huge},
		{"named parquet", "a.parquet", "say which", []byte("text,label")},
		{"two columns of a name", "a.csv", "two columns", []byte("text,Text \na,b\n")},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, _, err := read(t, write(t, test.file, test.content), rows.Options{})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v does not say %q", err, test.says)
			}
		})
	}
	if _, err := rows.Open(t.TempDir(), rows.Options{}); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Error(err)
	}
}

func TestAFileThatGrowsWithoutEndIsRefusedWithinMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks a gigabyte")
	}
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	zeros := append(append([]byte("{"), bytes.Repeat([]byte("a"), 1<<20)...), '\n')
	for range 1100 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := write(t, "a.jsonl.zst", b.Bytes())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, _, err = read(t, path, rows.Options{})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "which no text does") {
		t.Errorf("got %v", err)
	}
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 100 {
		t.Errorf("%d MiB were allocated", took)
	}
}

func TestMapsNameOtherKeys(t *testing.T) {
	names, err := rows.ParseMap("text=body, label=meta.stars")
	if err != nil {
		t.Fatal(err)
	}
	good, _, _, err := read(t, write(t, "a.jsonl", []byte(`{"text":"no","body":"yes","meta":{"stars":5}}`)), rows.Options{Map: names})
	if err != nil || string(good[0].Fields["text"]) != `"yes"` || string(good[0].Fields["label"]) != "5" {
		t.Error(err, good)
	}
	good, _, _, err = read(t, write(t, "a.csv", []byte("Body,x\nyes,1\n")), rows.Options{Map: map[string]string{"text": "body", "label": "2"}})
	if err != nil || string(good[0].Fields["text"]) != `"yes"` || string(good[0].Fields["label"]) != `"1"` {
		t.Error(err, good)
	}
	for _, wrong := range []string{"text", "=a", "text=", "a=b,a=c"} {
		if _, err := rows.ParseMap(wrong); err == nil || !strings.Contains(err.Error(), "map of keys") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestWhatAReadingTookIsTheSameEveryTime(t *testing.T) {
	// Members of groups stand in the schema's order, and those that are null go.
	for range 20 {
		good, _, _, err := read(t, "testdata/calls.parquet", rows.Options{})
		if err != nil || len(good) != 2 {
			t.Fatal(err, good)
		}
		want := []string{
			`[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"city":"x","zone":"z","day":"y"}}}]}]`,
			`[{"role":"user","content":"b"},{"role":"assistant","content":"c","tool_calls":[{"function":{"name":"g","arguments":{"n":3}}}]}]`,
		}
		for i, row := range good {
			if got := string(row.Fields["messages"]); got != want[i] {
				t.Fatalf("row %d: %s\nwant %s", i, got, want[i])
			}
		}
	}
}

func TestColumnsOfBytesAreToldAndNotAsked(t *testing.T) {
	good, bad, form, err := read(t, "testdata/image.parquet", rows.Options{})
	if err != nil || len(bad) > 0 || len(good) != 2 || string(good[1].Fields["prompt"]) != `"b"` || string(good[0].Fields["image"]) != "null" || !strings.Contains(form, "bytes that are no text read as null: image") {
		t.Error(err, bad, good, form)
	}
	if good, _, _, err := read(t, "testdata/empty.parquet", rows.Options{}); err != nil || len(good) != 0 {
		t.Error(err, good)
	}
}

func TestContentTellsTheFormatWhereItsNameDoesNot(t *testing.T) {
	for name, text := range map[string]string{
		"a.txt": "{\"text\":\"a\"}\n{\"text\":\"b\"}\n", "a.csv": "{\"text\":\"a\"}\n{\"text\":\"b\"}\n", "a.dat": "{\"text\":\"a\"}\n{\"text\":\"b\"}\n",
		"a.json": "{\"text\": \n \"a\"}\n{\"text\":\"b\"}\n", "b.csv": "text\ra\rb", "c.csv": "text\r\na\r\nb\r",
	} {
		good, bad, _, err := read(t, write(t, name, []byte(text)), rows.Options{})
		if err != nil || len(bad) > 0 || !reflect.DeepEqual(values(t, good), []map[string]any{{"text": "a"}, {"text": "b"}}) {
			t.Errorf("%s %q: %v %v %v", name, text, values(t, good), bad, err)
		}
	}
	open := "{\"messages\": [\n{\"role\":\"user\",\"content\":\"a\"}\n]}\n"
	if good, bad, _, err := read(t, write(t, "a.json", []byte(open+open)), rows.Options{}); err != nil || len(good) != 2 || len(bad) > 0 {
		t.Error(err, good, bad)
	}
	for name, content := range map[string]string{"a.json": "text,label\na,b\n", "a.txt": "\xff\xfe\x00\x00a\x00\x00\x00b\x00\x00\x00", "b.txt": "a\x00\x00\x00b\x00\x00\x00\n\x00\x00\x00"} {
		if _, _, _, err := read(t, write(t, name, []byte(content)), rows.Options{}); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func TestPackedFilesAreToldByTheirContent(t *testing.T) {
	text := []byte("prompt;n\na, b;1\n")
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var g bytes.Buffer
	w := gzip.NewWriter(&g)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"a.csv.zst": z.EncodeAll(text, nil), "a.csv.gz": g.Bytes(), "a.csv": z.EncodeAll(text, nil), "b.csv": g.Bytes()} {
		good, bad, form, err := read(t, write(t, name, content), rows.Options{})
		if err != nil || len(bad) > 0 || len(good) != 1 || string(good[0].Fields["prompt"]) != `"a, b"` || !strings.HasPrefix(form, "CSV with ; between fields, ") {
			t.Errorf("%s: %v %v %v %s", name, good, bad, err, form)
		}
	}
}

func TestLinesArePassedOverAloud(t *testing.T) {
	_, _, form, err := read(t, write(t, "a.txt", []byte("a\n\nb\n")), rows.Options{})
	if err != nil || form != "a text a line, 1 blank lines passed over" {
		t.Error(err, form)
	}
}

func TestExcelSaysItsSeparator(t *testing.T) {
	good, _, form, err := read(t, write(t, "a.csv", []byte("sep=;\r\ntext;label\r\na,b,c;x\r\n")), rows.Options{})
	if err != nil || len(good) != 1 || good[0].Line != 3 || string(good[0].Fields["text"]) != `"a,b,c"` || form != "CSV with ; between fields" {
		t.Error(err, good, form)
	}
}

// fuzz reads whatever a file holds: nothing may panic, hang, or take memory without
// end.
func fuzz(t *testing.T, name string, content []byte) {
	if len(content) > 1<<16 {
		t.Skip("long inputs teach nothing more")
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := rows.Open(path, rows.Options{})
	if err != nil {
		return
	}
	defer r.Close()
	line := 0
	for n := 0; ; n++ {
		row, err := r.Next()
		var bad *rows.Bad
		switch {
		case errors.As(err, &bad):
			row.Line = bad.Line
		case err != nil:
			return
		}
		if row.Line < line {
			t.Fatalf("line %d follows line %d", row.Line, line)
		}
		line = row.Line
		for key, value := range row.Fields {
			if !json.Valid(value) {
				t.Fatalf("%q is %q, which is no JSON", key, value)
			}
		}
		if n > len(content)+1 {
			t.Fatal("more rows than bytes")
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{"{\"text\":\"a\"}\n{\"text\":\"b\"}\n", "[{\"a\":[1,{\"b\":null}]},\n{\"a\":\"\\ud83e\\udd99\"}]", "{\n\"a\": NaN\n}\n", "\ufeff{}\r\n\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) { fuzz(t, "a.json", content) })
}

func FuzzTable(f *testing.F) {
	for _, seed := range []string{"text,label\na,b\n", "a;b\n\"x\ny\";\"\"\"\"\n", "sep=|\na|b\n\"|\n", "\xff\xfea\x00,\x00b\x00\n\x00", "a\tb\n\"\t\"\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) { fuzz(t, "a.csv", content) })
}

func FuzzParquet(f *testing.F) {
	for _, name := range []string{"none.parquet", "v1.parquet", "types.parquet"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) { fuzz(t, "a.parquet", content) })
}

func FuzzPacked(f *testing.F) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte("{\"text\":\"a\"}\n"))
	w.Close()
	f.Add(b.Bytes())
	z, _ := zstd.NewWriter(nil)
	f.Add(z.EncodeAll([]byte("{\"text\":\"a\"}\n"), nil))
	f.Fuzz(func(t *testing.T, content []byte) { fuzz(t, "a.jsonl", content) })
}
