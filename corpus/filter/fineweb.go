package filter

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// FineWebRules are the limits of FineWeb's own filter: Penedo et al., "The FineWeb
// Datasets" (2024), section 3.6. Lines end at line feeds, and those of white space
// alone do not count.
type FineWebRules struct {
	MinEndedLines          float64 `yaml:"min_ended_lines" json:"min_ended_lines" doc:"smallest share of lines that end with a mark that ends sentences" min:"0" max:"1"`
	ShortLine              int     `yaml:"short_line" json:"short_line" doc:"the most characters of a short line" min:"0"`
	MaxShortLines          float64 `yaml:"max_short_lines" json:"max_short_lines" doc:"largest share of short lines" min:"0" max:"1"`
	MaxDuplicateCharacters float64 `yaml:"max_duplicate_characters" json:"max_duplicate_characters" doc:"largest share of characters in lines that stood before" min:"0" max:"1"`
	MaxNewlines            float64 `yaml:"max_newlines" json:"max_newlines" doc:"most line feeds for each word" min:"0"`
}

// DefaultFineWebRules returns the paper's limits.
func DefaultFineWebRules() FineWebRules {
	return FineWebRules{MinEndedLines: .12, ShortLine: 30, MaxShortLines: .67, MaxDuplicateCharacters: .1, MaxNewlines: .3}
}

// Filter makes the filter.
func (c *FineWebRules) Filter() (Filter, error) {
	const name = "fineweb"
	limits := *c
	return Filter{name: name, concerns: spaced, judge: func(t *Text, each func(Value) bool) *Text {
		var lines duplicates
		ended, short, newlines := 0, 0, 0
		eachPart(t.text, 1, func(line string) { // what lies between has no characters to count
			if trim(line) == "" {
				return
			}
			lines.add(line)
			if last, _ := utf8.DecodeLastRuneInString(line); unicode.Is(unicode.Sentence_Terminal, last) {
				ended++
			}
			if len(line) <= limits.ShortLine || len(line) <= 4*limits.ShortLine && utf8.RuneCountInString(line) <= limits.ShortLine {
				short++
			}
		})
		newlines = strings.Count(t.text, "\n")
		if !each(Value{Reason: name + ": too few lines end sentences", Setting: "min_ended_lines", Value: share(ended, lines.parts), Limit: limits.MinEndedLines, Least: true}) ||
			!each(Value{Reason: name + ": too many short lines", Setting: "max_short_lines", Value: share(short, lines.parts), Limit: limits.MaxShortLines}) ||
			!each(Value{Reason: name + ": too much text in lines again", Setting: "max_duplicate_characters", Value: share(lines.repeated, t.Characters()-newlines), Limit: limits.MaxDuplicateCharacters}) {
			return nil
		}
		each(Value{Reason: name + ": too many lines for its words", Setting: "max_newlines", Value: share(newlines, len(t.wordsOf())), Limit: limits.MaxNewlines})
		return t
	}}, nil
}
