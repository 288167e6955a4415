package tokenizer

import (
	"math/bits"
	"slices"
	"strings"
)

// Encode returns the ids of text. No added token comes out of it, whatever the
// text says. Any bytes are accepted, valid UTF-8 or not, and Decode gives them
// back.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.AppendEncode(make([]int32, 0, len(text)/3+4), text)
}

// AppendEncode is Encode appending to dst; where dst has room, it allocates
// nothing once its caches are warm.
func (t *Tokenizer) AppendEncode(dst []int32, text string) []int32 {
	e := t.borrow()
	dst = e.encode(dst, text)
	t.giveBack(e)
	return dst
}

// EncodeWithSpecial is Encode for trusted text in which the names of added
// tokens stand for those tokens: a rendered template, never what a user typed.
// Its ids are those of Hugging Face tokenizers for the same tokenizer.json.
func (t *Tokenizer) EncodeWithSpecial(text string) []int32 {
	e := t.borrow()
	defer t.giveBack(e)
	dst := make([]int32, 0, len(text)/3+4)
	t.matcher.split(text, func(part string, id int32) {
		if id >= 0 {
			dst = append(dst, id)
		} else {
			dst = e.encode(dst, part)
		}
	})
	return dst
}

// addedMatcher finds added tokens in text. Those that Hugging Face does not
// normalize are looked for first, then the others in what lies between; within
// a group the leftmost match wins, and of those the longest.
type addedMatcher struct{ groups [2]addedGroup }

type addedGroup struct {
	byFirst map[byte][]AddedToken // longest first
	first   string                // the keys of byFirst
}

func newAddedMatcher(added []AddedToken) addedMatcher {
	var m addedMatcher
	for _, a := range added {
		g := &m.groups[0]
		if a.Normalized {
			g = &m.groups[1]
		}
		if g.byFirst == nil {
			g.byFirst = make(map[byte][]AddedToken)
		}
		g.byFirst[a.Content[0]] = append(g.byFirst[a.Content[0]], a)
	}
	for i := range m.groups {
		var first []byte
		for b, tokens := range m.groups[i].byFirst {
			first = append(first, b)
			slices.SortStableFunc(tokens, func(a, b AddedToken) int { return len(b.Content) - len(a.Content) })
		}
		slices.Sort(first)
		m.groups[i].first = string(first)
	}
	return m
}

// split calls emit for each part of text in order: with the id of an added
// token, or with -1 for text in which there is none.
func (m *addedMatcher) split(text string, emit func(part string, id int32)) {
	m.groups[0].split(text, func(part string, id int32) {
		if id >= 0 {
			emit(part, id)
			return
		}
		m.groups[1].split(part, emit)
	})
}

func (g *addedGroup) split(text string, emit func(part string, id int32)) {
	done := 0
	for i := 0; i < len(text); {
		n := g.nextCandidate(text[i:])
		if n < 0 {
			break
		}
		i += n
		a, ok := g.match(text[i:])
		if !ok {
			i++
			continue
		}
		if i > done {
			emit(text[done:i], -1)
		}
		i += len(a.Content)
		done = i
		emit(a.Content, a.ID)
	}
	if done < len(text) {
		emit(text[done:], -1)
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
		if strings.IndexByte(g.first, s[i]) >= 0 {
			return i
		}
	}
	return -1
}

func (g *addedGroup) match(s string) (AddedToken, bool) {
	for _, a := range g.byFirst[s[0]] {
		if strings.HasPrefix(s, a.Content) {
			return a, true
		}
	}
	return AddedToken{}, false
}

// An encoder is the working space of one call: a cache of encoded pieces and
// scratch arrays. Each call borrows one, so the cache needs no lock, and since
// the ids of a piece depend on nothing else, which encoder a call gets cannot be
// seen in its result.
type encoder struct {
	t     *Tokenizer
	cache []cacheSlot

	ids   []int32  // the tokens of a piece under way
	ranks []uint32 // ranks[i] is the rank of the merge of ids[i], ids[i+1]
	long  longPiece
}

// cacheSlot holds the ids of one short piece; it fills a cache line. Of the
// pieces of English text and code, about 99 in 100 fit.
type cacheSlot struct {
	k0, k1, k2 uint64 // the bytes of the piece, little-endian, zeros after the end
	len        uint8  // of the piece, 0 for an empty slot
	n          uint8  // number of ids
	ids        [maxCachedIDs]int32
}

