package classify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
)

// Measures are those of a classifier: of one class a text, or of several labels.
type Measures struct {
	One     *stats.Classification
	Several *stats.Labelling
}

// Measure holds a classifier against the classes of examples.
func Measure(ctx context.Context, c *Classifier, e Examples) (Measures, error) {
	probabilities, err := c.Probabilities(ctx, e.Tokens)
	if err != nil {
		return Measures{}, err
	}
	return measuresOf(c.body.model.Labels, probabilities, e), nil
}

func measuresOf(labels []string, probabilities [][]float64, e Examples) Measures {
	if e.Sets != nil {
		several := stats.ClassifySets(labels, probabilities, e.Sets)
		return Measures{Several: &several}
	}
	one := stats.Classify(labels, probabilities, e.Classes)
	return Measures{One: &one}
}

// macroF1 is what decides which weights are best.
func (m Measures) macroF1() float64 {
	if m.Several != nil {
		return m.Several.MacroF1
	}
	return m.One.MacroF1
}

// metrics are the measures for metrics.jsonl.
func (m Measures) metrics() []train.Metric {
	if l := m.Several; l != nil {
		return []train.Metric{
			{Name: "validation/exact", Value: l.Exact.Value}, {Name: "validation/micro_f1", Value: l.MicroF1},
			{Name: "validation/macro_f1", Value: l.MacroF1}, {Name: "validation/nll", Value: l.NLL}, {Name: "validation/ece", Value: l.ECE},
		}
	}
	return []train.Metric{
		{Name: "validation/accuracy", Value: m.One.Accuracy.Value}, {Name: "validation/macro_f1", Value: m.One.MacroF1},
		{Name: "validation/nll", Value: m.One.NLL}, {Name: "validation/ece", Value: m.One.ECE},
	}
}

// MarshalJSON writes the measures that there are.
func (m Measures) MarshalJSON() ([]byte, error) {
	if m.Several != nil {
		return json.Marshal(m.Several)
	}
	return json.Marshal(m.One)
}

// UnmarshalJSON tells the two by a key of theirs.
func (m *Measures) UnmarshalJSON(data []byte) error {
	var which struct {
		Micro *float64 `json:"micro_f1"`
	}
	if err := json.Unmarshal(data, &which); err != nil {
		return err
	}
	if which.Micro != nil {
		m.Several = new(stats.Labelling)
		return json.Unmarshal(data, m.Several)
	}
	m.One = new(stats.Classification)
	return json.Unmarshal(data, m.One)
}

// ThresholdsFile is the file of a classifier's folder that says for each label the
// probability from which on it is given: those that were best on the held-out texts. A
// folder without it gives labels from ½ on.
const ThresholdsFile = "thresholds.json"

// thresholdsOf are the labels' by name.
func thresholdsOf(l *stats.Labelling) map[string]float64 {
	all := make(map[string]float64, len(l.Labels))
	for _, r := range l.Labels {
		all[r.Name] = r.Threshold
	}
	return all
}

// Thresholds reads the thresholds [K] of the labels from a classifier's folder; all are
// ½ where it has none.
func Thresholds(folder string, labels []string) ([]float64, error) {
	out := make([]float64, len(labels))
	for i := range out {
		out[i] = .5
	}
	path := filepath.Join(folder, ThresholdsFile)
	if info, err := os.Stat(folder); err == nil && !info.IsDir() {
		return out, nil // a GGUF file
	}
	var named map[string]float64
	switch err := artifact.ReadJSON(path, &named); {
	case errors.Is(err, fs.ErrNotExist):
		return out, nil
	case err != nil:
		return nil, err
	}
	for i, label := range labels {
		threshold, ok := named[label]
		if !ok || !(threshold >= 0 && threshold <= 1) {
			return nil, artifact.Errorf(artifact.ErrUsage, "reading %s: label %q has the threshold %v; want one from 0 to 1 for each label", path, label, threshold)
		}
		out[i] = threshold
	}
	return out, nil
}

// Given lists the labels whose probabilities reach their thresholds, indices in their
// order.
func Given(probabilities, thresholds []float64) []int {
	given := []int{}
	for i, p := range probabilities {
		if p >= thresholds[i] {
			given = append(given, i)
		}
	}
	return given
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return artifact.WriteFile(path, append(data, '\n'))
}
