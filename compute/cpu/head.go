package cpu

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

const (
	// keptLogits is the most floats of logits, 256 MiB, that a vocabulary operator
	// leaves to its gradient, which else computes them again with the same bits.
	keptLogits = 1 << 26
	// passLogits is about how many floats of logits, 2 MiB, there are at a time
	// where they are not kept: they stay in a cache until they are read. A pass has
	// compute.HeadBlock rows at least, for which packing the weight is worth its time.
	passLogits = 1 << 19
)

// head is what the vocabulary operators and their gradients share. The rows that
// count, those with a token ≥ 0, are gathered, so that the others cost nothing, and
// their logits computed, in as many passes as the logits take.
type head struct {
	hidden, tokens   *storage
	rows, d, v       int
	stride           int       // of a row of logits
	passes           [][]block // of all rows
	most             int       // rows of a pass
	gathered, logits *storage  // of the rows that count, one after the other
	product          *product  // makes logits of gathered
	gather           *job

	// The rows that count in the pass that runs, and where each block's end.
	counting []int
	ends     []int
}

// block is rows of one sequence, at most compute.HeadBlock: the length of the sums
// over rows in a weight's gradient.
type block struct{ from, to int }

// headBlocks cuts the rows into blocks, none of which crosses a sequence, the last
// dimension of the tokens.
func headBlocks(tokens compute.Shape) []block {
	var blocks []block
	rows, sequence := tokens.Size(), tokens.Last()
	for start := 0; start < rows; start += sequence {
		for from := start; from < start+sequence; from += compute.HeadBlock {
			blocks = append(blocks, block{from, min(from+compute.HeadBlock, start+sequence)})
		}
	}
	return blocks
}

// headPasses shares blocks out to passes of at most so many rows, or one block.
func headPasses(blocks []block, most int) [][]block {
	var passes [][]block
	first := 0
	for i, b := range blocks {
		if i > first && b.to-blocks[first].from > most {
			passes = append(passes, blocks[first:i])
			first = i
		}
	}
	return append(passes, blocks[first:])
}

// headOf prepares the logits of a node, whose inputs begin with hidden [N, D], w
// and tokens. The input of number bias is added to them, if the node has it. They
// stay until step last: in one pass, if that is a later one.
func (c *compiler) headOf(n *compute.Node, outIn bool, bias, last int) *head {
	hidden := n.Inputs[0].Shape
	h := &head{hidden: c.in(n.Inputs[0]), tokens: c.in(n.Inputs[2]), rows: hidden[0], d: hidden[1]}
	h.v = n.Inputs[1].Shape.Size() / h.d
	h.stride = logitsStride(h.v)
	h.most = h.rows
	if last == c.step {
		h.most = max(compute.HeadBlock, passLogits/h.stride)
	}
	h.passes = headPasses(headBlocks(n.Inputs[2].Shape), h.most)
	h.most = 0
	for _, pass := range h.passes {
		h.most = max(h.most, pass[len(pass)-1].to-pass[0].from)
	}
	h.gathered, h.logits = c.temporary(h.most*h.d), c.temporary(h.most*h.stride)
	h.gathered.last, h.logits.last = last, last
	h.counting = make([]int, 0, h.most)
	h.gather = byRows(h.most, h.d, func(lo, hi int) {
		for i := lo; i < min(hi, len(h.counting)); i++ {
			copy(h.gathered.f[i*h.d:(i+1)*h.d], h.hidden.f[h.counting[i]*h.d:])
		}
	})
	var then done
	if bias < len(n.Inputs) {
		add := c.in(n.Inputs[bias])
		then.apply = func(m0, m1, lo, hi int) {
			for i := m0; i < m1; i++ {
				row := h.logits.f[i*h.stride:][lo:hi]
				kernel.Add(row, row, add.f[lo:hi])
			}
		}
	}
	h.product = c.productOf(n.Inputs[1], h.most, h.d, h.v, outIn, then)
	return h
}

// logitsStride is the distance of rows of v logits. At a distance of a power of two
// they would share their cache lines' sets.
func logitsStride(v int) int { return roundUp(v, alignment) + alignment }

