package tokenizer

import "unicode/utf8"

// letterCase is what the o200k pattern distinguishes among letters and marks, as
// bits.
type letterCase uint8

const (
	upperLetter    letterCase = 1 << iota // \p{Lu}\p{Lt}
	lowerLetter                           // \p{Ll}
	caselessLetter                        // \p{Lm}\p{Lo}\p{M}

	upperOrCaseless = upperLetter | caselessLetter
	lowerOrCaseless = lowerLetter | caselessLetter
)

type casePage [1 << pageBits]letterCase

// casePages is a two-stage table as classPages is.
var casePages = buildCasePages()

func buildCasePages() *[(utf8.MaxRune + 1) >> pageBits]*casePage {
	var pages [(utf8.MaxRune + 1) >> pageBits]*casePage
	none, all := new(casePage), new(casePage)
	for i := range all {
		all[i] = caselessLetter
	}
	for p := range pages {
		pages[p] = none
	}
	mark := func(lo, hi, step rune, c letterCase) {
		for r := lo; r <= hi; r += step {
			p := r >> pageBits
			if step == 1 && c == caselessLetter && r == p<<pageBits && hi >= r|(1<<pageBits-1) {
				pages[p] = all
				r |= 1<<pageBits - 1
				continue
			}
			if pages[p] == none || pages[p] == all {
				own := *pages[p]
				pages[p] = &own
			}
			pages[p][r&(1<<pageBits-1)] = c
		}
	}
	for _, r := range letterRanges {
		mark(r.lo, r.hi, 1, caselessLetter)
	}
	for _, r := range markRanges {
		mark(r.lo, r.hi, r.step, caselessLetter)
	}
	for _, r := range upperRanges {
		mark(r.lo, r.hi, r.step, upperLetter)
	}
	for _, r := range lowerRanges {
		mark(r.lo, r.hi, r.step, lowerLetter)
	}
	return &pages
}

// caseAt returns the case and the length in bytes of the character that starts
// at s[i]; a byte that starts no valid UTF-8 sequence is no letter.
func caseAt(s string, i int) (letterCase, int) {
	if b := s[i]; b < utf8.RuneSelf {
		return casePages[0][b], 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	if size == 1 {
		return 0, 1
	}
	return casePages[r>>pageBits][r&(1<<pageBits-1)], size
}
