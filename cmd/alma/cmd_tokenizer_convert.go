package main

import (
	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func newTokenizerConvertCommand(c *call) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "convert TOKENIZER --out DIR",
		Short: "Write a tokenizer of any kind as Hugging Face's files",
		Long: `Read a tokenizer of any kind and write it as tokenizer.json with its
neighbours, which Hugging Face's tokenizers and transformers open.`,
		Example: examples("alma tokenizer convert tokenizer.model --out tokenizer", "alma tokenizer convert cl100k_base.tiktoken --out cl100k"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "out"); err != nil {
				return err
			}
			f := stageFolder{out, "tokenizer", struct {
				Convert string `json:"convert"`
			}{args[0]}, map[string]string{"tokenizer": args[0]}}
			manifest, err := c.stage(f, func() (*artifact.Manifest, error) {
				t, err := model.LoadTokenizer(args[0])
				if err != nil {
					return nil, err
				}
				stage, err := artifact.Begin(out, f.kind, f.config)
				if err != nil {
					return nil, err
				}
				if err := stage.AddInput("tokenizer", args[0]); err != nil {
					return nil, err
				}
				return finishTokenizer(stage, t)
			})
			return c.finish(out, manifest, err)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` for the tokenizer")
	c.jsonFlag(cmd)
	return cmd
}

// finishTokenizer writes a tokenizer's files into its stage's folder and finishes
// the stage.
func finishTokenizer(stage *artifact.Stage, t *tokenizer.Tokenizer) (*artifact.Manifest, error) {
	files, err := t.Files()
	if err != nil {
		return nil, err
	}
	var names []string
	for name, data := range files {
		if err := artifact.WriteFile(stage.Path(name), data); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return stage.Finish(names...)
}
