package model

import (
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Family names the layout of a model's parameters and the kind of its blocks.
// It is the model_type of config.json.
type Family string

const (
	GPT2    Family = "gpt2"        // learned positions, LayerNorm, GELU, biases (Radford et al. 2019)
	Llama   Family = "llama"       // RoPE, RMSNorm, SwiGLU, grouped queries (Touvron et al. 2023)
	Mistral Family = "mistral"     // Llama with a sliding window (Jiang et al. 2023)
	Qwen2   Family = "qwen2"       // Llama with biases of queries, keys and values (Yang et al. 2024)
	Qwen3   Family = "qwen3"       // Llama with RMS-normalised queries and keys (Yang et al. 2025)
	Gemma3  Family = "gemma3_text" // four norms a block, windows in a pattern, GELU gate (Gemma Team 2025)
	BERT    Family = "bert"        // encoder: token types, norms behind the sums (Devlin et al. 2019)
)

// Families lists what [Config.Validate] accepts.
var Families = []Family{GPT2, Llama, Mistral, Qwen2, Qwen3, Gemma3, BERT}

// Decoders lists the families whose positions see only those before them: the
// ones that write text.
var Decoders = []Family{GPT2, Llama, Mistral, Qwen2, Qwen3, Gemma3}

// Encoder reports whether positions see all of their text.
func (f Family) Encoder() bool { return f == BERT }

func (f Family) known() bool { return slices.Contains(Families, f) }

// architecture is what a family decides. Each family's file implements it.
type architecture interface {
	// prefix is what the names of the body's parameters begin with in a
	// model with a head, and embedding the name of its token embedding.
	prefix() string
	embedding() string
	// complete fills in what the configuration leaves at zero.
	complete(c *Config)
	// check refuses sizes that the family cannot have; nil if all is well.
	check(c Config) error
	// parameters lists the body's arrays, without the head's.
	parameters(c Config, l *parameterList)
	// blocks is the body: hidden states [B, T, D].
	blocks(b builder, in Batch, attend attendFunc) *compute.Tensor
	// heads lists the heads that the family has.
	heads() []Head
}

// architecture panics for a family that [Config.Validate] refuses.
func (f Family) architecture() architecture {
	switch f {
	case GPT2:
		return gpt2{}
	case Llama, Mistral, Qwen2, Qwen3:
		return llama{f}
	case Gemma3:
		return gemma3{}
	case BERT:
		return bert{}
	}
	panic(fmt.Sprintf("model: family %q is not one of %v", f, Families))
}

// parameterList collects a model's parameters in the order of the forward
// pass.
type parameterList struct{ list []Parameter }

// matrix adds an array that begins normal.
func (l *parameterList) matrix(name string, std float64, shape ...int) {
	l.list = append(l.list, Parameter{Name: name, Shape: shape, Init: std})
}

// vector adds an array that begins with one repeated number.
func (l *parameterList) vector(name string, fill float32, n int) {
	l.list = append(l.list, Parameter{Name: name, Shape: []int{n}, Fill: fill})
}

// linear adds NAME.weight [out, in], and NAME.bias [out] if it is biased.
func (l *parameterList) linear(name string, std float64, in, out int, biased bool) {
	l.matrix(name+".weight", std, out, in)
	if biased {
		l.vector(name+".bias", 0, out)
	}
}

// layerNorm adds NAME.weight and NAME.bias.
func (l *parameterList) layerNorm(name string, n int) {
	l.vector(name+".weight", 1, n)
	l.vector(name+".bias", 0, n)
}

// builder builds a model's parts in a Program. All linear layers of all
// families and heads are made by its methods linear and conv.
type builder struct {
	Config
	p     *compute.Program
	adapt *Adapter // of the layers that are built, nil outside of the blocks
}

// attendFunc is attention within a layer: q [B,T,H,Dh], k and v [B,T,Hkv,Dh]
// to [B,T,H,Dh].
type attendFunc func(layer int, q, k, v *compute.Tensor) *compute.Tensor

// linear is x·Wᵀ (+ bias) with W [out, in] of that name.
func (b builder) linear(x *compute.Tensor, name string, in, out int, biased bool) *compute.Tensor {
	var bias *compute.Tensor
	if biased {
		bias = b.p.Variable(name+".bias", out)
	}
	return b.adapted(x, compute.Linear(x, b.p.Variable(name+".weight", out, in), bias, true), name)
}

// conv is linear with W stored [in, out], as GPT-2's Conv1D has it.
func (b builder) conv(x *compute.Tensor, name string, in, out int) *compute.Tensor {
	return b.adapted(x, compute.Linear(x, b.p.Variable(name+".weight", in, out), b.p.Variable(name+".bias", out), false), name)
}

// startLayer says that a block begins with the residual stream x.
func (b builder) startLayer(x *compute.Tensor) { b.p.StartLayer(x) }

func (b builder) layerNorm(x *compute.Tensor, name string) *compute.Tensor {
	d := x.Shape.Last()
	return compute.LayerNorm(x, b.p.Variable(name+".weight", d), b.p.Variable(name+".bias", d), float32(b.Epsilon))
}

func (b builder) rmsNorm(x *compute.Tensor, name string) *compute.Tensor {
	return compute.RMSNorm(x, b.p.Variable(name+".weight", x.Shape.Last()), float32(b.Epsilon))
}

// lookUp gives the rows of a table of n rows of width D.
func (b builder) lookUp(name string, n int, ids *compute.Tensor) *compute.Tensor {
	return compute.Embedding(b.p.Variable(name, n, b.Width), ids)
}
