package kernel

import (
	"fmt"
	"math"
)

// Attention is the shape and rule of one attention operator. Position i of a
// sequence attends to position j with weight softmax(Scale·qᵢ·kⱼ) over the
// positions that it may see.
//
// Tensors are row-major: q, o [Batch, Positions, Heads, HeadDim] and k, v
// [Batch, Positions, KVHeads, HeadDim]; lse is [Batch, Heads, Positions].
// Heads is a multiple of KVHeads: head h reads key-value head
// h/(Heads/KVHeads) (grouped queries, Ainslie et al., arXiv 2305.13245).
//
// The work is tiled with a running softmax and recomputed in the backward pass
// (Dao, arXiv 2307.08691), so no more of the [Positions, Positions] weights
// exists at a time than one tile.
//
// Segments, when not nil, is [Batch, Positions]: a position sees only those of
// its own segment. Equal ids must be contiguous. Negative ids are padding: such
// a position sees nothing and is seen by none, its output, lse and gradients
// are 0. Nothing is computed outside the segments, so cost follows the sum of
// their squared lengths, and a segment's results do not depend on where in the
// row it lies or on what lies beside it.
//
// A score of NaN makes its query's results NaN. In a causal product a NaN or
// Inf in v or do can also reach the queries and keys of the same tile, up to
// five positions away, as 0·NaN.
type Attention struct {
	Batch, Positions        int
	Heads, KVHeads, HeadDim int

	Causal bool    // position i sees no j > i
	Window int     // with Causal, i sees only j > i − Window; 0 means no limit
	Scale  float32 // usually 1/√HeadDim

	// Floats between the starts of two positions in q, and in k and v; 0 means
	// Heads·HeadDim and KVHeads·HeadDim. They let the three be columns of one
	// matrix.
	QStride, KVStride int
	// The same in dq, and in dk and dv; 0 means QStride and KVStride.
	DQStride, DKVStride int
}

// Tile sizes. Both blocks are multiples of the register tile's 6 rows and 16
// columns. At a head dimension of 64 the working set of a backward step, about
// 200 KB, stays in a second-level cache.
const (
	tileRows = 6
	tileCols = 16

	queryBlock     = 4 * tileRows // forward
	keyBlock       = 8 * tileCols // forward
	gradQueryBlock = 96           // backward
	gradKeyBlock   = 48           // backward
)

const (
	log2e = 1.4426950408889634
	ln2   = 0.6931471805599453
	// scoreFloor is where a running maximum starts: finite, so that the
	// difference of two of them is never NaN.
	scoreFloor = -3e38
)

// attentionKernels are the inner loops of attention. Tiles are row-major
// blocks of scratch; ld is the stride of their rows.
type attentionKernels struct {
	// The tile products compute C [6·mt, 16·nt] from A [6·mt, k] and B
	// [k, 16·nt], where A's element (i, p) is a[i·rs + p·ks], B's row p of
	// column panel n starts at b[n·bps + p·ldb], and C's row i at c[i·ldc]:
	// C = A·B, C += A·B and C = rowScale·C + A·B.
	tileSet     func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int)
	tileAdd     func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int)
	tileRescale func(c []float32, ldc int, rowScale, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int)

	// transpose8 writes eight rows of dim floats as columns: element (r, d)
	// to dst[d·16 + r]. dim is a multiple of 8.
	transpose8 func(dst, src []float32, stride, dim int)

	// softmaxTile turns scores s [rows, ld] into unnormalised weights
	// 2^(scale2·s − m) after raising each row's running maximum m to its
	// own, sets rescale to 2^(m before − m after), and updates the running
	// sum l. Row r keeps columns in [lo + r·step, hi + r·step); the others
	// up to cols, a multiple of 16, become 0.
	softmaxTile func(s []float32, ld, rows, cols, lo, hi, step int, scale2 float32, m, l, rescale []float32)

	// gradTile turns scores s into weights 2^(scale2·s − lse2) and dp into
	// the scores' gradient s·(dp − delta), with the columns as in
	// softmaxTile.
	gradTile func(s, dp []float32, ld, rows, cols, lo, hi, step int, scale2 float32, lse2, delta []float32)

	// scaleRows sets dst[r·ldd + j] = s·src[r·lds + j] for j < cols.
	scaleRows func(dst []float32, ldd int, src []float32, lds, rows, cols int, s float32)

	// keyDots sets s[j] = Σ q[d]·k[j·stride + d], valueSum adds
	// Σ p[j]·v[j·stride + d] to o[d]; both in an order fixed by the sizes.
	keyDots  func(s, q, k []float32, stride int)
	valueSum func(o, p, v []float32, stride int)

	// keyDots3 and valueSum3 do the same for three queries, with the bits of
	// three calls: query i at q[i·qs], its n scores or its nᵢ weights at
	// [i·ld], its sum at o[i·os]. In valueSum3 n0 is the least, and dim a
	// multiple of 16.
	keyDots3  func(s []float32, ld int, q []float32, qs, dim int, k []float32, stride, n int)
	valueSum3 func(o []float32, os, dim int, p []float32, ld int, v []float32, stride, n0, n1, n2 int)
}

