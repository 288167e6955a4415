package generate

import (
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
)

// Sampling says how a token is drawn from the logits. What cuts is applied in the
// order of the fields, as transformers' generate does.
type Sampling struct {
	// RepetitionPenalty divides the logits above 0 of tokens that the prompt or the text
	// so far holds, and multiplies those below (Keskar et al. 2019, as transformers'
	// repetition_penalty: each token once, however often it stands there). Above 1 it
	// makes repetition rarer; 0 or 1: none. It also changes what is greedy.
	RepetitionPenalty float64
	Temperature       float64 // 0: the most likely token (greedy)
	TopK              int     // keep the k most likely tokens; 0: all
	TopP              float64 // keep the most likely tokens that reach this probability (Holtzman et al. 2020); 0 or 1: all
	MinP              float64 // keep tokens at least this share as likely as the most likely one (Nguyen et al. 2024); 0: all
	Seed              uint64
	MaxTokens         int     // new tokens at most
	Stop              []int32 // tokens that end a text; they are part of it
	Banned            []int32 // tokens that are never drawn
	// Until makes for each text what is told its tokens one by one and says of the one
	// that ends it, such as that which completes a stop string; nil: nothing but Stop
	// ends a text. What it makes is called by one goroutine.
	Until func() func(token int32) bool
}

// Validate checks the settings.
func (s Sampling) Validate() error {
	switch {
	case s.Temperature < 0 || math.IsNaN(s.Temperature) || math.IsInf(s.Temperature, 0):
		return artifact.Errorf(artifact.ErrUsage, "checking sampling: temperature is %v, want a number from 0 (greedy) up", s.Temperature)
	case s.TopK < 0:
		return artifact.Errorf(artifact.ErrUsage, "checking sampling: top-k is %d, want 0 (all) or more", s.TopK)
	case s.TopP < 0 || s.TopP > 1 || math.IsNaN(s.TopP):
		return artifact.Errorf(artifact.ErrUsage, "checking sampling: top-p is %v, want 0 (all) to 1", s.TopP)
	case s.MinP < 0 || s.MinP > 1 || math.IsNaN(s.MinP):
		return artifact.Errorf(artifact.ErrUsage, "checking sampling: min-p is %v, want 0 (all) to 1", s.MinP)
	case s.RepetitionPenalty < 0 || math.IsNaN(s.RepetitionPenalty) || math.IsInf(s.RepetitionPenalty, 0):
		return artifact.Errorf(artifact.ErrUsage, "checking sampling: repetition penalty is %v, want a number above 0; 1 is none", s.RepetitionPenalty)
	case s.MaxTokens < 1:
		return artifact.Errorf(artifact.ErrUsage, "checking sampling: max tokens is %d, want 1 or more", s.MaxTokens)
	}
	for _, b := range s.Banned {
		if b < 0 {
			return artifact.Errorf(artifact.ErrUsage, "checking sampling: banned token %d is not a token", b)
		}
	}
	return nil
}

// stream is the random stream of a request: its prompt and sample number.
func stream(prompt []int32, sample int) uint64 {
	h := compute.Stream("sampling")
	for _, token := range prompt {
		h = compute.Bits(h, uint64(uint32(token)), 0)
	}
	return compute.Bits(h, uint64(sample), 1)
}

// penalizes tells whether tokens that a text holds are made less (or more) likely.
func (s Sampling) penalizes() bool { return s.RepetitionPenalty != 0 && s.RepetitionPenalty != 1 }

// penalize applies the penalty to the logits of the tokens of a text.
func (s Sampling) penalize(logits []float32, seen []int32) {
	penalty := float32(s.RepetitionPenalty)
	for _, token := range seen {
		if v := logits[token]; v < 0 {
			logits[token] = v * penalty
		} else {
			logits[token] = v / penalty
		}
	}
}

