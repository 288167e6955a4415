package stats

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// said returns probabilities with which a class is said with confidence p.
func said(k, class int, p float64) []float64 {
	out := make([]float64, k)
	for i := range out {
		out[i] = (1 - p) / float64(k-1)
	}
	out[class] = p
	return out
}

// Expected values: scikit-learn 1.9.1, accuracy_score, f1_score(average=
// "macro"), precision_recall_fscore_support and confusion_matrix.
func TestClassifyAgreesWithScikitLearn(t *testing.T) {
	truth := []int{0, 0, 0, 0, 1, 1, 1, 2, 2, 2}
	var probabilities [][]float64
	for _, class := range []int{0, 0, 1, 2, 1, 1, 0, 2, 0, 0} {
		probabilities = append(probabilities, said(4, class, .7))
	}
	c := Classify([]string{"a", "b", "c", "never"}, probabilities, truth)
	if c.N != 10 || c.Accuracy.Value != .5 || c.Accuracy.N != 10 {
		t.Errorf("accuracy %v of %d", c.Accuracy, c.N)
	}
	near(t, "macro-F1", c.MacroF1, 0.5037037037037037, 1e-15)
	for i, want := range []ClassRate{
		{"a", 4, 5, .4, .5, .44444444},
		{"b", 3, 3, .66666667, .66666667, .66666667},
		{"c", 3, 2, .5, .33333333, .4},
		{"never", 0, 0, 0, 0, 0},
	} {
		got := c.Classes[i]
		if got.Name != want.Name || got.Support != want.Support || got.Predicted != want.Predicted {
			t.Errorf("class %d is %+v, want %+v", i, got, want)
		}
		near(t, want.Name+" precision", got.Precision, want.Precision, 1e-8)
		near(t, want.Name+" recall", got.Recall, want.Recall, 1e-8)
		near(t, want.Name+" F1", got.F1, want.F1, 1e-8)
	}
	for i, want := range [][]int{{2, 1, 1, 0}, {1, 2, 0, 0}, {2, 0, 1, 0}, {0, 0, 0, 0}} {
		if !slices.Equal(c.Confusion[i], want) {
			t.Errorf("confusion row %d is %v, want %v", i, c.Confusion[i], want)
		}
	}
	near(t, "NLL", c.NLL, -(math.Log(.7)+math.Log(.1))/2, 1e-12)
	near(t, "ECE", c.ECE, .2, 1e-12) // .7 claimed, .5 kept
}

func TestOfEquallyLikelyClassesTheFirstIsPredicted(t *testing.T) {
	if got := Likeliest([]float64{.2, .4, .4}); got != 1 {
		t.Errorf("class %d", got)
	}
}

func TestAnExcludedTrueClassCostsMuchButNotInfinity(t *testing.T) {
	c := Classify([]string{"a", "b"}, [][]float64{{1, 0}}, []int{1})
	if math.IsInf(c.NLL, 0) || c.NLL < 100 {
		t.Errorf("NLL %v", c.NLL)
	}
}

func TestClassifyPanicsWhereAClassIsOutside(t *testing.T) {
	defer func() {
		if s, _ := recover().(string); !strings.Contains(s, "text 0 has class 2 of 2") {
			t.Errorf("panicked with %q", s)
		}
	}()
	Classify([]string{"a", "b"}, [][]float64{{1, 0}}, []int{2})
}

// Expected values: scikit-learn 1.9.1, compute_class_weight("balanced").
func TestBalancedWeightsAgreeWithScikitLearn(t *testing.T) {
	got := BalancedWeights([]int{6, 3, 0, 1})
	for i, want := range []float64{.55555556, 1.11111111, 0, 3.33333333} {
		near(t, "weight", got[i], want, 1e-8)
	}
}

func TestSoftmax(t *testing.T) {
	p := make([]float64, 3)
	Softmax(p, []float32{1, 2, 3})
	for i, want := range []float64{0.09003057317, 0.2447284711, 0.6652409558} {
		near(t, "probability", p[i], want, 1e-9)
	}
	Softmax(p, []float32{1e30, 0, -1e30})
	if p[0] != 1 || p[1] != 0 || p[2] != 0 {
		t.Errorf("far apart: %v", p)
	}
}
