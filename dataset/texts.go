package dataset

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Text is a text with the label that a person gave it.
type Text struct {
	ID    json.RawMessage // the JSON line's "id" as it stands there; nil for none
	Text  string
	Label string // "" where the file was read without labels
	Line  int    // of the file, counted from 1
}

// TextFormat names how a file holds texts.
type TextFormat string

// The formats of a file of texts (docs/formats/texts.md).
const (
	TextJSONL TextFormat = "jsonl" // an object a line
	TextCSV   TextFormat = "csv"   // comma-separated records with quotes (RFC 4180)
	TextTSV   TextFormat = "tsv"   // fields between tabs, without quotes
	TextLines TextFormat = "lines" // a text a line; has no labels
)

// TextFormats lists the formats.
var TextFormats = []TextFormat{TextJSONL, TextCSV, TextTSV, TextLines}

// TextOptions say how a file of texts is read.
type TextOptions struct {
	Format TextFormat // "": by the file's name, .jsonl .csv .tsv .txt
	// Header says whether the first record of a CSV or TSV file names the columns:
	// "yes", "no", or "auto" and "", which is no where all columns are numbers.
	Header string
	// TextColumn and LabelColumn name a key of a JSON object or a column of a
	// table, there without regard to case, or number a column from 1 on. "" takes
	// the first of the usual names.
	TextColumn, LabelColumn string
	// Labels asks for a label of every text.
	Labels bool
}

// The names that are looked for where none is given, in this order.
var (
	textNames  = []string{"text", "sentence", "content", "message", "sms", "review", "tweet"}
	labelNames = []string{"label", "class", "category", "sentiment", "target"}
)

// Headers lists the accepted values of TextOptions.Header.
var Headers = []string{"auto", "yes", "no"}

// ReadTexts reads a file of texts. The first record that is none ends it with an
// error that names file and line: bad UTF-8, a wrong number of fields, a text or
// label that is missing or blank. A file without any text is an error too.
func ReadTexts(path string, o TextOptions) ([]Text, error) {
	f, err := openFile("texts", path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if o.Format == "" {
		if o.Format, err = formatOf(path); err != nil {
			return nil, err
		}
	}
	return DecodeTexts(f, path, o)
}

func formatOf(path string) (TextFormat, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jsonl", ".ndjson", ".json":
		return TextJSONL, nil
	case ".csv":
		return TextCSV, nil
	case ".tsv", ".tab":
		return TextTSV, nil
	case ".txt":
		return TextLines, nil
	}
	return "", artifact.Errorf(artifact.ErrUsage, "reading texts %s: its name does not tell the format; say which of %q it is", path, TextFormats)
}

// DecodeTexts is ReadTexts from a reader, whose name appears in errors. The
// format must be given.
func DecodeTexts(r io.Reader, name string, o TextOptions) ([]Text, error) {
	refuse := func(format string, args ...any) ([]Text, error) {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading texts "+name+": "+format, args...)
	}
	if o.Header == "" {
		o.Header = "auto"
	}
	if !slices.Contains(Headers, o.Header) {
		return refuse("header %q is not one of %q", o.Header, Headers)
	}
	if o.Format == TextLines && o.Labels {
		return refuse("plain lines have no labels; give JSONL, CSV or TSV")
	}
	if o.LabelColumn != "" {
		o.Labels = true
	}
	var texts []Text
	var err error
	switch o.Format {
	case TextJSONL, TextLines:
		texts, err = decodeTextLines(r, name, o)
	case TextCSV, TextTSV:
		texts, err = decodeTable(r, name, o)
	default:
		return refuse("format %q is not one of %q", o.Format, TextFormats)
	}
	if err == nil && len(texts) == 0 {
		return refuse("the file holds no text")
	}
	return texts, err
}

func decodeTextLines(r io.Reader, name string, o TextOptions) ([]Text, error) {
	var texts []Text
	err := scanLines("texts", name, r, func(number int, line []byte) error {
		if o.Format == TextLines {
			if err := checkUTF8(line); err != nil {
				return err
			}
			texts = append(texts, Text{Text: string(line), Line: number})
			return nil
		}
		object, err := decodeLine[map[string]json.RawMessage](line)
		if err != nil {
			return err
		}
		t := Text{ID: object["id"], Line: number}
		text, label := o.columns()
		if t.Text, err = text.value(object); err == nil && o.Labels {
			t.Label, err = label.value(object)
		}
		if err == nil {
			err = t.check(o)
		}
		texts = append(texts, t)
		return err
	})
	return texts, err
}

// value returns a value of a JSON object as text: a string, or a number or
// boolean as JSON writes it.
func (a askedColumn) value(object map[string]json.RawMessage) (string, error) {
	for _, want := range a.names() {
		value, ok := object[want]
		switch {
		case !ok:
			continue
		case value[0] == '"':
			var text string
			err := json.Unmarshal(value, &text)
			return text, err
		case value[0] == '{', value[0] == '[', string(value) == "null":
			return "", fmt.Errorf("%q holds %.20s, which is no %s; want a string", want, value, a.what)
		}
		return string(value), nil
	}
	return "", fmt.Errorf("no %s: the object has none of the keys %q; name the key", a.what, a.names())
}

