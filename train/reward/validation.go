package reward

import (
	"fmt"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/train"
)

// Scored is the rewards of one prompt's completions beside their ranks, each
// [K]; rank 1 is the best.
type Scored struct {
	Rewards []float32
	Ranks   []int
}

// Validation says how well rewards agree with rankings. All shares are of
// pairs; a pair of equal rewards counts as half right.
type Validation struct {
	Prompts  int     `json:"prompts"`
	Pairs    int     `json:"pairs"`
	Accuracy float64 `json:"accuracy"`
	// NLL is the mean −log σ(lead) in nats, log 2 for a model that knows nothing.
	NLL float64 `json:"nll"`
	// ECE is the expected calibration error (Naeini, Cooper and Hauskrecht
	// 2015): the mean over the pairs of |accuracy − confidence| of their bin.
	ECE float64 `json:"ece"`
	// Reliability splits the pairs by the model's confidence σ(|lead|) into
	// bins of equal width over [½, 1].
	Reliability []Bin `json:"reliability"`
	// ByMargin splits them by |lead|: where the model claims a wide gap, it
	// should be right more often.
	ByMargin []Bin `json:"by_margin"`
	// ByRankGap splits them by how many ranks lie between the two completions.
	ByRankGap []Bin `json:"by_rank_gap"`
}

// Bin is the pairs whose value lies from Low up to, but not including, the Low
// of the next bin. Accuracy and Confidence are 0 where there are none.
type Bin struct {
	Low        float64 `json:"low"`
	Pairs      int     `json:"pairs"`
	Confidence float64 `json:"confidence"` // mean σ(|lead|)
	Accuracy   float64 `json:"accuracy"`
}

// reliabilityBins are the bins of the calibration error.
const reliabilityBins = 10

// marginEdges are where the bins by |lead| begin, in nats.
var marginEdges = []float64{0, .5, 1, 2, 4}

// Measure holds rewards against ranks. It panics when a prompt has not as many
// rewards as ranks; there must be at least one pair.
func Measure(prompts []Scored) Validation {
	v := Validation{
		Prompts:     len(prompts),
		Reliability: make([]Bin, reliabilityBins),
		ByMargin:    make([]Bin, len(marginEdges)),
	}
	for i := range v.Reliability {
		v.Reliability[i].Low = .5 + .5*float64(i)/reliabilityBins
	}
	for i, low := range marginEdges {
		v.ByMargin[i].Low = low
	}
	for _, p := range prompts {
		if len(p.Rewards) != len(p.Ranks) {
			panic(fmt.Sprintf("reward.Measure: a prompt with %d rewards and %d ranks", len(p.Rewards), len(p.Ranks)))
		}
		for _, pair := range dataset.Pairs(p.Ranks) {
			lead := float64(p.Rewards[pair[0]]) - float64(p.Rewards[pair[1]])
			gap := p.Ranks[pair[1]] - p.Ranks[pair[0]]
			for len(v.ByRankGap) < gap {
				v.ByRankGap = append(v.ByRankGap, Bin{Low: float64(len(v.ByRankGap) + 1)})
			}
			confidence := 1 / (1 + math.Exp(-math.Abs(lead)))
			for _, bin := range []*Bin{
				find(v.Reliability, confidence), find(v.ByMargin, math.Abs(lead)), &v.ByRankGap[gap-1],
			} {
				bin.Pairs++
				bin.Confidence += confidence
				bin.Accuracy += agreement(lead)
			}
			v.Pairs++
			v.Accuracy += agreement(lead)
			v.NLL += max(-lead, 0) + math.Log1p(math.Exp(-math.Abs(lead)))
		}
	}
	v.Accuracy /= float64(v.Pairs)
	v.NLL /= float64(v.Pairs)
	for _, bins := range [][]Bin{v.Reliability, v.ByMargin, v.ByRankGap} {
		for i := range bins {
			if b := &bins[i]; b.Pairs > 0 {
				b.Confidence /= float64(b.Pairs)
				b.Accuracy /= float64(b.Pairs)
			}
		}
	}
	for _, b := range v.Reliability {
		v.ECE += float64(b.Pairs) / float64(v.Pairs) * math.Abs(b.Accuracy-b.Confidence)
	}
	return v
}

// find returns the last bin that begins at or below the value.
func find(bins []Bin, value float64) *Bin {
	i, found := slices.BinarySearchFunc(bins, value, func(b Bin, value float64) int {
		switch {
		case b.Low < value:
			return -1
		case b.Low > value:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	return &bins[i]
}

// agreement is 1 where the model orders a pair as the annotator does, ½ where
// it cannot tell.
func agreement(lead float64) float64 {
	switch {
	case lead > 0:
		return 1
	case lead < 0:
		return 0
	}
	return .5
}

// metrics are the measures for metrics.jsonl. Bins without pairs are left out.
func (v Validation) metrics() []train.Metric {
	list := []train.Metric{
		{Name: "validation/accuracy", Value: v.Accuracy}, {Name: "validation/nll", Value: v.NLL}, {Name: "validation/ece", Value: v.ECE},
	}
	for _, group := range []struct {
		name string
		bins []Bin
	}{{"margin", v.ByMargin}, {"rank_gap", v.ByRankGap}} {
		for _, b := range group.bins {
			if b.Pairs > 0 {
				list = append(list, train.Metric{Name: fmt.Sprintf("validation/accuracy_%s_%g", group.name, b.Low), Value: b.Accuracy})
			}
		}
	}
	return list
}
