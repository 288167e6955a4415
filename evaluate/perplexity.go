package evaluate

import (
	"context"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

// Perplexity is how well a model foretells a text, measured as llama.cpp's
// perplexity tool does, so that the two can be compared.
//
// The tokens of the text are cut into windows of Context tokens that do not
// overlap; what is left behind the last whole window is not used. A model that
// begins its texts with a token sees that token in the place of a window's
// first. Of each window the tokens of the second half are scored, from the one
// after its middle on, so that each has at least half a window before it.
type Perplexity struct {
	Context       int     `json:"context"` // tokens of a window
	Windows       int     `json:"windows"`
	Tokens        int64   `json:"tokens"`         // scored
	Bytes         int64   `json:"bytes"`          // of text that the scored tokens stand for
	Loss          float64 `json:"loss"`           // nats a token
	Perplexity    float64 `json:"perplexity"`     // e to the loss
	StandardError float64 `json:"standard_error"` // of the perplexity
	BitsPerByte   float64 `json:"bits_per_byte"`
}

// tokensAtOnce is how many tokens a Program of MeasurePerplexity sees. It
// changes no result.
const tokensAtOnce = 2048

// MeasurePerplexity scores the tokens of a text in windows of so many tokens.
// bos is the token that begins every text, -1 for none; lengths gives the bytes
// that each id stands for. progress, if not nil, is told of the windows done.
func MeasurePerplexity(ctx context.Context, m *model.Model, tokens []int32, window int, bos int32, lengths []int32, progress func(done, all int)) (Perplexity, error) {
	result := Perplexity{Context: window, Windows: len(tokens) / max(1, window)}
	if m.Head != model.LanguageModel {
		return result, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: the model has a %q head, which foretells no next token; give a language model", m.Head)
	}
	if window < 4 || window > m.Context {
		return result, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: a window of %d tokens is outside 4 to %d, the model's context", window, m.Context)
	}
	if result.Windows == 0 {
		return result, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: the text has %d tokens, fewer than a window of %d; give a longer text or a smaller --context", len(tokens), window)
	}
	rows := train.NewTextRows(min(result.Windows, max(1, tokensAtOnce/window)), window)
	lm, err := train.NewEvaluation(m, rows.B, rows.T)
	if err != nil {
		return result, err
	}
	first := window / 2 // the position whose next token is the first to be scored
	var sum, squares float64
	for at := 0; at < result.Windows; at += rows.B {
		if ctx.Err() != nil {
			return result, context.Cause(ctx)
		}
		for r := range rows.B {
			row, targets := rows.Tokens[r*window:][:window], rows.Targets[r*window:][:window]
			clear(row)
			for i := range targets {
				targets[i] = compute.IgnoreTarget
			}
			if at+r >= result.Windows {
				continue
			}
			text := tokens[(at+r)*window:][:window]
			copy(row, text)
			if bos >= 0 {
				row[0] = bos
			}
			copy(targets[first:], text[first+1:])
			for _, id := range text[first+1:] {
				result.Bytes += int64(lengths[id])
			}
		}
		losses, err := lm.Losses(rows)
		if err != nil {
			return result, err
		}
		for i, loss := range losses {
			if rows.Targets[i] != compute.IgnoreTarget {
				sum += float64(loss)
				squares += float64(loss) * float64(loss)
				result.Tokens++
			}
		}
		if progress != nil {
			progress(min(at+rows.B, result.Windows), result.Windows)
		}
	}
	n := float64(result.Tokens)
	result.Loss = sum / n
	result.Perplexity = math.Exp(result.Loss)
	if variance := squares/n - result.Loss*result.Loss; variance > 0 && n > 1 {
		result.StandardError = result.Perplexity * math.Sqrt(variance/(n-1))
	}
	if result.Bytes > 0 {
		result.BitsPerByte = sum / math.Ln2 / float64(result.Bytes)
	}
	return result, nil
}
