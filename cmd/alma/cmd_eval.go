package main

import (
	"context"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

func newEvalCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "eval",
		GroupID: groupUse,
		Short:   "Measure a model",
		Long:    "Measure a model on texts that it was not trained on.",
	})
	cmd.AddCommand(newEvalPerplexityCommand(c))
	return cmd
}

// perplexity is how well a model foretells a text.
type perplexity struct {
	Documents   int     `json:"documents"`
	Tokens      int64   `json:"tokens"`
	Bytes       int64   `json:"bytes"`
	Loss        float64 `json:"loss"` // nats a token
	Perplexity  float64 `json:"perplexity"`
	BitsPerByte float64 `json:"bits_per_byte"`
	Context     int     `json:"context"` // tokens of a row
}

func newEvalPerplexityCommand(c *call) *cobra.Command {
	var context int
	cmd := &cobra.Command{
		Use:   "perplexity MODEL FILE",
		Short: "Measure how well a model foretells a text",
		Long: `Measure the loss of a model on a text: in nats a token, as perplexity, and in
bits per byte, which can be compared between tokenizers.

FILE is text, JSON Lines with a "text" each (a split of a corpus, say), or either
of them compressed. Documents follow one another, each after <|endoftext|>, and
are cut into rows of the model's context; no row sees the one before it.`,
		Example: examples("alma eval perplexity base corpus/validation/documents.jsonl", "alma eval perplexity base book.txt --context 128 --json"),
		Args:    arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			m, t, err := openModel(engine, args[0])
			if err != nil {
				return err
			}
			if context == 0 {
				context = m.Context
			}
			if context < 1 || context > m.Context {
				return artifact.Errorf(artifact.ErrUsage, "measuring perplexity: --context %d is outside 1 to %d, the model's context", context, m.Context)
			}
			tokens, result, err := readTokens(cmd.Context(), t, args[1])
			if err != nil {
				return err
			}
			result.Context = context
			if err := result.measure(cmd.Context(), m, tokens); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(result)
			}
			c.printf("perplexity    %.4f\nloss          %.4f nats a token\nbits per byte %.4f\n(%s documents, %s tokens, %s bytes, rows of %d tokens)\n",
				result.Perplexity, result.Loss, result.BitsPerByte, train.FormatCount(int64(result.Documents)), train.FormatCount(result.Tokens), train.FormatCount(result.Bytes), context)
			return nil
		},
	}
	cmd.Flags().IntVar(&context, "context", 0, "tokens of a row; 0: the model's context")
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// readTokens reads the documents of a file: the end token, then each document
// and its end token.
func readTokens(ctx context.Context, t *tokenizer.Tokenizer, file string) ([]int32, *perplexity, error) {
	end, ok := t.EOS()
	if !ok {
		return nil, nil, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: the model's tokenizer names no token that ends a text")
	}
	if _, err := os.Stat(file); err != nil {
		return nil, nil, err
	}
	result := &perplexity{}
	tokens := []int32{end}
	var refused error
	err := corpus.Folder{Root: file}.Read(ctx, func(d corpus.Document) error {
		tokens = append(t.AppendEncode(tokens, d.Text), end)
		result.Documents++
		result.Bytes += int64(len(d.Text))
		return nil
	}, func(r corpus.Refusal) {
		refused = artifact.Errorf(artifact.ErrUsage, "measuring perplexity: %s: refused at byte %d: %s %s", r.File, r.Offset, r.Reason, r.Detail)
	})
	switch {
	case err != nil:
		return nil, nil, err
	case refused != nil:
		return nil, nil, refused
	case result.Bytes == 0:
		return nil, nil, artifact.Errorf(artifact.ErrUsage, "measuring perplexity: %s holds no text", file)
	}
	return tokens, result, nil
}

// measure runs the tokens through the model, each as the target of those
// before it in its row.
func (r *perplexity) measure(ctx context.Context, m *model.Model, tokens []int32) error {
	const tokensAtOnce = 2048
	rows := train.NewTextRows(max(1, tokensAtOnce/r.Context), r.Context)
	lm, err := train.NewEvaluation(m, rows.B, rows.T)
	if err != nil {
		return err
	}
	progress := train.NewProgress(os.Stderr)
	defer progress.Done()
	total := len(tokens) - 1
	var sum float64
	for at := 0; at < total; at += len(rows.Tokens) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(total-at, len(rows.Tokens))
		copy(rows.Tokens, tokens[at:at+n])
		copy(rows.Targets, tokens[at+1:at+1+n])
		for i := n; i < len(rows.Tokens); i++ {
			rows.Tokens[i], rows.Targets[i] = 0, compute.IgnoreTarget
		}
		losses, err := lm.Losses(rows)
		if err != nil {
			return err
		}
		for _, loss := range losses {
			sum += float64(loss)
		}
		r.Tokens += int64(n)
		if total > 20*len(rows.Tokens) {
			progress.Show(train.ProgressLine{Label: "perplexity tokens", Done: r.Tokens, Total: int64(total)})
		}
	}
	r.Loss = sum / float64(r.Tokens)
	r.Perplexity = math.Exp(r.Loss)
	r.BitsPerByte = sum / math.Ln2 / float64(r.Bytes)
	return nil
}
