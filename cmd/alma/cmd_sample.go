package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// sampleSlots is how many texts are written side by side. It changes no text.
const sampleSlots = 32

func newSampleCommand(c *call) *cobra.Command {
	var how dataset.Reading
	var s generate.Sampling
	var text, prefill, file string
	var k int
	var plain bool
	cmd := &cobra.Command{
		Use:     "sample MODEL --prompt TEXT | --prompts FILE",
		GroupID: groupUse,
		Short:   "Let a model answer prompts",
		Long: `Sample K completions for a prompt, or for each prompt of a file:

  {"prompt":"Name a colour."}
  {"messages":[{"role":"user","content":"Name a colour."}],"prefill":"Blue"}

Dialogues serve as well, without their last answers. A prompt is the user's turn of a
dialogue, in the model's chat form; with
--plain it is text that the model continues, as a pretrained model expects, behind
the token that its tokenizer puts before a text, if any.

What is sampled depends on the model, the settings, the seed, the prompt and the
number of the sample alone, not on what else is sampled in the same call. A text
also ends before a stop string that the model's generation_config.json names. With
--json a line is written for each prompt, with its completions: add "ranks" to it
and it is a line of a rankings file.`,
		Example: examples(
			"alma sample model --prompt 'Name a colour.' -n 4",
			"alma sample base --plain --prompt 'package main' --temp 0.8 --max-tokens 100",
			"alma sample model --prompts prompts.jsonl -n 4 --json > answers.jsonl"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if k < 1 {
				return artifact.Errorf(artifact.ErrUsage, "sampling: -n is %d, want 1 or more", k)
			}
			s.Seed = c.seed
			if err := s.Validate(); err != nil {
				return err
			}
			var f *dataset.File[dataset.Prompt]
			var err error
			switch given := cmd.Flags().Changed; {
			case given("prompt") == given("prompts"):
				return artifact.Errorf(artifact.ErrUsage, "sampling: give either --prompt TEXT or --prompts FILE")
			case given("prompts") && (plain || given("prefill")):
				return artifact.Errorf(artifact.ErrUsage, "sampling: --plain and --prefill go with --prompt; a file's prompts have their own prefill")
			case plain && given("prefill"):
				return artifact.Errorf(artifact.ErrUsage, "sampling: --plain has no turns that --prefill could begin; put the text into --prompt")
			case given("prompts"):
				if f, err = dataset.ReadPrompts(file, how); err != nil {
					return err
				}
			default:
				one := dataset.UserPrompt(text, prefill)
				if err := one.Check(); err != nil {
					return artifact.Mark(artifact.ErrUsage, fmt.Errorf("sampling: %w", err))
				}
				f = &dataset.File[dataset.Prompt]{Rows: []dataset.Prompt{one}, Lines: []int{1}, Account: dataset.Given("prompts", "--prompt")}
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			m, t, err := openModel(engine, args[0])
			if err != nil {
				return err
			}
			if err := recommended(cmd, args[0], m, &s); err != nil {
				return err
			}
			var template *chat.Template // nil for plain text
			if !plain {
				if template, err = chat.For(t); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
			}
			var requests []generate.Request
			longest := 0
			err = f.Keep(func(_ int, p dataset.Prompt) error {
				ids, err := promptTokens(t, template, p)
				if err != nil {
					return err
				}
				if len(ids) >= m.Context {
					return fmt.Errorf("the prompt has %d tokens, and the model's context of %d leaves no room for an answer; shorten the prompt", len(ids), m.Context)
				}
				longest = max(longest, len(ids))
				for sample := range k {
					requests = append(requests, generate.Request{Prompt: ids, Sample: sample})
				}
				return nil
			})
			if err != nil {
				return err
			}
			s.Stop = chat.Ends(t, template, m.EndTokens()...)
			s.Banned = chat.Banned(t, template, s.Stop, m.Vocabulary)
			stops := chat.StopStrings(m.Generation.StopStrings)
			s.Until = stops.Until(t)
			g, err := generate.New(m, min(sampleSlots, len(requests)), min(m.Context, longest+s.MaxTokens))
			if err != nil {
				return err
			}
			if err := c.sample(cmd, g, t, f.Rows, requests, s, stops); err != nil || !cmd.Flags().Changed("prompts") {
				return err
			}
			return told(f.Account)
		},
	}
	cmd.Flags().StringVarP(&text, "prompt", "p", "", "`TEXT` of the prompt")
	cmd.Flags().StringVar(&prefill, "prefill", "", "`TEXT` that the answer begins with")
	cmd.Flags().StringVar(&file, "prompts", "", "`FILE` of prompts")
	readingFlags(cmd, &how, dataset.Skip)
	cmd.Flags().BoolVar(&plain, "plain", false, "continue the text of --prompt instead of answering it")
	cmd.Flags().IntVarP(&k, "samples", "n", 1, "completions of each prompt")
	c.samplingFlags(cmd, &s, 1, 128)
	acceptFlag(cmd)
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// samplingFlags are the flags of verbs that sample.
func (c *call) samplingFlags(cmd *cobra.Command, s *generate.Sampling, temperature float64, maxTokens int) {
	const unless = "; unless given, what the model's files recommend"
	cmd.Flags().Float64Var(&s.Temperature, "temp", temperature, "temperature; 0 takes the most likely token"+unless)
	cmd.Flags().IntVar(&s.TopK, "top-k", 0, "sample from the k most likely tokens; 0: from all"+unless)
	cmd.Flags().Float64Var(&s.TopP, "top-p", 1, "sample from the most likely tokens that reach this probability"+unless)
	cmd.Flags().Float64Var(&s.MinP, "min-p", 0, "sample from the tokens at least this share as likely as the most likely one; 0: from all"+unless)
	cmd.Flags().Float64Var(&s.RepetitionPenalty, "repeat-penalty", 1, "divide the logits of tokens that prompt or answer hold by this (multiply those below 0); 1: none"+unless)
	cmd.Flags().IntVar(&s.MaxTokens, "max-tokens", maxTokens, "longest answer, in tokens")
	c.seedFlag(cmd, "seed of the random numbers")
}

// recommended fills in the sampling that a model's files recommend, where no flag
// gives any of it, and says so.
func recommended(cmd *cobra.Command, path string, m *model.Model, s *generate.Sampling) error {
	if slices.ContainsFunc([]string{"temp", "top-k", "top-p", "min-p", "repeat-penalty"}, cmd.Flags().Changed) {
		return nil
	}
	g, before := m.Generation, *s
	for _, of := range []struct {
		said *float64
		into *float64
	}{{g.Temperature, &s.Temperature}, {g.TopP, &s.TopP}, {g.MinP, &s.MinP}, {g.RepetitionPenalty, &s.RepetitionPenalty}} {
		if of.said != nil {
			*of.into = *of.said
		}
	}
	if g.TopK != nil {
		s.TopK = *g.TopK
	}
	if flags := fmt.Sprintf("--temp %g --top-k %d --top-p %g", s.Temperature, s.TopK, s.TopP); s.Temperature != before.Temperature || s.TopK != before.TopK || s.TopP != before.TopP || s.MinP != before.MinP || s.RepetitionPenalty != before.RepetitionPenalty {
		if s.MinP != before.MinP {
			flags += fmt.Sprintf(" --min-p %g", s.MinP)
		}
		if s.RepetitionPenalty != before.RepetitionPenalty {
			flags += fmt.Sprintf(" --repeat-penalty %g", s.RepetitionPenalty)
		}
		fmt.Fprintf(os.Stderr, "sampling as %s recommends: %s\n", path, flags)
	}
	return s.Validate()
}

// promptTokens are a prompt's. Text that is continued begins with what the tokenizer
// puts before a text: a model that learned with it writes nonsense without.
func promptTokens(t *tokenizer.Tokenizer, template *chat.Template, p dataset.Prompt) ([]int32, error) {
	if template == nil {
		return t.AppendEncode(chat.Begin(t), p.Text()), nil
	}
	return p.Render(template)
}

// sample runs the requests, K for each prompt, and prints the prompts in
// order, each once its completions and those of the prompts before are there.
func (c *call) sample(cmd *cobra.Command, g *generate.Generator, t *tokenizer.Tokenizer, prompts []dataset.Prompt, requests []generate.Request, s generate.Sampling, stops chat.StopStrings) error {
	k := len(requests) / len(prompts)
	display := progress.New(os.Stderr)
	lines := make([]dataset.Answers, len(prompts))
	missing := make([]int, len(prompts))
	for i, p := range prompts {
		missing[i] = k
		lines[i] = dataset.Answers{Prompt: p, Completions: make([]string, k), Ended: make([]bool, k)}
	}
	next, done := 0, 0
	err := g.Run(cmd.Context(), requests, s, func(i int, completion generate.Completion) error {
		line := &lines[i/k]
		text, err := t.Text(completion.Tokens)
		if err != nil {
			return err
		}
		line.Completions[i%k], _ = stops.Cut(text)
		line.Ended[i%k] = completion.Ended
		missing[i/k]--
		if done++; len(requests) > sampleSlots {
			display.Show(progress.Line{Label: "completions", Done: int64(done), Total: int64(len(requests))})
		}
		for ; next < len(prompts) && missing[next] == 0; next++ {
			if err := c.printSample(lines[next]); err != nil {
				return err
			}
		}
		return nil
	})
	display.Done()
	return err
}

func (c *call) printSample(line dataset.Answers) error {
	if c.json {
		return c.printJSON(line)
	}
	c.printf("> %s\n", strings.ReplaceAll(progress.Printable(line.Prompt.Text()), "\n", "\n> "))
	for i, text := range line.Completions {
		cut := ""
		if !line.Ended[i] {
			cut = " […]"
		}
		c.printf("%s%s%s\n\n", progress.Printable(line.Prompt.Prefill), progress.Printable(text), cut)
	}
	return nil
}