func (at Attention) qStride() int {
	if at.QStride != 0 {
		return at.QStride
	}
	return at.Heads * at.HeadDim
}

func (at Attention) kvStride() int {
	if at.KVStride != 0 {
		return at.KVStride
	}
	return at.KVHeads * at.HeadDim
}

func (at Attention) dqStride() int {
	if at.DQStride != 0 {
		return at.DQStride
	}
	return at.qStride()
}

func (at Attention) dkvStride() int {
	if at.DKVStride != 0 {
		return at.DKVStride
	}
	return at.kvStride()
}

// gradients is the shape of dq, dk and dv.
func (at Attention) gradients() Attention {
	at.QStride, at.KVStride = at.dqStride(), at.dkvStride()
	return at
}

// paddedDim is HeadDim filled up to whole column panels.
func (at Attention) paddedDim() int { return (at.HeadDim + tileCols - 1) &^ (tileCols - 1) }

// rowStride is the stride of rows of HeadDim floats in scratch: an odd number
// of panels, so that rows in a row do not share the sets of a cache.
func (at Attention) rowStride() int { return at.paddedDim() | tileCols }

// wholeTiles is n rows filled up to whole tiles.
func wholeTiles(n int) int { return (n + tileRows - 1) / tileRows * tileRows }

func (at Attention) validate(op string) {
	switch {
	case at.Batch < 0 || at.Positions < 0 || at.HeadDim < 1:
		panic(fmt.Sprintf("kernel: %s: shape %+v has a negative or empty dimension", op, at))
	case at.KVHeads < 1 || at.Heads%at.KVHeads != 0:
		panic(fmt.Sprintf("kernel: %s: %d heads are not a multiple of %d key-value heads", op, at.Heads, at.KVHeads))
	case at.Window < 0 || at.Window > 0 && !at.Causal:
		panic(fmt.Sprintf("kernel: %s: window %d needs causal attention and must not be negative", op, at.Window))
	case at.qStride() < at.Heads*at.HeadDim || at.kvStride() < at.KVHeads*at.HeadDim:
		panic(fmt.Sprintf("kernel: %s: strides %d and %d are shorter than a position", op, at.QStride, at.KVStride))
	}
}

// checkTensors panics when a tensor is too short for its rows, which the
// assembly does not look at.
func (at Attention) checkTensors(op string, segments []int32, lse, o, q, k, v []float32) {
	rows, width, kvWidth := at.Batch*at.Positions, at.Heads*at.HeadDim, at.KVHeads*at.HeadDim
	checkRows(op, "lse", lse, rows, at.Heads, at.Heads)
	checkRows(op, "o or do", o, rows, width, width)
	checkRows(op, "q or dq", q, rows, at.qStride(), width)
	checkRows(op, "k or dk", k, rows, at.kvStride(), kvWidth)
	checkRows(op, "v or dv", v, rows, at.kvStride(), kvWidth)
	if segments != nil {
		check(op, rows, len(segments))
	}
}

func checkRows(op, name string, x []float32, rows, stride, width int) {
	if want := (rows-1)*stride + width; rows > 0 && len(x) < want {
		panic(fmt.Sprintf("kernel: %s: %s has %d elements, want %d", op, name, len(x), want))
	}
}

// run returns the end of the segment that begins at position p of row b, and
// whether it is padding.
func (at Attention) run(segments []int32, b, p int) (end int, padding bool) {
	if segments == nil {
		return at.Positions, false
	}
	row := segments[b*at.Positions : (b+1)*at.Positions]
	id := row[p]
	for end = p + 1; end < len(row) && (row[end] == id || id < 0 && row[end] < 0); end++ {
	}
	return end, id < 0
}

