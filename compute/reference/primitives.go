package reference

import (
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

// elementwise applies f to the elements of all inputs, of equal size, at each
// position.
func elementwise(f func(x []float64) float64) loop {
	return func(c call) error {
		x := make([]float64, len(c.in))
		for i := range c.out[0].f {
			for j, in := range c.in {
				x[j] = in.f[i]
			}
			c.out[0].f[i] = f(x)
		}
		return nil
	}
}

func unary(kind compute.UnaryKind) func(float64) float64 {
	switch kind {
	case compute.UnaryNeg:
		return func(x float64) float64 { return -x }
	case compute.UnaryExp:
		return math.Exp
	case compute.UnaryLog:
		return math.Log
	case compute.UnarySigmoid:
		return sigmoid
	case compute.UnaryLogSigmoid: // min(x, 0) − log(1 + e^−|x|)
		return func(x float64) float64 { return math.Min(x, 0) - math.Log1p(math.Exp(-math.Abs(x))) }
	case compute.UnaryTanh:
		return math.Tanh
	case compute.UnarySqrt:
		return math.Sqrt
	}
	return nil
}

func binary(kind compute.BinaryKind) func(a, b float64) float64 {
	switch kind {
	case compute.BinaryAdd:
		return func(a, b float64) float64 { return a + b }
	case compute.BinarySub:
		return func(a, b float64) float64 { return a - b }
	case compute.BinaryMul:
		return func(a, b float64) float64 { return a * b }
	case compute.BinaryDiv:
		return func(a, b float64) float64 { return a / b }
	case compute.BinaryMin:
		return math.Min
	case compute.BinaryMax:
		return math.Max
	case compute.BinaryLess:
		return func(a, b float64) float64 {
			if a < b {
				return 1
			}
			return 0
		}
	}
	return nil
}

// source gives, for each element of a shape in row order, the element of a
// smaller shape that broadcasts to it.
func source(full, small compute.Shape) []int {
	from := make([]int, full.Size())
	for i := range from {
		rest, step := i, 1
		for d := len(full) - 1; d >= 0; d-- {
			at := rest % full[d]
			rest /= full[d]
			if s := d - (len(full) - len(small)); s >= 0 {
				if small[s] > 1 {
					from[i] += at * step
				}
				step *= small[s]
			}
		}
	}
	return from
}

func broadcast(c call, f func(a, b float64) float64) error {
	full := c.node.Outputs[0].Shape
	a, b := source(full, c.shape(0)), source(full, c.shape(1))
	for i := range c.out[0].f {
		c.out[0].f[i] = f(c.in[0].f[a[i]], c.in[1].f[b[i]])
	}
	return nil
}

func sumTo(c call) error {
	to := source(c.shape(0), c.node.Outputs[0].Shape)
	for i, v := range c.in[0].f {
		c.out[0].f[to[i]] += v
	}
	return nil
}

// slice copies a range of one dimension; it does nothing for the element type
// that the tensor does not have.
func slice[E any](y, x []E, shape compute.Shape, o compute.SliceOp) {
	if len(x) == 0 {
		return
	}
	inner := shape[o.Axis+1:].Size()
	length := (o.End - o.Start) * inner
	for outer := range shape[:o.Axis].Size() {
		from := (outer*shape[o.Axis] + o.Start) * inner
		copy(y[outer*length:(outer+1)*length], x[from:])
	}
}

func concat(c call, axis int) error {
	shape := c.node.Outputs[0].Shape
	inner := shape[axis+1:].Size()
	start := 0
	for j, in := range c.in {
		length := c.shape(j)[axis] * inner
		for outer := range shape[:axis].Size() {
			to := outer*shape[axis]*inner + start
			if in.i != nil {
				copy(c.out[0].i[to:to+length], in.i[outer*length:])
			} else {
				copy(c.out[0].f[to:to+length], in.f[outer*length:])
			}
		}
		start += length
	}
	return nil
}
