package stats

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/compute"
)

// z95 is the 97.5 % quantile of the standard normal distribution: 95 % of its
// mass lies within ±z95.
const z95 = 1.959963984540054

// Estimate is a measured value with its 95 % interval. N counts the
// independent observations behind it. With fewer than two observations nothing
// bounds the value: Low is -Inf and High +Inf; with none, Value is NaN.
type Estimate struct {
	Value, Low, High float64
	N                int
}

// Above reports whether the whole interval lies above x.
func (e Estimate) Above(x float64) bool { return e.Low > x }

// Below reports whether the whole interval lies below x.
func (e Estimate) Below(x float64) bool { return e.High < x }

// String writes the value with its interval, `0.812 [0.790, 0.834]`.
func (e Estimate) String() string {
	return fmt.Sprintf("%.3f [%.3f, %.3f]", e.Value, e.Low, e.High)
}

type estimateJSON struct {
	Value *float64 `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
	N     int      `json:"n"`
}

// MarshalJSON writes {"value","low","high","n"}. JSON has no infinities, so an
// unbounded end and a missing value are null.
func (e Estimate) MarshalJSON() ([]byte, error) {
	finite := func(x float64) *float64 {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
		return &x
	}
	return json.Marshal(estimateJSON{finite(e.Value), finite(e.Low), finite(e.High), e.N})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *Estimate) UnmarshalJSON(data []byte) error {
	var j estimateJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("reading an estimate: %w", err)
	}
	or := func(p *float64, absent float64) float64 {
		if p == nil {
			return absent
		}
		return *p
	}
	*e = Estimate{or(j.Value, math.NaN()), or(j.Low, math.Inf(-1)), or(j.High, math.Inf(1)), j.N}
	return nil
}

// mean returns the arithmetic mean, NaN for an empty slice.
func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// squares is Σ(x−μ)², which times 1/(n−1) is the unbiased variance.
func squares(x []float64) float64 {
	mean, sum := mean(x), 0.0
	for _, v := range x {
		sum += (v - mean) * (v - mean)
	}
	return sum
}

// MeanInterval returns the mean with the normal interval mean ± 1.96·s/√n. It
// takes the observations for independent: where several samples answer one
// prompt, pass the mean of each prompt. Below some 30 observations
// BootstrapMean or more data serve better.
func MeanInterval(x []float64) Estimate {
	e := unbounded(mean(x), len(x))
	if len(x) >= 2 {
		half := z95 * math.Sqrt(squares(x)/float64(len(x)-1)/float64(len(x)))
		e.Low, e.High = e.Value-half, e.Value+half
	}
	return e
}

func unbounded(value float64, n int) Estimate {
	return Estimate{Value: value, Low: math.Inf(-1), High: math.Inf(1), N: n}
}

// BootstrapPairedDifference returns the mean of after[i] − before[i] with the
// interval of BootstrapMean. Pairing removes the difficulty of the prompt from
// the noise, so the interval is narrower than that of two separate means. It
// panics when the lengths differ.
func BootstrapPairedDifference(after, before []float64, resamples int, seed uint64) Estimate {
	return BootstrapMean(differences("BootstrapPairedDifference", after, before), resamples, seed)
}

func differences(caller string, after, before []float64) []float64 {
	mustMatch(caller, len(after), len(before))
	d := make([]float64, len(after))
	for i := range d {
		d[i] = after[i] - before[i]
	}
	return d
}

func mustMatch(caller string, a, b int) {
	if a != b {
		panic(fmt.Sprintf("stats.%s: comparing %d values with %d; the slices must pair up", caller, a, b))
	}
}

// BootstrapMean returns the mean with its percentile bootstrap interval.
func BootstrapMean(x []float64, resamples int, seed uint64) Estimate {
	return Bootstrap(len(x), resamples, seed, func(pick []int) float64 {
		sum := 0.0
		for _, i := range pick {
			sum += x[i]
		}
		return sum / float64(len(pick))
	})
}

// Bootstrap returns statistic over all of 0..n−1 with the percentile interval
// of Efron and Tibshirani (An Introduction to the Bootstrap, 1993, chapter
// 13): the statistic is taken again over resamples index sets of size n drawn
// with replacement, and its 2.5 % and 97.5 % quantiles are the ends.
//
// An index names whatever is independent. Pairs that share a prompt are not,
// so a caller measuring pairs resamples prompts. The draws are counters of
// (seed, resample, position): equal arguments give equal bits. pick is reused
// between calls. With n < 2 or resamples < 1 the interval is unbounded.
func Bootstrap(n, resamples int, seed uint64, statistic func(pick []int) float64) Estimate {
	if n == 0 {
		return unbounded(math.NaN(), 0)
	}
	pick := make([]int, n)
	for i := range pick {
		pick[i] = i
	}
	e := unbounded(statistic(pick), n)
	if n < 2 || resamples < 1 {
		return e
	}
	stream := compute.Stream("evaluate/bootstrap")
	values := make([]float64, resamples)
	for r := range values {
		for i := range pick {
			u := compute.Uniform(seed, stream, uint64(r)*uint64(n)+uint64(i))
			pick[i] = int(u * float64(n))
		}
		values[r] = statistic(pick)
	}
	slices.Sort(values)
	e.Low, e.High = quantile(values, .025), quantile(values, .975)
	return e
}

// quantile interpolates linearly between order statistics (type 7 of Hyndman
// and Fan 1996). sorted is not empty.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// ProportionInterval returns successes/n with Wilson's score interval (1927),
// which stays within [0, 1] and keeps its coverage near the ends. successes
// may hold halves.
func ProportionInterval(successes float64, n int) Estimate {
	if n == 0 {
		return unbounded(math.NaN(), 0)
	}
	m, p := float64(n), successes/float64(n)
	centre := (p + z95*z95/(2*m)) / (1 + z95*z95/m)
	half := z95 / (1 + z95*z95/m) * math.Sqrt(p*(1-p)/m+z95*z95/(4*m*m))
	return Estimate{Value: p, Low: max(centre-half, 0), High: min(centre+half, 1), N: n}
}

// HeadToHead counts a comparison of two models on the same prompts.
type HeadToHead struct {
	Wins   int `json:"wins"`
	Ties   int `json:"ties"`
	Losses int `json:"losses"`
	// Rate is (Wins + Ties/2) / n with Wilson's interval. A half has less
	// variance than a coin, so with many ties the interval is on the wide side.
	Rate Estimate `json:"rate"`
}

// WinRate compares a[i] with b[i]: a wins where it is larger, equal scores are
// ties and count one half for each side. It panics when the lengths differ.
func WinRate(a, b []float64) HeadToHead {
	mustMatch("WinRate", len(a), len(b))
	var h HeadToHead
	for i := range a {
		switch {
		case a[i] > b[i]:
			h.Wins++
		case a[i] < b[i]:
			h.Losses++
		default:
			h.Ties++
		}
	}
	h.Rate = ProportionInterval(float64(h.Wins)+float64(h.Ties)/2, len(a))
	return h
}

// ExplainedVariance returns 1 − Var(targets − predictions)/Var(targets): 1 for
// a critic that predicts every return, 0 for one no better than a constant,
// negative for worse. It is 0 where the targets do not vary. It panics when the
// lengths differ.
func ExplainedVariance(predictions, targets []float64) float64 {
	residual := differences("ExplainedVariance", targets, predictions)
	total := squares(targets)
	if total == 0 {
		return 0
	}
	return 1 - squares(residual)/total
}

// Diversity counts how many different ways a set of texts begins.
type Diversity struct {
	Distinct int     `json:"distinct"` // different openings
	Texts    int     `json:"texts"`    // texts looked at
	Ratio    float64 `json:"ratio"`    // Distinct/Texts, 0 when there are none
}

// DistinctOpenings counts the different openings of n words. Words are split
// at white space and compared in lower case; a shorter text is its own
// opening. A prefix that was given to the model should be cut off first, or
// the prompts' variety is measured instead of the model's.
func DistinctOpenings(texts []string, n int) Diversity {
	seen := make(map[string]struct{}, len(texts))
	for _, text := range texts {
		words := strings.Fields(strings.ToLower(text))
		seen[strings.Join(words[:min(n, len(words))], " ")] = struct{}{}
	}
	d := Diversity{Distinct: len(seen), Texts: len(texts)}
	if d.Texts > 0 {
		d.Ratio = float64(d.Distinct) / float64(d.Texts)
	}
	return d
}
