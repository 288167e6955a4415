package computetest

import (
	"math"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

func TestReferencePassesTheSuite(t *testing.T) {
	Run(t, func(int) compute.Engine { return reference.New() })
}

// Every gradient rule, and every gradient operator of the reference, agrees
// with the slope of the loss along random directions and along single
// elements, by central differences in float64 at two distances, extrapolated
// (Richardson 1911).
func TestGradientsAreTheSlopesOfTheLoss(t *testing.T) {
	for _, c := range allCases() {
		// Programs that change the variables they read have no slope.
		if c.forwardOnly || strings.HasPrefix(c.name, "random/") {
			continue
		}
		t.Run(c.name, func(t *testing.T) { testSlopes(t, c) })
	}
}

func testSlopes(t *testing.T, c testCase) {
	const lossName = "the loss"
	engine := reference.New()
	backward := newBuilder(c, asOutput).compile(t, engine)
	backward.run(t, 1)

	// The forward pass alone, for speed.
	b := &builder{p: compute.NewProgram(c.name), n: 1}
	c.build(b)
	b.p.Output(lossName, b.loss())
	forward := b.compile(t, engine)
	forward.fill(1)
	loss := func() float64 {
		if err := forward.executable.Run(); err != nil {
			t.Fatal(err)
		}
		return forward.executable.(*reference.Executable).Float64(lossName)[0]
	}

	for _, w := range b.wrt {
		gradient := backward.executable.(*reference.Executable).Float64("gradient/" + w.Name)
		x := forward.store.(*reference.Store).Float64(w.Name)
		at := append([]float64(nil), x...)
		norm := 0.0
		for _, g := range gradient {
			norm = math.Hypot(norm, g)
		}
		for probe, direction := range directions(w.Name, len(x)) {
			slope := func(h float64) float64 {
				for i, d := range direction {
					x[i] = at[i] + h*d
				}
				up := loss()
				for i, d := range direction {
					x[i] = at[i] - h*d
				}
				return (up - loss()) / (2 * h)
			}
			const h = 1e-4
			want := (4*slope(h) - slope(2*h)) / 3
			copy(x, at)
			got := 0.0
			for i, d := range direction {
				got += gradient[i] * d
			}
			// A part in a million of a typical component, and what rounding of
			// the loss makes of a difference.
			allowed := 1e-6*math.Max(math.Abs(want), norm/math.Sqrt(float64(len(x)))) + 5e-14*(1+math.Abs(loss()))/h
			if !(math.Abs(got-want) <= allowed) {
				t.Errorf("along direction %d of %s the gradient gives %.9g and the loss rises by %.9g (allowed %.2g)", probe, w.Name, got, want, allowed)
			}
		}
	}
}

// directions are two random unit vectors and three unit vectors of single
// elements.
func directions(name string, n int) [][]float64 {
	stream := compute.Stream("direction " + name)
	var all [][]float64
	for probe := range 2 {
		d := make([]float64, n)
		norm := 0.0
		for i := range d {
			d[i] = compute.Normal(uint64(probe), stream, uint64(i))
			norm = math.Hypot(norm, d[i])
		}
		for i := range d {
			d[i] /= norm
		}
		all = append(all, d)
	}
	for probe := range min(3, n) {
		d := make([]float64, n)
		d[compute.Bits(uint64(probe), stream, 1<<40)%uint64(n)] = 1
		all = append(all, d)
	}
	return all
}

func TestComparisonSeesEveryDifference(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	array := func(values ...float32) []numbers { return []numbers{{"x", values}} }
	for _, c := range []struct {
		name        string
		got, want   []numbers
		close, bits bool
	}{
		{"equal", array(1, 2, nan, inf), array(1, 2, nan, inf), true, true},
		{"a rounding apart", array(1, 2), array(1.0000001, 2), true, false},
		{"far apart", array(1, 2), array(1.1, 2), false, false},
		{"a number for NaN", array(1, 2), array(1, nan), false, false},
		{"NaN for a number", array(1, nan), array(1, 2), false, false},
		{"an infinity for a number", array(1, inf), array(1, 2), false, false},
		{"the other infinity", array(-inf), array(inf), false, false},
		{"zero of the other sign", array(float32(math.Copysign(0, -1))), array(0), true, false},
		{"something for zeros", array(0, 1e-30), array(0, 0), false, false},
		{"an element short", array(1), array(1, 2), false, false},
		{"an array short", nil, array(1), false, false},
	} {
		if got := closeTo(c.got, c.want, 1e-6, 0) == ""; got != c.close {
			t.Errorf("%s: close is %v, want %v", c.name, got, c.close)
		}
		if got := sameBits(c.got, c.want) == ""; got != c.bits {
			t.Errorf("%s: equal bits is %v, want %v", c.name, got, c.bits)
		}
	}
	for _, c := range []struct {
		name      string
		got, want []numbers
		close     bool
	}{
		{"equal", array(1, 2, nan, inf), array(1, 2, nan, inf), true},
		{"one element far, the mean near", array(1, 1, 1, 1.015), array(1, 1, 1, 1), true},
		{"the mean too far", array(1, 1, 1, 1.025), array(1, 1, 1, 1), false},
		{"a number for NaN", array(1, 2), array(1, nan), false},
		{"NaN for a number", array(1, nan), array(1, 2), false},
		{"an infinity for a number", array(1, inf), array(1, 2), false},
		{"the other infinity", array(-inf), array(inf), false},
		{"an array short", nil, array(1), false},
	} {
		if got := closeOnAverage(c.got, c.want, 0.01, 0) == ""; got != c.close {
			t.Errorf("%s: close on average is %v, want %v", c.name, got, c.close)
		}
	}
	if missesNaN(array(1, nan), array(1, nan)) != "" || missesNaN(array(1, 2), array(1, nan)) == "" {
		t.Error("missesNaN does not tell a kept NaN from a lost one")
	}
}
