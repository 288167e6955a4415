package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/corpus/godoc"
	"github.com/seed-b72bdb6c/alma/progress"
)

func newCorpusCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "corpus",
		GroupID: groupMake,
		Short:   "Make a corpus of text, and look at one",
		Long: `A corpus is the documents that later stages read, dealt into a training, a
validation and a test split, with a report of what was taken and refused.`,
	})
	cmd.AddCommand(newCorpusBuildCommand(c), newCorpusShowCommand(c))
	return cmd
}

// corpusConfig is what a corpus is made from, as its manifest records it.
type corpusConfig struct {
	Godoc       bool          `json:"godoc,omitempty"`
	MaxBytes    int64         `json:"max_bytes,omitempty"` // of the Go tree
	Shares      corpus.Shares `json:"shares"`
	MinBytes    int           `json:"min_bytes"`
	MaxDocument int           `json:"max_document"`
	Cut         int           `json:"cut"`
	Compress    bool          `json:"compress"`
}

func newCorpusBuildCommand(c *call) *cobra.Command {
	config := corpusConfig{Shares: corpus.DefaultShares}
	var out, goroot string
	cmd := &cobra.Command{
		Use:   "build FOLDER... --out DIR",
		Short: "Turn folders of text into a corpus",
		Long: `Read folders (or single files) of text and write their documents as JSON Lines.

NAME.jsonl and NAME.ndjson hold one object with a "text" a line; any other file
is one document, or several with --cut; .gz and .zst are unpacked. Files that
are not UTF-8 text, damaged archives and exact duplicates are refused, with the
reason. With --godoc the source tree of the Go installation is read: no tests,
testdata, vendored or generated files, richest in comments first.

The split of a document is decided by a hash of its name (of its import path
with --godoc), so adding other documents moves none. The exit code is 3 when
the corpus is done but input was refused as unreadable or damaged.`,
		Example: examples(
			"alma corpus build texts/ more.jsonl.zst --out corpus",
			"alma corpus build book.txt --cut 4000 --validation .05 --out corpus",
			"alma corpus build --godoc --max-bytes 20000000 --out corpus"),
		Args: arguments(0, -1),
		RunE: func(cmd *cobra.Command, folders []string) error {
			if err := required(cmd, "out"); err != nil {
				return err
			}
			var sources []corpus.Source
			inputs := map[string]string{}
			for i, root := range folders {
				if err := outside(out, root); err != nil {
					return err
				}
				sources = append(sources, corpus.Folder{Root: root, MaxDocument: config.MaxDocument, Cut: config.Cut})
				inputs["folder "+strconv.Itoa(i)] = root
			}
			if config.Godoc {
				root, err := godoc.FindRoot(goroot)
				if err != nil {
					return err
				}
				source, err := godoc.NewSource(godoc.Options{Root: root, MaxBytes: config.MaxBytes})
				if err != nil {
					return err
				}
				sources = append(sources, source)
				inputs["go source tree"] = filepath.Join(root, "src")
			}
			if len(sources) == 0 {
				return artifact.Errorf(artifact.ErrUsage, "reading the command line: no folder is given, and no --godoc; usage: %s", cmd.UseLine())
			}
			_, err := c.stage(stageFolder{out, "corpus", config, inputs}, func() (*artifact.Manifest, error) {
				return buildCorpus(cmd.Context(), out, sources, inputs, config)
			})
			if err != nil {
				return err
			}
			report, err := corpus.ReadReport(out)
			if err != nil {
				return err
			}
			if err := c.printReport(out, report); err != nil {
				return err
			}
			return rejected(report)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` for the corpus")
	cmd.Flags().BoolVar(&config.Godoc, "godoc", false, "read the source tree of the Go installation")
	cmd.Flags().StringVar(&goroot, "goroot", "", "`DIR` of the Go installation; empty: the one that runs")
	cmd.Flags().Int64Var(&config.MaxBytes, "max-bytes", 0, "with --godoc, keep so many bytes of the files richest in comments; 0: all")
	cmd.Flags().Float64Var(&config.Shares.Validation, "validation", config.Shares.Validation, "share of documents held out to measure on")
	cmd.Flags().Float64Var(&config.Shares.Test, "test", config.Shares.Test, "share of documents held out from everything")
	cmd.Flags().IntVar(&config.MinBytes, "min-bytes", 0, "refuse documents smaller than this")
	cmd.Flags().IntVar(&config.MaxDocument, "max-document", corpus.DefaultMaxDocument, "refuse documents larger than this, in bytes")
	cmd.Flags().IntVar(&config.Cut, "cut", 0, "cut text files into documents of at most so many bytes; 0: one document a file")
	cmd.Flags().BoolVar(&config.Compress, "compress", false, "write the documents compressed (zstd)")
	c.jsonFlag(cmd)
	return cmd
}

func buildCorpus(ctx context.Context, out string, sources []corpus.Source, inputs map[string]string, config corpusConfig) (*artifact.Manifest, error) {
	stage, err := artifact.Begin(out, "corpus", config)
	if err != nil {
		return nil, err
	}
	for role, path := range inputs {
		if err := stage.AddInput(role, path); err != nil {
			return nil, err
		}
	}
	options := corpus.Options{Out: out, Shares: &config.Shares, MinBytes: config.MinBytes, Compress: config.Compress}
	report, err := corpus.Build(ctx, sources, options)
	if err != nil {
		return nil, err
	}
	stage.Manifest.Notes = report.Warnings
	return stage.Finish()
}

// outside refuses a corpus that would lie in a folder that it reads.
func outside(out, root string) error {
	to, err := filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("choosing --out %s: %w", out, err)
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

func newCorpusShowCommand(c *call) *cobra.Command {
	var split string
	var documents int
	cmd := &cobra.Command{
		Use:     "show DIR",
		Short:   "Show what a corpus holds and what it refused",
		Long:    "Show the report of a corpus, and with -n the beginnings of its first documents.",
		Example: examples("alma corpus show corpus", "alma corpus show corpus -n 5 --split validation"),
		Args:    arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			report, err := corpus.ReadReport(args[0])
			if err != nil {
				return err
			}
			if !slices.Contains(corpus.Splits, corpus.Split(split)) {
				return artifact.Errorf(artifact.ErrUsage, "showing corpus %s: --split %q is none of %v", args[0], split, corpus.Splits)
			}
			if err := c.printReport(args[0], report); err != nil {
				return err
			}
			return c.printDocuments(documentsPath(args[0], report, corpus.Split(split)), documents)
		},
	}
	cmd.Flags().StringVar(&split, "split", string(corpus.Train), "split whose documents are shown")
	cmd.Flags().IntVarP(&documents, "documents", "n", 0, "show the beginnings of so many documents")
	c.jsonFlag(cmd)
	return cmd
}

func (c *call) printDocuments(path string, n int) error {
	if n <= 0 {
		return nil
	}
	for doc, err := range corpus.Documents(path) {
		if err != nil {
			return err
		}
		const shown = 300
		if c.json {
			if err := c.printJSON(doc); err != nil {
				return err
			}
		} else {
			text, dots := doc.Text, ""
			if len(text) > shown {
				text, dots = text[:shown], " …"
			}
			c.printf("\n--- %s (%s bytes)\n%s%s\n", doc.ID, progress.Count(int64(len(doc.Text))), printable(text), dots)
		}
		if n--; n == 0 {
			break
		}
	}
	return nil
}

func (c *call) printReport(folder string, r *corpus.Report) error {
	if c.json {
		return c.printJSON(r)
	}
	c.printf("corpus %s\n", folder)
	for _, source := range r.Sources {
		c.printf("  from %s\n", source)
	}
	for _, s := range r.Splits {
		c.printf("  %-12s %9s documents  %8s of text  %7s groups\n", s.Split, progress.Count(int64(s.Documents)), progress.Bytes(s.Bytes), progress.Count(int64(s.Groups)))
	}
	for _, x := range r.Refused {
		c.printf("  refused: %-28s %9s  %8s", x.Reason, progress.Count(int64(x.Refused)), progress.Bytes(x.Bytes))
		if len(x.Examples) > 0 {
			c.printf("  such as %s at byte %d", x.Examples[0].File, x.Examples[0].Offset)
		}
		c.printf("\n")
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	return nil
}

// badInput are the reasons for which input was refused that its owner meant
// to be taken.
var badInput = []corpus.Reason{
	corpus.Binary, corpus.BadUTF8, corpus.TooLarge, corpus.BadJSON, corpus.NoText, corpus.BadArchive, corpus.Bomb, corpus.Unreadable,
}

// rejected is an artifact.ErrSomeRejected if bad input was refused.
func rejected(r *corpus.Report) error {
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
