package cpu

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// keptPanels are those of a variable, cut into blocks of kernel.KC rows that are
// packed one after the other. That keeps the panels of a block together: at the
// distance that a matrix of 1024 rows or more would put between them they would
// evict each other from a second-level cache.
type keptPanels struct {
	panels
	transposed bool   // packed from [n, k]
	version    uint64 // of the array that they were packed from
}

// block returns the panels of the block that begins at row k0.
func (x products) block(b panels, k0 int) panels {
	return panels{b.Data[x.packedSize(k0, b.N):], min(kernel.KC, b.K-k0), b.N}
}

// blocks is multiply on blocks, with the same bits.
func (x products) blocks(c, a matrix, b panels, at area, scratch []float32) {
	for k0 := 0; k0 < b.K; k0 += kernel.KC {
		x.multiply(c, a.from(0, k0), x.block(b, k0), at, k0 > 0, scratch, kernel.Ahead{})
	}
}

// weight is the packed right-hand side of a product.
type weight struct {
	k, n     int
	products products
	source   *storage
	cached   *keptPanels // of a variable, nil for a computed weight
	packed   *storage    // of a computed weight
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
		data = func() []float32 { return out.cached.Data }
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
		part := x.block(panels{data(), k, n}, k0)
		if transposed {
			x.pack(part, matrix{source.f, k}.from(0, k0), true, p0, p1)
		} else {
			x.pack(part, matrix{source.f, n}.from(k0, 0), false, p0, p1)
		}
	}}
}

// ready packs the weight unless its panels are as new as the variable.
func (w *weight) ready(p *pool) []float32 {
	if w.cached == nil {
		p.do(w.job)
		return w.packed.f
	}
	if w.cached.version != w.source.array.version {
		if w.cached.Data == nil {
			w.cached.Data = aligned(w.products.packedSize(w.k, w.n))
		}
		p.do(w.job)
		w.cached.version = w.source.array.version
	}
	return w.cached.Data
}

// panelsOf returns the cache of an array's panels in one form.
func (a *array) panelsOf(k, n int, transposed bool) *keptPanels {
	for _, p := range a.panels {
		if p.K == k && p.N == n && p.transposed == transposed {
			return p
		}
	}
	p := &keptPanels{panels: panels{K: k, N: n}, transposed: transposed}
	a.panels = append(a.panels, p)
	return p
}