// columns returns the columns [lo, hi) of the block of keys at k0 that the
// query at i sees, and step, by which both grow from query to query.
func (at Attention) columns(i, k0, keys int) (lo, hi, step int) {
	lo, hi = -1<<30, keys
	if at.Causal {
		step = 1
		hi = i + 1 - k0
		if at.Window > 0 {
			lo = hi - at.Window
		}
	}
	return lo, hi, step
}

// ForwardScratch returns the number of floats of scratch that Forward needs.
func (at Attention) ForwardScratch() int {
	keys := (at.Positions + tileCols - 1) &^ (tileCols - 1)
	return keys*(at.HeadDim+at.rowStride()) + // K in columns, V
		queryBlock*(2*at.rowStride()+keyBlock+3) // Q, O, scores, m, l, rescale
}

// Forward computes head h of row b: it sets o[b, :, h, :] and lse[b, h, :],
// the logarithm of Σ exp(Scale·q·k), which Backward reads. scratch has
// ForwardScratch floats of any content, for this call alone.
func (at Attention) Forward(o, lse, q, k, v []float32, segments []int32, b, h int, scratch []float32) {
	at.validate("Attention.Forward")
	at.checkTensors("Attention.Forward", segments, lse, o, q, k, v)
	dim, qs, kvs := at.HeadDim, at.qStride(), at.kvStride()
	g := h / (at.Heads / at.KVHeads)
	os := at.Heads * dim
	for s := 0; s < at.Positions; {
		e, padding := at.run(segments, b, s)
		first := b*at.Positions + s
		oo := o[first*os+h*dim:]
		ll := lse[(b*at.Heads+h)*at.Positions+s:][:e-s]
		if padding {
			clear(ll)
			clearRows(oo, os, e-s, dim)
		} else {
			at.forwardRun(oo, ll, q[first*qs+h*dim:], k[first*kvs+g*dim:], v[first*kvs+g*dim:], e-s, scratch)
		}
		s = e
	}
}

// forwardRun handles one segment of n positions; q, k, v and o begin at its
// first one.
func (at Attention) forwardRun(o, lse, q, k, v []float32, n int, scratch []float32) {
	kern := vec()
	dim, ld, dimPanels := at.HeadDim, at.rowStride(), at.paddedDim()/tileCols
	qs, kvs, os := at.qStride(), at.kvStride(), at.Heads*at.HeadDim
	panels := (n + tileCols - 1) / tileCols

	take := func(size int) []float32 {
		piece := scratch[:size:size]
		scratch = scratch[size:]
		return piece
	}
	kt := take(panels * tileCols * dim)
	vp := take(panels * tileCols * ld)
	qp := take(queryBlock * ld)
	acc := take(queryBlock * ld)
	sc := take(queryBlock * keyBlock)
	m, l, rescale := take(queryBlock), take(queryBlock), take(queryBlock)

	packColumns(kern, kt, k, kvs, n, dim)
	packRowsPadded(kern, vp, ld, v, kvs, n, panels*tileCols, dim)
	scale2 := at.Scale * log2e

	for i0 := 0; i0 < n; i0 += queryBlock {
		rows := min(queryBlock, n-i0)
		tiles := (rows + tileRows - 1) / tileRows
		packRowsPadded(kern, qp, ld, q[i0*qs:], qs, rows, tiles*tileRows, dim)
		for r := range m {
			m[r], l[r], rescale[r] = scoreFloor, 0, 1
		}

		firstKey, endKey := 0, n
		if at.Causal {
			endKey = i0 + rows
			if at.Window > 0 {
				firstKey = max(0, i0-at.Window+1) / keyBlock * keyBlock
			}
		}
		for k0 := firstKey; k0 < endKey; k0 += keyBlock {
			keys := min(keyBlock, n-k0)
			lo, hi, step := at.columns(i0, k0, keys)
			// Panels that every tile of the block needs, then each
			// tile's own up to its last query.
			whole := panelsOf(min(keys, hi))
			ktBlock, vBlock := kt[k0*dim:], vp[k0*ld:]
			kern.tileSet(sc, keyBlock, qp, ld, 1, ktBlock, tileCols, dim*tileCols, dim, tiles, whole)
			width := whole
			for t := range tiles {
				need := panelsOf(min(keys, hi+step*(min(rows, (t+1)*tileRows)-1)))
				if need > whole {
					kern.tileSet(sc[t*tileRows*keyBlock+whole*tileCols:], keyBlock, qp[t*tileRows*ld:], ld, 1,
						ktBlock[whole*dim*tileCols:], tileCols, dim*tileCols, dim, 1, need-whole)
					width = need
				}
			}
			kern.softmaxTile(sc, keyBlock, rows, width*tileCols, lo, hi, step, scale2, m, l, rescale)
			for t := range tiles {
				seen := min(keys, hi+step*(min(rows, (t+1)*tileRows)-1))
				r := t * tileRows
				if k0 == firstKey { // where every tile sees a key
					kern.tileSet(acc[r*ld:], ld, sc[r*keyBlock:], keyBlock, 1, vBlock, ld, tileCols, seen, 1, dimPanels)
				} else if seen > 0 {
					kern.tileRescale(acc[r*ld:], ld, rescale[r:], sc[r*keyBlock:], keyBlock, 1, vBlock, ld, tileCols, seen, 1, dimPanels)
				}
			}
		}
		for r := range rows {
			lse[i0+r] = float32(float64(float64(m[r])*ln2) + logarithm(l[r]))
			kern.scaleRows(o[(i0+r)*os:], os, acc[r*ld:], ld, 1, dim, 1/l[r])
		}
	}
}

