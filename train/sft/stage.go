package sft

import (
	"context"
	"fmt"

	"github.com/seed-b72bdb6c/alma/artifact"
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
		{Name: "dialogues", Kinds: stage.Of(stage.Dialogues), Required: true, Doc: "dialogues to learn"},
		{Name: "validation", Kinds: stage.Of(stage.Dialogues), Doc: "dialogues to measure on"},
		{Name: "text", Kinds: stage.Of(stage.Shards, stage.PlainText), Doc: "token shards or a file of text, of which text_share of each step's loss is"},
	},
	Outputs: []stage.Output{{Kind: stage.Model, Doc: "the model"}},
	Check: func(_ context.Context, c Config, in stage.Inputs, tell stage.Tell) error {
		if c.TextShare > 0 && in.Path("text") == "" {
			return errNoText(c)
		}
		return stage.CheckFiles(in, tell, func(path string) (fmt.Stringer, error) { return dataset.Told(dataset.ReadDialogues(path, c.Reading)) }, "dialogues", "validation")
	},
	Run: func(ctx context.Context, w *stage.Work, c Config) error {
		return run(ctx, w, c, Inputs{Base: w.In.Path("base"), Train: w.In.Path("dialogues"), Validation: w.In.Path("validation"), Text: w.In.Path("text")})
	},
	Derive:   derive,
	Estimate: estimate,
	Charts: []stage.Chart{
		{Title: "Loss", Unit: "nats a token of the assistant", Curves: [][2]string{{"loss", "training"}, {"validation/loss", "validation"}}},
		{Title: "Loss on pretraining text", Unit: "nats a token", Curves: [][2]string{{"loss/text", "text"}}},
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
into a row are left out and counted.

So that the model does not unlearn what it read, --text gives plain text, as token
shards or a file, and --set text_share=0.2 its share of each step's loss.`,
		After: `The folder receives the model, metrics.jsonl, TensorBoard events and
checkpoints; given again, an interrupted command goes on from the last
checkpoint with the same bits.`,
		Examples: []string{
			"alma sft --base base --dialogues train.jsonl --validation held-out.jsonl --out model",
			"alma sft --base base --dialogues train.jsonl --out model --set epochs=3 --set lr=5e-4",
		},
	},
})

func errNoText(c Config) error {
	return artifact.Errorf(artifact.ErrUsage, "configuring sft: text_share is %g and there is no pretraining text; give token shards or a file of text, or set it to 0", c.TextShare)
}

func (in Inputs) paths() stage.Inputs {
	paths := stage.Inputs{"base": {in.Base}, "dialogues": {in.Train}}
	if in.Validation != "" {
		paths["validation"] = []string{in.Validation}
	}
	if in.Text != "" {
		paths["text"] = []string{in.Text}
	}
	return paths
}
