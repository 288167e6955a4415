package main

import (
	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train/sft"
)

func newSFTCommand(c *call) *cobra.Command {
	var in sft.Inputs
	var out string
	cmd := &cobra.Command{
		Use:     "sft [RECIPE] --base DIR --dialogues FILE --out DIR",
		GroupID: groupMake,
		Short:   "Fine-tune a model on dialogues",
		Long: `Fine-tune a model on dialogues, with a loss on what the assistant says and on
the token that ends its turn. Dialogues are JSON Lines:

  {"messages":[{"role":"user","content":"…"},{"role":"assistant","content":"…"}]}

Several dialogues share a row without seeing each other; those that do not fit
into a row are left out and counted.

The configuration is that of the "sft" section of a recipe, or the defaults,
with --set for single keys:

` + describe(sft.Defaults()) + `
The folder receives the model, metrics.jsonl, TensorBoard events and
checkpoints; given again, an interrupted command goes on from the last
checkpoint with the same bits.`,
		Example: examples(
			"alma sft --base base --dialogues train.jsonl --validation held-out.jsonl --out model",
			"alma sft --base base --dialogues train.jsonl --out model --set epochs=3 --set lr=5e-4"),
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "base", "dialogues", "out"); err != nil {
				return err
			}
			s, err := c.configure(cmd, "sft", args)
			if err != nil {
				return err
			}
			f := stageFolder{out, "sft", s.SFT, map[string]string{"base": in.Base, "dialogues": in.Train}}
			f.reads("validation", in.Validation)
			return c.trainStage(f, func(env stage.Environment) (*artifact.Manifest, error) {
				return sft.Run(cmd.Context(), env, s.SFT, in, out)
			})
		},
	}
	cmd.Flags().StringVar(&in.Base, "base", "", "`DIR` of the model to start from, with its tokenizer")
	cmd.Flags().StringVar(&in.Train, "dialogues", "", "JSONL `FILE` of dialogues to learn")
	cmd.Flags().StringVar(&in.Validation, "validation", "", "JSONL `FILE` of dialogues to measure on")
	cmd.Flags().StringVar(&out, "out", "", "`DIR` for the model")
	c.stageFlags(cmd)
	return cmd
}
