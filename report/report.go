package report

import "github.com/seed-b72bdb6c/alma/stage"

// Report is everything that the page shows. Empty parts are left out.
type Report struct {
	Title     string
	Intro     string   // a paragraph under the title
	Facts     []Fact   // a handful of figures at the top
	Statement []string // paragraphs under "What this shows", in plain language
	Outcomes  []Outcome
	Tables    []stage.Table // results beside the outcomes, such as every item of a rule
	Samples   stage.Samples
	Compute   []StageCompute
	Stages    []Stage
	Settings  []Setting  // the whole resolved configuration
	Artifacts []Artifact // of the whole run, with their hashes
	Commands  []Command  // what to type next
}

// Fact is a figure with its name, `parameters: 2.16 M`.
type Fact struct{ Name, Value string }

// Status says how an outcome stands to its threshold.
type Status int

// The states of an outcome.
const (
	Shown  Status = iota // without threshold
	Passed               // threshold met
	Failed               // threshold not met
)

// String returns the word that stands beside the mark.
func (s Status) String() string {
	switch s {
	case Passed:
		return "met"
	case Failed:
		return "not met"
	}
	return "shown"
}

// StatusOf returns Passed or Failed.
func StatusOf(met bool) Status {
	if met {
		return Passed
	}
	return Failed
}

// Outcome is one measured result.
type Outcome struct {
	Name      string
	Measured  string // `0.171 [0.158, 0.184]`
	Threshold string // `≥ 0.10`; empty for Shown
	Status    Status
	Note      string // what exactly was measured, on what
}

// Stage is one step of the run.
type Stage struct {
	Name        string // `ppo`, also its anchor
	Title       string // `PPO`; the name if empty
	Description string
	State       string   // such as `unchanged, taken from an earlier run`
	Artifact    Artifact // what the stage wrote
	Inputs      []Artifact
	Config      any // marshalled to JSON and shown flat; nil for none
	Charts      []Chart
	Tables      []stage.Table
	Notes       []string
}

// Artifact is a file or folder with its SHA-256 in hexadecimal.
type Artifact struct{ Name, Path, SHA256 string }

// Chart is one or more curves over the same quantity.
type Chart struct {
	Title          string
	XLabel, YLabel string
	LogY           bool // all y must be above 0
	Series         []Series
}

// Series is one curve. X ascends and is as long as Y. A y that is NaN or
// infinite leaves a gap.
type Series struct {
	Name string
	X, Y []float64
}

// StageCompute is what a stage has spent. FLOPs counts floating-point
// operations as package compute does.
type StageCompute struct {
	Stage       string
	FLOPs       float64
	Seconds     float64
	Tokens      int64 // processed; 0 when the stage counts none
	Pretraining bool  // the stage that the others are compared with
}

// Setting is one resolved value and who decided it.
type Setting struct{ Key, Value, Origin string }

// Command is a line to type, with what it does.
type Command struct{ Does, Line string }

// Mark returns ✓, ✗ or –, so that the result does not hang on colour.
func (o Outcome) Mark() string {
	switch o.Status {
	case Passed:
		return "✓"
	case Failed:
		return "✗"
	}
	return "–"
}

// Class returns the class of the mark in the page's style sheet.
func (o Outcome) Class() string {
	switch o.Status {
	case Passed:
		return "met"
	case Failed:
		return "unmet"
	}
	return ""
}
