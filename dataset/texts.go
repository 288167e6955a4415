package dataset

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/rows"
)

// Text is a text with the label that a person gave it.
type Text struct {
	ID    json.RawMessage // the row's "id" as JSON; nil for none
	Text  string
	Label string // "" where the file was read without labels, and where a list was read
	// Labels are those of a row that holds a list of them, of which a text may have
	// several or none; nil for one that holds a label.
	Labels []string
	Line   int // of the file, counted from 1
}

// Given are the labels of a text: those of its list, or its one.
func (t Text) Given() []string {
	if t.Labels != nil {
		return t.Labels
	}
	return []string{t.Label}
}

// TextOptions say how a file of texts is read.
type TextOptions struct {
	Reading
	// Header says whether the first record of a CSV or TSV file names the columns:
	// "yes", "no", or "auto" and "", which is no where all columns are numbers.
	Header string
	// TextColumn and LabelColumn name a key of a JSON object or a column of a
	// table, there without regard to case, or number a column from 1 on. "" takes
	// the first of the usual names.
	TextColumn, LabelColumn string
	// Labels asks for a label of every text, which may be a list of several.
	Labels bool
}

// The names that are looked for where none is given, in this order.
var (
	textNames  = []string{"text", "sentence", "content", "message", "sms", "review", "tweet"}
	labelNames = []string{"label", "labels", "class", "category", "sentiment", "target"}
)

// Headers lists the accepted values of TextOptions.Header.
var Headers = []string{rows.HeaderAuto, rows.HeaderYes, rows.HeaderNo}

// ReadTexts reads a file of texts. A bad row is one whose text or label is missing or
// blank. A file without any text is an error.
func ReadTexts(path string, o TextOptions) (*File[Text], error) {
	return readTexts(path, o, func(how rows.Options) (*rows.Reader, error) { return rows.Open(path, how) })
}

// DecodeTexts is ReadTexts from a reader, whose name appears in errors. The format
// must be given.
func DecodeTexts(r io.Reader, name string, o TextOptions) (*File[Text], error) {
	return readTexts(name, o, func(how rows.Options) (*rows.Reader, error) { return rows.NewReader(r, name, how) })
}

func readTexts(name string, o TextOptions, open func(rows.Options) (*rows.Reader, error)) (*File[Text], error) {
	how, err := o.Options()
	if err != nil {
		return nil, err
	}
	if o.LabelColumn != "" {
		o.Labels = true
	}
	if rows.Format(o.Format) == rows.Lines && o.Labels {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading texts %s: plain lines have no labels; give JSONL, CSV or TSV", name)
	}
	text, label := o.columns(how.Map)
	asked := []askedColumn{text}
	if o.Labels {
		asked = append(asked, label)
	}
	how.Header = o.Header
	if o.Header == "" || o.Header == rows.HeaderAuto {
		how.Header = rows.HeaderNo
		for _, a := range asked {
			if !a.isNumber() {
				how.Header = rows.HeaderYes
			}
		}
	} else if o.Header == rows.HeaderNo {
		for _, a := range asked {
			if !a.isNumber() {
				return nil, artifact.Errorf(artifact.ErrUsage, "reading texts %s: without a header the %s column must be a number, from 1 on", name, a.what)
			}
		}
	}
	opened := how
	opened.Map = nil // the columns below heed it
	r, err := open(opened)
	if err != nil {
		return nil, readError("texts", name, err)
	}
	defer r.Close()
	for _, a := range asked {
		if header := r.Columns(); header != nil && !a.isNumber() && !slices.ContainsFunc(a.names(), func(name string) bool {
			return slices.ContainsFunc(header, func(column string) bool { return rows.SameColumn(column, name) })
		}) {
			return nil, artifact.Errorf(artifact.ErrUsage, "reading texts %s:1: no %s: the first record is %q, which names none of %q; name the %s column, or number the columns from 1 on if the file has no header",
				name, a.what, header, a.names(), a.what)
		}
	}
	table := false
	f, err := fromRows("texts", name, o.Reading, r, func(row rows.Row) ([]Text, string, error) {
		f := fields{row}
		table = table || row.Table
		t := Text{Line: row.Line}
		if id, ok := f.Value(cmp.Or(how.Map["id"], "id")); ok {
			t.ID = id
		}
		var shape string
		var err error
		if t.Text, shape, err = text.value(f); err == nil && o.Labels {
			var key string
			if t.Labels, key, err = label.list(f); err == nil && t.Labels == nil {
				t.Label, key, err = label.value(f)
			}
			shape += " and " + key
		}
		if err == nil {
			err = t.check(o)
		}
		return []Text{t}, shape, err
	})
	if err != nil {
		return nil, err
	}
	if len(f.Rows) == 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading texts %s: the file holds no text", name)
	}
	if o.Labels && table {
		wholeNumbers(f.Rows)
	}
	return f, nil
}

// wholeNumbers makes one label of equal whole numbers, 1 and 1.0, where all labels
// are such: a table with a gap makes floats of a column of whole numbers.
func wholeNumbers(texts []Text) {
	for _, t := range texts {
		for _, label := range t.Given() {
			if _, ok := wholeNumber(label); !ok {
				return
			}
		}
	}
	for i, t := range texts {
		texts[i].Label, _ = wholeNumber(t.Label)
		for k, label := range t.Labels {
			t.Labels[k], _ = wholeNumber(label)
		}
	}
}

