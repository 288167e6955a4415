package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Longest is the most bytes that a row may have.
const Longest = 8 << 20

// Format names how a file holds rows.
type Format string

// The formats.
const (
	JSONL   Format = "jsonl"
	CSV     Format = "csv"
	TSV     Format = "tsv"
	Lines   Format = "lines"
	Parquet Format = "parquet"
)

// Formats lists the formats.
var Formats = []Format{JSONL, CSV, TSV, Lines, Parquet}

// The values of Options.Header.
const (
	HeaderYes  = "yes"  // the first record of a table names its columns
	HeaderNo   = "no"   // it is a row; columns are called 1, 2, 3 …
	HeaderAuto = "auto" // as yes
)

// Options say how a file is read.
type Options struct {
	Format Format            // "": by content and name
	Header string            // of tables; "" is HeaderAuto
	Map    map[string]string // the key that is asked for → the one that the file has; "a.b" is b inside a
}

// ParseMap reads "text=body,label=stars" as Options.Map.
func ParseMap(text string) (map[string]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	names := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		want, have, ok := strings.Cut(pair, "=")
		want, have = strings.TrimSpace(want), strings.TrimSpace(have)
		switch {
		case !ok || want == "" || have == "":
			return nil, fmt.Errorf("reading the map of keys %q: %q is not WANTED=KEY, as text=body,label=stars", text, pair)
		case names[want] != "":
			return nil, fmt.Errorf("reading the map of keys %q: %s stands there twice", text, want)
		}
		names[want] = have
	}
	return names, nil
}

// Row is one row of a file.
type Row struct {
	Line   int // of the file, counted from 1, where the row begins; of Parquet its number
	Fields map[string]json.RawMessage
	Table  bool // the values are the cells of a table: strings, "" where a cell is empty

	columns []string // of a table
	cells   int      // that the record has
}

// Value returns the value of a key. The names of a table's columns are found without
// regard to case and to space around them; keys of JSON match exactly.
func (r Row) Value(key string) (json.RawMessage, bool) { return find(r.Fields, key, r.Table) }

// Has tells whether the row has a value for a key: not null, and in a table not empty.
func (r Row) Has(key string) bool {
	v, ok := r.Value(key)
	return ok && string(v) != "null" && !(r.Table && string(v) == `""`)
}

// Short tells whether the header of a table has a column that the record is too short
// for, and how many fields it has.
func (r Row) Short(key string) (cells int, short bool) {
	i := slices.IndexFunc(r.columns, func(name string) bool { return SameColumn(name, key) })
	return r.cells, i >= r.cells
}

// Names lists the keys of a row in order, of a table those of its header.
func (r Row) Names() []string {
	if r.columns != nil {
		return r.columns
	}
	return slices.Sorted(maps.Keys(r.Fields))
}

// Bad is a row that cannot be used. Those behind it can.
type Bad struct {
	Path   string
	Line   int
	Reason string // what is counted: the same for all rows with one fault
	Detail string // what is wrong with this one and what to do; "" is Reason
}

func (b *Bad) Error() string {
	if b.Detail != "" {
		return b.Detail
	}
	return b.Reason
}

// Reader reads the rows of a file in order.
type Reader struct {
	path string
	form string // for people: "JSON Lines, gzip"
	maps map[string]string
	// mapped are the keys of maps that the file has had: several files are read with one
	// map, and each need not have all of them.
	mapped map[string]bool
	next   func() (Row, error)

	columns []string // of a table with a header

	blank int      // lines of a plain text, records of a table
	bytes []string // columns of Parquet that hold bytes that are no text

	done  func() int64 // of total, bytes or rows
	total int64

	file *os.File // nil for another reader
	size int64
	end  []func() error
}

// Open opens a file of rows. Errors say what was found and what to do.
func Open(path string, o Options) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{path: path, maps: o.Map, mapped: map[string]bool{}, file: f}
	if err := r.open(o); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// NewReader reads rows from elsewhere than a file, by a name for errors. Parquet needs
// a file.
func NewReader(from io.Reader, name string, o Options) (*Reader, error) {
	r := &Reader{path: name, maps: o.Map, mapped: map[string]bool{}}
	if err := r.read(from, o); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) open(o Options) error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return errors.New("it is a folder; give a file")
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file, and is read more than once; write it into one first")
	}
	r.size = info.Size()
	return r.read(r.file, o)
}

func (r *Reader) read(from io.Reader, o Options) error {
	if o.Format != "" && !slices.Contains(Formats, o.Format) {
		return fmt.Errorf("format %q is not one of %q", o.Format, Formats)
	}
	counted := &counter{r: from}
	r.done, r.total = func() int64 { return counted.n }, r.size
	text, packed, err := r.unpack(counted)
	if err != nil {
		return err
	}
	beginning, err := text.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	if string(beginning) == parquetMagic || o.Format == Parquet {
		if packed != "" {
			return fmt.Errorf("Parquet inside %s; unpack it first", packed)
		}
		if string(beginning) != parquetMagic {
			return errors.New("it does not begin like Parquet (PAR1); leave --format out, or fetch the file again")
		}
		if r.file == nil {
			return errors.New("Parquet is read from files alone; give its name")
		}
		return r.openParquet(r.size)
	}
	text, coded, err := decodeText(text)
	if err != nil {
		return err
	}
	format := o.Format
	if format == "" {
		if format, err = guess(r.path, text); err != nil {
			return err
		}
	}
	switch format {
	case JSONL:
		err = r.openJSON(text)
	case Lines:
		r.form, r.next = "a text a line", r.lines(text)
	default:
		err = r.openTable(text, format, o.Header)
	}
	for _, more := range []string{coded, packed} {
		if more != "" {
			r.form += ", " + more
		}
	}
	return err
}

