package main

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/embed"
	"github.com/seed-b72bdb6c/alma/rows"
)

// embedRows is how many packed rows are embedded at one time, embedTexts how many
// texts before their vectors are written. They change no vector.
const (
	embedRows  = 8
	embedTexts = 4096
)

func newEmbedCommand(c *call) *cobra.Command {
	var o dataset.TextOptions
	var pooling string
	var settings embed.Settings
	cmd := &cobra.Command{
		Use:     "embed MODEL [FILE]",
		GroupID: groupUse,
		Short:   "Turn texts into vectors",
		Long: `Write a vector for each text of a file, or of standard input, as JSON Lines in the
order of the texts (docs/formats/texts.md): one vector pooled from the model's
hidden states, as sentence-transformers do.

  {"id":7,"text":"…"}  becomes  {"id":7,"vector":[0.0123,…]}

What the folder says is the default: 1_Pooling/config.json the pooling,
sentence_bert_config.json the tokens of a text; else the mean over the model's
context. Vectors have length 1 unless --normalize=false. A text that is longer is
cut at its end. A vector depends on its text alone, not on those beside it.

Standard input is JSON Lines unless --format says otherwise.`,
		Example: examples("alma embed minilm texts.jsonl > vectors.jsonl", "alma embed encoder words.txt --pooling cls", "echo 'some text' | alma embed minilm --format lines"),
		Args:    arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			texts, err := readTextsOrInput(args[1:], o)
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
			given, err := embed.ReadSettings(args[0], m.Context, embed.Pooling(pooling))
			if err != nil {
				return err
			}
			given.Normalize = settings.Normalize
			if settings.Context != 0 {
				given.Context = settings.Context
			}
			e, err := embed.New(m, embedRows, given)
			if err != nil {
				return err
			}
			ids, cut, err := encodeTexts(tok, texts, given.Context)
			if err != nil {
				return err
			}
			for at := 0; at < len(ids); at += embedTexts {
				end := min(at+embedTexts, len(ids))
				vectors, err := e.Embed(cmd.Context(), ids[at:end])
				if err != nil {
					return err
				}
				for i, vector := range vectors {
					line := struct {
						ID     json.RawMessage `json:"id,omitempty"`
						Vector []float32       `json:"vector"`
					}{texts.Rows[at+i].ID, vector}
					if err := c.printJSON(line); err != nil {
						return err
					}
				}
			}
			warnCut(cut, len(ids), given.Context)
			return told(texts.Account)
		},
	}
	textFlags(cmd, &o)
	cmd.Flags().StringVar(&pooling, "pooling", "", "how a text's hidden states become one vector: mean, cls; by default what the folder says, else mean")
	cmd.Flags().BoolVar(&settings.Normalize, "normalize", true, "divide each vector by its length")
	cmd.Flags().IntVar(&settings.Context, "context", 0, "tokens at which a text is cut; 0: what the folder says, else the model's context")
	c.engineFlags(cmd)
	return cmd
}

// readTextsOrInput reads the file that may be the only argument, else standard
// input.
func readTextsOrInput(args []string, o dataset.TextOptions) (*dataset.File[dataset.Text], error) {
	if len(args) > 0 && args[0] != "-" {
		return dataset.ReadTexts(args[0], o)
	}
	if o.Format == "" {
		o.Format = string(rows.JSONL)
	}
	return dataset.DecodeTexts(os.Stdin, "standard input", o)
}
