package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func newDataCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "data",
		GroupID: groupCheck,
		Short:   "Look at data as a model will see it, and check it",
		Long:    "Look at dialogues, prompts, rankings, texts and token shards as a model will see\nthem, and check them before anything is trained.",
	})
	cmd.AddCommand(newDataShowCommand(c), newDataCheckCommand(c))
	return cmd
}

// dataSource is a file of data and the model that will see it.
type dataSource struct {
	path    string
	as      dataset.Kind
	guessed bool
	model   string
	context int // tokens of an entry
	texts   dataset.TextOptions
}

// flags are those of both verbs; kinds are what the file can be read as.
func (d *dataSource) flags(cmd *cobra.Command, kinds ...dataset.Kind) {
	acceptFlag(cmd)
	cmd.Flags().StringVar(&d.model, "model", "", "`DIR` of the model that will see the data; its tokenizer and chat form are used")
	cmd.Flags().StringVar((*string)(&d.as), "as", "", "what the file holds: "+names(kinds)+"; by default what its beginning looks like")
	cmd.Flags().IntVar(&d.context, "context", 0, "tokens that an entry may have; 0: the model's context")
	readingFlags(cmd, &d.texts.Reading, dataset.Skip)
	cmd.Flags().StringVar(&d.texts.TextColumn, "text-column", "", "key, column or number of the text; by default the usual names")
	cmd.Flags().StringVar(&d.texts.LabelColumn, "label-column", "", "key, column or number of the label; by default the usual names")
}

// open finds out what the file holds and opens the model's tokenizer and template.
func (d *dataSource) open(cmd *cobra.Command, path string, kinds ...dataset.Kind) (*tokenizer.Tokenizer, *chat.Template, error) {
	if err := required(cmd, "model"); err != nil {
		return nil, nil, err
	}
	d.path = path
	if d.as == "" {
		var err error
		if d.as, err = dataset.Guess(path, d.texts.Reading); err != nil {
			return nil, nil, err
		}
		d.guessed = true
	}
	if !slices.Contains(kinds, d.as) {
		hint := "give one of them with --as"
		if d.guessed {
			hint = "that is what its beginning looks like; " + hint
		}
		return nil, nil, artifact.Errorf(artifact.ErrUsage, "reading %s as %s: this verb reads %s; %s", path, d.as, names(kinds), hint)
	}
	config, err := file.ReadConfig(d.model)
	if err != nil {
		return nil, nil, err
	}
	tok, err := openTokenizer(d.model)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case d.context < 0:
		return nil, nil, artifact.Errorf(artifact.ErrUsage, "reading %s: --context is %d, want 0 (the model's) or more", path, d.context)
	case d.context == 0:
		d.context = config.Context
	case d.context > config.Context:
		return nil, nil, artifact.Errorf(artifact.ErrUsage, "reading %s: --context %d is longer than the model's, which is %d", path, d.context, config.Context)
	}
	if d.as == dataset.Texts || d.as == dataset.ShardsKind {
		return tok, nil, nil
	}
	template, err := chat.For(tok)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", d.model, err)
	}
	return tok, template, nil
}

// names lists kinds for people.
func names(kinds []dataset.Kind) string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = string(k)
	}
	return strings.Join(list, ", ")
}

// readingFlags are the flags that say how a file of rows is read.
func readingFlags(cmd *cobra.Command, r *dataset.Reading, bad dataset.BadRows) {
	cmd.Flags().StringVar((*string)(&r.BadRows), "bad-rows", string(bad), "a row that cannot be used: skip it and tell, or stop")
	cmd.Flags().StringVar(&r.Format, "format", "", "jsonl, csv, tsv, lines or parquet; by default by content and name")
	cmd.Flags().StringVar(&r.Map, "map", "", "other names of keys and columns, as `text=body,label=stars`")
}

// told shows what a file of rows held, on the error output, and is an
// artifact.ErrSomeRejected where some of it was left out.
func told(a *dataset.Account) error {
	a.Record(&progress.Log{Progress: progress.New(os.Stderr)}, nil)
	return leftOut(a.Rejected)
}

// leftOut is an artifact.ErrSomeRejected for rows that were left out, nil for none.
func leftOut(rejected []artifact.Rejected) error {
	n, files, reasons := 0, []string{}, []string{}
	for _, r := range rejected {
		n += r.N
		if reason := progress.Printable(r.Reason); !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
		if !slices.Contains(files, r.File) {
			files = append(files, r.File)
		}
	}
	if n == 0 {
		return nil
	}
	if len(reasons) > 3 {
		reasons = append(reasons[:3], "…")
	}
	return artifact.Errorf(artifact.ErrSomeRejected, "done, and %s rows of %s were left out: %s (the first of each stand in artifact.json, and alma data check lists them); mend them, or have a file with such rows refused by bad_rows: stop", progress.Count(int64(n)), strings.Join(files, ", "), strings.Join(reasons, "; "))
}

