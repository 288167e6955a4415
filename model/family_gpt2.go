package model

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
)

// gpt2 is the decoder of Radford et al. 2019: learned positions, LayerNorm
// before each part, GELU, biases everywhere, weights stored [in, out].
type gpt2 struct{}

func (gpt2) prefix() string    { return "transformer." }
func (gpt2) embedding() string { return "transformer.wte.weight" }

func (gpt2) heads() []Head { return decoderHeads }

func (gpt2) complete(*Config) {}

func (gpt2) check(c Config) error {
	switch {
	case c.KVHeads != c.Heads || c.Heads*c.HeadDim != c.Width:
		return fmt.Errorf("gpt2 wants heads × head size = width and as many key-value heads, got %d × %d = %d against width %d and %d",
			c.Heads, c.HeadDim, c.Heads*c.HeadDim, c.Width, c.KVHeads)
	case c.Window != 0:
		return fmt.Errorf("gpt2 has no window, and the configuration gives one of %d", c.Window)
	}
	return nil
}

func (gpt2) parameters(c Config, l *parameterList) {
	d, f, std, residual := c.Width, c.FeedForward, c.InitRange, c.residualRange()
	conv := func(name string, std float64, in, out int) {
		l.matrix(name+".weight", std, in, out)
		l.vector(name+".bias", 0, out)
	}
	l.matrix("transformer.wte.weight", std, c.Vocabulary, d)
	l.matrix("transformer.wpe.weight", std, c.Context, d)
	for i := range c.Layers {
		h := fmt.Sprintf("transformer.h.%d.", i)
		l.layerNorm(h+"ln_1", d)
		conv(h+"attn.c_attn", std, d, 3*d)
		conv(h+"attn.c_proj", residual, d, d)
		l.layerNorm(h+"ln_2", d)
		conv(h+"mlp.c_fc", std, d, f)
		conv(h+"mlp.c_proj", residual, f, d)
	}
	l.layerNorm("transformer.ln_f", d)
}

// blocks: x + attn(ln_1(x)), then x + mlp(ln_2(x)).
func (gpt2) blocks(b builder, in Batch, attend attendFunc) *compute.Tensor {
	rows, t, d := in.Tokens.Shape[0], in.Tokens.Shape[1], b.Width
	x := compute.Add(
		b.lookUp("transformer.wte.weight", b.Vocabulary, in.Tokens),
		b.lookUp("transformer.wpe.weight", b.Context, in.Positions)) // [B, T, D]
	for i := range b.Layers {
		b.startLayer(x)
		h := fmt.Sprintf("transformer.h.%d.", i)
		qkv := b.conv(b.layerNorm(x, h+"ln_1"), h+"attn.c_attn", d, 3*d) // [B, T, 3D]
		part := func(j int) *compute.Tensor {
			return compute.Reshape(compute.Slice(qkv, 2, j*d, (j+1)*d), rows, t, b.Heads, b.HeadDim)
		}
		o := compute.Reshape(attend(i, part(0), part(1), part(2)), rows, t, d)
		x = compute.Add(x, b.conv(o, h+"attn.c_proj", d, d))
		m := compute.GELU(b.conv(b.layerNorm(x, h+"ln_2"), h+"mlp.c_fc", d, b.FeedForward), b.ExactGELU)
		x = compute.Add(x, b.conv(m, h+"mlp.c_proj", b.FeedForward, d))
	}
	return b.layerNorm(x, "transformer.ln_f")
}
