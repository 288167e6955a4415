package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/train/preference"
	"github.com/seed-b72bdb6c/alma/train/reward"
)

func newRewardScoreCommand(c *call) *cobra.Command {
	var how dataset.Reading
	cmd := &cobra.Command{
		Use:   "score MODEL FILE",
		Short: "Write the reward of each completion of a file",
		Long: `Write the reward that a reward model gives to each completion of a file,
one number a line, in the order of the file:

  {"prompt":"Name a colour.","completion":"Blue.","ended":true}
  {"prompt":"Name a colour.","completions":["Blue.","Gr"],"ended":[true,false]}

"ended" says whether the writer ended the completion itself; if it is left out, it
did. What alma sample --json writes can be scored, and a rankings file. With --json
each line holds the prompt and the completion beside the reward.`,
		Example: examples(
			"alma reward score reward answers.jsonl",
			"alma reward score reward answers.jsonl --json > scored.jsonl"),
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := dataset.ReadCompletions(args[1], how)
			if err != nil {
				return err
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			m, tok, err := openModel(engine, args[0])
			if err != nil {
				return err
			}
			template, err := chat.For(tok)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			scorer, err := preference.NewScorer(m, preference.ScoreRows, m.Context)
			if err != nil {
				return err
			}
			var texts [][]int32
			err = file.Keep(func(_ int, x dataset.Completion) error {
				ids, err := reward.Render(template, x.Prompt, x.Text, x.Ended)
				if err == nil && len(ids) > m.Context {
					err = fmt.Errorf("a completion takes %d tokens with its prompt, more than the model's context of %d; shorten it, or leave it out", len(ids), m.Context)
				}
				if err == nil {
					texts = append(texts, ids)
				}
				return err
			})
			if err != nil {
				return err
			}
			return errors.Join(c.score(cmd.Context(), scorer, file.Rows, texts), told(file.Account))
		},
	}
	readingFlags(cmd, &how, dataset.Stop)
	acceptFlag(cmd)
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// scoreLine is a line of alma reward score --json.
type scoreLine struct {
	Prompt     any     `json:"prompt"` // a string, or messages
	Prefill    string  `json:"prefill,omitempty"`
	Completion string  `json:"completion"`
	Ended      bool    `json:"ended"`
	Reward     float32 `json:"reward"`
}

// score prints the reward of each text.
func (c *call) score(ctx context.Context, scorer *preference.Scorer, completions []dataset.Completion, texts [][]int32) error {
	rewards, err := scorer.Scores(ctx, texts)
	if err != nil {
		return err
	}
	for i, r := range rewards {
		if !c.json {
			c.printf("%.9g\n", r) // as many digits as tell any two float32 apart
			continue
		}
		x := completions[i]
		line := scoreLine{x.Prompt.Messages, x.Prompt.Prefill, x.Text, x.Ended, r}
		if len(x.Prompt.Messages) == 1 {
			line.Prompt = x.Prompt.Text()
		}
		if err := c.printJSON(line); err != nil {
			return err
		}
	}
	return nil
}
