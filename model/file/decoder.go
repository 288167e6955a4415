package file

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/seed-b72bdb6c/alma/model"
)

// What the decoders with rotary positions (Llama's relatives, Gemma 3) have in
// common: the keys of their sizes, rotary frequencies, windows.

// decoderKeys are the keys of config.json for sizes.
type decoderKeys struct {
	Positions    int     `json:"max_position_embeddings"`
	Width        int     `json:"hidden_size"`
	Layers       int     `json:"num_hidden_layers"`
	Heads        int     `json:"num_attention_heads"`
	KVHeads      *int    `json:"num_key_value_heads"`
	HeadDim      *int    `json:"head_dim"`
	Intermediate int     `json:"intermediate_size"`
	Epsilon      float64 `json:"rms_norm_eps"`
}

func (k *decoderKeys) set(c *model.Config) {
	c.Context, c.Width, c.Layers, c.Heads = k.Positions, k.Width, k.Layers, k.Heads
	c.KVHeads, c.FeedForward, c.Epsilon = c.Heads, k.Intermediate, k.Epsilon
	if k.KVHeads != nil {
		c.KVHeads = *k.KVHeads
	}
	if k.HeadDim != nil {
		c.HeadDim = *k.HeadDim
	} else if c.Heads > 0 {
		c.HeadDim = c.Width / c.Heads
	}
	if c.Epsilon == 0 {
		c.Epsilon = 1e-6
	}
}

func writeDecoder(c model.Config, m map[string]any) {
	m["max_position_embeddings"], m["hidden_size"], m["num_hidden_layers"] = c.Context, c.Width, c.Layers
	m["num_attention_heads"], m["num_key_value_heads"], m["head_dim"] = c.Heads, c.KVHeads, c.HeadDim
	m["intermediate_size"], m["rms_norm_eps"] = c.FeedForward, c.Epsilon
}

// ropeKeys are the keys of config.json for rotary positions: the older pair
// rope_theta and rope_scaling, or the newer rope_parameters.
type ropeKeys struct {
	Theta      float64         `json:"rope_theta"`
	Scaling    json.RawMessage `json:"rope_scaling"`
	Parameters json.RawMessage `json:"rope_parameters"`
	Original   int             `json:"original_max_position_embeddings"` // before that of the scaling
}

func (k *ropeKeys) set(c *model.Config) (err error) {
	c.RoPETheta = k.Theta
	for _, of := range []struct {
		key  string
		text json.RawMessage
	}{{"rope_scaling", k.Scaling}, {"rope_parameters", k.Parameters}} {
		if !given(of.text) {
			continue
		}
		theta, scaling, err := parseRope(of.key, of.text, c.Context, k.Original)
		if err != nil {
			return err
		}
		if theta != 0 {
			c.RoPETheta = theta
		}
		c.RoPEScaling = scaling
	}
	if c.RoPETheta == 0 {
		c.RoPETheta = 10000
	}
	return nil
}

// ropeObject is a rope_parameters (or rope_scaling) object.
type ropeObject struct {
	Type     string   `json:"rope_type"`
	OldType  string   `json:"type"`
	Theta    float64  `json:"rope_theta"`
	Partial  *float64 `json:"partial_rotary_factor"`
	Factor   *float64 `json:"factor"`
	Low      float64  `json:"low_freq_factor"`
	High     float64  `json:"high_freq_factor"`
	Original int      `json:"original_max_position_embeddings"`
	// yarn
	BetaFast        *float64 `json:"beta_fast"`
	BetaSlow        *float64 `json:"beta_slow"`
	AttentionFactor *float64 `json:"attention_factor"`
	MScale          *float64 `json:"mscale"`
	MScaleAll       *float64 `json:"mscale_all_dim"`
	Truncate        *bool    `json:"truncate"`
	Finetuned       *bool    `json:"finetuned"` // says where the weights come from
}

