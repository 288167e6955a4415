package cpu

import (
	"fmt"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

func (c *compiler) embedding(n *compute.Node, _ compute.EmbeddingOp) {
	table, ids, y := c.in(n.Inputs[0]), c.in(n.Inputs[1]), c.out(n, 0)
	rows := n.Inputs[0].Shape[0]
	width := n.Inputs[0].Shape[1:].Size()
	c.checkBelow(n, "row", ids, rows)
	c.emit(n, byRows(ids.size, width, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := y.f[i*width : (i+1)*width]
			if id := int(ids.i[i]); id >= 0 {
				copy(row, table.f[id*width:(id+1)*width])
			} else {
				clear(row)
			}
		}
	}))
}

// checkBelow checks indexes of which negative ones stand for none.
func (c *compiler) checkBelow(n *compute.Node, what string, ids *storage, limit int) {
	c.check(n, func() error {
		for i, id := range ids.i {
			if int(id) >= limit {
				return fmt.Errorf("%s %d at position %d is not below %d", what, id, i, limit)
			}
		}
		return nil
	})
}

// embeddingTasks is the number of tasks that share the rows of a table: row r
// belongs to task r mod embeddingTasks, which spreads frequent ids.
const embeddingTasks = 16

func (c *compiler) embeddingGrad(n *compute.Node, _ compute.EmbeddingGradOp) {
	ids, dy, dtable := c.in(n.Inputs[0]), c.in(n.Inputs[1]), c.out(n, 0)
	rows := n.Outputs[0].Shape[0]
	width := dtable.size / rows
	c.checkBelow(n, "row", ids, rows)
	sum, pool := c.sumOf(n.Outputs[0]), c.pool
	whole := func(id int) []float32 { return dtable.floats()[id*width : (id+1)*width] }
	var row func(id int) []float32
	scatter := &job{embeddingTasks, func(task, _ int) {
		for i, id := range ids.i {
			if id >= 0 && int(id)%embeddingTasks == task {
				to := row(int(id))
				kernel.Add(to, to, dy.f[i*width:(i+1)*width])
			}
		}
	}}
	zero := chunked(dtable.size, func(lo, hi int) { clear(dtable.floats()[lo:hi]) })
	c.emitFunc(n, func() {
		adds, form := sum.adds(), dtable.rows()
		switch {
		case form != nil:
			if !adds {
				form.clear()
			}
			for _, id := range ids.i {
				if id >= 0 {
					form.take(int(id))
				}
			}
			row = form.row
		case adds:
			row = whole
		default:
			pool.do(zero)
			row = whole
		}
		pool.do(scatter)
	})
}

// sumChunk rows of a sequence are summed on their own, then the sums of the
// chunks are added in order: the pieces depend on the shapes alone, and none
// crosses from one sequence into the next.
const sumChunk = 32

// rowChunks cuts rows into chunks of at most sumChunk within sequences.
type rowChunks struct {
	rows, sequence, perSequence int
}

// chunksOf cuts the rows of a tensor [..., T, D].
func chunksOf(shape compute.Shape) rowChunks {
	rows, sequence := shape.Rows(), sequenceLength(shape)
	return rowChunks{rows, sequence, (sequence + sumChunk - 1) / sumChunk}
}

func (r rowChunks) count() int { return r.rows / r.sequence * r.perSequence }

func (r rowChunks) at(chunk int) (lo, hi int) {
	start := chunk / r.perSequence * r.sequence
	lo = chunk % r.perSequence * sumChunk
	return start + lo, start + min(lo+sumChunk, r.sequence)
}

// sequenceLength is the dimension before the last, 1 if there is none.
func sequenceLength(shape compute.Shape) int {
	if len(shape) < 2 {
		return 1
	}
	return shape[len(shape)-2]
}

// total makes the job that adds chunk sums [chunks, width] up to a row, the
// output. It is one task: there are few chunks.
func (c *compiler) total(n *compute.Node, output int, sums *storage) *job {
	y, sum := c.out(n, output), c.sumOf(n.Outputs[output])
	return &job{1, func(int, int) {
		if !sum.adds() {
			clear(y.f)
		}
		kernel.SumRows(y.f, sums.f)
	}}
}

func (c *compiler) sumRows(n *compute.Node, _ compute.SumRowsOp) {
	x := c.in(n.Inputs[0])
	width := n.Inputs[0].Shape.Last()
	chunks := chunksOf(n.Inputs[0].Shape)
	sums := c.temporary(chunks.count() * width)
	c.emit(n, &job{chunks.count(), func(task, _ int) {
		lo, hi := chunks.at(task)
		sum := sums.f[task*width : (task+1)*width]
		clear(sum)
		kernel.SumRows(sum, x.f[lo*width:hi*width])
	}}, c.total(n, 0, sums))
}

func (c *compiler) layerNorm(n *compute.Node, o compute.LayerNormOp) {
	x, gamma, beta := c.in(n.Inputs[0]), c.in(n.Inputs[1]), c.in(n.Inputs[2])
	y, mean, rstd := c.out(n, 0), c.out(n, 1), c.out(n, 2)
	d := gamma.size
	c.emit(n, byRows(mean.size, d, func(lo, hi int) {
		kernel.LayerNorm(y.f[lo*d:hi*d], mean.f[lo:hi], rstd.f[lo:hi], x.f[lo*d:hi*d], gamma.f, beta.f, o.Epsilon)
	}))
}

