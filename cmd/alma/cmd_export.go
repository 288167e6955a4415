package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/export"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
)

func newExportCommand(c *call) *cobra.Command {
	var o export.Options
	cmd := &cobra.Command{
		Use:     "export MODEL --format hf|gguf --out PATH",
		GroupID: groupUse,
		Short:   "Write a model for the tools of others",
		Long: `Write a model as a Hugging Face folder (transformers, vLLM) or as a GGUF file
(llama.cpp, ollama), with a model card (README.md) that tells its data, training,
evaluation and lineage, and a Modelfile for ollama. PATH is a folder; for GGUF also
a path that ends in .gguf, beside which the other two files lie.

What was written is opened again and compared with the model: every weight, six
conversations in its chat template, and of a language model the logits of a text
and 64 greedy tokens. As f32 all must be the same; otherwise the weights must be
the model's rounded to the type, and the rest is reported. A difference is exit
code 5.

Types of a GGUF file, by llama.cpp's names, and about how many bits a weight takes:

  f32 32, f16 and bf16 16, q8_0 8.5, q6_k 6.6, q5_k_m 5.7, q4_1 5, q4_k_m 4.8, q4_0 4.5

A quantisation is a mixture: of q4_k_m, say, the matrix of the logits and some others
get 6 bits. Where the rows of a matrix are no multiple of a type's blocks it gets
another type, which is told. What a type costs is measured on a text: perplexity of
the model and of what was written, by windows as of alma eval perplexity. The text is
--text, or for a quantised file the validation text that the model's pretraining left,
if it is still there. A matrix that a quantised file held, unchanged since, keeps its
blocks if it gets the same type again.`,
		Example: examples(
			"alma export runs/godoc/ppo --format gguf --dtype q8_0 --out godoc.gguf",
			"alma export model --format gguf --dtype q4_k_m --text wiki.test.raw --out small/model.gguf",
			"alma export model --format hf --dtype bf16 --out published"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "format", "out"); err != nil {
				return err
			}
			o.Source, o.Type = args[0], strings.ToLower(o.Type) // llama.cpp writes Q4_K_M
			if err := o.Check(); err != nil {
				return err
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			m, tok, err := openModel(engine, o.Source)
			if err != nil {
				return err
			}
			if o.Text == "" && o.Quantized() && m.Head == model.LanguageModel {
				o.Text = export.ValidationText(o.Source, tok)
			}
			display := progress.New(os.Stderr)
			defer display.Done()
			o.Progress = func(done, all int) {
				display.Show(progress.Line{Label: "perplexity windows", Done: int64(done), Total: int64(all)})
			}
			report, err := export.Write(cmd.Context(), m, tok, o)
			display.Done()
			if report != nil {
				err = errors.Join(err, c.printExport(report))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&o.Format, "format", "", "`hf|gguf`")
	cmd.Flags().StringVar(&o.Type, "dtype", "f32", "type of the weights: `"+strings.Join(export.TypesOf(export.HuggingFace), "|")+"`, and of GGUF also those above")
	cmd.Flags().StringVar(&o.Text, "text", "", "text to measure the type's cost in perplexity on: `FILE`, or a folder of token shards")
	cmd.Flags().IntVar(&o.MaxTokens, "max-tokens", export.DefaultTokens, "use only so many tokens from the text's beginning")
	cmd.Flags().StringVar(&o.Out, "out", "", "`PATH` to write")
	acceptFlag(cmd)
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

func (c *call) printExport(r *export.Report) error {
	if c.json {
		return c.printJSON(r)
	}
	c.printf("wrote %s (%s, %s, %s)\n", r.Path, r.Format, r.Type, progress.Bytes(r.Bytes))
	for _, note := range r.Notes {
		c.printf("  note: %s\n", note)
	}
	k := r.Check
	c.printf("opened again and compared with the model:\n  weights         %s", k.Weights)
	if k.WeightError > 0 {
		c.printf("; relative error %.2g %%", 100*k.WeightError)
	}
	c.printf("\n")
	if k.Logits > 0 {
		equal := "equal"
		if !k.LogitsEqual {
			equal = "different"
		}
		c.printf("  logits          %s: of %s the largest difference is %.3g, the mean divergence %.3g nats, the most likely token the same at %.1f %% of positions\n",
			equal, progress.Count(int64(k.Logits)), k.LargestLogit, k.KL, 100*k.TopEqual)
		c.printf("  greedy tokens   %d of %d equal\n", k.GreedyEqual, k.Greedy)
	}
	mixture, _ := file.MixtureOf(r.Type)
	switch {
	case k.Cost != nil:
		c.printf("  cost            %s\n", k.CostText())
	case mixture.Quantized():
		c.printf("  cost            not measured; --text FILE measures it\n")
	}
	c.printf("  conversations   %d of 6 rendered to the same bytes and ids", k.Conversations)
	if k.Refused > 0 {
		c.printf(", %d of them refused by the template in both", k.Refused)
	}
	c.printf("\n")
	if r.Template != "" && r.Template != "written" {
		c.printf("Modelfile: TEMPLATE %s\n", r.Template)
	}
	return nil
}
