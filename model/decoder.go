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
	Type   string  // "": none; "linear" (Chen et al. 2023); "llama3" (Dubey et al. 2024)
	Factor float64 // the context is longer by it
	// llama3 only: waves that turn more than HighFactor times within
	// Original positions stay as they are, those that turn less than
	// LowFactor times are stretched by Factor, with a transition between.
	LowFactor, HighFactor float64
	Original              int
}

// RoPEScalings lists the kinds of scaling, "default" standing for none.
var RoPEScalings = []string{"default", "linear", "llama3"}

// Frequencies are θ^(−2i/dim) radians a position for each pair i of a head's
// dimensions (Su et al. 2021, section 3.2.2), scaled.
func (s RoPEScaling) Frequencies(theta float64, dim int) []float64 {
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
