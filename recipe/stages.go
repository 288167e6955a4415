package recipe

import (
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/evaluate"
	"github.com/seed-b72bdb6c/alma/examples/godoc"
	"github.com/seed-b72bdb6c/alma/export"
	"github.com/seed-b72bdb6c/alma/judge"
	"github.com/seed-b72bdb6c/alma/sample"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train/classify"
	"github.com/seed-b72bdb6c/alma/train/ppo"
	"github.com/seed-b72bdb6c/alma/train/pretrain"
	"github.com/seed-b72bdb6c/alma/train/reward"
	"github.com/seed-b72bdb6c/alma/train/sft"
	"github.com/seed-b72bdb6c/alma/train/tokenize"
	"github.com/seed-b72bdb6c/alma/train/vocabulary"
)

// Stages are all kinds of stages, in the order of a model's life. A new one is
// declared beside its algorithm and named here: it then has its verb, its place in
// recipes, in plans and in reports.
var Stages = []*stage.Stage{
	corpus.Stage,
	vocabulary.Stage,
	vocabulary.Convert,
	export.Import,
	tokenize.Stage,
	pretrain.Stage,
	sft.Stage,
	classify.Stage,
	sample.Stage,
	judge.Stage,
	reward.Stage,
	ppo.Stage,
	evaluate.Stage,
	export.Merge,
	export.Stage,

	// A domain that is brought along.
	godoc.CorpusStage,
	godoc.DialoguesStage,
	godoc.RankingsStage,
	godoc.EvaluateStage,
}

// StageOf returns the stage of a kind, nil if there is none.
func StageOf(kind string) *stage.Stage {
	for _, s := range Stages {
		if s.Kind == kind {
			return s
		}
	}
	return nil
}
