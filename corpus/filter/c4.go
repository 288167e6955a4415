package filter

import (
	"strings"
)

// C4 are the rules of C4: Raffel et al., "Exploring the Limits of Transfer
// Learning with a Unified Text-to-Text Transformer" (2020), section 2.2, with those
// that only its program has: lines with an endless word, and marks of citations,
// which are cut out. The text that stays is the lines that stay.
//
// FineWeb leaves out the rule that every line ends with an end mark, and so does
// the default.
type C4 struct {
	MinLineWords int      `yaml:"min_line_words" json:"min_line_words" doc:"fewest words of a line, separated by white space" min:"0"`
	MinSentences int      `yaml:"min_sentences" json:"min_sentences" doc:"fewest sentences in the lines that stay" min:"0"`
	MaxWord      int      `yaml:"max_word" json:"max_word" doc:"most characters of a word in a line" min:"1"`
	EndMarks     bool     `yaml:"end_marks" json:"end_marks" doc:"cut lines that end with none of . ? ! \" '"`
	Javascript   bool     `yaml:"javascript" json:"javascript" doc:"cut lines that speak of javascript"`
	Policies     []string `yaml:"policies" json:"policies" doc:"cut lines with one of these phrases"`
	Phrases      []string `yaml:"phrases" json:"phrases" doc:"refuse texts with one of these phrases in a line that would stay"`
	Citations    bool     `yaml:"citations" json:"citations" doc:"cut marks of citations: [1], [edit], [citation needed]"`
}

// DefaultC4 returns the rules as FineWeb applies them.
func DefaultC4() C4 {
	return C4{MinLineWords: 5, MinSentences: 3, MaxWord: 1000, Javascript: true, Citations: true,
		Policies: []string{"terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"},
		Phrases:  []string{"lorem ipsum", "{"}}
}

// Filter makes the filter.
func (c *C4) Filter() (Filter, error) {
	const name = "c4"
	rules := *c
	rules.Policies, rules.Phrases = inSmallLetters(c.Policies), inSmallLetters(c.Phrases)
	var script []string
	if c.Javascript {
		script = []string{"javascript"}
	}
	return Filter{name: name, concerns: spaced, judge: func(t *Text, each func(Value) bool) *Text {
		// Phrases are looked for in lines only where the text has one.
		low := strings.ToLower(t.text)
		has := func(text string, phrases []string) string {
			for _, phrase := range phrases {
				if strings.Contains(text, phrase) {
					return phrase
				}
			}
			return ""
		}
		suspect := has(low, script) != "" || has(low, rules.Phrases) != "" || has(low, rules.Policies) != ""
		all := t.wordsOf()
		var left strings.Builder
		left.Grow(len(t.text))
		words := newWords(len(all)) // of what is left
		count, found := 0, ""
		eachLine(t.text, func(start int, line string) {
			start += len(line) - len(strings.TrimLeftFunc(line, isSpace))
			line = trim(line)
			end := start + len(line)
			fields, longest := fieldsOf(line)
			if found != "" || longest > rules.MaxWord {
				return
			}
			if rules.Citations {
				line = withoutCitations(line)
			}
			if rules.EndMarks && !endsSentence(line) || fields < rules.MinLineWords {
				return
			}
			if suspect {
				low := strings.ToLower(line)
				if has(low, script) != "" { // before the phrases, as in C4's program
					return
				}
				if found = has(low, rules.Phrases); found != "" || has(low, rules.Policies) != "" {
					return
				}
			}
			// The words of the line are those of the text, since a line ends at
			// white space.
			first, by := len(words), int32(left.Len()-start)
			for len(all) > 0 && int(all[0].start) < start {
				all = all[1:]
			}
			if len(line) == end-start {
				for ; len(all) > 0 && int(all[0].start) < end; all = all[1:] {
					w := all[0]
					w.start += by
					w.end += by
					words = append(words, w)
				}
			} else {
				words = appendWords(words, line)
				for i := range words[first:] {
					words[first+i].start += int32(left.Len())
					words[first+i].end += int32(left.Len())
				}
			}
			count += sentences(words[first:])
			left.WriteString(line)
			left.WriteByte('\n')
		})
		phrases := 0.
		if found != "" {
			phrases = 1
		}
		if !each(Value{Reason: name + ": a phrase of no text", Setting: "phrases", Value: phrases, Found: found}) {
			return nil
		}
		each(Value{Reason: name + ": too few sentences", Setting: "min_sentences", Value: float64(count), Limit: float64(rules.MinSentences), Least: true})
		stays := strings.TrimRightFunc(left.String(), isSpace)
		before := len(stays)
		if stays = trim(stays); stays == t.text {
			return t
		}
		next := t.become(stays)
		if len(stays) == before { // nothing was cut off before the words
			next.words, next.worded = words, true
		}
		return next
	}}, nil
}

// inSmallLetters returns the phrases as texts in small letters are searched for
// them.
func inSmallLetters(phrases []string) []string {
	small := make([]string, len(phrases))
	for i, p := range phrases {
		small[i] = strings.ToLower(p)
	}
	return small
}

// fieldsOf counts the words of a line that white space separates, and the
// characters of the longest.
func fieldsOf(line string) (fields, longest int) {
	n := 0
	for _, r := range line {
		if isSpace(r) {
			n = 0
			continue
		}
		if n == 0 {
			fields++
		}
		n++
		longest = max(longest, n)
	}
	return fields, longest
}

// endsSentence reports whether the line ends with an end mark that is no
// ellipsis.
func endsSentence(line string) bool {
	if line == "" || strings.HasSuffix(line, "...") {
		return false
	}
	return strings.IndexByte(".?!\"'", line[len(line)-1]) >= 0
}

// withoutCitations cuts [1], [], [edit] and [citation needed].
func withoutCitations(line string) string {
	if strings.IndexByte(line, '[') < 0 {
		return line
	}
	var b strings.Builder
	for {
		at := strings.IndexByte(line, '[')
		if at < 0 {
			break
		}
		size := citation(line[at:])
		if size == 0 {
			b.WriteString(line[:at+1])
			line = line[at+1:]
			continue
		}
		b.WriteString(line[:at])
		line = line[at+size:]
	}
	b.WriteString(line)
	return b.String()
}

// citation is the size of the mark of a citation at the start of the text, 0 of
// none.
func citation(text string) int {
	for _, mark := range []string{"[edit]", "[citation needed]"} {
		if strings.HasPrefix(text, mark) {
			return len(mark)
		}
	}
	for i, r := range text[1:] {
		if r == ']' {
			return i + 2
		}
		if !isDigit(r) {
			break
		}
	}
	return 0
}
