package cpu

import (
	"slices"

	"github.com/seed-b72bdb6c/alma/compute"
)

// storage is where the numbers of one or more tensors lie. Steps hold the
// storage, not its slice, since the arena moves when it grows.
type storage struct {
	f []float32 // of Float32 tensors; nil for a variable in rowForm
	i []int32   // of Int32 tensors

	size   int
	array  *array // the variable whose memory this is, or nil
	arena  bool   // f is a part of the arena, from offset on
	offset int
	first  int // the step that fills it, in live nodes
	last   int // the last step that needs it
}

// floats is where the numbers lie, if in one piece.
func (s *storage) floats() []float32 {
	if s.array != nil {
		return s.array.data
	}
	return s.f
}

// rows is how the numbers of a variable lie that is not in one piece.
func (s *storage) rows() *rowForm {
	if s.array != nil {
		return s.array.rows
	}
	return nil
}

// interval is a free part of the arena.
type interval struct{ start, end int }

// pack gives every arena storage its offset, so that no two overlap whose
// steps do, and returns the size of the arena that this takes. A storage goes
// to the smallest gap that holds it.
func pack(storages []*storage, steps int) int {
	begin := make([][]*storage, steps+1)
	end := make([][]*storage, steps+1)
	for _, s := range storages {
		begin[s.first] = append(begin[s.first], s)
		end[s.last] = append(end[s.last], s)
	}
	var free []interval // in order, never touching
	total := 0
	for step := range steps + 1 {
		// Large ones first: a small one leaves a gap for no other.
		slices.SortStableFunc(begin[step], func(a, b *storage) int { return b.size - a.size })
		for _, s := range begin[step] {
			size := roundUp(s.size, alignment)
			best := -1
			for i, gap := range free {
				if gap.end-gap.start >= size && (best < 0 || gap.end-gap.start < free[best].end-free[best].start) {
					best = i
				}
			}
			switch {
			case best >= 0:
				s.offset = free[best].start
				free[best].start += size
				if free[best].start == free[best].end {
					free = slices.Delete(free, best, best+1)
				}
			case len(free) > 0 && free[len(free)-1].end == total: // grow the last gap
				s.offset = free[len(free)-1].start
				free = free[:len(free)-1]
				total = s.offset + size
			default:
				s.offset = total
				total += size
			}
		}
		for _, s := range end[step] {
			free = release(free, interval{s.offset, s.offset + roundUp(s.size, alignment)})
		}
	}
	return total
}

// release adds a gap to the free list and joins it with its neighbours.
func release(free []interval, gap interval) []interval {
	if gap.start == gap.end {
		return free
	}
	at := 0
	for at < len(free) && free[at].start < gap.start {
		at++
	}
	if at < len(free) && free[at].start == gap.end {
		gap.end = free[at].end
		free = slices.Delete(free, at, at+1)
	}
	if at > 0 && free[at-1].end == gap.start {
		free[at-1].end = gap.end
		return free
	}
	return slices.Insert(free, at, gap)
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }

// root is the tensor whose storage t shares: t itself, or what a Reshape
// gives another shape.
func root(t *compute.Tensor) *compute.Tensor {
	for {
		if _, ok := t.Node.Op.(compute.ReshapeOp); !ok {
			return t
		}
		t = t.Node.Inputs[0]
	}
}
