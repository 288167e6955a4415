package filter

import "strings"

// GopherQuality are the limits of Gopher's quality filter: Rae et al., "Scaling
// Language Models: Methods, Analysis & Insights from Training Gopher" (2021),
// section A1.1. Words of marks alone do not count for the number of words and
// their length, as in FineWeb; for the shares all words do.
type GopherQuality struct {
	MinWords         int      `yaml:"min_words" json:"min_words" doc:"fewest words" min:"0"`
	MaxWords         int      `yaml:"max_words" json:"max_words" doc:"most words" min:"1"`
	MinWordLength    float64  `yaml:"min_word_length" json:"min_word_length" doc:"smallest mean length of a word, in characters" min:"0"`
	MaxWordLength    float64  `yaml:"max_word_length" json:"max_word_length" doc:"largest mean length of a word, in characters" above:"0"`
	MaxSymbols       float64  `yaml:"max_symbols" json:"max_symbols" doc:"most # signs, and most ellipses, for each word" min:"0"`
	MaxBulletLines   float64  `yaml:"max_bullet_lines" json:"max_bullet_lines" doc:"largest share of lines that begin with a bullet" min:"0" max:"1"`
	MaxEllipsisLines float64  `yaml:"max_ellipsis_lines" json:"max_ellipsis_lines" doc:"largest share of lines that end with an ellipsis" min:"0" max:"1"`
	MinLetterWords   float64  `yaml:"min_letter_words" json:"min_letter_words" doc:"smallest share of words with a letter" min:"0" max:"1"`
	MinStopWords     int      `yaml:"min_stop_words" json:"min_stop_words" doc:"fewest different stop words" min:"0"`
	StopWords        []string `yaml:"stop_words" json:"stop_words" doc:"words of which any text has some"`
	StopLanguage     string   `yaml:"stop_language" json:"stop_language" doc:"the language of the stop words; texts in others need none"`
}

// DefaultGopherQuality returns the paper's limits.
func DefaultGopherQuality() GopherQuality {
	return GopherQuality{MinWords: 50, MaxWords: 100_000, MinWordLength: 3, MaxWordLength: 10, MaxSymbols: .1, MaxBulletLines: .9, MaxEllipsisLines: .3,
		MinLetterWords: .8, MinStopWords: 2, StopWords: []string{"the", "be", "to", "of", "and", "that", "have", "with"}, StopLanguage: "en"}
}

// Filter makes the filter.
func (c *GopherQuality) Filter() (Filter, error) {
	const name = "gopher_quality"
	limits := *c
	stop, longest := map[uint64]int{}, 0
	for i, w := range c.StopWords {
		stop[hashOf(w)] = i
		longest = max(longest, len(w))
	}
	return Filter{name: name, concerns: spaced, judge: func(t *Text, each func(Value) bool) *Text {
		words := t.wordsOf()
		proper, characters, letters, found, stops := 0, 0, 0, make([]bool, len(limits.StopWords)), 0
		for i := range words {
			w := &words[i]
			if !w.mark {
				proper++
				characters += int(w.characters)
			}
			if w.letter {
				letters++
			}
			if int(w.end-w.start) <= longest {
				if at, ok := stop[w.hash]; ok && !found[at] {
					found[at] = true
					stops++
				}
			}
		}
		if !each(Value{Reason: name + ": too few words", Setting: "min_words", Value: float64(proper), Limit: float64(limits.MinWords), Least: true}) ||
			!each(Value{Reason: name + ": too many words", Setting: "max_words", Value: float64(proper), Limit: float64(limits.MaxWords)}) {
			return nil
		}
		mean := share(characters, proper)
		if !each(Value{Reason: name + ": words too short", Setting: "min_word_length", Value: mean, Limit: limits.MinWordLength, Least: true}) ||
			!each(Value{Reason: name + ": words too long", Setting: "max_word_length", Value: mean, Limit: limits.MaxWordLength}) {
			return nil
		}
		ellipses := strings.Count(t.text, "...") + strings.Count(t.text, "…")
		if !each(Value{Reason: name + ": too many # signs", Setting: "max_symbols", Value: share(strings.Count(t.text, "#"), len(words)), Limit: limits.MaxSymbols}) ||
			!each(Value{Reason: name + ": too many ellipses", Setting: "max_symbols", Value: share(ellipses, len(words)), Limit: limits.MaxSymbols}) {
			return nil
		}
		lines, bullets, open := 0, 0, 0
		eachLine(t.text, func(_ int, line string) {
			lines++
			line = trim(line)
			if strings.HasPrefix(line, "•") || strings.HasPrefix(line, "-") {
				bullets++
			}
			if strings.HasSuffix(line, "...") || strings.HasSuffix(line, "…") {
				open++
			}
		})
		if !each(Value{Reason: name + ": too many lines with bullets", Setting: "max_bullet_lines", Value: share(bullets, lines), Limit: limits.MaxBulletLines}) ||
			!each(Value{Reason: name + ": too many lines end with an ellipsis", Setting: "max_ellipsis_lines", Value: share(open, lines), Limit: limits.MaxEllipsisLines}) ||
			!each(Value{Reason: name + ": too few words with letters", Setting: "min_letter_words", Value: share(letters, len(words)), Limit: limits.MinLetterWords, Least: true}) {
			return nil
		}
		if limits.StopLanguage == "" || t.Language() == limits.StopLanguage {
			each(Value{Reason: name + ": too few stop words", Setting: "min_stop_words", Value: float64(stops), Limit: float64(limits.MinStopWords), Least: true})
		}
		return t
	}}, nil
}
