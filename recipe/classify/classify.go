// Package classify is the recipe that makes a classifier of a model: its
// configuration in YAML and the page that a run leaves. The stage itself is
// train/classify.
package classify

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/report"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/classify"
)

// Config is the recipe: recipes/classify-*.yaml.
type Config struct {
	Recipe   string          `yaml:"recipe" json:"recipe" doc:"classify" enum:"classify"`
	Classify classify.Config `yaml:"classify" json:"classify" doc:"the stage"`
}

// Defaults are those of the stage.
func Defaults() Config { return Config{Recipe: "classify", Classify: classify.Defaults()} }

// IsRun reports whether a folder holds a classifier that the stage has finished.
func IsRun(folder string) bool {
	m, err := artifact.Open(folder, false)
	return err == nil && m.Kind == "classify"
}

// charts are the curves of the stage.
var charts = []stage.Chart{
	{Title: "Loss", Unit: "nats a text", Curves: [][2]string{{"loss", "training, weighted"}, {"validation/nll", "held out"}}},
	{Title: "Accuracy and macro-F1", Unit: "share", Curves: [][2]string{{"validation/accuracy", "accuracy"}, {"validation/macro_f1", "macro-F1"}}},
	{Title: "Calibration error", Unit: "share", Curves: [][2]string{{"validation/ece", "held out"}}},
	{Title: "Norm of the gradient", Unit: "norm before clipping", LogY: true, Curves: [][2]string{{"grad_norm", "norm"}}},
	{Title: "Learning rate", Unit: "learning rate", Curves: [][2]string{{"lr", "rate"}}},
}

// WriteReport builds report.html and report.md in the folder of a finished
// classifier.
func WriteReport(folder string) error {
	r, err := gather(folder)
	if err == nil {
		err = r.Save(folder)
	}
	if err != nil {
		return fmt.Errorf("building the report of %s: %w", folder, err)
	}
	return nil
}

func gather(folder string) (*report.Report, error) {
	m, err := artifact.Open(folder, false)
	if err != nil {
		return nil, err
	}
	lines, err := train.ReadMetrics(filepath.Join(folder, train.MetricsName))
	if err != nil {
		return nil, err
	}
	measures, err := readMeasures(filepath.Join(folder, classify.ValidationFile))
	if err != nil {
		return nil, err
	}
	sum, err := artifact.HashInput(folder)
	if err != nil {
		return nil, err
	}
	wrote := report.Artifact{Name: "classify", Path: filepath.ToSlash(folder), SHA256: sum}
	s := report.Stage{
		Name: "classify", Title: "Classifier",
		Description: "Leaves out a model's output layer, puts one with an output per class in its place, and trains on labelled texts.",
		Artifact:    wrote, Config: m.Config, Charts: report.Charts(charts, lines), Notes: m.Notes,
	}
	for _, role := range slices.Sorted(maps.Keys(m.Inputs)) {
		s.Inputs = append(s.Inputs, report.Artifact{Name: role, Path: filepath.ToSlash(m.Inputs[role].Path), SHA256: m.Inputs[role].SHA256})
	}
	r := &report.Report{
		Title: "A classifier of " + progress.Count(int64(m.Metrics["classes"])) + " classes",
		Intro: fmt.Sprintf("Trained on %s texts, measured on %s that were held out; %s of both were longer than the context and cut at their end.",
			progress.Count(int64(m.Metrics["texts"])), progress.Count(int64(m.Metrics["held_out"])), progress.Count(int64(m.Metrics["cut"]))),
		Facts: []report.Fact{
			{Name: "classes", Value: progress.Count(int64(m.Metrics["classes"]))},
			{Name: "texts", Value: progress.Count(int64(m.Metrics["texts"]))},
			{Name: "held out", Value: progress.Count(int64(m.Metrics["held_out"]))},
			{Name: "compute", Value: progress.Scientific(m.FLOPs) + " FLOP"},
			{Name: "written by", Value: "alma " + m.Alma},
		},
		Compute:   []report.StageCompute{{Stage: "classify", FLOPs: m.FLOPs, Seconds: m.WallSeconds, Tokens: m.Tokens}},
		Stages:    []report.Stage{s},
		Artifacts: []report.Artifact{wrote},
		Commands: []report.Command{
			{Does: "Name the classes of more texts (docs/formats/texts.md):", Line: "alma classify predict " + filepath.ToSlash(folder) + " texts.jsonl"},
			{Does: "Measure on texts with labels:", Line: "alma classify eval " + filepath.ToSlash(folder) + " labelled.jsonl"},
		},
	}
	if measures != nil {
		r.Outcomes, r.Tables = outcomes(measures), Tables(measures)
	}
	return r, nil
}

// readMeasures returns nil where nothing was held out.
func readMeasures(path string) (*stats.Classification, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading measures: %w", err)
	}
	c := new(stats.Classification)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	return c, nil
}

func outcomes(c *stats.Classification) []report.Outcome {
	on := fmt.Sprintf("on %s held-out texts", progress.Count(int64(c.N)))
	return []report.Outcome{
		{Name: "Accuracy", Measured: c.Accuracy.String(), Note: on + ", 95 % interval of Wilson"},
		{Name: "Macro-F1", Measured: fmt.Sprintf("%.3f", c.MacroF1), Note: "mean F1 of the classes, " + on},
		{Name: "−log likelihood", Measured: fmt.Sprintf("%.3f", c.NLL), Note: "nats a text, " + on},
		{Name: "Calibration error", Measured: fmt.Sprintf("%.3f", c.ECE), Note: "how far confidence and accuracy lie apart, " + on},
	}
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
	reliability := stage.Table{Title: "Calibration", Columns: []string{"Confidence", "texts", "claimed", "right"},
		Note: "Texts by the probability that the model gives to the class it names: claimed and right should be alike."}
	for i, b := range c.Reliability {
		high := 1.0
		if i+1 < len(c.Reliability) {
			high = c.Reliability[i+1].Low
		}
		row := []string{fmt.Sprintf("%g to %g", b.Low, high), progress.Count(int64(b.N)), "–", "–"}
		if b.N > 0 {
			row[2], row[3] = fmt.Sprintf("%.3f", b.Confidence), fmt.Sprintf("%.3f", b.Accuracy)
		}
		reliability.Rows = append(reliability.Rows, row)
	}
	return []stage.Table{classes, confusion, reliability}
}
