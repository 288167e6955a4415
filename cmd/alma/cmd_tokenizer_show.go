package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// shownToken is a token as tokenizer show lists it.
type shownToken struct {
	ID   int32  `json:"id"`
	Text string `json:"text"`
}

// shownEnd is a token that ends a text, with what says so.
type shownEnd struct {
	shownToken
	From []string `json:"from"`
}

// shownTokenizer is what tokenizer show says.
type shownTokenizer struct {
	Kind         string           `json:"kind"`
	Vocabulary   int              `json:"vocabulary"`
	Merges       int              `json:"merges"`
	MissingBytes int              `json:"missing_bytes"`
	Wrap         []string         `json:"wrap"` // what stands around a text, "…" for the text
	Roles        map[string]int32 `json:"roles"`
	Begins       []shownToken     `json:"begins"` // what stands before a text
	Ends         []shownEnd       `json:"ends"`   // what ends one that is written
	Added        []shownToken     `json:"added"`
	Last         []shownToken     `json:"last"`
}

func newTokenizerShowCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show TOKENIZER",
		Short: "Show a vocabulary",
		Long: `Show the kind and size of a vocabulary, its added tokens, what it puts around a
text, which tokens end a text that is written and what says so, and its last tokens.

Of a model, a folder or a GGUF file, all of its files are asked what ends a text:
the tokenizer's, config.json, generation_config.json, the chat template, and the
keys eos, eot and eom of GGUF. A text ends at any of them.`,
		Example: examples("alma tokenizer show tokenizer", "alma tokenizer show model --json"),
		Args:    arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := openTokenizer(args[0])
			if err != nil {
				return err
			}
			shown := showTokenizer(t)
			if shown.Ends, err = showEnds(t, args[0]); err != nil {
				return err
			}
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
			for _, b := range shown.Begins {
				c.printf("  begins %7d  %s\n", b.ID, b.Text)
			}
			for _, e := range shown.Ends {
				c.printf("  ends  %8d  %s  (%s)\n", e.ID, e.Text, strings.Join(e.From, ", "))
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

// showEnds lists the tokens that end a text of the tokenizer, or of the model, at a
// path.
func showEnds(t *tokenizer.Tokenizer, path string) ([]shownEnd, error) {
	var files []chat.Named
	if !tokenizer.IsFile(path) {
		said, err := file.EndsOf(path)
		if err != nil {
			return nil, err
		}
		for _, s := range said {
			files = append(files, chat.Named{From: s.From, IDs: s.IDs})
		}
	}
	template, err := chat.For(t)
	if err != nil {
		fmt.Fprintf(os.Stderr, "warning: %s: %v\n", path, err)
	}
	shown := []shownEnd{}
	for _, e := range chat.FindEnds(t, template, files...) {
		text := tokenName(t, e.ID)
		if !t.HasToken(e.ID) {
			text = "no token of the vocabulary"
		}
		shown = append(shown, shownEnd{shownToken{e.ID, text}, e.From})
	}
	return shown, nil
}

// tokenName is an added token's name, or what another stands for.
func tokenName(t *tokenizer.Tokenizer, id int32) string {
	for _, a := range t.AddedTokens() {
		if a.ID == id {
			return a.Content
		}
	}
	return string(t.TokenBytes(id))
}

func showTokenizer(t *tokenizer.Tokenizer) shownTokenizer {
	shown := shownTokenizer{
		Kind: t.Kind().String(), Vocabulary: t.VocabSize(), Merges: t.Merges(), MissingBytes: len(t.MissingBytes()),
		Roles: make(map[string]int32), Begins: []shownToken{}, Added: []shownToken{},
	}
	for _, id := range chat.Begin(t) {
		shown.Begins = append(shown.Begins, shownToken{id, tokenName(t, id)})
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
