package stats

import (
	"math"
	"slices"
	"testing"
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

func TestPairNLL(t *testing.T) {
	near(t, "ignorant", PairNLL(0), math.Ln2, 1e-15)
	near(t, "log(1+e^-1)", PairNLL(1), .3132616875, 1e-9)
	near(t, "certain and wrong", PairNLL(-1000), 1000, 0)
	near(t, "certain and right", PairNLL(1000), 0, 0)
}

func TestPairConfidenceIsInTheModelsOwnOrder(t *testing.T) {
	m := math.Log(3) // σ = .75
	for margin, want := range map[float64]float64{m: .75, -m: .75, 0: .5, 1000: 1} {
		near(t, "confidence", PairConfidence(margin), want, 1e-12)
	}
}
