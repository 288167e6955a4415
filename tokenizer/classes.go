package tokenizer

import "unicode/utf8"

// class is what the pre-tokenizer's regex distinguishes between characters.
type class uint8

const (
	other  class = iota // [^\s\p{L}\p{N}], and every byte that is no valid UTF-8
	letter              // \p{L}
	number              // \p{N}
	space               // \s
)

// pageBits is the number of low bits of a code point that select within a page
// of the two-stage table: 256 code points share a page.
const pageBits = 8

type classPage [1 << pageBits]class

// classPages maps a code point's high bits to its page. Pages whose code points
// are all of one class (nearly all CJK, most of the unassigned planes) share
// one array, so that the whole table stays near 60 KiB and in cache.
var classPages = buildClassPages()

// asciiClass is the first half of page zero by itself: the scanner's fast path
// indexes it with a byte and needs no bounds check. Entries from 0x80 on hold
// notASCII.
var asciiClass = buildASCIIClass()

// notASCII marks bytes that belong to a multi-byte character.
const notASCII class = 0xff

func buildClassPages() *[(utf8.MaxRune + 1) >> pageBits]*classPage {
	var pages [(utf8.MaxRune + 1) >> pageBits]*classPage
	var uniform [space + 1]*classPage
	for c := range uniform {
		uniform[c] = new(classPage)
		for i := range uniform[c] {
			uniform[c][i] = class(c)
		}
	}
	for p := range pages {
		pages[p] = uniform[other]
	}
	mark := func(ranges []runeRange, c class) {
		for _, r := range ranges {
			for cp := r.lo; cp <= r.hi; {
				p := cp >> pageBits
				last := p<<pageBits | (1<<pageBits - 1)
				if cp == p<<pageBits && r.hi >= last {
					pages[p] = uniform[c]
				} else {
					if pages[p] == uniform[other] {
						pages[p] = new(classPage)
					}
					for q := cp; q <= min(r.hi, last); q++ {
						pages[p][q&(1<<pageBits-1)] = c
					}
				}
				cp = last + 1
			}
		}
	}
	mark(letterRanges, letter)
	mark(numberRanges, number)
	mark(spaceRanges, space)
	return &pages
}

func buildASCIIClass() *[256]class {
	var t [256]class
	for b := range t {
		if b < utf8.RuneSelf {
			t[b] = classPages[0][b]
		} else {
			t[b] = notASCII
		}
	}
	return &t
}

// classAt returns the class and the length in bytes of the character that
// starts at s[i]. A byte that starts no valid UTF-8 sequence is one character
// of class other.
func classAt(s string, i int) (class, int) {
	if c := asciiClass[s[i]]; c != notASCII {
		return c, 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	if size == 1 {
		return other, 1
	}
	return classOf(r), size
}

// classOf returns the class of a character.
func classOf(r rune) class { return classPages[r>>pageBits][r&(1<<pageBits-1)] }
