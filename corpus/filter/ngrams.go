package filter

import (
	"slices"
	"sync"
)

// Rolling sums of the words' hashes, so that the hash of any n-gram costs one
// multiplication: sums[i+n] - sums[i]*base^n. Two n-grams that differ have the
// same hash once in 2^64 pairs; that is once in many thousand documents of a
// million words, and changes a share by a millionth.
type ngrams struct {
	sums []uint64
	// lengths are the characters before each word, without spaces.
	lengths []int
	slots   []slot
}

type slot struct {
	hash  uint64
	count int32
	first int32 // 1 + the place of the first
}

const base = 0x5851f42d4c957f2d

// used are ngrams whose memory can be used again.
var used = sync.Pool{New: func() any { return &ngrams{} }}

// newNgrams returns those of the words; free gives their memory back.
func newNgrams(words []word) *ngrams {
	g := used.Get().(*ngrams)
	g.sums = slices.Grow(g.sums[:0], len(words)+1)[:len(words)+1]
	g.lengths = slices.Grow(g.lengths[:0], len(words)+1)[:len(words)+1]
	g.sums[0], g.lengths[0] = 0, 0
	for i, w := range words {
		g.sums[i+1] = g.sums[i]*base + w.hash
		g.lengths[i+1] = g.lengths[i] + int(w.characters)
	}
	size := 64
	for size < 2*len(words) {
		size *= 2
	}
	g.slots = slices.Grow(g.slots[:0], size)[:size] // cleared before each use
	return g
}

func (g *ngrams) free() { used.Put(g) }

// find returns the slot of a hash, empty or its own.
func (g *ngrams) find(hash uint64) *slot {
	mask := len(g.slots) - 1
	for at := int(mixed(hash)) & mask; ; at = (at + 1) & mask {
		if s := &g.slots[at]; s.first == 0 || s.hash == hash {
			return s
		}
	}
}

func power(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= base
	}
	return p
}

// top is the number of characters, spaces between words included, in all
// occurrences of the most frequent n-gram, the first of equals.
func (g *ngrams) top(n int) int {
	clear(g.slots)
	p := power(n)
	best := slot{}
	for i := 0; i+n < len(g.sums); i++ {
		hash := g.sums[i+n] - g.sums[i]*p
		s := g.find(hash)
		if s.first == 0 {
			*s = slot{hash: hash, first: int32(i + 1)}
		}
		s.count++
		if s.count > best.count || s.count == best.count && s.first < best.first {
			best = *s
		}
	}
	if best.first == 0 {
		return 0
	}
	i := int(best.first) - 1
	return (g.lengths[i+n] - g.lengths[i] + n - 1) * int(best.count)
}

// repeated is the number of characters, without spaces, in n-grams that stood
// before, of which none overlap.
func (g *ngrams) repeated(n int) int {
	clear(g.slots)
	p := power(n)
	total := 0
	for i := 0; i+n < len(g.sums); {
		hash := g.sums[i+n] - g.sums[i]*p
		if s := g.find(hash); s.first == 0 {
			*s = slot{hash: hash, first: int32(i + 1)}
			i++
		} else {
			total += g.lengths[i+n] - g.lengths[i]
			i += n
		}
	}
	return total
}
