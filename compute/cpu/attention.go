package cpu

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

func attentionOf(o compute.AttentionOp, q, k compute.Shape) kernel.Attention {
	return kernel.Attention{
		Batch: q[0], Positions: q[1], Heads: q[2], KVHeads: k[2], HeadDim: q[3],
		Causal: o.Causal, Window: o.Window, Scale: o.Scale,
	}
}

// segmentsOf returns the segments, if the node has that input.
func (c *compiler) segmentsOf(n *compute.Node, input int) *storage {
	if len(n.Inputs) > input {
		return c.in(n.Inputs[input])
	}
	return &storage{}
}

// attention has one task for each head of each row.
func (c *compiler) attention(n *compute.Node, o compute.AttentionOp) {
	in, jobs := c.attentionInputs(n.Inputs[:3]...)
	jobs = c.sameStride(&in[1], &in[2], n.Inputs[1].Shape, jobs)
	q, k, v, segments := in[0], in[1], in[2], c.segmentsOf(n, 3)
	out, lse := c.out(n, 0), c.out(n, 1)
	at := attentionOf(o, n.Inputs[0].Shape, n.Inputs[1].Shape)
	at.QStride, at.KVStride = q.stride, k.stride
	forward, scratch := at.Forward, at.ForwardScratch()
	if at.Window > 0 && !at.Causal {
		forward, scratch = windowed{at}.forward, at.Positions
	}
	c.needScratch(scratch)
	engine := c.engine
	c.emit(n, append(jobs, &job{at.Batch * at.Heads, func(task, worker int) {
		forward(out.f, lse.f, q.floats(), k.floats(), v.floats(), segments.i, task/at.Heads, task%at.Heads, engine.scratch[worker])
	}})...)
}

// attentionGrad has one task for each key head of each row: the query heads
// that share it add to the same dk and dv.
func (c *compiler) attentionGrad(n *compute.Node, o compute.AttentionGradOp) {
	in, jobs := c.attentionInputs(n.Inputs[0], n.Inputs[1], n.Inputs[2], n.Inputs[5])
	jobs = c.sameStride(&in[1], &in[2], n.Inputs[1].Shape, jobs)
	q, k, v, do := in[0], in[1], in[2], in[3]
	out, lse, segments := c.in(n.Inputs[3]), c.in(n.Inputs[4]), c.segmentsOf(n, 6)
	at := attentionOf(compute.AttentionOp(o), n.Inputs[0].Shape, n.Inputs[1].Shape)
	c.needScratch(at.BackwardScratch())
	engine := c.engine
	if at.Window > 0 && !at.Causal {
		dq, dk, dv := c.out(n, 0), c.out(n, 1), c.out(n, 2)
		c.emit(n, append(jobs, &job{at.Batch * at.KVHeads, func(task, _ int) {
			windowed{at}.backward(dq.f, dk.f, dv.f, q.f, k.f, v.f, out.f, lse.f, do.f, segments.i, task/at.KVHeads, task%at.KVHeads)
		}})...)
		return
	}
	dq, dkv := c.outViews(n, 0)[0], c.outViews(n, 1, 2)
	at.QStride, at.KVStride = strideOf(q, at.Heads*at.HeadDim), strideOf(k, at.KVHeads*at.HeadDim)
	at.DQStride, at.DKVStride = strideOf(dq, at.Heads*at.HeadDim), strideOf(dkv[0], at.KVHeads*at.HeadDim)
	c.emit(n, append(jobs, &job{at.Batch * at.KVHeads, func(task, worker int) {
		at.Backward(dq.floats(), dkv[0].floats(), dkv[1].floats(), q.floats(), k.floats(), v.floats(),
			out.f, lse.f, do.floats(), segments.i, task/at.KVHeads, task%at.KVHeads, engine.scratch[worker])
	}})...)
}

// strideOf is the distance of a view's rows, which have the given width.
func strideOf(v view, width int) int {
	if v.stride == 0 {
		return width
	}
	return v.stride
}

