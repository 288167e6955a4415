package cpu

import (
	"unsafe"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// matrix is rows of floats.
type matrix kernel.Matrix

// from is the matrix that begins at a row and a column.
func (m matrix) from(row, column int) matrix {
	return matrix{m.Data[row*m.Stride+column:], m.Stride}
}

// panels is the right-hand side [K, N] of a product in the order of the kernels.
// The data is memory counted in floats, whatever it holds.
type panels kernel.Panels

// words is the panels as those of bfloat16.
func (b panels) words() kernel.PanelsBF16 {
	return kernel.PanelsBF16{Data: unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b.Data))), len(b.Data)), K: b.K, N: b.N}
}

// area is rows and panels of a product.
type area kernel.Area

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
					kernel.PackBTBF16(to.words(), kernel.Matrix(b), p0, p1)
				} else {
					kernel.PackBBF16(to.words(), kernel.Matrix(b), p0, p1)
				}
			},
			together: 24,
			scratch:  kernel.GemmBF16Scratch(),
			multiply: func(c, a matrix, b panels, at area, add bool, scratch []float32, ahead kernel.Ahead) {
				kernel.GemmBF16(kernel.Matrix(c), kernel.Matrix(a), b.words(), kernel.Area(at), add, scratch, ahead)
			},
			multiplyAT: func(c, a matrix, b panels, at area, add bool, scratch, next []float32) {
				kernel.GemmATBF16(kernel.Matrix(c), kernel.Matrix(a), b.words(), kernel.Area(at), add, scratch, next)
			},
		}
	}
	return products{
		packedSize: kernel.PackedSize,
		pack: func(to panels, b matrix, transposed bool, p0, p1 int) {
			if transposed {
				kernel.PackBT(kernel.Panels(to), kernel.Matrix(b), p0, p1)
			} else {
				kernel.PackB(kernel.Panels(to), kernel.Matrix(b), p0, p1)
			}
		},
		together: 12,
		scratch:  kernel.GemmATScratch(),
		multiply: func(c, a matrix, b panels, at area, add bool, _ []float32, ahead kernel.Ahead) {
			kernel.Gemm(kernel.Matrix(c), kernel.Matrix(a), kernel.Panels(b), kernel.Area(at), add, ahead)
		},
		multiplyAT: func(c, a matrix, b panels, at area, add bool, scratch, next []float32) {
			kernel.GemmAT(kernel.Matrix(c), kernel.Matrix(a), kernel.Panels(b), kernel.Area(at), add, scratch, next)
		},
	}
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
		at.M1 = min(at.M1, p.m)
		if at.M0 >= at.M1 {
			return
		}
		engine.products.blocks(p.y, p.a, panels{p.w, k, n}, at, engine.scratch[worker])
		if done.apply != nil {
			done.apply(at.M0, at.M1, at.P0*kernel.NR, min(at.P1*kernel.NR, n))
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
