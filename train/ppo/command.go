package ppo

import (
	"context"
	"fmt"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// CommandReward scores responses with a program of the user's
// ([preference.Program]), started once for each rollout. A resumed run gives the
// same bits only if the program gives the same numbers.
func CommandReward(command string, tok *tokenizer.Tokenizer) (Reward, error) {
	program, err := preference.NewProgram(command)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, texts []Text) ([]float32, error) {
		completions := make([]dataset.Completion, len(texts))
		for i, t := range texts {
			text, err := tok.Text(t.Response)
			if err != nil {
				return nil, fmt.Errorf("rewarding response %d: %w", i, err)
			}
			completions[i] = dataset.Completion{Prompt: t.Prompt, Text: text, Ended: t.Ended}
		}
		return program.Scores(ctx, completions)
	}, nil
}
