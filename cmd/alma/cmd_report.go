package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/report"
)

func newReportCommand(c *call) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:     "report FOLDER",
		GroupID: groupUse,
		Short:   "Make the page of a stage, a run, or a folder of stages",
		Long: `Make report.html and report.md of what stands in a folder: curves, tables, samples before
and after, configuration, hashes, compute. report.html is one file that opens offline.

The folder is that of a run, of one stage of any kind, or one below which stages lie, each
of which then stands after what it was made from. A stage that is still training, or was
stopped amid it, is shown as far as it has come; nobody is kept waiting by that, and what
it does is not disturbed. Nothing is trained or measured.

Without --out the page is written into the folder itself, where it is no part of what the
stage made.`,
		Example: examples("alma report runs/godoc", "alma report mine/sft", "alma report mine --out page"),
		Args:    arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			folder := args[0]
			if _, err := os.Stat(folder); err != nil {
				return fmt.Errorf("opening the folder: %w", err)
			}
			if to == "" {
				to = folder
			}
			if recipe.IsRun(folder) {
				return c.report(folder, to)
			}
			if _, err := recipe.WriteReport(folder, to); err != nil {
				return err
			}
			c.printf("report  %s\n", filepath.Join(to, report.HTMLFile))
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "out", "", "`DIR` for the page; if not given, the folder itself")
	return cmd
}
