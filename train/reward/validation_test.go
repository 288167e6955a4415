package reward

import (
	"math"
	"slices"
	"strings"
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

func TestOnlyAnIntervalAboveOneHalfIsBetterThanChance(t *testing.T) {
	prompts := func(right, wrong int) (all []Scored) {
		for range right {
			all = append(all, Scored{[]float32{1, 0}, []int{1, 2}})
		}
		for range wrong {
			all = append(all, Scored{[]float32{0, 1}, []int{1, 2}})
		}
		return all
	}
	// .533 of 60 pairs: Wilson's interval is .409 to .654.
	chance := Measure(prompts(32, 28))
	if low, high := chance.Interval.Low, chance.Interval.High; chance.BetterThanChance() || math.Abs(low-.409) > .02 || math.Abs(high-.654) > .02 {
		t.Errorf("the interval of 32 of 60 is %.3f to %.3f", low, high)
	}
	if text := chance.sentence(); !strings.Contains(text, "0.533") || !strings.Contains(text, "not shown to be better than chance") {
		t.Error(text)
	}
	if v := Measure(prompts(45, 15)); !v.BetterThanChance() || strings.Contains(v.sentence(), "not shown") {
		t.Errorf("45 of 60: %s", v.sentence())
	}
	// Pairs of one prompt hang together: ten prompts of which one is always wrong.
	var together []Scored
	for i := range 10 {
		s := Scored{Rewards: make([]float32, 5), Ranks: []int{1, 2, 3, 4, 5}}
		for k := range s.Rewards {
			if s.Rewards[k] = float32(-k); i == 0 {
				s.Rewards[k] = float32(k)
			}
		}
		together = append(together, s)
	}
	if v := Measure(together); v.Pairs != 100 || v.Interval.High-v.Interval.Low < .3 {
		t.Errorf("the interval of 90 of 100 pairs of 10 prompts is %v, as if pairs of a prompt were independent", v.Interval)
	}
	if v := Measure(prompts(1, 0)); v.BetterThanChance() || v.interval() != "–" {
		t.Errorf("one prompt has the interval %v", v.Interval)
	}
}
