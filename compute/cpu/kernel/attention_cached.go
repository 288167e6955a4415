package kernel

import "fmt"

// CachedAttention is causal attention of new positions against a cache, for
// decoding: one row of a batch at a time. keys and values are one row's cache,
// [MaxPositions, KVHeads, HeadDim]; the other fields are those of Attention.
//
// Every element of a result is computed in an order that its own position
// fixes, whatever is computed beside it, so it has the same bits whether
// positions are fed one by one or in chunks.
type CachedAttention struct {
	Heads, KVHeads, HeadDim int
	MaxPositions            int
	Window                  int // 0 means no limit
	Scale                   float32
}

// cachePiece is the number of cached positions one assembly call reads.
const cachePiece = 512

// queriesTogether is the number of queries that share what is read of the
// cache, where so many begin at the same key.
const queriesTogether = 3

// copyFrom is the number of queries from which on Forward copies its head's
// keys and values. In the cache those of two positions are a row of all heads
// apart, so they fall into few sets of the processor's caches and their
// neighbours are fetched with them.
const copyFrom = 24

// row is the length of a query's scores in scratch.
func (at CachedAttention) row() int { return (at.MaxPositions + 15) &^ 15 }

// Scratch returns the number of floats of scratch that Forward needs: a head's
// keys and values, and the scores, maxima, sums and factors of queriesTogether
// queries.
func (at CachedAttention) Scratch() int {
	return 2*at.row()*at.HeadDim + queriesTogether*(at.row()+3)
}

// Forward computes the query heads that read key-value head g, for the C
// positions start, start+1, …: q and o are [C, Heads, HeadDim]. The cache must
// already hold the keys and values of those positions. scratch has Scratch
// floats of any content, for this call alone. It panics when the positions do
// not fit the cache.
func (at CachedAttention) Forward(o, q, keys, values []float32, start, g int, scratch []float32) {
	dim, group := at.HeadDim, at.Heads/at.KVHeads
	qs, kvs := at.Heads*dim, at.KVHeads*dim
	check("CachedAttention.Forward", len(q), len(q), len(o))
	count := rowCount("CachedAttention.Forward", len(q), qs)
	if start < 0 || start+count > at.MaxPositions || at.Window < 0 {
		panic(fmt.Sprintf("kernel: CachedAttention.Forward: %d positions from %d on with window %d do not fit a cache of %d", count, start, at.Window, at.MaxPositions))
	}
	checkRows("CachedAttention.Forward", "keys", keys, start+count, kvs, kvs)
	checkRows("CachedAttention.Forward", "values", values, start+count, kvs, kvs)
	first := func(c int) int {
		if at.Window == 0 {
			return 0
		}
		return max(0, start+c+1-at.Window)
	}
	cache := headCache{keys[g*dim:], values[g*dim:], kvs}
	lowest := 0
	if count*group >= copyFrom && kvs > dim {
		lowest = first(0)
		cache = cache.from(lowest).copied(scratch, start+count-lowest, dim)
		scratch = scratch[2*at.row()*dim:]
	}
	for c := 0; c < count; {
		from := first(c)
		n, seen := start+c+1-from, cache.from(from-lowest)
		head := c*qs + g*group*dim
		if last := c + queriesTogether - 1; last < count && first(last) == from {
			for h := range group {
				at.three(o[head+h*dim:], q[head+h*dim:], qs, seen, n, 1, scratch)
			}
			c += queriesTogether
			continue
		}
		h := 0
		for ; h+queriesTogether <= group; h += queriesTogether {
			at.three(o[head+h*dim:], q[head+h*dim:], dim, seen, n, 0, scratch)
		}
		for ; h < group; h++ {
			at.one(o[head+h*dim:][:dim], q[head+h*dim:][:dim], seen, n, scratch)
		}
		c++
	}
}

// headCache is where the keys and values of one head lie, stride floats from
// position to position.
type headCache struct {
	keys, values []float32
	stride       int
}

// from is the cache without its first n positions.
func (c headCache) from(n int) headCache {
	return headCache{c.keys[n*c.stride:], c.values[n*c.stride:], c.stride}
}

// copied puts the first n positions, of dim floats, side by side in scratch.
func (c headCache) copied(scratch []float32, n, dim int) headCache {
	keys, values := scratch[:n*dim], scratch[n*dim:2*n*dim]
	for j := range n {
		copy(keys[j*dim:][:dim], c.keys[j*c.stride:])
		copy(values[j*dim:][:dim], c.values[j*c.stride:])
	}
	return headCache{keys, values, dim}
}

// one computes the output o of a query q that sees n keys.
func (at CachedAttention) one(o, q []float32, seen headCache, n int, scratch []float32) {
	kern, row := vec(), at.row()
	scores, stats := scratch[:row], scratch[row:]
	m, l, rescale := stats[0:1], stats[1:2], stats[2:3]
	for j := 0; j < n; j += cachePiece {
		kern.keyDots(scores[j:min(j+cachePiece, n)], q, seen.keys[j*seen.stride:], seen.stride)
	}
	m[0], l[0] = scoreFloor, 0
	kern.softmaxTile(scores, row, 1, (n+15)&^15, 0, n, 0, at.Scale*log2e, m, l, rescale)
	clear(o)
	for j := 0; j < n; j += cachePiece {
		kern.valueSum(o, scores[j:min(j+cachePiece, n)], seen.values[j*seen.stride:], seen.stride)
	}
	kern.scale(o, o, 1/l[0])
}

// three computes what one does for three queries. Query i begins at q[i·step],
// its output at o[i·step], and it sees n + i·more keys.
func (at CachedAttention) three(o, q []float32, step int, seen headCache, n, more int, scratch []float32) {
	kern, dim, row := vec(), at.HeadDim, at.row()
	scores, stats := scratch[:queriesTogether*row], scratch[queriesTogether*row:]
	m, l, rescale := stats[0:3], stats[3:6], stats[6:9]
	// All are multiplied with the keys that the last one sees. The softmax
	// overwrites what the others do not.
	most := n + (queriesTogether-1)*more
	for j := 0; j < most; j += cachePiece {
		kern.keyDots3(scores[j:], row, q, step, dim, seen.keys[j*seen.stride:], seen.stride, min(cachePiece, most-j))
	}
	for i := range m {
		m[i], l[i] = scoreFloor, 0
	}
	const fromTheFirst = -queriesTogether // lo + i·step is not above column 0
	kern.softmaxTile(scores, row, queriesTogether, (most+15)&^15, fromTheFirst, n, more, at.Scale*log2e, m, l, rescale)
	for i := range m {
		clear(o[i*step:][:dim])
	}
	for j := 0; j < most; j += cachePiece {
		var rows [queriesTogether]int
		for i := range rows {
			rows[i] = min(max(n+i*more-j, 0), cachePiece)
		}
		whole := dim &^ 15
		if rows[0] == 0 {
			whole = 0
		}
		if whole > 0 {
			kern.valueSum3(o, step, whole, scores[j:], row, seen.values[j*seen.stride:], seen.stride, rows[0], rows[1], rows[2])
		}
		if whole == dim {
			continue
		}
		for i, r := range rows {
			if r > 0 {
				kern.valueSum(o[i*step:][whole:dim], scores[i*row+j:][:r], seen.values[j*seen.stride+whole:], seen.stride)
			}
		}
	}
	for i, sum := range l {
		oi := o[i*step:][:dim]
		kern.scale(oi, oi, 1/sum)
	}
}
