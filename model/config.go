package model

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Family names the layout of a model's parameters and the kind of its blocks.
type Family string

const (
	GPT2  Family = "gpt2"  // learned positions, LayerNorm, GELU, biases (Radford et al. 2019)
	Llama Family = "llama" // RoPE, RMSNorm, SwiGLU, grouped queries (Touvron et al. 2023)
	Qwen3 Family = "qwen3" // Llama with RMS-normalised queries and keys (Yang et al. 2025)
)

// Families lists what [Config.Validate] accepts.
var Families = []Family{GPT2, Llama, Qwen3}

// Head is what reads the hidden states.
type Head string

const (
	LanguageModel Head = "lm"    // logits over the vocabulary
	Scalar        Head = "score" // one number for each position: reward or value
)

// Config describes a Transformer decoder.
type Config struct {
	Family      Family
	Head        Head
	Vocabulary  int // V: tokens, the rows of the embedding
	Context     int // positions that a sequence may have
	Width       int // D: size of a hidden state
	Layers      int
	Heads       int     // H: query heads
	KVHeads     int     // key and value heads, a divisor of Heads
	HeadDim     int     // Dh: size of a head
	FeedForward int     // size of the feed-forward layer
	Epsilon     float64 // of the norms
	RoPETheta   float64 // base of the rotary frequencies; 0 for GPT-2
	Tied        bool    // the language-model head is the embedding
	InitRange   float64 // standard deviation of the initial weights

	// Token ids that the checkpoint names; -1 where it names none.
	BOS, EOS, Pad int
}

// Validate checks that the sizes are possible and fit each other.
func (c Config) Validate() error {
	refuse := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrUsage, "checking model configuration: "+format, args...)
	}
	switch c.Family {
	case GPT2, Llama, Qwen3:
	default:
		return refuse("family %q is not one of %v", c.Family, Families)
	}
	if c.Head != LanguageModel && c.Head != Scalar {
		return refuse("head %q is not %q or %q", c.Head, LanguageModel, Scalar)
	}
	for _, v := range []struct {
		name  string
		value int
	}{
		{"vocabulary", c.Vocabulary}, {"context", c.Context}, {"width", c.Width}, {"layers", c.Layers},
		{"heads", c.Heads}, {"key-value heads", c.KVHeads}, {"head size", c.HeadDim}, {"feed-forward size", c.FeedForward},
	} {
		if v.value < 1 || v.value > 1<<24 {
			return refuse("%s is %d, want 1 to %d", v.name, v.value, 1<<24)
		}
	}
	if c.Heads%c.KVHeads != 0 {
		return refuse("%d query heads are not a multiple of %d key-value heads", c.Heads, c.KVHeads)
	}
	if c.Family == GPT2 && (c.KVHeads != c.Heads || c.Heads*c.HeadDim != c.Width) {
		return refuse("gpt2 wants heads × head size = width and as many key-value heads, got %d × %d = %d against width %d and %d",
			c.Heads, c.HeadDim, c.Heads*c.HeadDim, c.Width, c.KVHeads)
	}
	positive := func(v float64) bool { return v > 0 && !math.IsInf(v, 1) }
	if c.Family != GPT2 && (c.HeadDim%2 != 0 || !positive(c.RoPETheta)) {
		return refuse("rotary positions want an even head size and a positive theta, got %d and %g", c.HeadDim, c.RoPETheta)
	}
	if !positive(c.Epsilon) || !positive(c.InitRange) {
		return refuse("norm epsilon %g and initializer range %g must be positive", c.Epsilon, c.InitRange)
	}
	return nil
}

// Parameter is one array of weights.
type Parameter struct {
	Name  string
	Shape []int
	Init  float64 // standard deviation of a normal; 0: Fill
	Fill  float32 // initial value where Init is 0
}

// Decays reports whether weight decay applies: to matrices, not to biases and
// the gains of norms.
func (p Parameter) Decays() bool { return len(p.Shape) >= 2 }

