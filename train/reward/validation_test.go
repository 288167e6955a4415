package reward

import (
	"math"
	"slices"
	"testing"
)

func TestReward15MeasuresOfKnownRewards(t *testing.T) {
	// Leads of the pairs: 2 and −1 one rank apart, 1 two ranks apart; 0 for
	// the second prompt; the third is a tie.
	v := Measure([]Scored{
		{[]float32{3, 1, 2}, []int{1, 2, 3}},
		{[]float32{5, 5}, []int{2, 1}},
		{[]float32{0, 9}, []int{1, 1}},
	})
	sigma := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s %g, want %g", what, got, want)
		}
	}
	if v.Prompts != 3 || v.Pairs != 4 {
		t.Errorf("%d prompts and %d pairs, want 3 and 4", v.Prompts, v.Pairs)
	}
	near("accuracy", v.Accuracy, 2.5/4)
	near("nll", v.NLL, -(math.Log(sigma(2))+math.Log(sigma(-1))+math.Log(sigma(1))+math.Log(.5))/4)
	// .88 is right; .73 once right, once wrong; .5 half right.
	near("ece", v.ECE, (1-sigma(2))/4+2*math.Abs(.5-sigma(1))/4)
	near("accuracy one rank apart", v.ByRankGap[0].Accuracy, 1.5/3)
	near("accuracy two ranks apart", v.ByRankGap[1].Accuracy, 1)
	if got := []int{v.ByMargin[0].N, v.ByMargin[1].N, v.ByMargin[2].N, v.ByMargin[3].N, v.ByMargin[4].N}; !slices.Equal(got, []int{1, 0, 2, 1, 0}) {
		t.Errorf("pairs by margin %v", got)
	}
	near("accuracy at a margin of 1", v.ByMargin[2].Accuracy, .5)
	if got := v.Reliability[9].Low; got != .95 {
		t.Errorf("the last bin begins at %g", got)
	}
}
