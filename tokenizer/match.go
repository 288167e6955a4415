package tokenizer

import "unicode/utf8"

// A matcher runs the program of an expression on one text, by trying the first way
// on at each choice and coming back to the others (as Go's regexp/backtrack.go does,
// with lookahead and atomic groups).
type matcher struct {
	program []instruction
	text    string
	stack   []choice // ways on that were not tried yet
	// A choice that was made at a place is not made there again, unless the text
	// matched in the meantime: it did not lead to a match. seen has words for each
	// place from base on, a bit for each instruction.
	seen  []uint64
	base  int
	words int
	made  []choice // the bits that are set, in the order in which they were
}

type choice struct{ at, place int }

func newMatcher(program []instruction) *matcher {
	return &matcher{program: program, words: (len(program) + 63) / 64}
}

// start begins with a text.
func (m *matcher) start(text string) {
	m.text, m.base = text, 0
	clear(m.seen)
	m.seen, m.made, m.stack = m.seen[:0], m.made[:0], m.stack[:0]
	if cap(m.seen) > maxScratch {
		m.seen = nil
	}
}

// find returns the leftmost match from a place on, −1 and −1 for none.
func (m *matcher) find(from int) (start, end int) {
	m.forget(from)
	for start = from; ; {
		if end = m.run(0, start); end >= 0 {
			return start, end
		}
		if start >= len(m.text) {
			return -1, -1
		}
		_, size := utf8.DecodeRuneInString(m.text[start:])
		start += size
	}
}

// forget drops what is known of places before one, from time to time.
func (m *matcher) forget(before int) {
	const often = 4096
	if before-m.base < often {
		return
	}
	if drop := (before - m.base) * m.words; drop < len(m.seen) {
		kept := copy(m.seen, m.seen[drop:])
		clear(m.seen[kept:])
		m.seen = m.seen[:kept]
	} else {
		clear(m.seen)
		m.seen = m.seen[:0]
	}
	m.base, m.made = before, m.made[:0]
}

// first tells whether a choice is made at a place for the first time.
func (m *matcher) first(at, place int) bool {
	i := (place-m.base)*m.words + at/64
	for len(m.seen) <= i {
		m.seen = append(m.seen, 0)
	}
	if m.seen[i]&(1<<(at%64)) != 0 {
		return false
	}
	m.seen[i] |= 1 << (at % 64)
	m.made = append(m.made, choice{at, place})
	return true
}

// run matches the program from at on at a place, up to its opEnd, and returns where
// that leads, −1 for nowhere.
func (m *matcher) run(at, place int) int {
	bottom, made := len(m.stack), len(m.made)
	for {
		ok := true
		switch i := &m.program[at]; i.op {
		case opSet:
			ok = false
			if place < len(m.text) {
				if b := m.text[place]; b < utf8.RuneSelf {
					if ok = i.set.ascii[b]; ok {
						place++
					}
				} else if r, size := utf8.DecodeRuneInString(m.text[place:]); i.set.has(r) {
					ok = true
					place += size
				}
			}
			at++
		case opSplit:
			if ok = m.first(at, place); ok {
				m.stack = append(m.stack, choice{i.y, place})
				at = i.x
			}
		case opJump:
			at = i.x
		case opLook:
			ok = (m.run(at+1, place) >= 0) != i.empty
			at = i.x
		case opAtomic:
			end := m.run(at+1, place)
			if ok = end >= 0; ok {
				at, place = i.x, end
			}
		case opEnd:
			m.stack = m.stack[:bottom]
			for _, c := range m.made[made:] {
				m.seen[(c.place-m.base)*m.words+c.at/64] &^= 1 << (c.at % 64)
			}
			m.made = m.made[:made]
			return place
		default:
			ok = m.anchored(i.op, place)
			at++
		}
		if ok {
			continue
		}
		if len(m.stack) == bottom {
			return -1
		}
		last := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		at, place = last.at, last.place
	}
}

// anchored tells whether an anchor holds at a place.
func (m *matcher) anchored(op operation, place int) bool {
	switch op {
	case opTextStart:
		return place == 0
	case opTextEnd:
		return place == len(m.text)
	case opLineStart:
		return place == 0 || m.text[place-1] == '\n' && place < len(m.text)
	case opLineEnd:
		return place == len(m.text) || m.text[place] == '\n'
	}
	before, _ := utf8.DecodeLastRuneInString(m.text[:place])
	after, size := utf8.DecodeRuneInString(m.text[place:])
	word := place > 0 && isWordCharacter(before)
	return (word != (size > 0 && isWordCharacter(after))) == (op == opBoundary)
}

// matches calls yield with each match in turn; a match of nothing is none directly
// behind another match.
func (m *matcher) matches(text string, yield func(start, end int)) {
	m.start(text)
	last := -1
	for from := 0; from <= len(text); {
		start, end := m.find(from)
		if start < 0 {
			return
		}
		if end > start {
			yield(start, end)
			from, last = end, end
			continue
		}
		if start != last {
			yield(start, end)
			last = end
		}
		_, size := utf8.DecodeRuneInString(text[start:])
		from = start + max(size, 1)
	}
}
