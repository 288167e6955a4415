package model

import (
	"encoding/json"
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

func (gemma3) names() map[Head]string {
	return map[Head]string{
		LanguageModel: "Gemma3ForCausalLM", Scalar: "Gemma3TextForSequenceClassification",
		Classes: "Gemma3TextForSequenceClassification", NoHead: "Gemma3TextModel",
	}
}

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
	global, local := b.RoPEFrequencies(), RoPEScaling{}.frequencies(b.LocalTheta, b.HeadDim)
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

// gemma3Keys are the keys of config.json that a Gemma 3 is made of.
type gemma3Keys struct {
	decoderKeys
	ropeKeys
	AttentionBias bool     `json:"attention_bias"`
	QueryScalar   float64  `json:"query_pre_attn_scalar"`
	Window        int      `json:"sliding_window"`
	Pattern       int      `json:"sliding_window_pattern"` // every so many layers, one has no window
	PatternToo    int      `json:"_sliding_window_pattern"`
	Types         []string `json:"layer_types"`
	LocalTheta    float64  `json:"rope_local_base_freq"`
}

func (gemma3) keys() configKeys { return &gemma3Keys{} }

func (gemma3) fixed() map[string][]string {
	return map[string][]string{
		"hidden_activation":           {`"gelu_pytorch_tanh"`},
		"hidden_act":                  {`"gelu_pytorch_tanh"`},
		"attn_logit_softcapping":      {"null"},
		"final_logit_softcapping":     {"null"},
		"use_bidirectional_attention": {"false", "null"},
	}
}

func (k *gemma3Keys) set(c *Config) error {
	k.decoderKeys.set(c)
	if k.HeadDim == nil {
		c.HeadDim = 256 // what transformers assumes
	}
	c.AttentionBias, c.QueryScalar, c.LocalTheta, c.Tied = k.AttentionBias, k.QueryScalar, k.LocalTheta, true
	if c.QueryScalar == 0 {
		c.QueryScalar = 256
	}
	if k.Window == 0 {
		k.Window = 4096
	}
	pattern := 6
	for _, given := range []int{k.PatternToo, k.Pattern} { // the later one counts
		if given > 0 {
			pattern = given
		}
	}
	// The newer rope_parameters holds one object for each type of layer.
	nested := map[string]json.RawMessage{}
	if given(k.Parameters) {
		if err := json.Unmarshal(k.Parameters, &nested); err != nil {
			return fmt.Errorf(`key "rope_parameters": %w`, err)
		}
		if text := nested[slidingAttention]; given(text) {
			theta, scaling, err := parseRope("rope_parameters."+slidingAttention, text, c.Context)
			if err != nil {
				return err
			}
			if scaling.Type != "" {
				return fmt.Errorf(`key "rope_parameters.%s": rope_type is %q; alma scales only layers without a window`, slidingAttention, scaling.Type)
			}
			if theta != 0 {
				c.LocalTheta = theta
			}
		}
		if text, ok := nested[fullAttention]; ok {
			k.Parameters = text
			for name := range nested {
				if name != fullAttention && name != slidingAttention {
					return fmt.Errorf(`key "rope_parameters" names %q beside %q and %q`, name, fullAttention, slidingAttention)
				}
			}
		}
	}
	if k.Theta == 0 {
		k.Theta = 1e6
	}
	if err := k.ropeKeys.set(c); err != nil {
		return err
	}
	if c.LocalTheta == 0 {
		c.LocalTheta = 1e4
	}
	return c.setWindows(k.Window, k.Types, func(layer int) bool { return (layer+1)%pattern != 0 })
}

func (gemma3) write(c Config, m map[string]any) {
	c.writeDecoder(m)
	m["hidden_activation"], m["attention_bias"], m["attention_dropout"] = "gelu_pytorch_tanh", c.AttentionBias, 0
	m["query_pre_attn_scalar"] = c.QueryScalar
	m["attn_logit_softcapping"], m["final_logit_softcapping"] = nil, nil
	m["layer_types"] = c.layerTypes()
	if c.Window > 0 {
		m["sliding_window"] = c.Window
	}
	m["rope_parameters"] = map[string]any{
		fullAttention:    c.ropeParameters(c.RoPETheta, c.RoPEScaling),
		slidingAttention: c.ropeParameters(c.LocalTheta, RoPEScaling{}),
	}
}

func (gemma3) buffer(Config, string) bool { return false }
