package generate

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// softmax is the distribution that a sampler should draw from.
func softmax(logits []float32, temperature float64) []float64 {
	out := make([]float64, len(logits))
	var total float64
	for i, l := range logits {
		out[i] = math.Exp(float64(l) / temperature)
		total += out[i]
	}
	for i := range out {
		out[i] /= total
	}
	return out
}

// restricted keeps the tokens that the definitions of top-k, top-p and min-p name,
// found by trying every set of the most likely tokens.
func restricted(p []float64, topK int, topP, minP float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if p[a] != p[b] {
			if p[a] > p[b] {
				return -1
			}
			return 1
		}
		return a - b
	})
	if topK > 0 && topK < len(order) {
		order = order[:topK]
	}
	sum := func(set []int) (s float64) {
		for _, i := range set {
			s += p[i]
		}
		return s
	}
	if topP > 0 && topP < 1 {
		for n := 1; n <= len(order); n++ {
			if sum(order[:n])/sum(order) >= topP {
				order = order[:n]
				break
			}
		}
	}
	// Of what is left, with the probabilities that it then has.
	order = slices.DeleteFunc(slices.Clone(order), func(i int) bool { return p[i]/sum(order) < minP*(p[order[0]]/sum(order)) })
	out := make([]float64, len(p))
	total := sum(order)
	for _, i := range order {
		out[i] = p[i] / total
	}
	return out
}

var testLogits = []float32{1.5, -.3, 2.1, .4, .4, -2, 1.1, -.9}

// The frequencies of 20,000 draws agree with the distribution by Pearson's
// test at a level of about 1e-5 (χ² below 36 at 7 degrees of freedom).
func TestDrawsHaveTheDistributionOfTheirSettings(t *testing.T) {
	for _, test := range []struct {
		temperature float64
		topK        int
		topP, minP  float64
	}{
		{1, 0, 0, 0}, {.5, 0, 0, 0}, {2, 0, 1, 0}, {1, 3, 0, 0}, {1, 1, 0, 0}, {1, 100, 0, 0}, {1, 0, .7, 0}, {1.3, 0, .05, 0}, {1, 5, .8, 0}, {.7, 4, .9, 0},
		{1, 0, 0, .1}, {2, 0, 0, .3}, {1, 0, 0, 1}, {1, 5, .99, .2}, {.7, 0, .9, .05},
	} {
		t.Run(fmt.Sprintf("temperature %g top-k %d top-p %g min-p %g", test.temperature, test.topK, test.topP, test.minP), func(t *testing.T) {
			want := restricted(softmax(testLogits, test.temperature), test.topK, test.topP, test.minP)
			s := sampler{Sampling: Sampling{Temperature: test.temperature, TopK: test.topK, TopP: test.topP, MinP: test.minP, Seed: 3}}
			const n = 20000
			count := make([]float64, len(testLogits))
			for i := range n {
				token, ok := s.draw(slices.Clone(testLogits), uint64(i), i%7)
				if !ok {
					t.Fatal("nothing was drawn")
				}
				count[token]++
			}
			var chi2 float64
			for i, p := range want {
				if p == 0 {
					if count[i] > 0 {
						t.Errorf("token %d was drawn %v times and is not among those kept", i, count[i])
					}
					continue
				}
				chi2 += (count[i] - n*p) * (count[i] - n*p) / (n * p)
			}
			if chi2 > 36 {
				t.Errorf("χ² is %.1f: drawn %v of %d, want shares %.3f", chi2, count, n, want)
			}
		})
	}
}

func TestCutKeepsTheTokensThatTheDefinitionsName(t *testing.T) {
	for seed := range uint64(200) {
		logits := make([]float32, 17)
		for i := range logits {
			// Few values, so that many tokens tie.
			logits[i] = float32(compute.Bits(seed, 1, uint64(i))%9) / 3
		}
		topK, topP := int(compute.Bits(seed, 2, 0)%20), compute.Uniform(seed, 3, 0)
		want := restricted(softmax(logits, 1), topK, topP, 0)
		weights := make([]float32, len(logits))
		for i, l := range logits {
			weights[i] = float32(math.Exp(float64(l)))
		}
		s := sampler{Sampling: Sampling{TopK: topK, TopP: topP}}
		s.cut(weights)
		for i := range weights {
			if (weights[i] > 0) != (want[i] > 0) {
				t.Fatalf("seed %d, top-k %d, top-p %.3f: token %d kept: %v, want %v\nlogits %v", seed, topK, topP, i, weights[i] > 0, want[i] > 0, logits)
			}
		}
	}
}

