package compute

// LayerNormOp is y = (x − mean)·rstd·γ + β over the last dimension, with
// rstd = 1/√(var + ε) and the biased variance (Ba, Kiros and Hinton 2016).
// Outputs: y, mean and rstd per row.
type LayerNormOp struct{ Epsilon float32 }

// LayerNorm normalises x [..., D] with gamma and beta [D].
func LayerNorm(x, gamma, beta *Tensor, epsilon float32) *Tensor {
	return apply(LayerNormOp{epsilon}, x, gamma, beta)[0]
}

func (LayerNormOp) Kind() string { return "layer_norm" }

func (LayerNormOp) Infer(in []Type) []Type {
	wantFloats("layer_norm", in)
	x := in[0].Shape
	if len(x) < 1 || !in[1].Shape.Equal(Shape{x.Last()}) || !in[2].Shape.Equal(Shape{x.Last()}) {
		badShape("layer_norm", "x [..., D], gamma [D], beta [D]", in)
	}
	rows := Type{Float32, Shape{x.Rows()}}
	return []Type{in[0], rows, rows}
}

func (LayerNormOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	return apply(LayerNormGradOp{}, n.Inputs[0], n.Inputs[1], n.Outputs[1], n.Outputs[2], dOut[0])
}

func (LayerNormOp) FLOPs(n *Node) int64 { return 8 * elements(n) }

// LayerNormGradOp takes x, gamma, mean, rstd, dy and gives dx, dgamma, dbeta.
type LayerNormGradOp struct{}

func (LayerNormGradOp) Kind() string { return "layer_norm.grad" }
func (LayerNormGradOp) Infer(in []Type) []Type {
	return []Type{in[0], in[1], in[1]}
}
func (o LayerNormGradOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (LayerNormGradOp) FLOPs(n *Node) int64                   { return 12 * elements(n) }

// RMSNormOp is y = x·rstd·γ over the last dimension, with
// rstd = 1/√(mean(x²) + ε) (Zhang and Sennrich 2019). Outputs: y and rstd per
// row.
type RMSNormOp struct{ Epsilon float32 }

// RMSNorm normalises x [..., D] with gamma [D].
func RMSNorm(x, gamma *Tensor, epsilon float32) *Tensor {
	return apply(RMSNormOp{epsilon}, x, gamma)[0]
}

func (RMSNormOp) Kind() string { return "rms_norm" }

func (RMSNormOp) Infer(in []Type) []Type {
	wantFloats("rms_norm", in)
	x := in[0].Shape
	if len(x) < 1 || !in[1].Shape.Equal(Shape{x.Last()}) {
		badShape("rms_norm", "x [..., D] and gamma [D]", in)
	}
	return []Type{in[0], {Float32, Shape{x.Rows()}}}
}

func (RMSNormOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	return apply(RMSNormGradOp{}, n.Inputs[0], n.Inputs[1], n.Outputs[1], dOut[0])
}

func (RMSNormOp) FLOPs(n *Node) int64 { return 4 * elements(n) }

// RMSNormGradOp takes x, gamma, rstd, dy and gives dx and dgamma.
type RMSNormGradOp struct{}

func (RMSNormGradOp) Kind() string { return "rms_norm.grad" }
func (RMSNormGradOp) Infer(in []Type) []Type {
	return []Type{in[0], in[1]}
}
func (o RMSNormGradOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (RMSNormGradOp) FLOPs(n *Node) int64                   { return 8 * elements(n) }
