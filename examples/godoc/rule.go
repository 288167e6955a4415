package godoc

import (
	"sort"
	"strings"
)

// A Score is what a comment earns under the Rule, item by item. Each field is
// the points earned, between 0 and the item's weight.
type Score struct {
	Sentence   float64 `json:"sentence"`
	Length     float64 `json:"length"`
	Words      float64 `json:"words"`
	About      float64 `json:"about"`
	Verb       float64 `json:"verb"`
	Repetition float64 `json:"repetition"`
}

// Weights are the most that each item can earn. They sum to 1.
var Weights = Score{Sentence: .25, Length: .15, Words: .25, About: .2, Verb: .05, Repetition: .1}

// The bounds of the items Length and Words.
const (
	MinWords    = 10 // words of a comment, its name counted
	MaxWords    = 25 // a longer one belongs in two sentences
	MinComments = 3  // training comments in which a known word occurs
)

// ItemNames are the names of the items, in the order of Items.
var ItemNames = []string{"sentence", "length", "words", "about", "verb", "repetition"}

// Items returns the points in the order of ItemNames.
func (s Score) Items() []float64 {
	return []float64{s.Sentence, s.Length, s.Words, s.About, s.Verb, s.Repetition}
}

// Total is the sum of the items, in [0, 1].
func (s Score) Total() float64 {
	return s.Sentence + s.Length + s.Words + s.About + s.Verb + s.Repetition
}

// A Rule scores comments by what Go's conventions ask of them. It sees the
// form: a comment that is well formed and false scores as high as a true one.
type Rule struct {
	known map[string]bool
}

// NewRule makes a Rule whose known words are those that occur in at least
// MinComments of the comments. The comments must be those of the training
// split alone.
func NewRule(comments []string) *Rule {
	counts := map[string]int{}
	for _, c := range comments {
		seen := map[string]bool{}
		for _, w := range words(c) {
			if !seen[w] {
				seen[w] = true
				counts[w]++
			}
		}
	}
	r := &Rule{known: map[string]bool{}}
	for w, n := range counts {
		if n >= MinComments {
			r.known[w] = true
		}
	}
	return r
}

// RuleFromVocabulary makes a Rule from what Vocabulary returned.
func RuleFromVocabulary(vocabulary []string) *Rule {
	r := &Rule{known: make(map[string]bool, len(vocabulary))}
	for _, w := range vocabulary {
		r.known[w] = true
	}
	return r
}

// Vocabulary returns the known words, sorted.
func (r *Rule) Vocabulary() []string {
	out := make([]string, 0, len(r.known))
	for w := range r.known {
		out = append(out, w)
	}
	sort.Strings(out)
	return out
}

// Score scores a comment for f. comment is prefill and completion together,
// with or without "// " at the start of each line; ended says that the writer
// ended it rather than being cut off. Of f it reads Name, Recv, Decl, Params,
// Types and Results, which ParseDecl fills too.
//
// Each item is earned whole or not at all, except where it says a share:
//
//   - Sentence: the comment is exactly one sentence, ends with a period, and
//     ended is true; its brackets and double quotes pair up.
//   - Length: MinWords to MaxWords words.
//   - Words: every word is known or stands in the declaration, also as a part
//     of one of its identifiers.
//   - About: after the name, the comment mentions a parameter, a type, or a
//     word with the stem of a part of the name or receiver.
//   - Verb: the word after the name is a verb in the third person that fits the
//     results, an error not counted among them. For a bool alone the convention
//     is "reports whether": a verb that says the same in other words, such as
//     "returns" or "checks", does not fit, one that names an action does. For
//     other results "reports" does not fit unless a bool is among them, and
//     where nothing comes back "returns" does not.
//   - Repetition: no word stands twice in a row, no run of three words occurs
//     twice, and no two parts between commas, semicolons, "and" and "or" of
//     two or more words are the same.
//
// A comment of fewer than MinWords words earns neither Words nor Repetition:
// the fewer words it has, the less they can go wrong, and a writer that is
// trained against the rule would write ever less. One without words besides
// the name earns nothing.
func (r *Rule) Score(f Function, comment string, ended bool) Score {
	text := commentText(comment)
	ws := words(text)
	rest := ws
	if name := words(f.Name); len(name) > 0 && len(ws) > 0 && ws[0] == name[0] {
		rest = ws[1:]
	}
	if len(rest) == 0 {
		return Score{}
	}
	var s Score
	if ended && isSentence(text) {
		s.Sentence = Weights.Sentence
	}
	n := countWords(text)
	enough := n >= MinWords
	if enough && n <= MaxWords {
		s.Length = Weights.Length
	}
	if enough && r.allKnown(f, rest) {
		s.Words = Weights.Words
	}
	if isAbout(f, rest) {
		s.About = Weights.About
	}
	if verbFits(f, rest[0]) {
		s.Verb = Weights.Verb
	}
	if enough && !repeats(text, ws) {
		s.Repetition = Weights.Repetition
	}
	return s
}

// commentText strips the slashes and joins the lines.
func commentText(comment string) string {
	var out []string
	for line := range strings.Lines(comment) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "//")
		out = append(out, strings.Fields(line)...)
	}
	return strings.Join(out, " ")
}