// cachedAttention writes the new keys and values of all rows, then has one
// task for each key head of each row.
func (c *compiler) cachedAttention(n *compute.Node, o compute.CachedAttentionOp) {
	k, v := c.in(n.Inputs[1]), c.in(n.Inputs[2])
	oldKeys, oldValues := c.in(n.Inputs[3]), c.in(n.Inputs[4])
	slots, starts, counts := c.in(n.Inputs[5]), c.in(n.Inputs[6]), c.in(n.Inputs[7])
	out, keys, values := c.out(n, 0), c.out(n, 1), c.out(n, 2)
	qs, cache := n.Inputs[0].Shape, n.Inputs[3].Shape
	rows, positions := qs[0], qs[1]
	at := kernel.CachedAttention{
		Heads: qs[2], KVHeads: cache[2], HeadDim: qs[3],
		MaxPositions: cache[1], Window: o.Window, Scale: o.Scale,
	}
	c.needScratch(at.Scratch())
	c.check(n, cacheCheck(slots, starts, counts, positions, cache))

	width := cache[2] * cache[3]   // of a position of the cache
	slot := cache[1] * width       // of a slot
	query := at.Heads * at.HeadDim // of a position of q
	put := func(dst, src []float32) { copy(dst, src) }
	if c.engine.precision == BF16 {
		put = kernel.RoundBF16
	}
	store := byRows(rows, positions*width, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			to := int(slots.i[r])*slot + int(starts.i[r])*width
			from, length := r*positions*width, int(counts.i[r])*width
			if length > 0 {
				put(keys.f[to:to+length], k.f[from:from+length])
				put(values.f[to:to+length], v.f[from:from+length])
			}
		}
	})
	group := at.Heads / at.KVHeads * at.HeadDim
	in, jobs := c.attentionInputs(n.Inputs[0])
	q := in[0]
	engine := c.engine
	attend := &job{rows * at.KVHeads, func(task, worker int) {
		r, g := task/at.KVHeads, task%at.KVHeads
		begin, count := r*positions*query, int(counts.i[r])
		for p := count; p < positions; p++ { // padding
			head := begin + p*query + g*group
			clear(out.f[head : head+group])
		}
		if count == 0 {
			return
		}
		s := int(slots.i[r]) * slot
		at.Forward(out.f[begin:begin+count*query], q.f[begin:begin+count*query],
			keys.f[s:s+slot], values.f[s:s+slot], int(starts.i[r]), g, engine.scratch[worker])
	}}
	jobs = append(jobs, store, attend)
	for _, pair := range [][2]*storage{{values, oldValues}, {keys, oldKeys}} {
		if pair[0].array == nil || pair[0].array != pair[1].array { // not in place
			jobs = append([]*job{chunked(pair[0].size, func(lo, hi int) { copy(pair[0].f[lo:hi], pair[1].f[lo:hi]) })}, jobs...)
		}
	}
	c.emit(n, jobs...)
}

// cacheCheck checks what CachedAttention indexes the cache with.
func cacheCheck(slots, starts, counts *storage, positions int, cache compute.Shape) func() error {
	taken := make([]int, cache[0]) // row + 1 that names a slot
	return func() error {
		clear(taken)
		for r, count := range counts.i {
			slot, start := slots.i[r], starts.i[r]
			switch {
			case count < 0 || int(count) > positions:
				return fmt.Errorf("count %d of row %d is not in 0..%d", count, r, positions)
			case count == 0:
				continue
			case slot < 0 || int(slot) >= cache[0]:
				return fmt.Errorf("slot %d of row %d is not in 0..%d", slot, r, cache[0]-1)
			case start < 0 || int(start)+int(count) > cache[1]:
				return fmt.Errorf("row %d writes positions %d..%d of a cache of %d", r, start, int(start)+int(count)-1, cache[1])
			case taken[slot] != 0:
				return fmt.Errorf("rows %d and %d both name slot %d", taken[slot]-1, r, slot)
			}
			taken[slot] = r + 1
		}
		return nil
	}
}