// parseRope reads one such object. original is what stands outside of it, 0 for
// nothing.
func parseRope(key string, text json.RawMessage, context, original int) (theta float64, s model.RoPEScaling, err error) {
	fail := func(format string, args ...any) (float64, model.RoPEScaling, error) {
		return 0, s, fmt.Errorf("key %q"+format, append([]any{key}, args...)...)
	}
	var kind ropeObject
	if err := json.Unmarshal(text, &kind); err != nil {
		return fail(": %w", err)
	}
	if kind.Type == "" {
		kind.Type = kind.OldType
	}
	if kind.Type == "" {
		kind.Type = "default"
	}
	if !slices.Contains(model.RoPEScalings, kind.Type) {
		return fail(": rope_type is %q; alma has %q", kind.Type, model.RoPEScalings)
	}
	all := kind
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return fail(": %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if full := key + "." + name; !slices.Contains(keyNames(reflect.TypeOf(all)), name) && !accepted(full) {
			return 0, s, unknownKey(full, keys[name])
		}
	}
	if all.Partial != nil && *all.Partial != 1 {
		return fail(": partial_rotary_factor is %g; alma computes only 1", *all.Partial)
	}
	factor := orElse(all.Factor, 0)
	if original == 0 {
		original = all.Original
	}
	if original == 0 {
		original = context
	}
	yarn := all.BetaFast != nil || all.BetaSlow != nil || all.AttentionFactor != nil || all.MScale != nil || all.MScaleAll != nil || all.Truncate != nil
	if yarn && kind.Type != "yarn" {
		return fail(" has keys of rope_type %q, and rope_type is %q (its value is %s)", "yarn", kind.Type, abbreviate(text))
	}
	switch kind.Type {
	case "default":
		if factor != 0 || all.Low != 0 || all.High != 0 {
			return fail(" has a factor and no rope_type that would use it (its value is %s)", abbreviate(text))
		}
	case "linear":
		s = model.RoPEScaling{Type: kind.Type, Factor: factor}
	case "llama3":
		s = model.RoPEScaling{Type: kind.Type, Factor: factor, LowFactor: all.Low, HighFactor: all.High, Original: original}
	case "yarn":
		if all.Factor == nil && original > 0 {
			factor = float64(context) / float64(original)
		}
		s = model.RoPEScaling{
			Type: kind.Type, Factor: factor, Original: original, BetaFast: nonZero(all.BetaFast, 32), BetaSlow: nonZero(all.BetaSlow, 1),
			AttentionFactor: all.attention(factor), Untruncated: !orElse(all.Truncate, true),
		}
	}
	return all.Theta, s, nil
}

// attention is what a yarn object makes rotated queries and keys longer by: its
// attention_factor, else the ratio that DeepSeek's mscale and mscale_all_dim give,
// else the paper's (transformers, _compute_yarn_parameters).
func (o *ropeObject) attention(factor float64) float64 {
	if o.AttentionFactor != nil {
		return *o.AttentionFactor
	}
	m, all := orElse(o.MScale, 0), orElse(o.MScaleAll, 0)
	if m != 0 && all != 0 && factor > 1 {
		return (m*(model.YaRNAttention(factor)-1) + 1) / (all*(model.YaRNAttention(factor)-1) + 1)
	}
	return model.YaRNAttention(factor)
}

// orElse is what a key says, or what is assumed where it does not.
func orElse[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// nonZero is orElse for keys whose 0 says nothing either.
func nonZero(value *float64, otherwise float64) float64 {
	if v := orElse(value, 0); v != 0 {
		return v
	}
	return otherwise
}

// ropeParameters is the rope_parameters object of config.json.
func ropeParameters(theta float64, s model.RoPEScaling) map[string]any {
	m := map[string]any{"rope_theta": theta, "rope_type": "default"}
	if s.Type != "" {
		m["rope_type"], m["factor"] = s.Type, s.Factor
	}
	if s.Type == "llama3" {
		m["low_freq_factor"], m["high_freq_factor"], m["original_max_position_embeddings"] = s.LowFactor, s.HighFactor, s.Original
	}
	if s.Type == "yarn" {
		m["beta_fast"], m["beta_slow"], m["original_max_position_embeddings"] = s.BetaFast, s.BetaSlow, s.Original
		m["attention_factor"] = s.AttentionFactor
		if s.Untruncated {
			m["truncate"] = false
		}
	}
	return m
}

// The kinds of layers in config.json's layer_types.
const (
	fullAttention    = "full_attention"
	slidingAttention = "sliding_attention"
)

// setWindows gives layers a window by their types or, where there are none, by
// a rule. A window that no layer has is left out.
func setWindows(c *model.Config, window int, types []string, windowed func(layer int) bool) error {
	if types != nil && len(types) != c.Layers {
		return fmt.Errorf(`key "layer_types" names %d layers, num_hidden_layers is %d`, len(types), c.Layers)
	}
	if c.Layers < 1 || c.Layers > model.MaxLayers {
		return nil // Validate says so
	}
	list := make([]bool, c.Layers)
	for i := range list {
		switch {
		case types == nil:
			list[i] = windowed(i)
		case types[i] == slidingAttention:
			list[i] = true
		case types[i] != fullAttention:
			return fmt.Errorf("layer_types[%d] is %q; alma has %q and %q", i, types[i], fullAttention, slidingAttention)
		}
	}
	if !slices.Contains(list, true) {
		return nil
	}
	if window < 1 {
		return fmt.Errorf(`layers with a window, and key "sliding_window" gives no positive size in use`)
	}
	c.Window, c.Windowed = window, list
	return nil
}

func layerTypes(c model.Config) []string {
	types := make([]string, c.Layers)
	for i := range types {
		types[i] = fullAttention
		if len(c.Windowed) > 0 && c.Windowed[i] {
			types[i] = slidingAttention
		}
	}
	return types
}
