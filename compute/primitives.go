package compute

import "fmt"

// The primitives work element by element on small arrays, with NumPy's
// broadcasting: shapes are aligned at their last dimensions, and a dimension
// that is missing or 1 is repeated.

// UnaryKind names a function of one number.
type UnaryKind string

const (
	UnaryNeg        UnaryKind = "neg"
	UnaryExp        UnaryKind = "exp"
	UnaryLog        UnaryKind = "log"
	UnarySigmoid    UnaryKind = "sigmoid"
	UnaryLogSigmoid UnaryKind = "log_sigmoid"
	UnaryTanh       UnaryKind = "tanh"
	UnarySqrt       UnaryKind = "sqrt"
)

// UnaryOp applies a function to every element.
type UnaryOp struct{ Function UnaryKind }

func unary(kind UnaryKind, x *Tensor) *Tensor { return apply(UnaryOp{kind}, x)[0] }

// Neg is −x.
func Neg(x *Tensor) *Tensor { return unary(UnaryNeg, x) }

// Exp is eˣ.
func Exp(x *Tensor) *Tensor { return unary(UnaryExp, x) }

// Log is the natural logarithm.
func Log(x *Tensor) *Tensor { return unary(UnaryLog, x) }

// Sigmoid is 1/(1+e⁻ˣ).
func Sigmoid(x *Tensor) *Tensor { return unary(UnarySigmoid, x) }

// LogSigmoid is log σ(x), exact for large |x|.
func LogSigmoid(x *Tensor) *Tensor { return unary(UnaryLogSigmoid, x) }

// Tanh is the hyperbolic tangent.
func Tanh(x *Tensor) *Tensor { return unary(UnaryTanh, x) }

// Sqrt is the square root.
func Sqrt(x *Tensor) *Tensor { return unary(UnarySqrt, x) }

// Square is x².
func Square(x *Tensor) *Tensor { return Mul(x, x) }

func (o UnaryOp) Kind() string           { return string(o.Function) }
func (o UnaryOp) Infer(in []Type) []Type { wantFloats(o.Kind(), in); return []Type{in[0]} }
func (UnaryOp) FLOPs(n *Node) int64      { return elements(n) }

func (o UnaryOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	x, y, d := n.Inputs[0], n.Outputs[0], dOut[0]
	p := n.program
	var dx *Tensor
	switch o.Function {
	case UnaryNeg:
		dx = Neg(d)
	case UnaryExp:
		dx = Mul(d, y)
	case UnaryLog:
		dx = Div(d, x)
	case UnarySigmoid: // σ' = σ(1−σ)
		dx = Mul(d, Mul(y, Sub(Constant(p, 1), y)))
	case UnaryLogSigmoid: // (log σ)' = σ(−x)
		dx = Mul(d, Sigmoid(Neg(x)))
	case UnaryTanh:
		dx = Mul(d, Sub(Constant(p, 1), Mul(y, y)))
	case UnarySqrt:
		dx = Div(d, Mul(Constant(p, 2), y))
	default:
		return noGradient(o)
	}
	return []*Tensor{dx}
}

// BinaryKind names a function of two numbers.
type BinaryKind string

const (
	BinaryAdd  BinaryKind = "add"
	BinarySub  BinaryKind = "sub"
	BinaryMul  BinaryKind = "mul"
	BinaryDiv  BinaryKind = "div"
	BinaryMin  BinaryKind = "min"
	BinaryMax  BinaryKind = "max"
	BinaryLess BinaryKind = "less" // 1 where a < b, else 0
)

// BinaryOp applies a function to pairs of elements, with broadcasting.
type BinaryOp struct{ Function BinaryKind }

func binary(kind BinaryKind, a, b *Tensor) *Tensor { return apply(BinaryOp{kind}, a, b)[0] }

// Add is a + b.
func Add(a, b *Tensor) *Tensor { return binary(BinaryAdd, a, b) }

// Sub is a − b.
func Sub(a, b *Tensor) *Tensor { return binary(BinarySub, a, b) }

// Mul is a·b.
func Mul(a, b *Tensor) *Tensor { return binary(BinaryMul, a, b) }

// Div is a/b.
func Div(a, b *Tensor) *Tensor { return binary(BinaryDiv, a, b) }

// Min is the smaller of a and b; the gradient goes to a where they are equal.
func Min(a, b *Tensor) *Tensor { return binary(BinaryMin, a, b) }

// Max is the larger of a and b; the gradient goes to a where they are equal.
func Max(a, b *Tensor) *Tensor { return binary(BinaryMax, a, b) }

