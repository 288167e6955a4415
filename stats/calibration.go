package stats

import (
	"math"
	"slices"
)

// Bin is the observations whose value lies from Low up to, but not including,
// the Low of the next bin. Accuracy and Confidence are 0 where there are none.
type Bin struct {
	Low        float64 `json:"low"`
	N          int     `json:"n"`
	Confidence float64 `json:"confidence"` // mean of what was claimed
	Accuracy   float64 `json:"accuracy"`   // share that was right
}

// Bins sort observations by a value: the last holds everything from its Low on.
// While observations are added the bins hold sums; Close makes means of them.
type Bins []Bin

// NewBins returns empty bins that begin at the given values, which ascend.
func NewBins(lows ...float64) Bins {
	bins := make(Bins, len(lows))
	for i, low := range lows {
		bins[i].Low = low
	}
	return bins
}

// EqualBins returns n empty bins of equal width from low to 1: for confidences,
// which are at least low.
func EqualBins(low float64, n int) Bins {
	bins := make(Bins, n)
	for i := range bins {
		bins[i].Low = low + (1-low)*float64(i)/float64(n)
	}
	return bins
}

// Add sorts in an observation by its value, with the confidence that it was
// claimed with, and how right it was: 1, 0, or ½ for one that cannot tell. A
// value below the first bin is counted there.
func (b Bins) Add(value, confidence, right float64) {
	i, found := slices.BinarySearchFunc(b, value, func(bin Bin, value float64) int {
		switch {
		case bin.Low < value:
			return -1
		case bin.Low > value:
			return 1
		}
		return 0
	})
	if !found {
		i = max(i-1, 0)
	}
	b[i].add(confidence, right)
}

func (b *Bin) add(confidence, right float64) {
	b.N++
	b.Confidence += confidence
	b.Accuracy += right
}

// Close turns the sums into means.
func (b Bins) Close() {
	for i := range b {
		if n := float64(b[i].N); n > 0 {
			b[i].Confidence /= n
			b[i].Accuracy /= n
		}
	}
}

// CalibrationError is the expected calibration error of closed bins over the
// confidence, Σ n_b/n · |accuracy − confidence| (Naeini, Cooper and Hauskrecht
// 2015): 0 for one that claims just what it keeps, and without observations.
func (b Bins) CalibrationError() float64 {
	n := 0
	for _, bin := range b {
		n += bin.N
	}
	sum := 0.0
	for _, bin := range b {
		if bin.N > 0 {
			sum += float64(bin.N) / float64(n) * math.Abs(bin.Accuracy-bin.Confidence)
		}
	}
	return sum
}
