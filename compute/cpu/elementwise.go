package cpu

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// chunk is the number of elements that one task of an elementwise operator
// handles: enough to be worth its claim, few enough to stay in a core's cache.
const chunk = 1 << 14

// chunked makes a job of f over size elements in chunks.
func chunked(size int, f func(lo, hi int)) *job {
	return &job{(size + chunk - 1) / chunk, func(task, _ int) {
		lo := task * chunk
		f(lo, min(lo+chunk, size))
	}}
}

// byRows makes a job of f over rows of the given width, about a chunk a task.
func byRows(rows, width int, f func(lo, hi int)) *job {
	each := max(1, chunk/max(1, width))
	return &job{(rows + each - 1) / each, func(task, _ int) {
		lo := task * each
		f(lo, min(lo+each, rows))
	}}
}

func (c *compiler) copyTo(dst, src *storage) func() {
	j := chunked(dst.size, func(lo, hi int) { copy(dst.f[lo:hi], src.f[lo:hi]) })
	return func() { c.pool.do(j) }
}

func (c *compiler) addTo(a *array, src *storage) func() {
	j := chunked(len(a.data), func(lo, hi int) { kernel.Add(a.data[lo:hi], a.data[lo:hi], src.f[lo:hi]) })
	return func() { c.pool.do(j) }
}

func (c *compiler) unary(n *compute.Node, o compute.UnaryOp) error {
	x, y := c.in(n.Inputs[0]), c.out(n, 0)
	var f func(dst, x []float32)
	switch o.Function {
	case compute.UnaryExp:
		f = kernel.Exp
	case compute.UnarySigmoid:
		f = kernel.Sigmoid
	case compute.UnaryLog:
		f = kernel.Log
	case compute.UnaryLogSigmoid:
		f = kernel.LogSigmoid
	case compute.UnaryNeg:
		f = func(dst, x []float32) { kernel.Scale(dst, x, -1) }
	case compute.UnaryTanh:
		f = each(math.Tanh)
	case compute.UnarySqrt:
		f = each(math.Sqrt)
	default:
		return fmt.Errorf("the cpu engine does not know function %q", o.Function)
	}
	c.emit(n, chunked(y.size, func(lo, hi int) { f(y.f[lo:hi], x.f[lo:hi]) }))
	return nil
}

// each applies a function of float64 to every element.
func each(f func(float64) float64) func(dst, x []float32) {
	return func(dst, x []float32) {
		for i, v := range x {
			dst[i] = float32(f(float64(v)))
		}
	}
}

func (c *compiler) selectOp(n *compute.Node, _ compute.SelectOp) {
	condition, a, b, y := c.in(n.Inputs[0]), c.in(n.Inputs[1]), c.in(n.Inputs[2]), c.out(n, 0)
	c.emit(n, chunked(y.size, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if condition.f[i] != 0 {
				y.f[i] = a.f[i]
			} else {
				y.f[i] = b.f[i]
			}
		}
	}))
}

// scalarFunction returns a binary function of two numbers. Min and max let NaN
// through, as math.Min does.
func scalarFunction(kind compute.BinaryKind) func(a, b float32) float32 {
	switch kind {
	case compute.BinaryAdd:
		return func(a, b float32) float32 { return a + b }
	case compute.BinarySub:
		return func(a, b float32) float32 { return a - b }
	case compute.BinaryMul:
		return func(a, b float32) float32 { return a * b }
	case compute.BinaryDiv:
		return func(a, b float32) float32 { return a / b }
	case compute.BinaryMin:
		return func(a, b float32) float32 { return min(a, b) }
	case compute.BinaryMax:
		return func(a, b float32) float32 { return max(a, b) }
	case compute.BinaryLess:
		return func(a, b float32) float32 {
			if a < b {
				return 1
			}
			return 0
		}
	}
	return nil
}

