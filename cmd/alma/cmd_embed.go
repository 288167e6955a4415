package main

import (
	"encoding/json"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
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
	var pooling, prompt, promptName string
	var normalize bool
	var length int
	cmd := &cobra.Command{
		Use:     "embed MODEL [FILE]",
		GroupID: groupUse,
		Short:   "Turn texts into vectors",
		Long: `Write a vector for each text of a file, or of standard input, as JSON Lines in the
order of the texts (docs/formats/texts.md): one vector pooled from the model's
hidden states, as sentence-transformers do.

  {"id":7,"text":"…"}  becomes  {"id":7,"vector":[0.0123,…]}

What the folder says is the default, as sentence-transformers have it: modules.json
with the modules behind the model (Pooling, Dense, Normalize), the tokens of a text and
its case, the prompt that stands before each text; else the mean over the model's
context, of length 1. A text that is longer is cut at its end. A vector depends on its
text alone, not on those beside it.

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
			settings, err := embed.ReadSettings(args[0], m.Context, embed.Pooling(pooling))
			if err != nil {
				return err
			}
			given := cmd.Flags().Changed
			if given("normalize") {
				settings.Normalize(normalize)
			}
			if length != 0 {
				settings.Context = length
			}
			if settings.Prompt, err = choosePrompt(settings, given("prompt"), prompt, promptName); err != nil {
				return err
			}
			e, err := embed.New(m, tok, embedRows, settings)
			if err != nil {
				return err
			}
			for i, text := range texts.Rows {
				texts.Rows[i].Text = settings.Text(text.Text)
			}
			ids, cut, err := encodeTexts(tok, texts, settings.Context)
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
			warnCut(cut, len(ids), settings.Context)
			return told(texts.Account)
		},
	}
	textFlags(cmd, &o)
	cmd.Flags().StringVar(&pooling, "pooling", "", "how a text's hidden states become one vector: mean, cls, max, mean_sqrt_len_tokens, weightedmean, lasttoken; by default what the folder says, else mean")
	cmd.Flags().BoolVar(&normalize, "normalize", true, "divide each vector by its length; by default what the folder says, else yes")
	cmd.Flags().StringVar(&prompt, "prompt", "", "`TEXT` before each text; by default the folder's")
	cmd.Flags().StringVar(&promptName, "prompt-name", "", "`NAME` of the folder's prompt before each text, such as query")
	cmd.Flags().IntVar(&length, "context", 0, "tokens at which a text is cut; 0: what the folder says, else the model's context")
	acceptFlag(cmd)
	c.engineFlags(cmd)
	return cmd
}

// choosePrompt is the text before each text: what the flags say, else the folder's.
func choosePrompt(s embed.Settings, given bool, text, name string) (string, error) {
	switch known, ok := s.Prompts[name]; {
	case given && name != "":
		return "", artifact.Errorf(artifact.ErrUsage, "embedding texts: give either --prompt TEXT or --prompt-name NAME")
	case given:
		return text, nil
	case name == "":
		return s.Prompt, nil
	case !ok:
		return "", artifact.Errorf(artifact.ErrUsage, "embedding texts: the model's folder has no prompt %q; it has %q", name, slices.Sorted(maps.Keys(s.Prompts)))
	default:
		return known, nil
	}
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
