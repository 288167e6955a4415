package compute

// RoPEOp rotates pairs of a head's dimensions by an angle that grows with the
// position (Su et al. 2021, eq. 34), in the half-split order of Llama:
// dimensions i and i+Dh/2 form a pair, rotated by position·Frequencies[i].
type RoPEOp struct {
	Frequencies []float64 // radians per position, one for each pair: Dh/2
	Inverse     bool      // rotate backwards: the gradient of the rotation
}

// RoPE rotates x [..., H, Dh]; positions holds one number for each row of H
// heads and has the leading dimensions of x. Positions count from 0; a negative
// one is an error of the run.
func RoPE(x, positions *Tensor, frequencies []float64) *Tensor {
	return apply(RoPEOp{frequencies, false}, x, positions)[0]
}

func (RoPEOp) Kind() string { return "rope" }

func (o RoPEOp) Infer(in []Type) []Type {
	wantFloats("rope", in[:1])
	x := in[0].Shape
	if len(x) < 2 || x.Last() != 2*len(o.Frequencies) || in[1].DType != Int32 || !in[1].Shape.Equal(x[:len(x)-2]) {
		badShape("rope", "x [..., H, Dh] with Dh twice the frequencies and positions i32 [...]", in)
	}
	return []Type{in[0]}
}

func (o RoPEOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	return []*Tensor{apply(RoPEOp{o.Frequencies, !o.Inverse}, dOut[0], n.Inputs[1])[0], nil}
}

func (RoPEOp) FLOPs(n *Node) int64 { return 3 * elements(n) }
