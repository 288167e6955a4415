package corpus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus/filter"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
)

// Config configures a corpus made of folders.
type Config struct {
	Validation  float64 `yaml:"validation" json:"validation" doc:"share of the documents held out to measure on" min:"0" max:"0.5"`
	Test        float64 `yaml:"test" json:"test" doc:"share of the documents held out from everything" min:"0" max:"0.5"`
	MinBytes    int     `yaml:"min_bytes" json:"min_bytes" doc:"refuse documents smaller than this" min:"0"`
	MaxDocument int     `yaml:"max_document" json:"max_document" doc:"refuse documents larger than this, in bytes" min:"1"`
	Cut         int     `yaml:"cut" json:"cut" doc:"cut text files into documents of at most so many bytes; 0: one document a file" min:"0"`
	Compress    bool    `yaml:"compress" json:"compress" doc:"write the documents compressed (zstd)"`
	// Filters are empty in what was made before there were any.
	Filters []filter.Spec `yaml:"filters" json:"filters,omitempty" doc:"what judges each document, in this order, as NAME KEY=VALUE …; alma corpus filters lists them"`
}

// Shares are the shares of the documents that are held out.
func (c Config) Shares() Shares { return Shares{Validation: c.Validation, Test: c.Test} }

// Validate checks what no single value can say.
func (c Config) Validate() error { return c.Shares().Check() }

func (c Config) list() (list filter.List) {
	for _, spec := range c.Filters {
		list = append(list, spec.Filter())
	}
	return list
}

// Stage makes a corpus of folders of text.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "corpus", Title: "Corpus",
	Does: "Reads folders of text, refuses what is no text and exact duplicates, and deals the documents into a training, a validation and a test split.",
	Defaults: func() Config {
		return Config{Validation: DefaultShares.Validation, Test: DefaultShares.Test, MaxDocument: DefaultMaxDocument}
	},
	Inputs: []stage.Input{
		{Name: "folders", Kinds: stage.Of(stage.Folder), Required: true, Many: true, Doc: "folders or files of text"},
	},
	Outputs:  []stage.Output{{Kind: stage.Corpus, Doc: "documents.jsonl of each split, and report.json"}},
	NoEngine: true,
	Run: func(ctx context.Context, w *stage.Work, c Config) error {
		var sources []Source
		for _, root := range w.In["folders"] {
			if err := outside(w.Dir(), root); err != nil {
				return err
			}
			sources = append(sources, Folder{Root: root, MaxDocument: c.MaxDocument, Cut: c.Cut})
		}
		shares := c.Shares()
		return WriteStage(ctx, w, sources, Options{Shares: &shares, MinBytes: c.MinBytes, Compress: c.Compress, Filters: c.list()})
	},
	Estimate: func(c Config, in stage.Known) (stage.Estimate, error) {
		bytes, files, err := textIn(in["folders"].Paths)
		if err != nil {
			return stage.Estimate{}, err
		}
		const bytesPerSecond = 50e6
		kept := 1 - c.Validation - c.Test
		return stage.Estimate{
			Seconds: float64(bytes) / bytesPerSecond,
			Leaves:  map[string]stage.Facts{"": {Bytes: int64(kept * float64(bytes)), Documents: files}},
		}, nil
	},
	Describe: func(d stage.Done, _ Config) (stage.Description, error) { return Describe(d.Folder) },
	Verb: &stage.Verb{
		Name:  "corpus build",
		Short: "Turn folders of text into a corpus",
		Long: `Read folders (or single files) of text and write their documents as JSON Lines.

NAME.jsonl and NAME.ndjson hold one object with a "text" a line; any other file
is one document, or several with --cut; .gz and .zst are unpacked. Files that
are not UTF-8 text, damaged archives and exact duplicates are refused, with the
reason.

With filters each document is judged by published rules, in the order in which they are
given, and the report tells why each was dropped: alma corpus filters lists them, alma
corpus explain shows what they measure of a text.

The split of a document is decided by a hash of its name, so adding other
documents moves none. The exit code is 3 when the corpus is done but input was
refused as unreadable or damaged.`,
		Examples: []string{
			"alma corpus build texts/ more.jsonl.zst --out corpus",
			"alma corpus build book.txt --cut 4000 --validation .05 --out corpus",
			"alma corpus build web/ --out corpus --set 'filters=[\"language languages=en,zh\", gopher_quality, personal]'",
		},
		Positional: "folders",
		Flags: map[string]string{
			"validation": "validation", "test": "test", "min-bytes": "min_bytes", "max-document": "max_document", "cut": "cut", "compress": "compress",
		},
	},
})