// seen are the tokens that a text holds, each once.
type seen struct {
	list []int32
	held map[int32]bool
}

func (s *seen) add(tokens ...int32) {
	if s.held == nil {
		s.held = map[int32]bool{}
	}
	for _, token := range tokens {
		if !s.held[token] {
			s.held[token] = true
			s.list = append(s.list, token)
		}
	}
}

// sampler draws tokens; its buffers are reused.
type sampler struct {
	Sampling
	weights []float32
	order   []int32
}

// draw picks the token at a position of a stream from the logits, which it
// may change. It is false when no token has a probability: the logits are not
// numbers, or every token is banned.
func (s *sampler) draw(logits []float32, stream uint64, position int) (token int32, ok bool) {
	for _, b := range s.Banned {
		if int(b) < len(logits) {
			logits[b] = float32(math.Inf(-1))
		}
	}
	best := argmax(logits)
	if v := float64(logits[best]); math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	if s.Temperature == 0 {
		return best, true
	}
	if cap(s.weights) < len(logits) {
		s.weights = make([]float32, len(logits))
	}
	weights := s.weights[:len(logits)] // e^((logit − best)/temperature)
	scale := float32(1 / s.Temperature)
	for i, v := range logits {
		weights[i] = exp((v - logits[best]) * scale)
	}
	if s.TopK > 0 && s.TopK < len(weights) || s.TopP > 0 && s.TopP < 1 {
		s.cut(weights)
	}
	if s.MinP > 0 { // the most likely token, of weight 1, is always kept
		for i, w := range weights {
			if w < float32(s.MinP) {
				weights[i] = 0
			}
		}
	}
	var total float64
	for _, w := range weights {
		total += float64(w)
	}
	target := compute.Uniform(s.Seed, stream, uint64(position)) * total
	var sum float64
	last := best
	for i, w := range weights {
		if w == 0 {
			continue
		}
		sum += float64(w)
		last = int32(i)
		if target < sum {
			break
		}
	}
	return last, true
}

// cut zeroes the weights outside top-k and top-p. Of equal weights the lower
// token id stays.
func (s *sampler) cut(weights []float32) {
	s.order = s.order[:0]
	var total float64
	for i, w := range weights {
		if w > 0 {
			s.order = append(s.order, int32(i))
			total += float64(w)
		}
	}
	slices.SortStableFunc(s.order, func(a, b int32) int {
		switch {
		case weights[a] > weights[b]:
			return -1
		case weights[a] < weights[b]:
			return 1
		}
		return 0
	})
	keep := len(s.order)
	if s.TopK > 0 {
		keep = min(keep, s.TopK)
	}
	if s.TopP > 0 && s.TopP < 1 {
		if s.TopK > 0 { // the nucleus is taken of what top-k left
			total = 0
			for _, i := range s.order[:keep] {
				total += float64(weights[i])
			}
		}
		var sum float64
		for n, i := range s.order[:keep] {
			sum += float64(weights[i])
			if sum >= s.TopP*total {
				keep = n + 1
				break
			}
		}
	}
	for _, i := range s.order[keep:] {
		weights[i] = 0
	}
}

func argmax(logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}

// exp is eˣ for x ≤ 0 to about 1e-7 relative: 2ⁿ·eʳ with |r| ≤ ln2/2, and
// 0 below −87. It is many times faster than math.Exp, which matters with one
// call for each token of the vocabulary.
func exp(x float32) float32 {
	if !(x > -87) { // also NaN: a token without a probability is never drawn
		return 0
	}
	n := math.Float32frombits(0x4b400000) // 1.5·2²³: adding it rounds to an integer
	k := x*math.Log2E + n
	shift := int32(math.Float32bits(k)) - 0x4b400000
	k -= n
	r := x - k*0.693359375
	r -= k * -2.12194440e-4
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	p = p*r*r + r + 1
	return p * math.Float32frombits(uint32(shift+127)<<23)
}