func (c *compiler) layerNormGrad(n *compute.Node, _ compute.LayerNormGradOp) {
	x, gamma, mean := c.in(n.Inputs[0]), c.in(n.Inputs[1]), c.in(n.Inputs[2])
	rstd, dy := c.in(n.Inputs[3]), c.in(n.Inputs[4])
	dx := c.out(n, 0)
	d := gamma.size
	chunks := chunksOf(n.Inputs[0].Shape)
	dgamma, dbeta := c.temporary(chunks.count()*d), c.temporary(chunks.count()*d)
	c.emit(n, &job{chunks.count(), func(task, _ int) {
		lo, hi := chunks.at(task)
		dg, db := dgamma.f[task*d:(task+1)*d], dbeta.f[task*d:(task+1)*d]
		clear(dg)
		clear(db)
		kernel.LayerNormGrad(dx.f[lo*d:hi*d], dg, db, dy.f[lo*d:hi*d], x.f[lo*d:hi*d], mean.f[lo:hi], rstd.f[lo:hi], gamma.f)
	}}, c.total(n, 1, dgamma), c.total(n, 2, dbeta))
}

func (c *compiler) rmsNorm(n *compute.Node, o compute.RMSNormOp) {
	x, gamma := c.in(n.Inputs[0]), c.in(n.Inputs[1])
	y, rstd := c.out(n, 0), c.out(n, 1)
	d := gamma.size
	c.emit(n, byRows(rstd.size, d, func(lo, hi int) {
		kernel.RMSNorm(y.f[lo*d:hi*d], rstd.f[lo:hi], x.f[lo*d:hi*d], gamma.f, o.Epsilon)
	}))
}

func (c *compiler) rmsNormGrad(n *compute.Node, _ compute.RMSNormGradOp) {
	x, gamma, rstd, dy := c.in(n.Inputs[0]), c.in(n.Inputs[1]), c.in(n.Inputs[2]), c.in(n.Inputs[3])
	dx := c.out(n, 0)
	d := gamma.size
	chunks := chunksOf(n.Inputs[0].Shape)
	dgamma := c.temporary(chunks.count() * d)
	c.emit(n, &job{chunks.count(), func(task, _ int) {
		lo, hi := chunks.at(task)
		dg := dgamma.f[task*d : (task+1)*d]
		clear(dg)
		kernel.RMSNormGrad(dx.f[lo*d:hi*d], dg, dy.f[lo*d:hi*d], x.f[lo*d:hi*d], rstd.f[lo:hi], gamma.f)
	}}, c.total(n, 1, dgamma))
}

// rotation holds the cosines and sines of RoPE for positions from 0, for the
// operators that share its frequencies. It grows with the positions met.
type rotation struct {
	frequencies []float64
	positions   int
	cos, sin    []float32 // [positions, len(frequencies)]
}

// rotationLimit bounds positions, so that a stray number does not fill the
// memory with angles.
const rotationLimit = 1 << 20

// rotationOf returns the engine's table for these frequencies.
func (e *Engine) rotationOf(frequencies []float64) *rotation {
	for _, r := range e.rotations {
		if slices.Equal(r.frequencies, frequencies) {
			return r
		}
	}
	r := &rotation{frequencies: slices.Clone(frequencies)}
	e.rotations = append(e.rotations, r)
	return r
}

// grow makes the table hold at least that many positions.
func (r *rotation) grow(positions int) {
	if positions <= r.positions {
		return
	}
	positions = max(positions, 2*r.positions, 64)
	half := len(r.frequencies)
	cos, sin := make([]float32, positions*half), make([]float32, positions*half)
	copy(cos, r.cos)
	copy(sin, r.sin)
	for p := r.positions; p < positions; p++ {
		for i, f := range r.frequencies {
			s, c := math.Sincos(float64(p) * f)
			cos[p*half+i], sin[p*half+i] = float32(c), float32(s)
		}
	}
	r.positions, r.cos, r.sin = positions, cos, sin
}

func (c *compiler) rope(n *compute.Node, o compute.RoPEOp) {
	x, positions, y := c.in(n.Inputs[0]), c.in(n.Inputs[1]), c.out(n, 0)
	shape := n.Inputs[0].Shape
	heads, dim := shape[len(shape)-2], shape.Last()
	width := heads * dim
	table := c.engine.rotationOf(o.Frequencies)
	c.check(n, func() error {
		last := int32(-1)
		for i, p := range positions.i {
			if p < 0 || p >= rotationLimit {
				return fmt.Errorf("position %d at row %d is not in 0..%d", p, i, rotationLimit-1)
			}
			last = max(last, p)
		}
		table.grow(int(last) + 1)
		return nil
	})
	rotate := kernel.RoPE
	if o.Inverse {
		rotate = kernel.RoPEInverse
	}
	c.emit(n, byRows(positions.size, width, func(lo, hi int) {
		rotate(y.f[lo*width:hi*width], x.f[lo*width:hi*width], table.cos, table.sin, positions.i[lo:hi], heads, dim)
	}))
}
