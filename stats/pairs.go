package stats

import "math"

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
		sum += Agreement(p.Margin)
	}
	return sum
}

// Agreement is 1 where a model orders a pair as the truth does, by a positive
// margin, and ½ where it cannot tell.
func Agreement(margin float64) float64 {
	switch {
	case margin > 0:
		return 1
	case margin < 0:
		return 0
	}
	return .5
}

// PairNLL returns −log σ(margin) in nats, the ranking loss of a pair by the
// model of Bradley and Terry (1952): log 2 for a margin of 0.
func PairNLL(margin float64) float64 {
	return max(-margin, 0) + math.Log1p(math.Exp(-math.Abs(margin)))
}

// PairConfidence is σ(|margin|), the probability in [½, 1] that the model gives
// to its own order of a pair.
func PairConfidence(margin float64) float64 { return 1 / (1 + math.Exp(-math.Abs(margin))) }
