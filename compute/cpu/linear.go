package cpu

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

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
	c.emitFunc(n, func() { product.do(matrix{y.f, width}, matrix{x.f, k}, m) })
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
		at := tiles.at(task)
		for s := range count {
			part := panels{packed.f[s*size : (s+1)*size], length, width}
			products.multiplyAT(matrix{y.f, width}, matrix{a.f, m}.from(s*length, 0), part, at, added || s > 0, scratch[worker], a.f[min(s+1, count)*length*m:])
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
		part := panels{packed.f[s*size : (s+1)*size], length, width}
		products.pack(part, matrix{b.f, width}.from(s*length, 0), false, p0, min(p0+each, columns))
	}}
}
