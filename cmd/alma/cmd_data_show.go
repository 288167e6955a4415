package main

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/dataset/show"
)

var shownKinds = []dataset.Kind{dataset.Dialogues, dataset.Prompts, dataset.RankingKind, dataset.AnswerKind, dataset.Texts, dataset.ShardsKind}

func newDataShowCommand(c *call) *cobra.Command {
	var d dataSource
	var n, from int
	var rows string
	var bounds bool
	cmd := &cobra.Command{
		Use:   "show FILE --model DIR",
		Short: "Show data as tokens, with what is learned of it",
		Long: `Show the entries of a file as the model will see them: in its chat form, with the
special tokens, as far as they fit into the context.

  dialogues  the tokens that count in the loss stand out
  prompts    up to where the answer begins; dialogues serve as well
  rankings   each completion with its rank, and answers without
  texts      with what the tokenizer puts around them
  shards     documents of pretraining (shards/train of alma pretrain's folder)

On a terminal tokens that count are green, special ones dim, and what does not fit is
red. Elsewhere, or where NO_COLOR is set, what counts stands in ⟦…⟧ and what does not
fit in ✂…✂.

With --rows B×T it shows the first B rows of T tokens of the first epoch: of dialogues
packed as alma sft packs them with --seed, each a segment that sees no other; of shards
as alma pretrain reads them.`,
		Example: examples(
			"alma data show dialogues.jsonl --model base",
			"alma data show dialogues.jsonl --model base -n 1 --from 7 --tokens",
			"alma data show dialogues.jsonl --model base --rows 2x256",
			"alma data show rankings.jsonl --model model -n 5",
			"alma data show base/shards/train --model base --rows 1x64",
			"alma data show dialogues.jsonl --model base -n 0 --json"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 0 || from < 1 {
				return artifact.Errorf(artifact.ErrUsage, "showing data: -n is %d and --from %d; want 0 (all) or more, and 1 or more", n, from)
			}
			tok, template, err := d.open(cmd, args[0], shownKinds...)
			if err != nil {
				return err
			}
			fd := int(os.Stdout.Fd())
			v := show.View{
				Out: c.out, Path: d.path, Kind: d.as, Reading: d.texts, Tokenizer: tok, Template: template, Context: d.context, JSON: c.json,
				Color: term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == "", Bounds: bounds, Seed: c.seed,
			}
			if rows != "" {
				B, T, err := parseRows(rows)
				if err != nil {
					return err
				}
				return errors.Join(v.Rows(B, T), shownBad(v.Found))
			}
			return errors.Join(v.Entries(from, n), shownBad(v.Found))
		},
	}
	d.flags(cmd, shownKinds...)
	cmd.Flags().IntVarP(&n, "entries", "n", 3, "entries to show; 0: all")
	cmd.Flags().IntVar(&from, "from", 1, "number of the first")
	cmd.Flags().StringVar(&rows, "rows", "", "show packed rows, `B×T` (or BxT)")
	cmd.Flags().BoolVar(&bounds, "tokens", false, "show where tokens begin")
	c.seedFlag(cmd, "seed of the order of rows")
	c.jsonFlag(cmd)
	return cmd
}

// shownBad tells of rows that were left out, on the error output: what the file held is
// shown above its entries.
func shownBad(a *dataset.Account) error {
	if a == nil || a.Bad() == 0 {
		return nil
	}
	return told(a)
}

// parseRows reads "B×T".
func parseRows(text string) (B, T int, err error) {
	b, t, ok := strings.Cut(strings.ReplaceAll(text, "×", "x"), "x")
	if ok {
		if B, err = strconv.Atoi(b); err == nil {
			T, err = strconv.Atoi(t)
		}
	}
	if !ok || err != nil || B < 1 || T < 1 {
		return 0, 0, artifact.Errorf(artifact.ErrUsage, "reading --rows %q: want rows × tokens, as 2x256", text)
	}
	return B, T, nil
}
