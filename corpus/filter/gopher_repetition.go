package filter

import "fmt"

// GopherRepetition are the limits of Gopher's repetition filter: Rae et al.
// (2021), table A1. All are shares, those of characters of the whole text.
type GopherRepetition struct {
	MaxParagraphs          float64 `yaml:"max_paragraphs" json:"max_paragraphs" doc:"largest share of paragraphs that stood before" min:"0" max:"1"`
	MaxParagraphCharacters float64 `yaml:"max_paragraph_characters" json:"max_paragraph_characters" doc:"largest share of characters in such paragraphs" min:"0" max:"1"`
	MaxLines               float64 `yaml:"max_lines" json:"max_lines" doc:"largest share of lines that stood before" min:"0" max:"1"`
	MaxLineCharacters      float64 `yaml:"max_line_characters" json:"max_line_characters" doc:"largest share of characters in such lines" min:"0" max:"1"`
	// MaxTop holds the limits of the most frequent 2-, 3- and 4-gram.
	MaxTop []float64 `yaml:"max_top" json:"max_top" doc:"largest share of characters in the most frequent n-gram of words, for n of 2, 3, …"`
	// MaxRepeated holds those of 5- to 10-grams that stood before.
	MaxRepeated []float64 `yaml:"max_repeated" json:"max_repeated" doc:"largest share of characters in n-grams of words that stood before, for n of 5, 6, …"`
}

// DefaultGopherRepetition returns the paper's limits.
func DefaultGopherRepetition() GopherRepetition {
	return GopherRepetition{MaxParagraphs: .3, MaxParagraphCharacters: .2, MaxLines: .3, MaxLineCharacters: .2,
		MaxTop: []float64{.20, .18, .16}, MaxRepeated: []float64{.15, .14, .13, .12, .11, .10}}
}

// Filter makes the filter.
func (c *GopherRepetition) Filter() (Filter, error) {
	const name = "gopher_repetition"
	limits := *c
	top, repeated := make([]Value, len(c.MaxTop)), make([]Value, len(c.MaxRepeated))
	for i, limit := range c.MaxTop {
		if !(limit >= 0 && limit <= 1) {
			return Filter{}, fmt.Errorf("filter %s: max_top holds %v; give shares between 0 and 1", name, limit)
		}
		top[i] = Value{Reason: fmt.Sprintf("%s: one %d-gram too often", name, i+2), Setting: fmt.Sprintf("max_top[%d]", i), Limit: limit}
	}
	for i, limit := range c.MaxRepeated {
		if !(limit >= 0 && limit <= 1) {
			return Filter{}, fmt.Errorf("filter %s: max_repeated holds %v; give shares between 0 and 1", name, limit)
		}
		repeated[i] = Value{Reason: fmt.Sprintf("%s: too many %d-grams again", name, i+5), Setting: fmt.Sprintf("max_repeated[%d]", i), Limit: limit}
	}
	return Filter{name: name, concerns: spaced, judge: func(t *Text, each func(Value) bool) *Text {
		var paragraphs, lines duplicates
		eachPart(trim(t.text), 2, paragraphs.add)
		if !each(Value{Reason: name + ": too many paragraphs again", Setting: "max_paragraphs", Value: share(paragraphs.again, paragraphs.parts), Limit: limits.MaxParagraphs}) ||
			!each(Value{Reason: name + ": too much text in paragraphs again", Setting: "max_paragraph_characters", Value: share(paragraphs.repeated, t.Characters()), Limit: limits.MaxParagraphCharacters}) {
			return nil
		}
		eachPart(t.text, 1, lines.add)
		if !each(Value{Reason: name + ": too many lines again", Setting: "max_lines", Value: share(lines.again, lines.parts), Limit: limits.MaxLines}) ||
			!each(Value{Reason: name + ": too much text in lines again", Setting: "max_line_characters", Value: share(lines.repeated, t.Characters()), Limit: limits.MaxLineCharacters}) {
			return nil
		}
		grams := newNgrams(t.wordsOf())
		defer grams.free()
		for i, v := range top {
			v.Value = share(grams.top(i+2), t.Characters())
			if !each(v) {
				return nil
			}
		}
		for i, v := range repeated {
			v.Value = share(grams.repeated(i+5), t.Characters())
			if !each(v) {
				return nil
			}
		}
		return t
	}}, nil
}