func wholeNumber(label string) (string, bool) {
	whole, zeros, point := strings.Cut(label, ".")
	if _, err := strconv.Atoi(whole); err != nil || point && strings.Trim(zeros, "0") != "" {
		return "", false
	}
	return whole, true
}

// value returns the column's value as text: a string, or a number or boolean as JSON
// writes it; and the key that it was found by.
func (a askedColumn) value(f fields) (text, key string, err error) {
	for _, want := range a.names() {
		value, ok := f.Value(want)
		switch {
		case !ok:
			continue
		case value[0] == '"':
			err := json.Unmarshal(value, &text)
			return text, want, err
		case value[0] == '{', value[0] == '[', string(value) == "null":
			return "", "", fmt.Errorf("%q holds %.20s, which is no %s; want a string", want, value, a.what)
		}
		return number(string(value)), want, nil
	}
	for _, want := range a.names() {
		if cells, short := f.Short(want); short {
			return "", "", &rows.Bad{Reason: "too few fields", Detail: fmt.Sprintf("%d fields, and the header has a column %q behind them", cells, want)}
		}
	}
	if n, err := strconv.Atoi(a.column); err == nil && f.Table {
		return "", "", fmt.Errorf("column %d is asked for, and the record has %d; columns are numbered from 1 on", n, len(f.Names()))
	}
	return "", "", &rows.Bad{Reason: "no " + a.what, Detail: fmt.Sprintf("no %s: the row has none of the keys %q, but %s; name the %s column (--map %s=KEY), or number the columns from 1 on if a table has no header", a.what, a.names(), f.keys(), a.what, a.what)}
}

// list returns the labels of a row that holds a list of them, nil for one that does not,
// and the key that it was found by.
func (a askedColumn) list(f fields) (labels []string, key string, err error) {
	for _, key := range a.names() {
		value, ok := f.Value(key)
		if !ok {
			continue
		}
		if inner, ok := inString(value); ok && f.Table && inner[0] == '[' {
			value = inner
		} else if f.Table && len(value) > 3 && (value[1] == '[' && (value[2] == '\'' || value[2] == ']')) {
			return nil, "", fmt.Errorf("%q holds %.40s, a list as Python prints it; write it as JSON, [\"a\",\"b\"]", key, value)
		}
		if value[0] != '[' {
			return nil, "", nil
		}
		var all []json.RawMessage
		if err := json.Unmarshal(value, &all); err != nil {
			return nil, "", err
		}
		labels := make([]string, 0, len(all))
		for _, one := range all {
			var label string
			switch {
			case one[0] == '"':
				if err := json.Unmarshal(one, &label); err != nil {
					return nil, "", err
				}
			case one[0] == '{', one[0] == '[', string(one) == "null":
				return nil, "", fmt.Errorf("%q holds %.20s, which is no %s; want strings", key, one, a.what)
			default:
				label = number(string(one))
			}
			if strings.TrimSpace(label) == "" {
				return nil, "", fmt.Errorf("%q holds a blank label; leave it out", key)
			}
			if slices.Contains(labels, label) {
				return nil, "", fmt.Errorf("%q holds %.40s, in which %q stands twice; want the names of the labels that the text has, not a number for each label", key, value, label)
			}
			labels = append(labels, label)
		}
		return labels, key, nil
	}
	return nil, "", nil
}

// number writes a JSON number so that equal ones are equal texts; true and false
// stay.
func number(value string) string {
	if whole, ok := wholeNumber(value); ok {
		return whole
	}
	const exact = 1 << 53 // beyond it floats leave whole numbers out
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || n != math.Trunc(n) || math.Abs(n) > exact {
		return value
	}
	return strconv.FormatInt(int64(n), 10)
}

// check refuses a text or label that is blank.
func (t Text) check(o TextOptions) error {
	if strings.TrimSpace(t.Text) == "" {
		return errors.New("the text is blank; leave the line out")
	}
	if o.Labels && t.Labels == nil && strings.TrimSpace(t.Label) == "" {
		return errors.New("the label is blank; give it one, or leave the line out")
	}
	return nil
}

// askedColumn is a column that is looked for.
type askedColumn struct {
	what, column string // column: name, number, or "" for the usual names
	usual        []string
}

// columns are those of text and label: as they are named, else as the map has them,
// else by the usual names.
func (o TextOptions) columns(names map[string]string) (text, label askedColumn) {
	text = askedColumn{"text", o.TextColumn, textNames}
	label = askedColumn{"label", o.LabelColumn, labelNames}
	for _, a := range []*askedColumn{&text, &label} {
		if a.column == "" {
			a.column = names[a.what]
		}
	}
	return text, label
}

func (a askedColumn) isNumber() bool {
	_, err := strconv.Atoi(a.column)
	return err == nil
}

func (a askedColumn) names() []string {
	if a.column != "" {
		return []string{a.column}
	}
	return slices.Clone(a.usual)
}
