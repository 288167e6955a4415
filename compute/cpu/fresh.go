package cpu

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

const (
	// freshRows is the least number of rows for which a product packs its
	// weight as it goes: packing takes the time of about ten rows.
	freshRows = 64
	// freshPanels is the least number of panels of a task: with fewer, reading
	// the left matrix from beyond the second-level cache takes the time.
	freshPanels = 4
)

// fresh is how a product goes with a weight that changes from run to run. Its
// columns are shared out among tasks; a task packs some panels, one block of the inner
// dimension after the other, and multiplies all rows with a block while it is
// in the cache. So no packed weight is ever written to memory, and the weight
// is read once. The bits are those of products with panels that are kept.
type fresh struct {
	products   products
	k, n       int
	transposed bool // the weight is [n, k]
	each       int  // panels of a task
	scratch    int  // floats of each worker
}

// freshOf tells whether a product of m rows with a weight [k, n] is to pack it as
// it goes, and how. It is where the Program computes gradients, after which
// weights change: panels that were kept would be packed for one use.
func (c *compiler) freshOf(m, k, n int, transposed bool) (fresh, bool) {
	f := fresh{products: c.engine.products, k: k, n: n, transposed: transposed}
	f.each = f.balanced(c.pool.workers)
	if m < freshRows || f.each < freshPanels || !c.trains {
		return fresh{}, false
	}
	f.scratch = f.products.packedSize(kernel.KC, f.each*kernel.NR) + f.products.scratch
	c.needScratch(f.scratch)
	return f, true
}

// balanced returns the panels of a task with which the last worker is done
// first, of several the most; 0 if there are too few for all workers.
func (f fresh) balanced(workers int) int {
	panels := panelCount(f.n)
	best, bestTime := 0, 0
	for each := min(f.products.together, panels); each >= freshPanels; each-- {
		tasks := (panels + each - 1) / each
		time := (tasks + workers - 1) / workers * each
		if tasks >= workers && (best == 0 || time < bestTime) {
			best, bestTime = each, time
		}
	}
	return best
}

func (f fresh) tasks() int { return (panelCount(f.n) + f.each - 1) / f.each }

// columns returns the columns of a task.
func (f fresh) columns(task int) (lo, hi int) {
	lo = task * f.each * kernel.NR
	return lo, min(lo+f.each*kernel.NR, f.n)
}

// run computes a task's columns of y = a·w, with done as in [product].
func (f fresh) run(task int, y []float32, ldy int, a []float32, lda, m int, w, scratch []float32, done func(m0, m1, lo, hi int)) {
	lo, hi := f.columns(task)
	width, panels := hi-lo, panelCount(hi-lo)
	packed, rest := split(scratch, f.products.packedSize(kernel.KC, f.each*kernel.NR))
	for k0 := 0; k0 < f.k; k0 += kernel.KC {
		kc := min(kernel.KC, f.k-k0)
		if f.transposed {
			f.products.packBT(packed, w[lo*f.k+k0:], f.k, kc, width, 0, panels)
		} else {
			f.products.packB(packed, w[k0*f.n+lo:], f.n, kc, width, 0, panels)
		}
		for m0 := 0; m0 < m; m0 += taskRows {
			m1 := min(m0+taskRows, m)
			f.products.gemm(y[m0*ldy+lo:], ldy, a[m0*lda+k0:], lda, packed, kc, width, 0, m1-m0, 0, panels, k0 > 0, rest)
			if done != nil && k0+kc == f.k {
				done(m0, m1, lo, hi)
			}
		}
	}
}

// trains tells whether a Program computes gradients of weights.
func trains(nodes []*compute.Node) bool {
	for _, n := range nodes {
		switch n.Op.(type) {
		case compute.LinearWeightGradOp, compute.LinearCrossEntropyGradOp, compute.TokenLogProbGradOp:
			return true
		}
	}
	return false
}

// product is y [m, n] = a [m, k]·w for a number of rows that each run chooses.
type product struct {
	pool *pool
	job  *job
	// ready returns the packed weight, or the weight itself where tasks pack it.
	ready func() []float32

	// The run's operands.
	y, a, w     []float32
	ldy, lda, m int
}

// productOf prepares products of at most m rows with the weight of a node's
// input, [k, n] or, transposed, [n, k]. done, if not nil, is told of each range
// of rows whose columns lo to hi are complete, while they are in the cache.
func (c *compiler) productOf(w *compute.Tensor, m, k, n int, transposed bool, done func(m0, m1, lo, hi int)) *product {
	p, engine := &product{pool: c.pool}, c.engine
	if f, ok := c.freshOf(m, k, n, transposed); ok {
		source := c.in(w)
		p.ready = func() []float32 { return source.f }
		p.job = &job{f.tasks(), func(task, worker int) {
			f.run(task, p.y, p.ldy, p.a, p.lda, p.m, p.w, engine.scratch[worker], done)
		}}
		return p
	}
	weight := c.weightOf(w, k, n, transposed)
	tiles := c.pool.tile(m, n)
	p.ready = func() []float32 { return weight.ready(p.pool) }
	p.job = &job{tiles.tasks, func(task, worker int) {
		m0, m1, p0, p1 := tiles.at(task)
		m1 = min(m1, p.m)
		if m0 >= m1 {
			return
		}
		engine.products.blocks(p.y, p.ldy, p.a, p.lda, p.w, k, n, m0, m1, p0, p1, engine.scratch[worker])
		if done != nil {
			done(m0, m1, p0*kernel.NR, min(p1*kernel.NR, n))
		}
	}}
	return p
}

// do computes m rows of y, ldy floats apart, from those of a, lda apart.
func (p *product) do(y []float32, ldy int, a []float32, lda, m int) {
	p.w = p.ready()
	p.y, p.ldy, p.a, p.lda, p.m = y, ldy, a, lda, m
	p.pool.do(p.job)
}
