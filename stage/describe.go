package stage

import (
	"strings"
	"unicode"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Chart says which metrics of a stage a chart shows.
type Chart struct {
	Title, Unit string
	LogY        bool
	Curves      [][2]string // metric, name of its curve
}

// Table is a table of text. The first column names the row; others whose cells
// are all numbers are aligned to the right.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string // each as long as Columns
	Note    string
}

// Right reports for each column whether it is aligned to the right: all its
// cells are numbers or empty, and it is not the first, which names the row.
func (t Table) Right() []bool {
	out := make([]bool, len(t.Columns))
	for c := 1; c < len(out); c++ {
		seen := false
		out[c] = true
		for _, row := range t.Rows {
			if c >= len(row) || row[c] == "" || row[c] == "–" {
				continue
			}
			seen = true
			first := []rune(row[c])[0]
			if !unicode.IsDigit(first) && !strings.ContainsRune("+-−±.≥≤<>", first) {
				out[c] = false
			}
		}
		out[c] = out[c] && seen
	}
	return out
}

// Done is a stage that is complete.
type Done struct {
	Folder   string
	Manifest *artifact.Manifest
	In       Inputs
}

// Metric returns a final figure, 0 if there is none.
func (d Done) Metric(name string) float64 { return d.Manifest.Metrics[name] }

// Description is what a stage tells the report beside its curves.
type Description struct {
	Tables    []Table
	Notes     []string // facts in sentences
	Statement []string // what the whole run shows, in plain language: of an evaluation
	Samples   Samples  // the same
}

// Samples are answers to the same prompts by several models.
type Samples struct {
	Note  string // how prompts were chosen, at which temperature
	Pairs []Sample
}

// Sample is one prompt and its answers, the earlier model's first.
type Sample struct {
	Prompt    string
	Reference string // what a person wrote; may be empty
	Answers   []Answer
}

// Answer is what one model wrote, scored item by item. All answers of a sample
// list the same items in the same order.
type Answer struct {
	Model string // `SFT`
	Text  string
	Score float64
	Items []Item
	// Unscored marks an answer that nothing judged; Score is then no figure.
	Unscored bool
}

// Item is one part of a score. Max is what the item can give at most, 0 if it
// has no bound.
type Item struct {
	Name       string
	Score, Max float64
}

// Describe returns what a finished stage tells of itself.
func (s *Stage) Describe(d Done, config any) (Description, error) {
	if s.describe == nil {
		return Description{}, nil
	}
	return s.describe(d, config)
}
