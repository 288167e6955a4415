package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
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

func (k *decoderKeys) set(c *Config) {
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

func (c Config) writeDecoder(m map[string]any) {
	m["max_position_embeddings"], m["hidden_size"], m["num_hidden_layers"] = c.Context, c.Width, c.Layers
	m["num_attention_heads"], m["num_key_value_heads"], m["head_dim"] = c.Heads, c.KVHeads, c.HeadDim
	m["intermediate_size"], m["rms_norm_eps"] = c.FeedForward, c.Epsilon
}

// RoPEScaling stretches the rotary positions of a model to a longer context
// than it was first trained with.
type RoPEScaling struct {
	Type   string  // "": none; "linear" (Chen et al. 2023); "llama3" (Dubey et al. 2024)
	Factor float64 // the context is longer by it
	// llama3 only: waves that turn more than HighFactor times within
	// Original positions stay as they are, those that turn less than
	// LowFactor times are stretched by Factor, with a transition between.
	LowFactor, HighFactor float64
	Original              int
}

// ropeScalings lists the kinds of scaling, "default" standing for none.
var ropeScalings = []string{"default", "linear", "llama3"}

// frequencies are θ^(−2i/dim) radians a position for each pair i of a head's
// dimensions (Su et al. 2021, section 3.2.2), scaled.
func (s RoPEScaling) frequencies(theta float64, dim int) []float64 {
	f := make([]float64, dim/2)
	for i := range f {
		f[i] = math.Pow(theta, -2*float64(i)/float64(dim))
		switch s.Type {
		case "linear":
			f[i] /= s.Factor
		case "llama3":
			turns := float64(s.Original) * f[i] / (2 * math.Pi)
			kept := (turns - s.LowFactor) / (s.HighFactor - s.LowFactor)
			kept = math.Max(0, math.Min(1, kept))
			f[i] *= kept + (1-kept)/s.Factor
		}
	}
	return f
}

func (s RoPEScaling) check() error {
	positive := func(v float64) bool { return v > 0 && !math.IsInf(v, 1) }
	switch s.Type {
	case "":
		if s != (RoPEScaling{}) {
			return fmt.Errorf("rotary scaling of no type has the factor %g", s.Factor)
		}
		return nil
	case "linear":
		if s != (RoPEScaling{Type: s.Type, Factor: s.Factor}) {
			return fmt.Errorf("linear rotary scaling takes a factor alone")
		}
	case "llama3":
		if !positive(s.LowFactor) || !positive(s.HighFactor) || s.HighFactor <= s.LowFactor || s.Original < 1 {
			return fmt.Errorf("llama3 rotary scaling wants 0 < low < high and a positive context, got %g, %g and %d", s.LowFactor, s.HighFactor, s.Original)
		}
	default:
		return fmt.Errorf("rotary scaling %q is not one of %v", s.Type, ropeScalings)
	}
	if !positive(s.Factor) {
		return fmt.Errorf("rotary scaling by %g; want a positive factor", s.Factor)
	}
	return nil
}

// checkRotary refuses what rotary positions and windows cannot have.
func (c Config) checkRotary() error {
	if c.HeadDim%2 != 0 || !(c.RoPETheta > 0) || math.IsInf(c.RoPETheta, 1) {
		return fmt.Errorf("rotary positions want an even head size and a positive theta, got %d and %g", c.HeadDim, c.RoPETheta)
	}
	return c.RoPEScaling.check()
}

// RoPEFrequencies are the angles, in radians a position, by which each pair of
// a head's dimensions turns, in layers without a window of their own base.
func (c Config) RoPEFrequencies() []float64 { return c.RoPEScaling.frequencies(c.RoPETheta, c.HeadDim) }

// ropeKeys are the keys of config.json for rotary positions: the older pair
// rope_theta and rope_scaling, or the newer rope_parameters.
type ropeKeys struct {
	Theta      float64         `json:"rope_theta"`
	Scaling    json.RawMessage `json:"rope_scaling"`
	Parameters json.RawMessage `json:"rope_parameters"`
}

func (k *ropeKeys) set(c *Config) (err error) {
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
func parseRope(key string, text json.RawMessage, context int) (theta float64, s RoPEScaling, err error) {
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
	if !slices.Contains(ropeScalings, kind.Type) {
		return 0, s, fmt.Errorf("key %q: rope_type is %q; alma has %q", key, kind.Type, ropeScalings)
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
		s = RoPEScaling{Type: kind.Type, Factor: all.Factor}
	case "llama3":
		s = RoPEScaling{Type: kind.Type, Factor: all.Factor, LowFactor: all.Low, HighFactor: all.High, Original: all.Original}
		if s.Original == 0 {
			s.Original = context
		}
	}
	return all.Theta, s, nil
}

// ropeParameters is the rope_parameters object of config.json.
func (c Config) ropeParameters(theta float64, s RoPEScaling) map[string]any {
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
func (c *Config) setWindows(window int, types []string, windowed func(layer int) bool) error {
	if types != nil && len(types) != c.Layers {
		return fmt.Errorf(`key "layer_types" names %d layers, num_hidden_layers is %d`, len(types), c.Layers)
	}
	if c.Layers < 1 || c.Layers > maxLayers {
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

// windowOf is the number of positions that a layer sees, itself included; 0:
// all.
func (c Config) windowOf(layer int) int {
	if c.Windowed != nil && c.Windowed[layer] {
		return c.Window
	}
	return 0
}

func (c Config) layerTypes() []string {
	types := make([]string, c.Layers)
	for i := range types {
		types[i] = fullAttention
		if c.windowOf(i) > 0 {
			types[i] = slidingAttention
		}
	}
	return types
}
