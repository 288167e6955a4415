package embed

import "math"

// Pooling says how a text's hidden states become one vector.
type Pooling string

// The ways of pooling, by the names of sentence-transformers' Pooling module.
const (
	Mean         Pooling = "mean"                 // of all tokens, the special ones included
	CLS          Pooling = "cls"                  // the first token's
	Max          Pooling = "max"                  // of each dimension, over the tokens
	MeanSqrtLen  Pooling = "mean_sqrt_len_tokens" // the sum, divided by the root of the number of tokens
	WeightedMean Pooling = "weightedmean"         // each token's state weighs as much as its place, from 1 on (Muennighoff 2022)
	LastToken    Pooling = "lasttoken"            // the last token's
)

// Poolings lists the ways of pooling.
var Poolings = []Pooling{Mean, CLS, Max, MeanSqrtLen, WeightedMean, LastToken}

// pool makes a vector [d] of hidden states [T, d], times scale. The first apart
// states, fewer than T, are left out; the places of the others stay.
func (p Pooling) pool(states []float32, d, apart int) (vector []float64, scale float64) {
	n := len(states) / d
	from, to := apart, n
	switch p {
	case CLS:
		to = from + 1
	case LastToken:
		from = n - 1
	}
	vector = make([]float64, d)
	weights := 0.0
	for t := from; t < to; t++ {
		weight := 1.0
		if p == WeightedMean {
			weight = float64(t + 1)
		}
		weights += weight
		for i, v := range states[t*d : (t+1)*d] {
			switch {
			case p != Max:
				vector[i] += weight * float64(v)
			case t == from || float64(v) > vector[i] || math.IsNaN(float64(v)):
				vector[i] = float64(v)
			}
		}
	}
	switch p {
	case Max:
		return vector, 1
	case MeanSqrtLen:
		return vector, 1 / math.Sqrt(weights)
	}
	return vector, 1 / weights
}
