package file

import (
	"encoding/json"
	"fmt"

	"github.com/seed-b72bdb6c/alma/model"
)

type gemma3 struct{}

func (gemma3) names() map[model.Head]string {
	return map[model.Head]string{
		model.LanguageModel: "Gemma3ForCausalLM", model.Scalar: "Gemma3TextForSequenceClassification",
		model.Classes: "Gemma3TextForSequenceClassification", model.NoHead: "Gemma3TextModel",
	}
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

func (k *gemma3Keys) set(c *model.Config) error {
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
			theta, scaling, err := parseRope("rope_parameters."+slidingAttention, text, c.Context, k.Original)
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
	return setWindows(c, k.Window, k.Types, func(layer int) bool { return (layer+1)%pattern != 0 })
}

func (gemma3) write(c model.Config, m map[string]any) {
	writeDecoder(c, m)
	m["hidden_activation"], m["attention_bias"], m["attention_dropout"] = "gelu_pytorch_tanh", c.AttentionBias, 0
	m["query_pre_attn_scalar"] = c.QueryScalar
	m["attn_logit_softcapping"], m["final_logit_softcapping"] = nil, nil
	m["layer_types"] = layerTypes(c)
	if c.Window > 0 {
		m["sliding_window"] = c.Window
	}
	m["rope_parameters"] = map[string]any{
		fullAttention:    ropeParameters(c.RoPETheta, c.RoPEScaling),
		slidingAttention: ropeParameters(c.LocalTheta, model.RoPEScaling{}),
	}
}

func (gemma3) buffer(model.Config, string) bool { return false }
