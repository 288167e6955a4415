package compute

// IgnoreTarget marks a position that has no loss, as in PyTorch's
// cross_entropy.
const IgnoreTarget = -100

// LinearCrossEntropyOp is −log softmax(hidden·W (+ bias))[target] for each row. It
// is one operator so that the logits [N, V] need not exist as a whole.
// W is [V, D] with OutIn (a tied embedding, torch's Linear), else [D, V].
// Outputs: the losses [N] (0 where the target is negative) and the
// log-sum-exp of each row's logits [N].
type LinearCrossEntropyOp struct {
	OutIn bool
	Bias  bool
}

// LinearCrossEntropy takes hidden [N, D] and targets i32 [N], or [..., T] for N
// rows in sequences of T (see [HeadBlock]), and gives the loss of each row [N]
// in nats. A negative target ([IgnoreTarget]) has no loss
// and no gradient.
func LinearCrossEntropy(hidden, w, targets *Tensor, outIn bool) *Tensor {
	return apply(LinearCrossEntropyOp{outIn, false}, hidden, w, targets)[0]
}

// BiasedCrossEntropy is [LinearCrossEntropy] with a bias [V] added to the
// logits, as the head of a masked language model has.
func BiasedCrossEntropy(hidden, w, bias, targets *Tensor, outIn bool) *Tensor {
	return apply(LinearCrossEntropyOp{outIn, true}, hidden, w, targets, bias)[0]
}

func (LinearCrossEntropyOp) Kind() string { return "linear_cross_entropy" }

func (o LinearCrossEntropyOp) Infer(in []Type) []Type {
	rows := vocabularyRows("linear_cross_entropy", o.OutIn, in)
	if o.Bias && (in[3].DType != Float32 || !in[3].Shape.Equal(Shape{in[1].Shape.Size() / in[0].Shape[1]})) {
		badShape("linear_cross_entropy", "a bias [V]", in)
	}
	return []Type{rows, rows}
}

func (o LinearCrossEntropyOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	if dOut[1] != nil {
		return noGradient(o)
	}
	inputs := []*Tensor{n.Inputs[0], n.Inputs[1], n.Inputs[2], n.Outputs[1], dOut[0]}
	if !o.Bias {
		g := apply(LinearCrossEntropyGradOp(o), inputs...)
		return []*Tensor{g[0], g[1], nil}
	}
	g := apply(LinearCrossEntropyGradOp(o), append(inputs, n.Inputs[3])...)
	return []*Tensor{g[0], g[1], nil, g[2]}
}

func (o LinearCrossEntropyOp) FLOPs(n *Node) int64 { return headFLOPs(n) }

// LinearCrossEntropyGradOp takes hidden, w, targets, lse and the gradient by
// each loss [N] (and the bias), and gives dhidden and dw (and dbias). An engine
// may compute the logits again or have kept them. The sum over rows in dw runs in order, block by block,
// that in dbias row by row.
type LinearCrossEntropyGradOp LinearCrossEntropyOp

// HeadBlock is the most rows of a block in the sum over rows of dw, for which an
// engine need hold logits at one time. No block holds rows of two sequences: so the
// sum does not depend on how many sequences a micro-batch has when it is accumulated.
const HeadBlock = 256

func (LinearCrossEntropyGradOp) Kind() string { return "linear_cross_entropy.grad" }
func (o LinearCrossEntropyGradOp) Infer(in []Type) []Type {
	if o.Bias {
		return []Type{in[0], in[1], in[5]}
	}
	return []Type{in[0], in[1]}
}
func (o LinearCrossEntropyGradOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (LinearCrossEntropyGradOp) FLOPs(n *Node) int64                   { return 2 * headFLOPs(n) }

// TokenLogProbOp gives log softmax(hidden·W/Temperature)[token] of each row
// and the entropy of that distribution, without holding [N, V].
// Outputs: log-probabilities [N], entropies [N], log-sum-exps [N]; a negative
// token gives zeros in the first two.
type TokenLogProbOp struct {
	OutIn       bool
	Temperature float32
}

// TokenLogProb takes hidden [N, D] and tokens i32 [N], or [..., T] for N rows in
// sequences of T (see [HeadBlock]), and gives [N]. The log-probability is
// differentiable, the entropy is a measurement. The temperature is the one
// that the tokens were sampled at.
func TokenLogProb(hidden, w, tokens *Tensor, outIn bool, temperature float32) (logProb, entropy *Tensor) {
	out := apply(TokenLogProbOp{outIn, temperature}, hidden, w, tokens)
	return out[0], out[1]
}

func (TokenLogProbOp) Kind() string { return "token_log_prob" }

func (o TokenLogProbOp) Infer(in []Type) []Type {
	rows := vocabularyRows("token_log_prob", o.OutIn, in)
	return []Type{rows, rows, rows}
}

func (o TokenLogProbOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	if dOut[1] != nil || dOut[2] != nil {
		return noGradient(o)
	}
	g := apply(TokenLogProbGradOp(o), n.Inputs[0], n.Inputs[1], n.Inputs[2], n.Outputs[2], dOut[0])
	return []*Tensor{g[0], g[1], nil}
}

func (o TokenLogProbOp) FLOPs(n *Node) int64 { return headFLOPs(n) }

// TokenLogProbGradOp takes hidden, w, tokens, lse and the gradient by each
// log-probability [N], and gives dhidden and dw.
type TokenLogProbGradOp TokenLogProbOp

func (TokenLogProbGradOp) Kind() string                          { return "token_log_prob.grad" }
func (TokenLogProbGradOp) Infer(in []Type) []Type                { return []Type{in[0], in[1]} }
func (o TokenLogProbGradOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (TokenLogProbGradOp) FLOPs(n *Node) int64                   { return 2 * headFLOPs(n) }

func vocabularyRows(op string, outIn bool, in []Type) Type {
	wantFloats(op, in[:2])
	h, w := in[0].Shape, in[1].Shape
	ok := len(h) == 2 && len(w) == 2 && in[2].DType == Int32 && len(in[2].Shape) >= 1 && in[2].Shape.Size() == h[0]
	if ok {
		d := w[0]
		if outIn {
			d = w[1]
		}
		ok = h[1] == d
	}
	if !ok {
		badShape(op, "hidden [N, D], w [V, D] with OutIn or [D, V], and tokens i32 [N] or [..., T] of N elements", in)
	}
	return Type{Float32, h[:1]}
}

// headFLOPs counts one product of hidden and the head.
func headFLOPs(n *Node) int64 {
	return 2 * int64(n.Inputs[0].Shape[0]) * int64(n.Inputs[1].Shape.Size())
}