// BackwardScratch returns the number of floats of scratch that Backward needs.
func (at Attention) BackwardScratch() int {
	ld := at.rowStride()
	return wholeTiles(at.Positions)*3*ld + // Q, dO, dQ of one head
		gradKeyBlock*(2*at.HeadDim+3*ld) + // K and V in columns, K, dK, dV
		2*gradQueryBlock*gradKeyBlock + // weights, their gradient
		2*at.Positions // lse, delta
}

// Backward computes what key-value head g of row b and the query heads that
// read it contribute: it sets dq[b, :, h, :] for those heads, dk[b, :, g, :]
// and dv[b, :, g, :], given o and lse of Forward and the output's gradient do.
// The sums over queries and heads run in a fixed order. scratch has
// BackwardScratch floats of any content, for this call alone.
func (at Attention) Backward(dq, dk, dv, q, k, v, o, lse, do []float32, segments []int32, b, g int, scratch []float32) {
	at.validate("Attention.Backward")
	at.checkTensors("Attention.Backward", segments, lse, o, q, k, v)
	at.gradients().validate("Attention.Backward")
	at.gradients().checkTensors("Attention.Backward", segments, lse, do, dq, dk, dv)
	dim, qs, kvs := at.HeadDim, at.qStride(), at.kvStride()
	dqs, dkvs := at.dqStride(), at.dkvStride()
	group := at.Heads / at.KVHeads
	h := g * group
	os := at.Heads * dim
	for s := 0; s < at.Positions; {
		e, padding := at.run(segments, b, s)
		first := b*at.Positions + s
		qAt, kvAt, oAt := first*qs+h*dim, first*kvs+g*dim, first*os+h*dim
		dqAt, dkvAt := first*dqs+h*dim, first*dkvs+g*dim
		if padding {
			clearRows(dq[dqAt:], dqs, e-s, group*dim)
			clearRows(dk[dkvAt:], dkvs, e-s, dim)
			clearRows(dv[dkvAt:], dkvs, e-s, dim)
		} else {
			at.backwardRun(dq[dqAt:], dk[dkvAt:], dv[dkvAt:], q[qAt:], k[kvAt:], v[kvAt:], o[oAt:],
				lse[(b*at.Heads+h)*at.Positions+s:], do[oAt:], e-s, scratch)
		}
		s = e
	}
}

// backwardRun handles one segment of n positions, at which its slices begin.
func (at Attention) backwardRun(dq, dk, dv, q, k, v, o, lse, do []float32, n int, scratch []float32) {
	for h := range at.Heads / at.KVHeads {
		head := h * at.HeadDim
		at.backwardHead(dq[head:], dk, dv, q[head:], k, v, o[head:], lse[h*at.Positions:], do[head:], n, h > 0, scratch)
	}
}

