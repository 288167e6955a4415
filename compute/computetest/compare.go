package computetest

import (
	"fmt"
	"math"
)

// numbers is an array with its name.
type numbers struct {
	name   string
	values []float32
}

// closeTo says where got differs from want by more than
// tolerance·(|want| + rms of all want) + floor, "" if nowhere. NaN is close to
// NaN, an infinity to itself.
func closeTo(got, want []numbers, tolerance, floor float64) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d arrays, want %d", len(got), len(want))
	}
	for a, w := range want {
		if got[a].name != w.name || len(got[a].values) != len(w.values) {
			return fmt.Sprintf("%s of %d elements, want %s of %d", got[a].name, len(got[a].values), w.name, len(w.values))
		}
		scale := rms(w.values)
		bad, worst, where := 0, 0.0, 0
		for i, v := range w.values {
			g, v := float64(got[a].values[i]), float64(v)
			if g == v || math.IsNaN(g) && math.IsNaN(v) {
				continue
			}
			off := (math.Abs(g-v) - floor) / (math.Abs(v) + scale)
			if !(off <= tolerance) {
				if bad == 0 || off > worst {
					worst, where = off, i
				}
				bad++
			}
		}
		if bad > 0 {
			return fmt.Sprintf("%s: %d of %d elements are off; element %d is %g, want %g (%.2g of its scale, allowed %.2g)",
				w.name, bad, len(w.values), where, got[a].values[where], w.values[where], worst, tolerance)
		}
	}
	return ""
}

// closeOnAverage says which array of got differs from want by more than
// tolerance·(rms of want) + floor in the root mean square, "" if none. NaN and
// infinities must stand at the same places.
func closeOnAverage(got, want []numbers, tolerance, floor float64) string {
	if diff := closeTo(got, want, math.Inf(1), 0); diff != "" {
		return diff // other names or sizes
	}
	for a, w := range want {
		off := make([]float32, len(w.values))
		for i, v := range w.values {
			g := got[a].values[i]
			finite := !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0)
			if !finite && g != v && !(g != g && v != v) || finite && (g != g || math.IsInf(float64(g), 0)) {
				return fmt.Sprintf("%s: element %d is %g, want %g", w.name, i, g, v)
			}
			if finite {
				off[i] = g - v
			}
		}
		if off, scale := rms(off), rms(w.values); !(off <= tolerance*scale+floor) {
			return fmt.Sprintf("%s: %d elements are off by %.2g in the root mean square, %.2g of their own, allowed %.2g",
				w.name, len(w.values), off, off/scale, tolerance)
		}
	}
	return ""
}

// rms is the root of the mean square of the finite numbers.
func rms(values []float32) float64 {
	sum, n := 0.0, 0
	for _, v := range values {
		if v := float64(v); !math.IsNaN(v) && !math.IsInf(v, 0) {
			sum += v * v
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return math.Sqrt(sum / float64(n))
}

// sameBits says where got and want differ in any bit, "" if nowhere. Two NaNs
// are the same: which of several NaN inputs wins is the machine's choice.
func sameBits(got, want []numbers) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d arrays, want %d", len(got), len(want))
	}
	for a, w := range want {
		if got[a].name != w.name || len(got[a].values) != len(w.values) {
			return fmt.Sprintf("%s of %d elements, want %s of %d", got[a].name, len(got[a].values), w.name, len(w.values))
		}
		for i, v := range w.values {
			g := got[a].values[i]
			if math.Float32bits(g) != math.Float32bits(v) && !(g != g && v != v) {
				return fmt.Sprintf("%s: element %d is %g (%08x), want %g (%08x)",
					w.name, i, g, math.Float32bits(g), v, math.Float32bits(v))
			}
		}
	}
	return ""
}

// missesNaN says where want is NaN and got is not, "" if nowhere.
func missesNaN(got, want []numbers) string {
	for a, w := range want {
		for i, v := range w.values {
			if v != v && got[a].values[i] == got[a].values[i] {
				return fmt.Sprintf("%s: element %d is %g, want NaN", w.name, i, got[a].values[i])
			}
		}
	}
	return ""
}
