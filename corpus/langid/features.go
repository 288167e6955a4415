package langid

import "unicode/utf8"

// A feature of a text is an n-gram of one to four characters, in small letters,
// where everything that is no letter is one space, or a whole word. It stands in
// row hash>>shift of its group's table.
//
// The hashes are sums of products with odd constants, of which the high bits are
// taken (Knuth's multiplicative hashing): one multiplication a character and
// order, with nothing to carry from one to the next.
const (
	mix1 = 0x9e3779b97f4a7c15
	mix2 = 0xc2b2ae3d27d4eb4f
	mix3 = 0x165667b19e3779f9
	mix4 = 0xd6e8feb86659fd93
	mixW = 0xff51afd7ed558ccd
	mixA = 0xa0761d6478bd642f // tells a word from its n-grams
)

// A window holds the last characters of a group's text.
type window struct {
	a, b, c, d uint64 // the last character, the one before it, …
	word       uint64 // hash of the word so far, 0 at a space
}

// next takes a small letter or a space.
func (w *window) next(r rune) {
	w.a, w.b, w.c, w.d = uint64(r), w.a, w.b, w.c
}

// hashes are those of the n-grams of one to four characters that end here. The
// one of a single character is not mixed with the others.
func (w *window) hashes() (one, two, three, four uint64) {
	one = w.a * mix1
	two = one + w.b*mix2
	three = two + w.c*mix3
	four = three + w.d*mix4
	return one * mix3, two * mix1, three * mix1, four * mix1
}

// walk calls feature for every feature of the text, with the index of its group
// and its hash, and returns the letters of each group. It is the plain form of
// what accumulate does at speed, for training and tests.
func walk(text string, feature func(group int, hash uint64)) (letters [maxGroups]int) {
	var windows [maxGroups]window
	for g := range windows {
		windows[g].next(' ')
	}
	current := -1
	end := func() { // of a word
		if current < 0 {
			return
		}
		w := &windows[current]
		if w.a != ' ' {
			feature(current, w.word*mixA)
			w.word = 0
			w.next(' ')
			_, two, three, four := w.hashes()
			feature(current, two)
			feature(current, three)
			feature(current, four)
		}
	}
	for _, r := range text {
		g := groupOf(r) - 1
		if g < 0 {
			end()
			continue
		}
		if g != current {
			end()
			current = g
		}
		letters[g]++
		if groups[g].bits == 0 {
			continue
		}
		w := &windows[g]
		w.next(small(r))
		w.word = (w.word + w.a) * mixW
		one, two, three, four := w.hashes()
		feature(g, one)
		feature(g, two)
		feature(g, three)
		feature(g, four)
	}
	end()
	return letters
}

// maxGroups is the number of groups; a test holds it against them.
const maxGroups = 18

// Of a text longer than whole bytes, read is what is looked at in each whole of
// them: that says as much of its language, and takes a quarter of the time.
const (
	whole = 2 << 10
	read  = 512
)

// sums adds up the weights of the text's features.
func (m *Model) sums(text string) (sums [maxGroups]sum) {
	if len(text) <= whole {
		m.accumulate(text, &sums)
	} else {
		for start := 0; start < len(text); start += whole {
			m.accumulate(text[characterAt(text, start):characterAt(text, min(len(text), start+read))], &sums)
		}
	}
	for g := range sums {
		sums[g].flush(&m.tables[g])
	}
	return sums
}

// characterAt is the place of the first character that begins at a byte or after.
func characterAt(text string, at int) int {
	for at < len(text) && !utf8.RuneStart(text[at]) {
		at++
	}
	return at
}

// accumulate adds the weights of the text's features. It does what walk does.
func (m *Model) accumulate(text string, sums *[maxGroups]sum) {
	var windows [maxGroups]window
	for g := range windows {
		windows[g].next(' ')
	}
	current := -1
	end := func() {
		w, s := &windows[current], &sums[current]
		t := &m.tables[current]
		if w.a != ' ' && t.rows != nil {
			word := w.word * mixA
			w.word = 0
			w.next(' ')
			_, two, three, four := w.hashes()
			t.add4(s, word, two, three, four)
		}
	}
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		i += size
		g := groupOf(r) - 1
		if g < 0 {
			if current >= 0 {
				end()
			}
			continue
		}
		if g != current {
			if current >= 0 {
				end()
			}
			current = g
		}
		s := &sums[g]
		s.letters++
		t := &m.tables[g]
		if t.rows == nil {
			continue
		}
		w := &windows[g]
		w.next(small(r))
		w.word = (w.word + w.a) * mixW
		one, two, three, four := w.hashes()
		t.add4(s, one, two, three, four)
	}
	if current >= 0 {
		end()
	}
}
