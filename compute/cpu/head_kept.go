package cpu

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// keptLogits is the most floats of logits, 256 MiB, that a vocabulary operator
// leaves to its gradient, which else computes them again with the same bits.
const keptLogits = 1 << 26

// kept is what a vocabulary operator leaves to its gradient: the hidden rows
// that count, one after the other, and their logits.
type kept struct {
	hidden, logits *storage
	rows           *counting
}

// counting lists the rows that count in a run.
type counting struct {
	blocks [][2]int // of rows, see headBlocks
	rows   []int    // that count
	ends   []int    // of each block in rows
}

// find lists the rows whose token is one.
func (c *counting) find(tokens []int32) {
	c.rows, c.ends = c.rows[:0], c.ends[:0]
	for _, block := range c.blocks {
		for r := block[0]; r < block[1]; r++ {
			if tokens[r] >= 0 {
				c.rows = append(c.rows, r)
			}
		}
		c.ends = append(c.ends, len(c.rows))
	}
}

// keep decides whether an operator leaves its logits to a gradient: there is
// one in the Program, of the same arguments, and the logits are few enough and
// have no bias, whose gradient headBackward sums.
func (c *compiler) keep(n *compute.Node, h head) (kept, bool) {
	if h.rows*h.stride > c.engine.keptLogits || len(n.Inputs) > 3 {
		return kept{}, false
	}
	lse := n.Outputs[len(n.Outputs)-1]
	last := -1
	for i, reader := range c.nodes {
		if operatorOf(reader.Op).traits.has(logitsGradient) && reader.Inputs[3] == lse {
			last = i
		}
	}
	if last < 0 {
		return kept{}, false
	}
	blocks := headBlocks(n.Inputs[2].Shape)
	k := kept{
		hidden: &storage{size: h.rows * h.d, arena: true, first: c.step, last: last},
		logits: &storage{size: h.rows * h.stride, arena: true, first: c.step, last: last},
		rows:   &counting{blocks, make([]int, 0, h.rows), make([]int, 0, len(blocks))},
	}
	c.x.arena = append(c.x.arena, k.hidden, k.logits)
	c.kept[lse] = k
	return k, true
}

// keptForward computes and keeps the logits; row and skip as in headForward.
func (c *compiler) keptForward(n *compute.Node, h head, k kept, outIn bool, row func(r int, logits []float32, token int), skip func(r int)) {
	product := c.productOf(n.Inputs[1], h.rows, h.d, h.v, outIn, done{})
	gather := byRows(h.rows, h.d, func(lo, hi int) {
		for i := lo; i < min(hi, len(k.rows.rows)); i++ {
			copy(k.hidden.f[i*h.d:(i+1)*h.d], h.hidden.f[k.rows.rows[i]*h.d:])
		}
	})
	skipped := &job{1, func(int, int) {
		for r, token := range h.tokens.i {
			if token < 0 {
				skip(r)
			}
		}
	}}
	rows := k.each(h, row)
	pool := c.pool
	c.emitFunc(n, func() {
		k.rows.find(h.tokens.i)
		pool.do(gather)
		product.do(k.logits.f, h.stride, k.hidden.f, h.d, len(k.rows.rows))
		pool.do(rows)
		pool.do(skipped)
	})
}

// each makes the job that hands every row that counts its logits.
func (k kept) each(h head, row func(r int, logits []float32, token int)) *job {
	return byRows(h.rows, h.v, func(lo, hi int) {
		for i := lo; i < min(hi, len(k.rows.rows)); i++ {
			r := k.rows.rows[i]
			row(r, k.logits.f[i*h.stride:][:h.v], int(h.tokens.i[r]))
		}
	})
}

