package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
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
	cmd.AddCommand(newCorpusShowCommand(c), newCorpusFiltersCommand(c), newCorpusExplainCommand(c))
	return cmd
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
			c.printf("\n--- %s (%s bytes)\n%s%s\n", doc.ID, progress.Count(int64(len(doc.Text))), progress.Printable(text), dots)
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