// By hand, after the definition: of logits 2, −2, 0, 4 a penalty of 1.25 on the first
// three makes 1.6, −2.5, 0, 4; a penalty below 1 favours what stands there.
func TestThePenaltyOfRepetitionDividesAndMultiplies(t *testing.T) {
	for _, test := range []struct {
		penalty float64
		seen    []int32
		want    []float32
	}{
		{1.25, []int32{0, 1, 2, 0, 1}, []float32{1.6, -2.5, 0, 4}},
		{.5, []int32{1, 3}, []float32{2, -1, 0, 8}},
		{1.25, nil, []float32{2, -2, 0, 4}},
	} {
		logits := []float32{2, -2, 0, 4}
		var s seen
		s.add(test.seen...)
		Sampling{RepetitionPenalty: test.penalty}.penalize(logits, s.list)
		if !slices.Equal(logits, test.want) {
			t.Errorf("penalty %g on %v gives %v, want %v", test.penalty, test.seen, logits, test.want)
		}
	}
}

// Transformers lets the penalty come before the temperature, and min-p last: with
// logits 0, ln 2 and ln 4 and a temperature of ½ the shares of the best are 1/16, 1/4
// and 1, whatever top-p left.
func TestWhatCutsIsAppliedInTheOrderOfTransformers(t *testing.T) {
	logits := []float32{0, float32(math.Log(2)), float32(math.Log(4))}
	for _, test := range []struct {
		s    Sampling
		want []bool // drawn in 2,000 draws
	}{
		{Sampling{Temperature: 1, MinP: .249}, []bool{true, true, true}},
		{Sampling{Temperature: 1, MinP: .251}, []bool{false, true, true}},
		{Sampling{Temperature: .5, MinP: .062}, []bool{true, true, true}},
		{Sampling{Temperature: .5, MinP: .063}, []bool{false, true, true}},
		{Sampling{Temperature: .5, MinP: .251}, []bool{false, false, true}},
		// Top-p counts the token that min-p drops: without it the best alone would reach
		// 0.79 of what is left (16/20), and the second would be dropped.
		{Sampling{Temperature: .5, MinP: .063, TopP: .79}, []bool{false, true, true}},
	} {
		got := make([]bool, len(logits))
		sampler := sampler{Sampling: test.s}
		for i := range 2000 {
			token, _ := sampler.draw(slices.Clone(logits), uint64(i), 0)
			got[token] = true
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v draws %v, want %v", test.s, got, test.want)
		}
	}
}

func TestGreedyTakesTheLowestOfEqualTokens(t *testing.T) {
	s := sampler{}
	if token, ok := s.draw([]float32{0, 3, 1, 3}, 0, 0); token != 1 || !ok {
		t.Errorf("drew %d, want 1", token)
	}
}

func TestExtremeLogitsAreDrawnAsTheyShould(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, test := range []struct {
		logits      []float32
		temperature float64
		want        int32
	}{
		{[]float32{-1e30, 3, -1e30}, 1, 1},
		{[]float32{-inf, -inf, 0}, 1, 2},
		{[]float32{1, 1.001, 1}, 1e-6, 1},
		{[]float32{1e30, 2e30}, 1, 1},
		{[]float32{-2e30, -1e30}, .1, 1},
		{[]float32{1, 2}, 1e-300, 1}, // 1/temperature is no float32
	} {
		s := sampler{Sampling: Sampling{Temperature: test.temperature}}
		for i := range 20 {
			if token, ok := s.draw(slices.Clone(test.logits), uint64(i), 0); token != test.want || !ok {
				t.Errorf("drew %d (%v) of %v at temperature %g, want %d", token, ok, test.logits, test.temperature, test.want)
			}
		}
	}
	for _, logits := range [][]float32{{-inf, -inf}, {float32(math.NaN()), 1}, {inf, 1}} {
		s := sampler{Sampling: Sampling{Temperature: 1}}
		if _, ok := s.draw(slices.Clone(logits), 0, 0); ok {
			t.Errorf("a token was drawn of %v", logits)
		}
	}
}

func TestExpIsAccurateToFloat32(t *testing.T) {
	var worst float64
	for i := range 200000 {
		x := float32(-87 * float64(i) / 200000)
		want := math.Exp(float64(x))
		worst = max(worst, math.Abs(float64(exp(x))-want)/want)
	}
	if worst > 2e-7 {
		t.Errorf("the relative error is up to %g", worst)
	}
	if exp(0) != 1 {
		t.Errorf("e⁰ is %v", exp(0))
	}
	for _, x := range []float32{-87.5, -1e9, float32(math.Inf(-1)), float32(math.NaN())} {
		if exp(x) != 0 {
			t.Errorf("exp(%v) is %v, want 0", x, exp(x))
		}
	}
}
