package dedup

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// What a character does to words.
const (
	outside = iota // ends a word: white space, punctuation, symbols
	inWord         // letters and numbers
	upper          // a letter that is compared as its small form
	alone          // a letter of a script without spaces: a word by itself
	mark           // belongs to the character before it
)

// basicEnd is behind the basic plane, whose classes are kept in a table.
const basicEnd = 1 << 16

// withoutSpaces are the scripts that put no spaces between words. Word borders
// there take a dictionary, each another one; UAX #29 leaves the ideographs
// and Hiragana to single characters and the others to a dictionary.
var withoutSpaces = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Yi,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar, unicode.Tai_Le, unicode.New_Tai_Lue,
	unicode.Tai_Tham, unicode.Tai_Viet, unicode.Balinese, unicode.Javanese,
}

func classOf(r rune) uint8 {
	switch {
	case unicode.IsMark(r):
		return mark
	case unicode.IsLetter(r) && unicode.In(r, withoutSpaces...):
		return alone
	case !unicode.IsLetter(r) && !unicode.IsNumber(r):
		return outside
	case unicode.ToLower(r) != r:
		return upper
	}
	return inWord
}

var basicPlane = sync.OnceValue(func() *[basicEnd]uint8 {
	var table [basicEnd]uint8
	for r := range table {
		table[r] = classOf(rune(r))
	}
	return &table
})

// shingles cuts a text into words and hands out its shingles, each as its words
// with a space between them. A text of fewer words, but some, is one shingle.
//
// A word is a run of letters, marks and numbers by Unicode's categories, compared
// without case; in scripts without spaces every character with its marks is one.
// Against UAX #29 this parts words at apostrophes and points too, so that don't
// and don’t are the same two words.
type shingles struct {
	size  int // words
	table *[basicEnd]uint8

	words  []byte // the last words, each with a space behind it
	starts []int  // where each begins in words
	total  int    // words seen in this text
	open   bool   // the last word may go on
	single bool   // and only by marks
	hash   func(shingle []byte)
}

// keptBytes is when words are moved to the front of their buffer.
const keptBytes = 16 << 10

func (s *shingles) cut(text string) {
	s.words, s.starts, s.total, s.open, s.single = s.words[:0], s.starts[:0], 0, false, false
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		var class uint8
		if r < basicEnd {
			class = s.table[r]
		} else {
			class = classOf(r)
		}
		switch class {
		case outside:
			s.end()
			i += size
			continue
		case mark:
			if !s.open {
				s.begin(false)
			}
		case alone:
			s.end()
			s.begin(true)
		default:
			if s.single {
				s.end()
			}
			if !s.open {
				s.begin(false)
			}
			if class == upper {
				s.words = utf8.AppendRune(s.words, unicode.ToLower(r))
				i += size
				continue
			}
		}
		if size == 1 {
			s.words = append(s.words, byte(r)) // a byte that is no UTF-8 is outside
		} else {
			s.words = append(s.words, text[i:i+size]...)
		}
		i += size
	}
	s.end()
	if s.total > 0 && s.total < s.size {
		s.hash(s.words[:len(s.words)-1])
	}
}

func (s *shingles) begin(single bool) {
	s.open, s.single = true, single
	s.starts = append(s.starts, len(s.words))
}

// end closes the word that is open and hands out the shingle that ends with it.
func (s *shingles) end() {
	if !s.open {
		return
	}
	s.open, s.single = false, false
	s.total++
	if n := len(s.starts); n >= s.size {
		s.hash(s.words[s.starts[n-s.size]:])
		if len(s.words) > keptBytes {
			kept := s.starts[n-s.size+1:]
			from := len(s.words)
			if len(kept) > 0 {
				from = kept[0]
			}
			s.words = s.words[:copy(s.words, s.words[from:])]
			for i, start := range kept {
				s.starts[i] = start - from
			}
			s.starts = s.starts[:len(kept)]
		}
	}
	s.words = append(s.words, ' ')
}
