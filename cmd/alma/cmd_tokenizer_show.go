package main

import (
	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// shownToken is a token as tokenizer show lists it.
type shownToken struct {
	ID   int32  `json:"id"`
	Text string `json:"text"`
}

// shownTokenizer is what tokenizer show says.
type shownTokenizer struct {
	Kind         string           `json:"kind"`
	Vocabulary   int              `json:"vocabulary"`
	Merges       int              `json:"merges"`
	MissingBytes int              `json:"missing_bytes"`
	Wrap         []string         `json:"wrap"` // what stands around a text, "…" for the text
	Roles        map[string]int32 `json:"roles"`
	Added        []shownToken     `json:"added"`
	Last         []shownToken     `json:"last"`
}

func newTokenizerShowCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show TOKENIZER",
		Short: "Show a vocabulary",
		Long: `Show the kind and size of a vocabulary, its added tokens, what it puts around a
text, and its last tokens.`,
		Example: examples("alma tokenizer show tokenizer", "alma tokenizer show model --json"),
		Args:    arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := openTokenizer(args[0])
			if err != nil {
				return err
			}
			shown := showTokenizer(t)
			if c.json {
				return c.printJSON(shown)
			}
			c.printf("%s: %s, %s tokens, %s merges\n", args[0], shown.Kind, progress.Count(int64(shown.Vocabulary)), progress.Count(int64(shown.Merges)))
			if shown.MissingBytes > 0 {
				c.printf("  %d bytes have no token and are lost in a text\n", shown.MissingBytes)
			}
			if len(shown.Wrap) > 1 {
				c.printf("  around a text:")
				for _, w := range shown.Wrap {
					c.printf(" %s", w)
				}
				c.printf("\n")
			}
			for _, a := range shown.Added {
				c.printf("  added %8d  %s\n", a.ID, a.Text)
			}
			for _, l := range shown.Last {
				c.printf("  last  %8d  %q\n", l.ID, l.Text)
			}
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func showTokenizer(t *tokenizer.Tokenizer) shownTokenizer {
	shown := shownTokenizer{
		Kind: t.Kind().String(), Vocabulary: t.VocabSize(), Merges: t.Merges(), MissingBytes: len(t.MissingBytes()),
		Roles: make(map[string]int32), Added: []shownToken{},
	}
	const text = -1 // stands for the text
	for _, id := range t.Wrap([]int32{text}) {
		if id == text {
			shown.Wrap = append(shown.Wrap, "…")
		} else {
			shown.Wrap = append(shown.Wrap, string(t.TokenBytes(id)))
		}
	}
	for name, role := range map[string]func() (int32, bool){
		"bos": t.BOS, "eos": t.EOS, "pad": t.Pad, "unk": t.Unknown, "cls": t.CLS, "sep": t.SEP, "mask": t.Mask,
	} {
		if id, ok := role(); ok {
			shown.Roles[name] = id
		}
	}
	for _, a := range t.AddedTokens() {
		shown.Added = append(shown.Added, shownToken{a.ID, a.Content})
	}
	const last = 16
	for id := max(0, t.VocabSize()-last); id < t.VocabSize(); id++ {
		shown.Last = append(shown.Last, shownToken{int32(id), string(t.TokenBytes(int32(id)))})
	}
	return shown
}