// WriteStage builds a corpus into the folder of a stage and records what it holds.
func WriteStage(ctx context.Context, w *stage.Work, sources []Source, o Options) error {
	o.Out = w.Dir()
	report, err := Build(ctx, sources, o)
	if err != nil {
		return err
	}
	w.Manifest.Notes = report.Warnings
	w.Manifest.Metrics = artifact.Metrics{}
	for _, s := range report.Splits {
		w.Log.Printf("corpus: %s: %s documents, %s, %s groups", s.Split, progress.Count(int64(s.Documents)), progress.Bytes(s.Bytes), progress.Count(int64(s.Groups)))
		w.Manifest.Metrics[string(s.Split)+"/documents"] = float64(s.Documents)
		w.Manifest.Metrics[string(s.Split)+"/bytes"] = float64(s.Bytes)
	}
	return nil
}

// outside refuses a corpus that would lie in a folder that it reads.
func outside(out, root string) error {
	to, err := filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("choosing the corpus' folder %s: %w", out, err)
	}
	from, err := filepath.Abs(root)
	if err != nil {
		return fmt.Errorf("choosing folder %s: %w", root, err)
	}
	if rel, err := filepath.Rel(from, to); err == nil && filepath.IsLocal(rel) {
		return artifact.Errorf(artifact.ErrUsage, "choosing --out %s: it lies in %s, which the corpus is made of; give a folder outside of it", out, root)
	}
	return nil
}

// textIn counts the bytes and files below paths. What does not exist yet has none.
func textIn(paths []string) (bytes, files int64, err error) {
	for _, root := range paths {
		err = errors.Join(err, filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			bytes += info.Size()
			files++
			return nil
		}))
	}
	return bytes, files, err
}

// Describe tells what a corpus holds and what was refused.
func Describe(folder string) (stage.Description, error) {
	r, err := ReadReport(folder)
	if err != nil {
		return stage.Description{}, err
	}
	sizes := stage.Table{Title: "What was read", Columns: []string{"Split", "documents", "bytes", "groups"}}
	held := stage.Table{Title: "What was held out", Columns: []string{"Split", "groups"},
		Note: "Validation is for choosing settings; only an evaluation reads the test split."}
	for _, s := range r.Splits {
		sizes.Rows = append(sizes.Rows, []string{string(s.Split), progress.Count(int64(s.Documents)), progress.Count(s.Bytes), progress.Count(int64(s.Groups))})
		if s.Split != Train && len(s.HeldOut) > 0 {
			held.Rows = append(held.Rows, []string{string(s.Split), strings.Join(s.HeldOut, ", ")})
		}
	}
	refused := stage.Table{Title: "What was left out", Columns: []string{"Reason", "documents", "bytes"}}
	for _, x := range r.Refused {
		refused.Rows = append(refused.Rows, []string{string(x.Reason), progress.Count(int64(x.Refused)), progress.Count(x.Bytes)})
	}
	d := stage.Description{Tables: []stage.Table{sizes}}
	for _, t := range []stage.Table{held, refused} {
		if len(t.Rows) > 0 {
			d.Tables = append(d.Tables, t)
		}
	}
	return d, nil
}

// badInput are the reasons for which input was refused that its owner meant
// to be taken.
var badInput = []Reason{Binary, BadUTF8, TooLarge, BadJSON, NoText, BadArchive, Bomb, Unreadable}

// Rejected is an artifact.ErrSomeRejected if bad input was refused.
func (r *Report) Rejected() error {
	var all []error
	for _, reason := range badInput {
		if n := r.RefusedFor(reason); n > 0 {
			all = append(all, fmt.Errorf("%d × %s", n, reason))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return artifact.Errorf(artifact.ErrSomeRejected, "building corpus: it is done, but some input was refused; report.json lists it:\n%w", errors.Join(all...))
}

// FiltersOf returns the filters that a corpus was made with, none if it is no artifact or
// another stage's.
func FiltersOf(folder string) (filter.List, error) {
	m, err := artifact.Open(folder, false)
	if err != nil || m.Kind != Stage.Kind {
		return nil, nil
	}
	var c Config
	if err := json.Unmarshal(m.Config, &c); err != nil {
		return nil, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("opening corpus %s: its configuration: %w", folder, err))
	}
	return c.list(), nil
}
