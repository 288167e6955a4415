package cpu

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
)

// use tells who reads a root tensor, through itself or its reshaped forms.
type use struct {
	steps []int // in rising order; one entry for each reading input
	end   bool  // an output or a deferred update reads it after the last step
}

// last is the last step that reads the tensor, at the latest len(nodes).
func (u *use) last(nodes int) int {
	switch {
	case u == nil:
		return -1
	case u.end:
		return nodes
	case len(u.steps) == 0:
		return -1
	}
	return u.steps[len(u.steps)-1]
}

// placement says that a tensor is computed in the memory of a variable.
type placement struct {
	array *array
	add   bool // added to what is there
}

// findUses lists the readers of every root tensor.
func (c *compiler) findUses(p *compute.Program) {
	for i := range c.readers {
		c.readers[i] = -1
	}
	for i, n := range c.nodes {
		c.readers[n.ID] = i
		if _, ok := n.Op.(compute.ReshapeOp); ok {
			continue
		}
		for _, in := range n.Inputs {
			u := c.useOf(in)
			u.steps = append(u.steps, i)
		}
	}
	for _, out := range p.Outputs {
		c.useOf(out.Tensor).end = true
	}
	// A variable that becomes another variable's value is read at the end.
	for _, u := range p.Updates {
		if t := root(u.Value); c.arrays[t] != nil {
			c.useOf(t).end = true
		}
	}
}

func (c *compiler) useOf(t *compute.Tensor) *use {
	t = root(t)
	u := c.uses[t]
	if u == nil {
		u = &use{}
		c.uses[t] = u
	}
	return u
}

// placeUpdates decides for every update whether its value is computed in the
// variable's memory, added to it right after it is computed, or copied when
// the run ends.
func (c *compiler) placeUpdates(updates []compute.Update) {
	count := map[*array]int{} // updates of a variable
	onlyAdds := map[*array]bool{}
	for _, u := range updates {
		a := c.arrays[u.Variable]
		if count[a] == 0 {
			onlyAdds[a] = true
			c.x.written = append(c.x.written, a)
		}
		count[a]++
		c.updated[a] = true
		onlyAdds[a] = onlyAdds[a] && u.Add
		c.values[root(u.Value)]++
	}
	for _, u := range updates {
		a := c.arrays[u.Variable]
		switch {
		case c.values[root(u.Value)] > 1 || c.arrays[root(u.Value)] != nil:
			c.deferUpdate(u)
		case onlyAdds[a]:
			c.placeAdd(u)
		case count[a] == 1 && c.replaceable(u):
			c.placed[root(u.Value)] = placement{a, false}
			if _, clears := c.cleared(root(u.Value)); !clears {
				c.replaced[a] = true
			}
		default:
			c.deferUpdate(u)
		}
	}
}

// findSettled lists the arrays whose memory must hold their numbers when the run
// begins: all but those that steps only add to or clear.
func (c *compiler) findSettled(p *compute.Program) {
	for _, v := range p.Variables {
		a := c.arrays[v.Tensor]
		if c.replaced[a] || c.uses[v.Tensor].last(len(c.nodes)) >= 0 {
			c.x.settled = append(c.x.settled, a)
		}
	}
}

// cleared returns the array that a tensor of zeros replaces, if that is all it
// is for.
func (c *compiler) cleared(t *compute.Tensor) (*array, bool) {
	fill, ok := t.Node.Op.(compute.FillOp)
	at, isPlaced := c.placed[t]
	return at.array, ok && isPlaced && fill.Value == 0 && !at.add && c.uses[t].last(len(c.nodes)) < 0
}

func (c *compiler) deferUpdate(u compute.Update) {
	c.useOf(u.Value).end = true
	c.replaced[c.arrays[u.Variable]] = true
	c.deferred = append(c.deferred, u)
}

