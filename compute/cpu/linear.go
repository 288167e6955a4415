package cpu

import (
	"slices"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// tiling cuts a matrix of m rows and a number of panels into tasks.
type tiling struct {
	m, panels     int
	rows, columns int // rows and panels of a task
	across, tasks int // tasks side by side, all tasks
}

const (
	// taskRows is the most rows of a task, as many as the kernels take at one
	// time: with kernel.KC steps of the inner dimension 96 KiB, which stay in a
	// core's second-level cache.
	taskRows = 96
	// tasksPerWorker bounds the tasks of a small product.
	tasksPerWorker = 16

	// Costs beside the multiply-adds, in those of one row and panel: reading
	// a panel into the first-level cache, touching a row (packing it, where
	// the left matrix is transposed), and claiming a task.
	panelCost = 3
	rowCost   = 1
	claimCost = 4
)

// tile cuts the product's output [m, n] into tasks, such that the worker that
// is last to finish finishes early.
func (p *pool) tile(m, n int) tiling {
	panels := panelCount(n)
	most := max(tasksPerWorker*p.workers, (m+taskRows-1)/taskRows)
	var best tiling
	bestTime := -1
	for rows := min(taskRows, roundUp(max(1, m), kernel.MR)); rows > 0; rows -= kernel.MR {
		for across := 1; across <= min(panels, tasksPerWorker*p.workers); across++ {
			t := tiling{m: m, panels: panels, rows: rows, columns: (panels + across - 1) / across}
			t.across = (panels + t.columns - 1) / t.columns
			t.tasks = (m + rows - 1) / rows * t.across
			if t.across != across || t.tasks > most {
				continue
			}
			if time := t.time(p.workers); bestTime < 0 || time < bestTime {
				best, bestTime = t, time
			}
		}
	}
	return best
}

// time is when the last of the workers finishes, if all are equally fast.
func (t tiling) time(workers int) int {
	busy := make([]int, workers)
	for task := range t.tasks {
		m0, m1, p0, p1 := t.at(task)
		free := 0
		for w := range busy {
			if busy[w] < busy[free] {
				free = w
			}
		}
		busy[free] += (m1-m0+panelCost)*(p1-p0) + rowCost*(m1-m0) + claimCost
	}
	return slices.Max(busy)
}

// at returns the rows and panels of a task.
func (t tiling) at(task int) (m0, m1, p0, p1 int) {
	m0 = task / t.across * t.rows
	p0 = task % t.across * t.columns
	return m0, min(m0+t.rows, t.m), p0, min(p0+t.columns, t.panels)
}

// panels is the right-hand side [k, n] of a product in the order of the
// kernels, cut into blocks of kernel.KC rows that are packed one after the
// other. That keeps the panels of a block together: at the distance that a
// matrix of 1024 rows or more would put between them they would evict each
// other from a second-level cache.
type panels struct {
	k, n       int
	transposed bool // packed from [n, k]
	data       []float32
	version    uint64 // of the array that they were packed from
}

// block returns the rows and the memory of the block that begins at row k0.
func (x products) block(packed []float32, k0, k, n int) (kc int, part []float32) {
	return min(kernel.KC, k-k0), packed[x.packedSize(k0, n):]
}

// blocks is gemm on blocks, with the same bits.
func (x products) blocks(c []float32, ldc int, a []float32, lda int, packed []float32, k, n, m0, m1, p0, p1 int, scratch []float32) {
	for k0 := 0; k0 < k; k0 += kernel.KC {
		kc, part := x.block(packed, k0, k, n)
		x.gemm(c, ldc, a[k0:], lda, part, kc, n, m0, m1, p0, p1, k0 > 0, scratch, kernel.Ahead{})
	}
}

// weight is the packed right-hand side of a product.
type weight struct {
	k, n     int
	products products
	source   *storage
	cached   *panels  // of a variable, nil for a computed weight
	packed   *storage // of a computed weight
	job      *job
}

// weightOf returns the weight of node input w as a matrix [k, n], packed from
// [n, k] if transposed.
func (c *compiler) weightOf(w *compute.Tensor, k, n int, transposed bool) *weight {
	x := c.engine.products
	out := &weight{k: k, n: n, products: x, source: c.in(w)}
	c.needScratch(x.scratch)
	var data func() []float32
	if a := c.arrays[root(w)]; a != nil {
		out.cached = a.panelsOf(k, n, transposed)
		data = func() []float32 { return out.cached.data }
	} else {
		out.packed = c.temporary(x.packedSize(k, n))
		data = func() []float32 { return out.packed.f }
	}
	out.job = x.packJob(data, out.source, k, n, transposed)
	return out
}

// packJob packs a matrix [k, n], or [n, k] if transposed, in blocks.
func (x products) packJob(data func() []float32, source *storage, k, n int, transposed bool) *job {
	count := panelCount(n)
	each := max(1, 2*chunk/(kernel.NR*kernel.KC))
	across := (count + each - 1) / each
	blocks := (k + kernel.KC - 1) / kernel.KC
	return &job{blocks * across, func(task, _ int) {
		k0, p0 := task/across*kernel.KC, task%across*each
		p1 := min(p0+each, count)
		kc, part := x.block(data(), k0, k, n)
		if transposed {
			x.packBT(part, source.f[k0:], k, kc, n, p0, p1)
		} else {
			x.packB(part, source.f[k0*n:], n, kc, n, p0, p1)
		}
	}}
}

func panelCount(n int) int { return (n + kernel.NR - 1) / kernel.NR }

// ready packs the weight unless its panels are as new as the variable.
func (w *weight) ready(p *pool) []float32 {
	if w.cached == nil {
		p.do(w.job)
		return w.packed.f
	}
	if w.cached.version != w.source.array.version {
		if w.cached.data == nil {
			w.cached.data = aligned(w.products.packedSize(w.k, w.n))
		}
		p.do(w.job)
		w.cached.version = w.source.array.version
	}
	return w.cached.data
}

// panelsOf returns the cache of an array's panels in one form.
func (a *array) panelsOf(k, n int, transposed bool) *panels {
	for _, p := range a.panels {
		if p.k == k && p.n == n && p.transposed == transposed {
			return p
		}
	}
	p := &panels{k: k, n: n, transposed: transposed}
	a.panels = append(a.panels, p)
	return p
}

func (c *compiler) linear(n *compute.Node, o compute.LinearOp) {
	m, k, width := n.Inputs[0].Shape.Rows(), n.Inputs[0].Shape.Last(), n.Outputs[0].Shape.Last()
	after, fused := c.fuse(n.Outputs[0])
	x, y := c.in(n.Inputs[0]), c.out(n, 0)
	var then done
	if o.Bias || fused {
		var bias *storage
		if o.Bias {
			bias = c.in(n.Inputs[2])
		}
		then.beside = after.beside
		then.apply = func(m0, m1, lo, hi int) {
			for i := m0; i < m1; i++ {
				if bias != nil {
					row := y.f[i*width+lo : i*width+hi]
					kernel.Add(row, row, bias.f[lo:hi])
				}
				if fused {
					after.apply(i*width+lo, i*width+hi)
				}
			}
		}
	}
	product := c.productOf(n.Inputs[1], m, k, width, o.OutIn, then)
	c.emitFunc(n, func() { product.do(y.f, width, x.f, k, m) })
	if fused {
		c.x.steps[len(c.x.steps)-1].flops += after.node.Op.FLOPs(after.node)
	}
}

// linearWeightGrad computes Xᵀ·dY, or dYᵀ·X with OutIn, one sequence after the
// other: the left matrix is transposed by the kernel, the right one packed.
func (c *compiler) linearWeightGrad(n *compute.Node, o compute.LinearWeightGradOp) {
	left, right := n.Inputs[0], n.Inputs[1]
	if o.OutIn {
		left, right = right, left
	}
	a, y := c.in(left), c.out(n, 0)
	sum := c.sumOf(n.Outputs[0])
	m, width := left.Shape.Last(), right.Shape.Last()
	rows, length := n.Inputs[0].Shape.Rows(), sequenceLength(n.Inputs[0].Shape)
	if length%kernel.KC == 0 {
		length = kernel.KC // a part that the kernel sums on its own anyway
	}
	count := rows / length
	products := c.engine.products
	size := products.packedSize(length, width)
	packed, packing := c.packedSequences(right, length)
	c.needScratch(products.scratch)
	tiles := c.pool.tile(m, width)
	scratch := c.engine.scratch
	added := false
	product := &job{tiles.tasks, func(task, worker int) {
		m0, m1, p0, p1 := tiles.at(task)
		for s := range count {
			products.gemmAT(y.f, width, a.f[s*length*m:], m, packed.f[s*size:(s+1)*size],
				length, width, m0, m1, p0, p1, added || s > 0, scratch[worker], a.f[min(s+1, count)*length*m:])
		}
	}}
	pool := c.pool
	c.emitFunc(n, func() {
		added = sum.adds()
		if packing != nil {
			pool.do(packing)
		}
		pool.do(product)
	})
}

// sequences names a matrix packed in parts of a number of rows.
type sequences struct {
	tensor        *compute.Tensor // a root
	length, width int
}

// packedSequences returns the memory of a matrix [rows, width] packed in parts
// of length rows, and the job that packs it; no job if an earlier step did,
// since the projections of one input all need it packed.
func (c *compiler) packedSequences(t *compute.Tensor, length int) (*storage, *job) {
	b, rows, width := c.in(t), t.Shape.Rows(), t.Shape.Last()
	key := sequences{root(t), length, width}
	if s := c.packed[key]; s != nil {
		s.last = c.step
		return s, nil
	}
	products := c.engine.products
	size, count := products.packedSize(length, width), rows/length
	packed := c.temporary(count * size)
	c.packed[key] = packed
	columns := panelCount(width)
	each := max(1, 2*chunk/(kernel.NR*length))
	across := (columns + each - 1) / each
	return packed, &job{count * across, func(task, _ int) {
		s, p0 := task/across, task%across*each
		products.packB(packed.f[s*size:(s+1)*size], b.f[s*length*width:], width, length, width, p0, min(p0+each, columns))
	}}
}
