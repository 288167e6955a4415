package main

import (
	"context"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/report"
)

func newRunCommand(c *call) *cobra.Command {
	var out string
	var budget time.Duration
	var dry bool
	var which recipe.Selection
	cmd := &cobra.Command{
		Use:     "run RECIPE",
		GroupID: groupMake,
		Short:   "Take a model through its whole life, as a recipe says",
		Long: `Take a model through the stages that a recipe lists, and write a report about it.
A recipe is one YAML file: stages by name, each with the kind of stage that it uses,
what it reads (another stage's name, or a path), and what differs from its defaults.
alma new has some to begin with; docs/recipes.md tells all.

The folder of the run, runs/NAME, receives a folder for each stage, recipe.json
(every value and where it comes from), report.html and report.md. Given again,
the command leaves out the stages whose configuration, code and inputs did not
change, says of the others what changed, and goes on with one that was interrupted.

With a budget the size of the model, its rates, tokens and steps follow from the time,
this machine's speed and the corpus; what the recipe sets stays as it is.

The recipe's thresholds are held against what the stages recorded. If one is missed,
the report is there all the same, and the exit code is 5.`,
		Example: examples(
			"alma run recipes/godoc.yaml",
			"alma run recipes/godoc.yaml --dry-run",
			"alma run recipes/godoc.yaml --budget 12h --out runs/night",
			"alma run assistant.yaml --until rankings",
			"alma run assistant.yaml --set ppo.beta=0.05"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options := recipe.Options{Set: c.set}
			if cmd.Flags().Changed("budget") {
				options.Set = append(options.Set, "budget="+budget.String())
			}
			if cmd.Flags().Changed("seed") {
				options.Set = append(options.Set, "seed="+strconv.FormatUint(c.seed, 10))
			}
			if cmd.Flags().Changed("precision") {
				options.Set = append(options.Set, "precision="+c.precision)
			}
			r, err := recipe.Load(args[0], options)
			if err != nil {
				return err
			}
			if out == "" {
				if !filepath.IsLocal(r.Name) {
					return artifact.Errorf(artifact.ErrUsage, "choosing the folder of the run: the recipe's name %q is no name of a folder below runs; change it, or give --out", r.Name)
				}
				out = filepath.Join("runs", r.Name)
			}
			c.precision = r.Precision
			if err := r.Check(cmd.Context(), out, which); err != nil {
				return err
			}
			if r.Budget > 0 {
				options.Derive = recipe.Budget(out, c.measuredPeak)
				if r, err = recipe.Load(args[0], options); err != nil {
					return err
				}
			}
			if dry {
				return c.dryRun(r, out, which)
			}
			return c.run(cmd.Context(), r, out, which)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` of the run; if not given, runs/NAME with the recipe's name")
	cmd.Flags().DurationVar(&budget, "budget", 0, "time that the run may take, such as 15m or 12h; as --set budget=TIME")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show every value with its origin and what the run would take, and run nothing")
	cmd.Flags().StringSliceVar(&which.Only, "only", nil, "run these `STAGES` alone, with commas between")
	cmd.Flags().StringVar(&which.From, "from", "", "begin with this `STAGE`")
	cmd.Flags().StringVar(&which.Until, "until", "", "end with this `STAGE`")
	c.checkpointFlag(cmd)
	c.setFlag(cmd)
	c.seedFlag(cmd, "seed of everything random, as --set seed=N")
	acceptFlag(cmd)
	c.engineFlags(cmd)
	return cmd
}

// measuredPeak is the machine's peak in FLOP/s, measured once; 0 if no engine can be
// had.
func (c *call) measuredPeak() float64 {
	if c.peak == 0 {
		engine, err := c.newEngine()
		if err != nil {
			return 0
		}
		defer engine.Close()
		c.peak = engine.MeasurePeak() * 1e9
	}
	return c.peak
}

// dryRun shows what a run would do.
func (c *call) dryRun(r *recipe.Recipe, out string, which recipe.Selection) error {
	engine, err := c.newEngine() // the flags may be wrong
	if err != nil {
		return err
	}
	engine.Close()
	plan, err := r.Plan(out, c.measuredPeak(), cpu.MemoryBound(), which)
	if err != nil {
		return err
	}
	if err := r.Resolved.Print(c.out); err != nil {
		return err
	}
	c.printf("\n")
	return plan.Print(c.out)
}

// run takes the folder through the recipe and reports on it.
func (c *call) run(ctx context.Context, r *recipe.Recipe, out string, which recipe.Selection) error {
	return c.folder(out, func() error {
		if _, err := artifact.CleanTemporaries(out); err != nil {
			return err
		}
		env, stop, err := c.environment(true)
		if err != nil {
			return err
		}
		defer stop()
		// A stage that cannot work as it is configured refuses here, not after hours.
		if _, err := r.Plan(out, 0, env.Memory, which); err != nil {
			return err
		}
		for _, v := range r.Resolved.Values {
			if v.Origin.Kind == recipe.Derived {
				env.Log.Printf("%s: %s (%s)", v.Key, v.Text, v.Origin)
			}
		}
		if err := r.Save(out); err != nil {
			return err
		}
		if err := r.Run(ctx, env, out, which); err != nil {
			return err
		}
		return c.report(out, out)
	})
}

// report writes the report of a run folder into a folder, and shows what came out. A threshold
// that is missed is an artifact.ErrCheckNotMet.
func (c *call) report(out, to string) error {
	page, err := recipe.WriteReport(out, to)
	if err != nil {
		return err
	}
	outcomes, met := page.Outcomes, 0
	for _, o := range outcomes {
		if o.Status == report.Passed {
			met++
		}
		c.printf("  %s %-46s %s (%s)\n", o.Mark(), o.Name, o.Measured, o.Threshold)
	}
	if len(outcomes) > 0 {
		c.printf("\n%d of %d thresholds are met.\n", met, len(outcomes))
	}
	c.printf("report  %s\n", filepath.Join(to, report.HTMLFile))
	if model := recipe.LastModel(out); model != "" {
		c.printf("chat    go run ./cmd/alma chat %s\n", quoted([]string{filepath.ToSlash(model)}))
	}
	if met < len(outcomes) {
		return artifact.Errorf(artifact.ErrCheckNotMet, "holding the run against its thresholds: %d of %d are missed", len(outcomes)-met, len(outcomes))
	}
	rejected, err := recipe.Rejected(out)
	if err != nil {
		return err
	}
	return leftOut(rejected)
}
