package compute

// GELUOp is x·Φ(x) (Hendrycks and Gimpel 2016): with Exact through erf, else
// in the tanh form of GPT-2 ("gelu_new").
type GELUOp struct{ Exact bool }

// GELU applies the activation to every element.
func GELU(x *Tensor, exact bool) *Tensor { return apply(GELUOp{exact}, x)[0] }

func (GELUOp) Kind() string           { return "gelu" }
func (GELUOp) Infer(in []Type) []Type { wantFloats("gelu", in); return []Type{in[0]} }
func (o GELUOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	return apply(GELUGradOp{o.Exact}, n.Inputs[0], dOut[0])
}
func (GELUOp) FLOPs(n *Node) int64 { return 8 * elements(n) }

// GELUGradOp takes x and dy and gives dx.
type GELUGradOp struct{ Exact bool }

func (GELUGradOp) Kind() string                          { return "gelu.grad" }
func (GELUGradOp) Infer(in []Type) []Type                { return []Type{in[0]} }
func (o GELUGradOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (GELUGradOp) FLOPs(n *Node) int64                   { return 12 * elements(n) }

// SwiGLUOp is silu(gate)·up with silu(x) = x·σ(x) (Shazeer 2020).
type SwiGLUOp struct{}

// SwiGLU combines gate and up, of equal shape.
func SwiGLU(gate, up *Tensor) *Tensor { return apply(SwiGLUOp{}, gate, up)[0] }

func (SwiGLUOp) Kind() string { return "swiglu" }
func (SwiGLUOp) Infer(in []Type) []Type {
	wantFloats("swiglu", in)
	if !in[0].Shape.Equal(in[1].Shape) {
		badShape("swiglu", "gate and up of equal shape", in)
	}
	return []Type{in[0]}
}
func (SwiGLUOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	return apply(SwiGLUGradOp{}, n.Inputs[0], n.Inputs[1], dOut[0])
}
func (SwiGLUOp) FLOPs(n *Node) int64 { return 6 * elements(n) }

// SwiGLUGradOp takes gate, up and dy and gives dgate and dup.
type SwiGLUGradOp struct{}

func (SwiGLUGradOp) Kind() string                          { return "swiglu.grad" }
func (SwiGLUGradOp) Infer(in []Type) []Type                { return []Type{in[0], in[1]} }
func (o SwiGLUGradOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (SwiGLUGradOp) FLOPs(n *Node) int64                   { return 12 * elements(n) }
