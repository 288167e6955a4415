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

	// Costs beside the multiply-adds, in those of one row and panel: packing a
	// panel, and bringing a row of the left matrix into the second-level cache.
	freshPackCost = 10
	freshRowCost  = 1
)

// fresh is how a product goes with a weight that changes from run to run. A task
// has some of its columns, and all rows or, where the weight is small, a part of
// them: it packs the columns' panels, one block of the inner dimension after the
// other, and multiplies its rows with a block while it is in the cache. So no
// packed weight is ever written to memory. The bits are those of products with
// panels that are kept.
type fresh struct {
	products   products
	k, n       int
	transposed bool // the weight is [n, k]
	rows, each int  // rows and panels of a task
	across     int  // tasks side by side
	tasks      int  // all tasks
	workers    int
}

// freshOf tells whether a product of m rows with a weight [k, n] is to pack it as
// it goes, and how. It is where the Program computes gradients, after which
// weights change: panels that were kept would be packed for one use.
func (c *compiler) freshOf(m, k, n int, transposed bool) (fresh, bool) {
	f := fresh{products: c.engine.products, k: k, n: n, transposed: transposed, workers: c.pool.workers}
	if m < freshRows || !c.trains || !f.share(m) {
		return fresh{}, false
	}
	c.needScratch(f.packedSize() + f.products.scratch)
	return f, true
}

// share cuts a product of m rows into the tasks with which the last worker is
// done first; false if there are too few panels for all workers.
func (f *fresh) share(m int) bool {
	panels := panelCount(f.n)
	// A short inner dimension leaves room for more panels.
	together := min(panels, f.products.together*kernel.KC/min(kernel.KC, roundUp(max(1, f.k), alignment)))
	best := 0
	for parts := 1; parts <= f.workers; parts++ {
		rows := roundUp((m+parts-1)/parts, kernel.MR)
		if rows < freshRows {
			break
		}
		for each := together; each >= freshPanels; each-- {
			across := (panels + each - 1) / each
			tasks := (m + rows - 1) / rows * across
			if tasks < f.workers {
				continue
			}
			time := (tasks + f.workers - 1) / f.workers * (rows*(each+freshRowCost) + freshPackCost*each)
			if best == 0 || time < best {
				best = time
				f.rows, f.each, f.across, f.tasks = rows, each, across, tasks
			}
		}
	}
	return best > 0
}

// packedSize is the floats that a task's panels of a block take.
func (f fresh) packedSize() int {
	return f.products.packedSize(min(kernel.KC, f.k), f.each*kernel.NR)
}

// part returns the columns of a task, and its rows of m.
func (f fresh) part(task, m int) (lo, hi, m0, m1 int) {
	lo = task % f.across * f.each * kernel.NR
	m0 = task / f.across * f.rows
	return lo, min(lo+f.each*kernel.NR, f.n), m0, min(m0+f.rows, m)
}

// run computes a task's part of y = a·w.
func (f fresh) run(task int, y []float32, ldy int, a []float32, lda, m int, w, scratch []float32, done done) {
	lo, hi, first, m := f.part(task, m)
	if first >= m {
		return
	}
	width, panels := hi-lo, panelCount(hi-lo)
	packed, rest := split(scratch, f.packedSize())
	whole := first + max(0, (m-first)/taskRows-1)*taskRows // the last block of taskRows
	for k0 := 0; k0 < f.k; k0 += kernel.KC {
		kc := min(kernel.KC, f.k-k0)
		if f.transposed {
			f.products.packBT(packed, w[lo*f.k+k0:], f.k, kc, width, 0, panels)
		} else {
			f.products.packB(packed, w[k0*f.n+lo:], f.n, kc, width, 0, panels)
		}
		last := k0+kc == f.k
		for m0 := first; m0 < m; m0 += taskRows {
			m1 := min(m0+taskRows, m)
			var ahead kernel.Ahead
			if m0 == whole {
				ahead[0] = f.next(task, k0, w)
			}
			if last && done.beside != nil {
				ahead[1] = kernel.FetchRows(done.beside.f[m0*ldy+lo:], ldy, m1-m0, kc)
			}
			f.products.gemm(y[m0*ldy+lo:], ldy, a[m0*lda+k0:], lda, packed, kc, width, 0, m1-m0, 0, panels, k0 > 0, rest, ahead)
			if last && done.apply != nil {
				done.apply(m0, m1, lo, hi)
			}
		}
	}
}

// next is what a worker packs after the block at k0 of a task: the task's next
// block, or the first one of the task that it will probably claim.
func (f fresh) next(task, k0 int, w []float32) kernel.Fetch {
	if k0 += kernel.KC; k0 >= f.k {
		if k0, task = 0, task+f.workers; task >= f.tasks {
			return kernel.Fetch{}
		}
	}
	lo := task % f.across * f.each * kernel.NR
	if f.transposed {
		return kernel.FetchColumns(w[lo*f.k+k0:], f.k)
	}
	kc := min(kernel.KC, f.k-k0)
	return kernel.FetchRows(w[k0*f.n+lo:], f.n, kc, kc)
}

// trains tells whether a Program computes gradients of weights.
func trains(nodes []*compute.Node) bool {
	for _, n := range nodes {
		if operatorOf(n.Op).traits.has(weightGradient) {
			return true
		}
	}
	return false
}

// done is what follows a product, range by range.
type done struct {
	// apply, if not nil, is told of each range of rows whose columns lo to hi are
	// complete, while they are in the cache.
	apply func(m0, m1, lo, hi int)
	// beside, if not nil, is an array of the product's shape that apply reads.
	beside *storage
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
// input, [k, n] or, transposed, [n, k].
func (c *compiler) productOf(w *compute.Tensor, m, k, n int, transposed bool, done done) *product {
	p, engine := &product{pool: c.pool}, c.engine
	if f, ok := c.freshOf(m, k, n, transposed); ok {
		source := c.in(w)
		p.ready = func() []float32 { return source.f }
		p.job = &job{f.tasks, func(task, worker int) {
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
		if done.apply != nil {
			done.apply(m0, m1, p0*kernel.NR, min(p1*kernel.NR, n))
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
