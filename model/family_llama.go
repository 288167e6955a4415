package model

import (
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/compute"
)

// llama is the decoder of Touvron et al. 2023 and what grew out of it:
// rotary positions, RMSNorm before each part, a SiLU-gated feed-forward layer,
// grouped queries. Mistral adds a window, Qwen2 biases of queries, keys and
// values, Qwen3 norms of queries and keys.
type llama struct{ family Family }

func (llama) prefix() string    { return "model." }
func (llama) embedding() string { return "model.embed_tokens.weight" }

func (llama) heads() []Head { return decoderHeads }

func (a llama) complete(c *Config) {
	orElse(&c.RoPETheta, 1e4)
	c.AttentionBias = c.AttentionBias || a.family == Qwen2
}

func (a llama) check(c Config) error {
	if err := c.checkRotary(); err != nil {
		return err
	}
	switch {
	case a.family == Qwen2 && !c.AttentionBias:
		return fmt.Errorf("qwen2 has biases of queries, keys and values, and the configuration says that there are none")
	case a.family == Mistral && c.AttentionBias:
		return fmt.Errorf("mistral has no biases, and the configuration says that attention has them")
	case a.family != Llama && c.FeedForwardBias:
		return fmt.Errorf("%s has no biases in its feed-forward layers, and the configuration says that it has", a.family)
	case a.family == Llama && c.Window != 0:
		return fmt.Errorf("llama has no window, and the configuration gives one of %d", c.Window)
	case a.family == Mistral && slices.Contains(c.Windowed, false):
		return fmt.Errorf("mistral has its window in every layer or in none")
	}
	return nil
}

// outputBias tells whether the projection of attention's output has a bias.
func (a llama) outputBias(c Config) bool { return c.AttentionBias && a.family != Qwen2 }

func (a llama) parameters(c Config, l *parameterList) {
	d, f, std, residual := c.Width, c.FeedForward, c.InitRange, c.residualRange()
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	l.matrix("model.embed_tokens.weight", std, c.Vocabulary, d)
	for i := range c.Layers {
		h := fmt.Sprintf("model.layers.%d.", i)
		l.vector(h+"input_layernorm.weight", 1, d)
		l.linear(h+"self_attn.q_proj", std, d, q, c.AttentionBias)
		l.linear(h+"self_attn.k_proj", std, d, kv, c.AttentionBias)
		l.linear(h+"self_attn.v_proj", std, d, kv, c.AttentionBias)
		if a.family == Qwen3 {
			l.vector(h+"self_attn.q_norm.weight", 1, c.HeadDim)
			l.vector(h+"self_attn.k_norm.weight", 1, c.HeadDim)
		}
		l.linear(h+"self_attn.o_proj", residual, q, d, a.outputBias(c))
		l.vector(h+"post_attention_layernorm.weight", 1, d)
		l.linear(h+"mlp.gate_proj", std, d, f, c.FeedForwardBias)
		l.linear(h+"mlp.up_proj", std, d, f, c.FeedForwardBias)
		l.linear(h+"mlp.down_proj", residual, f, d, c.FeedForwardBias)
	}
	l.vector("model.norm.weight", 1, d)
}

// blocks: x + attn(norm(x)) with rotated queries and keys, then
// x + down(silu(gate(norm(x)))·up(norm(x))).
func (a llama) blocks(b builder, in Batch, attend attendFunc) *compute.Tensor {
	rows, t, d := in.Tokens.Shape[0], in.Tokens.Shape[1], b.Width
	frequencies := b.RoPEFrequencies()
	x := b.lookUp("model.embed_tokens.weight", b.Vocabulary, in.Tokens) // [B, T, D]
	for i := range b.Layers {
		b.startLayer(x)
		h := fmt.Sprintf("model.layers.%d.", i)
		y := b.rmsNorm(x, h+"input_layernorm")
		heads := func(name string, n int) *compute.Tensor {
			return compute.Reshape(b.linear(y, h+"self_attn."+name, d, n*b.HeadDim, b.AttentionBias), rows, t, n, b.HeadDim)
		}
		q, k, v := heads("q_proj", b.Heads), heads("k_proj", b.KVHeads), heads("v_proj", b.KVHeads)
		if a.family == Qwen3 {
			q, k = b.rmsNorm(q, h+"self_attn.q_norm"), b.rmsNorm(k, h+"self_attn.k_norm")
		}
		q, k = compute.RoPE(q, in.Positions, frequencies), compute.RoPE(k, in.Positions, frequencies)
		o := compute.Reshape(attend(i, q, k, v), rows, t, b.Heads*b.HeadDim)
		x = compute.Add(x, b.linear(o, h+"self_attn.o_proj", b.Heads*b.HeadDim, d, a.outputBias(b.Config)))
		y = b.rmsNorm(x, h+"post_attention_layernorm")
		m := compute.SwiGLU(
			b.linear(y, h+"mlp.gate_proj", d, b.FeedForward, b.FeedForwardBias),
			b.linear(y, h+"mlp.up_proj", d, b.FeedForward, b.FeedForwardBias))
		x = compute.Add(x, b.linear(m, h+"mlp.down_proj", b.FeedForward, d, b.FeedForwardBias))
	}
	return b.rmsNorm(x, "model.norm")
}
