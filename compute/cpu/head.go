package cpu

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// headRows is the number of rows whose logits one task of a vocabulary
// operator holds.
const headRows = 48

// head is what the vocabulary operators share: the rows that count, those
// with a token ≥ 0, are gathered, so that the others cost nothing.
type head struct {
	hidden, tokens *storage
	rows, d, v     int
	perTask        int
	stride         int // of a row of logits
}

// headOf reads the sizes of a vocabulary operator, whose inputs begin with hidden
// [N, D], w and tokens.
func (c *compiler) headOf(n *compute.Node) head {
	hidden := n.Inputs[0].Shape
	h := head{hidden: c.in(n.Inputs[0]), tokens: c.in(n.Inputs[2]), rows: hidden[0], d: hidden[1]}
	h.v = n.Inputs[1].Shape.Size() / h.d
	// Rows at a distance of a power of two would share their cache lines' sets.
	h.stride = roundUp(h.v, alignment) + alignment
	h.perTask = min(headRows, roundUp(max(1, h.rows/(2*c.pool.workers)), kernel.MR))
	c.checkBelow(n, "token", h.tokens, h.v)
	return h
}

// headForward appends the step of a forward pass: row gets the logits of each row
// that counts, skip the other rows.
func (c *compiler) headForward(n *compute.Node, h head, outIn bool, row func(r int, logits []float32, token int), skip func(r int)) {
	if k, ok := c.keep(n, h); ok {
		c.keptForward(n, h, k, outIn, row, skip)
		return
	}
	w := c.weightOf(n.Inputs[1], h.d, h.v, outIn)
	var bias *storage // the inputs of a forward pass are hidden, w, tokens and the bias
	if len(n.Inputs) == 4 {
		bias = c.in(n.Inputs[3])
	}
	products := c.engine.products
	c.needScratch(h.perTask*(h.d+h.stride) + products.scratch)
	pool, engine := c.pool, c.engine
	var packed []float32
	product := &job{(h.rows + h.perTask - 1) / h.perTask, func(task, worker int) {
		lo := task * h.perTask
		hi := min(lo+h.perTask, h.rows)
		hidden, rest := split(engine.scratch[worker], h.perTask*h.d)
		logits, scratch := split(rest, h.perTask*h.stride)
		count := 0
		for r := lo; r < hi; r++ {
			if h.tokens.i[r] < 0 {
				skip(r)
				continue
			}
			copy(hidden[count*h.d:(count+1)*h.d], h.hidden.f[r*h.d:])
			count++
		}
		products.blocks(logits, h.stride, hidden, h.d, packed, h.d, h.v, 0, count, 0, panelCount(h.v), scratch)
		at := 0
		for r := lo; r < hi; r++ {
			if token := h.tokens.i[r]; token >= 0 {
				of := logits[at*h.stride:][:h.v]
				addBias(of, bias)
				row(r, of, int(token))
				at++
			}
		}
	}}
	c.emitFunc(n, func() {
		packed = w.ready(pool)
		pool.do(product)
	})
}

// clearOthers makes the job that sets the rows that do not count to zero.
func (h head) clearOthers(dhidden *storage) *job {
	return byRows(h.rows, h.d, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			if h.tokens.i[r] < 0 {
				clear(dhidden.f[r*h.d : (r+1)*h.d])
			}
		}
	})
}

// split cuts a slice in two.
func split(s []float32, at int) (a, b []float32) { return s[:at:at], s[at:] }

// addBias adds the vocabulary's bias to a row of logits, if there is one.
func addBias(logits []float32, bias *storage) {
	if bias != nil {
		kernel.Add(logits, logits, bias.f)
	}
}

func (c *compiler) crossEntropy(n *compute.Node, o compute.LinearCrossEntropyOp) {
	loss, lse := c.out(n, 0), c.out(n, 1)
	c.headForward(n, c.headOf(n), o.OutIn, func(r int, logits []float32, token int) {
		loss.f[r], lse.f[r] = kernel.CrossEntropyRow(logits, token)
	}, func(r int) {
		loss.f[r], lse.f[r] = 0, 0
	})
}

