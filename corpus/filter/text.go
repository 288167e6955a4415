package filter

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/corpus/langid"
)

// A Text is a document's text with what filters measure of it, each measured
// when a filter first asks. It belongs to one goroutine.
type Text struct {
	Facts
	text string

	characters int // -1: not yet counted
	guess      *langid.Guess
	words      []word
	worded     bool
}

// NewText returns the text of a document. Bytes that are no UTF-8 count as one
// character each.
func NewText(text string, facts Facts) *Text {
	return &Text{Facts: facts, text: text, characters: -1}
}

// become is the same document with another text. What language it is in is not
// asked again.
func (t *Text) become(text string) *Text {
	return &Text{Facts: t.Facts, text: text, characters: -1, guess: t.guess}
}

// String is the text itself.
func (t *Text) String() string { return t.text }

// Characters is the length of the text.
func (t *Text) Characters() int {
	if t.characters < 0 {
		t.characters = utf8.RuneCountInString(t.text)
	}
	return t.characters
}

// Language is the language that the facts give, or else the most probable one.
func (t *Text) Language() string {
	if t.Facts.Language != "" {
		return t.Facts.Language
	}
	return t.Guess().Language
}

// Guess is what package langid thinks of the text, whatever the facts say.
func (t *Text) Guess() langid.Guess {
	if t.guess == nil {
		g := langid.Identify(t.text)
		t.guess = &g
	}
	return *t.guess
}

// wordsOf are the text's words.
func (t *Text) wordsOf() []word {
	if !t.worded {
		t.words, t.worded = appendWords(newWords(len(t.text)/5+1), t.text), true
	}
	return t.words
}

// spare are words whose memory can be used again, which a list does: it owns the
// texts between its filters.
var spare = sync.Pool{New: func() any { return new([]word) }}

// newWords returns no words, with room for some.
func newWords(room int) []word {
	return slices.Grow((*spare.Get().(*[]word))[:0], room)
}

// free gives the memory of the words back. The text is not to be used again.
func (t *Text) free() {
	if t.worded {
		words := t.words // alone: a pointer into t would keep the text
		spare.Put(&words)
	}
}

// eachLine calls line with the start, in bytes, of every line of a text, and the
// line without its end. Lines end at
// all that Unicode lets end them (UAX #14 and ASCII's separators), as in Python's
// splitlines; after the last end there is no empty line.
func eachLine(text string, line func(int, string)) {
	start := 0
	for i := 0; i < len(text); {
		size := 0
		switch c := text[i]; {
		case c == '\r' && i+1 < len(text) && text[i+1] == '\n':
			size = 2
		case c >= '\n' && c <= '\r' || c >= 0x1c && c <= 0x1e:
			size = 1
		case c == 0xc2 && i+1 < len(text) && text[i+1] == 0x85: // next line
			size = 2
		case c == 0xe2 && i+2 < len(text) && text[i+1] == 0x80 && (text[i+2] == 0xa8 || text[i+2] == 0xa9): // separators of lines and paragraphs
			size = 3
		}
		if size == 0 {
			i++
			continue
		}
		line(start, text[start:i])
		i += size
		start = i
	}
	if start < len(text) {
		line(start, text[start:])
	}
}

// eachPart calls part with what lies between runs of at least n line feeds; like
// a split, it gives an empty part before a run at the text's start and after one
// at its end.
func eachPart(text string, n int, part func(string)) {
	start := 0
	for i := 0; i < len(text); {
		at := strings.IndexByte(text[i:], '\n')
		if at < 0 {
			break
		}
		at += i
		end := at
		for end < len(text) && text[end] == '\n' {
			end++
		}
		if end-at >= n {
			part(text[start:at])
			start = end
		}
		i = end
	}
	part(text[start:])
}

// isSpace is Python's and Unicode's idea of white space: unicode.IsSpace and
// ASCII's four separators.
func isSpace(r rune) bool {
	if r < 0x80 {
		return r == ' ' || r >= '\t' && r <= '\r' || r >= 0x1c && r <= 0x1f
	}
	return isWideSpace(r)
}

func isWideSpace(r rune) bool {
	switch r {
	case 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return r >= 0x2000 && r <= 0x200a
}

func trim(text string) string { return strings.TrimFunc(text, isSpace) }

// duplicates counts parts of a text that stood before, and their characters.
type duplicates struct {
	seen                   map[string]struct{}
	parts, again, repeated int
}

func (d *duplicates) add(part string) {
	d.parts++
	if d.seen == nil {
		d.seen = map[string]struct{}{}
	}
	if _, ok := d.seen[part]; ok {
		d.again++
		d.repeated += utf8.RuneCountInString(part)
		return
	}
	d.seen[part] = struct{}{}
}

// isDigit is Unicode's idea of a decimal digit.
func isDigit(r rune) bool {
	if r < 0x80 {
		return r >= '0' && r <= '9'
	}
	return unicode.Is(unicode.Nd, r)
}
