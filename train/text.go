package train

import (
	"context"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
)

// maxText is the longest file that is taken as pretraining text, in bytes.
const maxText = 256 << 20

// OpenText opens pretraining text that is learned beside something else: a folder of token shards, or a file of
// text, one document, which is tokenised into the stage's folder unless an
// earlier run did.
func (t *Trainer) OpenText(ctx context.Context, path string) (*dataset.Shards, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening pretraining text: %w", err)
	}
	if info.IsDir() {
		return t.belongs(dataset.TextShards(path))
	}
	return dataset.MakeShards(ctx, t.Path("text"), dataset.Source{
		Name: path, ID: "text " + t.Manifest.Inputs["text"].SHA256, Tokenizer: t.Tokenizer, Damaged: t.Log.Warn,
		Documents: func(yield func(string, error) bool) { yield(readText(path)) },
	})
}

// belongs opens token shards that must be of the model's vocabulary.
func (t *Trainer) belongs(path string) (*dataset.Shards, error) {
	shards, err := dataset.OpenShards(path)
	if err != nil {
		return nil, err
	}
	if shards.Info.VocabSize > t.Model.Vocabulary {
		shards.Close()
		return nil, artifact.Errorf(artifact.ErrUsage, "configuring %s: the pretraining text %s is of %d tokens and the model %s has %d; both must have one tokenizer", t.Name, path, shards.Info.VocabSize, t.Base, t.Model.Vocabulary)
	}
	return shards, nil
}

// TextMix is pretraining text that is learned in each step beside something else, so
// that a model does not unlearn it: γ·E[log π(x)] of PPO-ptx (Ouyang et al. 2022,
// section 3.5).
type TextMix struct {
	lm     *LanguageModel
	stream *dataset.Stream
	rows   *dataset.Packed
}

// NewTextMix prepares so many rows of T tokens of the shards a step, in an order of the
// seed. T is that of the rows beside which they are learned: a published model's whole
// context would make a fifth of the loss most of the work.
func NewTextMix(m *model.Model, shards *dataset.Shards, rows, T int, seed uint64) (*TextMix, error) {
	stream, err := dataset.NewStream(shards, dataset.StreamOptions{T: T, Seed: seed, Shuffle: true})
	if err != nil {
		return nil, err
	}
	lm, err := NewLanguageModel(m, rows, T)
	return &TextMix{lm, stream, NewTextRows(rows, T)}, err
}

// Accumulate adds weight times the gradients of the mean loss of a step's rows, and
// returns that loss in nats a token.
func (x *TextMix) Accumulate(ctx context.Context, step int, weight float64) (loss float64, err error) {
	if err := x.stream.Batch(uint64(step)*uint64(x.rows.B), x.rows.Tokens, x.rows.Targets); err != nil {
		return 0, err
	}
	scaled, err := x.lm.Accumulate(ctx, x.rows, weight/float64(len(x.rows.Tokens)))
	return scaled / weight, err
}

// Tokens is how many tokens a step reads.
func (x *TextMix) Tokens() int64 { return int64(len(x.rows.Tokens)) }

// FLOPs counts a step.
func (x *TextMix) FLOPs() int64 { return x.lm.FLOPs() }

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