// compute makes the logits of the rows of a pass that count.
func (h *head) compute(pass []block) {
	h.counting, h.ends = h.counting[:0], h.ends[:0]
	for _, b := range pass {
		for r := b.from; r < b.to; r++ {
			if h.tokens.i[r] >= 0 {
				h.counting = append(h.counting, r)
			}
		}
		h.ends = append(h.ends, len(h.counting))
	}
	if len(h.counting) > 0 {
		h.product.pool.do(h.gather)
		h.product.do(matrix{h.logits.f, h.stride}, matrix{h.gathered.f, h.d}, len(h.counting))
	}
}

// each makes the job that hands every row that counts its logits.
func (h *head) each(row func(r int, logits []float32, token int)) *job {
	return byRows(h.most, h.v, func(lo, hi int) {
		for i := lo; i < min(hi, len(h.counting)); i++ {
			r := h.counting[i]
			row(r, h.logits.f[i*h.stride:][:h.v], int(h.tokens.i[r]))
		}
	})
}

// others makes the job that calls f for every row that does not count, in tasks
// for rows of the given width.
func (h *head) others(width int, f func(r int)) *job {
	return byRows(h.rows, width, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			if h.tokens.i[r] < 0 {
				f(r)
			}
		}
	})
}

// split cuts a slice in two.
func split(s []float32, at int) (a, b []float32) { return s[:at:at], s[at:] }

func (c *compiler) crossEntropy(n *compute.Node, o compute.LinearCrossEntropyOp) {
	loss, lse := c.out(n, 0), c.out(n, 1)
	c.headForward(n, o.OutIn, func(r int, logits []float32, token int) {
		loss.f[r], lse.f[r] = kernel.CrossEntropyRow(logits, token)
	}, func(r int) {
		loss.f[r], lse.f[r] = 0, 0
	})
}

