package cpu

import (
	"fmt"
	"reflect"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// operator is what the compiler knows of one type of operator. The rows of the
// table have no field names: one that leaves something out does not compile, and an
// operator without a row is refused by Compile.
type operator struct {
	lowering
	over    overwriting
	adds    adding
	part    part
	columns columns
	sums    inputs
	traits  traits
}

// lowering appends the steps of a node of one type of operator.
type lowering struct {
	of    reflect.Type
	lower func(*compiler, *compute.Node) error
}

// overwriting says which inputs' memory outputs may be computed in, if the sizes
// are equal: by output the number of an input, or −1.
type overwriting []int

var (
	overNothing overwriting
	// elementwise: every output element is computed from the elements at its own
	// place in inputs of its size, so that any of them may be overwritten.
	elementwise = overwriting{-2}
)

func over(inputs ...int) overwriting { return inputs }

func (o overwriting) elementwise() bool { return len(o) == 1 && o[0] == elementwise[0] }

// allows tells whether an output may be computed in the memory of an input.
func (o overwriting) allows(output, input int) bool {
	return o.elementwise() || output < len(o) && o[output] == input
}

// adding says which outputs a step can add to the memory of a variable.
type adding int

const (
	addsNothing adding = iota
	addsAll
	addsAfterFirst // the first one is a gradient by activations, the others by weights
)

func (a adding) output(output int) bool { return a == addsAll || a == addsAfterFirst && output > 0 }

// part makes the function that computes elements lo to hi of the outputs, for an
// operator that can run as an epilogue; nil for others.
type part func(o compute.Op, in, out []*storage) func(lo, hi int)

var whole part // runs on all of its inputs

// columns tells how many of the first inputs may be columns of a wider tensor.
type columns func(o compute.Op) int

var inOnePiece columns

// inputs are no input, one by its number, or every one.
type inputs int

const (
	noInput  inputs = -1
	anyInput inputs = -2
)

func (i inputs) has(input int) bool { return i == anyInput || int(i) == input }

// traits are what is true or not of an operator.
type traits uint8

const (
	given          traits = 1 << iota // its numbers are there before a run
	weightGradient                    // after it, the weight of a product will change
	logitsGradient                    // it reads the logits of the vocabulary operator whose log-sum-exps are its fourth input
)

func (t traits) has(trait traits) bool { return t&trait != 0 }

// operators is the table. It is filled by init, since what it names looks into it.
var operators = map[reflect.Type]operator{}

func init() {
	for _, o := range []operator{
		{does(nothing[compute.Source]), overNothing, addsNothing, whole, inOnePiece, noInput, given},
		{does(nothing[compute.ReshapeOp]), overNothing, addsNothing, whole, inOnePiece, noInput, 0}, // see root

		{does((*compiler).embedding), overNothing, addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).embeddingGrad), overNothing, addsAll, whole, inOnePiece, noInput, 0},
		{does((*compiler).linear), overNothing, addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).linearWeightGrad), overNothing, addsAll, whole, inOnePiece, noInput, weightGradient},
		{does((*compiler).sumRows), overNothing, addsAll, whole, inOnePiece, noInput, 0},

		{does((*compiler).layerNorm), over(0), addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).layerNormGrad), over(4), addsAfterFirst, whole, inOnePiece, noInput, 0},
		{does((*compiler).rmsNorm), over(0), addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).rmsNormGrad), over(3), addsAfterFirst, whole, inOnePiece, noInput, 0},
		{does((*compiler).rope), over(0), addsNothing, whole, inOnePiece, noInput, 0},

		{does(inParts[compute.GELUOp]), elementwise, addsNothing, geluPart, inOnePiece, noInput, 0},
		{does(inParts[compute.GELUGradOp]), elementwise, addsNothing, geluGradPart, inOnePiece, noInput, 0},
		{does(inParts[compute.SwiGLUOp]), elementwise, addsNothing, swiGLUPart, inOnePiece, noInput, 0},
		{does(inParts[compute.SwiGLUGradOp]), over(0, 1), addsNothing, swiGLUGradPart, inOnePiece, noInput, 0}, // dgate over gate, dup over up

		{does((*compiler).attention), overNothing, addsNothing, whole, attentionColumns, noInput, 0},
		{does((*compiler).attentionGrad), overNothing, addsNothing, whole, attentionGradColumns, noInput, 0},
		{does((*compiler).cachedAttention), over(-1, 3, 4), addsNothing, whole, inOnePiece, noInput, 0}, // the caches

		{does((*compiler).crossEntropy), overNothing, addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).crossEntropyGrad), overNothing, addsAfterFirst, whole, inOnePiece, noInput, weightGradient | logitsGradient},
		{does((*compiler).tokenLogProb), overNothing, addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).tokenLogProbGrad), overNothing, addsAfterFirst, whole, inOnePiece, noInput, weightGradient | logitsGradient},

		{does((*compiler).globalNorm), overNothing, addsNothing, whole, inOnePiece, anyInput, 0},
		{does((*compiler).adamW), over(0, 2, 3), addsNothing, whole, inOnePiece, 1, 0}, // w, m, v; the gradient

		{mayFail((*compiler).unary), elementwise, addsNothing, whole, inOnePiece, noInput, 0},
		{mayFail((*compiler).binary), elementwise, addsNothing, addPart, inOnePiece, noInput, 0},
		{does((*compiler).selectOp), elementwise, addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).sumTo), overNothing, addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).fill), overNothing, addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).slice), overNothing, addsNothing, whole, inOnePiece, noInput, 0},
		{does((*compiler).concat), overNothing, addsNothing, whole, inOnePiece, noInput, 0},
	} {
		operators[o.of] = o
	}
}