// Parameters lists all arrays of the model in the order of the forward pass.
// Matrices start normal with InitRange, those that write into the residual
// stream smaller by 1/√(2·Layers) (Radford et al. 2019, section 2.3).
func (c Config) Parameters() []Parameter {
	var list []Parameter
	std, residual := c.InitRange, c.InitRange/math.Sqrt(2*float64(c.Layers))
	matrix := func(name string, std float64, shape ...int) {
		list = append(list, Parameter{Name: name, Shape: shape, Init: std})
	}
	vector := func(name string, fill float32, n int) {
		list = append(list, Parameter{Name: name, Shape: []int{n}, Fill: fill})
	}
	d, f := c.Width, c.FeedForward
	if c.Family == GPT2 {
		matrix("transformer.wte.weight", std, c.Vocabulary, d)
		matrix("transformer.wpe.weight", std, c.Context, d)
		for i := range c.Layers {
			h := fmt.Sprintf("transformer.h.%d.", i)
			vector(h+"ln_1.weight", 1, d)
			vector(h+"ln_1.bias", 0, d)
			matrix(h+"attn.c_attn.weight", std, d, 3*d)
			vector(h+"attn.c_attn.bias", 0, 3*d)
			matrix(h+"attn.c_proj.weight", residual, d, d)
			vector(h+"attn.c_proj.bias", 0, d)
			vector(h+"ln_2.weight", 1, d)
			vector(h+"ln_2.bias", 0, d)
			matrix(h+"mlp.c_fc.weight", std, d, f)
			vector(h+"mlp.c_fc.bias", 0, f)
			matrix(h+"mlp.c_proj.weight", residual, f, d)
			vector(h+"mlp.c_proj.bias", 0, d)
		}
		vector("transformer.ln_f.weight", 1, d)
		vector("transformer.ln_f.bias", 0, d)
	} else {
		q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
		matrix("model.embed_tokens.weight", std, c.Vocabulary, d)
		for i := range c.Layers {
			l := fmt.Sprintf("model.layers.%d.", i)
			vector(l+"input_layernorm.weight", 1, d)
			matrix(l+"self_attn.q_proj.weight", std, q, d)
			matrix(l+"self_attn.k_proj.weight", std, kv, d)
			matrix(l+"self_attn.v_proj.weight", std, kv, d)
			if c.Family == Qwen3 {
				vector(l+"self_attn.q_norm.weight", 1, c.HeadDim)
				vector(l+"self_attn.k_norm.weight", 1, c.HeadDim)
			}
			matrix(l+"self_attn.o_proj.weight", residual, d, q)
			vector(l+"post_attention_layernorm.weight", 1, d)
			matrix(l+"mlp.gate_proj.weight", std, f, d)
			matrix(l+"mlp.up_proj.weight", std, f, d)
			matrix(l+"mlp.down_proj.weight", residual, d, f)
		}
		vector("model.norm.weight", 1, d)
	}
	switch {
	case c.Head == Scalar:
		// N(0, 1/√(d+1)) and bias 0 (Huang et al. 2024, detail 9 here).
		matrix(ScoreWeight, 1/math.Sqrt(float64(d+1)), 1, d)
		vector(ScoreBias, 0, 1)
	case !c.Tied:
		matrix("lm_head.weight", std, c.Vocabulary, d)
	}
	return list
}

// Names of the scalar head's parameters. ScoreWeight is what transformers'
// sequence classification reads; the bias is alma's own.
const (
	ScoreWeight = "score.weight"
	ScoreBias   = "score.bias"
)

// ParameterCount is the number of weights, a tied head counted once.
func (c Config) ParameterCount() int64 {
	var n int64
	for _, p := range c.Parameters() {
		size := int64(1)
		for _, d := range p.Shape {
			size *= int64(d)
		}
		n += size
	}
	return n
}

// EmbeddingName is the parameter that tokens are looked up in.
func (c Config) EmbeddingName() string {
	if c.Family == GPT2 {
		return "transformer.wte.weight"
	}
	return "model.embed_tokens.weight"
}

// HeadName is the [V, D] matrix that makes logits of hidden states.
func (c Config) HeadName() string {
	if c.Tied {
		return c.EmbeddingName()
	}
	return "lm_head.weight"
}

// RoPEFrequencies are θ^(−2i/Dh) for each pair i of a head's dimensions
// (Su et al. 2021, section 3.2.2).
func (c Config) RoPEFrequencies() []float64 {
	f := make([]float64, c.HeadDim/2)
	for i := range f {
		f[i] = math.Pow(c.RoPETheta, -2*float64(i)/float64(c.HeadDim))
	}
	return f
}
