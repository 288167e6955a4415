package rows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// separators are what may stand between the fields of a CSV file.
const separators = ",;\t|"

// openTable reads records of fields.
func (r *Reader) openTable(text peeker, format Format, header string) error {
	if header == "" {
		header = HeaderAuto
	}
	if headers := []string{HeaderAuto, HeaderYes, HeaderNo}; !slices.Contains(headers, header) {
		return fmt.Errorf("header %q is not one of %q", header, headers)
	}
	t := &table{reader: r, text: text, separator: '\t'}
	r.form = "TSV"
	if format == CSV {
		separator, said, err := findSeparator(text)
		if err != nil {
			return err
		}
		t.separator = separator
		if said {
			t.line = 1
		}
		t.quotes = true
		r.form = "CSV"
		if t.separator != ',' {
			r.form = fmt.Sprintf("CSV with %s between fields", map[byte]string{';': ";", '|': "|", '\t': "tabs"}[t.separator])
		}
	}
	r.next = t.row
	if header == HeaderNo {
		return nil
	}
	for {
		record, line, err := t.record()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if !blank(record) {
			return t.header(record, line)
		}
	}
}

// header takes the names of the columns.
func (t *table) header(record []string, line int) error {
	for len(record) > 1 && strings.TrimSpace(record[len(record)-1]) == "" {
		record = record[:len(record)-1]
	}
	for i, name := range record {
		if slices.ContainsFunc(record[:i], func(other string) bool { return SameColumn(other, name) }) {
			return fmt.Errorf("line %d: two columns are called %q, case and space apart; give each a name of its own", line, name)
		}
		if err := checkUTF8([]byte(name)); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	t.columns, t.reader.columns = record, record
	return nil
}

// findSeparator tells what stands between the fields of a CSV file: what cuts the
// header into most fields, as many as the records after it have. A first line
// "sep=;", which Excel knows, says it.
func findSeparator(text peeker) (separator byte, said bool, err error) {
	begin, err := text.Peek(text.Size())
	if err != nil && err != io.EOF {
		return 0, false, err
	}
	if first, _, _ := bytes.Cut(begin, []byte{'\n'}); len(first) >= 5 && bytes.EqualFold(first[:4], []byte("sep=")) {
		if rest := bytes.TrimRight(first[5:], "\r"); len(rest) == 0 {
			separator = first[4]
			_, err := text.Discard(min(len(first)+1, len(begin)))
			return separator, true, err
		}
	}
	best, most := byte(','), 0.0
	for _, c := range []byte(separators) {
		sample := &table{text: newPeeker(bytes.NewReader(begin)), separator: c, quotes: true}
		fields, same, n := 0, 0, 0
		for n < 20 {
			record, _, err := sample.record()
			if err == io.EOF {
				break
			}
			if err != nil || blank(record) {
				continue
			}
			if n++; n == 1 {
				fields = len(record)
			}
			if len(record) == fields {
				same++
			}
		}
		if fields < 2 {
			continue
		}
		if score := float64(same) / float64(n) * (1 + float64(fields)/1000); score > most {
			best, most = c, score
		}
	}
	return best, false, nil
}

// table reads records of fields as rows.
type table struct {
	reader    *Reader
	text      peeker
	separator byte
	quotes    bool // fields may stand in quotes

	columns []string

	again    []byte // read and given back
	line     int    // lines that were read
	unclosed int    // quotes that were not closed
}

// maxUnclosed is how many quotes of a file may be left open: each is looked for as
// far as a row may reach.
const maxUnclosed = 100

// row returns the next record as a row.
func (t *table) row() (Row, error) {
	for {
		record, line, err := t.record()
		if err == io.EOF {
			return Row{}, err
		}
		if err != nil {
			return Row{}, t.reader.fault(line, err)
		}
		if blank(record) {
			t.reader.blank++
			continue
		}
		for _, field := range record {
			if err := checkUTF8([]byte(field)); err != nil {
				return Row{}, t.reader.fault(line, err)
			}
		}
		if t.columns == nil {
			for i := range record {
				t.columns = append(t.columns, columnName(i))
			}
		}
		for len(record) > len(t.columns) && strings.TrimSpace(record[len(record)-1]) == "" {
			record = record[:len(record)-1]
		}
		if n := len(record); n != len(t.columns) && (t.quotes || n > len(t.columns)) {
			return Row{}, t.reader.fault(line, t.wrongCount(record))
		}
		row := Row{Line: line, Fields: make(map[string]json.RawMessage, 2*len(record)), Table: true, columns: t.columns, cells: len(record)}
		for i, name := range t.columns[:len(record)] {
			row.Fields[name] = quoted(record[i])
		}
		for i, field := range record {
			row.Fields[columnName(i)] = quoted(field)
		}
		return row, nil
	}
}

// wrongCount says that a record has more or fewer fields than there are columns.
func (t *table) wrongCount(record []string) error {
	bad := &Bad{Reason: "another number of fields than columns"}
	bad.Detail = fmt.Sprintf("%d fields, and there are %d columns (%s)", len(record), len(t.columns), strings.Join(t.columns, ", "))
	switch {
	case !t.quotes:
		bad.Detail += "; a text that holds a tab cannot stand in a TSV file: give CSV with quotes, or JSON Lines"
	case len(record) > len(t.columns):
		bad.Detail += fmt.Sprintf(`; a field that holds %s must stand in quotes: "well%s see you"`, separatorName(t.separator), string(t.separator))
	default:
		bad.Detail += fmt.Sprintf("; write an empty field as %s%s", string(t.separator), string(t.separator))
	}
	return bad
}

func separatorName(c byte) string {
	if c == '\t' {
		return "a tab"
	}
	return "a " + string(c)
}

// blank tells whether a record holds nothing.
func blank(record []string) bool {
	return !slices.ContainsFunc(record, func(field string) bool { return strings.TrimSpace(field) != "" })
}

func (t *table) readByte() (byte, error) {
	if len(t.again) > 0 {
		c := t.again[0]
		t.again = t.again[1:]
		return c, nil
	}
	return t.text.ReadByte()
}

// follows tells whether c is the next byte, and takes it if so.
func (t *table) follows(c byte) bool {
	if len(t.again) > 0 {
		if t.again[0] != c {
			return false
		}
		t.again = t.again[1:]
		return true
	}
	next, err := t.text.Peek(1)
	if err != nil || next[0] != c {
		return false
	}
	t.text.Discard(1)
	return true
}

// record returns the fields of the next record and the line that it begins at. As
// Python's csv has it, a quote opens a field only as its first character, is written
// twice within, and what follows the closing one belongs to the field; any other
// quote is text. A quote that is never closed, or closes in the middle of another
// line's text, is a *Bad, and the next record begins behind that line.
func (t *table) record() (fields []string, line int, err error) {
	line = t.line + 1
	var raw []byte // the record as it was read
	var field []byte
	quoted, started := false, false
	crossed := false // the field's quotes closed in a later line than they opened in
	openedAt := 0    // of raw: where the field's quote stands
	fail := func(reason, detail string) ([]string, int, error) {
		t.unclosed++
		if t.unclosed > maxUnclosed {
			return nil, line, &fileError{fmt.Errorf("more than %d quotes are not closed; if quotes are text here, give the file as TSV (--format tsv), else write a quote within a field twice", maxUnclosed)}
		}
		end := bytes.IndexByte(raw, '\n')
		if end < 0 {
			if _, _, err := t.tooLong(line); err != errTooLong {
				return nil, line, err
			}
			return nil, line, &Bad{Reason: reason, Detail: detail}
		}
		t.again = append(slices.Clone(raw[end+1:]), t.again...)
		t.line = line
		return nil, line, &Bad{Reason: reason, Detail: detail}
	}
	for {
		c, readErr := t.readByte()
		if readErr != nil && readErr != io.EOF {
			return nil, line, &fileError{readErr}
		}
		if readErr == io.EOF {
			switch {
			case quoted:
				return fail("a quote that is not closed", fmt.Sprintf(`field %d opens a quote that is not closed; write a quote within a field twice, and the whole field in quotes`, len(fields)+1))
			case len(raw) == 0:
				return nil, line, io.EOF
			}
			t.line++
			return append(fields, string(field)), line, nil
		}
		if c == '\r' && !quoted {
			t.follows('\n') // or it ends the line alone, as on old Macs
			c = '\n'
		}
		raw = append(raw, c)
		if len(raw) > Longest {
			if quoted {
				return fail("a quote that is not closed", fmt.Sprintf("field %d opens a quote that is not closed within %d MiB", len(fields)+1, Longest>>20))
			}
			return t.tooLong(line)
		}
		switch {
		case quoted && c == '"':
			if t.follows('"') {
				raw = append(raw, '"')
				field = append(field, '"')
				continue
			}
			quoted, crossed = false, bytes.IndexByte(raw[openedAt:], '\n') >= 0
		case quoted:
			field = append(field, c)
		case c == '\n':
			t.line += bytes.Count(raw, []byte{'\n'})
			return append(fields, string(field)), line, nil
		case c == t.separator:
			fields = append(fields, string(field))
			field, started, crossed = field[:0], false, false
		case c == '"' && t.quotes && !started:
			quoted, started = true, true
			openedAt = len(raw)
		case crossed:
			return fail("a quote that is not closed", fmt.Sprintf("field %d opens a quote that closes in the middle of a later line; write a quote within a field twice, and the whole field in quotes", len(fields)+1))
		default:
			field = append(field, c)
			started = true
		}
	}
}

// tooLong goes behind a record that has no end.
func (t *table) tooLong(line int) ([]string, int, error) {
	for n := Longest; ; n++ {
		if n > unending {
			return nil, line, &fileError{errUnending}
		}
		c, err := t.readByte()
		if err == io.EOF || c == '\n' && err == nil {
			t.line++
			return nil, line, errTooLong
		}
		if err != nil {
			return nil, line, &fileError{err}
		}
	}
}
