package recipe

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/report"
)

// Threshold is what a recorded measure must reach.
type Threshold struct {
	Measure string `yaml:"measure" json:"measure" doc:"STAGE.METRIC, a figure that the stage records in its artifact.json"`
	AtLeast Bound  `yaml:"at_least" json:"at_least,omitzero" doc:"smallest value that will do"`
	AtMost  Bound  `yaml:"at_most" json:"at_most,omitzero" doc:"largest value that will do"`
	Above   Bound  `yaml:"above" json:"above,omitzero" doc:"value that must be passed"`
	Below   Bound  `yaml:"below" json:"below,omitzero" doc:"value that must not be reached"`
	Name    string `yaml:"name" json:"name,omitempty" doc:"what people are told; the measure if empty"`
	Note    string `yaml:"note" json:"note,omitempty" doc:"what exactly was measured"`
}

// Bound is a number that need not be there.
type Bound struct {
	Value float64
	Set   bool
}

// UnmarshalText reads a number.
func (b *Bound) UnmarshalText(text []byte) error {
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return fmt.Errorf("needs a number")
	}
	*b = Bound{x, true}
	return nil
}

// MarshalText writes the number, nothing where there is none.
func (b Bound) MarshalText() ([]byte, error) {
	if !b.Set {
		return nil, nil
	}
	return []byte(number(b.Value)), nil
}

// IsZero tells whether there is no bound.
func (b Bound) IsZero() bool { return !b.Set }

// String writes `≥ 0.7`, or several bounds with "and" between.
func (t Threshold) String() string {
	var parts []string
	for _, b := range []struct {
		sign  string
		bound Bound
	}{{"≥", t.AtLeast}, {">", t.Above}, {"≤", t.AtMost}, {"<", t.Below}} {
		if b.bound.Set {
			parts = append(parts, b.sign+" "+number(b.bound.Value))
		}
	}
	return strings.Join(parts, " and ")
}

// Met tells whether a value will do.
func (t Threshold) Met(x float64) bool {
	return !math.IsNaN(x) && (!t.AtLeast.Set || x >= t.AtLeast.Value) && (!t.AtMost.Set || x <= t.AtMost.Value) &&
		(!t.Above.Set || x > t.Above.Value) && (!t.Below.Set || x < t.Below.Value)
}

// split returns the names of the stage and of the metric.
func (t Threshold) split() (stage, metric string) {
	stage, metric, _ = strings.Cut(t.Measure, ".")
	return stage, metric
}

// checkThresholds refuses thresholds that say nothing, or of stages that are not
// there.
func (r *Recipe) checkThresholds() error {
	for i, t := range r.Thresholds {
		stage, metric := t.split()
		switch {
		case t.String() == "":
			return artifact.Errorf(artifact.ErrUsage, "thresholds[%d]: %s has no bound; give at_least, at_most, above or below", i, t.Measure)
		case metric == "":
			return artifact.Errorf(artifact.ErrUsage, "thresholds[%d]: measure %q is no STAGE.METRIC, such as pretrain.validation/loss", i, t.Measure)
		case r.Step(stage) == nil:
			hint := ""
			if near := nearest(stage, r.names()); near != "" {
				hint = fmt.Sprintf("; did you mean %s.%s?", near, metric)
			}
			return artifact.Errorf(artifact.ErrUsage, "thresholds[%d]: the recipe has no stage %q%s", i, stage, hint)
		}
	}
	return nil
}

// Outcomes hold the thresholds against what the stages recorded. A metric that a
// stage did not record is an artifact.ErrUsage that names the nearest, or those
// that there are.
func (r *Recipe) Outcomes(manifests map[string]*artifact.Manifest) ([]report.Outcome, error) {
	var list []report.Outcome
	for i, t := range r.Thresholds {
		stage, metric := t.split()
		m := manifests[stage]
		if m == nil {
			continue
		}
		value, ok := m.Metrics[metric]
		if !ok {
			var names []string
			for name := range m.Metrics {
				names = append(names, name)
			}
			hint := "it records " + strings.Join(slices.Sorted(slices.Values(names)), ", ")
			if near := nearest(metric, names); near != "" {
				hint = fmt.Sprintf("did you mean %s.%s? %s", stage, near, hint)
			}
			return nil, artifact.Errorf(artifact.ErrUsage, "thresholds[%d]: stage %s recorded no %q; %s", i, stage, metric, hint)
		}
		measured := short(value)
		low, ok1 := m.Metrics[metric+"/low"]
		high, ok2 := m.Metrics[metric+"/high"]
		if ok1 && ok2 {
			measured = fmt.Sprintf("%s [%s, %s]", measured, short(low), short(high))
		}
		name := t.Name
		if name == "" {
			name = t.Measure
		}
		list = append(list, report.Outcome{Name: name, Measured: measured, Threshold: t.String(), Status: report.StatusOf(t.Met(value)), Note: t.Note})
	}
	return list, nil
}

// short writes a figure with three decimals, or as many digits as it takes.
func short(x float64) string {
	if a := math.Abs(x); a != 0 && (a < .01 || a >= 1e6) {
		return strconv.FormatFloat(x, 'g', 4, 64)
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}
