package main

import (
	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train/pretrain"
)

func newPretrainCommand(c *call) *cobra.Command {
	var in pretrain.Inputs
	var out string
	cmd := &cobra.Command{
		Use:     "pretrain [RECIPE] --corpus DIR --tokenizer DIR --out DIR",
		GroupID: groupMake,
		Short:   "Train a model from random weights on a corpus",
		Long: `Train a model from random weights on the training text of a corpus: rows cut from
documents that end with <|endoftext|>. With objective causal a decoder foretells
the next token of each; with mlm an encoder (family bert) guesses tokens that were
hidden from it, for alma embed and alma classify. That needs a tokenizer with a
mask token: alma tokenizer train --encoder.

The configuration is that of the "pretrain" section of a recipe, or the
defaults, with --set for single keys:

` + describe(pretrain.Defaults()) + `
The folder receives the model in Hugging Face's layout, metrics.jsonl,
TensorBoard events, the token shards, and checkpoints; given again, an
interrupted command goes on from the last checkpoint with the same bits.`,
		Example: examples(
			"alma pretrain --corpus corpus --tokenizer tokenizer --out base",
			"alma pretrain --corpus corpus --tokenizer tokenizer --out base \\",
			"    --set layers=6 --set width=384 --set steps=5000 --seed 1",
			"alma pretrain recipes/encoder.yaml --corpus corpus --tokenizer tokenizer --out encoder"),
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "corpus", "tokenizer", "out"); err != nil {
				return err
			}
			s, err := c.configure(cmd, "pretrain", args)
			if err != nil {
				return err
			}
			f := stageFolder{out, "pretrain", s.Pretrain, map[string]string{"corpus": in.Corpus, "tokenizer": in.Tokenizer}}
			return c.trainStage(f, func(env stage.Environment) (*artifact.Manifest, error) {
				return pretrain.Run(cmd.Context(), env, s.Pretrain, in, out)
			})
		},
	}
	cmd.Flags().StringVar(&in.Corpus, "corpus", "", "`DIR` that alma corpus build wrote")
	cmd.Flags().StringVar(&in.Tokenizer, "tokenizer", "", "`DIR` with tokenizer.json")
	cmd.Flags().StringVar(&out, "out", "", "`DIR` for the model")
	c.stageFlags(cmd)
	return cmd
}
