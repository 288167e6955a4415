package model

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

// gemma3 is the text decoder of Gemma Team 2025. Beside Llama: the embedding is
// scaled by √D; a norm stands before and behind each part; a norm multiplies
// by 1 + weight; queries and keys are normalised; the gate is GELU's tanh form;
// layers with a window come in a pattern and rotate by a base of their own.
type gemma3 struct{}

func (gemma3) prefix() string    { return "model." }
func (gemma3) embedding() string { return "model.embed_tokens.weight" }

func (gemma3) heads() []Head { return decoderHeads }

func (gemma3) complete(c *Config) {
	orElse(&c.RoPETheta, 1e6)
	orElse(&c.LocalTheta, 1e4)
	orElse(&c.QueryScalar, float64(c.HeadDim))
}

func (gemma3) check(c Config) error {
	if err := c.checkRotary(); err != nil {
		return err
	}
	if !(c.LocalTheta > 0) || math.IsInf(c.LocalTheta, 1) || !(c.QueryScalar > 0) || math.IsInf(c.QueryScalar, 1) {
		return fmt.Errorf("gemma3_text wants a positive theta of its windows and query scalar, got %g and %g", c.LocalTheta, c.QueryScalar)
	}
	if c.FeedForwardBias {
		return fmt.Errorf("gemma3_text has no biases in its feed-forward layers, and the configuration says that it has")
	}
	return nil
}

func (gemma3) parameters(c Config, l *parameterList) {
	d, f, std, residual := c.Width, c.FeedForward, c.InitRange, c.residualRange()
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	norm := func(name string, n int) { l.vector(name+".weight", 0, n) } // multiplies by 1 + weight
	l.matrix("model.embed_tokens.weight", std, c.Vocabulary, d)
	for i := range c.Layers {
		h := fmt.Sprintf("model.layers.%d.", i)
		norm(h+"input_layernorm", d)
		l.linear(h+"self_attn.q_proj", std, d, q, c.AttentionBias)
		l.linear(h+"self_attn.k_proj", std, d, kv, c.AttentionBias)
		l.linear(h+"self_attn.v_proj", std, d, kv, c.AttentionBias)
		norm(h+"self_attn.q_norm", c.HeadDim)
		norm(h+"self_attn.k_norm", c.HeadDim)
		l.linear(h+"self_attn.o_proj", residual, q, d, c.AttentionBias)
		norm(h+"post_attention_layernorm", d)
		norm(h+"pre_feedforward_layernorm", d)
		l.linear(h+"mlp.gate_proj", std, d, f, false)
		l.linear(h+"mlp.up_proj", std, d, f, false)
		l.linear(h+"mlp.down_proj", residual, f, d, false)
		norm(h+"post_feedforward_layernorm", d)
	}
	norm("model.norm", d)
}

// blocks: x + norm(attn(norm(x))), then x + norm(down(gelu(gate(norm(x)))·up(norm(x)))).
func (gemma3) blocks(b builder, in Batch, attend attendFunc) *compute.Tensor {
	rows, t, d := in.Tokens.Shape[0], in.Tokens.Shape[1], b.Width
	global, local := b.RoPEFrequencies(), RoPEScaling{}.Frequencies(b.LocalTheta, b.HeadDim)
	one := compute.Constant(b.p, 1)
	norm := func(x *compute.Tensor, name string) *compute.Tensor {
		weight := compute.Add(b.p.Variable(name+".weight", x.Shape.Last()), one)
		return compute.RMSNorm(x, weight, float32(b.Epsilon))
	}
	x := compute.Scale(b.lookUp("model.embed_tokens.weight", b.Vocabulary, in.Tokens), float32(math.Sqrt(float64(d)))) // [B, T, D]
	for i := range b.Layers {
		b.startLayer(x)
		h := fmt.Sprintf("model.layers.%d.", i)
		frequencies := global
		if b.windowOf(i) > 0 {
			frequencies = local
		}
		y := norm(x, h+"input_layernorm")
		heads := func(name string, n int) *compute.Tensor {
			return compute.Reshape(b.linear(y, h+"self_attn."+name, d, n*b.HeadDim, b.AttentionBias), rows, t, n, b.HeadDim)
		}
		q, k, v := heads("q_proj", b.Heads), heads("k_proj", b.KVHeads), heads("v_proj", b.KVHeads)
		q = compute.RoPE(norm(q, h+"self_attn.q_norm"), in.Positions, frequencies)
		k = compute.RoPE(norm(k, h+"self_attn.k_norm"), in.Positions, frequencies)
		o := compute.Reshape(attend(i, q, k, v), rows, t, b.Heads*b.HeadDim)
		o = b.linear(o, h+"self_attn.o_proj", b.Heads*b.HeadDim, d, b.AttentionBias)
		x = compute.Add(x, norm(o, h+"post_attention_layernorm"))
		y = norm(x, h+"pre_feedforward_layernorm")
		m := compute.Mul(
			compute.GELU(b.linear(y, h+"mlp.gate_proj", d, b.FeedForward, false), false),
			b.linear(y, h+"mlp.up_proj", d, b.FeedForward, false))
		m = b.linear(m, h+"mlp.down_proj", b.FeedForward, d, false)
		x = compute.Add(x, norm(m, h+"post_feedforward_layernorm"))
	}
	return norm(x, "model.norm")
}
