package filter

import (
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A word is a piece of a text between white space, and what a filter asks of it.
//
// The rules are those that matter to the counts of FineWeb's filters, which took
// spaCy's English tokenizer: marks of punctuation at either end of a piece are
// words of their own, as are hyphens, slashes and colons between letters, and
// English contractions are cut (do|n't, it|'s). Of its list of abbreviations and
// faces only the rule is kept that a point stays where there is another one
// before it (U.S., e.g.), and a few titles. A character of a script that is
// written without spaces is a word, as Unicode has it for ideographs (UAX #29).
type word struct {
	start, end int32 // bytes of the text
	characters int32
	letter     bool // it holds a letter
	mark       bool // it is of punctuation, symbols and controls alone
	ends       bool // it is a single mark that ends a sentence
	punct      bool // it is punctuation alone
	hash       uint64
}

// Classes of ASCII characters, for cutting.
const (
	opens  = 1 << iota // cut off at the start of a piece
	closes             // cut off at its end
	letter             //
	digit              //
	joins              // may join two words: - / : < > = , . + * ^ ~
)

var classes [256]uint8

func init() {
	for c := range 256 {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			classes[c] |= letter
		case c >= '0' && c <= '9':
			classes[c] |= digit
		}
	}
	for _, c := range "%=+$,:;!?()[]{}<>_#*&\"'`" {
		classes[c] |= opens
	}
	for _, c := range ",:;!?()[]{}<>_#*&\"'`" {
		classes[c] |= closes
	}
	for _, c := range "-/:<>=,.+*^~" {
		classes[c] |= joins
	}
}

// appendWords adds the words of a text, which must be shorter than 2 GiB.
func appendWords(words []word, text string) []word {
	c := cutter{text: text, words: words}
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		if isSpace(r) {
			i += size
			continue
		}
		start, plain := i, true
		for i < len(text) {
			b := text[i]
			if b < utf8.RuneSelf {
				if classes[b]&letter == 0 {
					if isSpace(rune(b)) {
						break
					}
					plain = false
				}
				i++
				continue
			}
			plain = false
			r, size := utf8.DecodeRuneInString(text[i:])
			if isWideSpace(r) {
				break
			}
			i += size
		}
		if plain {
			c.plain(start, i)
		} else {
			c.piece(start, i)
		}
	}
	return c.words
}

type cutter struct {
	text  string
	words []word
	tail  []word // cut off at the end of the piece, the last one first
}

// multiplier and mixed are those of a multiply-and-fold hash.
const multiplier = 0x9e3779b97f4a7c15

func mixed(h uint64) uint64 {
	high, low := bits.Mul64(h, multiplier)
	return high ^ low
}

func hashOf(s string) uint64 {
	h := uint64(len(s)) * 0xd6e8feb86659fd93
	for len(s) >= 8 {
		h = mixed(h ^ (uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56))
		s = s[8:]
	}
	last := uint64(0)
	for i := range len(s) {
		last |= uint64(s[i]) << (8 * i)
	}
	return mixed(h ^ last ^ 0xa0761d6478bd642f)
}

// plain adds a word of ASCII letters.
func (c *cutter) plain(start, end int) {
	c.words = append(c.words, word{start: int32(start), end: int32(end), characters: int32(end - start), letter: true, hash: hashOf(c.text[start:end])})
}

// look returns the word from start to end.
func (c *cutter) look(start, end int) word {
	w := word{start: int32(start), end: int32(end), mark: true, punct: true, hash: hashOf(c.text[start:end])}
	for i := start; i < end; {
		r, size := utf8.DecodeRuneInString(c.text[i:end])
		i += size
		w.characters++
		switch {
		case unicode.IsLetter(r):
			w.letter, w.mark, w.punct = true, false, false
		case unicode.IsPunct(r):
		case unicode.IsSymbol(r) && !unicode.Is(unicode.So, r) || unicode.IsControl(r):
			w.punct = false
		default:
			w.mark, w.punct = false, false
		}
	}
	if w.characters == 1 {
		r, _ := utf8.DecodeRuneInString(c.text[start:end])
		w.ends = unicode.Is(unicode.Sentence_Terminal, r)
	}
	return w
}

func (c *cutter) add(start, end int) {
	if start < end {
		c.words = append(c.words, c.look(start, end))
	}
}

