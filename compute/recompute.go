package compute

// recomputation makes, for the backward pass, second copies of the nodes within
// layers. A nil one makes none.
type recomputation struct {
	program *Program
	starts  []int // IDs of the nodes that layers begin with
	copies  map[*Node]*Node
}

func newRecomputation(p *Program) *recomputation {
	r := &recomputation{program: p, copies: map[*Node]*Node{}}
	for _, x := range p.layers {
		r.starts = append(r.starts, x.Node.ID)
	}
	return r
}

// node returns the copy of a node that lies within a layer, and any other node
// itself. The layer's nodes are all copied when the first of them is asked
// for: after what the layers behind it put into the backward pass.
func (r *recomputation) node(n *Node) *Node {
	if r == nil {
		return n
	}
	for i := 0; i+1 < len(r.starts); i++ {
		start, end := r.starts[i], r.starts[i+1]
		if n.ID <= start || n.ID > end {
			continue
		}
		if r.copies[n] == nil {
			for _, m := range r.program.Nodes[start+1 : end+1] {
				r.copy(m)
			}
		}
		return r.copies[n]
	}
	return n
}

func (r *recomputation) copy(n *Node) {
	if _, ok := n.Op.(Source); ok {
		r.copies[n] = n
		return
	}
	inputs := make([]*Tensor, len(n.Inputs))
	for i, in := range n.Inputs {
		inputs[i] = in
		if c := r.copies[in.Node]; c != nil {
			inputs[i] = c.Outputs[in.Index]
		}
	}
	outputs := r.program.node(n.Op, inputs...)
	outputs[0].Node.again = true
	r.copies[n] = outputs[0].Node
}
