package cpu

import (
	"unsafe"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// matrix is rows of floats.
type matrix struct {
	data   []float32
	stride int // from row to row, in floats
}

// from is the matrix that begins at a row and a column.
func (m matrix) from(row, column int) matrix {
	return matrix{m.data[row*m.stride+column:], m.stride}
}

// panels is the right-hand side [k, n] of a product in the order of the kernels.
// The data is memory counted in floats, whatever it holds.
type panels struct {
	data []float32
	k, n int
}

// area is the rows m0 to m1 and the panels p0 to p1 of a product.
type area struct{ m0, m1, p0, p1 int }

// all is the area of a product of m rows with n columns.
func all(m, n int) area { return area{0, m, 0, panelCount(n)} }

func panelCount(n int) int { return (n + kernel.NR - 1) / kernel.NR }

// products are the matrix products of one precision.
type products struct {
	// packedSize is the floats that the panels of a matrix [k, n] take.
	packedSize func(k, n int) int
	// pack packs the panels p0 to p1 of b, which is [k, n] or, transposed, [n, k].
	pack func(to panels, b matrix, transposed bool, p0, p1 int)
	// together is the most panels that a task packs at a time (see fresh). With
	// blocks of kernel.KC steps and of 96 rows they stay in a second-level cache.
	together int
	scratch  int // floats that multiply and multiplyAT need of each worker
	// multiply is kernel.Gemm, c = a·b: an area of c, which is added to what
	// is there if add. It may fetch what is read after it.
	multiply func(c, a matrix, b panels, at area, add bool, scratch []float32, ahead kernel.Ahead)
	// multiplyAT is kernel.GemmAT, c = aᵀ·b; next is the next product's a.
	multiplyAT func(c, a matrix, b panels, at area, add bool, scratch, next []float32)
}

func productsOf(p Precision) products {
	if p == BF16 {
		return products{
			packedSize: kernel.PackedSizeBF16,
			pack: func(to panels, b matrix, transposed bool, p0, p1 int) {
				if transposed {
					kernel.PackBTBF16(words(to.data), b.data, b.stride, to.k, to.n, p0, p1)
				} else {
					kernel.PackBBF16(words(to.data), b.data, b.stride, to.k, to.n, p0, p1)
				}
			},
			together: 24,
			scratch:  kernel.GemmBF16Scratch(),
			multiply: func(c, a matrix, b panels, at area, add bool, scratch []float32, ahead kernel.Ahead) {
				kernel.GemmBF16(c.data, c.stride, a.data, a.stride, words(b.data), b.k, b.n, at.m0, at.m1, at.p0, at.p1, add, scratch, ahead)
			},
			multiplyAT: func(c, a matrix, b panels, at area, add bool, scratch, next []float32) {
				kernel.GemmATBF16(c.data, c.stride, a.data, a.stride, words(b.data), b.k, b.n, at.m0, at.m1, at.p0, at.p1, add, scratch, next)
			},
		}
	}
	return products{
		packedSize: kernel.PackedSize,
		pack: func(to panels, b matrix, transposed bool, p0, p1 int) {
			if transposed {
				kernel.PackBT(to.data, b.data, b.stride, to.k, to.n, p0, p1)
			} else {
				kernel.PackB(to.data, b.data, b.stride, to.k, to.n, p0, p1)
			}
		},
		together: 12,
		scratch:  kernel.GemmATScratch(),
		multiply: func(c, a matrix, b panels, at area, add bool, _ []float32, ahead kernel.Ahead) {
			kernel.Gemm(c.data, c.stride, a.data, a.stride, b.data, b.k, b.n, at.m0, at.m1, at.p0, at.p1, add, ahead)
		},
		multiplyAT: func(c, a matrix, b panels, at area, add bool, scratch, next []float32) {
			kernel.GemmAT(c.data, c.stride, a.data, a.stride, b.data, b.k, b.n, at.m0, at.m1, at.p0, at.p1, add, scratch, next)
		},
	}
}

// words is the memory of floats as words.
func words(f []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
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
	y, a matrix
	w    []float32
	m    int
}

// productOf prepares products of at most m rows with the weight of a node's
// input, [k, n] or, transposed, [n, k].
func (c *compiler) productOf(w *compute.Tensor, m, k, n int, transposed bool, done done) *product {
	p, engine := &product{pool: c.pool}, c.engine
	if f, ok := c.freshOf(m, k, n, transposed); ok {
		source := c.in(w)
		p.ready = func() []float32 { return source.f }
		p.job = &job{f.tasks, func(task, worker int) {
			f.run(task, p.y, p.a, p.m, p.w, engine.scratch[worker], done)
		}}
		return p
	}
	weight := c.weightOf(w, k, n, transposed)
	tiles := c.pool.tile(m, n)
	p.ready = func() []float32 { return weight.ready(p.pool) }
	p.job = &job{tiles.tasks, func(task, worker int) {
		at := tiles.at(task)
		at.m1 = min(at.m1, p.m)
		if at.m0 >= at.m1 {
			return
		}
		engine.products.blocks(p.y, p.a, panels{p.w, k, n}, at, engine.scratch[worker])
		if done.apply != nil {
			done.apply(at.m0, at.m1, at.p0*kernel.NR, min(at.p1*kernel.NR, n))
		}
	}}
	return p
}

// do computes m rows of y from those of a.
func (p *product) do(y, a matrix, m int) {
	p.w = p.ready()
	p.y, p.a, p.m = y, a, m
	p.pool.do(p.job)
}
