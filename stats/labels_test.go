package stats

import (
	"math"
	"testing"
)

// The numbers are those of scikit-learn 1.9.1: f1_score and accuracy_score of
// indicators, precision_recall_fscore_support, all with zero_division=0 and labels from
// ½ on; the thresholds those of the highest f1_score among 999.
func TestSetsAreMeasuredAsScikitLearnDoes(t *testing.T) {
	probabilities := [][]float64{{.9, .2, .6, .1}, {.4, .8, .55, .1}, {.5, .3, .2, .2}, {.1, .7, .3, .3}, {.8, .9, .1, .05}, {.3, .6, .45, .1}}
	truth := [][]int{{0, 2}, {0, 1}, {}, {1, 2}, {0, 1}, {0, 2}}
	got := ClassifySets([]string{"a", "b", "c", "d"}, probabilities, truth)
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("micro-F1", got.MicroF1, 0.631578947368421)
	near("macro-F1", got.MacroF1, 0.4571428571428571)
	near("exact", got.Exact.Value, 1./3)
	near("log likelihood", got.NLL, 0.41733644839755174)
	for k, want := range []struct {
		precision, recall, f1, best, low, high float64
		support                                int
	}{
		{2. / 3, .5, 4. / 7, 8. / 9, .1, .3, 4},
		{.75, 1, 6. / 7, 1, .6, .7, 3},
		{.5, 1. / 3, .4, 6. / 7, .2, .3, 3},
		{0, 0, 0, 0, .5, .5, 0},
	} {
		r := got.Labels[k]
		near(r.Name+"'s precision", r.Precision, want.precision)
		near(r.Name+"'s recall", r.Recall, want.recall)
		near(r.Name+"'s F1", r.F1, want.f1)
		near(r.Name+"'s best F1", r.Best, want.best)
		if r.Threshold < want.low || r.Threshold > want.high || r.Support != want.support {
			t.Errorf("%s has the threshold %v and %d texts, want one from %v to %v and %d", r.Name, r.Threshold, r.Support, want.low, want.high, want.support)
		}
	}
	n := 0
	for _, bin := range got.Reliability {
		n += bin.N
	}
	if n != 24 || got.N != 6 {
		t.Errorf("%d probabilities of %d texts, want 24 of 6", n, got.N)
	}
}
