package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedMatcher finds added tokens in text. Those that Hugging Face does not
// normalize are looked for first, then, in the normalized text, the others;
// within a group the leftmost match wins, and of those the longest.
type addedMatcher struct{ raw, normalized addedGroup }

type addedGroup struct {
	tokens  []addedName
	byFirst [256][]addedName // longest first
	first   string           // the bytes that begin a name
	text    bool             // some of the tokens are text
}

// addedName is an added token as it stands in the text that it is looked for in.
type addedName struct {
	name string
	AddedToken
}

func newAddedMatcher(added []AddedToken, normalize func(string) string) addedMatcher {
	var m addedMatcher
	for _, a := range added {
		g, name := &m.raw, a.Content
		if a.Normalized {
			g = &m.normalized
			if normalize != nil {
				name = normalize(name)
			}
		}
		if name != "" {
			g.tokens = append(g.tokens, addedName{name, a})
			g.text = g.text || !a.Special
		}
	}
	for _, g := range []*addedGroup{&m.raw, &m.normalized} {
		slices.SortStableFunc(g.tokens, func(a, b addedName) int { return len(b.name) - len(a.name) })
		for _, a := range g.tokens {
			g.byFirst[a.name[0]] = append(g.byFirst[a.name[0]], a)
		}
		var first []byte
		for b, tokens := range g.byFirst {
			if len(tokens) > 0 {
				first = append(first, byte(b))
			}
		}
		g.first = string(first)
	}
	return m
}

// allowance says which special tokens a text may become; those that are text it
// always may.
type allowance struct {
	all   bool
	names []string
	guard string // taken out of what lies between the tokens, "" for none
}

func (w allowance) allows(a *AddedToken) bool {
	return !a.Special || w.all || slices.Contains(w.names, a.Content)
}

// silent reports whether no token of the group can come out of a text.
func (g *addedGroup) silent(w allowance) bool {
	return len(g.tokens) == 0 || !g.text && !w.all && len(w.names) == 0
}

// split calls emit for each part of text in order: with the id of an added
// token, or with -1 for text in which there is none, and the place in text where
// it begins. A match that is not allowed, or no single word though it must be,
// is passed over whole.
func (g *addedGroup) split(text string, allowed allowance, emit func(part string, at int, id int32)) {
	done := 0
	for i := 0; i < len(text); {
		n := g.nextCandidate(text[i:])
		if n < 0 {
			break
		}
		i += n
		a := g.match(text[i:])
		if a == nil {
			i++
			continue
		}
		start, end := i, i+len(a.name)
		i = end
		if !allowed.allows(&a.AddedToken) || a.SingleWord && (wordBefore(text[:start]) || wordAfter(text[end:])) {
			continue
		}
		if a.LStrip {
			start = max(done, len(strings.TrimRightFunc(text[:start], isSpace)))
		}
		if a.RStrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], isSpace))
		}
		if start < done {
			continue
		}
		if start > done {
			emit(text[done:start], done, -1)
		}
		emit(text[start:end], start, a.ID)
		done = end
	}
	if done < len(text) {
		emit(text[done:], done, -1)
	}
}

// nextCandidate returns the first place where a token's first byte stands, or -1.
func (g *addedGroup) nextCandidate(s string) int {
	switch len(g.first) {
	case 0:
		return -1
	case 1:
		return strings.IndexByte(s, g.first[0])
	}
	for i := range len(s) {
		if g.byFirst[s[i]] != nil {
			return i
		}
	}
	return -1
}

func (g *addedGroup) match(s string) *addedName {
	tokens := g.byFirst[s[0]]
	for i := range tokens {
		if strings.HasPrefix(s, tokens[i].name) {
			return &tokens[i]
		}
	}
	return nil
}

func isSpace(r rune) bool { return classOf(r) == space }

func wordBefore(s string) bool {
	r, size := utf8.DecodeLastRuneInString(s)
	return size > 0 && isWord(r)
}

func wordAfter(s string) bool {
	r, size := utf8.DecodeRuneInString(s)
	return size > 0 && isWord(r)
}

// isWord reports whether \w matches r (Unicode Technical Standard 18, annex C).
func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsMark(r) ||
		unicode.In(r, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
