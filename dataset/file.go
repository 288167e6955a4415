package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/rows"
)

// BadRows says what becomes of a row that cannot be used.
type BadRows string

// What becomes of bad rows. "" is Skip.
const (
	Skip BadRows = "skip" // left out, counted and listed, as long as they are few
	Stop BadRows = "stop" // the file is refused, with the first of them named
)

// IsZero implements json's omitzero: the default does not stand in a manifest.
func (b BadRows) IsZero() bool { return b == "" || b == Skip }

// MaxBadShare is the share of a file's rows that may be bad and skipped. One row
// always may.
const MaxBadShare = .05

// Reading says how files of rows are read. Stages have it in their configuration.
type Reading struct {
	BadRows BadRows `yaml:"bad_rows" json:"bad_rows,omitzero" doc:"a row that cannot be used is left out and counted (skip, up to 5 % of a file), or ends the stage (stop)" enum:"skip,stop"`
	Format  string  `yaml:"format" json:"format,omitempty" doc:"of files of rows: jsonl, csv, tsv, lines, parquet; empty: by content and name"`
	Map     string  `yaml:"map" json:"map,omitempty" doc:"other names of keys and columns, as text=body,label=stars; empty: the usual ones"`
}

// DefaultReading skips bad rows.
func DefaultReading() Reading { return Reading{BadRows: Skip} }

// askedKeys are the keys that rows are asked for, which a map may give other names.
var askedKeys = []string{
	"text", "label", "id", "messages", "conversations", "conversation", "prompt", "completion", "question", "answer", "query", "response", "instruction", "input", "output",
	"context", "instances", "system", "history", "tools", "functions", "prefill", "chosen", "rejected", "completions", "ranks", "scores", "ratings", "rewards", "ended", "annotator",
}

// Options are those of package rows.
func (r Reading) Options() (rows.Options, error) {
	names, err := rows.ParseMap(r.Map)
	if err != nil {
		return rows.Options{}, artifact.Mark(artifact.ErrUsage, err)
	}
	for _, want := range slices.Sorted(maps.Keys(names)) {
		if !slices.Contains(askedKeys, want) {
			return rows.Options{}, artifact.Errorf(artifact.ErrUsage, "reading the map of keys %q: nothing is asked for by the name %q; the names are %s", r.Map, want, strings.Join(askedKeys, ", "))
		}
	}
	return rows.Options{Format: rows.Format(r.Format), Map: names}, nil
}

// File is what was read of a file of rows.
type File[T any] struct {
	Rows  []T
	Lines []int // [len(Rows)], where each begins in the file, from 1
	*Account
}

// Account says what a file of rows held, what was taken of it and what was not.
type Account struct {
	What     string // "dialogues"
	Path     string
	Form     string // how the file holds rows
	Total    int    // rows, the bad ones too
	Shapes   []Shape
	Rejected []artifact.Rejected // bad rows by reason, in the order of their first

	policy BadRows
	bad    int
	faults []error // the first of the bad rows, with their places
}

// Shape counts the rows of one shape: "messages", "ShareGPT", "Alpaca".
type Shape struct {
	Name string
	N    int
}

// shape counts a row.
func (a *Account) shape(name string) {
	for i := range a.Shapes {
		if a.Shapes[i].Name == name {
			a.Shapes[i].N++
			return
		}
	}
	a.Shapes = append(a.Shapes, Shape{name, 1})
}

// maxListed is how many rows are listed of each reason, and maxReasons how many reasons
// are told apart: some name what stands in the row.
const (
	maxListed    = 5
	maxReasons   = 50
	otherReasons = "other reasons"
)

// maxFaults is how many bad rows the error names that ends a reading.
const maxFaults = 10

// Reject takes a row out that cannot be used, for an error that says why. With Stop it
// returns the error that ends what goes row by row.
func (a *Account) Reject(line int, why error) error {
	a.reject(line, why)
	if a.policy == Stop {
		return a.refusal()
	}
	return nil
}

