package compute

// AttentionOp is softmax(q·kᵀ·Scale + mask)·v for each head (Vaswani et al.
// 2017, eq. 1), computed in tiles with a running softmax (Dao et al. 2022).
//
// The mask lets position t see position s when s ≤ t (Causal), when
// t − s < Window (Window > 0), and when both have the same segment id. A
// negative segment id is padding: it sees nothing, and its output is zero.
// The positions of a segment are contiguous in their row.
//
// Query heads share key heads in groups: query head h reads key head
// h/(H/Hkv) (Ainslie et al. 2023).
//
// Outputs: o [B, T, H, Dh], and the log-sum-exp of the scores [B, H, T] that
// the backward pass recomputes the probabilities from.
type AttentionOp struct {
	Scale  float32
	Causal bool
	Window int // 0: no limit
}

// Attention takes q [B, T, H, Dh], k and v [B, T, Hkv, Dh], and segments
// i32 [B, T] or nil for one segment a row.
func Attention(q, k, v, segments *Tensor, op AttentionOp) *Tensor {
	if segments == nil {
		return apply(op, q, k, v)[0]
	}
	return apply(op, q, k, v, segments)[0]
}

func (AttentionOp) Kind() string { return "attention" }

func (AttentionOp) Infer(in []Type) []Type {
	wantFloats("attention", in[:3])
	q, k, v := in[0].Shape, in[1].Shape, in[2].Shape
	ok := len(q) == 4 && len(k) == 4 && k.Equal(v) && q[0] == k[0] && q[1] == k[1] && q[3] == k[3] && q[2]%k[2] == 0
	if ok && len(in) == 4 {
		ok = in[3].DType == Int32 && in[3].Shape.Equal(q[:2])
	}
	if !ok {
		badShape("attention", "q [B,T,H,Dh], k and v [B,T,Hkv,Dh] with H a multiple of Hkv, segments i32 [B,T]", in)
	}
	return []Type{in[0], {Float32, Shape{q[0], q[2], q[1]}}}
}

func (o AttentionOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	inputs := []*Tensor{n.Inputs[0], n.Inputs[1], n.Inputs[2], n.Outputs[0], n.Outputs[1], dOut[0]}
	if len(n.Inputs) == 4 {
		return append(apply(AttentionGradOp(o), append(inputs, n.Inputs[3])...), nil)
	}
	return apply(AttentionGradOp(o), inputs...)
}

// FLOPs counts the pairs of a full row (half of them when causal): segments
// and windows, which only the inputs decide, make the work less.
func (o AttentionOp) FLOPs(n *Node) int64 { return 4 * o.pairs(n) }

func (o AttentionOp) pairs(n *Node) int64 {
	q := n.Inputs[0].Shape
	t := int64(q[1])
	pairs := t * t
	if o.Causal {
		pairs = t * (t + 1) / 2
	}
	return int64(q[0]) * int64(q[2]) * int64(q[3]) * pairs
}

// AttentionGradOp takes q, k, v, o, lse, do (and segments) and gives dq, dk
// and dv.
type AttentionGradOp AttentionOp

func (AttentionGradOp) Kind() string                          { return "attention.grad" }
func (AttentionGradOp) Infer(in []Type) []Type                { return []Type{in[0], in[1], in[2]} }
func (o AttentionGradOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (o AttentionGradOp) FLOPs(n *Node) int64                 { return 8 * AttentionOp(o).pairs(n) }

// CachedAttentionOp is causal attention of new positions against a cache of
// the keys and values before them. It first writes the new keys and values
// into the cache, then attends; see [CachedAttention].
type CachedAttentionOp struct {
	Scale  float32
	Window int // 0: no limit
}

// CachedAttention decodes. Row r brings counts[r] ≤ C new positions, which
// stand at starts[r], starts[r]+1, … of cache slot slots[r]; what lies beyond
// counts[r] in the row is padding with output zero. No two rows with
// counts > 0 may name the same slot.
//
// An output depends, to the last bit, on its own query and on the keys and
// values of its slot that it sees: neither on the rows beside it, nor on C, nor
// on how its slot was filled, position by position or in stretches. So what is
// sampled for a request does not depend on the requests served with it.
//
// q is [R, C, H, Dh], k and v are [R, C, Hkv, Dh]; keyCache and valueCache are
// variables [S, M, Hkv, Dh] for S slots of M positions, which the Program
// updates; slots, starts and counts are i32 [R]. The result is [R, C, H, Dh].
func CachedAttention(q, k, v, keyCache, valueCache, slots, starts, counts *Tensor, op CachedAttentionOp) *Tensor {
	out := apply(op, q, k, v, keyCache, valueCache, slots, starts, counts)
	p := q.Node.program
	p.Update(keyCache, out[1])
	p.Update(valueCache, out[2])
	return out[0]
}

func (CachedAttentionOp) Kind() string { return "cached_attention" }

func (CachedAttentionOp) Infer(in []Type) []Type {
	wantFloats("cached_attention", in[:5])
	q, k, v, kc, vc := in[0].Shape, in[1].Shape, in[2].Shape, in[3].Shape, in[4].Shape
	ok := len(q) == 4 && k.Equal(v) && len(k) == 4 && q[0] == k[0] && q[1] == k[1] && q[3] == k[3] && q[2]%k[2] == 0 &&
		kc.Equal(vc) && len(kc) == 4 && kc[2] == k[2] && kc[3] == k[3]
	for _, t := range in[5:] {
		ok = ok && t.DType == Int32 && t.Shape.Equal(q[:1])
	}
	if !ok {
		badShape("cached_attention", "q [R,C,H,Dh], k and v [R,C,Hkv,Dh], caches [S,M,Hkv,Dh], slots, starts and counts i32 [R]", in)
	}
	return []Type{in[0], in[3], in[4]}
}

func (o CachedAttentionOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }

// FLOPs counts half of the cache as filled, which only the inputs decide.
func (CachedAttentionOp) FLOPs(n *Node) int64 {
	return 2 * int64(n.Inputs[0].Shape.Size()) * int64(n.Inputs[3].Shape[1])
}
