package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// bertRules are the settings of BERT's normalizer (tokenization.py of the
// published model, in Hugging Face's form).
type bertRules struct{ cleanText, splitChinese, stripAccents, lowerCase bool }

func compileBert(where string, object json.RawMessage) (func(string) string, error) {
	b := bertRules{cleanText: true, splitChinese: true, lowerCase: true}
	var accents *bool
	err := checkObject(where+".", object, map[string]rule{
		"type":                 ignored,
		"clean_text":           into(&b.cleanText),
		"handle_chinese_chars": into(&b.splitChinese),
		"strip_accents":        into(&accents),
		"lowercase":            into(&b.lowerCase),
	})
	b.stripAccents = b.lowerCase
	if accents != nil {
		b.stripAccents = *accents
	}
	return b.normalize, err
}

func (b bertRules) normalize(s string) string {
	if ascii(s) {
		return b.normalizeASCII(s)
	}
	if b.cleanText || b.splitChinese {
		var out strings.Builder
		out.Grow(len(s) + len(s)/4)
		for _, r := range s {
			switch {
			case b.cleanText && isRemoved(r):
			case b.cleanText && isSpace(r):
				out.WriteByte(' ')
			case b.splitChinese && isChinese(r):
				out.WriteByte(' ')
				out.WriteRune(r)
				out.WriteByte(' ')
			default:
				out.WriteRune(r)
			}
		}
		s = out.String()
	}
	if b.stripAccents {
		s = strings.Map(func(r rune) rune {
			if inRanges(bertAccents, r) {
				return -1
			}
			return r
		}, norm.NFD.String(s))
	}
	if b.lowerCase {
		s = lowerCase(s)
	}
	return s
}

func (b bertRules) normalizeASCII(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		if b.cleanText && (c < ' ' || c == 0x7f) {
			if c != '\t' && c != '\n' && c != '\r' {
				continue
			}
			c = ' '
		}
		if b.lowerCase && 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return string(out)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isRemoved reports whether clean_text leaves a character out: U+0000, U+FFFD and
// general category C but for tab, line feed and carriage return.
func isRemoved(r rune) bool {
	switch r {
	case '\t', '\n', '\r':
		return false
	case 0, utf8.RuneError:
		return true
	}
	return r < ' ' || r == 0x7f || inRanges(bertRemoved, r)
}

// inRanges reports whether sorted ranges hold r.
func inRanges(ranges []runeRange, r rune) bool {
	_, found := slices.BinarySearchFunc(ranges, r, func(x runeRange, r rune) int {
		switch {
		case x.hi < r:
			return -1
		case x.lo > r:
			return 1
		}
		return 0
	})
	return found
}

// isChinese reports whether BERT takes a character for a word of its own: the
// blocks of CJK ideographs that its tokenization.py lists, of which Hugging Face
// leaves out U+2B820 to U+2B91F.
func isChinese(r rune) bool {
	return 0x4e00 <= r && r <= 0x9fff || 0x3400 <= r && r <= 0x4dbf || 0x20000 <= r && r <= 0x2a6df ||
		0x2a700 <= r && r <= 0x2b73f || 0x2b740 <= r && r <= 0x2b81f || 0x2b920 <= r && r <= 0x2ceaf ||
		0xf900 <= r && r <= 0xfaff || 0x2f800 <= r && r <= 0x2fa1f
}

// isPunctuation reports whether BERT takes a character apart from its
// neighbours: all of ASCII that is no letter, digit or white space, and general
// category P.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
	return inRanges(bertPunctuation, r)
}

// bertEnd cuts as BertPreTokenizer does: runs of white space (of which appendWord
// makes nothing), punctuation one by one, and what lies between.
func bertEnd(s string, i int) int {
	r, size := utf8.DecodeRuneInString(s[i:])
	if isPunctuation(r) {
		return i + size
	}
	white := isSpace(r)
	for i += size; i < len(s); i += size {
		r, size = utf8.DecodeRuneInString(s[i:])
		if isSpace(r) != white || isPunctuation(r) {
			break
		}
	}
	return i
}

// appendWord appends the tokens of a word: the longest token that it begins
// with, then the longest that continues it, to its end; the unknown token for a
// word that is too long or cannot be put together.
func (t *Tokenizer) appendWord(dst []int32, word string) []int32 {
	if r, _ := utf8.DecodeRuneInString(word); isSpace(r) {
		return dst
	}
	if utf8.RuneCountInString(word) > t.model.maxWord {
		return append(dst, t.unk)
	}
	start := len(dst)
	var joined [64]byte
	for i := 0; i < len(word); {
		found := false
		limit := t.longest
		if i > 0 {
			limit -= len(t.model.prefix)
		}
		for end := min(len(word), i+limit); end > i; end-- {
			if end < len(word) && !utf8.RuneStart(word[end]) {
				continue
			}
			name := joined[:0]
			if i > 0 {
				name = append(name, t.model.prefix...)
			}
			name = append(name, word[i:end]...)
			if id, ok := t.ids[string(name)]; ok {
				dst = append(dst, id)
				i, found = end, true
				break
			}
		}
		if !found {
			return append(dst[:start], t.unk)
		}
	}
	return dst
}
