package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
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
	cmd.AddCommand(newTokenizerEncodeCommand(c), newTokenizerDecodeCommand(c), newTokenizerCompareCommand(c), newTokenizerShowCommand(c))
	return cmd
}

// documentsPath is the file of a split's documents.
func documentsPath(folder string, r *corpus.Report, split corpus.Split) string {
	return filepath.Join(folder, filepath.FromSlash(r.Of(split).File))
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
			t, err := openTokenizer(args[0])
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
			t, err := openTokenizer(args[0])
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
