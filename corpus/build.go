package corpus

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus/dedup"
	"github.com/seed-b72bdb6c/alma/corpus/filter"
)

// Options say how Build makes a corpus.
type Options struct {
	// Out is the folder that it is written to; it is made if absent.
	Out string
	// Shares held out. nil: DefaultShares.
	Shares *Shares
	// MinBytes is the smallest document, white space at its ends not counted.
	// 0 stands for 1.
	MinBytes int
	// Compress writes documents.jsonl.zst in place of documents.jsonl.
	Compress bool
	// Filters are applied to each document in this order, before duplicates are
	// looked for: what is left of its text is kept, or it is refused.
	Filters filter.List
}

// A SplitReport says what one split holds.
type SplitReport struct {
	Split     Split  `json:"split"`
	File      string `json:"file"` // relative to the corpus folder
	SHA256    string `json:"sha256"`
	Documents int    `json:"documents"`
	Bytes     int64  `json:"bytes"` // of text
	Groups    int    `json:"groups"`
	// HeldOut names the groups of validation and test, sorted, the first
	// maxHeldOut of them.
	HeldOut []string `json:"held_out,omitempty"`
}

// A ReasonReport counts the refusals of one reason.
type ReasonReport struct {
	Reason  Reason `json:"reason"`
	Refused int    `json:"refused"` // documents, or files and folders as a whole
	Bytes   int64  `json:"bytes"`
	// Examples are the first maxExamples refusals.
	Examples []Refusal `json:"examples"`
}

const (
	maxHeldOut  = 2000
	maxExamples = 20
)

// A Report says what a corpus was made from and what became of it.
type Report struct {
	Sources  []string       `json:"sources"`
	Shares   Shares         `json:"shares"`
	Splits   []SplitReport  `json:"splits"` // in the order of Splits
	Refused  []ReasonReport `json:"refused"`
	Warnings []string       `json:"warnings,omitempty"`
}

// Of returns the report of one split.
func (r *Report) Of(split Split) SplitReport {
	for _, s := range r.Splits {
		if s.Split == split {
			return s
		}
	}
	return SplitReport{}
}

// RefusedFor returns how many documents were refused for the reason.
func (r *Report) RefusedFor(reason Reason) int {
	for _, x := range r.Refused {
		if x.Reason == reason {
			return x.Refused
		}
	}
	return 0
}

// DocumentsFile is the path of a split's documents within a corpus folder.
func DocumentsFile(split Split, compressed bool) string {
	name := "documents.jsonl"
	if compressed {
		name += ".zst"
	}
	return filepath.Join(string(split), name)
}

// Build reads the sources one after the other and writes, below opts.Out, the
// documents of each split and report.json, the report last. Of documents with
// the same normalised text the first stays. The result depends on the sources'
// content and the options only.
//
// A corpus without a training document is an error of kind artifact.ErrUsage;
// a validation or test split that is asked for and empty is a warning in the report.
func Build(ctx context.Context, sources []Source, opts Options) (*Report, error) {
	report := &Report{Shares: DefaultShares}
	if opts.Shares != nil {
		report.Shares = *opts.Shares
	}
	if err := report.Shares.Check(); err != nil {
		return nil, artifact.Mark(artifact.ErrUsage, err)
	}
	writers := map[Split]*documentWriter{}
	defer func() {
		for _, w := range writers {
			w.out.Abort()
		}
	}()
	groups := map[Split]map[string]bool{}
	for _, split := range Splits {
		file := DocumentsFile(split, opts.Compress)
		path := filepath.Join(opts.Out, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return nil, fmt.Errorf("making corpus folder: %w", err)
		}
		w, err := newDocumentWriter(path, opts.Compress)
		if err != nil {
			return nil, err
		}
		writers[split] = w
		groups[split] = map[string]bool{}
		report.Splits = append(report.Splits, SplitReport{Split: split, File: filepath.ToSlash(file)})
	}
	refuse := func(r Refusal) {
		i := slices.IndexFunc(report.Refused, func(x ReasonReport) bool { return x.Reason == r.Reason })
		if i < 0 {
			i = len(report.Refused)
			report.Refused = append(report.Refused, ReasonReport{Reason: r.Reason})
		}
		x := &report.Refused[i]
		x.Refused++
		x.Bytes += r.Bytes
		if len(x.Examples) < maxExamples {
			x.Examples = append(x.Examples, r)
		}
	}
	seen := map[dedup.Key]bool{}
	accept := func(d Document) error {
		no := func(reason Reason, at int64) {
			refuse(Refusal{Source: d.Source, File: d.ID, Offset: at, Reason: reason, Bytes: int64(len(d.Text))})
		}
		if reason, at := checkText(d.Text); reason != "" {
			no(reason, at)
			return nil
		}
		if len(strings.TrimSpace(d.Text)) < max(1, opts.MinBytes) {
			no(TooSmall, 0)
			return nil
		}
		if len(opts.Filters) > 0 {
			left, refusal := opts.Filters.Apply(d.Text, Facts(d.ID))
			if refusal != nil {
				refuse(Refusal{Source: d.Source, File: d.ID, Reason: Reason(refusal.Reason), Bytes: int64(len(d.Text)), Detail: refusal.Value.String()})
				return nil
			}
			d.Text = left
		}
		key := dedup.KeyOf(d.Text)
		if seen[key] {
			no(Duplicate, 0)
			return nil
		}
		seen[key] = true
		if d.Group == "" {
			d.Group = d.ID
		}
		split := report.Shares.Of(d.Group)
		i := slices.Index(Splits, split)
		report.Splits[i].Documents++
		report.Splits[i].Bytes += int64(len(d.Text))
		groups[split][d.Group] = true
		return writers[split].write(d)
	}
	for _, s := range sources {
		report.Sources = append(report.Sources, s.Name())
		if err := s.Read(ctx, accept, refuse); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(report.Refused, func(a, b ReasonReport) int { return strings.Compare(string(a.Reason), string(b.Reason)) })
	if report.Of(Train).Documents == 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "building corpus from %s: no document to train on%s; name a folder with text, or lower the held-out shares",
			strings.Join(report.Sources, ", "), report.whyEmpty())
	}
	for i, split := range Splits {
		s := &report.Splits[i]
		s.Groups = len(groups[split])
		if split != Train {
			for g := range groups[split] {
				s.HeldOut = append(s.HeldOut, g)
			}
			slices.Sort(s.HeldOut)
			s.HeldOut = s.HeldOut[:min(len(s.HeldOut), maxHeldOut)]
			if s.Documents == 0 && report.Shares.of(split) > 0 { // none was asked for: no surprise
				report.Warnings = append(report.Warnings, fmt.Sprintf("the %s split is empty: none of %d groups falls into its share; give more documents, cut them, or raise the share", split, len(groups[Train])))
			}
		}
		sum, err := writers[split].commit()
		if err != nil {
			return nil, err
		}
		s.SHA256 = sum
	}
	data, err := json.MarshalIndent(report, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("writing corpus report: %w", err)
	}
	if err := artifact.WriteFile(filepath.Join(opts.Out, "report.json"), append(data, '\n')); err != nil {
		return nil, err
	}
	return report, nil
}

