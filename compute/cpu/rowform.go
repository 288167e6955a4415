package cpu

import "github.com/seed-b72bdb6c/alma/compute"

// rowForm is an array [rows, ...] of which only the rows that somebody added to
// have memory; all others are zeros. The gradient of an embedding lies like
// this: a step names a few hundred tokens of a vocabulary of tens of thousands.
type rowForm struct {
	width  int
	slots  []int32     // of each row of the array: its place among those with memory, or −1
	taken  []int32     // the rows with memory, by slot
	blocks [][]float32 // of rowsPerBlock slots each
}

// rowsPerBlock slots are allocated at a time, so that growing moves nothing.
const rowsPerBlock = 256

func newRowForm(rows, width int) *rowForm {
	f := &rowForm{width: width, slots: make([]int32, rows)}
	for i := range f.slots {
		f.slots[i] = -1
	}
	return f
}

// clear makes all rows zero, and keeps their memory for others.
func (f *rowForm) clear() {
	for _, row := range f.taken {
		f.slots[row] = -1
	}
	f.taken = f.taken[:0]
}

// take gives a row memory, unless it has some.
func (f *rowForm) take(row int) {
	if f.slots[row] >= 0 {
		return
	}
	slot := len(f.taken)
	f.slots[row] = int32(slot)
	f.taken = append(f.taken, int32(row))
	if slot/rowsPerBlock == len(f.blocks) {
		f.blocks = append(f.blocks, aligned(min(rowsPerBlock, len(f.slots))*f.width))
	}
	clear(f.row(row))
}

// row returns the memory of a row, nil if it is all zeros.
func (f *rowForm) row(row int) []float32 {
	slot := int(f.slots[row])
	if slot < 0 {
		return nil
	}
	at := slot % rowsPerBlock * f.width
	return f.blocks[slot/rowsPerBlock][at : at+f.width]
}

// parts calls do with every piece of memory that holds elements lo to hi of the
// array, and the place of its first element after lo.
func (f *rowForm) parts(lo, hi int, do func(at int, part []float32)) {
	if lo >= hi {
		return
	}
	for row := lo / f.width; row <= (hi-1)/f.width; row++ {
		if part := f.row(row); part != nil {
			begin := row * f.width
			from, to := max(lo, begin), min(hi, begin+f.width)
			do(from-lo, part[from-begin:to-begin])
		}
	}
}

// copyTo writes the whole array.
func (f *rowForm) copyTo(dst []float32) {
	clear(dst)
	f.parts(0, len(dst), func(at int, part []float32) { copy(dst[at:], part) })
}

// findForms decides for every variable of the Program whether it lies in one
// piece. The gradient of an embedding does not, as long as only the optimizer
// reads it and clearing it is all that else is done to it.
func (c *compiler) findForms(p *compute.Program) {
	embedding := map[*array]bool{}
	whole := map[*array]bool{}
	for _, u := range p.Updates {
		a, value := c.arrays[u.Variable], root(u.Value)
		at, isPlaced := c.placed[value]
		_, scatters := value.Node.Op.(compute.EmbeddingGradOp)
		_, clears := c.cleared(value)
		switch {
		case isPlaced && at.array == a && at.add && scatters:
			embedding[a] = true
		case isPlaced && at.array == a && clears:
		default:
			whole[a] = true
		}
	}
	for _, v := range p.Variables {
		a := c.arrays[v.Tensor]
		switch apart := !whole[a] && c.forOptimizer(v.Tensor); {
		case apart && a.rows != nil: // and stays so
		case apart && a.data == nil && embedding[a]:
			a.rows = newRowForm(a.shape[0], a.shape.Size()/max(1, a.shape[0]))
		default:
			a.join()
		}
		c.storage[v.Tensor] = &storage{f: a.data, size: a.shape.Size(), array: a}
	}
}

// forOptimizer tells whether a variable is read as a gradient, or as a part of
// one, by operators of the optimizer alone, or not at all.
func (c *compiler) forOptimizer(t *compute.Tensor) bool {
	u := c.uses[t]
	if u == nil {
		return true
	}
	for _, step := range u.steps {
		n := c.nodes[step]
		sums := operatorOf(n.Op).sums
		if sums == noInput {
			if !c.sumsForOptimizer(n) || !c.constant(t) {
				return false
			}
			continue
		}
		for i, in := range n.Inputs {
			if !sums.has(i) && root(in) == t {
				return false
			}
		}
	}
	return !u.end
}
