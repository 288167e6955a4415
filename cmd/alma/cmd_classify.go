package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train/classify"
)

func newClassifyCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "classify",
		GroupID: groupMake,
		Short:   "Train a classifier from a model, and name the classes of texts",
		Long: `Train a classifier from any model: its output layer is left out, and a layer with
one output per class, random at first, takes its place. The labels of the texts
are the classes.`,
	})
	cmd.AddCommand(newClassifyPredictCommand(c), newClassifyEvalCommand(c))
	return cmd
}

// textFlags are the flags that say how a file of texts is read.
func textFlags(cmd *cobra.Command, o *dataset.TextOptions) {
	readingFlags(cmd, &o.Reading, dataset.Stop)
	cmd.Flags().StringVar(&o.Header, "header", "auto", "whether a table's first record names the columns: auto, yes, no")
	cmd.Flags().StringVar(&o.TextColumn, "text-column", "", "key, column or number of the text; by default the usual names")
}

// classified are texts with the probabilities of their classes.
type classified struct {
	name          string // of the file, in errors
	labels        []string
	texts         []dataset.Text
	account       *dataset.Account
	probabilities [][]float64 // [N][K]
	thresholds    []float64   // [K], where a text may have several labels; else nil
	cut           int         // texts that were longer than context
	context       int
}

// given are the labels of text i, where it may have several.
func (p *classified) given(i int) []string {
	labels := []string{}
	for _, k := range classify.Given(p.probabilities[i], p.thresholds) {
		labels = append(labels, p.labels[k])
	}
	return labels
}

// classifyRows is how many packed rows go through the model at one time. It
// changes no result.
const classifyRows = 8

// classify names the classes of the texts of a file, or of standard input.
func (c *call) classify(ctx context.Context, folder string, files []string, o dataset.TextOptions) (*classified, error) {
	f, err := readTextsOrInput(files, o)
	if err != nil {
		return nil, err
	}
	engine, err := c.newEngine()
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	m, tok, err := openModel(engine, folder)
	if err != nil {
		return nil, err
	}
	ids, cut, err := encodeTexts(tok, f, m.Context)
	if err != nil {
		return nil, err
	}
	classifier, err := classify.NewClassifier(m, classifyRows, classify.RowLength(m.Context, ids))
	if err != nil {
		return nil, err
	}
	var thresholds []float64
	if classifier.Several() {
		if thresholds, err = classify.Thresholds(folder, m.Labels); err != nil {
			return nil, err
		}
	}
	probabilities, err := classifier.Probabilities(ctx, ids)
	return &classified{f.Path, m.Labels, f.Rows, f.Account, probabilities, thresholds, cut, m.Context}, err
}

// encodeTexts makes tokens of texts, at most limit of each, and counts those that
// were cut.
func encodeTexts(tok *tokenizer.Tokenizer, f *dataset.File[dataset.Text], limit int) (ids [][]int32, cut int, err error) {
	err = f.Keep(func(_ int, t dataset.Text) error {
		one, short, err := dataset.EncodeText(tok, t.Text, limit)
		if err != nil {
			return err
		}
		if ids = append(ids, one); short {
			cut++
		}
		return nil
	})
	return ids, cut, err
}

// warnCut says on standard error how many texts were cut, if any were.
func warnCut(cut, all, limit int) {
	if cut > 0 {
		fmt.Fprintf(os.Stderr, "warning: %d of %d texts were longer than %d tokens and were cut\n", cut, all, limit)
	}
}

