package stats

import (
	"cmp"
	"math"
	"slices"
)

// Labelling is how well labels, of which a text has several or none, agree with the
// true ones. A label is given where its probability is at least ½.
type Labelling struct {
	N int `json:"n"` // texts
	// Exact is the share of texts whose labels are just the true ones, with Wilson's
	// interval: scikit-learn's accuracy_score of indicators.
	Exact Estimate `json:"exact"`
	// MicroF1 counts all texts' labels together, MacroF1 is the mean F1 of the labels:
	// scikit-learn's f1_score(average="micro") and ("macro"), both with zero_division=0.
	MicroF1 float64 `json:"micro_f1"`
	MacroF1 float64 `json:"macro_f1"`
	// NLL is the mean −log p(label as it is) over texts and labels in nats, log 2 for one
	// that knows nothing. A probability of 0 counts as the smallest above it that float32
	// has.
	NLL float64 `json:"nll"`
	// ECE is the expected calibration error of the labels' probabilities.
	ECE    float64     `json:"ece"`
	Labels []LabelRate `json:"labels"` // [K]
	// Reliability sorts all texts' labels by their probabilities.
	Reliability Bins `json:"reliability"`
}

// LabelRate is one label's part.
type LabelRate struct {
	ClassRate
	// Threshold is the probability from which on the label would have to be given for
	// its F1 on these very texts to be highest, and Best that F1.
	Threshold float64 `json:"threshold"`
	Best      float64 `json:"f1_at_threshold"`
}

// ClassifySets holds the probabilities of K labels [N][K], each of its own, against the
// true ones [N], indices into the names. It panics when the lengths do not agree.
func ClassifySets(names []string, probabilities [][]float64, truth [][]int) Labelling {
	mustMatch("ClassifySets", len(probabilities), len(truth))
	l := Labelling{N: len(truth), Labels: make([]LabelRate, len(names)), Reliability: EqualBins(0, classBins)}
	found := make([]int, len(names))
	exact := 0
	for i, p := range probabilities {
		mustMatch("ClassifySets", len(p), len(names))
		all := true
		for k := range names {
			has, said := slices.Contains(truth[i], k), p[k] >= .5
			r := &l.Labels[k]
			agrees, q := 0.0, 1-p[k]
			if has {
				r.Support++
				agrees, q = 1, p[k]
			}
			if said {
				r.Predicted++
			}
			if has && said {
				found[k]++
			}
			all = all && has == said
			l.Reliability.Add(p[k], p[k], agrees)
			l.NLL -= math.Log(max(q, math.SmallestNonzeroFloat32))
		}
		if all {
			exact++
		}
	}
	l.NLL /= float64(max(1, l.N*len(names)))
	l.Exact = ProportionInterval(float64(exact), l.N)
	l.Reliability.Close()
	l.ECE = l.Reliability.CalibrationError()
	hits, marks := 0, 0
	for k := range l.Labels {
		r := &l.Labels[k]
		r.Name = names[k]
		r.rate(found[k])
		r.Threshold, r.Best = bestThreshold(probabilities, truth, k)
		l.MacroF1 += r.F1
		hits, marks = hits+found[k], marks+r.Support+r.Predicted
	}
	l.MacroF1 /= float64(max(1, len(names)))
	if marks > 0 {
		l.MicroF1 = 2 * float64(hits) / float64(marks)
	}
	return l
}

// rate fills in what follows from how many of the predicted have a class.
func (r *ClassRate) rate(found int) {
	if r.Predicted > 0 {
		r.Precision = float64(found) / float64(r.Predicted)
	}
	if r.Support > 0 {
		r.Recall = float64(found) / float64(r.Support)
	}
	if both := r.Support + r.Predicted; both > 0 {
		r.F1 = 2 * float64(found) / float64(both)
	}
}

// bestThreshold finds where a label must be given for the highest F1: halfway between
// two probabilities, of equally good places at the one nearest to ½. A label that no
// text has keeps ½.
func bestThreshold(probabilities [][]float64, truth [][]int, k int) (threshold, f1 float64) {
	type mark struct {
		p   float64
		has bool
	}
	var marks []mark
	support := 0
	for i, p := range probabilities {
		m := mark{p[k], slices.Contains(truth[i], k)}
		marks = append(marks, m)
		if m.has {
			support++
		}
	}
	threshold = .5
	if support == 0 {
		return threshold, 0
	}
	slices.SortFunc(marks, func(a, b mark) int { return cmp.Compare(b.p, a.p) })
	found := 0
	for i, m := range marks {
		if m.has {
			found++
		}
		below := 0.0
		if i+1 < len(marks) {
			below = marks[i+1].p
		}
		if i+1 < len(marks) && below == m.p {
			continue // no threshold parts the two
		}
		now := 2 * float64(found) / float64(i+1+support)
		at := (m.p + below) / 2
		if m.p >= .5 && below < .5 {
			at = .5
		}
		if now > f1 || now == f1 && math.Abs(at-.5) < math.Abs(threshold-.5) {
			threshold, f1 = at, now
		}
	}
	return threshold, f1
}

// Sigmoid writes the probabilities of logits [K], each of its own, to out [K].
func Sigmoid(out []float64, logits []float32) {
	for i, v := range logits {
		out[i] = 1 / (1 + math.Exp(-float64(v)))
	}
}
