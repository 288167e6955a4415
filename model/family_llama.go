package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/compute"
)

// llama is the decoder of Touvron et al. 2023 and what grew out of it:
// rotary positions, RMSNorm before each part, a SiLU-gated feed-forward layer,
// grouped queries. Mistral adds a window, Qwen2 biases of queries, keys and
// values, Qwen3 norms of queries and keys.
type llama struct{ family Family }

func (llama) prefix() string    { return "model." }
func (llama) embedding() string { return "model.embed_tokens.weight" }

func (a llama) names() map[Head]string {
	name := map[Family]string{Llama: "Llama", Mistral: "Mistral", Qwen2: "Qwen2", Qwen3: "Qwen3"}[a.family]
	return map[Head]string{
		LanguageModel: name + "ForCausalLM", Scalar: name + "ForSequenceClassification",
		Classes: name + "ForSequenceClassification", NoHead: name + "Model",
	}
}

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

// llamaKeys are the keys of config.json that Llama's relatives are made of.
type llamaKeys struct {
	decoderKeys
	ropeKeys
	family        Family
	AttentionBias bool `json:"attention_bias"`
	MLPBias       bool `json:"mlp_bias"`
}

// mistralKeys are those of Mistral: all layers have the window.
type mistralKeys struct {
	llamaKeys
	Window *int `json:"sliding_window"`
}

// qwenKeys are those of Qwen2 and Qwen3: the later layers may have a window.
type qwenKeys struct {
	llamaKeys
	UseWindow bool     `json:"use_sliding_window"`
	Window    *int     `json:"sliding_window"`
	MaxFull   *int     `json:"max_window_layers"` // the first layers, without a window
	Types     []string `json:"layer_types"`
}

func (a llama) keys() configKeys {
	switch of := (llamaKeys{family: a.family}); a.family {
	case Mistral:
		return &mistralKeys{llamaKeys: of}
	case Qwen2, Qwen3:
		return &qwenKeys{llamaKeys: of}
	default:
		return &of
	}
}

func (a llama) fixed() map[string][]string {
	fixed := map[string][]string{
		"hidden_act":       {`"silu"`, `"swish"`},
		"rope_interleaved": {"false"}, // SmolLM2 writes these two
		"is_llama_config":  {"true"},
		"use_mrope":        {"false"}, // Qwen2
	}
	if a.family != Llama {
		fixed["mlp_bias"] = []string{"false"}
	}
	return fixed
}

func (k *llamaKeys) set(c *Config) error {
	k.decoderKeys.set(c)
	c.AttentionBias, c.FeedForwardBias = k.AttentionBias, k.MLPBias
	switch {
	case k.family == Qwen2:
		if k.AttentionBias {
			return fmt.Errorf(`key "attention_bias" is true; qwen2 has biases of queries, keys and values whatever it says, and none of the output`)
		}
		c.AttentionBias = true
	case k.family == Mistral && k.AttentionBias:
		return fmt.Errorf(`key "attention_bias" is true; alma computes only false for mistral`)
	}
	return k.ropeKeys.set(c)
}

func (k *mistralKeys) set(c *Config) error {
	if err := k.llamaKeys.set(c); err != nil || k.Window == nil {
		return err
	}
	return c.setWindows(*k.Window, nil, func(int) bool { return true })
}

func (k *qwenKeys) set(c *Config) error {
	if err := k.llamaKeys.set(c); err != nil {
		return err
	}
	window, full := 0, 28 // what transformers assumes
	if k.MaxFull != nil {
		full = *k.MaxFull
	}
	if k.UseWindow {
		if k.Window == nil {
			return fmt.Errorf(`key "use_sliding_window" is true and key "sliding_window" names no size`)
		}
		window = *k.Window
	}
	return c.setWindows(window, k.Types, func(layer int) bool { return window > 0 && layer >= full })
}

func (a llama) write(c Config, m map[string]any) {
	c.writeDecoder(m)
	m["hidden_act"] = "silu"
	m["rope_parameters"] = c.ropeParameters(c.RoPETheta, c.RoPEScaling)
	m["attention_dropout"] = 0
	switch a.family {
	case Llama:
		m["attention_bias"], m["mlp_bias"] = c.AttentionBias, c.FeedForwardBias
	case Mistral:
		m["sliding_window"] = nil
		if c.Window > 0 {
			m["sliding_window"] = c.Window
		}
	case Qwen2, Qwen3:
		m["use_sliding_window"], m["sliding_window"] = c.Window > 0, nil
		if c.Window > 0 {
			m["sliding_window"], m["layer_types"] = c.Window, c.layerTypes()
		}
		if a.family == Qwen3 {
			m["attention_bias"] = c.AttentionBias
		}
	}
}

// The rotary frequencies, which older checkpoints carry as tensors.
func (llama) buffer(_ Config, name string) bool {
	return strings.HasSuffix(name, ".rotary_emb.inv_freq")
}
