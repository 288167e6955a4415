package filter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// An Evaluations is what evaluations ask, as n-grams of words, so that texts
// which hold them can be kept from training: Brown et al., "Language Models are
// Few-Shot Learners" (2020), appendix C, with n of 13. Words are compared in small
// letters and without marks of punctuation.
type Evaluations struct {
	n     int
	grams map[uint64]int32 // to the place of the evaluation in names
	names []string
	short int
}

// NewEvaluations returns an empty index of n-grams.
func NewEvaluations(n int) (*Evaluations, error) {
	if n < 1 || n > 1000 {
		return nil, artifact.Errorf(artifact.ErrUsage, "filter decontaminate: n-grams of %d words; give 1 to 1000", n)
	}
	return &Evaluations{n: n, grams: map[uint64]int32{}}, nil
}

// Add indexes one text of the evaluation of that name. It reports whether the
// text was long enough to have an n-gram.
func (e *Evaluations) Add(name, text string) bool {
	at := slices.Index(e.names, name)
	if at < 0 {
		at = len(e.names)
		e.names = append(e.names, name)
	}
	any := false
	e.each(text, func(hash uint64) bool {
		any = true
		if _, ok := e.grams[hash]; !ok { // the first that asked it is named
			e.grams[hash] = int32(at)
		}
		return true
	})
	if !any {
		e.short++
	}
	return any
}

// Short is the number of texts that were too short to be looked for.
func (e *Evaluations) Short() int { return e.short }

// Ngrams is the number of different n-grams.
func (e *Evaluations) Ngrams() int { return len(e.grams) }

// each calls gram with the hash of every n-gram of the text.
func (e *Evaluations) each(text string, gram func(uint64) bool) {
	p := power(e.n)
	var sums []uint64 // rolling sums before each word
	sums = append(sums, 0)
	low := strings.ToLower(text)
	for _, w := range appendWords(nil, low) {
		if w.mark {
			continue
		}
		sums = append(sums, sums[len(sums)-1]*base+w.hash)
		if k := len(sums) - 1 - e.n; k >= 0 && !gram(sums[len(sums)-1]-sums[k]*p) {
			return
		}
	}
}

// Filter makes the filter that refuses texts with more than maxShared n-grams of
// the evaluations; 0 refuses any. The refusal names the evaluation of the first.
func (e *Evaluations) Filter(maxShared int) (Filter, error) {
	const name = "decontaminate"
	if maxShared < 0 {
		return Filter{}, artifact.Errorf(artifact.ErrUsage, "filter %s: at most %d shared n-grams; give 0 or more", name, maxShared)
	}
	reason := fmt.Sprintf("%s: shares %d-grams with an evaluation", name, e.n)
	return Filter{name: name, judge: func(t *Text, each func(Value) bool) *Text {
		shared, first := 0, ""
		e.each(t.text, func(hash uint64) bool {
			if at, ok := e.grams[hash]; ok {
				if shared == 0 {
					first = e.names[at]
				}
				shared++
			}
			return true
		})
		each(Value{Reason: reason, Setting: "max_shared", Value: float64(shared), Limit: float64(maxShared), Found: first})
		return t
	}}, nil
}
