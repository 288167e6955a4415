package stats

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance || math.IsNaN(got) != math.IsNaN(want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// The textbook sample: mean 5, unbiased variance 32/7, standard error
// √(32/7/8) = .755929.
var textbook = []float64{2, 4, 4, 4, 5, 5, 7, 9}

func TestMeanIntervalOfKnownSample(t *testing.T) {
	e := MeanInterval(textbook)
	near(t, "value", e.Value, 5, 0)
	near(t, "low", e.Low, 3.518407, 1e-6)
	near(t, "high", e.High, 6.481593, 1e-6)
	if e.N != 8 {
		t.Errorf("N = %d, want 8", e.N)
	}
}

func TestIntervalIsUnboundedBelowTwoObservations(t *testing.T) {
	for name, e := range map[string]Estimate{
		"mean":      MeanInterval([]float64{3}),
		"bootstrap": BootstrapMean([]float64{3}, 100, 1),
	} {
		if e.Value != 3 || !math.IsInf(e.Low, -1) || !math.IsInf(e.High, 1) {
			t.Errorf("%s of one value: got %v, want 3 without bounds", name, e)
		}
	}
	for name, e := range map[string]Estimate{
		"mean":       MeanInterval(nil),
		"bootstrap":  BootstrapMean(nil, 100, 1),
		"proportion": ProportionInterval(0, 0),
		"win rate":   WinRate(nil, nil).Rate,
		"accuracy":   PairwiseAccuracy(nil),
	} {
		if !math.IsNaN(e.Value) || e.N != 0 {
			t.Errorf("%s of nothing: got %v, want NaN", name, e)
		}
	}
}

func TestEstimateSurvivesJSON(t *testing.T) {
	for name, e := range map[string]Estimate{
		"bounded":   {1, .5, 2, 9},
		"unbounded": unbounded(1, 1),
		"absent":    unbounded(math.NaN(), 0),
	} {
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var back Estimate
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if back != e && !(math.IsNaN(e.Value) && math.IsNaN(back.Value)) {
			t.Errorf("%s: %s read back as %v", name, data, back)
		}
	}
}

func TestPairingNarrowsTheInterval(t *testing.T) {
	before := []float64{1, 2, 3, 4}
	after := []float64{1.5, 2.4, 3.6, 4.5} // differences .5 .4 .6 .5
	b := BootstrapPairedDifference(after, before, 2000, 7)
	near(t, "value", b.Value, .5, 1e-12)
	if !b.Above(.39) || !b.Below(.61) {
		t.Errorf("bootstrap interval %v leaves the range of the differences", b)
	}
	if two := BootstrapMean(after, 2000, 7); two.High-two.Low < 2*(b.High-b.Low) {
		t.Errorf("interval %v of the differences beside %v of one side", b, two)
	}
}

func TestMismatchedLengthsPanicWithBothLengths(t *testing.T) {
	defer func() {
		if s, _ := recover().(string); !strings.Contains(s, "BootstrapPairedDifference") || !strings.Contains(s, "2 values with 1") {
			t.Errorf("panicked with %q", s)
		}
	}()
	BootstrapPairedDifference([]float64{1, 2}, []float64{1}, 10, 1)
}

func TestBootstrapAgreesWithTheNormalIntervalOnManyObservations(t *testing.T) {
	x := make([]float64, 400)
	for i := range x {
		x[i] = compute.Normal(5, 1, uint64(i))
	}
	n, b := MeanInterval(x), BootstrapMean(x, 4000, 1)
	near(t, "low", b.Low, n.Low, .01)
	near(t, "high", b.High, n.High, .01)
	if again := BootstrapMean(x, 4000, 1); again != b {
		t.Errorf("the same seed gave %v and %v", b, again)
	}
	if other := BootstrapMean(x, 4000, 2); other == b {
		t.Error("another seed gave the same interval")
	}
}

func TestBootstrapCoversTheTruthNinetyFivePercentOfTheTime(t *testing.T) {
	covered, runs := 0, 300
	x := make([]float64, 60)
	for r := range runs {
		for i := range x {
			x[i] = compute.Uniform(11, uint64(r), uint64(i)) // mean ½
		}
		if e := BootstrapMean(x, 400, uint64(r)); e.Low <= .5 && .5 <= e.High {
			covered++
		}
	}
	if share := float64(covered) / float64(runs); share < .91 || share > .985 {
		t.Errorf("covered %.3f of the time", share)
	}
}

func TestQuantileInterpolates(t *testing.T) {
	for q, want := range map[float64]float64{0: 10, .5: 25, 1: 40, .25: 17.5} {
		near(t, "quantile", quantile([]float64{10, 20, 30, 40}, q), want, 1e-12)
	}
}

// Reference values: Newcombe 1998, table I, and R's prop.test(correct=FALSE).
func TestProportionIntervalMatchesPublishedWilson(t *testing.T) {
	for _, c := range []struct {
		successes float64
		n         int
		low, high float64
	}{
		{81, 263, .2553, .3662},
		{15, 148, .0624, .1605},
		{0, 20, 0, .1611},
		{1, 29, .0061, .1718},
		{29, 29, .8830, 1},
	} {
		e := ProportionInterval(c.successes, c.n)
		near(t, "low", e.Low, c.low, 6e-5)
		near(t, "high", e.High, c.high, 6e-5)
	}
}

func TestTiesCountHalfAWin(t *testing.T) {
	h := WinRate([]float64{1, 2, 3, 4}, []float64{0, 2, 3, 5})
	if h.Wins != 1 || h.Ties != 2 || h.Losses != 1 {
		t.Fatalf("got %+v", h)
	}
	near(t, "rate", h.Rate.Value, .5, 0)
	swapped := WinRate([]float64{0, 2, 3, 5}, []float64{1, 2, 3, 4})
	near(t, "mirrored low", swapped.Rate.Low, 1-h.Rate.High, 1e-12)
}

func TestExplainedVariance(t *testing.T) {
	target := []float64{1, 2, 3, 4}
	near(t, "perfect", ExplainedVariance(target, target), 1, 0)
	near(t, "perfect up to a constant", ExplainedVariance([]float64{6, 7, 8, 9}, target), 1, 1e-12)
	near(t, "constant", ExplainedVariance([]float64{2, 2, 2, 2}, target), 0, 1e-12)
	near(t, "reversed", ExplainedVariance([]float64{4, 3, 2, 1}, target), -3, 1e-12)
	near(t, "target without variance", ExplainedVariance(target, []float64{1, 1, 1, 1}), 0, 0)
}

func TestDistinctOpeningsIgnoreCaseSpacingAndWhatFollows(t *testing.T) {
	d := DistinctOpenings([]string{
		"returns the number of bytes",
		"Returns  the\tnumber of runes.",
		"returns the length",
		"returns the",
		"",
	}, 3)
	if d.Distinct != 4 || d.Texts != 5 {
		t.Errorf("got %+v, want 4 of 5", d)
	}
	near(t, "ratio", d.Ratio, .8, 1e-12)
	if d := DistinctOpenings(nil, 3); d.Ratio != 0 {
		t.Errorf("nothing has diversity %v", d.Ratio)
	}
}
