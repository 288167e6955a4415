package filter

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Harmful are limits for words that harm: slurs, insults, obscene words. C4
// (Raffel et al. 2020) drops a page for a single word of such a list, which drops
// what minorities write about themselves (Dodge et al., "Documenting Large
// Webtext Corpora", 2021); here the rate decides, and some words are always
// allowed. The lists are our own, harmful_en.txt and harmful_zh.txt; a word in
// English is a whole word in any case of letters, a term in Chinese stands
// anywhere, and a Chinese character counts as a word.
type Harmful struct {
	MaxRate float64  `yaml:"max_rate" json:"max_rate" doc:"most of these words in a thousand words, the allowed ones not counted" min:"0"`
	Allowed int      `yaml:"allowed" json:"allowed" doc:"so many of them are not counted, so that none refuses a short text alone" min:"0"`
	English bool     `yaml:"english" json:"english" doc:"count the English list"`
	Chinese bool     `yaml:"chinese" json:"chinese" doc:"count the Chinese list"`
	Words   []string `yaml:"words" json:"words" doc:"more words; one in a script without spaces is found anywhere"`
}

// DefaultHarmful returns limits of our own.
func DefaultHarmful() Harmful {
	return Harmful{MaxRate: 5, Allowed: 2, English: true, Chinese: true}
}

//go:embed harmful_en.txt
var harmfulEnglish string

//go:embed harmful_zh.txt
var harmfulChinese string

// listOf is the words of a file, one a line, without comments.
func listOf(file string) []string {
	var words []string
	for line := range strings.Lines(file) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			words = append(words, line)
		}
	}
	return words
}

// Filter makes the filter.
func (c *Harmful) Filter() (Filter, error) {
	const name = "harmful"
	limits := *c
	var all []string
	if c.English {
		all = append(all, listOf(harmfulEnglish)...)
	}
	if c.Chinese {
		all = append(all, listOf(harmfulChinese)...)
	}
	for _, w := range c.Words {
		if w = strings.ToLower(strings.TrimSpace(w)); w == "" {
			return Filter{}, fmt.Errorf("filter %s: words holds an empty one; take it out", name)
		}
		all = append(all, w)
	}
	whole := map[uint64]bool{}   // hashes of words
	terms := map[rune][]string{} // found anywhere, by their first character
	const longest = 24           // bytes of a word that is looked up
	for _, w := range all {
		if first, _ := utf8.DecodeRuneInString(w); unspaced(first) {
			terms[first] = append(terms[first], w)
			continue
		}
		if words := appendWords(nil, w); len(words) != 1 || len(w) > longest {
			return Filter{}, fmt.Errorf("filter %s: %q is not one word of at most %d bytes", name, w, longest)
		}
		whole[hashOf(w)] = true
	}
	return Filter{name: name, concerns: func(t *Text) bool { return t.Kind != Code }, judge: func(t *Text, each func(Value) bool) *Text {
		words, proper, found, first := t.wordsOf(), 0, 0, ""
		hit := func(what string) {
			if found == 0 {
				first = what
			}
			found++
		}
		until := int32(0) // end of the last term
		var buffer [longest]byte
		for i := range words {
			w := &words[i]
			if w.mark {
				continue
			}
			proper++
			if w.start < until {
				continue
			}
			text := t.text[w.start:w.end]
			if r, _ := utf8.DecodeRuneInString(text); r >= 0x80 && unspaced(r) {
				for _, term := range terms[r] {
					if strings.HasPrefix(t.text[w.start:], term) && w.start+int32(len(term)) > until {
						until = w.start + int32(len(term))
					}
				}
				if until > w.start {
					hit(t.text[w.start:until])
				}
				continue
			}
			if len(text) > longest {
				continue
			}
			hash, lower := w.hash, text
			if strings.IndexFunc(text, unicode.IsUpper) >= 0 {
				lower = string(append(buffer[:0], strings.ToLower(text)...))
				hash = hashOf(lower)
			}
			if whole[hash] {
				hit(lower)
			}
		}
		each(Value{Reason: name + ": too many words that harm", Setting: "max_rate", Value: 1000 * share(max(0, found-limits.Allowed), proper), Limit: limits.MaxRate, Found: first})
		return t
	}}, nil
}

// A Classifier refuses by the verdict of a model that was trained to tell texts
// apart (alma classify): the published pipelines' classifiers of quality and
// toxicity are such, as in Gehman et al., "RealToxicityPrompts" (2020), or
// FineWeb-Edu (Penedo et al. 2024).
type Classifier struct {
	Label          string  `yaml:"label" json:"label" doc:"the model's label for what is refused"`
	MaxProbability float64 `yaml:"max_probability" json:"max_probability" doc:"largest probability of the label" min:"0" max:"1"`
}

// DefaultClassifier refuses what is more probably harmful than not.
func DefaultClassifier() Classifier { return Classifier{Label: "harmful", MaxProbability: .5} }

// Filter makes the filter of a function that gives the label's probability for a
// text, always the same for the same text, and may be called by several
// goroutines.
func (c *Classifier) Filter(probability func(text string) float64) (Filter, error) {
	const name = "classifier"
	if probability == nil || c.Label == "" {
		return Filter{}, fmt.Errorf("filter %s: it has no model or no label; name both", name)
	}
	limits := *c
	return Filter{name: name, concerns: func(t *Text) bool { return t.Kind != Code }, judge: func(t *Text, each func(Value) bool) *Text {
		each(Value{Reason: name + ": " + limits.Label, Setting: "max_probability", Value: probability(t.text), Limit: limits.MaxProbability, Found: limits.Label})
		return t
	}}, nil
}
