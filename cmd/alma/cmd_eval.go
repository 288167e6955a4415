package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/evaluate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
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

// dialoguePerplexity is what alma eval perplexity --json writes of dialogues.
type dialoguePerplexity struct {
	evaluate.DialogueResult
	Context  int                 `json:"context"` // tokens that a dialogue may have
	TooLong  int                 `json:"too_long"`
	Rejected []artifact.Rejected `json:"rejected,omitempty"`
}

// perplexityCall is a call of alma eval perplexity.
type perplexityCall struct {
	model, file   string
	as            string
	window, limit int
	how           dataset.Reading
	dialogues     *dataset.File[chat.Dialogue] // nil: the file is text
}

func newEvalPerplexityCommand(c *call) *cobra.Command {
	var p perplexityCall
	cmd := &cobra.Command{
		Use:   "perplexity MODEL FILE",
		Short: "Measure how well a model foretells a text, or the answers of dialogues",
		Long: `Measure the loss of a model on a text or on dialogues: in nats a token, as
perplexity, and in bits per byte, which can be compared between tokenizers.

Text: the figures are those of llama.cpp's perplexity tool. The text is cut into windows
of --context tokens that do not overlap, and what is left at its end is not used.
Of each window the second half is scored, so that every token that counts has at
least half a window before it. If the model's tokenizer begins a text with a
token, that token takes the place of the first of each window.

The text is a file of text, whose last line's end does not count, JSON Lines with a
"text" each (a split of a corpus, say), or either of them compressed. The documents of
JSON Lines follow one another, with the token that ends a text between them.

Dialogues, in any shape that alma sft reads: the assistant's tokens and the end of each
of its turns are scored, in the model's chat template, each dialogue by itself: what
alma sft reports as its validation loss. A dialogue of more than --context tokens does
not fit and is left out.`,
		Example: examples(
			"alma eval perplexity base corpus/validation/documents.jsonl --context 256",
			"alma eval perplexity model.gguf wiki.test.raw --max-tokens 20000 --json",
			"alma eval perplexity model held-out.jsonl"),
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.model, p.file = args[0], args[1]
			if p.limit < 0 {
				return artifact.Errorf(artifact.ErrUsage, "measuring perplexity: --max-tokens is %d, want 0 (all) or more", p.limit)
			}
			if err := p.read(); err != nil {
				return err
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			m, t, err := openModel(engine, p.model)
			if err != nil {
				return err
			}
			if p.dialogues != nil {
				return c.dialoguePerplexity(cmd.Context(), p, m, t)
			}
			return c.textPerplexity(cmd.Context(), p, m, t)
		},
	}
	cmd.Flags().IntVar(&p.window, "context", 0, "tokens of a window of text (0: 512, or the model's context if that is smaller), or that a dialogue may have (0: the model's context)")
	cmd.Flags().IntVar(&p.limit, "max-tokens", 0, "use only so many tokens from the beginning, of dialogues the whole ones among them; 0: all")
	cmd.Flags().StringVar(&p.as, "as", "", "what the file holds: text or dialogues; by default what its beginning looks like")
	readingFlags(cmd, &p.how, dataset.Skip)
	acceptFlag(cmd)
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// read finds out what the file holds, and reads it if it is dialogues. A file whose
// rows nothing can be told of is text.
func (p *perplexityCall) read() error {
	if _, err := os.Stat(p.file); err != nil {
		return fmt.Errorf("opening the text: %w", err)
	}
	switch p.as {
	case "text":
		return nil
	case "":
		kind, err := dataset.Guess(p.file, p.how)
		if err != nil && (p.how.Format != "" || p.how.Map != "") { // it was said to have rows
			return err
		}
		if err != nil || kind != dataset.Dialogues {
			return nil
		}
	case string(dataset.Dialogues):
	default:
		return artifact.Errorf(artifact.ErrUsage, "measuring perplexity: --as is %q, want text or dialogues", p.as)
	}
	var err error
	p.dialogues, err = dataset.ReadDialogues(p.file, p.how)
	return err
}

// textPerplexity measures a model on a text.
func (c *call) textPerplexity(ctx context.Context, p perplexityCall, m *model.Model, t *tokenizer.Tokenizer) error {
	window := p.window
	if window == 0 {
		window = evaluate.Window(m)
	}
	tokens, documents, err := evaluate.ReadText(ctx, t, p.file)
	if err != nil {
		return err
	}
	if p.limit > 0 && p.limit < len(tokens) {
		tokens = tokens[:p.limit]
	}
	display := progress.New(os.Stderr)
	defer display.Done()
	result := perplexity{Documents: documents, TextTokens: int64(len(tokens))}
	result.Perplexity, err = evaluate.MeasurePerplexity(ctx, m, tokens, window, evaluate.Beginning(t), t.ByteLengths(), func(done, all int) {
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
	r := result.Perplexity
	c.printf("perplexity    %.4f ± %.4f\nloss          %.4f nats a token\nbits per byte %.4f\n(%s documents, %s windows of %d tokens, %s tokens scored)\n",
		r.Perplexity, r.StandardError, r.Loss, r.BitsPerByte, progress.Count(int64(documents)), progress.Count(int64(r.Windows)), r.Context, progress.Count(r.Tokens))
	return nil
}

// dialoguePerplexity measures a model on the assistant's tokens of dialogues.
func (c *call) dialoguePerplexity(ctx context.Context, p perplexityCall, m *model.Model, t *tokenizer.Tokenizer) error {
	length := p.window
	switch {
	case length == 0:
		length = m.Context
	case length < 0 || length > m.Context:
		return artifact.Errorf(artifact.ErrUsage, "measuring perplexity: --context %d is outside 1 to %d, the model's", length, m.Context)
	}
	template, err := chat.For(t)
	if err != nil {
		return fmt.Errorf("%s: %w", p.model, err)
	}
	examples, _, long, err := dataset.Tokenize(template, p.dialogues, length)
	if err != nil {
		return err
	}
	if len(examples) == 0 {
		return artifact.Errorf(artifact.ErrUsage, "measuring perplexity: none of the %d dialogues of %s fits into %d tokens; give a longer --context, or shorter dialogues", len(long), p.file, length)
	}
	if p.limit > 0 {
		tokens, whole := 0, 0
		for whole < len(examples) && tokens+len(examples[whole].Tokens) <= p.limit {
			tokens += len(examples[whole].Tokens)
			whole++
		}
		if examples = examples[:whole]; whole == 0 {
			return artifact.Errorf(artifact.ErrUsage, "measuring perplexity: the first dialogue of %s has more than the %d tokens of --max-tokens; give more", p.file, p.limit)
		}
	}
	display := progress.New(os.Stderr)
	result, err := evaluate.MeasureDialogues(ctx, m, examples, t.ByteLengths(), 0, func(done, all int) {
		if done < all {
			display.Show(progress.Line{Label: "dialogues", Done: int64(done), Total: int64(all)})
		}
	})
	display.Done()
	if err != nil {
		return err
	}
	if c.json {
		err := c.printJSON(dialoguePerplexity{result, length, len(long), p.dialogues.Rejected})
		return errors.Join(err, told(p.dialogues.Account))
	}
	c.printf("%v\n(%s dialogues, %s tokens of the assistant scored; %s do not fit in %d tokens)\n",
		result, progress.Count(int64(result.Dialogues)), progress.Count(result.Tokens), progress.Count(int64(len(long))), length)
	return told(p.dialogues.Account)
}