func (c *compiler) binary(n *compute.Node, o compute.BinaryOp) error {
	if c.sumLater(n) {
		return nil
	}
	f := scalarFunction(o.Function)
	if f == nil {
		return fmt.Errorf("the cpu engine does not know function %q", o.Function)
	}
	a, b, y := c.in(n.Inputs[0]), c.in(n.Inputs[1]), c.out(n, 0)
	full := n.Outputs[0].Shape
	switch {
	case a.size == y.size && b.size == y.size:
		block := blockFunction(o.Function, f)
		c.emit(n, chunked(y.size, func(lo, hi int) { block(y.f[lo:hi], a.f[lo:hi], b.f[lo:hi]) }))
	case a.size == y.size && b.size == 1 && o.Function == compute.BinaryMul:
		c.emit(n, chunked(y.size, func(lo, hi int) { kernel.Scale(y.f[lo:hi], a.f[lo:hi], b.f[0]) }))
	case a.size == y.size && b.size == 1:
		c.emit(n, chunked(y.size, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				y.f[i] = f(a.f[i], b.f[0])
			}
		}))
	case b.size == y.size && a.size == 1:
		c.emit(n, chunked(y.size, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				y.f[i] = f(a.f[0], b.f[i])
			}
		}))
	case a.size == y.size && isSuffix(n.Inputs[1].Shape, full): // b is a row of a
		block := blockFunction(o.Function, f)
		c.emit(n, byRows(y.size/b.size, b.size, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				block(y.f[r*b.size:(r+1)*b.size], a.f[r*b.size:(r+1)*b.size], b.f)
			}
		}))
	default:
		at := broadcastSteps(full, n.Inputs[0].Shape)
		bt := broadcastSteps(full, n.Inputs[1].Shape)
		c.emit(n, chunked(y.size, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				y.f[i] = f(a.f[at.source(i)], b.f[bt.source(i)])
			}
		}))
	}
	return nil
}

// blockFunction applies a binary function to slices of equal length.
func blockFunction(kind compute.BinaryKind, f func(a, b float32) float32) func(dst, a, b []float32) {
	switch kind {
	case compute.BinaryAdd:
		return kernel.Add
	case compute.BinaryMul:
		return kernel.Mul
	}
	return func(dst, a, b []float32) {
		for i, v := range a {
			dst[i] = f(v, b[i])
		}
	}
}

// isSuffix tells whether a shape, leading ones apart, is the end of another.
func isSuffix(small, full compute.Shape) bool {
	for len(small) > 0 && small[0] == 1 {
		small = small[1:]
	}
	return small.Equal(full[len(full)-len(small):])
}

// steps maps the elements of a shape to those of a smaller shape that
// broadcasts to it.
type steps struct {
	full compute.Shape
	by   []int // elements of the small array from one index to the next, 0 where repeated
}

func broadcastSteps(full, small compute.Shape) steps {
	s := steps{full, make([]int, len(full))}
	step := 1
	for d, offset := len(small)-1, len(full)-len(small); d >= 0; d-- {
		if small[d] > 1 {
			s.by[d+offset] = step
		}
		step *= small[d]
	}
	return s
}

// source is the element of the small array that stands at element i.
func (s steps) source(i int) int {
	from := 0
	for d := len(s.full) - 1; d >= 0; d-- {
		size := s.full[d]
		from += i % size * s.by[d]
		i /= size
	}
	return from
}

// sumTo adds, for each output element, the inputs over the repeated
// dimensions in row order, in float64.
func (c *compiler) sumTo(n *compute.Node, _ compute.SumToOp) {
	x, y := c.in(n.Inputs[0]), c.out(n, 0)
	full, target := n.Inputs[0].Shape, n.Outputs[0].Shape
	if y.size == 1 {
		c.emit(n, c.sumAll(x, y))
		return
	}
	// Split the dimensions into those that stay and those that are summed.
	by := broadcastSteps(full, target)
	var kept, summed []dimension
	step := 1
	for d := len(full) - 1; d >= 0; d-- {
		dim := dimension{full[d], step}
		if by.by[d] != 0 || full[d] == 1 {
			kept = append(kept, dim)
		} else {
			summed = append(summed, dim)
		}
		step *= full[d]
	}
	repeats := x.size / y.size
	c.emit(n, byRows(y.size, repeats, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			base, total := offset(kept, i), 0.0
			for r := range repeats {
				total += float64(x.f[base+offset(summed, r)])
			}
			y.f[i] = float32(total)
		}
	}))
}

