package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Metric is one named number of a step. Names are TRL's where TRL has one
// ("loss", "lr", "objective/kl").
type Metric struct {
	Name  string
	Value float64
}

// MarshalJSON writes {"name":…,"value":…}, a value that is not finite as a
// string, as [MetricsFile] does.
func (m Metric) MarshalJSON() ([]byte, error) {
	out := append([]byte(`{"name":`), quote(m.Name)...)
	out = append(out, `,"value":`...)
	return append(appendNumber(out, m.Value), '}'), nil
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (m *Metric) UnmarshalJSON(data []byte) error {
	var raw struct {
		Name  string `json:"name"`
		Value any    `json:"value"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return err
	}
	value, err := parseNumber(raw.Value)
	if err != nil {
		return fmt.Errorf("metric %q: %w", raw.Name, err)
	}
	m.Name, m.Value = raw.Name, value
	return nil
}

func quote(text string) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string always encodes, into a buffer that never fails
	return bytes.TrimSuffix(buffer.Bytes(), []byte{'\n'})
}

// appendNumber appends the shortest text that reads back as v. JSON has no
// number that is not finite; those are strings.
func appendNumber(out []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(out, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(out, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(out, `"-Infinity"`...)
	}
	return strconv.AppendFloat(out, v, 'g', -1, 64)
}

// parseNumber takes a json.Number or one of appendNumber's strings.
func parseNumber(value any) (float64, error) {
	switch v := value.(type) {
	case json.Number:
		return v.Float64()
	case string:
		switch v {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
	}
	return 0, fmt.Errorf("%v is not a number", value)
}

// MetricsFile is a metrics.jsonl being written: one object a line, "step"
// first, then the metrics in the order given. docs/formats/metrics.md
// describes it. A line is given to the operating system at once, so that
// others can follow the file and a killed process loses nothing; only Sync
// makes it safe from a power loss.
type MetricsFile struct {
	path string
	file *os.File
	line []byte
}

// OpenMetrics opens the metrics of a run that continues after step, creating
// the file if it is not there. Lines of later steps, written by a run that was
// interrupted before its next checkpoint, are removed, and with them a line
// cut off in the middle; a step of −1 removes all. A damaged line before them
// is an [artifact.ErrCorrupt].
func OpenMetrics(path string, step int) (*MetricsFile, error) {
	_, err := os.Stat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, fmt.Errorf("opening metrics: %w", err)
	}
	m := &MetricsFile{path: path, file: file}
	if isNew {
		err = artifact.OS{}.SyncFolder(filepath.Dir(path))
	} else {
		err = m.Rewind(step)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return m, nil
}

// Rewind removes the lines of steps after step, as [OpenMetrics] does.
func (m *MetricsFile) Rewind(step int) error {
	if _, err := m.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewinding metrics %s: %w", m.path, err)
	}
	var keep int64 // bytes
	r := bufio.NewReader(m.file)
	cut := false
	for number := 1; ; number++ {
		text, err := r.ReadBytes('\n')
		if err == io.EOF {
			break // what is left has no end of line
		}
		if err != nil {
			return fmt.Errorf("rewinding metrics %s: %w", m.path, err)
		}
		line, err := parseMetricsLine(text)
		switch {
		case err != nil || line.Step > step:
			cut = true
		case cut:
			// Lines are written in the order of steps and synced at every
			// checkpoint, so an interrupted run cannot have left this.
			return artifact.Errorf(artifact.ErrCorrupt, "rewinding metrics %s to step %d: line %d is of step %d and comes after lines that are damaged or of later steps; restore the file or remove it", m.path, step, number, line.Step)
		default:
			keep += int64(len(text))
		}
	}
	if err := m.file.Truncate(keep); err != nil {
		return fmt.Errorf("rewinding metrics %s: %w", m.path, err)
	}
	return nil
}

// Write appends the line of a step. A name that is empty, not UTF-8, "step"
// or given twice is an error.
func (m *MetricsFile) Write(step int, metrics []Metric) error {
	m.line = append(m.line[:0], `{"step":`...)
	m.line = strconv.AppendInt(m.line, int64(step), 10)
	for i, metric := range metrics {
		bad := metric.Name == "" || metric.Name == "step" || !utf8.ValidString(metric.Name)
		for _, before := range metrics[:i] {
			bad = bad || before.Name == metric.Name
		}
		if bad {
			return fmt.Errorf("writing metrics %s: step %d: %q cannot be a name here, or is given twice", m.path, step, metric.Name)
		}
		m.line = append(m.line, ',')
		m.line = append(m.line, quote(metric.Name)...)
		m.line = append(m.line, ':')
		m.line = appendNumber(m.line, metric.Value)
	}
	m.line = append(m.line, '}', '\n')
	if n, err := m.file.Write(m.line); err != nil {
		return fmt.Errorf("writing metrics %s: step %d: after %d of %d bytes: %w", m.path, step, n, len(m.line), err)
	}
	return nil
}

// Sync makes the lines written so far durable. It is called before a
// checkpoint, so that a run that continues from it has all of them.
func (m *MetricsFile) Sync() error {
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("syncing metrics %s: %w", m.path, err)
	}
	return nil
}

// Close closes the file without a sync.
func (m *MetricsFile) Close() error { return m.file.Close() }

// MetricsLine is one line of a metrics.jsonl.
type MetricsLine struct {
	Step    int
	Metrics []Metric // in the order of the file
}

// Value returns a metric by name.
func (l *MetricsLine) Value(name string) (value float64, ok bool) {
	for _, m := range l.Metrics {
		if m.Name == name {
			return m.Value, true
		}
	}
	return 0, false
}

// ReadMetrics reads a metrics.jsonl. A last line without its end, which a run
// in progress may be writing, is left out; any other line that is not as
// [MetricsFile] writes it is an [artifact.ErrCorrupt] with its number.
func ReadMetrics(path string) ([]MetricsLine, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	defer file.Close()
	var lines []MetricsLine
	r := bufio.NewReader(file)
	for {
		text, err := r.ReadBytes('\n')
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading metrics %s: %w", path, err)
		}
		line, err := parseMetricsLine(text)
		if err != nil {
			return nil, artifact.Errorf(artifact.ErrCorrupt, "reading metrics %s:%d: %w", path, len(lines)+1, err)
		}
		lines = append(lines, line)
	}
}

// parseMetricsLine reads the object by tokens, because the order of its keys
// is part of it.
func parseMetricsLine(text []byte) (line MetricsLine, err error) {
	if !json.Valid(text) {
		return line, errors.New("not a JSON value")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return line, errors.New("not a JSON object")
	}
	hasStep := false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return line, err
		}
		token, err := d.Token()
		if err != nil {
			return line, err
		}
		name := key.(string) // the keys of a valid object are strings
		if name == "step" && !hasStep {
			number, _ := token.(json.Number)
			if line.Step, err = strconv.Atoi(string(number)); err != nil {
				return line, fmt.Errorf("step: %v is not a whole number", token)
			}
			hasStep = true
			continue
		}
		value, err := parseNumber(token)
		if err != nil {
			return line, fmt.Errorf("%s: %w", name, err)
		}
		if _, ok := line.Value(name); ok || name == "step" {
			return line, fmt.Errorf("%s is there twice", name)
		}
		line.Metrics = append(line.Metrics, Metric{name, value})
	}
	if !hasStep {
		return line, errors.New("no step")
	}
	return line, nil
}