// check refuses a text or label that is blank.
func (t Text) check(o TextOptions) error {
	if strings.TrimSpace(t.Text) == "" {
		return errors.New("the text is blank; leave the line out")
	}
	if o.Labels && strings.TrimSpace(t.Label) == "" {
		return errors.New("the label is blank; give it one, or leave the line out")
	}
	return nil
}

// decodeTable reads CSV or TSV.
func decodeTable(r io.Reader, name string, o TextOptions) ([]Text, error) {
	next := tsvRecords(r)
	if o.Format == TextCSV {
		next = csvRecords(r)
	}
	var texts []Text
	var columns [2]int // of text and label
	for first := true; ; first = false {
		record, line, err := next()
		if err == io.EOF {
			return texts, nil
		}
		if err == nil && first {
			record[0] = strings.TrimPrefix(record[0], "\ufeff")
			var header bool
			columns, header, err = findColumns(record, o)
			if err == nil && header {
				continue
			}
		}
		for _, value := range record {
			if err == nil {
				err = checkUTF8([]byte(value))
			}
		}
		t := Text{Line: line}
		if most := max(columns[0], columns[1]); err == nil && most >= len(record) {
			err = fmt.Errorf("%d fields, and column %d is asked for", len(record), most+1)
		}
		if err == nil {
			t.Text = record[columns[0]]
			if o.Labels {
				t.Label = record[columns[1]]
			}
			err = t.check(o)
		}
		if err != nil {
			return nil, artifact.Errorf(artifact.ErrUsage, "reading texts %s:%d: %w", name, line, err)
		}
		texts = append(texts, t)
	}
}

// findColumns finds the columns of text and label, and tells whether the first
// record names them.
func findColumns(first []string, o TextOptions) (columns [2]int, header bool, err error) {
	text, label := o.columns()
	asked := []askedColumn{text}
	if o.Labels {
		asked = append(asked, label)
	}
	header = o.Header == "yes"
	for i, a := range asked {
		number, isNumber := a.number()
		switch {
		case isNumber && (number < 1 || number > len(first)):
			return columns, false, fmt.Errorf("%s column %d of a file of %d columns; columns are numbered from 1 on", a.what, number, len(first))
		case isNumber:
			columns[i] = number - 1
			continue
		case o.Header == "no":
			return columns, false, fmt.Errorf("without a header the %s column must be a number, 1 to %d", a.what, len(first))
		}
		header = true
		if columns[i] = a.find(first); columns[i] < 0 {
			return columns, false, fmt.Errorf("no %s: the first record is %q, which names none of %q; name the %s column, or number the columns from 1 on if the file has no header",
				a.what, first, a.names(), a.what)
		}
	}
	return columns, header, nil
}

// askedColumn is a column that is looked for.
type askedColumn struct {
	what, column string // column: name, number, or "" for the usual names
	usual        []string
}

func (o TextOptions) columns() (text, label askedColumn) {
	return askedColumn{"text", o.TextColumn, textNames}, askedColumn{"label", o.LabelColumn, labelNames}
}

func (a askedColumn) number() (int, bool) {
	n, err := strconv.Atoi(a.column)
	return n, err == nil
}

func (a askedColumn) names() []string {
	if a.column != "" {
		return []string{a.column}
	}
	return a.usual
}

// find returns the place of the first name that the header has, −1 for none.
func (a askedColumn) find(header []string) int {
	for _, want := range a.names() {
		if at := slices.IndexFunc(header, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), want) }); at >= 0 {
			return at
		}
	}
	return -1
}

// csvRecords returns the records of a CSV file with the line that each begins at.
func csvRecords(r io.Reader) func() ([]string, int, error) {
	bounded := &recordReader{r: r}
	c := csv.NewReader(bounded)
	c.ReuseRecord = true
	line := 0
	return func() ([]string, int, error) {
		bounded.taken = 0
		record, err := c.Read()
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			return nil, wrong.Line, wrong.Err
		}
		if err != nil {
			return nil, line + 1, err
		}
		line, _ = c.FieldPos(0)
		return record, line, nil
	}
}

// recordReader ends a record that grows beyond maxLine, so that a quote that is
// never closed does not fill the memory.
type recordReader struct {
	r     io.Reader
	taken int // bytes since the record began, at most a buffer too many
}

func (b *recordReader) Read(p []byte) (int, error) {
	if b.taken > maxLine {
		return 0, fmt.Errorf("the record is longer than %d bytes; is a quote not closed?", maxLine)
	}
	n, err := b.r.Read(p)
	b.taken += n
	return n, err
}

// tsvRecords returns the lines of a TSV file cut at their tabs.
func tsvRecords(r io.Reader) func() ([]string, int, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	number := 0
	return func() ([]string, int, error) {
		for {
			line, err := readLine(buffered)
			number++
			if err != nil && err != io.EOF {
				return nil, number, err
			}
			if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
				return strings.Split(string(line), "\t"), number, nil
			}
			if err == io.EOF {
				return nil, number, io.EOF
			}
		}
	}
}
