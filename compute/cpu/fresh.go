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
func (f fresh) run(task int, y, a matrix, m int, w, scratch []float32, done done) {
	lo, hi, first, m := f.part(task, m)
	if first >= m {
		return
	}
	width, count := hi-lo, panelCount(hi-lo)
	packed, rest := split(scratch, f.packedSize())
	whole := first + max(0, (m-first)/taskRows-1)*taskRows // the last block of taskRows
	for k0 := 0; k0 < f.k; k0 += kernel.KC {
		kc := min(kernel.KC, f.k-k0)
		part := panels{packed, kc, width}
		if f.transposed {
			f.products.pack(part, matrix{w, f.k}.from(lo, k0), true, 0, count)
		} else {
			f.products.pack(part, matrix{w, f.n}.from(k0, lo), false, 0, count)
		}
		last := k0+kc == f.k
		for m0 := first; m0 < m; m0 += taskRows {
			m1 := min(m0+taskRows, m)
			var ahead kernel.Ahead
			if m0 == whole {
				ahead[0] = f.next(task, k0, w)
			}
			if last && done.beside != nil {
				ahead[1] = kernel.FetchRows(done.beside.f[m0*y.Stride+lo:], y.Stride, m1-m0, kc)
			}
			f.products.multiply(y.from(m0, lo), a.from(m0, k0), part, all(m1-m0, width), k0 > 0, rest, ahead)
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