// reject counts a row that cannot be used and lists it.
func (a *Account) reject(line int, why error) {
	reason := why.Error()
	var bad *rows.Bad
	if errors.As(why, &bad) {
		reason = bad.Reason
	}
	if a.bad++; len(a.faults) < maxFaults {
		a.faults = append(a.faults, fmt.Errorf("%s:%d: %w", a.Path, line, why))
	}
	listed := fmt.Sprintf("line %d: %v", line, why)
	for i := range a.Rejected {
		if r := &a.Rejected[i]; r.Reason == reason {
			if r.N++; len(r.First) < maxListed {
				r.First = append(r.First, listed)
			}
			return
		}
	}
	if len(a.Rejected) == maxReasons {
		reason = otherReasons
		for i := range a.Rejected {
			if r := &a.Rejected[i]; r.Reason == reason {
				r.N++
				return
			}
		}
	}
	a.Rejected = append(a.Rejected, artifact.Rejected{File: a.Path, Reason: reason, N: 1, First: []string{listed}})
}

// refusal is an error that names the bad rows, as many as maxFaults, where the file
// cannot be taken without them: with Stop any, else more than MaxBadShare of all.
func (a *Account) refusal() error {
	few := a.bad <= 1 && a.bad < a.Total || float64(a.bad) <= MaxBadShare*float64(a.Total)
	if a.bad == 0 || few && a.policy != Stop {
		return nil
	}
	share, remedy := "", "mend them, or leave them out (--bad-rows skip)"
	if a.policy != Stop {
		share, remedy = fmt.Sprintf(", more than %g %%", 100*MaxBadShare), "mend the file, say with --format or --map what it holds, or take another"
	}
	if a.bad == 1 {
		return artifact.Errorf(artifact.ErrUsage, "reading %s %w (1 of %d rows cannot be used%s; %s)", a.What, a.faults[0], a.Total, share, remedy)
	}
	faults := slices.Clone(a.faults)
	if more := a.bad - len(faults); more > 0 {
		faults = append(faults, fmt.Errorf("and %s more", progress.Count(int64(more))))
	}
	return artifact.Errorf(artifact.ErrUsage, "reading %s %s: %d of %d rows cannot be used%s; %s:\n%w", a.What, a.Path, a.bad, a.Total, share, remedy, errors.Join(faults...))
}

// Bad is how many rows were left out.
func (a *Account) Bad() int { return a.bad }

// String says what the file held, in a line.
func (a *Account) String() string {
	shapes := make([]string, len(a.Shapes))
	for i, s := range a.Shapes {
		shapes[i] = s.Name
		if len(a.Shapes) > 1 {
			shapes[i] = progress.Count(int64(s.N)) + " " + s.Name
		}
	}
	form := a.Form
	if len(shapes) > 0 {
		form += ": " + strings.Join(shapes, ", ")
	}
	return fmt.Sprintf("%s: %s rows of %s (%s)", filepath.Base(a.Path), progress.Count(int64(a.Total)), a.What, form)
}

// Record writes what the file held to the log, warns of the rows that were left out,
// and lists them in the manifest, nil for none. Of a nil Account there is nothing to say.
func (a *Account) Record(log *progress.Log, m *artifact.Manifest) {
	if a == nil {
		return
	}
	log.Printf("%v", a)
	for i, r := range a.Rejected {
		r.Rows = a.Total
		a.Rejected[i].Rows = a.Total
		log.Warn(fmt.Errorf("%s: %s of %s rows left out: %s; first: %s", a.Path, progress.Count(int64(r.N)), progress.Count(int64(a.Total)), r.Reason, r.First[0]))
	}
	if m != nil {
		m.Rejected = append(m.Rejected, a.Rejected...)
	}
}

