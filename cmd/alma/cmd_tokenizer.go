package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func newTokenizerCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "tokenizer",
		GroupID: groupMake,
		Short:   "Train a tokenizer, use one, and compare two",
		Long: `A tokenizer turns text into token ids and back. alma trains byte-level BPE, and
uses what published models come with: a folder with tokenizer.json (byte-level
BPE, SentencePiece BPE and unigram, WordPiece), tokenizer.model, vocab.json with
merges.txt, or vocab.txt; one such file, a .tiktoken file of ranks that has the
name of its encoding, or a model in a GGUF file.`,
	})
	cmd.AddCommand(newTokenizerTrainCommand(c), newTokenizerEncodeCommand(c), newTokenizerDecodeCommand(c), newTokenizerCompareCommand(c), newTokenizerConvertCommand(c), newTokenizerShowCommand(c))
	return cmd
}

// documentsPath is the file of a split's documents.
func documentsPath(folder string, r *corpus.Report, split corpus.Split) string {
	return filepath.Join(folder, filepath.FromSlash(r.Of(split).File))
}

// texts are the texts of a split's documents.
func texts(ctx context.Context, path string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for doc, err := range corpus.Documents(path) {
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if !yield(doc.Text, err) || err != nil {
				return
			}
		}
	}
}

func newTokenizerTrainCommand(c *call) *cobra.Command {
	var out string
	var vocabulary, threads int
	var minFrequency int64
	var encoder bool
	cmd := &cobra.Command{
		Use:   "train CORPUS --vocab N --out DIR",
		Short: "Learn a vocabulary from the training text of a corpus",
		Long: `Learn a byte-level BPE vocabulary of N tokens from the training split of a
corpus: <|endoftext|>, <|im_start|>, <|im_end|> and <|pad|> are 0 to 3, then come
the 256 bytes, then one token for each merge of the most frequent pair.

With --encoder, for pretraining with objective mlm, <|mask|> is 4, and a text that
is encoded for a model begins with <|endoftext|>.

The result depends on the corpus alone, not on the number of threads.`,
		Example: examples("alma tokenizer train corpus --vocab 2048 --out tokenizer", "alma tokenizer train corpus --vocab 4096 --encoder --out tokenizer"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "vocab", "out"); err != nil {
				return err
			}
			options := tokenizer.Options{VocabSize: vocabulary, MinFrequency: minFrequency, Threads: threads}
			config := struct {
				Vocabulary   int   `json:"vocabulary"`
				MinFrequency int64 `json:"min_frequency"`
				Encoder      bool  `json:"encoder,omitempty"`
			}{vocabulary, minFrequency, encoder}
			if encoder {
				options.SpecialTokens = tokenizer.EncoderSpecialTokens()
			}
			if err := options.Check(); err != nil {
				return artifact.Errorf(artifact.ErrUsage, "training a tokenizer: %w", err)
			}
			display := progress.New(os.Stderr)
			options.Progress = func(done, total int) {
				display.Show(progress.Line{Label: "tokenizer merge", Done: int64(done), Total: int64(total)})
			}
			f := stageFolder{out, "tokenizer", config, map[string]string{"corpus": args[0]}}
			manifest, err := c.stage(f, func() (*artifact.Manifest, error) {
				report, err := corpus.ReadReport(args[0])
				if err != nil {
					return nil, err
				}
				stage, err := artifact.Begin(out, f.kind, f.config)
				if err != nil {
					return nil, err
				}
				if err := stage.AddInput("corpus", args[0]); err != nil {
					return nil, err
				}
				t, stats, err := tokenizer.Train(cmd.Context(), texts(cmd.Context(), documentsPath(args[0], report, corpus.Train)), options)
				if err != nil {
					return nil, err
				}
				display.Done()
				stage.Manifest.Metrics = artifact.Metrics{
					"documents": float64(stats.Docs), "bytes": float64(stats.Bytes), "merges": float64(stats.Merges), "vocabulary": float64(t.VocabSize()),
				}
				return finishTokenizer(stage, t)
			})
			return c.finish(out, manifest, err)
		},
	}
	cmd.Flags().IntVar(&vocabulary, "vocab", 0, "number of tokens, the 4 special ones and the 256 bytes included")
	cmd.Flags().Int64Var(&minFrequency, "min-frequency", 2, "how often a pair must occur to be merged")
	cmd.Flags().BoolVar(&encoder, "encoder", false, "for an encoder: with <|mask|>, and <|endoftext|> before a text")
	cmd.Flags().IntVar(&threads, "threads", 0, "goroutines that count; 0: as many as processors. They change no result")
	cmd.Flags().StringVar(&out, "out", "", "`DIR` for the tokenizer")
	c.jsonFlag(cmd)
	return cmd
}

