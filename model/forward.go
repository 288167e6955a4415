package model

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Batch holds the inputs of a body for B rows of T packed tokens, each i32
// [B, T].
type Batch struct {
	Tokens    *compute.Tensor // token ids
	Positions *compute.Tensor // position of each token in its sequence
	Segments  *compute.Tensor // sequence of each token in its row, −1 padding
}

// NewBatch declares the inputs "tokens", "positions" and "segments".
func NewBatch(p *compute.Program, b, t int) Batch {
	return Batch{
		Tokens:    p.Input("tokens", compute.Int32, b, t),
		Positions: p.Input("positions", compute.Int32, b, t),
		Segments:  p.Input("segments", compute.Int32, b, t),
	}
}

// Hidden builds the body: the hidden states [B·T, D] after the final norm,
// causal within each segment.
func (c Config) Hidden(p *compute.Program, in Batch) *compute.Tensor {
	attend := func(_ int, q, k, v *compute.Tensor) *compute.Tensor {
		return compute.Attention(q, k, v, in.Segments, compute.AttentionOp{Scale: c.attentionScale(), Causal: true})
	}
	return c.body(p, in.Tokens, in.Positions, attend)
}

// Step holds the inputs of a decoding step for R rows of C new tokens: tokens
// and positions are i32 [R, C]; slots, starts and counts are i32 [R] (see
// [compute.CachedAttention]).
type Step struct {
	Tokens, Positions, Slots, Starts, Counts *compute.Tensor
}

// NewStep declares the inputs "tokens", "positions", "slots", "starts" and
// "counts".
func NewStep(p *compute.Program, rows, chunk int) Step {
	return Step{
		Tokens:    p.Input("tokens", compute.Int32, rows, chunk),
		Positions: p.Input("positions", compute.Int32, rows, chunk),
		Slots:     p.Input("slots", compute.Int32, rows),
		Starts:    p.Input("starts", compute.Int32, rows),
		Counts:    p.Input("counts", compute.Int32, rows),
	}
}

// CacheNames names the key and value cache of a layer.
func CacheNames(layer int) (keys, values string) {
	return fmt.Sprintf("cache.%d.keys", layer), fmt.Sprintf("cache.%d.values", layer)
}

// DefineCache adds a KV cache for slots sequences of length positions to a
// Store, 2·Layers·slots·length·KVHeads·HeadDim floats.
func (c Config) DefineCache(s compute.Store, slots, length int) error {
	for i := range c.Layers {
		keys, values := CacheNames(i)
		for _, name := range []string{keys, values} {
			if err := s.Define(name, slots, length, c.KVHeads, c.HeadDim); err != nil {
				return err
			}
		}
	}
	return nil
}

// CachedHidden builds the body for decoding against a cache of slots
// sequences of length positions: the hidden states [R·C, D].
func (c Config) CachedHidden(p *compute.Program, in Step, slots, length int) *compute.Tensor {
	attend := func(layer int, q, k, v *compute.Tensor) *compute.Tensor {
		keys, values := CacheNames(layer)
		return compute.CachedAttention(q, k, v,
			p.Variable(keys, slots, length, c.KVHeads, c.HeadDim),
			p.Variable(values, slots, length, c.KVHeads, c.HeadDim),
			in.Slots, in.Starts, in.Counts, compute.CachedAttentionOp{Scale: c.attentionScale()})
	}
	return c.body(p, in.Tokens, in.Positions, attend)
}

// Logits projects hidden states [N, D] to the vocabulary [N, V].
func (c Config) Logits(p *compute.Program, hidden *compute.Tensor) *compute.Tensor {
	return compute.Linear(hidden, c.HeadWeight(p), nil, true)
}

// HeadWeight is the [V, D] matrix of the language-model head, stored [out, in].
func (c Config) HeadWeight(p *compute.Program) *compute.Tensor {
	return p.Variable(c.HeadName(), c.Vocabulary, c.Width)
}

// Score applies the scalar head to hidden states [..., D], giving a number for
// each. The head's gradient is summed sequence by sequence, the dimension before
// the last (see [compute.LinearWeightGradOp]).
func (c Config) Score(p *compute.Program, hidden *compute.Tensor) *compute.Tensor {
	s := compute.Linear(hidden, p.Variable(ScoreWeight, 1, c.Width), p.Variable(ScoreBias, 1), true)
	return compute.Reshape(s, hidden.Shape.Rows())
}

func (c Config) attentionScale() float32 { return float32(1 / math.Sqrt(float64(c.HeadDim))) }

// attendFunc is attention within a layer: q [B,T,H,Dh], k and v [B,T,Hkv,Dh]
// to [B,T,H,Dh].
type attendFunc func(layer int, q, k, v *compute.Tensor) *compute.Tensor

