package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

func newMergeCommand(c *call) *cobra.Command {
	var base, out string
	cmd := &cobra.Command{
		Use:     "merge ADAPTER --out DIR",
		GroupID: groupMake,
		Short:   "Merge a low-rank adapter into its model",
		Long: `Merge a low-rank adapter (LoRA) into the model that it was trained on, giving a
whole model. The adapter is a folder in PEFT's layout: adapter_config.json and
adapter_model.safetensors, as alma leaves it in the folder adapter/ of a stage
that trained one (--set lora_rank=8), and as PEFT saves it. The model is the one
that adapter_config.json names, if --base does not name another.`,
		Example: examples(
			"alma merge model/adapter --out merged",
			"alma merge peft-adapter --base base --out merged"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "out"); err != nil {
				return err
			}
			adapter := args[0]
			if base == "" {
				var err error
				if base, err = baseOf(adapter); err != nil {
					return err
				}
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			f := stageFolder{out, "merge", struct{}{}, map[string]string{"base": base, "adapter": adapter}}
			manifest, err := c.stage(f, func() (*artifact.Manifest, error) {
				stage, err := artifact.Begin(out, f.kind, f.config)
				if err != nil {
					return nil, err
				}
				for role, path := range f.inputs {
					if err := stage.AddInput(role, path); err != nil {
						return nil, err
					}
				}
				m, tok, err := train.LoadModel(engine, base)
				if err != nil {
					return nil, err
				}
				if err := m.LoadAdapter(adapter); err != nil {
					return nil, err
				}
				if err := m.MergeAdapter(); err != nil {
					return nil, err
				}
				ends := chat.Ends(tok, nil)
				if m.Head == model.LanguageModel {
					template, err := chat.For(tok)
					if err != nil {
						return nil, fmt.Errorf("%s: %w", base, err)
					}
					ends = chat.Ends(tok, template, m.EndTokens()...)
				}
				if err := train.SaveModel(out, base, m, tok, 1, ends); err != nil {
					return nil, err
				}
				return stage.Finish()
			})
			return c.finish(out, manifest, err)
		},
	}
	cmd.Flags().StringVar(&base, "base", "", "`DIR` of the model that the adapter was trained on")
	cmd.Flags().StringVar(&out, "out", "", "`DIR` for the merged model")
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// baseOf returns the model that an adapter's folder names.
func baseOf(adapter string) (string, error) {
	path := filepath.Join(adapter, model.AdapterConfigFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("opening adapter: %w; give the folder that holds it, as adapter/ in that of a stage", err)
	}
	c, err := model.ParseAdapterConfig(path, data)
	if err != nil {
		return "", err
	}
	if c.Base == "" {
		return "", artifact.Errorf(artifact.ErrUsage, "reading %s: it names no model; give --base", path)
	}
	if _, err := os.Stat(c.Base); err != nil {
		return "", fmt.Errorf("opening the model that %s names: %w; give --base", path, err)
	}
	return c.Base, nil
}
