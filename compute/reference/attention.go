package reference

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

// headAt is the offset of a head's numbers in an array [B, T, H, Dh].
func headAt(shape compute.Shape, b, t, h int) int {
	return ((b*shape[1]+t)*shape[2] + h) * shape[3]
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// visible tells whether position t of a row sees position s.
func visible(o compute.AttentionOp, segments []int32, t, s int) bool {
	if segments != nil && (segments[t] < 0 || segments[t] != segments[s]) {
		return false
	}
	return (!o.Causal || s <= t) && (o.Window == 0 || t-s < o.Window)
}

// logSumExp is log Σ eˣ, −Inf for no numbers.
func logSumExp(xs []float64) float64 {
	largest := math.Inf(-1)
	for _, x := range xs {
		largest = math.Max(largest, x)
	}
	if math.IsInf(largest, 0) {
		return largest
	}
	sum := 0.0
	for _, x := range xs {
		sum += math.Exp(x - largest)
	}
	return largest + math.Log(sum)
}

// attention visits, for each row, head and position, the positions it sees.
func attention(c call, o compute.AttentionOp) error {
	q, k, v := c.in[0].f, c.in[1].f, c.in[2].f
	out, lse := c.out[0].f, c.out[1].f
	eachQuery(c, o, 3, func(b, h, t, kv int, seen []int) {
		qs, ks := c.shape(0), c.shape(1)
		dh := qs[3]
		at := headAt(qs, b, t, h)
		scores := make([]float64, len(seen))
		for i, s := range seen {
			scores[i] = float64(o.Scale) * dot(q[at:at+dh], k[headAt(ks, b, s, kv):])
		}
		total := logSumExp(scores)
		for i, s := range seen {
			p := math.Exp(scores[i] - total)
			from := headAt(ks, b, s, kv)
			for d := range dh {
				out[at+d] += p * v[from+d]
			}
		}
		lse[(b*qs[2]+h)*qs[1]+t] = total
	})
	return nil
}

// With p = exp(score − lse) and D = Σ do·o: dv = Σ p·do, ds = p·(do·v − D),
// dq = Scale·Σ ds·k and dk = Scale·Σ ds·q.
func attentionGrad(c call, o compute.AttentionOp) error {
	q, k, v, out, lse, dout := c.in[0].f, c.in[1].f, c.in[2].f, c.in[3].f, c.in[4].f, c.in[5].f
	dq, dk, dv := c.out[0].f, c.out[1].f, c.out[2].f
	scale := float64(o.Scale)
	eachQuery(c, o, 6, func(b, h, t, kv int, seen []int) {
		qs, ks := c.shape(0), c.shape(1)
		dh := qs[3]
		at := headAt(qs, b, t, h)
		total := lse[(b*qs[2]+h)*qs[1]+t]
		delta := dot(dout[at:at+dh], out[at:])
		for _, s := range seen {
			from := headAt(ks, b, s, kv)
			p := math.Exp(scale*dot(q[at:at+dh], k[from:]) - total)
			ds := p * (dot(dout[at:at+dh], v[from:]) - delta)
			for d := range dh {
				dv[from+d] += p * dout[at+d]
				dq[at+d] += scale * ds * k[from+d]
				dk[from+d] += scale * ds * q[at+d]
			}
		}
	})
	return nil
}

// eachQuery calls visit for every row b, query head h and position t with its
// key head and the positions that it sees. The segments are the input of that
// number, if the node has it.
func eachQuery(c call, o compute.AttentionOp, segmentsInput int, visit func(b, h, t, kv int, seen []int)) {
	qs, ks := c.shape(0), c.shape(1)
	for b := range qs[0] {
		var segments []int32
		if len(c.in) > segmentsInput {
			segments = c.in[segmentsInput].i[b*qs[1] : (b+1)*qs[1]]
		}
		for t := range qs[1] {
			var seen []int
			for s := range qs[1] {
				if visible(o, segments, t, s) {
					seen = append(seen, s)
				}
			}
			for h := range qs[2] {
				visit(b, h, t, h/(qs[2]/ks[2]), seen)
			}
		}
	}
}

// cachedAttention copies the caches, writes the new positions and attends.
func cachedAttention(c call, o compute.CachedAttentionOp) error {
	q, k, v := c.in[0].f, c.in[1].f, c.in[2].f
	slots, starts, counts := c.in[5].i, c.in[6].i, c.in[7].i
	out, keys, values := c.out[0].f, c.out[1].f, c.out[2].f
	qs, ks, cs := c.shape(0), c.shape(1), c.shape(3)
	dh := qs[3]
	copy(keys, c.in[3].f)
	copy(values, c.in[4].f)

	taken := make(map[int32]int)
	for r, count := range counts {
		if count < 0 || int(count) > qs[1] {
			return fmt.Errorf("count %d of row %d is not in 0..%d", count, r, qs[1])
		}
		if count == 0 {
			continue
		}
		if slots[r] < 0 || int(slots[r]) >= cs[0] {
			return fmt.Errorf("slot %d of row %d is not in 0..%d", slots[r], r, cs[0]-1)
		}
		if starts[r] < 0 || int(starts[r])+int(count) > cs[1] {
			return fmt.Errorf("row %d writes positions %d..%d of a cache of %d", r, starts[r], int(starts[r])+int(count)-1, cs[1])
		}
		if other, ok := taken[slots[r]]; ok {
			return fmt.Errorf("rows %d and %d both name slot %d", other, r, slots[r])
		}
		taken[slots[r]] = r
		row := ks[2] * dh
		to := (int(slots[r])*cs[1] + int(starts[r])) * row
		from := r * ks[1] * row
		copy(keys[to:], k[from:from+int(count)*row])
		copy(values[to:], v[from:from+int(count)*row])
	}
	mask := compute.AttentionOp{Causal: true, Window: o.Window}
	for r, count := range counts {
		for i := range int(count) {
			t := int(starts[r]) + i
			for h := range qs[2] {
				kv := h / (qs[2] / ks[2])
				at := headAt(qs, r, i, h)
				var seen []int
				var scores []float64
				for s := range t + 1 {
					if visible(mask, nil, t, s) {
						seen = append(seen, s)
						scores = append(scores, float64(o.Scale)*dot(q[at:at+dh], keys[headAt(cs, int(slots[r]), s, kv):]))
					}
				}
				total := logSumExp(scores)
				for j, s := range seen {
					p := math.Exp(scores[j] - total)
					from := headAt(cs, int(slots[r]), s, kv)
					for d := range dh {
						out[at+d] += p * values[from+d]
					}
				}
			}
		}
	}
	return nil
}