func (c *compiler) tokenLogProb(n *compute.Node, o compute.TokenLogProbOp) {
	logProb, entropy, lse := c.out(n, 0), c.out(n, 1), c.out(n, 2)
	c.headForward(n, c.headOf(n), o.OutIn, func(r int, logits []float32, token int) {
		logProb.f[r], entropy.f[r], lse.f[r] = kernel.LogProbRow(logits, token, o.Temperature)
	}, func(r int) {
		logProb.f[r], entropy.f[r], lse.f[r] = 0, 0, 0
	})
}

func (c *compiler) crossEntropyGrad(n *compute.Node, o compute.LinearCrossEntropyGradOp) {
	lse, dloss := c.in(n.Inputs[3]), c.in(n.Inputs[4])
	c.headBackward(n, o.OutIn, func(r int, logits []float32, token int) {
		kernel.CrossEntropyGradRow(logits, token, lse.f[r], dloss.f[r])
	})
}

func (c *compiler) tokenLogProbGrad(n *compute.Node, o compute.TokenLogProbGradOp) {
	lse, dout := c.in(n.Inputs[3]), c.in(n.Inputs[4])
	c.headBackward(n, o.OutIn, func(r int, logits []float32, token int) {
		kernel.LogProbGradRow(logits, token, lse.f[r], o.Temperature, dout.f[r])
	})
}

// headBlocks cuts the rows into blocks [from, to) of at most compute.HeadBlock,
// none of which crosses a sequence, the last dimension of the tokens.
func headBlocks(tokens compute.Shape) [][2]int {
	var blocks [][2]int
	rows, sequence := tokens.Size(), tokens.Last()
	for start := 0; start < rows; start += sequence {
		for from := start; from < start+sequence; from += compute.HeadBlock {
			blocks = append(blocks, [2]int{from, min(from+compute.HeadBlock, start+sequence)})
		}
	}
	return blocks
}

