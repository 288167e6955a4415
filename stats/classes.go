package stats

import (
	"fmt"
	"math"
	"slices"
)

// Classification is how well predicted classes agree with the true ones.
type Classification struct {
	N int `json:"n"` // texts
	// Accuracy is the share of texts whose likeliest class is the true one, with
	// Wilson's interval.
	Accuracy Estimate `json:"accuracy"`
	// MacroF1 is the mean F1 of the classes that the truth or the predictions
	// have, as scikit-learn's f1_score(average="macro") takes it.
	MacroF1 float64 `json:"macro_f1"`
	// NLL is the mean −log p(true class) in nats, log K for one that knows nothing.
	// A probability of 0 counts as the smallest above it that float32 has.
	NLL float64 `json:"nll"`
	// ECE is the expected calibration error of the likeliest class's probability.
	ECE       float64     `json:"ece"`
	Classes   []ClassRate `json:"classes"`   // [K]
	Confusion [][]int     `json:"confusion"` // [K true][K predicted]
	// Reliability sorts the texts by the probability of the likeliest class.
	Reliability Bins `json:"reliability"`
}

// ClassRate is one class's part. Precision is 0 where the class is never
// predicted, Recall where no text has it, F1 where both are.
type ClassRate struct {
	Name      string  `json:"name"`
	Support   int     `json:"support"`   // texts that have the class
	Predicted int     `json:"predicted"` // texts that are said to have it
	Precision float64 `json:"precision"` // share of the predicted that have it
	Recall    float64 `json:"recall"`    // share of those that have it that are found
	F1        float64 `json:"f1"`        // harmonic mean of the two
}

// classBins are the bins of a classification's calibration error.
const classBins = 10

// Classify holds the probabilities of K classes [N][K] against the true ones
// [N]. Of equally likely classes the first is the predicted one. It panics when
// the lengths do not agree or a true class is outside 0 … K−1.
func Classify(names []string, probabilities [][]float64, truth []int) Classification {
	mustMatch("Classify", len(probabilities), len(truth))
	k := len(names)
	c := Classification{N: len(truth), Classes: make([]ClassRate, k), Confusion: make([][]int, k), Reliability: EqualBins(0, classBins)}
	for i, name := range names {
		c.Classes[i].Name = name
		c.Confusion[i] = make([]int, k)
	}
	right := 0
	for i, p := range probabilities {
		mustMatch("Classify", len(p), k)
		if truth[i] < 0 || truth[i] >= k {
			panic(fmt.Sprintf("stats.Classify: text %d has class %d of %d", i, truth[i], k))
		}
		said := Likeliest(p)
		c.Confusion[truth[i]][said]++
		agrees := 0.0
		if said == truth[i] {
			agrees = 1
			right++
		}
		c.Reliability.Add(p[said], p[said], agrees)
		c.NLL -= math.Log(max(p[truth[i]], math.SmallestNonzeroFloat32))
	}
	c.NLL /= float64(c.N)
	c.Accuracy = ProportionInterval(float64(right), c.N)
	c.Reliability.Close()
	c.ECE = c.Reliability.CalibrationError()
	c.rates()
	return c
}

// Likeliest returns the index of the largest value, the first of equal ones.
func Likeliest[T float32 | float64](p []T) int {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	return best
}

// rates fills Classes and MacroF1 from the confusion matrix.
func (c *Classification) rates() {
	present := 0
	for i := range c.Classes {
		r := &c.Classes[i]
		for j := range c.Classes {
			r.Support += c.Confusion[i][j]
			r.Predicted += c.Confusion[j][i]
		}
		r.rate(c.Confusion[i][i])
		if r.Support+r.Predicted > 0 {
			c.MacroF1 += r.F1
			present++
		}
	}
	c.MacroF1 /= float64(max(1, present))
}

// BalancedWeights returns weights for K classes of so many texts each with
// which every class counts alike and the mean over the texts is 1: n/(K·n_k), as
// scikit-learn's class_weight="balanced". A class without texts has weight 0,
// and K counts those that have some.
func BalancedWeights(counts []int) []float64 {
	total, present := 0, 0
	for _, n := range counts {
		total += n
		if n > 0 {
			present++
		}
	}
	weights := make([]float64, len(counts))
	for i, n := range counts {
		if n > 0 {
			weights[i] = float64(total) / (float64(present) * float64(n))
		}
	}
	return weights
}

// Softmax writes the probabilities of logits [K] to out [K].
func Softmax(out []float64, logits []float32) {
	most := slices.Max(logits)
	sum := 0.0
	for i, v := range logits {
		out[i] = math.Exp(float64(v - most))
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
}