// readRows reads a file of rows; decode makes values of one, none or several, and
// names the row's shape.
func readRows[T any](what, path string, how Reading, decode func(rows.Row) (values []T, shape string, err error)) (*File[T], error) {
	o, err := how.Options()
	if err != nil {
		return nil, err
	}
	r, err := rows.Open(path, o)
	if err != nil {
		return nil, readError(what, path, err)
	}
	defer r.Close()
	return fromRows(what, path, how, r, decode)
}

// readError is an error about a whole file.
func readError(what, path string, err error) error {
	wrapped := fmt.Errorf("reading %s %s: %w", what, path, err)
	if artifact.ExitCode(err) == artifact.CodeFailed {
		wrapped = artifact.Mark(artifact.ErrUsage, wrapped)
	}
	return wrapped
}

func fromRows[T any](what, path string, how Reading, r *rows.Reader, decode func(rows.Row) ([]T, string, error)) (*File[T], error) {
	f := &File[T]{Account: &Account{What: what, Path: path, Form: r.Form(), policy: how.BadRows}}
	for {
		row, err := r.Next()
		if err == io.EOF {
			break
		}
		var bad *rows.Bad
		if err != nil && !errors.As(err, &bad) {
			return nil, readError(what, path, err)
		}
		f.Total++
		if err == nil {
			var values []T
			var shape string
			if values, shape, err = decode(row); err == nil {
				f.shape(shape)
				for _, v := range values {
					f.Rows, f.Lines = append(f.Rows, v), append(f.Lines, row.Line)
				}
				continue
			}
		} else {
			row.Line = bad.Line
		}
		f.reject(row.Line, err)
	}
	if f.Total == 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading %s %s: the file is empty: it holds no %s", what, path, what)
	}
	f.Form = r.Form()
	return f, f.refusal()
}

// Keep takes rows out by number that turned out to be of no use later: drop says
// why, nil to keep. All rows are asked about before it says which are bad.
func (f *File[T]) Keep(drop func(i int, row T) error) error {
	kept := 0
	for i, row := range f.Rows {
		// What is kept moves to the front behind i, so that drop finds Lines[i].
		if err := drop(i, row); err != nil {
			if !aboutRow(err) {
				return err
			}
			f.reject(f.Lines[i], err)
			continue
		}
		f.Rows[kept], f.Lines[kept] = row, f.Lines[i]
		kept++
	}
	f.Rows, f.Lines = f.Rows[:kept], f.Lines[:kept]
	return f.refusal()
}

// aboutRow tells whether an error of rendering is about the row alone: not one of
// the process that renders, or its limits.
func aboutRow(err error) bool {
	var limit *chat.LimitError
	return !errors.As(err, &limit)
}

// ReadLines reads a file that WriteLines wrote: the program's own, of which no row may
// be bad.
func ReadLines[T any](path string) ([]T, error) {
	f, err := readRows("lines", path, Reading{BadRows: Stop, Format: string(rows.JSONL)}, func(row rows.Row) ([]T, string, error) {
		var value T
		data, err := json.Marshal(row.Fields)
		if err == nil {
			err = json.Unmarshal(data, &value)
		}
		return []T{value}, "lines", err
	})
	if err != nil {
		return nil, err
	}
	return f.Rows, nil
}

// encodeLine is a value as a line of a JSONL file, without the line's end: <, > and &
// stand as they are.
func encodeLine(value any) ([]byte, error) {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return bytes.TrimSpace(line.Bytes()), err
}

// WriteLines writes a JSONL file durably, a value a line.
func WriteLines[T any](path string, values []T) error {
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

// Given is the account of rows that come from no file, such as a flag: errors name it.
func Given(what, from string) *Account {
	return &Account{What: what, Path: from, Total: 1, policy: Stop}
}

// Told is what a file held, for who asks only that.
func Told[T any](f *File[T], err error) (fmt.Stringer, error) {
	if err != nil {
		return nil, err
	}
	return f.Account, nil
}