// whyEmpty lists what was held out and refused, for an error's text.
func (r *Report) whyEmpty() string {
	var parts []string
	for _, s := range r.Splits {
		if s.Documents > 0 {
			parts = append(parts, fmt.Sprintf("%d in %s", s.Documents, s.Split))
		}
	}
	for _, x := range r.Refused {
		parts = append(parts, fmt.Sprintf("%d refused as %s", x.Refused, x.Reason))
	}
	if len(parts) == 0 {
		return " (nothing was found)"
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// A documentWriter writes documents as JSON lines, durably.
type documentWriter struct {
	out  *artifact.Writer
	hash io.Writer
	sum  func() string
	z    *zstd.Encoder // nil when not compressing
	json *json.Encoder
}

func newDocumentWriter(path string, compress bool) (*documentWriter, error) {
	out, err := artifact.Create(path)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	w := &documentWriter{out: out, sum: func() string { return hex.EncodeToString(h.Sum(nil)) }}
	var to io.Writer = io.MultiWriter(out, h)
	if compress {
		// One goroutine: the frame's blocks must not depend on timing.
		w.z, err = zstd.NewWriter(to, zstd.WithEncoderConcurrency(1))
		if err != nil {
			out.Abort()
			return nil, fmt.Errorf("compressing %s: %w", path, err)
		}
		to = w.z
	}
	w.json = json.NewEncoder(to)
	w.json.SetEscapeHTML(false)
	return w, nil
}

func (w *documentWriter) write(d Document) error { return w.json.Encode(d) }

func (w *documentWriter) commit() (sha256 string, err error) {
	if w.z != nil {
		if err := w.z.Close(); err != nil {
			return "", err
		}
	}
	if err := w.out.Commit(); err != nil {
		return "", err
	}
	return w.sum(), nil
}

// ReadReport reads the report.json of a corpus folder.
func ReadReport(folder string) (*Report, error) {
	path := filepath.Join(folder, "report.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading corpus report: %w; make the corpus with alma corpus build", err)
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading corpus report %s: %w; make the corpus anew", path, err)
	}
	return &r, nil
}

// Documents reads a split's file, plain or compressed by its name. It stops at
// the first error, which it yields. It trusts the writer no further than
// lines, JSON and UTF-8: anything else is an error of kind
// artifact.ErrCorrupt that names file and line. A document holds at most
// maxLine bytes.
func Documents(path string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		if err := readDocuments(path, func(d Document) error {
			if !yield(d, nil) {
				return errStopped
			}
			return nil
		}); err != nil && err != errStopped {
			yield(Document{}, err)
		}
	}
}

var errStopped = errors.New("stopped")

// maxLine is the longest line that Documents reads: a document of the default
// size in which every byte is escaped.
const maxLine = 6*DefaultMaxDocument + 64<<10

func readDocuments(path string, yield func(Document) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading corpus documents: %w", err)
	}
	defer file.Close()
	folder := Folder{MaxUnpacked: 1 << 40, MaxRatio: 1 << 20}.withDefaults()
	in, _, err := folder.unpack(file, path)
	if err != nil {
		return artifact.Errorf(artifact.ErrCorrupt, "reading corpus documents %s: %w; make the corpus anew", path, err)
	}
	defer in.Close()
	r := bufio.NewReaderSize(in, 256<<10)
	for number := 1; ; number++ {
		line, size, err := readLine(r, maxLine)
		if err != nil && err != io.EOF {
			return artifact.Errorf(artifact.ErrCorrupt, "reading corpus documents %s: line %d: %w; make the corpus anew", path, number, err)
		}
		end := err == io.EOF
		if end && size == 0 {
			return nil
		}
		var d Document
		switch {
		case size > maxLine:
			err = fmt.Errorf("it has %d bytes; the limit is %d", size, maxLine)
		case end:
			err = errors.New("the last line has no end: the file was cut off")
		default:
			err = json.Unmarshal(line, &d)
		}
		if err != nil {
			return artifact.Errorf(artifact.ErrCorrupt, "reading corpus documents %s: line %d: %w; make the corpus anew", path, number, err)
		}
		if err := yield(d); err != nil {
			return err
		}
	}
}
