package godoc

import (
	"fmt"
	"math"
	"sort"

	"github.com/seed-b72bdb6c/alma/compute"
)

// AnnotatorName goes with every ranking that the Annotator makes, so that none
// is taken for a person's.
const AnnotatorName = "simulated annotator"

// An Annotator ranks answers by the Rule plus noise: it adds to each answer's
// score an independent number with the standard Gumbel distribution times
// Noise. Two answers whose scores differ by d are then put in the rule's order
// with probability σ(d/Noise) (Luce 1959; Yellott 1977), the model that a
// reward model's pairwise loss fits.
type Annotator struct {
	Rule *Rule
	// Noise is the scale of the noise, in points of the rule; see NoiseFor. 0
	// ranks by the rule alone.
	Noise float64
	// Seed and prompt number decide the noise, nothing else does.
	Seed uint64
}

// An Answer is a completed comment, prefill included.
type Answer struct {
	Comment string
	Ended   bool // the writer ended it itself
}

// Rank returns the rank of each answer for f, 1 the best, and the scores that
// the rule alone gives. Answers with equal text tie and share a rank, as those
// of the first among them do; ranks are "standard competition": after two of
// rank 1 comes rank 3. prompt is the number of the prompt within the run.
func (a Annotator) Rank(f Function, answers []Answer, prompt uint64) (ranks []int, scores []Score) {
	stream := compute.Stream("godoc annotator")
	n := len(answers)
	noisy := make([]float64, n)
	scores = make([]Score, n)
	first := map[string]int{}
	for i, ans := range answers {
		scores[i] = a.Rule.Score(f, ans.Comment, ans.Ended)
		if j, ok := first[ans.Comment]; ok {
			noisy[i] = noisy[j]
			continue
		}
		first[ans.Comment] = i
		// The counter leaves room for 2^20 answers a prompt.
		u := compute.Uniform(a.Seed, stream, prompt<<20|uint64(i))
		noisy[i] = scores[i].Total() + a.Noise*gumbel(u)
	}
	ranks = make([]int, n)
	for i := range ranks {
		ranks[i] = 1
		for j := range noisy {
			if noisy[j] > noisy[i] {
				ranks[i]++
			}
		}
	}
	return ranks, scores
}

// gumbel turns a uniform number in [0, 1) into a standard Gumbel one. The
// shift by half a step keeps both logarithms finite.
func gumbel(u float64) float64 { return -math.Log(-math.Log(u + 0x1p-54)) }

// NoiseFor returns the Noise for which the expected share of pairs, over all
// pairs of answers to the same prompt whose scores differ, that keep the
// rule's order is agreement. totals holds, per prompt, the answers' total
// scores. agreement must lie between .5 and 1; an error says that no pair
// differs.
func NoiseFor(totals [][]float64, agreement float64) (float64, error) {
	if !(agreement > .5 && agreement < 1) {
		return 0, fmt.Errorf("choosing the annotator's noise: agreement %v must lie between .5 and 1", agreement)
	}
	// Equal gaps are counted once: the rule takes few values.
	count := map[float64]int{}
	for _, t := range totals {
		for i := range t {
			for j := range i {
				if d := math.Round(math.Abs(t[i]-t[j])*1e9) / 1e9; d > 0 {
					count[d]++
				}
			}
		}
	}
	if len(count) == 0 {
		return 0, fmt.Errorf("choosing the annotator's noise: no two answers to a prompt differ in score; sample at a higher temperature or more prompts")
	}
	gaps := make([]float64, 0, len(count))
	for d := range count {
		gaps = append(gaps, d)
	}
	sort.Float64s(gaps)
	expected := func(noise float64) float64 {
		sum, n := 0.0, 0
		for _, d := range gaps {
			sum += float64(count[d]) / (1 + math.Exp(-d/noise))
			n += count[d]
		}
		return sum / float64(n)
	}
	// Agreement falls from 1 to .5 as the noise grows.
	lo, hi := 1e-6, 1.0
	for expected(hi) > agreement {
		hi *= 2
	}
	for range 60 {
		mid := (lo + hi) / 2
		if expected(mid) > agreement {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2, nil
}

// Agreement is the share of pairs, among those whose totals differ, that the
// ranks put in the order of the totals; a tied rank counts as half. pairs is
// their number.
func Agreement(totals [][]float64, ranks [][]int) (share float64, pairs int) {
	sum := 0.0
	for p, t := range totals {
		for i := range t {
			for j := range i {
				d := t[i] - t[j]
				if math.Abs(d) < 1e-9 {
					continue
				}
				pairs++
				switch r := ranks[p][j] - ranks[p][i]; {
				case r == 0:
					sum += .5
				case (r > 0) == (d > 0):
					sum++
				}
			}
		}
	}
	if pairs == 0 {
		return 0, 0
	}
	return sum / float64(pairs), pairs
}