// replaceable tells whether the value may be computed in its variable: nobody
// reads the old value later, nor at the same time, unless the operator works
// in place.
func (c *compiler) replaceable(u compute.Update) bool {
	value := root(u.Value)
	if operatorOf(value.Node.Op).traits.has(given) {
		return false
	}
	at := c.readers[value.Node.ID]
	last := c.useOf(u.Variable).last(len(c.nodes))
	if last < at {
		return true
	}
	if last > at {
		return false
	}
	reading := 0
	for i, in := range value.Node.Inputs {
		if root(in) == u.Variable {
			if !worksInPlace(value.Node, i, value.Index) {
				return false
			}
			reading++
		}
	}
	return reading == 1 || operatorOf(value.Node.Op).over.elementwise()
}

// placeAdd adds a value to its variable as early as it can. The parts of a sum
// that serves only this are added one after the other, so that each operator
// can add to the variable itself.
func (c *compiler) placeAdd(u compute.Update) {
	value := root(u.Value)
	at := c.readers[value.Node.ID]
	if c.useOf(u.Variable).last(len(c.nodes)) >= at {
		c.deferUpdate(u)
		return
	}
	single := c.uses[value] == nil || len(c.uses[value].steps) == 0 && !c.uses[value].end
	if single && operatorOf(value.Node.Op).adds.output(value.Index) {
		c.placed[value] = placement{c.arrays[u.Variable], true}
		return
	}
	if op, ok := value.Node.Op.(compute.BinaryOp); ok && single && op.Function == compute.BinaryAdd &&
		c.onlyRead(value.Node.Inputs[0], at) && c.onlyRead(value.Node.Inputs[1], at) &&
		value.Node.Inputs[0].Shape.Equal(value.Shape) && value.Node.Inputs[1].Shape.Equal(value.Shape) {
		for _, in := range value.Node.Inputs {
			c.uses[root(in)].steps = nil
		}
		c.readers[value.Node.ID] = -1 // not computed
		for _, in := range value.Node.Inputs {
			c.placeAdd(compute.Update{Variable: u.Variable, Value: in, Add: true})
		}
		return
	}
	c.adds[at] = append(c.adds[at], u)
}

// onlyRead tells whether a computed tensor is read once, by the given step.
func (c *compiler) onlyRead(t *compute.Tensor, step int) bool {
	r := root(t)
	if operatorOf(r.Node.Op).traits.has(given) {
		return false
	}
	u := c.uses[r]
	return c.values[r] == 0 && !u.end && len(u.steps) == 1 && u.steps[0] == step
}

// worksInPlace tells whether an output may be computed in the memory of an
// input.
func worksInPlace(n *compute.Node, input, output int) bool {
	return n.Inputs[input].DType == compute.Float32 && n.Inputs[input].Shape.Size() == n.Outputs[output].Shape.Size() &&
		operatorOf(n.Op).over.allows(output, input)
}

// bufferOutputs makes the host buffers. A tensor that a step computes for one
// output is computed there; the others are copied when the run ends.
func (c *compiler) bufferOutputs(p *compute.Program) error {
	for _, out := range p.Outputs {
		_, f := c.x.floats[out.Name]
		_, i := c.x.ints[out.Name]
		if f || i {
			return fmt.Errorf("%q is the name of an input and of an output; rename one", out.Name)
		}
		size := out.Tensor.Shape.Size()
		t := root(out.Tensor)
		if out.Tensor.DType == compute.Int32 {
			buffer := make([]int32, size)
			c.x.ints[out.Name] = buffer
			c.outputs = append(c.outputs, out)
			continue
		}
		buffer := aligned(size)
		c.x.floats[out.Name] = buffer
		source := operatorOf(t.Node.Op).traits.has(given)
		_, isPlaced := c.placed[t]
		if !source && !isPlaced && c.storage[t] == nil {
			c.storage[t] = &storage{f: buffer, size: size}
			continue
		}
		c.outputs = append(c.outputs, out)
	}
	return nil
}
