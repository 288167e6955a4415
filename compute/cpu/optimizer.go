package cpu

import (
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// globalNorm sums chunks of every input on their own, then the sums in order.
func (c *compiler) globalNorm(n *compute.Node) {
	type piece struct {
		x      *storage
		lo, hi int
	}
	var pieces []piece
	for _, t := range n.Inputs {
		x := c.in(t)
		for lo := 0; lo < x.size; lo += chunk {
			pieces = append(pieces, piece{x, lo, min(lo+chunk, x.size)})
		}
	}
	y := c.out(n, 0)
	sums := make([]float64, len(pieces))
	c.emit(n, &job{len(pieces), func(task, _ int) {
		p := pieces[task]
		sums[task] = kernel.SumSquares(p.x.f[p.lo:p.hi])
	}}, &job{1, func(int, int) {
		total := 0.0
		for _, s := range sums {
			total += s
		}
		y.f[0] = float32(math.Sqrt(total))
	}})
}

func (c *compiler) adamW(n *compute.Node, o compute.AdamWOp) {
	g := c.in(n.Inputs[1])
	lr, scale, c1, c2 := c.in(n.Inputs[4]), c.in(n.Inputs[5]), c.in(n.Inputs[6]), c.in(n.Inputs[7])
	var in, out [3]*storage
	for i, input := range [3]int{0, 2, 3} { // w, m, v
		in[i], out[i] = c.in(n.Inputs[input]), c.out(n, i)
	}
	w, m, v := out[0], out[1], out[2]
	c.emit(n, chunked(w.size, func(lo, hi int) {
		for i := range in {
			if in[i] != out[i] && (in[i].array == nil || in[i].array != out[i].array) {
				copy(out[i].f[lo:hi], in[i].f[lo:hi])
			}
		}
		kernel.AdamW(w.f[lo:hi], g.f[lo:hi], m.f[lo:hi], v.f[lo:hi],
			lr.f[0], o.Beta1, o.Beta2, o.Epsilon, o.Decay, c1.f[0], c2.f[0], scale.f[0])
	}))
}
