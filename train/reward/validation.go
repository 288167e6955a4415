package reward

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
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
	// Interval is the 95 % interval of Accuracy over other prompts (stats.Bootstrap);
	// one that holds ½ does not show that the model is better than chance.
	Interval stats.Estimate `json:"interval"`
	// NLL is the mean −log σ(lead) in nats, log 2 for a model that knows nothing.
	NLL float64 `json:"nll"`
	// ECE is the expected calibration error (Naeini, Cooper and Hauskrecht
	// 2015): the mean over the pairs of |accuracy − confidence| of their bin.
	ECE float64 `json:"ece"`
	// Reliability splits the pairs by the model's confidence σ(|lead|) into
	// bins of equal width over [½, 1].
	Reliability stats.Bins `json:"reliability"`
	// ByMargin splits them by |lead|: where the model claims a wide gap, it
	// should be right more often.
	ByMargin stats.Bins `json:"by_margin"`
	// ByRankGap splits them by how many ranks lie between the two completions.
	ByRankGap stats.Bins `json:"by_rank_gap"`
}

// reliabilityBins are the bins of the calibration error.
const reliabilityBins = 10

// resamples of the interval of the accuracy.
const resamples = 1000

// marginEdges are where the bins by |lead| begin, in nats.
var marginEdges = []float64{0, .5, 1, 2, 4}

// Measure holds rewards against ranks. It panics when a prompt has not as many
// rewards as ranks; there must be at least one pair.
func Measure(prompts []Scored) Validation {
	right, pairs := make([]float64, len(prompts)), make([]float64, len(prompts))
	v := Validation{Prompts: len(prompts), Reliability: stats.EqualBins(.5, reliabilityBins), ByMargin: stats.NewBins(marginEdges...)}
	for i, p := range prompts {
		if len(p.Rewards) != len(p.Ranks) {
			panic(fmt.Sprintf("reward.Measure: a prompt with %d rewards and %d ranks", len(p.Rewards), len(p.Ranks)))
		}
		for _, pair := range dataset.Pairs(p.Ranks) {
			pairs[i]++
			lead := float64(p.Rewards[pair[0]]) - float64(p.Rewards[pair[1]])
			gap := p.Ranks[pair[1]] - p.Ranks[pair[0]]
			for len(v.ByRankGap) < gap {
				v.ByRankGap = append(v.ByRankGap, stats.Bin{Low: float64(len(v.ByRankGap) + 1)})
			}
			confidence, agrees := stats.PairConfidence(lead), stats.Agreement(lead)
			v.Reliability.Add(confidence, confidence, agrees)
			v.ByMargin.Add(math.Abs(lead), confidence, agrees)
			v.ByRankGap.Add(float64(gap), confidence, agrees)
			v.Pairs++
			v.Accuracy += agrees
			right[i] += agrees
			v.NLL += stats.PairNLL(lead)
		}
	}
	v.Accuracy /= float64(v.Pairs)
	v.NLL /= float64(v.Pairs)
	v.Interval = stats.Bootstrap(len(prompts), resamples, 1, func(pick []int) float64 {
		agreed, of := 0.0, 0.0
		for _, i := range pick {
			agreed += right[i]
			of += pairs[i]
		}
		return agreed / max(of, 1)
	})
	v.Reliability.Close()
	v.ByMargin.Close()
	v.ByRankGap.Close()
	v.ECE = v.Reliability.CalibrationError()
	return v
}

// metrics are the measures for metrics.jsonl. Bins without pairs are left out.
func (v Validation) metrics() []train.Metric {
	list := []train.Metric{
		{Name: preference.Accuracy, Value: v.Accuracy}, {Name: "validation/nll", Value: v.NLL}, {Name: "validation/ece", Value: v.ECE},
	}
	for _, group := range []struct {
		name string
		bins stats.Bins
	}{{"margin", v.ByMargin}, {"rank_gap", v.ByRankGap}} {
		for _, b := range group.bins {
			if b.N > 0 {
				list = append(list, train.Metric{Name: fmt.Sprintf("validation/accuracy_%s_%g", group.name, b.Low), Value: b.Accuracy})
			}
		}
	}
	return list
}

// BetterThanChance tells whether the interval of the accuracy leaves chance out.
func (v Validation) BetterThanChance() bool { return v.Interval.Above(.5) }

// sentence says what was measured, and whether it is more than chance.
func (v Validation) sentence() string {
	text := fmt.Sprintf("Of %s pairs of %s held-out prompts it orders %.3f as they are ranked (95 %% interval %.3f to %.3f; chance is .500).",
		progress.Count(int64(v.Pairs)), progress.Count(int64(v.Prompts)), v.Accuracy, v.Interval.Low, v.Interval.High)
	if !v.BetterThanChance() {
		text += " That is not shown to be better than chance: more rankings, more epochs or a larger base may help, and PPO against it may lead anywhere."
	}
	return text
}
