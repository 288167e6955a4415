package evaluate

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Beginning is the token that a tokenizer puts before every text, -1 for none.
func Beginning(t *tokenizer.Tokenizer) int32 {
	bos, ok := t.BOS()
	if around := t.Wrap([]int32{-1}); ok && len(around) > 1 && around[0] == bos {
		return bos
	}
	return -1
}

// ReadText reads the documents of a file as tokens: text, or JSON Lines with a
// "text" each, or either compressed (corpus.Folder). The last line's end of a
// document does not count; several follow one another with the token that ends a
// text between them. The text begins with the tokenizer's Beginning.
func ReadText(ctx context.Context, t *tokenizer.Tokenizer, file string) (tokens []int32, documents int, err error) {
	if _, err := os.Stat(file); err != nil {
		return nil, 0, fmt.Errorf("opening the text: %w", err)
	}
	if bos := Beginning(t); bos >= 0 {
		tokens = append(tokens, bos)
	}
	var refused, unended error
	err = corpus.Folder{Root: file}.Read(ctx, func(d corpus.Document) error {
		if documents > 0 {
			end, ok := t.EOS()
			if !ok {
				unended = artifact.Errorf(artifact.ErrUsage, "measuring perplexity: %s has several documents and the model's tokenizer names no token that ends a text; give one text", file)
				return unended
			}
			tokens = append(tokens, end)
		}
		tokens = t.AppendEncode(tokens, strings.TrimSuffix(d.Text, "\n"))
		documents++
		return nil
	}, func(r corpus.Refusal) {
		refused = artifact.Errorf(artifact.ErrUsage, "measuring perplexity: %s: refused at byte %d: %s %s", r.File, r.Offset, r.Reason, r.Detail)
	})
	switch {
	case unended != nil:
		return nil, 0, unended
	case err != nil:
		return nil, 0, err
	case refused != nil:
		return nil, 0, refused
	case documents == 0:
		return nil, 0, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: %s holds no text", file)
	}
	return tokens, documents, nil
}

// isShards tells whether a path is a folder of token shards.
func isShards(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readShards reads at most limit tokens of shards, 0 for all. fits is false where
// they were made with another vocabulary.
func readShards(path string, t *tokenizer.Tokenizer, limit int) (tokens []int32, fits bool, err error) {
	shards, err := dataset.OpenShards(path)
	if err != nil {
		return nil, false, err
	}
	defer shards.Close()
	if shards.Info.VocabSize != t.VocabSize() {
		return nil, false, nil
	}
	n := shards.Tokens()
	if limit > 0 {
		n = min(n, int64(limit))
	}
	tokens = make([]int32, n)
	return tokens, true, shards.Read(tokens, 0)
}

// TextResult is how well a model foretells a text.
type TextResult struct {
	Method      string         `json:"method"`
	Context     int            `json:"context"`          // tokens of a window
	Stride      int            `json:"stride,omitempty"` // tokens from a window to the next, of the method stride
	Tokens      int64          `json:"tokens"`           // scored
	Bytes       int64          `json:"bytes"`            // that they stand for
	Loss        stats.Estimate `json:"loss"`             // nats a token
	Perplexity  stats.Estimate `json:"perplexity"`       // e to the loss
	BitsPerByte stats.Estimate `json:"bits_per_byte"`
}

// resamples is how often an interval's statistic is taken again.
const resamples = 2000

// leastWindows is how many windows an interval needs: a bootstrap of fewer says
// little of where the mean lies.
const leastWindows = 10

// textResult sums windows up. The intervals take windows for independent; of fewer
// than leastWindows there are none.
func textResult(scores []windowScore, seed uint64) (r TextResult) {
	for _, s := range scores {
		r.Tokens += s.tokens
		r.Bytes += s.bytes
	}
	ratio := func(of func(windowScore) (float64, float64)) stats.Estimate {
		n := resamples
		if len(scores) < leastWindows {
			n = 0
		}
		return stats.Bootstrap(len(scores), n, seed, func(pick []int) float64 {
			var a, b float64
			for _, i := range pick {
				x, y := of(scores[i])
				a, b = a+x, b+y
			}
			return a / b
		})
	}
	r.Loss = ratio(func(s windowScore) (float64, float64) { return s.nats, float64(s.tokens) })
	r.Perplexity = stats.Estimate{Value: math.Exp(r.Loss.Value), Low: math.Exp(r.Loss.Low), High: math.Exp(r.Loss.High), N: r.Loss.N}
	r.BitsPerByte = ratio(func(s windowScore) (float64, float64) { return s.nats / math.Ln2, float64(s.bytes) })
	return r
}

// measureText measures a model on tokens.
func measureText(ctx context.Context, m *model.Model, t *tokenizer.Tokenizer, tokens []int32, c Config, length int, progress func(done, all int)) (r TextResult, flops int64, err error) {
	stride := c.Stride
	if stride == 0 {
		stride = max(1, length/2)
	}
	if stride > length {
		return r, 0, artifact.Errorf(artifact.ErrUsage, "configuring evaluate: stride %d is longer than the window of %d tokens, which leaves tokens out; give at most the window", stride, length)
	}
	windows := strides(len(tokens), length, stride)
	if c.Perplexity == Halves {
		windows, stride = halves(len(tokens), length), 0
	}
	scores, flops, err := scoreWindows(ctx, m, tokens, windows, length, Beginning(t), t.ByteLengths(), progress)
	if err != nil {
		return r, 0, err
	}
	r = textResult(scores, c.Seed)
	r.Method, r.Context, r.Stride = c.Perplexity, length, stride
	return r, flops, nil
}
