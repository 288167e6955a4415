package classify

import (
	"context"
	"fmt"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// Stage is the training of a classifier as a stage.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "classify", Title: "Classifier",
	Does:     "Leaves out a model's output layer, puts one with an output per class in its place, and trains on labelled texts.",
	Defaults: Defaults,
	Inputs: []stage.Input{
		{Name: "base", Kinds: stage.AnyModel, Required: true, Doc: "the model to start from, with its tokenizer"},
		{Name: "texts", Kinds: stage.Of(stage.LabelledText), Required: true, Doc: "labelled texts to learn"},
		{Name: "validation", Kinds: stage.Of(stage.LabelledText), Doc: "labelled texts to measure on; without it a share of the texts"},
	},
	Outputs: []stage.Output{{Kind: stage.Classifier, Doc: "the classifier"}},
	Check: func(_ context.Context, c Config, in stage.Inputs, tell stage.Tell) error {
		return stage.CheckFiles(in, tell, func(path string) (fmt.Stringer, error) { return dataset.Told(dataset.ReadTexts(path, c.texts())) }, "texts", "validation")
	},
	Run: func(ctx context.Context, w *stage.Work, c Config) error {
		return run(ctx, w, c, Inputs{Base: w.In.Path("base"), Texts: w.In.Path("texts"), Validation: w.In.Path("validation")})
	},
	Derive:   derive,
	Estimate: estimate,
	Charts: []stage.Chart{
		{Title: "Loss", Unit: "nats a text", Curves: [][2]string{{"loss", "training, weighted"}, {"validation/nll", "held out"}}},
		{Title: "Accuracy and macro-F1", Unit: "share", Curves: [][2]string{{"validation/accuracy", "accuracy"}, {"validation/exact", "all labels right"}, {"validation/micro_f1", "micro-F1"}, {"validation/macro_f1", "macro-F1"}}},
		{Title: "Calibration error", Unit: "share", Curves: [][2]string{{"validation/ece", "held out"}}},
		train.GradientChart, train.RateChart,
	},
	Describe: describe,
	Verb: &stage.Verb{
		Name:  "classify train",
		Short: "Train a classifier on labelled texts",
		Long: `Train a classifier on texts with labels: JSON Lines, CSV or TSV
(docs/formats/texts.md).

  {"text":"free prize, call now","label":"spam"}
  {"text":"cheap flights to Rome","labels":["travel","offer"]}

Where a text has a list of labels, each may have several, or none: the model then
gives every label a probability of its own.

Without a file of validation texts, a share of the texts is held out by a hash of
each, the same in every run. A text that is longer than the context is cut at its
end, and counted.`,
		After: `The folder receives the model (config.json has the labels as id2label),
validation.json, with lists of labels thresholds.json, report.html, metrics.jsonl,
TensorBoard events and checkpoints; given again, an interrupted command goes on from
the last checkpoint with the same bits.`,
		Examples: []string{
			"alma classify train --base minilm --texts train.csv --out spam",
			"alma classify train recipes/classify-sms.yaml --base minilm --texts SMSSpamCollection.tsv --out spam",
			"alma classify train --base base --texts train.jsonl --validation held-out.jsonl --freeze-body --out topics --set epochs=5",
		},
		Flags: map[string]string{"freeze-body": "freeze_body"},
	},
})

func (in Inputs) paths() stage.Inputs {
	paths := stage.Inputs{"base": {in.Base}, "texts": {in.Texts}}
	if in.Validation != "" {
		paths["validation"] = []string{in.Validation}
	}
	return paths
}
