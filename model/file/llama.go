package file

import (
	"fmt"
	"strings"

	"github.com/seed-b72bdb6c/alma/model"
)

// llama is Llama and its relatives.
type llama struct{ family model.Family }

func (a llama) names() map[model.Head]string {
	name := map[model.Family]string{model.Llama: "Llama", model.Mistral: "Mistral", model.Qwen2: "Qwen2", model.Qwen3: "Qwen3"}[a.family]
	return map[model.Head]string{
		model.LanguageModel: name + "ForCausalLM", model.Scalar: name + "ForSequenceClassification",
		model.Classes: name + "ForSequenceClassification", model.NoHead: name + "Model",
	}
}

// llamaKeys are the keys of config.json that Llama's relatives are made of.
type llamaKeys struct {
	decoderKeys
	ropeKeys
	family        model.Family
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
	case model.Mistral:
		return &mistralKeys{llamaKeys: of}
	case model.Qwen2, model.Qwen3:
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
	switch a.family {
	case model.Llama:
		fixed["sliding_window"], fixed["use_sliding_window"], fixed["layer_types"] = nil, []string{"false"}, nil
	default:
		fixed["mlp_bias"] = []string{"false"}
	}
	return fixed
}

func (k *llamaKeys) set(c *model.Config) error {
	if k.Positions == 0 && k.family == model.Llama {
		k.Positions = 2048 // the first Llamas' files do not say; transformers' default
	}
	k.decoderKeys.set(c)
	c.AttentionBias, c.FeedForwardBias = k.AttentionBias, k.MLPBias
	switch {
	case k.family == model.Qwen2:
		if k.AttentionBias {
			return fmt.Errorf(`key "attention_bias" is true; qwen2 has biases of queries, keys and values whatever it says, and none of the output`)
		}
		c.AttentionBias = true
	case k.family == model.Mistral && k.AttentionBias:
		return fmt.Errorf(`key "attention_bias" is true; alma computes only false for mistral`)
	}
	return k.ropeKeys.set(c)
}

func (k *mistralKeys) set(c *model.Config) error {
	if err := k.llamaKeys.set(c); err != nil || k.Window == nil {
		return err
	}
	return setWindows(c, *k.Window, nil, func(int) bool { return true })
}

func (k *qwenKeys) set(c *model.Config) error {
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
	return setWindows(c, window, k.Types, func(layer int) bool { return window > 0 && layer >= full })
}

func (a llama) write(c model.Config, m map[string]any) {
	writeDecoder(c, m)
	m["hidden_act"] = "silu"
	m["rope_parameters"] = ropeParameters(c.RoPETheta, c.RoPEScaling)
	m["attention_dropout"] = 0
	switch a.family {
	case model.Llama:
		m["attention_bias"], m["mlp_bias"] = c.AttentionBias, c.FeedForwardBias
	case model.Mistral:
		m["sliding_window"] = nil
		if c.Window > 0 {
			m["sliding_window"] = c.Window
		}
	case model.Qwen2, model.Qwen3:
		m["use_sliding_window"], m["sliding_window"] = c.Window > 0, nil
		if c.Window > 0 {
			m["sliding_window"], m["layer_types"] = c.Window, layerTypes(c)
		}
		if a.family == model.Qwen3 {
			m["attention_bias"] = c.AttentionBias
		}
	}
}

// The rotary frequencies, which older checkpoints carry as tensors.
func (llama) buffer(_ model.Config, name string) bool {
	return strings.HasSuffix(name, ".rotary_emb.inv_freq")
}
