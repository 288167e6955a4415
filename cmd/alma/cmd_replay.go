package main

import (
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/evaluate"
)

func newReplayCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "replay FOLDER...",
		GroupID: groupCheck,
		Short:   "Compare with what PyTorch computed for the same model",
		Long: `Load golden folders through the ordinary import path and compare what alma
computes with what PyTorch computed and the folder holds: logits, loss, the
gradient by every parameter, ten AdamW steps, and a greedy continuation.

A folder has a model in Hugging Face's layout (config.json, model.safetensors),
forward.safetensors, gradients.safetensors and golden.json. The error of an
array is ‖a−b‖/‖b‖. A line is printed for each comparison; if one is beyond its
tolerance the exit code is 1, once all folders have been compared.`,
		Example: examples("alma replay testdata/golden/gpt2", "ALMA_CPU=portable alma replay golden/* --json"),
		Args:    arguments(1, -1),
		RunE: func(cmd *cobra.Command, folders []string) error {
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			failed, total := 0, 0
			for _, folder := range folders {
				if !c.json {
					c.printf("%s (%s)\n", folder, engine.Name())
				}
				_, err := evaluate.Replay(cmd.Context(), engine, folder, func(r evaluate.Comparison) {
					total++
					if !r.OK() {
						failed++
					}
					c.printComparison(folder, r)
				})
				if err != nil {
					return err
				}
			}
			if failed > 0 {
				return fmt.Errorf("replaying: %d of %d comparisons are beyond their tolerance", failed, total)
			}
			if !c.json {
				c.printf("all %d comparisons are within their tolerances\n", total)
			}
			return nil
		},
	}
	acceptFlag(cmd)
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

func (c *call) printComparison(folder string, r evaluate.Comparison) {
	if c.json {
		ok := r.OK()
		if math.IsNaN(r.Error) || math.IsInf(r.Error, 0) {
			r.Error = math.MaxFloat64 // JSON holds neither
		}
		c.printJSON(struct {
			Folder string `json:"folder"`
			evaluate.Comparison
			OK bool `json:"ok"`
		}{folder, r, ok})
		return
	}
	verdict := "ok  "
	if !r.OK() {
		verdict = "FAIL"
	}
	c.printf("  %s %-60s error %.2e, allowed %.0e", verdict, r.Name, r.Error, r.Tolerance)
	if r.Detail != "" {
		c.printf("  (%s)", r.Detail)
	}
	c.printf("\n")
}
