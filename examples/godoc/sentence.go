package godoc

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// abbreviations end in a period that does not end a sentence.
var abbreviations = map[string]bool{
	"e.g.": true, "i.e.": true, "cf.": true, "vs.": true, "etc.": true, "resp.": true,
	"approx.": true,
}

// Sentences cuts a text on one line into sentences: after a period, question
// mark or exclamation mark, with closing brackets and quotes, that is followed
// by a space and does not end an abbreviation. What is left at the end is the
// last sentence, whole or not.
func Sentences(text string) []string {
	var out []string
	start := 0
	fields := strings.Fields(text)
	for i, w := range fields {
		if whole(w) && !(i+1 < len(fields) && abbreviations[strings.ToLower(strings.TrimLeft(w, `("'`))]) {
			out = append(out, strings.Join(fields[start:i+1], " "))
			start = i + 1
		}
	}
	if start < len(fields) {
		out = append(out, strings.Join(fields[start:], " "))
	}
	return out
}

// whole reports whether a text ends like a sentence. An ellipsis does not.
func whole(text string) bool {
	text = strings.TrimRight(text, `)]"'”’`+"`")
	if strings.HasSuffix(text, "..") {
		return false
	}
	return strings.HasSuffix(text, ".") || strings.HasSuffix(text, "!") || strings.HasSuffix(text, "?")
}

// words lists the words of a text in lower case: runs of letters, digits and
// underscores; an apostrophe between letters belongs to the word, a possessive
// 's does not.
func words(text string) []string {
	var out []string
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if !inWord(r) {
			i += n
			continue
		}
		j := i
		for j < len(text) {
			r, n := utf8.DecodeRuneInString(text[j:])
			if r == '\'' || r == '’' {
				next, _ := utf8.DecodeRuneInString(text[j+n:])
				if !unicode.IsLetter(next) {
					break
				}
			} else if !inWord(r) {
				break
			}
			j += n
		}
		w := strings.ToLower(strings.ReplaceAll(text[i:j], "’", "'"))
		out = append(out, strings.TrimSuffix(w, "'s"))
		i = j
	}
	return out
}

func inWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// parts cuts an identifier where its words meet, in lower case: "readHTTPBody"
// is read, http, body. Digits belong to the letters before them.
func parts(ident string) []string {
	var out []string
	var cur []rune
	flush := func() {
		if len(cur) > 0 {
			out = append(out, strings.ToLower(string(cur)))
			cur = cur[:0]
		}
	}
	rs := []rune(ident)
	for i, r := range rs {
		switch {
		case unicode.IsDigit(r) && len(cur) > 0:
		case !unicode.IsLetter(r):
			flush()
			continue
		case unicode.IsUpper(r):
			beginsWord := i == 0 || !unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])
			if beginsWord {
				flush()
			}
		}
		cur = append(cur, r)
	}
	flush()
	return out
}

// stem cuts the common endings of English verbs and plurals, so that "reads",
// "reading" and "read" meet. It only compares words with each other; what it
// returns need not be a word.
func stem(w string) string {
	for _, s := range []struct{ end, put string }{
		{"ization", "iz"}, {"izes", "iz"}, {"izing", "iz"}, {"ized", "iz"}, {"ize", "iz"},
		{"ations", "at"}, {"ation", "at"}, {"ies", "y"}, {"ied", "y"}, {"ings", ""}, {"ing", ""},
		{"ions", ""}, {"ion", ""}, {"ers", ""}, {"ors", ""}, {"er", ""}, {"or", ""},
		{"ed", ""}, {"es", ""}, {"s", ""}, {"e", ""},
	} {
		if base, ok := strings.CutSuffix(w, s.end); ok && len(base) >= 3 {
			w = base + s.put
			break
		}
	}
	// "stopping" and "stopped" meet "stop".
	if n := len(w); n >= 4 && w[n-1] == w[n-2] && !strings.ContainsRune("aeiou", rune(w[n-1])) {
		w = w[:n-1]
	}
	return w
}

// Fitting returns the leading whole sentences of text, as many as fits says
// yes to when they are joined by spaces, or "" when not even the first does.
func Fitting(text string, fits func(string) bool) string {
	sentences := Sentences(text)
	best := ""
	for n := 1; n <= len(sentences); n++ {
		joined := strings.Join(sentences[:n], " ")
		if !fits(joined) {
			break
		}
		best = joined
	}
	return best
}
