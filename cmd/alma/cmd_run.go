package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/recipe/godoc"
	"github.com/seed-b72bdb6c/alma/report"
)

func newRunCommand(c *call) *cobra.Command {
	var out string
	var budget time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use:     "run RECIPE",
		GroupID: groupMake,
		Short:   "Take a model through its whole life, as a recipe says",
		Long: `Take a model through every stage of a recipe, write a report about it, and say
how to chat with it. A recipe is one YAML file; recipes/godoc.yaml shows what it
may hold. Its budget decides how large the model is and how long it learns.

The folder of the run, runs/NAME, receives a folder for each stage, recipe.json
(every value and where it comes from), report.html and report.md. Given again,
the command leaves out the stages whose configuration and inputs did not change,
and goes on with one that was interrupted. A value that changed, in the recipe
or by --set, has its stage and all later ones done again.

The report holds the run against thresholds. A threshold that is missed is
shown and is no failure.`,
		Example: examples(
			"alma run recipes/godoc.yaml",
			"alma run recipes/godoc.yaml --dry-run",
			"alma run recipes/godoc.yaml --budget 12h --out runs/night",
			"alma run recipes/godoc.yaml --out runs/mine --set rankings.file=rankings.jsonl --set ppo.beta=0.05"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options := recipe.Options{Set: c.set, Derive: godoc.Derive}
			if cmd.Flags().Changed("budget") {
				options.Set = append(options.Set, "budget="+budget.String())
			}
			if cmd.Flags().Changed("seed") {
				options.Set = append(options.Set, "seed="+strconv.FormatUint(c.seed, 10))
			}
			if cmd.Flags().Changed("precision") {
				options.Set = append(options.Set, "precision="+c.precision)
			}
			config := godoc.Defaults()
			resolved, err := recipe.Load(args[0], &config, options)
			if err != nil {
				return err
			}
			c.precision = config.Precision
			if out == "" {
				if !filepath.IsLocal(config.Name) {
					return artifact.Errorf(artifact.ErrUsage, "choosing the folder of the run: the recipe's name %q is no name of a folder below runs; change it, or give --out", config.Name)
				}
				out = filepath.Join("runs", config.Name)
			}
			if dry {
				return c.dryRun(config, resolved)
			}
			return c.run(cmd.Context(), config, resolved, out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` of the run; if not given, runs/NAME with the recipe's name")
	cmd.Flags().DurationVar(&budget, "budget", 0, "time that the run may take on two cores, such as 15m or 12h; as --set budget=TIME")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show every value with its origin and what the run would take, and run nothing")
	c.checkpointFlag(cmd)
	c.setFlag(cmd)
	c.seedFlag(cmd, "seed of everything random, as --set seed=N")
	c.engineFlags(cmd)
	return cmd
}

// dryRun shows what a run would do.
func (c *call) dryRun(config godoc.Config, resolved *recipe.Resolved) error {
	engine, err := c.newEngine()
	if err != nil {
		return err
	}
	defer engine.Close()
	plan, err := godoc.NewPlan(config, engine.MeasurePeak()*1e9)
	if err != nil {
		return err
	}
	if err := resolved.Print(c.out); err != nil {
		return err
	}
	c.printf("\n")
	return plan.Print(c.out)
}

// run takes the folder through the recipe and reports on it.
func (c *call) run(ctx context.Context, config godoc.Config, resolved *recipe.Resolved, out string) error {
	return c.folder(out, nil, func() error {
		if _, err := artifact.CleanTemporaries(out); err != nil {
			return err
		}
		env, engine, err := c.environment()
		if err != nil {
			return err
		}
		defer engine.Close()
		for _, v := range resolved.Values {
			if v.Origin.Kind == recipe.Derived {
				env.Log.Printf("%s: %s (%s)", v.Key, v.Text, v.Origin)
			}
		}
		if err := godoc.SaveRecipe(out, config, resolved); err != nil {
			return err
		}
		if err := godoc.Run(ctx, env, config, out); err != nil {
			return err
		}
		return c.report(out)
	})
}

// report writes the report of a run folder, and shows what came out.
func (c *call) report(out string) error {
	outcomes, err := godoc.WriteReport(out)
	if err != nil {
		return err
	}
	met, held := 0, 0
	for _, o := range outcomes {
		line := fmt.Sprintf("  %s %-46s %s", o.Mark(), o.Name, o.Measured)
		switch o.Status {
		case report.Shown:
			continue // the report has it
		case report.Passed:
			met++
		}
		held++
		c.printf("%s (%s)\n", line, o.Threshold)
	}
	c.printf("\n%d of %d thresholds are met. They are about a written style that RLHF is to enforce;\nthat a model of this size writes true documentation, none of them shows.\n\n", met, held)
	c.printf("report  %s\nchat    go run ./cmd/alma chat %s\n", filepath.Join(out, report.HTMLFile), quoted([]string{filepath.ToSlash(filepath.Join(out, "ppo"))}))
	return nil
}
