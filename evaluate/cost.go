package evaluate

import (
	"context"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Window is how many tokens a window of a perplexity has where nothing else is said:
// llama.cpp's 512, or the model's context if that is smaller.
func Window(m *model.Model) int { return min(512, m.Context) }

// Cost is what a change of a model costs it in foretelling a text: both perplexities
// as of MeasurePerplexity, on the same windows.
type Cost struct {
	Text   string     `json:"text"` // where it was read
	Before Perplexity `json:"before"`
	After  Perplexity `json:"after"`
	// Increase of the perplexity as a share of that before. Windows are paired, so that
	// its interval holds nothing of how hard the text is; of fewer than 10 windows there
	// is none.
	Increase stats.Estimate `json:"increase"`
}

// ReadTokens reads the first tokens of a text: a file as of ReadText, or token shards of
// the tokenizer's vocabulary. limit 0 is all.
func ReadTokens(ctx context.Context, t *tokenizer.Tokenizer, path string, limit int) ([]int32, error) {
	var tokens []int32
	var err error
	if isShards(path) {
		var fits bool
		tokens, fits, err = readShards(path, t, limit)
		if err == nil && !fits {
			err = artifact.Errorf(artifact.ErrUsage, "measuring perplexity: the tokens of %s are those of another vocabulary; give a file of text", path)
		}
	} else {
		tokens, _, err = ReadText(ctx, t, path)
	}
	if err != nil {
		return nil, err
	}
	if limit > 0 {
		tokens = tokens[:min(limit, len(tokens))]
	}
	if len(tokens) < LeastTokens {
		return nil, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: %s has %d tokens; give a longer text", path, len(tokens))
	}
	return tokens, nil
}

// LeastTokens is how many tokens the shortest window has.
const LeastTokens = 4

// MeasureCost measures two models with one tokenizer on the tokens of a text, in windows
// as of Window, or of the whole text if it is shorter. progress is told of the windows
// done of both.
func MeasureCost(ctx context.Context, before, after *model.Model, t *tokenizer.Tokenizer, text string, tokens []int32, progress func(done, all int)) (Cost, error) {
	length := min(Window(before), len(tokens))
	windows := halves(len(tokens), length)
	cost := Cost{Text: text}
	var scores [2][]windowScore
	for i, m := range []*model.Model{before, after} {
		var err error
		scores[i], _, err = scoreWindows(ctx, m, tokens, windows, length, Beginning(t), t.ByteLengths(), func(done, all int) {
			if progress != nil {
				progress(i*all+done, 2*all)
			}
		})
		if err != nil {
			return cost, err
		}
	}
	cost.Before, cost.After = perplexityOf(scores[0], length), perplexityOf(scores[1], length)
	n := resamples
	if len(windows) < leastWindows {
		n = 0
	}
	// Every window scores as many tokens.
	cost.Increase = stats.Bootstrap(len(windows), n, 0, func(pick []int) float64 {
		var difference, scored float64
		for _, i := range pick {
			difference += scores[1][i].nats - scores[0][i].nats
			scored += float64(scores[0][i].tokens)
		}
		return math.Expm1(difference / scored)
	})
	return cost, nil
}
