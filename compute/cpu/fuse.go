package cpu

import "github.com/seed-b72bdb6c/alma/compute"

// epilogue is an elementwise operator on a product, which is applied to each
// part of the product while it is in the cache. It computes what the operator
// computes by itself, to the last bit.
type epilogue struct {
	node   *compute.Node
	apply  func(lo, hi int) // elements of the product
	beside *storage         // another operand, or nil
}

// fuse finds an operator to apply to the product y of the node being lowered,
// and decides where its outputs lie; false if there is none. What only that
// operator reads is not stored on its own: the product is computed in the
// operator's first output.
func (c *compiler) fuse(y *compute.Tensor) (epilogue, bool) {
	u := c.uses[y]
	if u == nil || c.storage[y] != nil {
		return epilogue{}, false
	}
	if _, isPlaced := c.placed[y]; isPlaced || c.values[y] > 0 {
		return epilogue{}, false
	}
	for _, step := range u.steps {
		if n := c.nodes[step]; c.fusable(n, y, step) {
			outs := make([]*storage, len(n.Outputs))
			for i := range outs {
				outs[i] = c.out(n, i)
			}
			if len(u.steps) == 1 && !u.end {
				c.storage[y] = outs[0]
			}
			product := c.out(y.Node, y.Index)
			c.fused[n] = true
			after := epilogue{node: n, apply: c.epilogueOf(n, y, product, outs)}
			for _, in := range n.Inputs {
				if root(in) != y {
					after.beside = c.in(in)
					break
				}
			}
			return after, true
		}
	}
	return epilogue{}, false
}

// fusable tells whether a node can run as soon as its input y is there.
func (c *compiler) fusable(n *compute.Node, y *compute.Tensor, step int) bool {
	if o, ok := n.Op.(compute.BinaryOp); ok && o.Function != compute.BinaryAdd || operatorOf(n.Op).part == nil || c.sumsForOptimizer(n) {
		return false
	}
	if c.readers[n.ID] < 0 || len(c.adds[step]) > 0 || c.fused[n] {
		return false
	}
	reads := 0
	for _, in := range n.Inputs {
		if in.Shape.Size() != y.Shape.Size() {
			return false
		}
		if root(in) == y {
			reads++
			continue
		}
		if at := c.readers[root(in).Node.ID]; at >= c.step || c.storage[root(in)] == nil {
			return false
		}
	}
	for _, out := range n.Outputs {
		if _, isPlaced := c.placed[out]; isPlaced || out.Shape.Size() != y.Shape.Size() {
			return false
		}
	}
	return reads == 1
}

// epilogueOf applies a fusable node to a part of the product.
func (c *compiler) epilogueOf(n *compute.Node, y *compute.Tensor, product *storage, outs []*storage) func(lo, hi int) {
	in := make([]*storage, len(n.Inputs))
	for i, t := range n.Inputs {
		if in[i] = c.in(t); root(t) == y {
			in[i] = product
		}
	}
	return operatorOf(n.Op).part(n.Op, in, outs)
}
