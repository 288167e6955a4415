package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/evaluate"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/stage"
)

func newEvalModelsCommand(c *call) *cobra.Command {
	files := map[string]*string{} // by input
	var out string
	fields, err := recipe.Describe(evaluate.Stage.Config())
	if err != nil {
		panic(err) // a tag in the program is wrong
	}
	cmd := &cobra.Command{
		Use:   "models MODEL... [--prompts FILE] [--text FILE] [--reward DIR] [--rankings FILE]",
		Short: "Hold models against each other",
		Long: `Measure models beside each other; the later ones are held against the first. What is
measured depends on what is given:

  --text      bits per byte and perplexity; windows overlap so that every token is scored
              once, or are those of llama.cpp (--set perplexity=halves)
  --prompts   how long answers are, how many end by themselves, how variously they begin,
              the KL of each later model from the first, and samples side by side
  --reward    with prompts: the reward of the answers, and how often a later model wins;
              without one, --set rule=length or --set rule=command
  --rankings  the share of pairs whose order a model's likelihood, and the reward model,
              foretell

Prompts are JSON Lines as of alma sample; dialogues serve as well, and their last turns
are then people's answers, against which the models are held too. Figures have 95 %
intervals. The same seed gives the same figures, whatever else runs beside.

The configuration, set with --set KEY=VALUE:

` + describeFields(fields) + `
With --out the folder receives evaluation.json; without, the figures are only shown.`,
		Example: examples(
			"alma eval models base model aligned --text held-out.txt",
			"alma eval models model aligned --prompts prompts.jsonl --reward reward --out evaluation",
			"alma eval models model aligned --prompts dialogues.jsonl --set rule=length --set words=30 --set temperatures=[1]",
			"alma eval models model aligned --rankings held-out.jsonl --reward reward --json"),
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := slices.Clone(c.set)
			if cmd.Flags().Changed("seed") {
				set = append(set, fmt.Sprintf("seed=%d", c.seed))
			}
			if cmd.Flags().Changed("precision") {
				set = append(set, "precision="+c.precision)
			}
			step, precision, err := recipe.Single(evaluate.Stage, "", set)
			if err != nil {
				return err
			}
			c.precision = precision
			config := *step.Config.(*evaluate.Config)
			in := stage.Inputs{"models": args}
			for name, path := range files {
				if *path != "" {
					in[name] = []string{*path}
				}
			}
			job := &stage.Job{Name: "evaluate", Stage: evaluate.Stage, Config: &config, In: in, Out: out}
			if err := job.CheckInputs(); err != nil {
				return err
			}
			if err := job.Check(cmd.Context(), nil); err != nil {
				return err
			}
			e, err := c.evaluate(cmd, job, config)
			if err != nil {
				return err
			}
			if c.json {
				return errors.Join(c.printJSON(e), leftOut(e.Rejected))
			}
			c.printEvaluation(e)
			return leftOut(e.Rejected)
		},
	}
	for _, input := range evaluate.Stage.Inputs {
		if input.Many {
			continue
		}
		files[input.Name] = cmd.Flags().String(input.Name, "", "`PATH` of "+input.Doc)
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` for the evaluation, to keep it")
	c.setFlag(cmd)
	c.seedFlag(cmd, "seed of the evaluation, as --set seed=N")
	acceptFlag(cmd)
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// evaluate runs the job, in its folder if it has one. A folder that holds just this
// evaluation already is read.
func (c *call) evaluate(cmd *cobra.Command, job *stage.Job, config evaluate.Config) (e evaluate.Evaluation, err error) {
	if job.Out != "" {
		standing, err := job.Standing()
		switch {
		case err != nil:
			return e, err
		case standing.Unchanged():
			fmt.Fprintf(os.Stderr, "evaluate: unchanged: %s is complete\n", job.Out)
			return evaluate.ReadEvaluation(job.Out)
		case standing.Complete():
			return e, artifact.Errorf(artifact.ErrUsage, "choosing --out %s: it holds a finished %s made otherwise (%s); give another folder, or delete this one to begin again", job.Out, standing.Manifest.Kind, strings.Join(standing.Changed, "; "))
		}
	}
	engine, err := c.newEngine()
	if err != nil {
		return e, err
	}
	defer engine.Close()
	env := stage.Environment{Engine: engine, Log: &progress.Log{Progress: progress.New(os.Stderr)}}
	if job.Out == "" {
		e, _, err = evaluate.Models(cmd.Context(), env, config, job.In)
		return e, err
	}
	if _, err := job.Run(cmd.Context(), env); err != nil {
		return e, err
	}
	return evaluate.ReadEvaluation(job.Out)
}

// printEvaluation shows tables, samples and notes.
func (c *call) printEvaluation(e evaluate.Evaluation) {
	for _, t := range e.Tables() {
		c.printTable(t)
		if t.Note != "" {
			c.printf("  (%s)\n", t.Note)
		}
	}
	for _, s := range e.Samples {
		c.printf("\n> %s\n", strings.ReplaceAll(progress.Printable(s.Prompt), "\n", "\n> "))
		width := len(evaluate.People)
		for _, a := range s.Answers {
			width = max(width, len([]rune(answerer(a))))
		}
		show := func(who, text string) {
			indent := "\n" + strings.Repeat(" ", width+4)
			c.printf("  %-*s  %s\n", width, who, strings.ReplaceAll(progress.Printable(strings.TrimSpace(text)), "\n", indent))
		}
		if s.Reference != "" {
			show(evaluate.People, s.Prefill+s.Reference)
		}
		for _, a := range s.Answers {
			text := s.Prefill + a.Text
			if !a.Ended {
				text += " […]"
			}
			show(answerer(a), text)
		}
	}
	if len(e.Notes) > 0 {
		c.printf("\n%s\n", strings.Join(e.Notes, "\n"))
	}
}

// answerer names a model at a temperature.
func answerer(a evaluate.SampleAnswer) string {
	return fmt.Sprintf("%s, %g", a.Model, a.Temperature)
}
