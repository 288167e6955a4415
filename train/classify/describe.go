package classify

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
)

// describe tells what was learned and how far it can be relied on.
func describe(d stage.Done, _ Config) (out stage.Description, err error) {
	count := func(name string) string { return progress.Count(int64(d.Metric(name))) }
	out.Notes = []string{fmt.Sprintf("%s classes. Trained on %s texts, measured on %s that were held out; %s of both were longer than the context and cut at their end.",
		count("classes"), count("texts"), count("held_out"), count("cut"))}
	var m Measures
	err = artifact.ReadJSON(filepath.Join(d.Folder, ValidationFile), &m)
	if errors.Is(err, fs.ErrNotExist) { // nothing was held out
		return out, nil
	}
	if err != nil {
		return out, err
	}
	if l := m.Several; l != nil {
		out.Tables = append([]stage.Table{{
			Title: "On the held-out texts", Columns: []string{"Texts", "all labels right", "micro-F1", "macro-F1", "−log likelihood, nats a label", "calibration error"},
			Rows: [][]string{{progress.Count(int64(l.N)), l.Exact.String(), fmt.Sprintf("%.3f", l.MicroF1), fmt.Sprintf("%.3f", l.MacroF1), fmt.Sprintf("%.3f", l.NLL), fmt.Sprintf("%.3f", l.ECE)}},
			Note: "Labels are given from a probability of ½ on. All labels right: with the 95 % interval of Wilson; micro-F1 counts all labels together, macro-F1 is their mean.",
		}}, LabelTables(l)...)
		return out, nil
	}
	c := m.One
	out.Tables = append([]stage.Table{{
		Title: "On the held-out texts", Columns: []string{"Texts", "accuracy", "macro-F1", "−log likelihood, nats a text", "calibration error"},
		Rows: [][]string{{progress.Count(int64(c.N)), c.Accuracy.String(), fmt.Sprintf("%.3f", c.MacroF1), fmt.Sprintf("%.3f", c.NLL), fmt.Sprintf("%.3f", c.ECE)}},
		Note: "Accuracy with the 95 % interval of Wilson; macro-F1 is the mean F1 of the classes.",
	}}, Tables(c)...)
	return out, nil
}

// Tables shows a classification's measures: the classes, the confusion matrix,
// the reliability diagram.
func Tables(c *stats.Classification) []stage.Table {
	classes := stage.Table{Title: "Classes", Columns: []string{"Class", "texts", "predicted", "precision", "recall", "F1"}}
	confusion := stage.Table{Title: "Confusion matrix", Columns: []string{"True class"}, Note: "Rows are the true classes, columns the predicted ones."}
	for i, r := range c.Classes {
		classes.Rows = append(classes.Rows, []string{r.Name, progress.Count(int64(r.Support)), progress.Count(int64(r.Predicted)),
			fmt.Sprintf("%.3f", r.Precision), fmt.Sprintf("%.3f", r.Recall), fmt.Sprintf("%.3f", r.F1)})
		confusion.Columns = append(confusion.Columns, r.Name)
		row := []string{r.Name}
		for _, n := range c.Confusion[i] {
			row = append(row, progress.Count(int64(n)))
		}
		confusion.Rows = append(confusion.Rows, row)
	}
	reliability := reliabilityTable(c.Reliability, "texts", "Texts by the probability that the model gives to the class it names: claimed and right should be alike.")
	return []stage.Table{classes, confusion, reliability}
}

// LabelTables shows the labels, with the thresholds that were best, and the reliability
// diagram.
func LabelTables(l *stats.Labelling) []stage.Table {
	labels := stage.Table{Title: "Labels", Columns: []string{"Label", "texts", "predicted", "precision", "recall", "F1", "best threshold", "F1 there"},
		Note: "The thresholds are those that give the highest F1 on these very texts, so that F1 is too good; they stand in " + ThresholdsFile + "."}
	for _, r := range l.Labels {
		labels.Rows = append(labels.Rows, []string{r.Name, progress.Count(int64(r.Support)), progress.Count(int64(r.Predicted)),
			fmt.Sprintf("%.3f", r.Precision), fmt.Sprintf("%.3f", r.Recall), fmt.Sprintf("%.3f", r.F1), fmt.Sprintf("%.3f", r.Threshold), fmt.Sprintf("%.3f", r.Best)})
	}
	return []stage.Table{labels, reliabilityTable(l.Reliability, "labels", "Labels of all texts by their probability: claimed and right should be alike.")}
}

func reliabilityTable(bins stats.Bins, what, note string) stage.Table {
	reliability := stage.Table{Title: "Calibration", Columns: []string{"Confidence", what, "claimed", "right"}, Note: note}
	for i, b := range bins {
		high := 1.0
		if i+1 < len(bins) {
			high = bins[i+1].Low
		}
		row := []string{fmt.Sprintf("%g to %g", b.Low, high), progress.Count(int64(b.N)), "–", "–"}
		if b.N > 0 {
			row[2], row[3] = fmt.Sprintf("%.3f", b.Confidence), fmt.Sprintf("%.3f", b.Accuracy)
		}
		reliability.Rows = append(reliability.Rows, row)
	}
	return reliability
}
