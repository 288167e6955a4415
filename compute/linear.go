package compute

// LinearOp is y = x·W (+ bias) over the last dimension of x.
//
// W is [K, N], the layout of GPT-2's Conv1D, or with OutIn [N, K], the layout
// of torch.nn.Linear; weights stay in the layout of the checkpoint.
type LinearOp struct {
	OutIn bool
	Bias  bool
}

// Linear multiplies x [..., K] by w and adds bias [N] unless it is nil.
// The result is [..., N]. See [LinearOp] for outIn.
func Linear(x, w, bias *Tensor, outIn bool) *Tensor {
	if bias == nil {
		return apply(LinearOp{outIn, false}, x, w)[0]
	}
	return apply(LinearOp{outIn, true}, x, w, bias)[0]
}

func (LinearOp) Kind() string { return "linear" }

func (o LinearOp) Infer(in []Type) []Type {
	wantFloats("linear", in)
	x, w := in[0].Shape, in[1].Shape
	if len(x) < 1 || len(w) != 2 {
		badShape("linear", "x [..., K] and w of two dimensions", in)
	}
	k, n := w[0], w[1]
	if o.OutIn {
		k, n = n, k
	}
	if x.Last() != k || (o.Bias && !in[2].Shape.Equal(Shape{n})) {
		badShape("linear", "x [..., K], w [K, N] (or [N, K] with OutIn) and bias [N]", in)
	}
	return []Type{{Float32, append(append(Shape{}, x[:len(x)-1]...), n)}}
}

// dX = dY·Wᵀ, dW = Xᵀ·dY, db = Σ rows of dY.
func (o LinearOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	x, w, dy := n.Inputs[0], n.Inputs[1], dOut[0]
	grads := []*Tensor{
		Linear(dy, w, nil, !o.OutIn),
		apply(LinearWeightGradOp{o.OutIn}, x, dy)[0],
	}
	if o.Bias {
		grads = append(grads, apply(SumRowsOp{}, dy)[0])
	}
	return grads
}

func (LinearOp) FLOPs(n *Node) int64 {
	return 2 * int64(n.Inputs[0].Shape.Size()) * int64(n.Outputs[0].Shape.Last())
}

// LinearWeightGradOp is dW = Xᵀ·dY [K, N], or dYᵀ·X [N, K] with OutIn, summed
// over all rows. The sum runs over each innermost sequence (the dimension
// before the last) in order, then over the sequences in order, so that it does
// not depend on how many sequences a micro-batch holds when it is accumulated.
type LinearWeightGradOp struct{ OutIn bool }

func (LinearWeightGradOp) Kind() string { return "linear.weight_grad" }

func (o LinearWeightGradOp) Infer(in []Type) []Type {
	x, dy := in[0].Shape, in[1].Shape
	if x.Rows() != dy.Rows() {
		badShape("linear.weight_grad", "x and dy with equal rows", in)
	}
	if o.OutIn {
		return []Type{{Float32, Shape{dy.Last(), x.Last()}}}
	}
	return []Type{{Float32, Shape{x.Last(), dy.Last()}}}
}

func (o LinearWeightGradOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }

func (LinearWeightGradOp) FLOPs(n *Node) int64 {
	return 2 * int64(n.Inputs[0].Shape.Size()) * int64(n.Inputs[1].Shape.Last())
}

// SumRowsOp adds up the rows of x [..., N], in order, to [N].
type SumRowsOp struct{}

func (SumRowsOp) Kind() string { return "sum_rows" }
func (SumRowsOp) Infer(in []Type) []Type {
	return []Type{{Float32, Shape{in[0].Shape.Last()}}}
}
func (o SumRowsOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (SumRowsOp) FLOPs(n *Node) int64                   { return int64(n.Inputs[0].Shape.Size()) }
