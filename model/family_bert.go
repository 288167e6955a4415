package model

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
)

// bert is the encoder of Devlin et al. 2019: token types, learned positions,
// LayerNorm behind each sum, GELU, attention in both directions.
type bert struct{}

func (bert) prefix() string    { return "bert." }
func (bert) embedding() string { return "bert.embeddings.word_embeddings.weight" }

func (bert) heads() []Head { return []Head{MaskedLanguageModel, Classes, NoHead} }

func (bert) complete(c *Config) {
	if c.Types == 0 {
		c.Types, c.ExactGELU = 2, true
	}
}

func (bert) check(c Config) error {
	switch {
	case c.KVHeads != c.Heads || c.Heads*c.HeadDim != c.Width:
		return fmt.Errorf("bert wants heads × head size = width and as many key-value heads, got %d × %d = %d against width %d and %d",
			c.Heads, c.HeadDim, c.Heads*c.HeadDim, c.Width, c.KVHeads)
	case c.Types < 1 || c.Types > MaxSize:
		return fmt.Errorf("token types are %d, want 1 to %d", c.Types, MaxSize)
	case c.Window != 0:
		return fmt.Errorf("bert has no window, and the configuration gives one of %d", c.Window)
	case c.Head == Classes && !c.Pooler:
		return fmt.Errorf("bert's classes are read from its pooler, which the configuration leaves out")
	}
	return nil
}

func (bert) parameters(c Config, l *parameterList) {
	d, f, std := c.Width, c.FeedForward, c.InitRange
	e := "bert.embeddings."
	l.matrix(e+"word_embeddings.weight", std, c.Vocabulary, d)
	l.matrix(e+"position_embeddings.weight", std, c.Context, d)
	l.matrix(e+"token_type_embeddings.weight", std, c.Types, d)
	l.layerNorm(e+"LayerNorm", d)
	for i := range c.Layers {
		h := fmt.Sprintf("bert.encoder.layer.%d.", i)
		l.linear(h+"attention.self.query", std, d, d, true)
		l.linear(h+"attention.self.key", std, d, d, true)
		l.linear(h+"attention.self.value", std, d, d, true)
		l.linear(h+"attention.output.dense", std, d, d, true)
		l.layerNorm(h+"attention.output.LayerNorm", d)
		l.linear(h+"intermediate.dense", std, d, f, true)
		l.linear(h+"output.dense", std, f, d, true)
		l.layerNorm(h+"output.LayerNorm", d)
	}
	if c.Pooler {
		l.linear(poolerName, std, d, d, true)
	}
}

// blocks: norm(x + attn(x)), then norm(x + mlp(x)).
func (bert) blocks(b builder, in Batch, attend attendFunc) *compute.Tensor {
	rows, t, d := in.Tokens.Shape[0], in.Tokens.Shape[1], b.Width
	e := "bert.embeddings."
	x := compute.Add(compute.Add(
		b.lookUp(e+"word_embeddings.weight", b.Vocabulary, in.Tokens),
		b.lookUp(e+"token_type_embeddings.weight", b.Types, in.Types)),
		b.lookUp(e+"position_embeddings.weight", b.Context, in.Positions)) // [B, T, D]
	x = b.layerNorm(x, e+"LayerNorm")
	for i := range b.Layers {
		b.startLayer(x)
		h := fmt.Sprintf("bert.encoder.layer.%d.", i)
		heads := func(name string) *compute.Tensor {
			return compute.Reshape(b.linear(x, h+"attention.self."+name, d, d, true), rows, t, b.Heads, b.HeadDim)
		}
		o := compute.Reshape(attend(i, heads("query"), heads("key"), heads("value")), rows, t, d)
		x = b.layerNorm(compute.Add(x, b.linear(o, h+"attention.output.dense", d, d, true)), h+"attention.output.LayerNorm")
		m := compute.GELU(b.linear(x, h+"intermediate.dense", d, b.FeedForward, true), b.ExactGELU)
		x = b.layerNorm(compute.Add(x, b.linear(m, h+"output.dense", b.FeedForward, d, true)), h+"output.LayerNorm")
	}
	return x
}