// piece cuts what lies between white space.
func (c *cutter) piece(start, end int) {
	text := c.text
	for start < end {
		size := c.opening(start, end)
		if size == 0 {
			break
		}
		c.add(start, start+size)
		start += size
	}
	c.tail = c.tail[:0]
	for start < end {
		size := c.closing(start, end)
		if size == 0 {
			break
		}
		c.tail = append(c.tail, c.look(end-size, end))
		end -= size
	}
	if start < end {
		if at := contraction(text[start:end]); at > 0 {
			c.tail = append(c.tail, c.look(start+at, end))
			end = start + at
		}
		c.middle(start, end)
	}
	for i := len(c.tail) - 1; i >= 0; i-- {
		c.words = append(c.words, c.tail[i])
	}
}

// opening is the size of the word that is cut off at the start, 0 of none.
func (c *cutter) opening(start, end int) int {
	b := c.text[start]
	switch {
	case b == '.':
		if n := periods(c.text[start:end]); n > 1 {
			return n
		}
		return 0
	case b == '+' && start+1 < end && classes[c.text[start+1]]&digit != 0:
		return 0
	case b < utf8.RuneSelf:
		if classes[b]&opens != 0 {
			if b == '\'' && contraction(c.text[start:end]) == 0 && isSuffix(c.text[start:end]) {
				return 0
			}
			return 1
		}
		return 0
	}
	r, size := utf8.DecodeRuneInString(c.text[start:end])
	if wideMark(r) || r == '§' || unicode.Is(unicode.So, r) || unicode.Is(unicode.Sc, r) {
		return size
	}
	return 0
}

// periods is the number of points that the text begins with.
func periods(text string) int {
	n := 0
	for n < len(text) && text[n] == '.' {
		n++
	}
	return n
}

// wideMark reports marks beyond ASCII that are words of their own wherever they
// stand at an end.
func wideMark(r rune) bool {
	switch r {
	case '…', '—', '–', '“', '”', '‘', '’', '‚', '„', '«', '»', '´', '¿', '¡', '·', '؟', '،', '؛', '٪', '۔', '।':
		return true
	}
	return r >= 0x3000 && r <= 0x303f || r >= 0xff01 && r <= 0xff65 && unicode.IsPunct(r)
}

// closing is the size of the word that is cut off at the end, 0 of none.
func (c *cutter) closing(start, end int) int {
	text := c.text[start:end]
	b := text[len(text)-1]
	before := byte(0)
	if len(text) > 1 {
		before = text[len(text)-2]
	}
	switch {
	case b == '.':
		n := 1
		for n < len(text) && text[len(text)-1-n] == '.' {
			n++
		}
		if n > 1 || len(text) == 1 {
			return n
		}
		if abbreviated(text) {
			return 0
		}
		if before >= 'a' && before <= 'z' || classes[before]&(digit|closes) != 0 || before == '%' || before == '-' || before == '+' || before >= utf8.RuneSelf ||
			before >= 'A' && before <= 'Z' && len(text) > 2 && text[len(text)-3] >= 'A' && text[len(text)-3] <= 'Z' {
			return 1
		}
		return 0
	case b == 's' || b == 'S':
		if len(text) > 2 && before == '\'' {
			return 2
		}
		if len(text) > 4 && strings.HasSuffix(text[:len(text)-1], "’") {
			return len("’s")
		}
		return 0
	case (b == '%' || b == '$' || b == '+') && classes[before]&digit != 0:
		return 1
	case b < utf8.RuneSelf:
		if classes[b]&closes != 0 {
			return 1
		}
		return 0
	}
	r, size := utf8.DecodeLastRuneInString(text)
	if wideMark(r) || unicode.Is(unicode.So, r) || unicode.Is(unicode.Sc, r) && classes[before]&digit != 0 {
		return size
	}
	return 0
}

// abbreviated reports whether the point at the end of a piece belongs to it.
func abbreviated(text string) bool {
	inner := text[:len(text)-1]
	if len(inner) == 1 && classes[inner[0]]&letter != 0 {
		return true // an initial, or as in v.
	}
	if at := strings.LastIndexByte(inner, '.'); at > 0 && len(inner)-at <= 3 && at <= 5 && classes[inner[at-1]]&letter != 0 {
		return strings.IndexFunc(inner, unicode.IsDigit) < 0
	}
	switch inner {
	case "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Jr", "Sr", "vs", "Inc", "Ltd", "Co", "Corp", "Gen", "Rev", "Gov", "Sen", "Rep", "Mt",
		"Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec":
		return true
	}
	return false
}