const (
	maxCachedBytes = 24
	maxCachedIDs   = 9
	cacheBits      = 15 // 2 MiB an encoder
	maxIdle        = 16 // encoders kept for later calls
)

func (t *Tokenizer) borrow() *encoder {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); n > 0 {
		e := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return e
	}
	return &encoder{t: t, cache: make([]cacheSlot, 1<<cacheBits)}
}

func (t *Tokenizer) giveBack(e *encoder) {
	e.long.shrink()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) < maxIdle {
		t.idle = append(t.idle, e)
	}
}

func (e *encoder) encode(dst []int32, text string) []int32 {
	for i := 0; i < len(text); {
		end := pieceEnd(text, i)
		n := end - i
		if n > maxCachedBytes {
			dst = e.merge(dst, text[i:end])
			i = end
			continue
		}
		k0, k1, k2 := pieceKey(text, i, n)
		h := cacheHash(k0, k1, k2)
		s := &e.cache[h]
		if s.k0 != k0 || s.k1 != k1 || s.k2 != k2 || int(s.len) != n {
			s = e.fill(s, &e.cache[h^1], k0, k1, k2, text[i:end])
			if s == nil {
				dst = append(dst, e.ids...)
				i = end
				continue
			}
		}
		if s.n == 1 {
			dst = append(dst, s.ids[0])
		} else {
			dst = append(dst, s.ids[:s.n]...)
		}
		i = end
	}
	return dst
}

// fill returns the slot, first or second, that holds piece, after encoding it
// where neither does; the older of the two then gives way. It returns nil for a
// piece of too many ids, which are then in e.ids.
func (e *encoder) fill(first, second *cacheSlot, k0, k1, k2 uint64, piece string) *cacheSlot {
	if second.k0 == k0 && second.k1 == k1 && second.k2 == k2 && int(second.len) == len(piece) {
		return second
	}
	e.ids = e.mergeShort(e.ids[:0], piece)
	if len(e.ids) > maxCachedIDs {
		return nil
	}
	if first.len != 0 {
		*second = *first
	}
	first.k0, first.k1, first.k2 = k0, k1, k2
	first.len, first.n = uint8(len(piece)), uint8(len(e.ids))
	copy(first.ids[:], e.ids)
	return first
}

// pieceKey returns the n ≤ 24 bytes of s from i on as three little-endian words
// with zeros after the end.
func pieceKey(s string, i, n int) (k0, k1, k2 uint64) {
	if i+maxCachedBytes > len(s) {
		for j := n - 1; j >= 0; j-- {
			b := uint64(s[i+j])
			switch j >> 3 {
			case 0:
				k0 = k0<<8 | b
			case 1:
				k1 = k1<<8 | b
			default:
				k2 = k2<<8 | b
			}
		}
		return k0, k1, k2
	}
	s = s[i : i+maxCachedBytes]
	switch {
	case n <= 8:
		return word(s[:8]) & lowBytes(n), 0, 0
	case n <= 16:
		return word(s[:8]), word(s[8:16]) & lowBytes(n-8), 0
	}
	return word(s[:8]), word(s[8:16]), word(s[16:24]) & lowBytes(n-16)
}

// word loads eight bytes; the compiler makes one load of it.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// lowBytes is a mask of the n low bytes, 1 ≤ n ≤ 8.
func lowBytes(n int) uint64 { return ^uint64(0) >> (uint(64-8*n) & 63) }

func cacheHash(k0, k1, k2 uint64) uint64 {
	h := k0 ^ bits.RotateLeft64(k1*0xbf58476d1ce4e5b9, 23) ^ bits.RotateLeft64(k2*0x94d049bb133111eb, 41)
	h ^= h >> 32
	return h * 0x9e3779b97f4a7c15 >> (64 - cacheBits)
}

// shortPiece is the longest piece, in bytes, that mergeShort handles: looking
// through all ranks for the lowest is quadratic, but for short pieces faster
// than a heap.
const shortPiece = 128

// merge appends the ids of one piece.
func (e *encoder) merge(dst []int32, piece string) []int32 {
	if len(piece) > shortPiece {
		return e.long.merge(e.t, dst, piece)
	}
	return e.mergeShort(dst, piece)
}

