package langid

import (
	"cmp"
	"slices"
)

// A Guess is a language and how sure it is.
type Guess struct {
	// Language is a code of ISO 639-1, or Unknown.
	Language string `json:"language"`
	// Probability is the share of the text's letters in the language's script,
	// times the language's probability within it.
	Probability float64 `json:"probability"`
}

// Identify returns the most probable language of a text by the model that the
// program carries. Text without letters is Unknown, with probability 1.
func Identify(text string) Guess { return Default().Identify(text) }

// Identify returns the most probable language of a text. Text without letters is
// Unknown, with probability 1.
func (m *Model) Identify(text string) Guess { return m.Scores(text)[0] }

// Scores returns the languages that the text may be in, the most probable first;
// of equals, in the order of their codes. Their probabilities add up to 1.
func (m *Model) Scores(text string) []Guess {
	sums := m.sums(text)
	total := 0
	for g := range groups {
		total += sums[g].letters * groups[g].weight
	}
	if total == 0 {
		return []Guess{{Unknown, 1}}
	}
	var guesses []Guess
	unknown := 0.
	for i := range groups {
		g := &groups[i]
		if sums[i].letters == 0 {
			continue
		}
		share := float64(sums[i].letters*g.weight) / float64(total)
		within := []float64{1}
		if g.bits > 0 {
			within = m.tables[i].probabilities(&sums[i], len(g.languages))
		}
		for k, p := range within {
			if g.languages[k] == Unknown {
				unknown += share * p
			} else {
				guesses = append(guesses, Guess{g.languages[k], share * p})
			}
		}
	}
	if unknown > 0 {
		guesses = append(guesses, Guess{Unknown, unknown})
	}
	slices.SortFunc(guesses, func(a, b Guess) int {
		return cmp.Or(cmp.Compare(b.Probability, a.Probability), cmp.Compare(a.Language, b.Language))
	})
	return guesses
}