func newClassifyPredictCommand(c *call) *cobra.Command {
	var o dataset.TextOptions
	cmd := &cobra.Command{
		Use:   "predict MODEL [FILE]",
		Short: "Write the class of each text of a file, with its probabilities",
		Long: `Write the class of each text of a file, or of standard input, as JSON Lines in the
order of the texts (docs/formats/texts.md): the label, the probability of every
class, and the text's id if it has one.

  {"id":7,"text":"free prize, call now","label":"spam","probabilities":{"ham":0.01,"spam":0.99}}

Where the model was trained with lists of labels the line has "labels", a list of those
whose probability reaches the threshold that thresholds.json of the model's folder has
for them, or 1/2.

A text that is longer than the model's context is cut at its end. Standard input is
JSON Lines unless --format says otherwise.`,
		Example: examples("alma classify predict spam messages.jsonl", "alma classify predict spam messages.txt > labelled.jsonl", "echo 'free prize' | alma classify predict spam --format lines"),
		Args:    arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := c.classify(cmd.Context(), args[0], args[1:], o)
			if err != nil {
				return err
			}
			for i, t := range p.texts {
				line := struct {
					ID            json.RawMessage    `json:"id,omitempty"`
					Text          string             `json:"text"`
					Label         string             `json:"label,omitempty"`
					Labels        *[]string          `json:"labels,omitempty"`
					Probabilities map[string]float64 `json:"probabilities"` // written in the order of the labels as text
				}{ID: t.ID, Text: t.Text, Probabilities: make(map[string]float64, len(p.labels))}
				if p.thresholds != nil {
					given := p.given(i)
					line.Labels = &given
				} else {
					line.Label = p.labels[stats.Likeliest(p.probabilities[i])]
				}
				for k, label := range p.labels {
					line.Probabilities[label] = p.probabilities[i][k]
				}
				if err := c.printJSON(line); err != nil {
					return err
				}
			}
			warnCut(p.cut, len(p.texts), p.context)
			return told(p.account)
		},
	}
	textFlags(cmd, &o)
	acceptFlag(cmd)
	c.engineFlags(cmd)
	return cmd
}

func newClassifyEvalCommand(c *call) *cobra.Command {
	o := dataset.TextOptions{Labels: true}
	cmd := &cobra.Command{
		Use:   "eval MODEL [FILE]",
		Short: "Measure a classifier on labelled texts",
		Long: `Measure a classifier on texts with labels: accuracy, macro-F1, precision, recall and
F1 of each class, the confusion matrix, and whether its probabilities are kept
(calibration); of a model with several labels a text, micro- and macro-F1 and each
label with the threshold that would have been best. Without FILE the texts come from
standard input, as JSON Lines unless --format says otherwise.`,
		Example: examples("alma classify eval spam held-out.csv", "alma classify eval spam held-out.tsv --text-column 2 --label-column 1 --json"),
		Args:    arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := c.classify(cmd.Context(), args[0], args[1:], o)
			if err != nil {
				return err
			}
			if p.thresholds != nil {
				return c.printLabelling(p)
			}
			truth, err := classify.ClassesOf(p.name, p.texts, p.labels)
			if err != nil {
				return err
			}
			measures := stats.Classify(p.labels, p.probabilities, truth)
			if c.json {
				return errors.Join(c.printJSON(measures), told(p.account))
			}
			c.printf("accuracy           %v\nmacro-F1           %.3f\n−log likelihood    %.3f nats a text\ncalibration error  %.3f\n(%d texts, %d cut at the model's context)\n",
				measures.Accuracy, measures.MacroF1, measures.NLL, measures.ECE, measures.N, p.cut)
			for _, table := range classify.Tables(&measures) {
				c.printTable(table)
			}
			return told(p.account)
		},
	}
	textFlags(cmd, &o)
	cmd.Flags().StringVar(&o.LabelColumn, "label-column", "", "key, column or number of the label; by default the usual names")
	acceptFlag(cmd)
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// printLabelling prints the measures of a model of which a text may have several labels.
func (c *call) printLabelling(p *classified) error {
	truth, err := classify.SetsOf(p.name, p.texts, p.labels)
	if err != nil {
		return err
	}
	measures := stats.ClassifySets(p.labels, p.probabilities, truth)
	if c.json {
		return errors.Join(c.printJSON(measures), told(p.account))
	}
	c.printf("all labels right   %v\nmicro-F1           %.3f\nmacro-F1           %.3f\n−log likelihood    %.3f nats a label\ncalibration error  %.3f\n(%d texts, %d cut at the model's context; labels from 1/2 on)\n",
		measures.Exact, measures.MicroF1, measures.MacroF1, measures.NLL, measures.ECE, measures.N, p.cut)
	for _, table := range classify.LabelTables(&measures) {
		c.printTable(table)
	}
	return told(p.account)
}

// printTable prints a table in columns, the first to the left and the others to
// the right.
func (c *call) printTable(t stage.Table) {
	widths := make([]int, len(t.Columns))
	rows := append([][]string{t.Columns}, t.Rows...)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	c.printf("\n%s\n", t.Title)
	for _, row := range rows {
		line := fmt.Sprintf("  %-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %*s", widths[i+1], cell)
		}
		c.printf("%s\n", line)
	}
}
