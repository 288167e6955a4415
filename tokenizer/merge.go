package tokenizer

import "slices"

// shortPiece is the longest piece, in tokens, that join merges in place: looking
// through all ranks for the lowest is quadratic, but for short pieces faster
// than a heap.
const shortPiece = 128

// join merges the ids from dst[start] on, the pair of lowest rank first, leftmost
// first, until no pair can be joined.
func (e *encoder) join(dst []int32, start int) []int32 {
	ids := dst[start:]
	if len(ids) < 2 {
		return dst
	}
	if len(ids) > shortPiece {
		return append(dst[:start], e.long.join(&e.t.pairs, ids)...)
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
		_, ids[at] = pairs.find(ids[at], ids[at+1])
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
	ids        []int32 // ids[i] is the token that begins at symbol i, -1 for none
	prev, next []int   // the symbols at which the neighbouring tokens begin
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

// join merges symbols and returns what is left of them, in the same memory.
func (l *longPiece) join(pairs *pairTable, symbols []int32) []int32 {
	n := len(symbols)
	l.ids = append(l.ids[:0], symbols...)
	l.prev = slices.Grow(l.prev[:0], n)[:n]
	l.next = slices.Grow(l.next[:0], n)[:n]
	l.heap = l.heap[:0]
	for i := range n {
		l.prev[i], l.next[i] = i-1, i+1
	}
	for i := range n - 1 {
		if rank := pairs.rank(l.ids[i], l.ids[i+1]); rank != noRank {
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
		rank, id := pairs.find(l.ids[left], l.ids[right])
		if rank != c.rank {
			continue
		}
		l.ids[left], l.ids[right] = id, -1
		after := l.next[right]
		l.next[left] = after
		if after < n {
			l.prev[after] = left
			if rank := pairs.rank(id, l.ids[after]); rank != noRank {
				l.push(candidate{left, rank})
			}
		}
		if before := l.prev[left]; before >= 0 {
			if rank := pairs.rank(l.ids[before], id); rank != noRank {
				l.push(candidate{before, rank})
			}
		}
	}
	symbols = symbols[:0]
	for i := 0; i < n; i = l.next[i] {
		symbols = append(symbols, l.ids[i])
	}
	return symbols
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