// dimension is a dimension's size and the distance of its elements.
type dimension struct{ size, step int }

// offset is the distance of element i of the dimensions, innermost first.
func offset(dimensions []dimension, i int) int {
	at := 0
	for _, d := range dimensions {
		at += i % d.size * d.step
		i /= d.size
	}
	return at
}

// sumAll adds everything, one chunk after the other, on one worker: sums to a
// scalar are small, and the chunks' order fixes the bits.
func (c *compiler) sumAll(x, y *storage) *job {
	return &job{1, func(int, int) {
		total := 0.0
		for _, v := range x.f {
			total += float64(v)
		}
		y.f[0] = float32(total)
	}}
}

// constantSize is the largest filled tensor that is written once, when the
// Program is compiled, and kept.
const constantSize = 4096

func (c *compiler) fill(n *compute.Node, o compute.FillOp) {
	t := n.Outputs[0]
	_, isPlaced := c.placed[t]
	if size := t.Shape.Size(); !isPlaced && c.storage[t] == nil && size <= constantSize {
		s := &storage{f: aligned(size), size: size}
		for i := range s.f {
			s.f[i] = o.Value
		}
		c.storage[t] = s
		return
	}
	if a, clears := c.cleared(t); clears {
		c.emitFunc(n, func() {
			if a.zero = true; a.viewed {
				a.settle()
			}
		})
		return
	}
	y := c.out(n, 0)
	c.emit(n, chunked(y.size, func(lo, hi int) {
		part := y.f[lo:hi]
		if o.Value == 0 {
			clear(part)
			return
		}
		for i := range part {
			part[i] = o.Value
		}
	}))
}

// move copies length elements for each of count pieces, from and to starting
// at the given element and distance.
type move struct {
	dst, src          *storage
	count, length     int
	dstStart, dstStep int
	srcStart, srcStep int
}

func (c *compiler) moves(n *compute.Node, moves []move) {
	if n.Outputs[0].DType == compute.Int32 {
		c.x.prepare = append(c.x.prepare, func() {
			for _, m := range moves {
				for i := range m.count {
					copy(m.dst.i[m.dstStart+i*m.dstStep:][:m.length], m.src.i[m.srcStart+i*m.srcStep:])
				}
			}
		})
		return
	}
	jobs := make([]*job, len(moves))
	for i, m := range moves {
		jobs[i] = byRows(m.count, m.length, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				copy(m.dst.f[m.dstStart+i*m.dstStep:][:m.length], m.src.f[m.srcStart+i*m.srcStep:])
			}
		})
	}
	c.emit(n, jobs...)
}

func (c *compiler) slice(n *compute.Node, o compute.SliceOp) {
	if c.sliceInPlace(n, o) {
		return
	}
	full := n.Inputs[0].Shape
	inner := full[o.Axis+1:].Size()
	length := (o.End - o.Start) * inner
	c.moves(n, []move{{c.out(n, 0), c.in(n.Inputs[0]), full[:o.Axis].Size(), length,
		0, length, o.Start * inner, full[o.Axis] * inner}})
}

func (c *compiler) concat(n *compute.Node, o compute.ConcatOp) {
	full := n.Outputs[0].Shape
	inner := full[o.Axis+1:].Size()
	y := c.out(n, 0)
	var moves []move
	start := 0
	for _, in := range n.Inputs {
		length := in.Shape[o.Axis] * inner
		if v, ok := c.views[root(in)]; ok && v.storage == y { // it is there
			start += length
			continue
		}
		moves = append(moves, move{y, c.in(in), full[:o.Axis].Size(), length,
			start, full[o.Axis] * inner, 0, length})
		start += length
	}
	c.moves(n, moves)
}