// backwardHead handles one query head of a segment. It sets dk and dv, or adds
// to those of the heads before it.
func (at Attention) backwardHead(dq, dk, dv, q, k, v, o, lse, do []float32, n int, add bool, scratch []float32) {
	kern := vec()
	dim, ld, panels := at.HeadDim, at.rowStride(), at.paddedDim()/tileCols
	qs, kvs, os := at.qStride(), at.kvStride(), at.Heads*at.HeadDim
	dqs, dkvs := at.dqStride(), at.dkvStride()

	take := func(size int) []float32 {
		piece := scratch[:size:size]
		scratch = scratch[size:]
		return piece
	}
	total := wholeTiles(n)
	qp, dop, dqp := take(total*ld), take(total*ld), take(total*ld)
	kt, vt := take(gradKeyBlock*dim), take(gradKeyBlock*dim)
	kp, dkp, dvp := take(gradKeyBlock*ld), take(gradKeyBlock*ld), take(gradKeyBlock*ld)
	sc, ds := take(gradQueryBlock*gradKeyBlock), take(gradQueryBlock*gradKeyBlock)
	lse2, delta := take(n), take(n)

	packRowsPadded(kern, qp, ld, q, qs, n, total, dim)
	packRowsPadded(kern, dop, ld, do, os, n, total, dim)
	for i := range n {
		lse2[i] = lse[i] * log2e
		delta[i] = kern.dot(dop[i*ld:i*ld+dim], o[i*os:i*os+dim])
	}
	const lds = gradKeyBlock
	scale2 := at.Scale * log2e
	for k0 := 0; k0 < n; k0 += gradKeyBlock {
		keys := min(gradKeyBlock, n-k0)
		keyPanels, keyTiles := panelsOf(keys), wholeTiles(keys)/tileRows
		packRowsPadded(kern, kp, ld, k[k0*kvs:], kvs, keys, keys, dim)
		packColumns(kern, kt, kp, ld, keys, dim)
		packColumns(kern, vt, v[k0*kvs:], kvs, keys, dim)

		firstQuery, endQuery := 0, n
		if at.Causal {
			firstQuery = k0
			if at.Window > 0 {
				endQuery = min(n, k0+keys-1+at.Window)
			}
		}
		if k0 == 0 {
			clear(dqp[min(total, (endQuery+gradQueryBlock-1)/gradQueryBlock*gradQueryBlock)*ld:])
		}
		for i0 := firstQuery; i0 < endQuery; i0 += gradQueryBlock {
			rows := min(gradQueryBlock, n-i0)
			// The first products of a block need no zeros to add to.
			addKeys, addQueries := kern.tileAdd, kern.tileAdd
			if i0 == firstQuery {
				addKeys = kern.tileSet
			}
			if k0 == 0 {
				addQueries = kern.tileSet
			}
			tiles := wholeTiles(rows) / tileRows
			qi, doi, dqi := qp[i0*ld:], dop[i0*ld:], dqp[i0*ld:]
			lo, hi, step := at.columns(i0, k0, keys)

			if !at.Causal || i0 >= k0+keys {
				kern.tileSet(sc, lds, qi, ld, 1, kt, tileCols, dim*tileCols, dim, tiles, keyPanels)
				kern.tileSet(ds, lds, doi, ld, 1, vt, tileCols, dim*tileCols, dim, tiles, keyPanels)
				kern.gradTile(sc, ds, lds, rows, keyPanels*tileCols, lo, hi, step, scale2, lse2[i0:], delta[i0:])
				addKeys(dvp, ld, sc, 1, lds, doi, ld, tileCols, rows, keyTiles, panels)
				addKeys(dkp, ld, ds, 1, lds, qi, ld, tileCols, rows, keyTiles, panels)
				addQueries(dqi, ld, ds, lds, 1, kp, ld, tileCols, keys, tiles, panels)
				continue
			}
			// On the diagonal a tile of queries needs the keys up to its
			// last query, and a tile of keys the queries from its first
			// key on.
			ahead := i0 - k0
			for t := range tiles {
				r, need := t*tileRows, panelsOf(min(keys, ahead+(t+1)*tileRows))
				kern.tileSet(sc[r*lds:], lds, qi[r*ld:], ld, 1, kt, tileCols, dim*tileCols, dim, 1, need)
				kern.tileSet(ds[r*lds:], lds, doi[r*ld:], ld, 1, vt, tileCols, dim*tileCols, dim, 1, need)
			}
			kern.gradTile(sc, ds, lds, rows, keyPanels*tileCols, lo, hi, step, scale2, lse2[i0:], delta[i0:])
			for t := range keyTiles {
				j := t * tileRows
				r := max(0, j-ahead)
				if r >= rows {
					break
				}
				addKeys(dvp[j*ld:], ld, sc[r*lds+j:], 1, lds, doi[r*ld:], ld, tileCols, rows-r, 1, panels)
				addKeys(dkp[j*ld:], ld, ds[r*lds+j:], 1, lds, qi[r*ld:], ld, tileCols, rows-r, 1, panels)
			}
			for t := range tiles {
				r := t * tileRows
				addQueries(dqi[r*ld:], ld, ds[r*lds:], lds, 1, kp, ld, tileCols, min(keys, ahead+r+tileRows), 1, panels)
			}
		}
		if add {
			for j := range keys {
				dkj, dvj := dk[(k0+j)*dkvs:][:dim], dv[(k0+j)*dkvs:][:dim]
				kern.addScaled(dkj, dkp[j*ld:j*ld+dim], at.Scale)
				kern.add(dvj, dvj, dvp[j*ld:j*ld+dim])
			}
		} else {
			scaleRows(kern, dk[k0*dkvs:], dkvs, dkp, ld, keys, dim, at.Scale)
			scaleRows(kern, dv[k0*dkvs:], dkvs, dvp, ld, keys, dim, 1)
		}
	}
	scaleRows(kern, dq, dqs, dqp, ld, n, dim, at.Scale)
}