// Less is 1 where a < b, else 0. It has no gradient.
func Less(a, b *Tensor) *Tensor { return binary(BinaryLess, a, b) }

// Clip limits x to [low, high].
func Clip(x *Tensor, low, high float32) *Tensor {
	p := x.Node.program
	return Min(Max(x, Constant(p, low)), Constant(p, high))
}

// Scale is s·x for a constant s.
func Scale(x *Tensor, s float32) *Tensor { return Mul(x, Constant(x.Node.program, s)) }

func (o BinaryOp) Kind() string { return string(o.Function) }
func (o BinaryOp) Infer(in []Type) []Type {
	wantFloats(o.Kind(), in)
	return []Type{{Float32, broadcast(o.Kind(), in)}}
}
func (BinaryOp) FLOPs(n *Node) int64 { return elements(n) }

func (o BinaryOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	a, b, d := n.Inputs[0], n.Inputs[1], dOut[0]
	var da, db *Tensor
	switch o.Function {
	case BinaryAdd:
		da, db = d, d
	case BinarySub:
		da, db = d, Neg(d)
	case BinaryMul:
		da, db = Mul(d, b), Mul(d, a)
	case BinaryDiv:
		da = Div(d, b)
		db = Neg(Div(Mul(d, n.Outputs[0]), b))
	case BinaryMin, BinaryMax:
		// The winner takes the gradient: b where it is strictly better.
		better := Less(b, a)
		if o.Function == BinaryMax {
			better = Less(a, b)
		}
		db = Mul(d, better)
		da = Sub(d, db)
	default: // less is piecewise constant
		return []*Tensor{nil, nil}
	}
	return []*Tensor{SumTo(da, a.Shape), SumTo(db, b.Shape)}
}

func broadcast(kind string, in []Type) Shape {
	a, b := in[0].Shape, in[1].Shape
	if len(a) < len(b) {
		a, b = b, a
	}
	out := append(Shape{}, a...)
	offset := len(a) - len(b)
	for i, d := range b {
		switch {
		case d == out[offset+i] || d == 1:
		case out[offset+i] == 1:
			out[offset+i] = d
		default:
			badShape(kind, "shapes that broadcast", in)
		}
	}
	return out
}

// SelectOp is a where the condition is not 0, else b; all of one shape.
type SelectOp struct{}

// Select chooses elements of a or b.
func Select(condition, a, b *Tensor) *Tensor { return apply(SelectOp{}, condition, a, b)[0] }

func (SelectOp) Kind() string { return "select" }
func (SelectOp) Infer(in []Type) []Type {
	wantFloats("select", in)
	if !in[0].Shape.Equal(in[1].Shape) || !in[1].Shape.Equal(in[2].Shape) {
		badShape("select", "three equal shapes", in)
	}
	return []Type{in[1]}
}
func (SelectOp) FLOPs(n *Node) int64 { return elements(n) }
func (SelectOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	zero := Fill(n.program, 0, n.Outputs[0].Shape...)
	c := n.Inputs[0]
	return []*Tensor{nil, Select(c, dOut[0], zero), Select(c, zero, dOut[0])}
}

// SumToOp adds up a tensor over the dimensions that broadcasting would repeat
// to get from Target to it, in row order. Target nil sums everything.
type SumToOp struct{ Target Shape }

// SumTo reduces x to a shape that broadcasts to x's.
func SumTo(x *Tensor, target Shape) *Tensor {
	if x.Shape.Equal(target) {
		return x
	}
	return apply(SumToOp{target}, x)[0]
}

// Sum adds up all elements to a scalar.
func Sum(x *Tensor) *Tensor { return SumTo(x, nil) }

// Mean is the sum divided by the number of elements.
func Mean(x *Tensor) *Tensor { return Scale(Sum(x), 1/float32(x.Shape.Size())) }

func (SumToOp) Kind() string { return "sum" }
func (o SumToOp) Infer(in []Type) []Type {
	wantFloats("sum", in)
	if !broadcast("sum", []Type{in[0], {Float32, o.Target}}).Equal(in[0].Shape) {
		badShape("sum", fmt.Sprintf("a shape that %v broadcasts to", []int(o.Target)), in)
	}
	return []Type{{Float32, o.Target}}
}
func (SumToOp) FLOPs(n *Node) int64 { return int64(n.Inputs[0].Shape.Size()) }
func (SumToOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	return []*Tensor{Add(Fill(n.program, 0, n.Inputs[0].Shape...), dOut[0])}
}