var checkedKinds = []dataset.Kind{dataset.Dialogues, dataset.Prompts, dataset.RankingKind, dataset.Texts}

func newDataCheckCommand(c *call) *cobra.Command {
	var d dataSource
	var rows, room int
	var labels bool
	cmd := &cobra.Command{
		Use:   "check FILE --model DIR",
		Short: "Read and tokenise a file, and tell what training would keep",
		Long: `Read a whole file as a stage would, tokenise it as the model will see it, and tell
what is kept, what is left out and why, how long the entries are, and what is there
twice. Nothing is trained and nothing written.

  dialogues  as alma sft: those longer than the context are left out
  prompts    as alma ppo and alma sample: those without room for an answer of
             --max-tokens are left out
  rankings   as alma reward: left out are those that tie, and those of which a
             completion, or all together in --rows packed rows, do not fit
  texts      as alma classify: what is too long is cut

Rows that cannot be read are counted by reason, with their lines, and the exit code
is then 3; more than 5 % of them, or --bad-rows stop, end the check with exit code 4.`,
		Example: examples(
			"alma data check dialogues.jsonl --model base",
			"alma data check prompts.jsonl --model model --as prompts --max-tokens 64",
			"alma data check rankings.jsonl --model model --context 256 --json",
			"alma data check labelled.csv --model base --labels"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tok, template, err := d.open(cmd, args[0], checkedKinds...)
			if err != nil {
				return err
			}
			if rows < 1 || room < 0 || room >= d.context {
				return artifact.Errorf(artifact.ErrUsage, "checking %s: --rows is %d and --max-tokens %d; want at least 1 row, and answers shorter than the context of %d", d.path, rows, room, d.context)
			}
			var report dataset.CheckReport
			switch d.as {
			case dataset.Dialogues:
				report, err = dataset.CheckDialogues(template, d.path, d.texts.Reading, d.context)
			case dataset.Prompts:
				report, err = dataset.CheckPrompts(template, d.path, d.texts.Reading, d.context, room)
			case dataset.RankingKind:
				report, err = dataset.CheckRankings(template, d.path, d.texts.Reading, rows, d.context)
			case dataset.Texts:
				d.texts.Labels = labels || d.texts.LabelColumn != ""
				report, err = dataset.CheckTexts(tok, d.path, d.texts, d.context)
			}
			if err != nil {
				return err
			}
			if c.json {
				err = c.printJSON(report)
			} else {
				c.printDataCheck(d, report)
			}
			return errors.Join(err, leftOut(report.Bad))
		},
	}
	d.flags(cmd, checkedKinds...)
	cmd.Flags().IntVar(&rows, "rows", 8, "of rankings: packed rows that all completions of a prompt share (micro_rows of alma reward)")
	cmd.Flags().IntVar(&room, "max-tokens", 1, "of prompts: tokens that are left for an answer")
	cmd.Flags().BoolVar(&labels, "labels", false, "of texts: ask for a label of each, and count them")
	c.jsonFlag(cmd)
	return cmd
}

// printDataCheck shows a report.
func (c *call) printDataCheck(d dataSource, r dataset.CheckReport) {
	count := func(n int) string { return progress.Count(int64(n)) }
	how := ""
	if d.guessed {
		how = ", by its beginning"
	}
	c.printf("%s: %s%s\n", d.path, r.As, how)
	c.printf("found     %s\n", r.Read)
	c.printf("read      %s\nkept      %s\n", count(r.Entries), count(r.Kept))
	for _, bad := range r.Bad {
		c.printf("bad rows  %s: %s\n", count(bad.N), progress.Printable(bad.Reason))
		for _, line := range bad.First {
			c.printf("          %s\n", progress.Printable(line))
		}
	}
	for _, drop := range r.Dropped {
		c.printf("left out  %s: %s (the first is number %s)\n", count(drop.N), drop.Reason, count(drop.First))
	}
	if r.Cut > 0 {
		c.printf("cut       %s at %s tokens\n", count(r.Cut), count(r.Limit))
	}
	if r.Repeated > 0 {
		c.printf("twice     %s are there before\n", count(r.Repeated))
	}
	c.printf("tokens    %s", progress.Count(r.Tokens))
	if r.As == string(dataset.Dialogues) {
		c.printf(", of which %s count in the loss", progress.Count(r.Learned))
	}
	c.printf("\nlengths   median %s, 90 %% within %s, 99 %% within %s, longest %s (number %s); the limit is %s\n",
		count(r.Lengths.Median), count(r.Lengths.P90), count(r.Lengths.P99), count(r.Lengths.Longest), count(r.Lengths.LongestAt), count(r.Limit))
	if r.As == string(dataset.RankingKind) {
		c.printf("pairs     %s\n", count(r.Pairs))
		if len(r.Annotators) > 0 {
			c.printf("ranked by %s\n", progress.Printable(strings.Join(r.Annotators, ", ")))
		}
	}
	for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
		c.printf("label     %s: %s\n", progress.Printable(label), count(r.Labels[label]))
	}
}