// keptBackward turns the kept logits into their gradients; these give dhidden,
// row by row, and dw, block by block, with the bits of headBackward.
func (c *compiler) keptBackward(n *compute.Node, h head, k kept, outIn bool, grad func(r int, logits []float32, token int)) {
	dhidden, dw := c.out(n, 0), c.out(n, 1)
	needW := c.needed(n.Outputs[1])
	sum := c.sumOf(n.Outputs[1])
	rows := k.each(h, grad)
	dgathered := c.temporary(h.rows * h.d)
	product := c.productOf(n.Inputs[1], h.rows, h.v, h.d, !outIn, done{})
	scatter := byRows(h.rows, h.d, func(lo, hi int) {
		for i := lo; i < min(hi, len(k.rows.rows)); i++ {
			r := k.rows.rows[i]
			copy(dhidden.f[r*h.d:(r+1)*h.d], dgathered.f[i*h.d:])
		}
	})
	zero := h.clearOthers(dhidden)
	gradW := c.keptWeightGrad(h, k, outIn, dw)
	pool := c.pool
	c.emitFunc(n, func() {
		pool.do(rows)
		product.do(dgathered.f, h.d, k.logits.f, h.stride, len(k.rows.rows))
		pool.do(scatter)
		pool.do(zero)
		if needW {
			add := sum.adds()
			if len(k.rows.rows) > 0 {
				gradW(add)
			} else if !add {
				clear(dw.f)
			}
		}
	})
}

// keptWeightGrad returns a function that sets dw, or adds to it, from the
// gradients of the logits: one block of rows after the other.
func (c *compiler) keptWeightGrad(h head, k kept, outIn bool, dw *storage) func(add bool) {
	pool, engine, products := c.pool, c.engine, c.engine.products
	c.needScratch(products.scratch)
	most := 0 // rows of a block
	for _, b := range k.rows.blocks {
		most = max(most, b[1]-b[0])
	}
	var adding bool
	// each calls f for every block that has rows, from row lo on.
	each := func(f func(block, lo, rows int, add bool)) {
		lo, add := 0, adding
		for b, hi := range k.rows.ends {
			if hi > lo {
				f(b, lo, hi-lo, add)
				add = true
			}
			lo = hi
		}
	}
	var jobs []*job
	if outIn { // dw [V, D] = dlogitsᵀ·hidden
		size := products.packedSize(most, h.d)
		packed := c.temporary(len(k.rows.blocks) * size)
		columns := panelCount(h.d)
		jobs = append(jobs, &job{columns, func(p, _ int) {
			each(func(b, lo, rows int, _ bool) {
				products.packB(packed.f[b*size:(b+1)*size], k.hidden.f[lo*h.d:], h.d, rows, h.d, p, p+1)
			})
		}})
		tiles := pool.tile(h.v, h.d)
		jobs = append(jobs, &job{tiles.tasks, func(task, worker int) {
			m0, m1, p0, p1 := tiles.at(task)
			each(func(b, lo, rows int, add bool) {
				products.gemmAT(dw.f, h.d, k.logits.f[lo*h.stride:], h.stride, packed.f[b*size:(b+1)*size], rows, h.d, m0, m1, p0, p1, add, engine.scratch[worker], k.logits.f[(lo+rows)*h.stride:])
			})
		}})
	} else { // dw [D, V] = hiddenᵀ·dlogits; each task packs the panels it reads
		size := products.packedSize(most, h.v)
		packed := c.temporary(len(k.rows.blocks) * size)
		tiles := pool.tile(kernel.MR, h.v)
		jobs = append(jobs, &job{tiles.tasks, func(task, worker int) {
			_, _, p0, p1 := tiles.at(task)
			each(func(b, lo, rows int, add bool) {
				packed := packed.f[b*size : (b+1)*size]
				products.packB(packed, k.logits.f[lo*h.stride:], h.stride, rows, h.v, p0, p1)
				products.gemmAT(dw.f, h.v, k.hidden.f[lo*h.d:], h.d, packed, rows, h.v, 0, h.d, p0, p1, add, engine.scratch[worker], nil)
			})
		}})
	}
	return func(add bool) {
		adding = add
		for _, j := range jobs {
			pool.do(j)
		}
	}
}
