package evaluate

import (
	"math"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

func TestPairsOrientTowardsTheTruthAndDropTies(t *testing.T) {
	got := Pairs([]float64{3, 1, 2}, []float64{10, 20, 10})
	want := []Pair{{-2, 10}, {-1, 10}} // 1 over 0, 1 over 2; 0 and 2 tie
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPairsOfAStrictRankingAreKChooseTwo(t *testing.T) {
	for k := range 7 {
		scores, ranks := make([]float64, k), make([]float64, k)
		for i := range scores {
			scores[i], ranks[i] = float64(-i), float64(-i)
		}
		pairs := Pairs(scores, ranks)
		if len(pairs) != k*(k-1)/2 {
			t.Errorf("K = %d gave %d pairs", k, len(pairs))
		}
		for _, p := range pairs {
			if p.Margin <= 0 {
				t.Errorf("K = %d: agreeing scores gave margin %v", k, p.Margin)
			}
		}
	}
}

func TestPairwiseAccuracyCountsIndifferenceAsHalf(t *testing.T) {
	near(t, "accuracy", PairwiseAccuracy([]Pair{{1, 1}, {-1, 1}, {0, 1}, {2, 1}}).Value, .625, 0)
}

func TestAddingAConstantToAllScoresChangesNothing(t *testing.T) {
	truth := []float64{1, 2, 3, 4}
	a := Pairs([]float64{.5, .25, 2, 1}, truth)
	b := Pairs([]float64{8.5, 8.25, 10, 9}, truth)
	if !slices.Equal(a, b) {
		t.Errorf("got %v and %v", a, b)
	}
}

func TestAccuracyByGapPutsAnEdgeIntoTheUpperBin(t *testing.T) {
	bins := AccuracyByGap([]Pair{{1, .05}, {-1, .1}, {1, .1}, {1, .5}, {1, .9}}, []float64{.1, .5})
	type flat struct {
		low  float64
		n    int
		rate float64
	}
	var got []flat
	for _, b := range bins {
		got = append(got, flat{b.Low, b.Accuracy.N, b.Accuracy.Value})
	}
	if want := []flat{{0, 1, 1}, {.1, 2, .5}, {.5, 2, 1}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if *bins[0].High != .1 || *bins[1].High != .5 || bins[2].High != nil {
		t.Errorf("upper ends %v %v %v", bins[0].High, bins[1].High, bins[2].High)
	}
}

func TestPairNLL(t *testing.T) {
	near(t, "ignorant", PairNLL([]Pair{{0, 1}, {0, 2}}), math.Ln2, 1e-15)
	near(t, "log(1+e^-1)", PairNLL([]Pair{{1, 1}}), .3132616875, 1e-9)
	near(t, "certain and wrong", PairNLL([]Pair{{-1000, 1}}), 1000, 0)
	near(t, "certain and right", PairNLL([]Pair{{1000, 1}}), 0, 0)
}

func TestNLLOfForecasts(t *testing.T) {
	near(t, "−(log .8 + log .6)/2", NLL([]float64{.8, .4}, []bool{true, false}), .3669845875, 1e-9)
	if !math.IsInf(NLL([]float64{0}, []bool{true}), 1) {
		t.Error("an excluded outcome should cost +Inf")
	}
}

func TestCalibrateByHand(t *testing.T) {
	c := Calibrate([]float64{.1, .3, .9, 1, .7}, []bool{false, true, true, true, false}, 2)
	want := []ReliabilityBin{
		{0, .5, 2, .2, .5},
		{.5, 1, 3, 2.6 / 3, 2.0 / 3},
	}
	for i, w := range want {
		g := c.Bins[i]
		if g.Low != w.Low || g.High != w.High || g.N != w.N {
			t.Errorf("bin %d is %+v, want %+v", i, g, w)
		}
		near(t, "probability", g.Probability, w.Probability, 1e-12)
		near(t, "frequency", g.Frequency, w.Frequency, 1e-12)
	}
	near(t, "ECE", c.ECE, .4*.3+.6*.2, 1e-12)
}

func TestForecastsThatComeTrueAsClaimedAreCalibrated(t *testing.T) {
	var probability []float64
	var outcome []bool
	for i := range uint64(20000) {
		p := compute.Uniform(3, 0, i)
		probability = append(probability, p)
		outcome = append(outcome, compute.Uniform(3, 1, i) < p)
	}
	if ece := Calibrate(probability, outcome, 10).ECE; ece > .02 {
		t.Errorf("ECE of honest forecasts is %v", ece)
	}
	for i := range outcome {
		outcome[i] = !outcome[i]
	}
	if ece := Calibrate(probability, outcome, 10).ECE; ece < .4 {
		t.Errorf("ECE of forecasts turned upside down is %v", ece)
	}
}

func TestCalibratePairsLooksAtConfidenceInItsOwnPreference(t *testing.T) {
	m := math.Log(3) // σ = .75
	c := CalibratePairs([]Pair{{m, 1}, {m, 1}, {m, 1}, {-m, 1}, {0, 1}}, 5)
	if c.Bins[0].Low != .5 || c.Bins[4].High != 1 {
		t.Errorf("the bins span [%v, %v]", c.Bins[0].Low, c.Bins[4].High)
	}
	near(t, "ECE", c.ECE, 0, 1e-12)
	if c.Bins[0].N != 1 || c.Bins[2].N != 4 {
		t.Errorf("bins hold %+v", c.Bins)
	}
	near(t, "frequency", c.Bins[2].Frequency, .75, 1e-12)
}
