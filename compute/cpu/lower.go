package cpu

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
)

// in returns the storage of an input of the node being lowered.
func (c *compiler) in(t *compute.Tensor) *storage { return c.storage[root(t)] }

// out decides where output number index of the node lies. The storage of an
// input that dies here is taken over if the operator works in place.
func (c *compiler) out(n *compute.Node, index int) *storage {
	t := n.Outputs[index]
	if s := c.storage[t]; s != nil {
		return s
	}
	s := &storage{size: t.Shape.Size(), first: c.step, last: max(c.step, c.uses[t].last(len(c.nodes)))}
	if p, ok := c.placed[t]; ok {
		s = &storage{f: p.array.data, size: s.size, array: p.array}
	} else if t.DType == compute.Int32 {
		s.i = make([]int32, s.size)
	} else if over := c.takeOver(n, index); over != nil {
		over.last = s.last
		s = over
	} else {
		s.arena = true
		c.x.arena = append(c.x.arena, s)
	}
	c.storage[t] = s
	return s
}

// takeOver returns the storage of an input that the output may replace.
func (c *compiler) takeOver(n *compute.Node, output int) *storage {
	for i, in := range n.Inputs {
		s := c.in(in)
		if s == nil || !s.arena || // nil: columns of another tensor, see sliceInPlace
			s.last != c.step || s.first == c.step || !worksInPlace(n, i, output) {
			continue
		}
		// Another output, or the same operand twice in an operator that is
		// not elementwise, would meet in the same memory.
		free := true
		for _, out := range n.Outputs[:output] {
			free = free && c.storage[out] != s
		}
		for j, other := range n.Inputs {
			free = free && (j == i || c.in(other) != s || operatorOf(n.Op).over.elementwise() && worksInPlace(n, j, output))
		}
		if free {
			return s
		}
	}
	return nil
}

// sum says how an output is written: in place of what is there, or added to the
// variable where it lies.
type sum struct{ array *array }

func (c *compiler) sumOf(t *compute.Tensor) sum {
	if p := c.placed[t]; p.add {
		return sum{p.array}
	}
	return sum{}
}

// adds tells whether the step that asks adds its output, and not only writes
// it. A step asks once in a run.
func (s sum) adds() bool {
	if s.array == nil {
		return false
	}
	if s.array.zero {
		s.array.zero = false
		return false
	}
	return true
}

// needed tells whether anyone reads an output.
func (c *compiler) needed(t *compute.Tensor) bool {
	_, isPlaced := c.placed[t]
	return isPlaced || c.uses[t].last(len(c.nodes)) >= 0
}

// temporary returns arena memory for the node being lowered alone.
func (c *compiler) temporary(size int) *storage {
	s := &storage{size: size, arena: true, first: c.step, last: c.step}
	c.x.arena = append(c.x.arena, s)
	return s
}

// needScratch makes sure that each worker has that many floats of scratch.
func (c *compiler) needScratch(size int) { c.scratch = max(c.scratch, size) }

// emit appends a step that runs jobs one after the other.
func (c *compiler) emit(n *compute.Node, jobs ...*job) {
	pool := c.pool
	if len(jobs) == 1 {
		j := jobs[0]
		c.emitFunc(n, func() { pool.do(j) })
		return
	}
	c.emitFunc(n, func() {
		for _, j := range jobs {
			pool.do(j)
		}
	})
}

func (c *compiler) emitFunc(n *compute.Node, run func()) {
	c.x.steps = append(c.x.steps, step{n.Op.Kind(), n.Op.FLOPs(n), run})
}

// check appends a check of the inputs, whose error will name the operator.
func (c *compiler) check(n *compute.Node, check func() error) {
	kind, id := n.Op.Kind(), n.ID
	c.x.checks = append(c.x.checks, func() error {
		if err := check(); err != nil {
			return fmt.Errorf("operator %s (node %d): %w", kind, id, err)
		}
		return nil
	})
}

// accumulate adds a value to its variable after the step that computes it.
func (c *compiler) accumulate(n *compute.Node, u compute.Update) {
	a, s := c.arrays[u.Variable], c.in(u.Value)
	add, set := c.addTo(a, s), c.copyTo(c.in(u.Variable), s)
	c.x.steps = append(c.x.steps, step{"accumulate", int64(u.Value.Shape.Size()), func() {
		if (sum{a}).adds() {
			add()
		} else {
			set()
		}
	}})
}

// finish appends what happens after the last step: outputs are copied, then
// variables change. All values were computed before the first update; a value
// that is itself an updated variable is set aside first.
func (c *compiler) finish() {
	for _, out := range c.outputs {
		s := c.in(out.Tensor)
		if out.Tensor.DType == compute.Int32 {
			buffer := c.x.ints[out.Name]
			c.x.copies = append(c.x.copies, func() { copy(buffer, s.i) })
		} else {
			buffer := c.x.floats[out.Name]
			c.x.copies = append(c.x.copies, c.copyTo(&storage{f: buffer, size: s.size}, s))
		}
	}
	updated := map[*array]bool{}
	for _, u := range c.deferred {
		updated[c.arrays[u.Variable]] = true
	}
	aside := make([]*storage, len(c.deferred))
	for i, u := range c.deferred {
		s := c.in(u.Value)
		if s.array != nil && updated[s.array] {
			copied := &storage{size: s.size, arena: true, first: len(c.nodes), last: len(c.nodes)}
			c.x.arena = append(c.x.arena, copied)
			c.x.updates = append(c.x.updates, c.copyTo(copied, s))
			s = copied
		}
		aside[i] = s
	}
	for i, u := range c.deferred {
		a := c.arrays[u.Variable]
		if u.Add {
			c.x.updates = append(c.x.updates, c.addTo(a, aside[i]))
		} else {
			c.x.updates = append(c.x.updates, c.copyTo(c.in(u.Variable), aside[i]))
		}
	}
}
