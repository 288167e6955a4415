package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/evaluate"
	"github.com/seed-b72bdb6c/alma/progress"
)

func newEvalCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "eval",
		GroupID: groupUse,
		Short:   "Measure models",
		Long:    "Measure models on texts, prompts and rankings that they were not trained on.",
	})
	cmd.AddCommand(newEvalModelsCommand(c), newEvalPerplexityCommand(c))
	return cmd
}

// perplexity is what alma eval perplexity --json writes.
type perplexity struct {
	Documents  int   `json:"documents"`
	TextTokens int64 `json:"text_tokens"` // of the text, as far as it was read
	evaluate.Perplexity
}

func newEvalPerplexityCommand(c *call) *cobra.Command {
	var window, limit int
	cmd := &cobra.Command{
		Use:   "perplexity MODEL FILE",
		Short: "Measure how well a model foretells a text",
		Long: `Measure the loss of a model on a text: in nats a token, as perplexity, and in
bits per byte, which can be compared between tokenizers.

The figures are those of llama.cpp's perplexity tool. The text is cut into windows
of --context tokens that do not overlap, and what is left at its end is not used.
Of each window the second half is scored, so that every token that counts has at
least half a window before it. If the model's tokenizer begins a text with a
token, that token takes the place of the first of each window.

FILE is text, whose last line's end does not count, JSON Lines with a "text" each
(a split of a corpus, say), or either of them compressed. The documents of JSON
Lines follow one another, with the token that ends a text between them.`,
		Example: examples("alma eval perplexity base corpus/validation/documents.jsonl --context 256", "alma eval perplexity model.gguf wiki.test.raw --max-tokens 20000 --json"),
		Args:    arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return artifact.Errorf(artifact.ErrUsage, "measuring perplexity: --max-tokens is %d, want 0 (all) or more", limit)
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			m, t, err := openModel(engine, args[0])
			if err != nil {
				return err
			}
			if window == 0 {
				window = evaluate.Window(m)
			}
			tokens, documents, err := evaluate.ReadText(cmd.Context(), t, args[1])
			if err != nil {
				return err
			}
			if limit > 0 && limit < len(tokens) {
				tokens = tokens[:limit]
			}
			display := progress.New(os.Stderr)
			defer display.Done()
			result := perplexity{Documents: documents, TextTokens: int64(len(tokens))}
			result.Perplexity, err = evaluate.MeasurePerplexity(cmd.Context(), m, tokens, window, evaluate.Beginning(t), t.ByteLengths(), func(done, all int) {
				if all > 20 {
					display.Show(progress.Line{Label: "perplexity windows", Done: int64(done), Total: int64(all)})
				}
			})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(result)
			}
			p := result.Perplexity
			c.printf("perplexity    %.4f ± %.4f\nloss          %.4f nats a token\nbits per byte %.4f\n(%s documents, %s windows of %d tokens, %s tokens scored)\n",
				p.Perplexity, p.StandardError, p.Loss, p.BitsPerByte, progress.Count(int64(documents)), progress.Count(int64(p.Windows)), p.Context, progress.Count(p.Tokens))
			return nil
		},
	}
	cmd.Flags().IntVar(&window, "context", 0, "tokens of a window; 0: 512, or the model's context if that is smaller")
	cmd.Flags().IntVar(&limit, "max-tokens", 0, "use only so many tokens from the text's beginning; 0: all")
	acceptFlag(cmd)
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}