// endings are those of English contractions.
var endings = []string{"n't", "n’t", "'ll", "’ll", "'re", "’re", "'ve", "’ve", "'m", "’m", "'d", "’d"}

// contraction is where the second part of an English contraction begins, 0 of
// none.
func contraction(text string) int {
	if strings.IndexByte(text, '\'') < 0 && !strings.Contains(text, "’") {
		return 0
	}
	for i, ending := range endings {
		at := len(text) - len(ending)
		if at <= 0 || at > 8 || !strings.EqualFold(text[at:], ending) || classes[text[at-1]]&letter == 0 {
			continue
		}
		if i < 2 { // not
			return at
		}
		switch strings.ToLower(text[:at]) {
		case "i", "you", "he", "she", "it", "we", "they", "who", "what", "where", "when", "why", "how", "there", "that", "this", "these", "those",
			"could", "should", "would", "must", "might", "may":
			return at
		}
	}
	return 0
}

// isSuffix reports whether all of the text is the end of a contraction.
func isSuffix(text string) bool {
	for _, ending := range endings {
		if strings.EqualFold(text, ending) {
			return true
		}
	}
	return strings.EqualFold(text, "'s")
}

// middle cuts what is left between a piece's ends.
func (c *cutter) middle(start, end int) {
	text := c.text
	if strings.Contains(text[start:end], "://") || strings.HasPrefix(text[start:end], "www.") {
		c.add(start, end)
		return
	}
	last := rune(0)
	for i := start; i < end; {
		b := text[i]
		if b < utf8.RuneSelf {
			if classes[b]&joins != 0 && i > start {
				if size := c.joint(last, i, end); size > 0 {
					c.add(start, i)
					c.add(i, i+size)
					i += size
					start = i
					last = 0
					continue
				}
			}
			last = rune(b)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:end])
		if unspaced(r) || wideMark(r) && r != '’' && r != '·' && r != '‘' || unicode.Is(unicode.So, r) {
			c.add(start, i)
			c.add(i, i+size)
			start = i + size
		}
		last = r
		i += size
	}
	c.add(start, end)
}

// unspaced reports characters of scripts that are written without spaces.
func unspaced(r rune) bool {
	return r >= 0x0e00 && r <= 0x0eff || // Thai, Lao
		r >= 0x1000 && r <= 0x109f || r >= 0x1780 && r <= 0x17ff || // Myanmar, Khmer
		r >= 0x2e80 && r <= 0x9fff || r >= 0xf900 && r <= 0xfaff || r >= 0xff66 && r <= 0xff9d || // Han, kana
		r >= 0x20000 && r <= 0x3ffff
}

// joint is the size of the word of marks at i, between two words of a piece that
// it joins; 0 where it cuts nothing.
func (c *cutter) joint(last rune, i, end int) int {
	text := c.text
	b := text[i]
	if b == '.' {
		if n := periods(text[i:end]); n > 1 {
			return n
		}
	}
	size := 1
	if b == '-' {
		for size < 3 && i+size < end && text[i+size] == '-' {
			size++
		}
	}
	if i+size >= end {
		return 0
	}
	next, _ := utf8.DecodeRuneInString(text[i+size : end])
	isDigit := func(r rune) bool { return r >= '0' && r <= '9' }
	switch b {
	case '-', '~', '/', ':', '<', '>', '=':
		if (unicode.IsLetter(last) || isDigit(last)) && unicode.IsLetter(next) {
			return size
		}
	case ',':
		if unicode.IsLetter(last) && unicode.IsLetter(next) {
			return 1
		}
	case '.':
		if unicode.IsLower(last) && unicode.IsUpper(next) {
			return 1
		}
	}
	if (b == '-' || b == '+' || b == '*' || b == '^') && isDigit(last) && (isDigit(next) || next == '-') {
		return size
	}
	return 0
}

// sentences counts the sentences of words that make a line: one, and one more at
// each word that follows an end mark and is no mark of punctuation itself, as in
// spaCy's sentencizer.
func sentences(words []word) int {
	n, ended := 0, false
	for i, w := range words {
		if i == 0 || ended && !w.punct {
			n++
			ended = false
		}
		if w.ends {
			ended = true
		}
	}
	return n
}
