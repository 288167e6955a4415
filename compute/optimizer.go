package compute

// GlobalNormOp is √Σ‖x‖² over all of its inputs, summed in double precision in
// fixed blocks, in the order of the inputs.
type GlobalNormOp struct{}

// GlobalNorm returns the Euclidean norm of all tensors taken together, a
// scalar. It is not finite when any element is not.
func GlobalNorm(tensors ...*Tensor) *Tensor { return apply(GlobalNormOp{}, tensors...)[0] }

func (GlobalNormOp) Kind() string { return "global_norm" }
func (GlobalNormOp) Infer(in []Type) []Type {
	wantFloats("global_norm", in)
	return []Type{{Float32, nil}}
}
func (o GlobalNormOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (GlobalNormOp) FLOPs(n *Node) int64 {
	var total int64
	for _, t := range n.Inputs {
		total += 2 * int64(t.Shape.Size())
	}
	return total
}

// AdamWOp is one step of Adam with decoupled weight decay (Loshchilov and
// Hutter 2019, algorithm 2), in PyTorch's form:
//
//	g ← scale·g
//	w ← w − lr·Decay·w
//	m ← β₁m + (1−β₁)g
//	v ← β₂v + (1−β₂)g²
//	w ← w − lr/c₁ · m / (√v/√c₂ + ε)
//
// where c₁ = 1−β₁ᵗ and c₂ = 1−β₂ᵗ.
type AdamWOp struct{ Beta1, Beta2, Epsilon, Decay float32 }

// AdamW updates the variables weight, m and v, of equal shape, from the
// gradient. lr, scale (the clipping factor), c1 and c2 are scalars.
func AdamW(weight, gradient, m, v, lr, scale, c1, c2 *Tensor, op AdamWOp) {
	out := apply(op, weight, gradient, m, v, lr, scale, c1, c2)
	p := weight.Node.program
	p.Update(weight, out[0])
	p.Update(m, out[1])
	p.Update(v, out[2])
}

func (AdamWOp) Kind() string { return "adamw" }

func (AdamWOp) Infer(in []Type) []Type {
	wantFloats("adamw", in)
	ok := true
	for i, t := range in {
		if i < 4 {
			ok = ok && t.Shape.Equal(in[0].Shape)
		} else {
			ok = ok && len(t.Shape) == 0
		}
	}
	if !ok {
		badShape("adamw", "weight, gradient, m and v of equal shape and four scalars", in)
	}
	return []Type{in[0], in[2], in[3]}
}

func (o AdamWOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (AdamWOp) FLOPs(n *Node) int64                   { return 14 * elements(n) }
