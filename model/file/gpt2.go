package file

import (
	"strings"

	"github.com/seed-b72bdb6c/alma/model"
)

type gpt2 struct{}

func (gpt2) names() map[model.Head]string {
	return map[model.Head]string{
		model.LanguageModel: "GPT2LMHeadModel", model.Scalar: "GPT2ForSequenceClassification",
		model.Classes: "GPT2ForSequenceClassification", model.NoHead: "GPT2Model",
	}
}

// gpt2Keys are the keys of config.json that a GPT-2 is made of.
type gpt2Keys struct {
	Positions  int     `json:"n_positions"`
	Width      int     `json:"n_embd"`
	Layers     int     `json:"n_layer"`
	Heads      int     `json:"n_head"`
	Inner      *int    `json:"n_inner"`
	Epsilon    float64 `json:"layer_norm_epsilon"`
	Activation string  `json:"activation_function"`
	NCtx       int     `json:"n_ctx"` // an older name of n_positions, written beside it
}

func (gpt2) keys() configKeys { return &gpt2Keys{} }

func (gpt2) fixed() map[string][]string {
	return map[string][]string{
		"reorder_and_upcast_attn":         {"false"},
		"scale_attn_by_inverse_layer_idx": {"false"},
		"scale_attn_weights":              {"true"},
	}
}

func (k *gpt2Keys) set(c *model.Config) error {
	c.Context, c.Width, c.Layers, c.Heads = k.Positions, k.Width, k.Layers, k.Heads
	c.KVHeads, c.FeedForward, c.Epsilon, c.Tied = c.Heads, 4*c.Width, k.Epsilon, true
	if c.Heads > 0 {
		c.HeadDim = c.Width / c.Heads
	}
	if k.Inner != nil {
		c.FeedForward = *k.Inner
	}
	if c.Epsilon == 0 {
		c.Epsilon = 1e-5
	}
	if k.Activation == "" {
		k.Activation = "gelu_new"
	}
	return setGELU(c, "activation_function", k.Activation)
}

func (gpt2) write(c model.Config, m map[string]any) {
	m["n_positions"], m["n_embd"], m["n_layer"], m["n_head"] = c.Context, c.Width, c.Layers, c.Heads
	m["n_inner"], m["layer_norm_epsilon"], m["activation_function"] = c.FeedForward, c.Epsilon, geluName(c)
	m["attn_pdrop"], m["embd_pdrop"], m["resid_pdrop"] = 0, 0, 0
}

// The causal mask, which older checkpoints carry as a tensor.
func (gpt2) buffer(_ model.Config, name string) bool {
	return strings.HasSuffix(name, ".attn.bias") || strings.HasSuffix(name, ".attn.masked_bias")
}
