// Package tokenize is the stage that makes token shards of a corpus
// (docs/formats/shards.md), an artifact of their own: several models can be pretrained
// from them, and their text mixed into later stages, without reading the corpus again.
// The shards are package dataset's, and pretraining makes the same of a corpus for
// itself.
package tokenize

import (
	"context"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// Config configures the stage: the tokens follow from the corpus and the tokenizer
// alone.
type Config struct{}

// Stage makes the shards.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "shards", Title: "Token shards",
	Does: "Tokenises the training and the validation text of a corpus, for pretraining and for the text that later stages mix in.",
	Inputs: []stage.Input{
		{Name: "corpus", Kinds: stage.Of(stage.Corpus), Required: true, Doc: "the corpus"},
		{Name: "tokenizer", Kinds: stage.Of(stage.Tokenizer, stage.Model, stage.Encoder), Required: true, Doc: "what makes tokens of it, a folder with tokenizer.json"},
	},
	Outputs: []stage.Output{
		{Kind: stage.TokenizedCorpus, Doc: "both texts as tokens"},
		{Part: "text", Path: dataset.TrainingShards, Kind: stage.Shards, Doc: "the training text as tokens"},
		{Part: "validation", Path: dataset.ValidationShards, Kind: stage.Shards, Doc: "the validation text as tokens"},
	},
	NoEngine: true,
	Run:      run,
	Estimate: func(_ Config, in stage.Known) (stage.Estimate, error) {
		facts := stage.Facts{Bytes: in["corpus"].Bytes, Vocabulary: in["tokenizer"].Vocabulary}
		return stage.Estimate{
			Seconds: float64(in["corpus"].Bytes) / 10e6,
			Leaves:  map[string]stage.Facts{"": facts, "text": facts, "validation": {Vocabulary: facts.Vocabulary}},
		}, nil
	},
	Verb: &stage.Verb{
		Name:  "tokenize",
		Short: "Make token shards of a corpus, for pretraining",
		Long: `Make tokens of the training and the validation text of a corpus, in shards that
alma pretrain, and the text of alma sft and alma ppo, are read from. alma pretrain
does it by itself where it is given a corpus; one folder of shards serves many models
that have the same tokenizer: alma pretrain --corpus shards.`,
		Examples: []string{
			"alma tokenize --corpus corpus --tokenizer tokenizer --out shards",
		},
	},
})

func run(ctx context.Context, w *stage.Work, _ Config) error {
	tok, err := file.LoadTokenizer(w.In.Path("tokenizer"))
	if err != nil {
		return err
	}
	w.Manifest.Metrics = artifact.Metrics{"vocabulary": float64(tok.VocabSize())}
	for _, part := range []struct {
		split  corpus.Split
		folder string
	}{{corpus.Train, dataset.TrainingShards}, {corpus.Validation, dataset.ValidationShards}} {
		shards, err := train.CorpusShards(ctx, w, w.In.Path("corpus"), w.Path(part.folder), part.split, tok)
		if err != nil {
			return err
		}
		tokens, documents := shards.Tokens(), shards.Documents()
		shards.Close()
		w.Manifest.Metrics[string(part.split)+"/tokens"], w.Manifest.Metrics[string(part.split)+"/documents"] = float64(tokens), float64(documents)
		w.Log.Printf("shards: %s tokens in %s documents of %s text", progress.Count(tokens), progress.Count(int64(documents)), part.split)
		if part.split == corpus.Train {
			w.Manifest.Tokens = tokens
		}
	}
	report, err := corpus.ReadReport(w.In.Path("corpus"))
	if err != nil {
		return err
	}
	w.Manifest.Metrics["train/bytes"] = float64(report.Of(corpus.Train).Bytes)
	return nil
}