// guess tells the format of a text by its name, and by its beginning where the name
// says nothing.
func guess(path string, text peeker) (Format, error) {
	name := strings.ToLower(path)
	for _, packed := range []string{".gz", ".zst", ".bz2"} {
		name = strings.TrimSuffix(name, packed)
	}
	if first, _, _ := bytes.Cut(beginning(text), []byte{'\n'}); len(first) > 1 && first[0] == '{' && json.Valid(first) {
		return JSONL, nil // whatever it is called
	}
	switch filepath.Ext(name) {
	case ".jsonl", ".ndjson", ".json", ".jsonlines":
		return JSONL, nil
	case ".csv":
		return CSV, nil
	case ".tsv", ".tab":
		return TSV, nil
	case ".txt":
		return Lines, nil
	}
	if first := firstByte(text); first == '{' || first == '[' {
		return JSONL, nil
	}
	return "", fmt.Errorf("neither its name nor its beginning tells the format; say which of %q it is", Formats)
}

// Form says how the file holds its rows, for people: "CSV with ; between fields". It
// may tell more once all are read.
func (r *Reader) Form() string {
	form := r.form
	if r.blank > 0 {
		form += fmt.Sprintf(", %d blank lines passed over", r.blank)
	}
	if len(r.bytes) > 0 {
		form += fmt.Sprintf(", columns of bytes that are no text read as null: %s", strings.Join(r.bytes, ", "))
	}
	return form
}

// Columns are the names in a table's header, nil for a file without one.
func (r *Reader) Columns() []string { return r.columns }

// Share is how much of the file was read, between 0 and 1, by the bytes that it has on
// disk; of Parquet by rows. 0 where that is unknown.
func (r *Reader) Share() float64 {
	if r.total > 0 {
		return float64(r.done()) / float64(r.total)
	}
	return 0
}

// Next returns the next row, io.EOF behind the last. A *Bad is one row that cannot
// be read; any other error ends the file.
func (r *Reader) Next() (Row, error) {
	row, err := r.next()
	if err != nil {
		return row, err
	}
	if len(r.maps) > 0 {
		mapped := make(map[string]json.RawMessage, len(row.Fields)+len(r.maps))
		for key, value := range row.Fields {
			mapped[key] = value
		}
		for want, have := range r.maps {
			if value, ok := find(row.Fields, have, row.Table); ok {
				mapped[want], r.mapped[want] = value, true
			} else if r.mapped[want] { // of a file that has the key in other rows
				delete(mapped, want)
			}
		}
		row.Fields = mapped
	}
	return row, nil
}

// find returns the value of a key; of "a.b" that of b inside a, where there is no
// key of that name. The names of a table's columns are found without regard to case
// and to space around them.
func find(fields map[string]json.RawMessage, key string, table bool) (json.RawMessage, bool) {
	if value, ok := fields[key]; ok {
		return value, true
	}
	if table {
		for name, value := range fields { // no two columns of a header are the same
			if SameColumn(name, key) {
				return value, true
			}
		}
		return nil, false
	}
	outer, inner, nested := strings.Cut(key, ".")
	if value, ok := fields[outer]; nested && ok { // as --map names it
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) == nil {
			return find(object, inner, false)
		}
	}
	return nil, false
}

// SameColumn tells whether two names are those of one column of a table.
func SameColumn(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

// Close closes the file.
func (r *Reader) Close() error {
	errs := []error{}
	for _, end := range slices.Backward(r.end) {
		errs = append(errs, end())
	}
	if r.file != nil {
		errs = append(errs, r.file.Close())
	}
	return errors.Join(errs...)
}

// bad is a row that cannot be read.
func (r *Reader) bad(line int, reason, detail string) error {
	return &Bad{r.path, line, reason, detail}
}

// lines returns the rows of a plain text.
func (r *Reader) lines(text peeker) func() (Row, error) {
	l := newLineReader(text)
	return func() (Row, error) {
		for {
			line, err := l.next()
			if err == io.EOF {
				return Row{}, err
			}
			if err == nil {
				if line = bytes.TrimSpace(line); len(line) == 0 {
					r.blank++
					continue
				}
				err = checkUTF8(line)
			}
			if err != nil {
				return Row{}, r.fault(l.number, err)
			}
			return Row{Line: l.number, Fields: map[string]json.RawMessage{"text": quoted(string(line))}}, nil
		}
	}
}

// quoted is a text as JSON.
func quoted(text string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(err) // a string always encodes
	}
	return bytes.TrimSpace(b.Bytes())
}

// columnName is what column i of a table without a header is called.
func columnName(i int) string { return strconv.Itoa(i + 1) }
