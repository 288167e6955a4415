package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/recipe"
)

func newReportCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use:     "report RUN",
		GroupID: groupUse,
		Short:   "Build the report of a run again",
		Long: `Build report.html and report.md of a run's folder, or of one stage's, again from
what its stages left there: curves, samples before and after, configuration, hashes, compute.
report.html is one file that opens offline. Nothing is trained or measured.`,
		Example: examples("alma report runs/godoc"),
		Args:    arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err != nil {
				return fmt.Errorf("opening the run: %w", err)
			}
			return c.folder(args[0], func() error {
				if !recipe.IsRun(args[0]) {
					return recipe.StageReport(args[0])
				}
				return c.report(args[0])
			})
		},
	}
}