func (c Config) body(p *compute.Program, tokens, positions *compute.Tensor, attend attendFunc) *compute.Tensor {
	b, t := tokens.Shape[0], tokens.Shape[1]
	var x *compute.Tensor // [B, T, D]
	if c.Family == GPT2 {
		x = c.gpt2Blocks(p, tokens, positions, attend)
	} else {
		x = c.llamaBlocks(p, tokens, positions, attend)
	}
	return compute.Reshape(x, b*t, c.Width)
}

// gpt2Blocks: x + attn(ln_1(x)), then x + mlp(ln_2(x)).
func (c Config) gpt2Blocks(p *compute.Program, tokens, positions *compute.Tensor, attend attendFunc) *compute.Tensor {
	b, t, d := tokens.Shape[0], tokens.Shape[1], c.Width
	norm := func(x *compute.Tensor, name string) *compute.Tensor {
		return compute.LayerNorm(x, p.Variable(name+".weight", d), p.Variable(name+".bias", d), float32(c.Epsilon))
	}
	linear := func(x *compute.Tensor, name string, in, out int) *compute.Tensor {
		return compute.Linear(x, p.Variable(name+".weight", in, out), p.Variable(name+".bias", out), false)
	}
	x := compute.Add(
		compute.Embedding(p.Variable("transformer.wte.weight", c.Vocabulary, d), tokens),
		compute.Embedding(p.Variable("transformer.wpe.weight", c.Context, d), positions))
	for i := range c.Layers {
		h := fmt.Sprintf("transformer.h.%d.", i)
		qkv := linear(norm(x, h+"ln_1"), h+"attn.c_attn", d, 3*d) // [B, T, 3D]
		part := func(j int) *compute.Tensor {
			return compute.Reshape(compute.Slice(qkv, 2, j*d, (j+1)*d), b, t, c.Heads, c.HeadDim)
		}
		o := compute.Reshape(attend(i, part(0), part(1), part(2)), b, t, d)
		x = compute.Add(x, linear(o, h+"attn.c_proj", d, d))
		m := compute.GELU(linear(norm(x, h+"ln_2"), h+"mlp.c_fc", d, c.FeedForward), false)
		x = compute.Add(x, linear(m, h+"mlp.c_proj", c.FeedForward, d))
	}
	return norm(x, "transformer.ln_f")
}

// llamaBlocks: x + attn(norm(x)) with rotated queries and keys, then
// x + down(silu(gate(norm(x)))·up(norm(x))).
func (c Config) llamaBlocks(p *compute.Program, tokens, positions *compute.Tensor, attend attendFunc) *compute.Tensor {
	b, t, d := tokens.Shape[0], tokens.Shape[1], c.Width
	frequencies := c.RoPEFrequencies()
	norm := func(x *compute.Tensor, name string, size int) *compute.Tensor {
		return compute.RMSNorm(x, p.Variable(name+".weight", size), float32(c.Epsilon))
	}
	linear := func(x *compute.Tensor, name string, in, out int) *compute.Tensor {
		return compute.Linear(x, p.Variable(name+".weight", out, in), nil, true)
	}
	x := compute.Embedding(p.Variable("model.embed_tokens.weight", c.Vocabulary, d), tokens)
	for i := range c.Layers {
		l := fmt.Sprintf("model.layers.%d.", i)
		y := norm(x, l+"input_layernorm", d)
		heads := func(name string, n int) *compute.Tensor {
			return compute.Reshape(linear(y, l+"self_attn."+name, d, n*c.HeadDim), b, t, n, c.HeadDim)
		}
		q, k, v := heads("q_proj", c.Heads), heads("k_proj", c.KVHeads), heads("v_proj", c.KVHeads)
		if c.Family == Qwen3 {
			q, k = norm(q, l+"self_attn.q_norm", c.HeadDim), norm(k, l+"self_attn.k_norm", c.HeadDim)
		}
		q, k = compute.RoPE(q, positions, frequencies), compute.RoPE(k, positions, frequencies)
		o := compute.Reshape(attend(i, q, k, v), b, t, c.Heads*c.HeadDim)
		x = compute.Add(x, linear(o, l+"self_attn.o_proj", c.Heads*c.HeadDim, d))
		y = norm(x, l+"post_attention_layernorm", d)
		m := compute.SwiGLU(linear(y, l+"mlp.gate_proj", d, c.FeedForward), linear(y, l+"mlp.up_proj", d, c.FeedForward))
		x = compute.Add(x, linear(m, l+"mlp.down_proj", c.FeedForward, d))
	}
	return norm(x, "model.norm", d)
}
