package cpu

import (
	"math"

	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// windowed is attention with a window but without causality: position t sees
// every s > t − Window. No model family asks for it, so it is computed as its
// formula reads, a query at a time; what models use is kernel.Attention.
type windowed struct{ kernel.Attention }

// seen returns the positions that query t of row b sees, none for padding.
// The positions of a segment are contiguous.
func (at windowed) seen(segments []int32, b, t int) (lo, hi int) {
	lo, hi = max(0, t-at.Window+1), at.Positions
	if segments == nil {
		return lo, hi
	}
	row := segments[b*at.Positions : (b+1)*at.Positions]
	if row[t] < 0 {
		return t, t
	}
	for lo < t && row[lo] != row[t] {
		lo++
	}
	for hi > t+1 && row[hi-1] != row[t] {
		hi--
	}
	return lo, hi
}

// queryAt and keyAt are where a head's numbers begin.
func (at windowed) queryAt(b, t, h int) int {
	return ((b*at.Positions+t)*at.Heads + h) * at.HeadDim
}

func (at windowed) keyAt(b, s, g int) int {
	return ((b*at.Positions+s)*at.KVHeads + g) * at.HeadDim
}

func (at windowed) lseAt(b, t, h int) int { return (b*at.Heads+h)*at.Positions + t }

// forward is kernel.Attention's Forward; scratch has Positions floats.
func (at windowed) forward(o, lse, q, k, v []float32, segments []int32, b, h int, scratch []float32) {
	d, g := at.HeadDim, h/(at.Heads/at.KVHeads)
	for t := range at.Positions {
		lo, hi := at.seen(segments, b, t)
		i := at.queryAt(b, t, h)
		out := o[i : i+d]
		clear(out)
		if lo == hi {
			lse[at.lseAt(b, t, h)] = 0
			continue
		}
		scores := scratch[:hi-lo]
		for s := lo; s < hi; s++ {
			j := at.keyAt(b, s, g)
			scores[s-lo] = at.Scale * kernel.Dot(q[i:i+d], k[j:j+d])
		}
		top, sum := kernel.SoftmaxStats(scores)
		total := top + float32(math.Log(float64(sum)))
		lse[at.lseAt(b, t, h)] = total
		for s := lo; s < hi; s++ {
			j := at.keyAt(b, s, g)
			kernel.AddScaled(out, v[j:j+d], float32(math.Exp(float64(scores[s-lo]-total))))
		}
	}
}

// backward is kernel.Attention's Backward.
func (at windowed) backward(dq, dk, dv, q, k, v, o, lse, do []float32, segments []int32, b, g int) {
	d, group := at.HeadDim, at.Heads/at.KVHeads
	for s := range at.Positions {
		j := at.keyAt(b, s, g)
		clear(dk[j : j+d])
		clear(dv[j : j+d])
	}
	for h := g * group; h < (g+1)*group; h++ {
		for t := range at.Positions {
			lo, hi := at.seen(segments, b, t)
			i := at.queryAt(b, t, h)
			query, dquery, dout := q[i:i+d], dq[i:i+d], do[i:i+d]
			clear(dquery)
			delta := kernel.Dot(dout, o[i:i+d])
			for s := lo; s < hi; s++ {
				j := at.keyAt(b, s, g)
				score := at.Scale * kernel.Dot(query, k[j:j+d])
				p := float32(math.Exp(float64(score - lse[at.lseAt(b, t, h)])))
				ds := at.Scale * p * (kernel.Dot(dout, v[j:j+d]) - delta)
				kernel.AddScaled(dv[j:j+d], dout, p)
				kernel.AddScaled(dquery, k[j:j+d], ds)
				kernel.AddScaled(dk[j:j+d], query, ds)
			}
		}
	}
}
