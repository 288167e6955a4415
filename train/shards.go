package train

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// SplitShards opens the token shards of a split of what pretraining reads: of a folder
// of shards (alma tokenize) as they are, which must be of the tokenizer; of a corpus in
// the folder to, where they are made unless they are there. The caller closes them.
func SplitShards(ctx context.Context, w *stage.Work, from, to string, split corpus.Split, tok *tokenizer.Tokenizer) (*dataset.Shards, error) {
	folder := map[corpus.Split]string{corpus.Train: dataset.TrainingShards, corpus.Validation: dataset.ValidationShards}[split]
	made, err := dataset.OpenShards(filepath.Join(from, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return CorpusShards(ctx, w, from, filepath.Join(to, folder), split, tok)
	}
	if err != nil {
		return nil, err
	}
	if with, err := made.MadeWith(tok); err != nil || !with {
		made.Close()
		return nil, errors.Join(err, artifact.Errorf(artifact.ErrUsage, "opening the token shards %s: they were made with another tokenizer; give that one, or make the shards again (alma tokenize)", from))
	}
	return made, nil
}

// CorpusShards opens the token shards of a split of a corpus in the folder to, which
// are made from it unless they are there. The caller closes them.
func CorpusShards(ctx context.Context, w *stage.Work, from, to string, split corpus.Split, tok *tokenizer.Tokenizer) (*dataset.Shards, error) {
	report, err := corpus.ReadReport(from)
	if err != nil {
		return nil, err
	}
	total := int64(report.Of(split).Documents)
	if total == 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "tokenising the corpus %s: its %s split is empty; make the corpus again with more documents, or with another share of them held out", from, split)
	}
	documents := filepath.Join(from, report.Of(split).File)
	_, sum, err := artifact.HashFile(documents)
	if err != nil {
		return nil, err
	}
	defer w.Log.Progress.Done()
	return dataset.MakeShards(ctx, to, dataset.Source{
		Name: "the corpus " + from, ID: "documents " + sum, Tokenizer: tok, Damaged: w.Log.Warn,
		Documents: func(yield func(string, error) bool) {
			for doc, err := range corpus.Documents(documents) {
				if !yield(doc.Text, err) {
					return
				}
			}
		},
		Shown: func(done int64) {
			w.Log.Progress.Show(progress.Line{Label: "tokenising " + string(split) + " documents", Done: done, Total: total})
		},
	})
}
