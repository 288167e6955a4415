package tokenizer

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
)

// pieceCounts counts pieces: a hash table whose keys lie one after the other in
// an arena.
type pieceCounts struct {
	slots []countSlot // a power of two, at most half full; n == 0 is empty
	mask  uint64
	len   int    // distinct pieces
	arena []byte // their bytes
}

type countSlot struct {
	hash   uint32
	length uint32
	offset uint32
	n      int64
}

// slotCost is what a piece takes in memory beside its bytes: two slots.
const slotCost = 48

func newPieceCounts() *pieceCounts {
	return &pieceCounts{slots: make([]countSlot, 1<<12), mask: 1<<12 - 1}
}

// cost is about the bytes of memory that the table needs.
func (c *pieceCounts) cost() int { return len(c.arena) + c.len*slotCost }

func (c *pieceCounts) piece(s *countSlot) []byte {
	return c.arena[s.offset : s.offset+s.length]
}

// add counts n more of piece.
func (c *pieceCounts) add(piece string, n int64) {
	h := pieceHash(piece)
	for i := h & c.mask; ; i = (i + 1) & c.mask {
		s := &c.slots[i]
		if s.n == 0 {
			*s = countSlot{uint32(h >> 32), uint32(len(piece)), uint32(len(c.arena)), n}
			c.arena = append(c.arena, piece...)
			c.len++
			if 2*c.len > len(c.slots) {
				c.grow()
			}
			return
		}
		if s.hash == uint32(h>>32) && string(c.piece(s)) == piece {
			s.n += n
			return
		}
	}
}

func (c *pieceCounts) grow() {
	old := c.slots
	c.slots = make([]countSlot, 2*len(old))
	c.mask = uint64(len(c.slots) - 1)
	for _, s := range old {
		if s.n == 0 {
			continue
		}
		i := pieceHash(string(c.piece(&s))) & c.mask
		for c.slots[i].n != 0 {
			i = (i + 1) & c.mask
		}
		c.slots[i] = s
	}
}

// all yields each piece and its count. The order depends on the order of adding;
// what is made of it must not.
func (c *pieceCounts) all() iter.Seq2[[]byte, int64] {
	return func(yield func([]byte, int64) bool) {
		for i := range c.slots {
			if s := &c.slots[i]; s.n > 0 && !yield(c.piece(s), s.n) {
				return
			}
		}
	}
}

// prune returns the table without the pieces that were counted at most atMost
// times.
func (c *pieceCounts) prune(atMost int64) *pieceCounts {
	kept := newPieceCounts()
	for piece, n := range c.all() {
		if n > atMost {
			kept.add(string(piece), n)
		}
	}
	return kept
}

func pieceHash(s string) uint64 {
	h := uint64(len(s)) * 0x9e3779b97f4a7c15
	for len(s) >= 8 {
		h = (h ^ word(s)) * 0xbf58476d1ce4e5b9
		h ^= h >> 32
		s = s[8:]
	}
	var tail uint64
	for i := range len(s) {
		tail |= uint64(s[i]) << (8 * i)
	}
	h = (h ^ tail) * 0x94d049bb133111eb
	return h ^ h>>31
}

// batchBytes is how much text is counted between two looks at the size of the
// table. It is a constant, and not a share for each thread, because what is
// pruned at the looks must not depend on the number of threads.
const batchBytes = 16 << 20

// maxDoc bounds a document, so that offsets into a table's arena fit 32 bits.
const maxDoc = 1 << 30

// countPieces counts the pieces of docs in batches, each batch on all threads.
func countPieces(ctx context.Context, docs iter.Seq2[string, error], o Options, stats *TrainStats) (*pieceCounts, error) {
	total := newPieceCounts()
	locals := make([]*pieceCounts, o.Threads)
	var pruneAt int64
	var batch []string
	size := 0

	flush := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var next, skipped atomic.Int64
		var wg sync.WaitGroup
		for w := range locals {
			locals[w] = newPieceCounts()
			wg.Go(func() {
				for {
					i := int(next.Add(1)) - 1
					if i >= len(batch) {
						return
					}
					skipped.Add(locals[w].addText(batch[i]))
				}
			})
		}
		wg.Wait()
		for _, local := range locals {
			for piece, n := range local.all() {
				total.add(string(piece), n)
				stats.Pieces += n
			}
		}
		stats.LongPieces += skipped.Load()
		for total.cost() > o.MaxTableBytes {
			pruneAt++
			before := total.len
			total = total.prune(pruneAt)
			stats.PrunedPieces += int64(before - total.len)
			stats.PrunedBelow = pruneAt + 1
		}
		batch, size = batch[:0], 0
		return nil
	}

	for doc, err := range docs {
		if err != nil {
			return nil, err
		}
		if len(doc) > maxDoc {
			return nil, fmt.Errorf("the document has %d bytes, more than the limit of %d; split it", len(doc), maxDoc)
		}
		stats.Docs++
		stats.Bytes += int64(len(doc))
		batch = append(batch, doc)
		size += len(doc)
		if size >= batchBytes {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	stats.DistinctPieces = int64(total.len)
	return total, nil
}

// addText counts the pieces of text and returns how many were too long.
func (c *pieceCounts) addText(text string) (skipped int64) {
	for i := 0; i < len(text); {
		j := pieceEnd(text, i)
		if j-i > maxTrainPiece {
			skipped++
		} else {
			c.add(text[i:j], 1)
		}
		i = j
	}
	return skipped
}
