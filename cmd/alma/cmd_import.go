package main

import (
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/embed"
	"github.com/seed-b72bdb6c/alma/export"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

func newImportCommand(c *call) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "import PATH|FILE.gguf --out DIR",
		GroupID: groupMake,
		Short:   "Make a model of others one of alma's",
		Long: `Check a Hugging Face folder or a GGUF file, and write it as a model folder of
alma's: float32 weights in one model.safetensors, config.json, the tokenizer, the
chat template, and an artifact.json with the hash of what was read, from which
the stages that follow trace their line.

Every verb that takes a model also takes the folder or the file directly; an
import does the checking once, dequantises once, and keeps a copy.`,
		Example: examples(
			"alma import SmolLM2-135M-Instruct.Q4_1.gguf --out smollm2",
			"alma import Qwen3-0.6B/ --out qwen3"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "out"); err != nil {
				return err
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			source := args[0]
			f := stageFolder{out, "import", struct{}{}, map[string]string{"source": source}}
			manifest, err := c.stage(f, func() (*artifact.Manifest, error) {
				stage, err := artifact.Begin(out, f.kind, f.config)
				if err != nil {
					return nil, err
				}
				if err := stage.AddInput("source", source); err != nil {
					return nil, err
				}
				m, tok, err := openModel(engine, source)
				if err != nil {
					return nil, err
				}
				template, err := chat.For(tok)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", source, err)
				}
				if err := train.SaveModel(out, source, m, tok, 1, chat.Ends(tok, template, m.EndTokens()...)); err != nil {
					return nil, err
				}
				if err := embed.CopySettings(source, out); err != nil {
					return nil, err
				}
				stage.Manifest.Metrics = artifact.Metrics{
					"parameters": float64(m.ParameterCount()), "vocabulary": float64(m.Vocabulary), "context": float64(m.Context), "layers": float64(m.Layers), "width": float64(m.Width),
				}
				stage.Manifest.Extra = map[string]string{"family": string(m.Family), "head": string(m.Head), "format": "hf"}
				maps.Copy(stage.Manifest.Extra, export.About(source).Card())
				if model.IsGGUF(source) {
					stage.Manifest.Extra["format"] = "gguf"
				}
				return stage.Finish()
			})
			return c.finish(out, manifest, err)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` for the model")
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}
