package file

import (
	"bytes"
	"encoding/json"
	"fmt"
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
		theta, scaling, err := parseRope(of.key, of.text, c.Context)
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

// given reports whether a key is there and not null.
func given(text json.RawMessage) bool { return len(text) > 0 && string(text) != "null" }

// parseRope reads one rope_parameters (or rope_scaling) object.
func parseRope(key string, text json.RawMessage, context int) (theta float64, s model.RoPEScaling, err error) {
	var kind struct {
		Type    string `json:"rope_type"`
		OldType string `json:"type"`
	}
	if err := json.Unmarshal(text, &kind); err != nil {
		return 0, s, fmt.Errorf("key %q: %w", key, err)
	}
	if kind.Type == "" {
		kind.Type = kind.OldType
	}
	if kind.Type == "" {
		kind.Type = "default"
	}
	if !slices.Contains(model.RoPEScalings, kind.Type) {
		return 0, s, fmt.Errorf("key %q: rope_type is %q; alma has %q", key, kind.Type, model.RoPEScalings)
	}
	var all struct {
		Type     string  `json:"rope_type"`
		OldType  string  `json:"type"`
		Theta    float64 `json:"rope_theta"`
		Factor   float64 `json:"factor"`
		Low      float64 `json:"low_freq_factor"`
		High     float64 `json:"high_freq_factor"`
		Original int     `json:"original_max_position_embeddings"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return 0, s, fmt.Errorf("key %q: %w", key, err)
	}
	switch kind.Type {
	case "default":
		if all.Factor != 0 || all.Low != 0 || all.High != 0 {
			return 0, s, fmt.Errorf("key %q has a factor and no rope_type that would use it (its value is %s)", key, abbreviate(text))
		}
	case "linear":
		s = model.RoPEScaling{Type: kind.Type, Factor: all.Factor}
	case "llama3":
		s = model.RoPEScaling{Type: kind.Type, Factor: all.Factor, LowFactor: all.Low, HighFactor: all.High, Original: all.Original}
		if s.Original == 0 {
			s.Original = context
		}
	}
	return all.Theta, s, nil
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
