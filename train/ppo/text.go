package ppo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// maxText is the longest file that is taken as pretraining text, in bytes.
const maxText = 256 << 20

// openText opens the pretraining text: a folder of token shards, or a file of
// text, one document, which is tokenised into the stage's folder unless an
// earlier run did.
func openText(ctx context.Context, w *stage.Work, path string, tok *tokenizer.Tokenizer) (*dataset.Shards, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening pretraining text: %w", err)
	}
	if info.IsDir() {
		return dataset.OpenShards(path)
	}
	return dataset.MakeShards(ctx, w.Path("text"), dataset.Source{
		Name: path, ID: "text " + w.Manifest.Inputs["text"].SHA256, Tokenizer: tok, Damaged: w.Log.Warn,
		Documents: func(yield func(string, error) bool) { yield(readText(path)) },
	})
}

// readText reads a file of at most maxText bytes of UTF-8.
func readText(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("opening pretraining text: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxText+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading pretraining text %s: %w", path, err)
	case len(data) == 0:
		return "", artifact.Errorf(artifact.ErrUsage, "reading pretraining text %s: the file is empty", path)
	case len(data) > maxText:
		return "", artifact.Errorf(artifact.ErrUsage, "reading pretraining text %s: it is longer than %s; give token shards (alma corpus build, alma pretrain)", path, progress.Bytes(maxText))
	case !utf8.Valid(data):
		return "", artifact.Errorf(artifact.ErrUsage, "reading pretraining text %s: it is not UTF-8; give text, or the folder of token shards", path)
	}
	return string(data), nil
}

// sameTokenizer checks that a model reads the tokens that the policy writes.
func sameTokenizer(policy *tokenizer.Tokenizer, policyFolder, folder string) error {
	other, err := model.LoadTokenizer(folder)
	if err != nil {
		return err
	}
	var files [2]map[string][]byte
	for i, t := range []*tokenizer.Tokenizer{policy, other} {
		if files[i], err = t.Files(); err != nil {
			return err
		}
	}
	if !bytes.Equal(files[0][tokenizer.TokenizerFile], files[1][tokenizer.TokenizerFile]) {
		return artifact.Errorf(artifact.ErrUsage, "configuring ppo: the tokenizers of the policy %s and of %s differ; both must have one tokenizer: train both from one model", policyFolder, folder)
	}
	return nil
}