// headBackward goes through the rows in blocks of compute.HeadBlock. The rows
// of a block that count are gathered; for them the logits are computed again,
// grad turns them into their gradients, and these give dhidden row by row and
// then, all rows together, the block's part of dw. A row that does not count
// would add zeros, so leaving it out changes no bit. Where the sixth input is a
// bias of the logits, the rows of their gradients are added up to dbias.
func (c *compiler) headBackward(n *compute.Node, outIn bool, grad func(r int, logits []float32, token int)) {
	h := c.headOf(n)
	if k, ok := c.kept[n.Inputs[3]]; ok {
		c.keptBackward(n, h, k, outIn, grad)
		return
	}
	dhidden, dw := c.out(n, 0), c.out(n, 1)
	needW := c.needed(n.Outputs[1])
	weightSum := c.sumOf(n.Outputs[1])
	var bias, dbias *storage
	var biasSum sum
	needBias := false
	if len(n.Inputs) == 6 {
		bias, dbias = c.in(n.Inputs[5]), c.out(n, 2)
		needBias, biasSum = c.needed(n.Outputs[2]), c.sumOf(n.Outputs[2])
	}
	forward := c.weightOf(n.Inputs[1], h.d, h.v, outIn)
	backward := c.weightOf(n.Inputs[1], h.v, h.d, !outIn)
	blocks := headBlocks(n.Inputs[2].Shape)
	size := min(compute.HeadBlock, n.Inputs[2].Shape.Last())
	perTask := min(headRows, roundUp((size+2*c.pool.workers-1)/(2*c.pool.workers), kernel.MR))
	logits := c.temporary(size * h.stride)
	hidden := c.temporary(size * h.d)
	dgathered := c.temporary(size * h.d)

	// The state of the block that the jobs work on.
	var (
		counting  = make([]int, 0, size) // rows
		first     bool
		forwardP  []float32
		backwardP []float32
	)
	products, engine := c.engine.products, c.engine
	rowsJob := &job{0, func(task, worker int) {
		lo := task * perTask
		hi := min(lo+perTask, len(counting))
		for i, r := range counting[lo:hi] {
			copy(hidden.f[(lo+i)*h.d:(lo+i+1)*h.d], h.hidden.f[r*h.d:])
		}
		products.blocks(logits.f, h.stride, hidden.f, h.d, forwardP, h.d, h.v, lo, hi, 0, panelCount(h.v), engine.scratch[worker])
		for i, r := range counting[lo:hi] {
			of := logits.f[(lo+i)*h.stride:][:h.v]
			addBias(of, bias)
			grad(r, of, int(h.tokens.i[r]))
		}
		products.blocks(dgathered.f, h.d, logits.f, h.stride, backwardP, h.v, h.d, lo, hi, 0, panelCount(h.d), engine.scratch[worker])
		for i, r := range counting[lo:hi] {
			copy(dhidden.f[r*h.d:(r+1)*h.d], dgathered.f[(lo+i)*h.d:])
		}
	}}
	zeroJob := h.clearOthers(dhidden)
	gradW := c.headWeightGrad(h, outIn, dw, logits, hidden, size)
	biasJob := byRows(h.v, size, func(lo, hi int) { // each task has entries of its own
		for i := range counting {
			kernel.Add(dbias.f[lo:hi], dbias.f[lo:hi], logits.f[i*h.stride:][lo:hi])
		}
	})
	pool := c.pool
	c.emitFunc(n, func() {
		forwardP, backwardP = forward.ready(pool), backward.ready(pool)
		pool.do(zeroJob)
		first = !needW || !weightSum.adds()
		if needBias && !biasSum.adds() {
			clear(dbias.f)
		}
		for _, block := range blocks {
			counting = counting[:0]
			for r := block[0]; r < block[1]; r++ {
				if h.tokens.i[r] >= 0 {
					counting = append(counting, r)
				}
			}
			if len(counting) == 0 {
				continue
			}
			rowsJob.tasks = (len(counting) + perTask - 1) / perTask
			pool.do(rowsJob)
			if needBias {
				pool.do(biasJob)
			}
			if needW {
				gradW(len(counting), !first)
				first = false
			}
		}
		if needW && first {
			clear(dw.f)
		}
	})
}

// headWeightGrad returns a function that adds one block's part of dw, or sets
// dw to it, from the gradients of the logits and the hidden rows.
func (c *compiler) headWeightGrad(h head, outIn bool, dw, logits, hidden *storage, size int) func(rows int, add bool) {
	pool, engine, products := c.pool, c.engine, c.engine.products
	c.needScratch(products.scratch)
	var (
		rows int
		add  bool
	)
	if outIn { // dw [V, D] = dlogitsᵀ·hidden
		packed := c.temporary(products.packedSize(size, h.d))
		packing := &job{panelCount(h.d), func(p, _ int) {
			products.packB(packed.f, hidden.f, h.d, rows, h.d, p, p+1)
		}}
		tiles := pool.tile(h.v, h.d)
		product := &job{tiles.tasks, func(task, worker int) {
			m0, m1, p0, p1 := tiles.at(task)
			products.gemmAT(dw.f, h.d, logits.f, h.stride, packed.f, rows, h.d, m0, m1, p0, p1, add, engine.scratch[worker], nil)
		}}
		return func(r int, a bool) {
			rows, add = r, a
			pool.do(packing)
			pool.do(product)
		}
	}
	// dw [D, V] = hiddenᵀ·dlogits; each task packs the panels it reads.
	packed := c.temporary(products.packedSize(size, h.v))
	tiles := pool.tile(kernel.MR, h.v)
	product := &job{tiles.tasks, func(task, worker int) {
		_, _, p0, p1 := tiles.at(task)
		products.packB(packed.f, logits.f, h.stride, rows, h.v, p0, p1)
		products.gemmAT(dw.f, h.v, hidden.f, h.d, packed.f, rows, h.v, 0, h.d, p0, p1, add, engine.scratch[worker], nil)
	}}
	return func(r int, a bool) {
		rows, add = r, a
		pool.do(product)
	}
}
