package sft

import (
	"context"
	"fmt"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// Stage is supervised fine-tuning as a stage.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "sft", Title: "Supervised fine-tuning",
	Does:     "Fine-tunes a language model on dialogues; only the assistant's tokens and the end token count in the loss.",
	Defaults: Defaults,
	Inputs: []stage.Input{
		{Name: "base", Kinds: stage.Of(stage.Model), Required: true, Doc: "the model to start from, with its tokenizer"},
		{Name: "dialogues", Kinds: stage.Of(stage.Dialogues), Required: true, Doc: "dialogues to learn, JSONL"},
		{Name: "validation", Kinds: stage.Of(stage.Dialogues), Doc: "dialogues to measure on, JSONL"},
	},
	Outputs: []stage.Output{{Kind: stage.Model, Doc: "the model"}},
	Check: func(_ context.Context, _ Config, in stage.Inputs) error {
		return stage.CheckFiles(in, func(path string) error { _, err := dataset.ReadDialogues(path); return err }, "dialogues", "validation")
	},
	Run: func(ctx context.Context, w *stage.Work, c Config) error {
		return run(ctx, w, c, Inputs{Base: w.In.Path("base"), Train: w.In.Path("dialogues"), Validation: w.In.Path("validation")})
	},
	Estimate: estimate,
	Charts: []stage.Chart{
		{Title: "Loss", Unit: "nats a token of the assistant", Curves: [][2]string{{"loss", "training"}, {"validation/loss", "validation"}}},
		train.GradientChart, train.RateChart,
	},
	Describe: func(d stage.Done, _ Config) (stage.Description, error) {
		return stage.Description{Notes: []string{fmt.Sprintf("%s dialogues; %s did not fit and were left out.",
			progress.Count(int64(d.Metric("dialogues"))), progress.Count(int64(d.Metric("dropped"))))}}, nil
	},
	Verb: &stage.Verb{
		Name:  "sft",
		Short: "Fine-tune a model on dialogues",
		Long: `Fine-tune a model on dialogues, with a loss on what the assistant says and on
the token that ends its turn. Dialogues are JSON Lines:

  {"messages":[{"role":"user","content":"…"},{"role":"assistant","content":"…"}]}

Several dialogues share a row without seeing each other; those that do not fit
into a row are left out and counted.`,
		After: `The folder receives the model, metrics.jsonl, TensorBoard events and
checkpoints; given again, an interrupted command goes on from the last
checkpoint with the same bits.`,
		Examples: []string{
			"alma sft --base base --dialogues train.jsonl --validation held-out.jsonl --out model",
			"alma sft --base base --dialogues train.jsonl --out model --set epochs=3 --set lr=5e-4",
		},
	},
})

func (in Inputs) paths() stage.Inputs {
	paths := stage.Inputs{"base": {in.Base}, "dialogues": {in.Train}}
	if in.Validation != "" {
		paths["validation"] = []string{in.Validation}
	}
	return paths
}
