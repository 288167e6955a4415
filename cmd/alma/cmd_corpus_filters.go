package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/corpus/filter"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/recipe"
)

func newCorpusFiltersCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use:   "filters [NAME]",
		Short: "List the filters of documents, or the settings of one",
		Long: `List the filters that a corpus may be made with, in the order in which they are best
applied; with a name, its settings and their defaults.`,
		Example: examples("alma corpus filters", "alma corpus filters gopher_quality"),
		Args:    arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				for _, e := range filter.Entries {
					c.printf("%-18s %s\n%-18s %s\n", e.Name, e.Does, "", e.Paper)
				}
				return nil
			}
			entry, ok := filter.EntryOf(args[0])
			if !ok {
				_, err := filter.ParseSpec(args[0])
				return artifact.Mark(artifact.ErrUsage, fmt.Errorf("showing a filter: %w", err))
			}
			fields, err := recipe.Describe(entry.Defaults())
			if err != nil {
				return err
			}
			c.printf("%s: %s; after %s\n\n%s", entry.Name, entry.Does, entry.Paper, describeFields(fields))
			return nil
		},
	}
}

// mostExplained bounds a text that is explained, in bytes.
const mostExplained = corpus.DefaultMaxDocument

func newCorpusExplainCommand(c *call) *cobra.Command {
	var specs []string
	cmd := &cobra.Command{
		Use:   "explain FILE | CORPUS DOCUMENT",
		Short: "Show what filters measure of a text, and why it would be dropped",
		Long: `Show every value that filters measure of one text, beside its limit: of a file, of
standard input (-), or of a document of a corpus by its name. Without --filter those that
the corpus was made with, or all.`,
		Example: examples("alma corpus explain page.txt", "alma corpus explain - --filter 'gopher_quality min_words=30' < page.txt", "alma corpus explain corpus a/page.txt"),
		Args:    arguments(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			text, id, made, err := explained(args)
			if err != nil {
				return err
			}
			list := made
			if len(specs) > 0 || len(list) == 0 {
				list = nil
				if len(specs) == 0 {
					for _, e := range filter.Entries {
						specs = append(specs, e.Name)
					}
				}
				for _, text := range specs {
					spec, err := filter.ParseSpec(text)
					if err != nil {
						return artifact.Mark(artifact.ErrUsage, fmt.Errorf("choosing filters: %w", err))
					}
					list = append(list, spec.Filter())
				}
			}
			explained := list.Explain(text, corpus.Facts(id))
			if c.json {
				return c.printJSON(explained)
			}
			for _, e := range explained {
				verdict := "stays"
				switch {
				case e.Refused:
					verdict = "refused"
				case len(e.Values) == 0:
					verdict = "does not concern it"
				case e.Changed:
					verdict = "stays, changed"
				}
				c.printf("%-18s %s\n", e.Filter, verdict)
				for _, v := range e.Values {
					mark := " "
					if v.Beyond() {
						mark = "✗"
					}
					c.printf("  %s %s\n", mark, progress.Printable(v.String()))
				}
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&specs, "filter", nil, "`NAME KEY=VALUE …` of a filter; may be repeated")
	c.jsonFlag(cmd)
	return cmd
}

// explained reads the text that is to be explained: a file's, standard input's, or a
// document's, whose corpus says with which filters it was made.
func explained(args []string) (text, id string, made filter.List, err error) {
	if len(args) == 2 {
		report, err := corpus.ReadReport(args[0])
		if err != nil {
			return "", "", nil, err
		}
		for _, split := range report.Splits {
			for d, err := range corpus.Documents(filepath.Join(args[0], filepath.FromSlash(split.File))) {
				if err != nil {
					return "", "", nil, err
				}
				if d.ID == args[1] {
					made, err := corpus.FiltersOf(args[0])
					return d.Text, d.ID, made, err
				}
			}
		}
		return "", "", nil, artifact.Errorf(artifact.ErrNotFound, "explaining a document: the corpus %s has none that is called %q; alma corpus show %s -n 10 shows some, and what was dropped is told from its file", args[0], args[1], args[0])
	}
	from := io.Reader(os.Stdin)
	if args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return "", "", nil, fmt.Errorf("opening a text: %w", err)
		}
		defer file.Close()
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, mostExplained+1))
	if err != nil {
		return "", "", nil, fmt.Errorf("reading a text: %w", err)
	}
	if len(data) > mostExplained {
		return "", "", nil, artifact.Errorf(artifact.ErrUsage, "reading %s: it is longer than %s; give one document", args[0], progress.Bytes(mostExplained))
	}
	if text = string(data); strings.ToValidUTF8(text, "") != text {
		return "", "", nil, artifact.Errorf(artifact.ErrUsage, "reading %s: it is not UTF-8 text", args[0])
	}
	return text, filepath.Base(args[0]), nil, nil
}
