package ppo

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
)

// logProb is log softmax(logits/temperature) at a token, from the forward pass
// over the text alone.
func logProb(t testing.TB, m *model.Model, text []int32, token int32, temperature float64) float64 {
	t.Helper()
	p := compute.NewProgram("logits")
	p.Output("logits", m.Logits(p, m.Hidden(p, m.NewBatch(p, 1, len(text)))))
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		t.Fatal(err)
	}
	copy(x.Ints("tokens"), text)
	for i := range text {
		x.Ints("positions")[i] = int32(i)
	}
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	logits := x.Floats("logits")[(len(text)-1)*m.Vocabulary:]
	var sum float64
	for _, l := range logits {
		sum += math.Exp(float64(l) / temperature)
	}
	return float64(logits[token])/temperature - math.Log(sum)
}

func TestPPO16LogProbabilitiesAreAtTheSamplingTemperature(t *testing.T) {
	for _, temperature := range []float64{.7, 1, 1.6} {
		c := tinyPPO()
		c.Temperature = temperature
		l := newLab(t, newEngine(t), c, 16, nil)
		for i, s := range l.roll() {
			for at, token := range s.Response {
				text := append(slices.Clone(s.Prompt), s.Response[:at]...)
				if want := logProb(t, l.policy, text, token, temperature); math.Abs(float64(s.OldLogProbs[at])-want) > 1e-5 {
					t.Fatalf("temperature %g, response %d, token %d: the policy's log-probability is %v, want %v", temperature, i, at, s.OldLogProbs[at], want)
				}
				if want := logProb(t, l.reference, text, token, temperature); math.Abs(float64(s.RefLogProbs[at])-want) > 1e-5 {
					t.Fatalf("temperature %g, response %d, token %d: the reference's log-probability is %v, want %v", temperature, i, at, s.RefLogProbs[at], want)
				}
			}
		}
		// The log-probabilities of the update: its ratio to the old ones is 1.
		if _, s := l.take(0, 0); math.Abs(s.ratio/float64(s.tokens)-1) > 1e-6 {
			t.Errorf("temperature %g: the update's ratio is %v", temperature, s.ratio/float64(s.tokens))
		}
	}
}

func TestPPO17ResponsesAreTruncatedAfterTheFirstEnd(t *testing.T) {
	l := newLab(t, newEngine(t), tinyPPO(), 16, nil)
	ended, cut := 0, 0
	for _, s := range l.roll() {
		at := slices.Index(s.Response, stopToken)
		switch {
		case s.Ended:
			ended++
			if at != len(s.Response)-1 {
				t.Errorf("a response that ended is %v", s.Response)
			}
		default:
			cut++
			if at >= 0 || len(s.Response) != l.config.MaxTokens {
				t.Errorf("a response that did not end is %v", s.Response)
			}
		}
		for _, values := range [][]float32{s.OldLogProbs, s.RefLogProbs, s.OldValues, s.Advantages, s.Returns} {
			if len(values) != len(s.Response) {
				t.Errorf("%d numbers for %d tokens", len(values), len(s.Response))
			}
		}
	}
	if ended == 0 || cut == 0 {
		t.Errorf("%d responses ended and %d did not: the test shows nothing", ended, cut)
	}
}

func TestRewardsMustBeNumbersOneForEachResponse(t *testing.T) {
	for _, test := range []struct {
		reward Reward
		want   string
		code   int
	}{
		{func(_ context.Context, texts []Text) ([]float32, error) { return make([]float32, len(texts)-1), nil }, "11 scores for 12 responses", 1},
		{func(_ context.Context, texts []Text) ([]float32, error) {
			scores := make([]float32, len(texts))
			scores[4] = float32(math.NaN())
			return scores, nil
		}, "response 4", 20},
		{func(context.Context, []Text) ([]float32, error) {
			return nil, artifact.Errorf(artifact.ErrNotFound, "asking the judge: gone")
		}, "asking the judge", 10},
	} {
		l := newLab(t, newEngine(t), tinyPPO(), 16, nil)
		l.sampler.Reward = test.reward
		_, err := l.step(t.Context(), 0, func(*minibatchSum, func() string) error { t.Error("a step was taken"); return nil })
		if artifact.ExitCode(err) != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want exit code %d and %q", err, test.code, test.want)
		}
	}
}

// Every prompt is answered once before any is answered again.
func TestPromptsAreDrawnInNewOrders(t *testing.T) {
	c := tinyPPO()
	c.Prompts = 9
	l := newLab(t, newEngine(t), c, 16, nil)
	orders := make(map[string]bool)
	for iteration := range 4 {
		var order []int
		l.sampler.Reward = func(_ context.Context, texts []Text) ([]float32, error) {
			for _, x := range texts {
				index := int(x.Tokens[0]) - 3 // each prompt begins with a token of its own
				order = append(order, index)
				prompt := x.Tokens[:len(x.Tokens)-len(x.Response)]
				if want := l.sampler.Prompts[index].Tokens; !slices.Equal(prompt, want) {
					t.Errorf("prompt %d is %v, want %v", index, prompt, want)
				}
			}
			return make([]float32, len(texts)), nil
		}
		if _, err := l.sample(t.Context(), iteration); err != nil {
			t.Fatal(err)
		}
		orders[fmt.Sprint(order)] = true
		slices.Sort(order)
		if !slices.Equal(order, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}) {
			t.Errorf("iteration %d answers %v", iteration, order)
		}
	}
	if len(orders) < 3 {
		t.Errorf("four iterations have %d orders", len(orders))
	}
}
