package cpu

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// view is where rows of numbers lie: a whole tensor, or columns of one.
type view struct {
	*storage
	offset int // of the first row, in floats
	stride int // from row to row, in floats; 0 where the rows follow each other
}

// floats is the memory from the first row on.
func (v view) floats() []float32 { return v.f[v.offset:] }

// viewOf returns where an input of the node being lowered lies.
func (c *compiler) viewOf(t *compute.Tensor) view {
	if v, ok := c.views[root(t)]; ok {
		return v
	}
	return view{storage: c.in(t)}
}

// sliceInPlace makes a view of a SliceOp of the last dimension, if only
// attention reads it, which takes rows at any distance: queries, keys and
// values stay columns of the product that made them.
func (c *compiler) sliceInPlace(n *compute.Node, o compute.SliceOp) bool {
	full, y := n.Inputs[0].Shape, n.Outputs[0]
	source := c.in(n.Inputs[0])
	u := c.uses[y]
	if o.Axis != len(full)-1 || source == nil || !source.arena || u == nil || u.end || c.values[y] > 0 {
		return false
	}
	for _, step := range u.steps {
		if !readsColumns(c.nodes[step], y) {
			return false
		}
	}
	c.views[y] = view{source, o.Start, full.Last()}
	source.last = max(source.last, u.last(len(c.nodes)))
	return true
}

// readsColumns tells whether a node, which is attention, reads a tensor as nothing
// but queries, keys or values.
func readsColumns(n *compute.Node, t *compute.Tensor) bool {
	columns := operatorOf(n.Op).columns
	if columns == nil {
		return false
	}
	first := columns(n.Op)
	for i, in := range n.Inputs {
		if root(in) == t && (i >= first || in.Shape[2]*in.Shape[3] != t.Shape.Last()) {
			return false
		}
	}
	return true
}

// attentionInputs returns where inputs of an attention operator lie, as it reads
// them in the engine's precision, and the jobs that bring them there: rounded
// copies for the node being lowered alone.
func (c *compiler) attentionInputs(tensors ...*compute.Tensor) (in []view, jobs []*job) {
	for _, t := range tensors {
		v := c.viewOf(t)
		if c.engine.precision == BF16 {
			copied, j := c.copied(v, t.Shape, kernel.RoundBF16)
			v, jobs = copied, append(jobs, j)
		}
		in = append(in, v)
	}
	return in, jobs
}

// copied returns a copy of the rows of a view, one after the other, and the job
// that makes it with put.
func (c *compiler) copied(v view, shape compute.Shape, put func(dst, src []float32)) (view, *job) {
	rows, width := shape[0]*shape[1], shape[2]*shape[3]
	stride := v.stride
	if stride == 0 {
		stride = width
	}
	y := c.temporary(rows * width)
	return view{storage: y}, byRows(rows, width, func(lo, hi int) {
		x := v.floats()
		for r := lo; r < hi; r++ {
			put(y.f[r*width:(r+1)*width], x[r*stride:r*stride+width])
		}
	})
}

// sameStride copies what it must for two inputs to have rows at one distance.
func (c *compiler) sameStride(a, b *view, shape compute.Shape, jobs []*job) []*job {
	if a.stride == b.stride {
		return jobs
	}
	put := func(dst, src []float32) { copy(dst, src) }
	for _, v := range []*view{a, b} {
		copied, j := c.copied(*v, shape, put)
		*v, jobs = copied, append(jobs, j)
	}
	return jobs
}

// outViews decides where outputs of attention's gradient lie that must have rows
// at one distance: in columns of the tensor that all of them are joined to, if
// that is what they are for.
func (c *compiler) outViews(n *compute.Node, outputs ...int) []view {
	views := make([]view, len(outputs))
	var joined *compute.Tensor
	for i, index := range outputs {
		t, offset := c.joinedTo(n.Outputs[index])
		if t == nil || i > 0 && t != joined {
			joined = nil
			break
		}
		joined = t
		views[i] = view{offset: offset, stride: t.Shape.Last()}
	}
	s := c.storage[joined]
	if joined != nil && s == nil {
		at := c.readers[joined.Node.ID]
		s = &storage{size: joined.Shape.Size(), arena: true, first: c.step, last: max(at, c.uses[joined].last(len(c.nodes)))}
		c.x.arena = append(c.x.arena, s)
		c.storage[joined] = s
	}
	for i, index := range outputs {
		if joined == nil {
			views[i] = view{storage: c.out(n, index)}
			continue
		}
		views[i].storage = s
		c.views[n.Outputs[index]] = views[i]
	}
	return views
}

// joinedTo returns the tensor that an output is a column of, and from which
// float on; nil if it is more than that, or if the tensor has its place.
func (c *compiler) joinedTo(t *compute.Tensor) (y *compute.Tensor, offset int) {
	u := c.uses[t]
	_, isPlaced := c.placed[t]
	if c.storage[t] != nil || isPlaced || u == nil || u.end || len(u.steps) != 1 || c.values[t] > 0 {
		return nil, 0
	}
	concat := c.nodes[u.steps[0]]
	o, ok := concat.Op.(compute.ConcatOp)
	if !ok || o.Axis != len(concat.Outputs[0].Shape)-1 {
		return nil, 0
	}
	y = concat.Outputs[0]
	if _, isPlaced := c.placed[y]; isPlaced || c.storage[y] != nil && c.storage[y].first != c.step {
		return nil, 0
	}
	for _, in := range concat.Inputs {
		if root(in) == t {
			if in.Shape.Last() != t.Shape[2]*t.Shape[3] {
				return nil, 0
			}
			return y, offset
		}
		offset += in.Shape.Last()
	}
	return nil, 0
}
