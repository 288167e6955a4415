package filter

import (
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/corpus/langid"
)

// Language says which languages are wanted, and how sure of them package langid
// must be: .65 is FineWeb's and RefinedWeb's (Penedo et al. 2023), for English.
// What a document's own facts say of its language is not trusted; program text is
// not asked.
type Language struct {
	Languages      []string `yaml:"languages" json:"languages" doc:"codes of the languages that stay (ISO 639-1); none: any that is known"`
	MinProbability float64  `yaml:"min_probability" json:"min_probability" doc:"smallest probability of the most probable of them" min:"0" max:"1"`
}

// DefaultLanguage returns FineWeb's choice.
func DefaultLanguage() Language {
	return Language{Languages: []string{"en"}, MinProbability: .65}
}

// Filter makes the filter.
func (c *Language) Filter() (Filter, error) {
	const name = "language"
	wanted, least := slices.Clone(c.Languages), c.MinProbability
	for _, code := range wanted {
		if !slices.Contains(langid.Languages(), code) {
			return Filter{}, fmt.Errorf("filter %s: %q is no language that is known; take from %v", name, code, langid.Languages())
		}
	}
	return Filter{name: name, concerns: func(t *Text) bool { return t.Kind != Code }, judge: func(t *Text, each func(Value) bool) *Text {
		guess := t.Guess()
		v := Value{Reason: name + ": none that is wanted", Setting: "min_probability", Limit: least, Least: true, Found: guess.Language}
		if guess.Language != langid.Unknown && (len(wanted) == 0 || slices.Contains(wanted, guess.Language)) {
			v.Reason, v.Value = name+": not sure enough", guess.Probability
		}
		if v.Value == 0 && least == 0 { // no probability is asked for, but the language is
			v.Limit = 1
		}
		each(v)
		return t
	}}, nil
}