// logarithm returns ln x with a relative error under 1e-8: with f, x without
// its power of two in [√½, √2), and s = (f−1)/(f+1) the logarithm of f is
// 2·(s + s³/3 + s⁵/5 + …).
func logarithm(x float32) float64 {
	if !(x >= 1 && x <= math.MaxFloat32) {
		return math.Log(float64(x))
	}
	const mantissa, rootHalf = 23, 0x3f3504f3 // bits of √½
	power := (math.Float32bits(x) - rootHalf) >> mantissa
	f := float64(math.Float32frombits(math.Float32bits(x) - power<<mantissa))
	s := (f - 1) / (f + 1)
	square := s * s
	series := 1.0 / 9
	for _, c := range [...]float64{1.0 / 7, 1.0 / 5, 1.0 / 3, 1} {
		series = float64(series*square) + c
	}
	return float64(float64(power)*ln2) + float64(2*s*series)
}

func panelsOf(columns int) int { return max(0, (columns+tileCols-1)/tileCols) }

// clearRows zeroes the first width floats of n rows.
func clearRows(x []float32, stride, n, width int) {
	for i := range n {
		clear(x[i*stride : i*stride+width])
	}
}

// packRowsPadded copies n rows of dim floats to rows of ld, fills their panels
// up with zeros, and adds rows of zeros up to total.
func packRowsPadded(kern *vectorKernels, dst []float32, ld int, src []float32, stride, n, total, dim int) {
	scaleRows(kern, dst, ld, src, stride, n, dim, 1)
	if pad := panelsOf(dim) * tileCols; pad > dim {
		clearRows(dst[dim:], ld, n, pad-dim)
	}
	clear(dst[n*ld : total*ld])
}

// scaleRows sets n rows of dim floats to those of src times factor.
func scaleRows(kern *vectorKernels, dst []float32, ldd int, src []float32, lds, n, dim int, factor float32) {
	const piece = 1 << 14 // floats of one assembly call
	rows := max(1, piece/dim)
	for i := 0; i < n; i += rows {
		kern.scaleRows(dst[i*ldd:], ldd, src[i*lds:], lds, min(rows, n-i), dim, factor)
	}
}

// packColumns stores n rows of dim floats as the columns of panels [dim, 16],
// one panel after another, the last one filled up with zeros.
func packColumns(kern *vectorKernels, dst, src []float32, stride, n, dim int) {
	const group = 8
	for j := 0; j < panelsOf(n)*tileCols; j += group {
		to := dst[j/tileCols*tileCols*dim+j%tileCols:]
		whole := 0
		if j+group <= n {
			whole = dim &^ 7
			kern.transpose8(to, src[j*stride:], stride, whole)
		}
		for r := range group {
			if j+r >= n {
				for d := range dim {
					to[d*tileCols+r] = 0
				}
				continue
			}
			for d := whole; d < dim; d++ {
				to[d*tileCols+r] = src[(j+r)*stride+d]
			}
		}
	}
}
