package evaluate

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
)

// DialogueResult is how well a model foretells what the assistant says in dialogues:
// the objective of supervised fine-tuning, measured as its validation loss is.
// Intervals take dialogues for independent; of fewer than ten there are none.
type DialogueResult struct {
	Dialogues   int            `json:"dialogues"`
	Tokens      int64          `json:"tokens"`        // of the assistant, its ends of turn among them: those scored
	Bytes       int64          `json:"bytes"`         // that they stand for
	Loss        stats.Estimate `json:"loss"`          // nats a token
	Perplexity  stats.Estimate `json:"perplexity"`    // e to the loss
	BitsPerByte stats.Estimate `json:"bits_per_byte"` // the ends of turn cost bits and stand for no byte
}

// dialoguesAtOnce is how many dialogues are scored between two looks at the context.
// It changes no result.
const dialoguesAtOnce = 64

// MeasureDialogues scores the trained tokens of examples, of which each sees its own
// alone. lengths gives the bytes that each id stands for; progress, if not nil, is told
// of the dialogues done.
func MeasureDialogues(ctx context.Context, m *model.Model, examples []dataset.Example, lengths []int32, seed uint64, progress func(done, all int)) (r DialogueResult, err error) {
	if m.Head != model.LanguageModel {
		return r, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: the model has a %q head, which foretells no next token; give a language model", m.Head)
	}
	if len(examples) == 0 {
		return r, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: there is no dialogue to measure on")
	}
	T := slices.Max(dataset.Lengths(examples))
	lm, err := train.NewEvaluation(m, max(1, tokensAtOnce/T), T)
	if err != nil {
		return r, err
	}
	scores := make([]windowScore, 0, len(examples))
	for part := range slices.Chunk(examples, dialoguesAtOnce) {
		logProbs, err := train.LogProbs(ctx, lm, part)
		if err != nil {
			return r, err
		}
		for i, e := range part {
			s := windowScore{nats: -logProbs[i], tokens: int64(e.Learned())}
			for at, learned := range e.Trained {
				if learned {
					s.bytes += int64(lengths[e.Tokens[at]])
				}
			}
			scores = append(scores, s)
		}
		if progress != nil {
			progress(len(scores), len(examples))
		}
	}
	text := textResult(scores, seed)
	return DialogueResult{
		Dialogues: len(examples), Tokens: text.Tokens, Bytes: text.Bytes,
		Loss: text.Loss, Perplexity: text.Perplexity, BitsPerByte: text.BitsPerByte,
	}, nil
}

// String writes the figures with their intervals, a line each.
func (r DialogueResult) String() string {
	return fmt.Sprintf("perplexity    %s\nloss          %s nats a token of the assistant\nbits per byte %s",
		number(r.Perplexity, 4), number(r.Loss, 4), number(r.BitsPerByte, 4))
}