// textOf joins arguments, or reads standard input where there are none.
func textOf(args []string) (string, error) {
	if len(args) > 0 {
		return strings.Join(args, " "), nil
	}
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return "", fmt.Errorf("reading standard input: %w", err)
	}
	return string(data), nil
}

func newTokenizerEncodeCommand(c *call) *cobra.Command {
	var special, wrap bool
	var allowed []string
	cmd := &cobra.Command{
		Use:   "encode TOKENIZER [TEXT...]",
		Short: "Print the token ids of a text",
		Long: `Print the token ids of a text, given as arguments or on standard input. The
names of special tokens are text like any other, unless --special is given, or
--allow for some. With --wrap the ids come with what the tokenizer puts around a
text: [CLS] and [SEP], or <s>.`,
		Example: examples("alma tokenizer encode tokenizer 'func main() {}'", "alma tokenizer encode model --special --json < prompt.txt",
			"alma tokenizer encode cl100k_base.tiktoken --allow '<|endoftext|>' 'one<|endoftext|>two'"),
		Args: arguments(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := model.LoadTokenizer(args[0])
			if err != nil {
				return err
			}
			text, err := textOf(args[1:])
			if err != nil {
				return err
			}
			for _, name := range allowed {
				if _, ok := t.TokenID(name); !ok {
					return artifact.Errorf(artifact.ErrUsage, "allowing %q: %s has no special token of this name; alma tokenizer show lists them", name, args[0])
				}
			}
			ids := t.EncodeAllowing(text, allowed...)
			if special {
				ids = t.EncodeWithSpecial(text)
			}
			if wrap {
				ids = t.Wrap(ids)
			}
			if c.json {
				return c.printJSON(append([]int32{}, ids...)) // [] for an empty text
			}
			for i, id := range ids {
				if i > 0 {
					c.printf(" ")
				}
				c.printf("%d", id)
			}
			c.printf("\n")
			return nil
		},
	}
	cmd.Flags().BoolVar(&special, "special", false, "take the names of special tokens for those tokens")
	cmd.Flags().StringArrayVar(&allowed, "allow", nil, "take this `NAME` of a special token for it; may be given again")
	cmd.Flags().BoolVar(&wrap, "wrap", false, "add what the tokenizer puts around a text")
	c.jsonFlag(cmd)
	return cmd
}

func newTokenizerDecodeCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use:     "decode TOKENIZER [ID...]",
		Short:   "Print the text of token ids",
		Long:    "Print the text of token ids, given as arguments or on standard input, separated\nby white space or commas. The bytes are written as they are.",
		Example: examples("alma tokenizer decode tokenizer 358 260 871", "alma tokenizer decode tokenizer < ids.txt"),
		Args:    arguments(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := model.LoadTokenizer(args[0])
			if err != nil {
				return err
			}
			text, err := textOf(args[1:])
			if err != nil {
				return err
			}
			var ids []int32
			for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,[]", r) }) {
				id, err := strconv.ParseInt(word, 10, 32)
				if err != nil {
					return artifact.Errorf(artifact.ErrUsage, "decoding %q: it is not a token id, a whole number from 0 to %d", word, t.VocabSize()-1)
				}
				ids = append(ids, int32(id))
			}
			decoded, err := t.Decode(ids)
			if err != nil {
				return artifact.Mark(artifact.ErrUsage, err)
			}
			c.printf("%s", decoded)
			return nil
		},
	}
}
