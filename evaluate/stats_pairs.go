package evaluate

import (
	"fmt"
	"math"
	"slices"
)

// Pair is two answers to one prompt of which the truth prefers one: Gap is
// truth(preferred) − truth(other) > 0, Margin is the judged model's
// score(preferred) − score(other), positive when the model agrees.
type Pair struct {
	Margin float64 `json:"margin"`
	Gap    float64 `json:"gap"`
}

// Pairs returns the pairs among the K answers to one prompt, in the order
// (0,1), (0,2), …, (K−2,K−1). Ties of the truth are no pairs. For rankings
// pass the negated ranks as truth, since rank 1 is the best. It panics when
// the lengths differ.
func Pairs(scores, truth []float64) []Pair {
	mustMatch("Pairs", len(scores), len(truth))
	var pairs []Pair
	for i := range scores {
		for j := i + 1; j < len(scores); j++ {
			switch gap := truth[i] - truth[j]; {
			case gap > 0:
				pairs = append(pairs, Pair{scores[i] - scores[j], gap})
			case gap < 0:
				pairs = append(pairs, Pair{scores[j] - scores[i], -gap})
			}
		}
	}
	return pairs
}

// PairwiseAccuracy returns the share of pairs that the model orders as the
// truth does; a model that cannot tell (margin 0) is right half the time. The
// interval is Wilson's and takes pairs for independent; where many share a
// prompt, use Bootstrap over prompts for an honest width.
func PairwiseAccuracy(pairs []Pair) Estimate {
	return ProportionInterval(agreements(pairs), len(pairs))
}

func agreements(pairs []Pair) float64 {
	sum := 0.0
	for _, p := range pairs {
		switch {
		case p.Margin > 0:
			sum++
		case p.Margin == 0:
			sum += .5
		}
	}
	return sum
}

// GapBin is the accuracy on the pairs with Low ≤ gap < High.
type GapBin struct {
	Low      float64  `json:"low"`
	High     *float64 `json:"high"` // nil: no upper end
	Accuracy Estimate `json:"accuracy"`
}

// AccuracyByGap splits pairs by how far apart the truth puts the two answers.
// The edges ascend; the bins are [0, e₀), [e₀, e₁), …, [eₙ, ∞), empty ones
// included. It panics when the edges do not ascend from above 0.
func AccuracyByGap(pairs []Pair, edges []float64) []GapBin {
	low := 0.0
	for _, edge := range edges {
		if !(edge > low) {
			panic(fmt.Sprintf("evaluate.AccuracyByGap: the edges %v must ascend from above 0", edges))
		}
		low = edge
	}
	in := make([][]Pair, len(edges)+1)
	for _, p := range pairs {
		bin, found := slices.BinarySearch(edges, p.Gap)
		if found {
			bin++
		}
		in[bin] = append(in[bin], p)
	}
	bins := make([]GapBin, len(in))
	for i := range bins {
		if i > 0 {
			bins[i].Low = edges[i-1]
		}
		if i < len(edges) {
			bins[i].High = &edges[i]
		}
		bins[i].Accuracy = PairwiseAccuracy(in[i])
	}
	return bins
}

// PairNLL returns the mean −log σ(margin) in nats: the ranking loss per pair,
// log 2 for a model that knows nothing. It is NaN without pairs.
func PairNLL(pairs []Pair) float64 {
	sum := 0.0
	for _, p := range pairs {
		sum += softplus(-p.Margin)
	}
	return sum / float64(len(pairs))
}

// softplus is log(1+eˣ) without overflow.
func softplus(x float64) float64 {
	return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// NLL returns the mean negative log-likelihood −log p(outcome) in nats of
// forecasts probability[i] that outcome[i] is true. A forecast that excluded
// what happened costs +Inf. It panics when the lengths differ.
func NLL(probability []float64, outcome []bool) float64 {
	mustMatch("NLL", len(probability), len(outcome))
	sum := 0.0
	for i, p := range probability {
		if outcome[i] {
			sum -= math.Log(p)
		} else {
			sum -= math.Log1p(-p)
		}
	}
	return sum / float64(len(probability))
}

// Calibration says whether forecasts happen as often as they claim.
type Calibration struct {
	// ECE is the expected calibration error Σ n_b/n · |frequency − mean
	// probability| (Naeini, Cooper and Hauskrecht 2015); 0 without forecasts.
	ECE  float64          `json:"ece"`
	Bins []ReliabilityBin `json:"bins"` // empty bins included
}

// ReliabilityBin is one point of a reliability diagram: forecasts with
// Low ≤ probability < High (the last bin holds its upper end too). Probability
// and Frequency are 0 when N is 0.
type ReliabilityBin struct {
	Low         float64 `json:"low"`
	High        float64 `json:"high"`
	N           int     `json:"n"`
	Probability float64 `json:"probability"` // mean forecast
	Frequency   float64 `json:"frequency"`   // how often it came true
}

// Calibrate sorts forecasts of probability[i] that outcome[i] is true into
// bins of equal width over [0, 1]. It panics when the lengths differ, bins < 1
// or a probability lies outside [0, 1].
func Calibrate(probability []float64, outcome []bool, bins int) Calibration {
	return calibrate("Calibrate", probability, outcome, 0, bins)
}

// CalibratePairs sorts pairs by the model's confidence σ(|margin|), which lies
// in [½, 1], into bins of equal width over that range; the outcome is whether
// the model's preference is the truth's. Margin 0 makes no claim beyond ½ and
// counts as half right.
func CalibratePairs(pairs []Pair, bins int) Calibration {
	// A margin of 0 enters once as right and once as wrong; every other pair
	// enters twice as it is, so that the weights stay equal.
	confidence := make([]float64, 0, 2*len(pairs))
	right := make([]bool, 0, 2*len(pairs))
	for _, p := range pairs {
		c := sigmoid(math.Abs(p.Margin))
		confidence = append(confidence, c, c)
		right = append(right, p.Margin >= 0, p.Margin > 0)
	}
	c := calibrate("CalibratePairs", confidence, right, .5, bins)
	for i := range c.Bins {
		c.Bins[i].N /= 2
	}
	return c
}

func calibrate(caller string, probability []float64, outcome []bool, low float64, bins int) Calibration {
	mustMatch(caller, len(probability), len(outcome))
	if bins < 1 {
		panic(fmt.Sprintf("evaluate.%s: %d bins; at least 1 is needed", caller, bins))
	}
	c := Calibration{Bins: make([]ReliabilityBin, bins)}
	width := (1 - low) / float64(bins)
	for i := range c.Bins {
		c.Bins[i].Low = low + float64(i)*width
		c.Bins[i].High = low + float64(i+1)*width
	}
	for i, p := range probability {
		if !(p >= low && p <= 1) {
			panic(fmt.Sprintf("evaluate.%s: probability %v at index %d lies outside [%v, 1]", caller, p, i, low))
		}
		b := &c.Bins[min(int((p-low)/width), bins-1)]
		b.N++
		b.Probability += p
		if outcome[i] {
			b.Frequency++
		}
	}
	for i := range c.Bins {
		if b := &c.Bins[i]; b.N > 0 {
			b.Probability /= float64(b.N)
			b.Frequency /= float64(b.N)
			c.ECE += float64(b.N) / float64(len(probability)) * math.Abs(b.Frequency-b.Probability)
		}
	}
	return c
}