// FillOp is a tensor of one repeated constant.
type FillOp struct {
	Value float32
	Shape Shape
}

// Fill returns a tensor of the given shape with every element equal to value.
func Fill(p *Program, value float32, shape ...int) *Tensor {
	return p.node(FillOp{value, append(Shape{}, shape...)})[0]
}

// Constant is a scalar.
func Constant(p *Program, value float32) *Tensor { return Fill(p, value) }

func (FillOp) Kind() string                        { return "fill" }
func (o FillOp) Infer([]Type) []Type               { return []Type{{Float32, o.Shape}} }
func (FillOp) FLOPs(*Node) int64                   { return 0 }
func (FillOp) Gradient(*Node, []*Tensor) []*Tensor { return nil }

// ReshapeOp gives the same elements another shape.
type ReshapeOp struct{ Shape Shape }

// Reshape returns x with another shape of equal size.
func Reshape(x *Tensor, shape ...int) *Tensor {
	return apply(ReshapeOp{append(Shape{}, shape...)}, x)[0]
}

func (ReshapeOp) Kind() string { return "reshape" }
func (o ReshapeOp) Infer(in []Type) []Type {
	if in[0].Shape.Size() != o.Shape.Size() {
		badShape("reshape", fmt.Sprintf("as many elements as %v", []int(o.Shape)), in)
	}
	return []Type{{in[0].DType, o.Shape}}
}
func (ReshapeOp) FLOPs(*Node) int64 { return 0 }
func (ReshapeOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	return []*Tensor{Reshape(dOut[0], n.Inputs[0].Shape...)}
}

// SliceOp takes the elements Start ≤ i < End of dimension Axis.
type SliceOp struct{ Axis, Start, End int }

// Slice cuts x along a dimension.
func Slice(x *Tensor, axis, start, end int) *Tensor {
	return apply(SliceOp{axis, start, end}, x)[0]
}

func (SliceOp) Kind() string { return "slice" }
func (o SliceOp) Infer(in []Type) []Type {
	s := append(Shape{}, in[0].Shape...)
	if o.Axis < 0 || o.Axis >= len(s) || o.Start < 0 || o.End <= o.Start || o.End > s[o.Axis] {
		badShape("slice", fmt.Sprintf("elements %d:%d in dimension %d", o.Start, o.End, o.Axis), in)
	}
	s[o.Axis] = o.End - o.Start
	return []Type{{in[0].DType, s}}
}
func (SliceOp) FLOPs(*Node) int64 { return 0 }

// The gradient of a slice is zero around it.
func (o SliceOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	parts := []*Tensor{dOut[0]}
	full := n.Inputs[0].Shape
	pad := func(size int) *Tensor {
		s := append(Shape{}, full...)
		s[o.Axis] = size
		return Fill(n.program, 0, s...)
	}
	if o.Start > 0 {
		parts = append([]*Tensor{pad(o.Start)}, parts...)
	}
	if o.End < full[o.Axis] {
		parts = append(parts, pad(full[o.Axis]-o.End))
	}
	if len(parts) == 1 {
		return parts
	}
	return []*Tensor{Concat(o.Axis, parts...)}
}

// ConcatOp joins tensors along dimension Axis.
type ConcatOp struct{ Axis int }

// Concat joins tensors whose other dimensions are equal.
func Concat(axis int, tensors ...*Tensor) *Tensor { return apply(ConcatOp{axis}, tensors...)[0] }

func (ConcatOp) Kind() string { return "concat" }
func (o ConcatOp) Infer(in []Type) []Type {
	out := append(Shape{}, in[0].Shape...)
	if o.Axis < 0 || o.Axis >= len(out) {
		badShape("concat", fmt.Sprintf("a dimension %d", o.Axis), in)
	}
	for _, t := range in[1:] {
		if len(t.Shape) != len(out) {
			badShape("concat", "equal numbers of dimensions", in)
		}
		if t.DType != in[0].DType {
			badShape("concat", "one element type", in)
		}
		for i, d := range t.Shape {
			if i == o.Axis {
				out[i] += d
			} else if d != out[i] {
				badShape("concat", "equal dimensions outside the axis", in)
			}
		}
	}
	return []Type{{in[0].DType, out}}
}
func (ConcatOp) FLOPs(*Node) int64 { return 0 }
func (o ConcatOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	grads := make([]*Tensor, len(n.Inputs))
	start := 0
	for i, in := range n.Inputs {
		end := start + in.Shape[o.Axis]
		grads[i] = Slice(dOut[0], o.Axis, start, end)
		start = end
	}
	return grads
}
