package compute

import (
	"fmt"
	"slices"
)

// Gradient extends the Program with the backward pass (reverse-mode
// differentiation) and returns the gradient of the scalar loss by each of the
// given tensors, in their shapes. A tensor that does not reach the loss has
// the gradient zero.
//
// With [Program.Recompute] only what a layer begins with is kept for the
// backward pass, and the layer is computed once more when its turn comes (Chen
// et al. 2016). The last layer is not: its turn comes at once.
func Gradient(loss *Tensor, wrt ...*Tensor) []*Tensor {
	if len(loss.Shape) != 0 {
		panic(fmt.Sprintf("compute: Gradient wants a scalar loss, got shape %v", loss.Shape))
	}
	p := loss.Node.program
	forward := p.Nodes[:loss.Node.ID+1]

	// Only nodes between wrt and loss need gradients.
	needs := make([]bool, len(forward))
	for _, t := range wrt {
		if t.Node.ID < len(forward) {
			needs[t.Node.ID] = true
		}
	}
	for i, n := range forward {
		for _, in := range n.Inputs {
			if needs[in.Node.ID] {
				needs[i] = true
			}
		}
	}

	var again *recomputation
	if p.Recompute {
		again = newRecomputation(p)
	}
	grads := make(map[*Tensor]*Tensor)
	cuts := make(map[*Tensor][]sliceGradient)
	add := func(in, d *Tensor) {
		if sum := grads[in]; sum != nil {
			d = Add(sum, d)
		}
		grads[in] = d
	}
	// gradient is that by a tensor all of whose readers were visited.
	gradient := func(t *Tensor) *Tensor {
		for _, d := range joined(cuts[t]) {
			add(t, d)
		}
		delete(cuts, t)
		return grads[t]
	}
	grads[loss] = Constant(p, 1)
	for i := len(forward) - 1; i >= 0; i-- {
		n := forward[i]
		if !needs[i] || len(n.Inputs) == 0 {
			continue
		}
		dOut := make([]*Tensor, len(n.Outputs))
		reached := false
		for j, out := range n.Outputs {
			dOut[j] = gradient(out)
			reached = reached || dOut[j] != nil
		}
		if !reached {
			continue
		}
		if _, ok := n.Op.(SliceOp); ok {
			in := n.Inputs[0]
			cuts[in] = append(cuts[in], sliceGradient{n, dOut[0]})
			continue
		}
		for j, d := range n.Op.Gradient(again.node(n), dOut) {
			in := n.Inputs[j]
			if d == nil || !needs[in.Node.ID] {
				continue
			}
			if !d.Shape.Equal(in.Shape) {
				panic(fmt.Sprintf("compute: gradient rule of %s gives shape %v for input %d of shape %v", n.Op.Kind(), d.Shape, j, in.Shape))
			}
			add(in, d)
		}
	}
	out := make([]*Tensor, len(wrt))
	for i, t := range wrt {
		if out[i] = gradient(t); out[i] == nil {
			out[i] = Fill(p, 0, t.Shape...)
		}
	}
	return out
}

// sliceGradient is the gradient of the loss by what a SliceOp cut.
type sliceGradient struct {
	slice *Node
	d     *Tensor
}

// joined returns gradients by the tensor that slices were cut from, which add
// up to its gradient: one, if they follow each other from the beginning to the
// end of a dimension, else one for each slice, with zeros around it.
func joined(parts []sliceGradient) []*Tensor {
	if len(parts) == 0 {
		return nil
	}
	of := func(p sliceGradient) SliceOp { return p.slice.Op.(SliceOp) }
	ordered := slices.SortedFunc(slices.Values(parts), func(a, b sliceGradient) int { return of(a).Start - of(b).Start })
	axis, end := of(ordered[0]).Axis, 0
	var cut []*Tensor
	for _, p := range ordered {
		if of(p).Axis != axis || of(p).Start != end {
			end = -1
			break
		}
		end = of(p).End
		cut = append(cut, p.d)
	}
	if end == parts[0].slice.Inputs[0].Shape[axis] {
		if len(cut) == 1 {
			return cut
		}
		return []*Tensor{Concat(axis, cut...)}
	}
	var padded []*Tensor
	for _, p := range parts {
		padded = append(padded, of(p).Gradient(p.slice, []*Tensor{p.d})...)
	}
	return padded
}

// noGradient panics: the operator belongs to a backward pass or to decoding
// and has no gradient rule of its own.
func noGradient(op Op) []*Tensor {
	panic(fmt.Sprintf("compute: operator %s has no gradient", op.Kind()))
}