// countWords counts what stands between spaces and holds a letter or digit.
func countWords(text string) int {
	n := 0
	for _, w := range strings.Fields(text) {
		if strings.ContainsFunc(w, inWord) {
			n++
		}
	}
	return n
}

func isSentence(text string) bool {
	if !strings.HasSuffix(text, ".") || !whole(text) || len(Sentences(text)) != 1 {
		return false
	}
	if last := text[strings.LastIndexByte(text, ' ')+1:]; abbreviations[strings.ToLower(last)] && last != "etc." {
		return false
	}
	return strings.Count(text, `"`)%2 == 0 && bracketsPair(text)
}

// bracketsPair reports whether (), [] and {} close in order. A quoted bracket
// is text.
func bracketsPair(text string) bool {
	var open []rune
	rs := []rune(text)
	for i, r := range rs {
		if i > 0 && i+1 < len(rs) && rs[i-1] == rs[i+1] && strings.ContainsRune("'`\"", rs[i-1]) {
			continue
		}
		switch r {
		case '(', '[', '{':
			open = append(open, r)
		case ')', ']', '}':
			// A half-open interval such as [0,n) pairs unlike brackets.
			if len(open) == 0 || (open[len(open)-1] == '{') != (r == '}') {
				return false
			}
			open = open[:len(open)-1]
		}
	}
	return len(open) == 0
}

func (r *Rule) allKnown(f Function, ws []string) bool {
	var inDecl map[string]bool
	for _, w := range ws {
		if r.known[w] {
			continue
		}
		if inDecl == nil {
			inDecl = map[string]bool{}
			for _, ident := range words(f.Decl) {
				inDecl[ident] = true
			}
			for _, ident := range strings.FieldsFunc(f.Decl, func(r rune) bool { return !inWord(r) }) {
				for _, p := range parts(ident) {
					inDecl[p] = true
				}
			}
		}
		if !inDecl[w] {
			return false
		}
	}
	return true
}

// functionWords cannot show that a comment is about its declaration, even
// where a parameter or a part of the name is spelt like one.
var functionWords = wordSet(`a an the this that these those it its is are was be been as at by for from in into
	of off on onto out over to up with without and or nor not no if then else when while until unless than so
	do does did has have had can may must will would should any all each both other same such only also`)

func wordSet(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(list) {
		set[w] = true
	}
	return set
}

func isAbout(f Function, rest []string) bool {
	// Parameters must match as they are written; types and parts of names by
	// their stems.
	whole, stems := map[string]bool{}, map[string]bool{}
	for _, p := range f.Params {
		whole[strings.ToLower(p)] = true
	}
	add := func(ident string) {
		whole[strings.ToLower(ident)] = true
		for _, p := range parts(ident) {
			if len(p) >= 3 && !functionWords[p] {
				stems[stem(p)] = true
			}
		}
	}
	add(f.Name)
	add(f.Recv)
	for _, t := range f.Types {
		add(t)
	}
	for _, res := range f.Results {
		for _, ident := range strings.FieldsFunc(res, func(r rune) bool { return !inWord(r) }) {
			if ident != "error" {
				add(ident)
			}
		}
	}
	for _, w := range rest {
		if !functionWords[w] && (whole[w] || stems[stem(w)]) {
			return true
		}
	}
	return false
}

// notVerbs end in s as verbs in the third person do, and are none, or say
// nothing of what a function does.
var notVerbs = wordSet("is was has does its this as us thus always perhaps plus minus bytes args values results")

// sayReports are verbs that stand where the convention wants "reports".
var sayReports = wordSet("returns checks tests determines indicates tells says decides queries")

func verbFits(f Function, verb string) bool {
	if !strings.HasSuffix(verb, "s") || strings.HasSuffix(verb, "ss") || notVerbs[verb] {
		return false
	}
	results, bools := 0, 0
	for _, t := range f.Results {
		if t != "error" {
			results++
		}
		if t == "bool" {
			bools++
		}
	}
	switch {
	case results == 0:
		return verb != "returns"
	case results == 1 && bools == 1:
		return !sayReports[verb]
	}
	return verb != "reports" || bools > 0
}

func repeats(text string, ws []string) bool {
	for i := 1; i < len(ws); i++ {
		if ws[i] == ws[i-1] {
			return true
		}
	}
	runs := map[[3]string]bool{}
	for i := 0; i+3 <= len(ws); i++ {
		run := [3]string{ws[i], ws[i+1], ws[i+2]}
		if runs[run] {
			return true
		}
		runs[run] = true
	}
	seen := map[string]bool{}
	for _, clause := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r == ':' }) {
		var part []string
		flush := func() bool {
			key := strings.Join(part, " ")
			double := len(part) >= 2 && seen[key]
			seen[key] = true
			part = part[:0]
			return double
		}
		for _, w := range words(clause) {
			if w == "and" || w == "or" {
				if flush() {
					return true
				}
				continue
			}
			part = append(part, w)
		}
		if flush() {
			return true
		}
	}
	return false
}
