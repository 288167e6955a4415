package recipe

import (
	"fmt"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Error is one thing wrong with a recipe or an override. It is an
// artifact.ErrNotFound when the recipe does not exist, else an
// artifact.ErrUsage.
type Error struct {
	File    string // recipe; empty when Set is not
	Line    int    // 1-based; 0 when the whole file or an override is meant
	Column  int    // 1-based; 0 when unknown
	Set     string // the override as given, `ppo.lr=fast`
	Key     string // dotted key; empty when the file as a whole is meant
	Problem string // what was found and what is allowed
	Nearest string // nearest known key, for unknown keys
	Err     error  // cause, if another package found the fault
	Source  string // the line of the recipe that is meant, "" if it is unknown
	missing bool   // the recipe does not exist
}

// Caret shows the line that is meant and points at the column, "" where either
// is unknown.
func (e *Error) Caret() string {
	if e.Source == "" || e.Line == 0 || e.Column == 0 {
		return ""
	}
	// The caret stands under its character, whatever the tabs before it.
	lead := []rune(e.Source)
	lead = lead[:min(len(lead), e.Column-1)]
	for i, c := range lead {
		if c != '\t' {
			lead[i] = ' '
		}
	}
	return fmt.Sprintf("\n%5d | %s\n      | %s^", e.Line, e.Source, string(lead))
}

// Error writes `reading recipe FILE:LINE:COLUMN: KEY: PROBLEM`, and below it the
// line with a caret.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Set != "":
		fmt.Fprintf(&b, "reading --set %s", e.Set)
	case e.Line > 0 && e.Column > 0:
		fmt.Fprintf(&b, "reading recipe %s:%d:%d", e.File, e.Line, e.Column)
	case e.Line > 0:
		fmt.Fprintf(&b, "reading recipe %s:%d", e.File, e.Line)
	default:
		fmt.Fprintf(&b, "reading recipe %s", e.File)
	}
	if e.Key != "" {
		fmt.Fprintf(&b, ": %s", e.Key)
	}
	if e.Problem != "" {
		fmt.Fprintf(&b, ": %s", e.Problem)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String() + e.Caret()
}

// Unwrap returns the kind of the error and its cause.
func (e *Error) Unwrap() []error {
	kind := artifact.ErrUsage
	if e.missing {
		kind = artifact.ErrNotFound
	}
	if e.Err == nil {
		return []error{kind}
	}
	return []error{kind, e.Err}
}

// Errors are all faults found in one reading, in the order of the file, then
// of the overrides. There is at least one.
type Errors []*Error

// Error writes one fault a line, the first twenty.
func (e Errors) Error() string {
	const most = 20
	lines := make([]string, 0, min(len(e), most)+1)
	for i, one := range e {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(e)-most))
			break
		}
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the faults for errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, one := range e {
		out[i] = one
	}
	return out
}

// didYouMean stands between what was found and a list of what there is.
func didYouMean(near string) string {
	if near == "" {
		return ";"
	}
	return "; did you mean " + near + "?"
}

// nearest returns the candidate with the smallest edit distance to name, or ""
// when none is near enough to be meant. The first of equals wins.
func nearest(name string, candidates []string) string {
	best, distance := "", max(1, len([]rune(name))/3)+1
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(name), strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b (Levenshtein 1966 with Damerau's swaps, each
// place edited once).
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
