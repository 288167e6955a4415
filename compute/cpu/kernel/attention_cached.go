package kernel

import "fmt"

// CachedAttention is causal attention of new positions against a cache, for
// decoding: one row of a batch at a time. keys and values are one row's cache,
// [MaxPositions, KVHeads, HeadDim]; the other fields are those of Attention.
//
// The result of a position is computed from that position alone, so it has
// the same bits whether positions are fed one by one or in chunks.
type CachedAttention struct {
	Heads, KVHeads, HeadDim int
	MaxPositions            int
	Window                  int // 0 means no limit
	Scale                   float32
}

// cachePiece is the number of cached positions one assembly call reads.
const cachePiece = 512

// Scratch returns the number of floats of scratch that Forward needs.
func (at CachedAttention) Scratch() int { return (at.MaxPositions+15)&^15 + 3 }

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
	kern := vec()
	room := (at.MaxPositions + 15) &^ 15
	m, l, rescale := scratch[room:room+1], scratch[room+1:room+2], scratch[room+2:room+3]
	for c := range count {
		first := 0
		if at.Window > 0 {
			first = max(0, start+c+1-at.Window)
		}
		n := start + c + 1 - first
		base := first*kvs + g*dim
		for h := range group {
			head := c*qs + (g*group+h)*dim
			qh, oh := q[head:head+dim], o[head:head+dim]
			for j := 0; j < n; j += cachePiece {
				kern.keyDots(scratch[j:min(j+cachePiece, n)], qh, keys[base+j*kvs:], kvs)
			}
			m[0], l[0] = scoreFloor, 0
			kern.softmaxTile(scratch, room, 1, (n+15)&^15, 0, n, 0, at.Scale*log2e, m, l, rescale)
			clear(oh)
			for j := 0; j < n; j += cachePiece {
				kern.valueSum(oh, scratch[j:min(j+cachePiece, n)], values[base+j*kvs:], kvs)
			}
			kern.scale(oh, oh, 1/l[0])
		}
	}
}