func does[O compute.Op](lower func(*compiler, *compute.Node, O)) lowering {
	return mayFail(func(c *compiler, n *compute.Node, o O) error {
		lower(c, n, o)
		return nil
	})
}

func mayFail[O compute.Op](lower func(*compiler, *compute.Node, O) error) lowering {
	return lowering{reflect.TypeFor[O](), func(c *compiler, n *compute.Node) error { return lower(c, n, n.Op.(O)) }}
}

// nothing lowers what has its numbers without a step.
func nothing[O compute.Op](*compiler, *compute.Node, O) {}

// operatorOf is the row of an operator. All of a Program's have one: known checks
// them first.
func operatorOf(o compute.Op) operator { return operators[reflect.TypeOf(o)] }

// known refuses a Program with an operator that is not in the table.
func known(nodes []*compute.Node) error {
	for _, n := range nodes {
		if _, ok := operators[reflect.TypeOf(n.Op)]; !ok {
			return fmt.Errorf("operator %s (node %d): the cpu engine does not know this operator (%T)", n.Op.Kind(), n.ID, n.Op)
		}
	}
	return nil
}

// inParts lowers an operator by its part.
func inParts[O compute.Op](c *compiler, n *compute.Node, o O) {
	in, out := make([]*storage, len(n.Inputs)), make([]*storage, len(n.Outputs))
	for i, t := range n.Inputs {
		in[i] = c.in(t)
	}
	for i := range out {
		out[i] = c.out(n, i)
	}
	c.emit(n, chunked(out[0].size, operatorOf(o).part(o, in, out)))
}

func geluPart(o compute.Op, in, out []*storage) func(lo, hi int) {
	f := kernel.GELU
	if o.(compute.GELUOp).Exact {
		f = kernel.GELUExact
	}
	x, y := in[0], out[0]
	return func(lo, hi int) { f(y.f[lo:hi], x.f[lo:hi]) }
}

func geluGradPart(o compute.Op, in, out []*storage) func(lo, hi int) {
	f := kernel.GELUGrad
	if o.(compute.GELUGradOp).Exact {
		f = kernel.GELUExactGrad
	}
	x, dy, dx := in[0], in[1], out[0]
	return func(lo, hi int) { f(dx.f[lo:hi], x.f[lo:hi], dy.f[lo:hi]) }
}

func swiGLUPart(_ compute.Op, in, out []*storage) func(lo, hi int) {
	gate, up, y := in[0], in[1], out[0]
	return func(lo, hi int) { kernel.SiLUMul(y.f[lo:hi], gate.f[lo:hi], up.f[lo:hi]) }
}

func swiGLUGradPart(_ compute.Op, in, out []*storage) func(lo, hi int) {
	gate, up, dy, dgate, dup := in[0], in[1], in[2], out[0], out[1]
	return func(lo, hi int) {
		kernel.SiLUMulGrad(dgate.f[lo:hi], dup.f[lo:hi], gate.f[lo:hi], up.f[lo:hi], dy.f[lo:hi])
	}
}

// addPart is that of a sum, the only BinaryOp that is an epilogue (see fusable).
func addPart(_ compute.Op, in, out []*storage) func(lo, hi int) {
	a, b, y := in[0], in[1], out[0]
	return func(lo, hi int) { kernel.Add(y.f[lo:hi], a.f[lo:hi], b.f[lo:hi]) }
}

// attentionColumns are queries, keys and values, unless attention runs as its
// formula reads (see windowed).
func attentionColumns(o compute.Op) int {
	if a := o.(compute.AttentionOp); a.Window > 0 && !a.Causal {
		return 0
	}
	return 3
}

func attentionGradColumns(o compute.Op) int {
	return attentionColumns(compute.AttentionOp(o.(compute.AttentionGradOp)))
}