// mergeShort appends the ids of one piece, joining the pair of lowest rank,
// leftmost first, until no pair can be joined.
func (e *encoder) mergeShort(dst []int32, piece string) []int32 {
	start := len(dst)
	for i := range len(piece) {
		dst = append(dst, e.t.byteID[piece[i]])
	}
	ids := dst[start:]
	if len(ids) < 2 {
		return dst
	}
	pairs := &e.t.pairs
	ranks := e.ranks[:0]
	for i := range len(ids) - 1 {
		ranks = append(ranks, pairs.rank(ids[i], ids[i+1]))
	}
	e.ranks = ranks
	for len(ranks) > 0 {
		best, at := noRank, 0
		for i, rank := range ranks {
			if rank < best {
				best, at = rank, i
			}
		}
		if best == noRank {
			break
		}
		ids[at] = e.t.merges[best].id
		ids = append(ids[:at+1], ids[at+2:]...)
		ranks = append(ranks[:at], ranks[at+1:]...)
		if at > 0 {
			ranks[at-1] = pairs.rank(ids[at-1], ids[at])
		}
		if at < len(ranks) {
			ranks[at] = pairs.rank(ids[at], ids[at+1])
		}
	}
	return dst[:start+len(ids)]
}

// longPiece merges a piece of any length in O(n log n): the tokens are a linked
// list and the pairs that can be joined a heap by rank, then place.
type longPiece struct {
	ids        []int32 // ids[i] is the token that begins at byte i, -1 for none
	prev, next []int   // the bytes at which the neighbouring tokens begin
	heap       []candidate
}

// candidate is a pair that can be joined: the token at left with the one after
// it. It is stale when the tokens there are no longer those.
type candidate struct {
	left int
	rank uint32
}

func (a candidate) before(b candidate) bool {
	return a.rank < b.rank || a.rank == b.rank && a.left < b.left
}

// maxScratch is how many entries longPiece's arrays keep between calls.
const maxScratch = 1 << 16

func (l *longPiece) shrink() {
	if cap(l.ids) > maxScratch || cap(l.heap) > 2*maxScratch {
		*l = longPiece{}
	}
}

func (l *longPiece) merge(t *Tokenizer, dst []int32, piece string) []int32 {
	n := len(piece)
	l.ids = slices.Grow(l.ids[:0], n)[:n]
	l.prev = slices.Grow(l.prev[:0], n)[:n]
	l.next = slices.Grow(l.next[:0], n)[:n]
	l.heap = l.heap[:0]
	for i := range n {
		l.ids[i] = t.byteID[piece[i]]
		l.prev[i], l.next[i] = i-1, i+1
	}
	for i := range n - 1 {
		if rank := t.pairs.rank(l.ids[i], l.ids[i+1]); rank != noRank {
			l.push(candidate{i, rank})
		}
	}
	for len(l.heap) > 0 {
		c := l.pop()
		left := c.left
		if l.ids[left] < 0 || l.next[left] == n {
			continue
		}
		right := l.next[left]
		m := t.merges[c.rank]
		if l.ids[left] != m.left || l.ids[right] != m.right {
			continue
		}
		l.ids[left], l.ids[right] = m.id, -1
		after := l.next[right]
		l.next[left] = after
		if after < n {
			l.prev[after] = left
			if rank := t.pairs.rank(m.id, l.ids[after]); rank != noRank {
				l.push(candidate{left, rank})
			}
		}
		if before := l.prev[left]; before >= 0 {
			if rank := t.pairs.rank(l.ids[before], m.id); rank != noRank {
				l.push(candidate{before, rank})
			}
		}
	}
	for i := 0; i < n; i = l.next[i] {
		dst = append(dst, l.ids[i])
	}
	return dst
}

func (l *longPiece) push(c candidate) {
	l.heap = append(l.heap, c)
	i := len(l.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !c.before(l.heap[parent]) {
			break
		}
		l.heap[i] = l.heap[parent]
		i = parent
	}
	l.heap[i] = c
}

func (l *longPiece) pop() candidate {
	top := l.heap[0]
	last := len(l.heap) - 1
	c := l.heap[last]
	l.heap = l.heap[:last]
	if last == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && l.heap[child+1].before(l.heap[child]) {
			child++
		}
		if !l.heap[child].before(c) {
			break
		}
		l.heap[i] = l.heap[child]
		i = child
	}
	l.heap[i] = c
	return top
}
