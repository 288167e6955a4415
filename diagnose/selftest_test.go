package diagnose

import (
	"math"
	"slices"
	"testing"
)

func TestTheComparisonSeesWrongGradients(t *testing.T) {
	config := selfTestModels()[0]
	right := computed{loss: 2}
	for _, p := range config.Parameters() {
		n := 1
		for _, d := range p.Shape {
			n *= d
		}
		g := make([]float32, n)
		for i := range g {
			g[i] = 1
		}
		right.gradients = append(right.gradients, g)
	}
	for _, c := range []struct {
		name string
		spot float32
		loss float64
		ok   bool
	}{
		{"equal", 1, 2, true},
		{"one wrong element", 2, 2, false},
		{"not a number", float32(math.NaN()), 2, false},
		{"wrong loss", 1, 2.001, false},
		{"loss not a number", 1, math.NaN(), false},
	} {
		got := computed{loss: c.loss, gradients: slices.Clone(right.gradients)}
		got.gradients[3] = slices.Clone(got.gradients[3])
		got.gradients[3][0] = c.spot
		check := Check{SameBits: true}
		check.compare(got, right, config.Parameters())
		if check.OK != c.ok {
			t.Errorf("%s: %+v, want ok %v", c.name, check, c.ok)
		}
	}
}
