package langid

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
)

// Rounds is how often Fit goes through its texts.
const Rounds = 12

// Fit trains a model from texts by their languages, codes of Languages or
// Unknown; a sentence is a good size for a text. Every language that shares its
// script with others must be there. The result depends on the texts and their
// order alone.
//
// Weights are those of multinomial logistic regression, by AdaGrad (Duchi, Hazan
// and Singer 2011) on one text at a time, which suits features of which most are
// rare; they are then rounded to eight bits. calibration holds other texts, on
// which the probabilities of each group are made true (Guo, Pleiss, Sun and
// Weinberger, "On Calibration of Modern Neural Networks", 2017: one temperature).
func Fit(texts, calibration map[string][]string) (*Model, error) {
	m := &Model{}
	for i := range groups {
		g := &groups[i]
		if g.bits == 0 {
			continue
		}
		var samples []sample
		for lane, code := range g.languages {
			if len(texts[code]) == 0 {
				return nil, artifact.Errorf(artifact.ErrUsage, "training a model of languages: there is no text for %s (languages given: %v)",
					code, slices.Sorted(maps.Keys(texts)))
			}
			for _, text := range texts[code] {
				if s := newSample(text, i, lane); len(s.rows) > 0 {
					samples = append(samples, s)
				}
			}
		}
		if len(samples) == 0 {
			return nil, artifact.Errorf(artifact.ErrUsage, "training a model of languages: no text has letters of %s script", g.name)
		}
		m.tables[i] = fitGroup(g, samples)
		m.calibrate(i, calibration)
	}
	return m, nil
}

// calibrate sets the step of a group's weights to what gives the labels of the
// texts the highest likelihood, by golden-section search over its logarithm.
func (m *Model) calibrate(index int, texts map[string][]string) {
	g, t := &groups[index], &m.tables[index]
	type scored struct {
		sum  sum
		lane int
	}
	var all []scored
	for lane, code := range g.languages {
		for _, text := range texts[code] {
			if s := m.sums(text)[index]; s.features > 0 {
				all = append(all, scored{s, lane})
			}
		}
	}
	if len(all) == 0 {
		return
	}
	fitted := t.step
	loss := func(x float64) float64 {
		t.step = fitted * math.Exp(x)
		total := 0.
		for i := range all {
			total -= math.Log(max(1e-12, t.probabilities(&all[i].sum, len(g.languages))[all[i].lane]))
		}
		return total
	}
	const golden = .6180339887498949
	low, high := -2., 2.
	for high-low > .01 {
		if a, b := high-golden*(high-low), low+golden*(high-low); loss(a) < loss(b) {
			high = b
		} else {
			low = a
		}
	}
	t.step = float64(float32(fitted * math.Exp((low+high)/2)))
}

// A sample is a text's features within a group: rows of the table, and how often
// each occurs.
type sample struct {
	lane   int
	rows   []int32
	counts []float32
	total  float32 // with the quiet ones
}

func newSample(text string, index, lane int) sample {
	counts := map[int32]float32{}
	n := 0
	walk(text, func(g int, hash uint64) {
		if g == index {
			counts[int32(hash>>(64-groups[index].bits))]++
			n++
		}
	})
	s := sample{lane: lane, total: float32(n + quiet)}
	for _, row := range slices.Sorted(maps.Keys(counts)) {
		s.rows = append(s.rows, row)
		s.counts = append(s.counts, counts[row])
	}
	return s
}

const (
	rate   = 1.0  // AdaGrad's
	cooled = 3e-6 // of a weight's pull towards zero, each time its row occurs
)

func fitGroup(g *group, samples []sample) table {
	lanes := len(g.languages)
	weights := make([]float32, lanes<<g.bits) // a row's languages side by side
	squares := make([]float32, lanes<<g.bits)
	order := make([]int, len(samples))
	for i := range order {
		order[i] = i
	}
	stream := compute.Stream("corpus/langid " + g.name)
	p := make([]float64, lanes)
	step := uint64(0)
	for round := range Rounds {
		for i := len(order) - 1; i > 0; i-- { // Fisher and Yates
			j := int(compute.Bits(1, stream, step) % uint64(i+1))
			step++
			order[i], order[j] = order[j], order[i]
		}
		rate := rate * (1 - float64(round)/Rounds)
		for _, at := range order {
			s := &samples[at]
			clear(p)
			for k, row := range s.rows {
				c := float64(s.counts[k] / s.total)
				for lane, w := range weights[int(row)*lanes:][:lanes] {
					p[lane] += c * float64(w)
				}
			}
			softmax(p, slices.Max(p))
			p[s.lane]--
			for k, row := range s.rows {
				c := s.counts[k] / s.total
				ws, qs := weights[int(row)*lanes:][:lanes], squares[int(row)*lanes:][:lanes]
				for lane := range ws {
					d := c*float32(p[lane]) + cooled*ws[lane]
					qs[lane] += d * d
					if qs[lane] > 0 {
						ws[lane] -= float32(rate) * d / float32(math.Sqrt(float64(qs[lane])))
					}
				}
			}
		}
	}
	return quantise(g, weights)
}

// quantise rounds weights to eight bits, of which the largest one in a thousand
// are cut: they are those of rows that hardly occur.
func quantise(g *group, weights []float32) table {
	lanes := len(g.languages)
	sizes := make([]float64, 0, len(weights))
	for _, w := range weights {
		if w != 0 {
			sizes = append(sizes, math.Abs(float64(w)))
		}
	}
	slices.Sort(sizes)
	step := max(sizes[len(sizes)*999/1000]/127, 1e-6)
	out := make([]byte, len(weights))
	for row := range 1 << g.bits {
		for lane := range lanes {
			w := math.Round(float64(weights[row*lanes+lane]) / step)
			out[lane<<g.bits|row] = byte(int8(max(-127, min(127, w))))
		}
	}
	return newTable(g, out, float64(float32(step)))
}

// Measured says how well a model knows labelled texts.
type Measured struct {
	Texts, Right int
	// Confusions counts, as "is→taken for", the wrong ones.
	Confusions map[string]int
	// Sure and SureRight are the texts with a probability of at least .65.
	Sure, SureRight int
}

// Accuracy is the share of texts whose language was told right.
func (m Measured) Accuracy() float64 { return float64(m.Right) / float64(max(1, m.Texts)) }

// Measure identifies texts by their languages.
func (m *Model) Measure(texts map[string][]string) Measured {
	out := Measured{Confusions: map[string]int{}}
	for code, list := range texts {
		for _, text := range list {
			guess := m.Identify(text)
			right := guess.Language == code
			out.Texts++
			if right {
				out.Right++
			} else {
				out.Confusions[fmt.Sprintf("%s→%s", code, guess.Language)]++
			}
			if guess.Probability >= .65 {
				out.Sure++
				if right {
					out.SureRight++
				}
			}
		}
	}
	return out
}
