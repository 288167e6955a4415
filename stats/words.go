package stats

import "unicode"

// Words counts the words of a text: runs of characters between white space, and
// every character of a script that writes no spaces between words (Han, Hiragana,
// Katakana, Thai, Lao, Khmer, Myanmar) by itself. Marks that stand alone between
// spaces count as a word, those beside such characters do not.
func Words(text string) int {
	const (
		between = iota // words
		within         // one of a spaced script
		unspacedText
	)
	n, at := 0, between
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			at = between
		case unicode.IsOneOf(unspaced, r):
			if !unicode.Is(unicode.M, r) {
				n++
			}
			at = unspacedText
		case at == between, at == unspacedText && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			n++
			at = within
		}
	}
	return n
}

// unspaced are scripts without spaces between words.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}
