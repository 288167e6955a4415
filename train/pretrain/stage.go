package pretrain

import (
	"context"
	"fmt"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// Stage is pretraining as a stage.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "pretrain", Title: "Pretraining",
	Does:     "Trains a model from random weights on the training text of a corpus, to foretell the next token or to guess hidden ones.",
	Defaults: Defaults,
	Inputs: []stage.Input{
		{Name: "corpus", Kinds: stage.Of(stage.Corpus, stage.TokenizedCorpus), Required: true, Doc: "the corpus to learn, or token shards of one"},
		{Name: "tokenizer", Kinds: stage.Of(stage.Tokenizer, stage.Model, stage.Encoder), Required: true, Doc: "what makes tokens of it, a folder with tokenizer.json"},
	},
	OutputsOf: func(c Config) []stage.Output {
		kind := stage.Model
		if c.Objective == MLM {
			kind = stage.Encoder
		}
		return []stage.Output{
			{Kind: kind, Doc: "the model, in Hugging Face's layout"},
			{Part: "text", Path: "shards/" + dataset.TrainingShards, Kind: stage.Shards, Doc: "the training text as tokens, of a corpus", Of: "corpus", FromKind: stage.Corpus},
			{Part: "validation", Path: "shards/" + dataset.ValidationShards, Kind: stage.Shards, Doc: "the validation text as tokens, of a corpus", Of: "corpus", FromKind: stage.Corpus},
		}
	},
	Run: func(ctx context.Context, w *stage.Work, c Config) error {
		return run(ctx, w, c, Inputs{Corpus: w.In.Path("corpus"), Tokenizer: w.In.Path("tokenizer")})
	},
	Estimate: estimate,
	Charts: []stage.Chart{
		{Title: "Loss", Unit: "nats a token", Curves: [][2]string{{"loss", "training"}, {"validation/loss", "validation"}}},
		{Title: "Bits per byte", Unit: "bits per byte", Curves: [][2]string{{"bits_per_byte", "training"}, {"validation/bits_per_byte", "validation"}}},
		train.GradientChart, train.RateChart,
	},
	Describe: func(d stage.Done, c Config) (stage.Description, error) {
		return stage.Description{Notes: []string{fmt.Sprintf("%s parameters; %s tokens in %s steps of %s.",
			progress.Count(int64(d.Metric("parameters"))), progress.Count(d.Manifest.Tokens), progress.Count(int64(c.Steps)), progress.Count(int64(c.BatchTokens)))}}, nil
	},
	Verb: &stage.Verb{
		Name:  "pretrain",
		Short: "Train a model from random weights on a corpus",
		Long: `Train a model from random weights on the training text of a corpus: rows cut from
documents that end with <|endoftext|>. With objective causal a decoder foretells
the next token of each; with mlm an encoder (family bert) guesses tokens that were
hidden from it, for alma embed and alma classify. That needs a tokenizer with a
mask token: alma tokenizer train --encoder.

For several models of one corpus alma tokenize makes the tokens once.`,
		After: `The folder receives the model in Hugging Face's layout, metrics.jsonl,
TensorBoard events, the token shards, and checkpoints; given again, an
interrupted command goes on from the last checkpoint with the same bits.`,
		Examples: []string{
			"alma pretrain --corpus corpus --tokenizer tokenizer --out base",
			"alma pretrain --corpus corpus --tokenizer tokenizer --out base \\",
			"    --set layers=6 --set width=384 --set steps=5000 --seed 1",
			"alma pretrain recipes/encoder.yaml --corpus corpus --tokenizer tokenizer --out encoder",
		},
	},
})

func (in Inputs) paths() stage.Inputs {
	return stage.Inputs{"corpus": {in.Corpus}, "tokenizer": {in.Tokenizer}}
}
