package model

import (
	"fmt"
	"math"
)

// What the decoders with rotary positions (Llama's relatives, Gemma 3) have in
// common: rotary frequencies, windows.

// RoPEScaling stretches the rotary positions of a model to a longer context
// than it was first trained with.
type RoPEScaling struct {
	Type   string  // "": none; "linear" (Chen et al. 2023); "llama3" (Dubey et al. 2024); "yarn" (Peng et al. 2023)
	Factor float64 // the context is longer by it
	// llama3 only: waves that turn more than HighFactor times within
	// Original positions stay as they are, those that turn less than
	// LowFactor times are stretched by Factor, with a transition between.
	LowFactor, HighFactor float64
	Original              int // llama3 and yarn
	// yarn only: the same with BetaFast and BetaSlow turns and a transition in
	// steps of the dimensions, whose ends are whole ones unless Untruncated.
	// Rotated queries and keys are longer by AttentionFactor.
	BetaFast, BetaSlow float64
	AttentionFactor    float64
	Untruncated        bool
}

// RoPEScalings lists the kinds of scaling, "default" standing for none.
var RoPEScalings = []string{"default", "linear", "llama3", "yarn"}

// Frequencies are θ^(−2i/dim) radians a position for each pair i of a head's
// dimensions (Su et al. 2021, section 3.2.2), scaled.
func (s RoPEScaling) Frequencies(theta float64, dim int) []float64 {
	f := make([]float64, dim/2)
	low, high := s.ramp(theta, dim)
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
		case "yarn":
			kept := 1 - math.Max(0, math.Min(1, (float64(i)-low)/(high-low)))
			f[i] *= kept + (1-kept)/s.Factor
		}
	}
	return f
}

// ramp gives the pairs between which YaRN goes over from frequencies as they are to
// those divided by the factor: pair i turns L·θ^(−2i/dim)/2π times in L positions
// (Peng et al. 2023, section 3.2; transformers' modeling_rope_utils has the bounds).
func (s RoPEScaling) ramp(theta float64, dim int) (low, high float64) {
	if s.Type != "yarn" {
		return 0, 1
	}
	pair := func(turns float64) float64 {
		return float64(dim) * math.Log(float64(s.Original)/(turns*2*math.Pi)) / (2 * math.Log(theta))
	}
	low, high = pair(s.BetaFast), pair(s.BetaSlow)
	if !s.Untruncated {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = math.Max(low, 0), math.Min(high, float64(dim-1))
	if low == high {
		high += 0.001
	}
	return low, high
}

// YaRNAttention is the attention factor that YaRN gives a stretching by factor
// (Peng et al. 2023, eq. 22): 0.1·ln(factor) + 1.
func YaRNAttention(factor float64) float64 {
	if factor <= 1 {
		return 1
	}
	return 0.1*math.Log(factor) + 1
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
	case "yarn":
		if !positive(s.BetaSlow) || !positive(s.BetaFast) || s.BetaFast < s.BetaSlow || s.Original < 1 || !positive(s.AttentionFactor) || s.Factor < 1 {
			return fmt.Errorf("yarn rotary scaling wants a factor of at least 1, 0 < slow ≤ fast, a positive context and a positive attention factor, got %g, %g, %g, %d and %g", s.Factor, s.BetaSlow, s.BetaFast, s.Original, s.AttentionFactor)
		}
	default:
		return fmt.Errorf("rotary scaling %q is not one of %v", s.Type, RoPEScalings)
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
	if c.RoPEScaling.Type == "yarn" && c.RoPETheta <= 1 {
		return fmt.Errorf("yarn rotary scaling wants a theta above 1, got %g", c.RoPETheta)
	}
	return c.RoPEScaling.check()
}

// RoPEFrequencies are the angles, in radians a position, by which each pair of
// a head's dimensions turns, in layers without a window of their own base.
func (c Config) RoPEFrequencies() []float64 { return c.RoPEScaling.Frequencies(c.RoPETheta, c.HeadDim) }

// windowOf is the number of positions that a layer sees, itself included; 0:
// all.
func (c Config) windowOf(layer int) int {
	if c.Windowed != nil && c.Windowed[layer] {
		return c.Window
	}
	return 0
}
