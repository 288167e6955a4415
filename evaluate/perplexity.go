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

// tokensAtOnce is how many tokens a Program of a measurement sees. It changes no
// result.
const tokensAtOnce = 2048

// MeasurePerplexity scores the tokens of a text in windows of so many tokens.
// bos is the token that begins every text, -1 for none; lengths gives the bytes
// that each id stands for. progress, if not nil, is told of the windows done.
func MeasurePerplexity(ctx context.Context, m *model.Model, tokens []int32, window int, bos int32, lengths []int32, progress func(done, all int)) (Perplexity, error) {
	scores, _, err := scoreWindows(ctx, m, tokens, halves(len(tokens), window), window, bos, lengths, progress)
	if err != nil {
		return Perplexity{Context: window}, err
	}
	return perplexityOf(scores, window), nil
}

// perplexityOf sums windows of so many tokens up.
func perplexityOf(scores []windowScore, window int) Perplexity {
	result := Perplexity{Context: window, Windows: len(scores)}
	var sum, squares float64
	for _, s := range scores {
		sum += s.nats
		squares += s.squares
		result.Tokens += s.tokens
		result.Bytes += s.bytes
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
	return result
}

// window is a part of a text: a model sees the tokens from begin on and foretells
// those of [from, to), begin < from.
type window struct{ begin, from, to int }

// halves cuts n tokens into whole windows, of which the second half is scored.
func halves(n, context int) []window {
	var out []window
	for begin := 0; context > 0 && begin+context <= n; begin += context {
		out = append(out, window{begin, begin + context/2 + 1, begin + context})
	}
	return out
}

// strides cuts n tokens into windows that score every token but the first once,
// stride tokens at a time. Each has at least context − stride tokens before it, as
// far as the text has them.
func strides(n, context, stride int) []window {
	var out []window
	for from := 1; from < n; from += stride {
		to := min(from+stride, n)
		out = append(out, window{max(0, to-1-context), from, to})
	}
	return out
}

// windowScore is what one window gave.
type windowScore struct {
	nats, squares float64 // sums over the scored tokens of the loss and of its square
	tokens, bytes int64   // scored
}

// scoreWindows scores windows of at most length tokens before the last that is
// scored. See MeasurePerplexity for bos and lengths; where the window begins the
// text with bos, or elsewhere, its first token is bos.
func scoreWindows(ctx context.Context, m *model.Model, tokens []int32, windows []window, length int, bos int32, lengths []int32, progress func(done, all int)) (scores []windowScore, flops int64, err error) {
	if m.Head != model.LanguageModel {
		return nil, 0, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: the model has a %q head, which foretells no next token; give a language model", m.Head)
	}
	if length < LeastTokens || length > m.Context {
		return nil, 0, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: a window of %d tokens is outside %d to %d, the model's context", length, LeastTokens, m.Context)
	}
	if len(windows) == 0 {
		return nil, 0, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: the text has %d tokens, fewer than a window of %d; give a longer text or a smaller --context", len(tokens), length)
	}
	rows := train.NewTextRows(min(len(windows), max(1, tokensAtOnce/length)), length)
	lm, err := train.NewEvaluation(m, rows.B, rows.T)
	if err != nil {
		return nil, 0, err
	}
	scores = make([]windowScore, len(windows))
	for at := 0; at < len(windows); at += rows.B {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		batch := windows[at:min(at+rows.B, len(windows))]
		clear(rows.Tokens)
		for i := range rows.Targets {
			rows.Targets[i] = compute.IgnoreTarget
		}
		for r, w := range batch {
			seen := rows.Tokens[r*length:][:length]
			copy(seen, tokens[w.begin:w.to-1])
			if bos >= 0 {
				seen[0] = bos
			}
			copy(rows.Targets[r*length+w.from-1-w.begin:], tokens[w.from:w.to])
		}
		losses, err := lm.Losses(ctx, rows)
		if err != nil {
			return nil, 0, err
		}
		flops += lm.ForwardFLOPs()
		for r, w := range batch {
			s := &scores[at+r]
			for i, id := range tokens[w.from:w.to] {
				loss := float64(losses[r*length+w.from-1-w.begin+i])
				s.nats += loss
				s.squares += loss * loss
				s.tokens++
				s.bytes += int64(lengths[id])
			}
		}
		if progress != nil {
			progress(at+len(batch), len(windows))
		}
	}
	return scores, flops, nil
}