func (c *compiler) tokenLogProb(n *compute.Node, o compute.TokenLogProbOp) {
	logProb, entropy, lse := c.out(n, 0), c.out(n, 1), c.out(n, 2)
	c.headForward(n, o.OutIn, func(r int, logits []float32, token int) {
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

// headForward appends the step of a forward pass: row gets the logits of each row
// that counts, skip the other rows. The logits are left to the gradient, if they
// are few enough.
func (c *compiler) headForward(n *compute.Node, outIn bool, row func(r int, logits []float32, token int), skip func(r int)) {
	last := c.step
	hidden := n.Inputs[0].Shape
	if at := c.gradientOf(n); at > 0 && hidden[0]*logitsStride(n.Inputs[1].Shape.Size()/hidden[1]) <= c.engine.keptLogits {
		last = at
	}
	h := c.headOf(n, outIn, 3, last)
	if last > c.step {
		c.kept[n.Outputs[len(n.Outputs)-1]] = h
	}
	c.checkBelow(n, "token", h.tokens, h.v)
	rows, others, pool := h.each(row), h.others(1, skip), c.pool
	c.emitFunc(n, func() {
		for _, pass := range h.passes {
			h.compute(pass)
			pool.do(rows)
		}
		pool.do(others)
	})
}

// gradientOf returns the step of the gradient of a vocabulary operator, 0 where
// the Program has none, or several, which turn logits into gradients each.
func (c *compiler) gradientOf(n *compute.Node) int {
	lse := n.Outputs[len(n.Outputs)-1]
	at := 0
	for i, reader := range c.nodes {
		if operatorOf(reader.Op).traits.has(logitsGradient) && reader.Inputs[3] == lse {
			if at > 0 {
				return 0
			}
			at = i
		}
	}
	return at
}

// headBackward appends the step of a gradient: grad turns the logits of each row
// that counts into their gradients, and these give dhidden row by row and dw block
// by block. A row that does not count would add zeros, so leaving it out changes
// no bit. Where the sixth input is a bias of the logits, the rows of their gradients
// are added up to dbias.
func (c *compiler) headBackward(n *compute.Node, outIn bool, grad func(r int, logits []float32, token int)) {
	h, kept := c.kept[n.Inputs[3]]
	if !kept {
		h = c.headOf(n, outIn, 5, c.step)
	}
	c.checkBelow(n, "token", h.tokens, h.v)
	pool := c.pool
	dhidden, dw := c.out(n, 0), c.out(n, 1)
	needW, weightSum := c.needed(n.Outputs[1]), c.sumOf(n.Outputs[1])
	var dbias *storage
	var biasSum sum
	needBias := false
	if len(n.Inputs) == 6 {
		dbias = c.out(n, 2)
		needBias, biasSum = c.needed(n.Outputs[2]), c.sumOf(n.Outputs[2])
	}
	rows := h.each(grad)
	dgathered := c.temporary(h.most * h.d)
	product := c.productOf(n.Inputs[1], h.most, h.v, h.d, !outIn, done{})
	scatter := byRows(h.most, h.d, func(lo, hi int) {
		for i := lo; i < min(hi, len(h.counting)); i++ {
			r := h.counting[i]
			copy(dhidden.f[r*h.d:(r+1)*h.d], dgathered.f[i*h.d:])
		}
	})
	zero := h.others(h.d, func(r int) { clear(dhidden.f[r*h.d : (r+1)*h.d]) })
	gradBias := byRows(h.v, h.most, func(lo, hi int) { // each task has entries of its own
		for i := range h.counting {
			kernel.Add(dbias.f[lo:hi], dbias.f[lo:hi], h.logits.f[i*h.stride:][lo:hi])
		}
	})
	gradW := c.headWeightGrad(h, outIn, dw)
	c.emitFunc(n, func() {
		pool.do(zero)
		add := needW && weightSum.adds()
		if needBias && !biasSum.adds() {
			clear(dbias.f)
		}
		for _, pass := range h.passes {
			if !kept {
				h.compute(pass)
			}
			if len(h.counting) == 0 {
				continue
			}
			pool.do(rows)
			product.do(matrix{dgathered.f, h.d}, matrix{h.logits.f, h.stride}, len(h.counting))
			pool.do(scatter)
			if needBias {
				pool.do(gradBias)
			}
			if needW {
				gradW(add)
				add = true
			}
		}
		if needW && !add {
			clear(dw.f)
		}
	})
}

// headWeightGrad returns a function that sets dw, or adds to it, from the gradients
// of the logits of a pass: one block of rows after the other.
func (c *compiler) headWeightGrad(h *head, outIn bool, dw *storage) func(add bool) {
	pool, engine, products := c.pool, c.engine, c.engine.products
	c.needScratch(products.scratch)
	length, blocks := 0, 0 // the most rows of a block, and blocks of a pass
	for _, pass := range h.passes {
		blocks = max(blocks, len(pass))
		for _, b := range pass {
			length = max(length, b.to-b.from)
		}
	}
	width := h.v
	if outIn {
		width = h.d
	}
	size := products.packedSize(length, width)
	packed := c.temporary(blocks * size)
	logits := func(row int) matrix { return matrix{h.logits.f, h.stride}.from(row, 0) }
	hidden := func(row int) matrix { return matrix{h.gathered.f, h.d}.from(row, 0) }
	var adding bool
	// each calls f for every block that has rows, from row lo on, with its part of
	// what is packed.
	each := func(f func(lo, hi int, part panels, add bool)) {
		lo, add := 0, adding
		for b, hi := range h.ends {
			if hi > lo {
				f(lo, hi, panels{packed.f[b*size : (b+1)*size], hi - lo, width}, add)
				add = true
			}
			lo = hi
		}
	}
	var jobs []*job
	if outIn { // dw [V, D] = dlogitsᵀ·hidden
		jobs = append(jobs, &job{panelCount(h.d), func(p, _ int) {
			each(func(lo, _ int, part panels, _ bool) { products.pack(part, hidden(lo), false, p, p+1) })
		}})
		tiles := pool.tile(h.v, h.d)
		jobs = append(jobs, &job{tiles.tasks, func(task, worker int) {
			at := tiles.at(task)
			each(func(lo, hi int, part panels, add bool) {
				products.multiplyAT(matrix{dw.f, h.d}, logits(lo), part, at, add, engine.scratch[worker], h.logits.f[hi*h.stride:])
			})
		}})
	} else { // dw [D, V] = hiddenᵀ·dlogits; each task packs the panels it reads
		tiles := pool.tile(kernel.MR, h.v)
		jobs = append(jobs, &job{tiles.tasks, func(task, worker int) {
			at := tiles.at(task)
			at.M0, at.M1 = 0, h.d
			each(func(lo, _ int, part panels, add bool) {
				products.pack(part, logits(lo), false, at.P0, at.P1)
				products.multiplyAT(matrix{dw.f, h.v}, hidden(lo), part, at, add, engine.scratch[worker], nil)
			})
		}})
	}
	return func(add bool) {
		adding = add
		for _, j := range jobs {
			pool.do(j)
		}
	}
}
