package ppo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

func newEngine(t testing.TB) compute.Engine {
	engine := cpu.New(cpu.Options{Threads: 1})
	t.Cleanup(func() { engine.Close() })
	return engine
}

func tinyConfig(vocabulary, context int, head model.Head) model.Config {
	return model.Config{
		Family: model.Llama, Head: head, Vocabulary: vocabulary, Context: context, Width: 16, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 8,
		FeedForward: 24, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .4, BOS: -1, EOS: -1, Pad: -1,
	}
}

func newModel(t testing.TB, engine compute.Engine, c model.Config, seed uint64) *model.Model {
	t.Helper()
	m, err := model.New(engine, c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tinyPPO() Config {
	c := Defaults()
	c.Iterations, c.Prompts, c.Minibatch, c.MicroRows, c.Slots, c.MaxTokens = 3, 12, 6, 2, 4, 7
	c.PretrainCoef = 0
	return c
}

const (
	vocabulary = 13
	stopToken  = 2
)

// lab is a run on models without a tokenizer, whose parts can be looked at.
type lab struct {
	*run
	t                          testing.TB
	policy, reference, critic  *model.Model
	policyOptimizer, criticOpt *train.Optimizer
}

// newLab makes a run in which the reference is another model than the policy.
func newLab(t testing.TB, engine compute.Engine, c Config, length int, stream *dataset.Stream) *lab {
	t.Helper()
	l := &lab{
		t: t, run: newRun(c, length),
		policy:    newModel(t, engine, tinyConfig(vocabulary, 40, model.LanguageModel), 1),
		reference: newModel(t, engine, tinyConfig(vocabulary, 40, model.LanguageModel), 2),
		critic:    newModel(t, engine, tinyConfig(vocabulary, 40, model.Scalar), 3),
	}
	l.stream = stream
	l.sampler.Stop = []int32{stopToken}
	for i := range 9 {
		prompt := make([]int32, 1+i%4)
		for j := range prompt {
			prompt[j] = int32(3 + (i+j)%10)
		}
		l.sampler.Prompts = append(l.sampler.Prompts, rollout.Prompt{Tokens: prompt})
	}
	l.sampler.Reward = func(_ context.Context, texts []Text) ([]float32, error) {
		scores := make([]float32, len(texts))
		for i, x := range texts {
			scores[i] = float32(x.Response[0]) / 3
		}
		return scores, nil
	}
	if err := l.compile(l.policy, l.reference, l.critic); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.policyOptimizer, err = train.NewOptimizer(l.policy, c.AdamW()); err != nil {
		t.Fatal(err)
	}
	if l.criticOpt, err = train.NewOptimizer(l.critic, c.AdamW()); err != nil {
		t.Fatal(err)
	}
	return l
}

// roll makes a rollout and leaves it in the run.
func (l *lab) roll() []*sequence {
	l.t.Helper()
	sequences, err := l.sample(l.t.Context(), 0)
	if err == nil {
		err = l.measure(l.t.Context(), sequences)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.config.estimate(sequences, l.config.Beta)
	l.rollout.Iteration, l.rollout.Sequences = 0, sequences
	return sequences
}

// take runs a step with the optimizers at a rate.
func (l *lab) take(step int, lr float64) (train.StepReport, minibatchSum) {
	l.t.Helper()
	var seen minibatchSum
	report, err := l.step(l.t.Context(), step, func(s *minibatchSum, _ func() string) error {
		for _, o := range []*train.Optimizer{l.policyOptimizer, l.criticOpt} {
			norm, err := o.Norm()
			if err == nil {
				err = o.Step(lr, norm)
			}
			if err != nil {
				return err
			}
		}
		seen = *s
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return report, seen
}

func metric(t testing.TB, metrics []train.Metric, name string) float64 {
	t.Helper()
	for _, m := range metrics {
		if m.Name == name {
			return m.Value
		}
	}
	t.Fatalf("no metric %q", name)
	return 0
}

func gradients(t testing.TB, m *model.Model) map[string][]float32 {
	t.Helper()
	out := make(map[string][]float32)
	for _, p := range m.Parameters() {
		g, err := train.Gradient(m, p)
		if err != nil {
			t.Fatal(err)
		}
		out[p.Name] = g
	}
	return out
}

func farthest(a, b map[string][]float32) (most float64) {
	for name := range a {
		for i := range a[name] {
			most = max(most, math.Abs(float64(a[name][i]-b[name][i])))
		}
	}
	return most
}

func digest(t testing.TB, m *model.Model) [32]byte {
	t.Helper()
	sum, err := m.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestPPO3NoDropout(t *testing.T) {
	encoded, err := json.Marshal(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(encoded), "dropout") {
		t.Error("the configuration has a dropout")
	}
	l := newLab(t, newEngine(t), tinyPPO(), 16, nil)
	first := l.roll()
	want := slices.Clone(first[0].OldLogProbs)
	if err := l.measure(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first[0].OldLogProbs, want) {
		t.Error("two passes over one text give two log-probabilities")
	}
}

func TestPPO4AdamEpsilon(t *testing.T) {
	if got := Defaults().AdamW().Epsilon; got != 1e-5 {
		t.Errorf("Adam's epsilon is %g, want 1e-5", got)
	}
}

func TestPPO5LearningRateAnnealsToZero(t *testing.T) {
	c := Defaults()
	steps := c.Iterations * c.minibatches()
	s := c.Schedule(steps)
	if s.At(steps) != 0 || s.At(steps-1) <= 0 {
		t.Errorf("the rate is %g in the last step and %g after it, want 0 after it", s.At(steps-1), s.At(steps))
	}
	for step := s.Warmup + 1; step < steps; step++ {
		if s.At(step) >= s.At(step-1) {
			t.Errorf("the rate does not fall at step %d", step)
		}
	}
}

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

func sum(values []float32) (s float64) {
	for _, v := range values {
		s += float64(v)
	}
	return s
}

func TestPPO18ScoreOfAResponseWithoutAnEnd(t *testing.T) {
	for _, test := range []struct {
		mode  string
		ended bool
		want  float64
	}{
		{"replace", true, 3}, {"subtract", true, 3}, {"keep", true, 3},
		{"replace", false, -.75}, {"subtract", false, 2.25}, {"keep", false, 3},
	} {
		c := Config{MissingEnd: test.mode, MissingEndPenalty: .75, KLEstimator: K1}
		s := &sequence{Response: []int32{5, 6}, OldLogProbs: []float32{-1, -2}, RefLogProbs: []float32{-1, -1}, Score: 3, Ended: test.ended}
		if got := sum(c.rewards(s, 0)); got != test.want {
			t.Errorf("%s, ended %v: the score is %v, want %v", test.mode, test.ended, got, test.want)
		}
	}
	if c := Defaults(); c.MissingEnd != "replace" || c.MissingEndPenalty != 1 {
		t.Errorf("by default the score is %s by %g, want replaced by −1", c.MissingEnd, c.MissingEndPenalty)
	}
}

func TestPPO19RewardIsTheKLPenaltyAndTheScoreAtTheEnd(t *testing.T) {
	c := Config{KLEstimator: K1}
	s := &sequence{Response: []int32{5, 6, stopToken}, OldLogProbs: []float32{-1, -2, -.5}, RefLogProbs: []float32{-1.5, -1, -.5}, Score: 2, Ended: true}
	got := c.rewards(s, .2)
	for i, want := range []float64{-.2 * .5, -.2 * -1, 2} {
		if math.Abs(float64(got[i])-want) > 1e-6 {
			t.Errorf("the reward of token %d is %v, want %v", i, got[i], want)
		}
	}
	if math.Abs(s.KL+.5) > 1e-6 || math.Abs(s.Reward-2.1) > 1e-6 {
		t.Errorf("the response has KL %v and reward %v, want −.5 and 2.1", s.KL, s.Reward)
	}
}

// Two distributions over 6 outcomes, and samples of the first.
func TestPPO20EstimatorsApproachTheKL(t *testing.T) {
	p := []float64{.3, .25, .2, .1, .1, .05}
	q := []float64{.2, .2, .3, .1, .05, .15}
	var exact, moment2 float64
	for i := range p {
		d := math.Log(p[i] / q[i])
		exact += p[i] * d
		moment2 += p[i] * d * d / 2
	}
	const n = 200000
	for _, k := range []KLEstimator{K1, K2, K3} {
		var total, squares float64
		for i := range n {
			u, x := compute.Uniform(7, 1, uint64(i)), 0
			for acc := p[0]; u >= acc && x < len(p)-1; acc += p[x] {
				x++
			}
			v := k.at(math.Log(p[x] / q[x]))
			if k != K1 && v < 0 {
				t.Fatalf("%s is negative: %v", k, v)
			}
			total += v
			squares += v * v
		}
		mean := total / n
		spread := math.Sqrt((squares/n - mean*mean) / n)
		want := exact
		if k == K2 { // biased: its mean is half the second moment, near the KL
			want = moment2
			if math.Abs(moment2-exact) > .2*exact {
				t.Errorf("k2 stands for %v, the KL is %v", moment2, exact)
			}
		}
		if math.Abs(mean-want) > 4*spread {
			t.Errorf("the mean of %s is %v ± %v, want %v", k, mean, spread, want)
		}
	}
}

func TestPPO21WithoutBetaTheRewardIsTheScore(t *testing.T) {
	c := tinyPPO()
	c.Beta, c.MissingEnd = 0, "keep"
	l := newLab(t, newEngine(t), c, 16, nil)
	for i, s := range l.roll() {
		if s.Reward != float64(s.Score) {
			t.Errorf("response %d: rewards of %v, score %v", i, s.Reward, s.Score)
		}
		if s.KL == 0 {
			t.Errorf("response %d has no KL against another model", i)
		}
	}
}

func TestPPO21AgainstItselfEveryKLIsZero(t *testing.T) {
	for _, k := range []KLEstimator{K1, K2, K3} {
		c := tinyPPO()
		c.KLEstimator = k
		l := newLab(t, newEngine(t), c, 16, nil)
		if err := l.reference.CopyWeights(l.policy); err != nil {
			t.Fatal(err)
		}
		for i, s := range l.roll() {
			if s.KL != 0 || !slices.Equal(s.OldLogProbs, s.RefLogProbs) {
				t.Errorf("%s of response %d is %v", k, i, s.KL)
			}
		}
	}
}

// Ziegler et al., section 2.2: β ← β·(1 + clip(KL/target − 1, ±.2)·n/horizon).
func TestPPO22BetaFollowsItsTarget(t *testing.T) {
	for _, test := range []struct{ target, kl, want float64 }{
		{6, 12, .1 * (1 + .2*.0128)},
		{6, 6.6, .1 * (1 + .1*.0128)},
		{6, 6, .1},
		{6, 5.4, .1 * (1 - .1*.0128)},
		{6, -3, .1 * (1 - .2*.0128)},
		{0, 50, .1},
	} {
		c := controller{Beta: .1, target: test.target, horizon: 10000}
		c.update(test.kl, 128)
		if math.Abs(c.Beta-test.want) > 1e-12 {
			t.Errorf("target %g, KL %g: β is %v, want %v", test.target, test.kl, c.Beta, test.want)
		}
	}
}

func TestPPO22BetaMovesBetweenRollouts(t *testing.T) {
	c := tinyPPO()
	c.TargetKL, c.KLHorizon = .001, 100
	l := newLab(t, newEngine(t), c, 16, nil)
	first, _ := l.take(0, 1e-3)
	for step := 1; step < c.minibatches(); step++ {
		l.take(step, 1e-3)
	}
	second, _ := l.take(c.minibatches(), 1e-3)
	want := c.Beta * (1 + .2*float64(c.Prompts)/c.KLHorizon)
	if a, b := metric(t, first.Metrics, "objective/beta"), metric(t, second.Metrics, "objective/beta"); a != c.Beta || math.Abs(b-want) > 1e-12 {
		t.Errorf("β is %v, then %v; want %v, then %v", a, b, c.Beta, want)
	}
}

func TestPPO23Whitening(t *testing.T) {
	rows := func() [][]float32 {
		return [][]float32{{1.2, 1.3, 1.4}, {1.5, 1.6, 1.7}, {1.8, 1.9, 2.0}}
	}
	kept := rows()
	whiten(kept, false)
	for _, c := range []struct{ got, want float32 }{{kept[0][0], .0508}, {kept[1][1], 1.6}, {kept[2][2], 3.1492}} {
		if math.Abs(float64(c.got-c.want)) > 5e-5 {
			t.Errorf("with the mean kept: %v, want %v", c.got, c.want)
		}
	}
	moved := rows()
	whiten(moved, true)
	for _, c := range []struct{ got, want float32 }{{moved[0][0], .0508 - 1.6}, {moved[1][1], 0}, {moved[2][2], 3.1492 - 1.6}} {
		if math.Abs(float64(c.got-c.want)) > 5e-5 {
			t.Errorf("with the mean moved: %v, want %v", c.got, c.want)
		}
	}
	ragged := [][]float32{{1}, {2, 3}, {}, {4, 5, 6}}
	whiten(ragged, true)
	var mean, square float64
	for _, row := range ragged {
		for _, v := range row {
			mean += float64(v) / 6
			square += float64(v) * float64(v) / 6
		}
	}
	if math.Abs(mean) > 1e-6 || math.Abs(square-1) > 1e-6 {
		t.Errorf("rows of several lengths have mean %v and variance %v", mean, square)
	}
	constant := [][]float32{{3, 3}, {3}}
	whiten(constant, false)
	if constant[0][0] != 3 {
		t.Errorf("values that do not vary become %v", constant)
	}
	whiten(nil, true)
}

func TestPPO24OnlyTheScoreIsClipped(t *testing.T) {
	for _, test := range []struct{ score, clip, want float64 }{{7, 5, 5}, {-7, 5, -5}, {4, 5, 4}, {7, 0, 7}} {
		c := Config{ClipScore: test.clip, KLEstimator: K1, MissingEnd: "keep"}
		s := &sequence{Response: []int32{5, 6}, OldLogProbs: []float32{-1, -1}, RefLogProbs: []float32{-91, -61}, Score: float32(test.score)}
		got := c.rewards(s, .1)
		if math.Abs(float64(got[0])+9) > 1e-5 || math.Abs(float64(got[1])-(test.want-6)) > 1e-5 {
			t.Errorf("score %g clipped at %g: rewards %v, want −9 and %g", test.score, test.clip, got, test.want-6)
		}
	}
}

func TestPPO25AdvantagesAtTheEndsOfLambda(t *testing.T) {
	rewards, values := []float32{.5, -1, 0, 2}, []float32{.25, .5, -.75, 1}
	for _, gamma := range []float64{1, .9} {
		monteCarlo, returns := advantages(rewards, values, gamma, 1)
		temporal, _ := advantages(rewards, values, gamma, 0)
		for t0 := range rewards {
			var g, discount float64 = 0, 1
			for k := t0; k < len(rewards); k++ {
				g += discount * float64(rewards[k])
				discount *= gamma
			}
			if math.Abs(float64(monteCarlo[t0])-(g-float64(values[t0]))) > 1e-6 || math.Abs(float64(returns[t0])-g) > 1e-6 {
				t.Errorf("γ %g, λ 1, token %d: advantage %v, return %v; want those of Monte Carlo, return %v", gamma, t0, monteCarlo[t0], returns[t0], g)
			}
			next := 0.0
			if t0+1 < len(values) {
				next = float64(values[t0+1])
			}
			if want := float64(rewards[t0]) + gamma*next - float64(values[t0]); math.Abs(float64(temporal[t0])-want) > 1e-6 {
				t.Errorf("γ %g, λ 0, token %d: advantage %v, want that of TD(0), %v", gamma, t0, temporal[t0], want)
			}
		}
	}
	if c := Defaults(); c.Gamma != 1 || c.Lambda != .95 {
		t.Errorf("by default γ is %g and λ %g, want 1 and .95", c.Gamma, c.Lambda)
	}
}

func TestPPO25AdvantagesBetweenTheEnds(t *testing.T) {
	rewards, values := []float32{.5, -1, 2}, []float32{.25, .5, -.75}
	got, _ := advantages(rewards, values, 1, .95)
	d := []float64{.5 + .5 - .25, -1 - .75 - .5, 2 + .75}
	for i, want := range []float64{d[0] + .95*d[1] + .95*.95*d[2], d[1] + .95*d[2], d[2]} {
		if math.Abs(float64(got[i])-want) > 1e-6 {
			t.Errorf("advantage %d is %v, want %v", i, got[i], want)
		}
	}
}

// The losses as they stand in the papers, one token after the other.
func TestPPO27LossesAgainstALoop(t *testing.T) {
	const n = 40
	random := func(stream uint64, size float64) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(size * compute.Normal(4, stream, uint64(i)))
		}
		return out
	}
	new, old, second, weight := random(1, .3), random(2, .3), random(3, 1), make([]float32, n)
	for i := range weight {
		if i%5 != 0 { // places that are not filled
			weight[i] = 1. / 32
		}
	}
	p := compute.NewProgram("losses")
	x := p.Input("new", compute.Float32, n)
	p.Output("policy", policyLoss(p, x, n, .2))
	q := compute.NewProgram("value")
	y := q.Input("new", compute.Float32, n)
	q.Output("value", valueLoss(q, y, n, .2))
	engine := reference.New()
	policy, err := engine.Compile(p, engine.NewStore())
	if err != nil {
		t.Fatal(err)
	}
	value, err := engine.Compile(q, engine.NewStore())
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]float32{"new": new, "old_log_probs": old, "advantages": second, "weights": weight} {
		copy(policy.Floats(name), data)
	}
	for name, data := range map[string][]float32{"new": new, "old_values": old, "returns": second, "weights": weight} {
		copy(value.Floats(name), data)
	}
	for _, x := range []compute.Executable{policy, value} {
		if err := x.Run(); err != nil {
			t.Fatal(err)
		}
	}
	clip := func(v, lo, hi float64) float64 { return math.Min(math.Max(v, lo), hi) }
	var wantPolicy, wantValue float64
	clipped := 0
	for i := range n {
		if weight[i] == 0 {
			continue
		}
		ratio, a := math.Exp(float64(new[i])-float64(old[i])), float64(second[i])
		if math.Abs(ratio-1) > .2 {
			clipped++
		}
		wantPolicy += math.Max(-a*ratio, -a*clip(ratio, .8, 1.2)) / 32
		v, v0, r := float64(new[i]), float64(old[i]), float64(second[i])
		vc := clip(v, v0-.2, v0+.2)
		wantValue += .5 * math.Max((v-r)*(v-r), (vc-r)*(vc-r)) / 32
	}
	if clipped < 5 || clipped > 27 {
		t.Fatalf("%d of 32 ratios are clipped: the test shows too little", clipped)
	}
	if got := float64(policy.Floats("policy")[0]); math.Abs(got-wantPolicy) > 1e-6 {
		t.Errorf("the policy's loss is %v, want %v", got, wantPolicy)
	}
	if got := float64(value.Floats("value")[0]); math.Abs(got-wantValue) > 1e-6 {
		t.Errorf("the critic's loss is %v, want %v", got, wantValue)
	}
	if c := Defaults(); c.Clip != .2 || c.ClipValue != .2 || c.ValueCoef != .1 {
		t.Errorf("by default clips are %g and %g and the coefficient %g", c.Clip, c.ClipValue, c.ValueCoef)
	}
}

func TestPPO28FirstMinibatchStartsWhereTheRolloutWas(t *testing.T) {
	for _, temperature := range []float64{1, .7} {
		c := tinyPPO()
		c.Temperature, c.Epochs = temperature, 2
		l := newLab(t, newEngine(t), c, 16, nil)
		report, _ := l.take(0, 1e-2)
		for name, want := range map[string]float64{"val/ratio": 1, "val/ratio_var": 0, "policy/approxkl_avg": 0, "policy/clipfrac_avg": 0, "val/clipfrac_avg": 0} {
			if got := metric(t, report.Metrics, name); math.Abs(got-want) > 1e-6 {
				t.Errorf("temperature %g: %s is %v in the first minibatch, want %v", temperature, name, got, want)
			}
		}
		var last train.StepReport
		for step := 1; step < c.minibatches(); step++ {
			last, _ = l.take(step, 1e-2)
		}
		if got := metric(t, last.Metrics, "policy/approxkl_avg"); got < 1e-6 {
			t.Errorf("temperature %g: approxkl is %v after the policy moved", temperature, got)
		}
	}
}

func TestPPO29MicroBatchesAddUpToTheGradientOfTheMinibatch(t *testing.T) {
	type result struct {
		policy, critic map[string][]float32
		stats          minibatchSum
	}
	measure := func(rows, length int) result {
		c := tinyPPO()
		c.MicroRows = rows
		l := newLab(t, newEngine(t), c, length, nil)
		l.roll()
		var s minibatchSum
		// Responses of unequal lengths, so that a mean of means would differ.
		if err := l.accumulate(0, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, &s); err != nil {
			t.Fatal(err)
		}
		return result{gradients(t, l.policy), gradients(t, l.critic), s}
	}
	whole := measure(12, 11)
	if whole.stats.tokens < 20 {
		t.Fatalf("%d tokens show too little", whole.stats.tokens)
	}
	// Where the ratio is 1 the losses are means over all tokens alike.
	l := newLab(t, newEngine(t), tinyPPO(), 11, nil)
	var policy, value float64
	for _, s := range l.roll()[:11] {
		for i := range s.Response {
			policy -= float64(s.Advantages[i]) / float64(whole.stats.tokens)
			value += .5 * math.Pow(float64(s.OldValues[i]-s.Returns[i]), 2) / float64(whole.stats.tokens)
		}
	}
	if math.Abs(whole.stats.policyLoss-policy) > 1e-5 || math.Abs(whole.stats.valueLoss-value) > 1e-5 {
		t.Errorf("losses %v and %v, want the means over tokens %v and %v", whole.stats.policyLoss, whole.stats.valueLoss, policy, value)
	}
	for _, split := range [][2]int{{1, 11}, {2, 12}, {1, 40}, {3, 23}} {
		got := measure(split[0], split[1])
		if d := farthest(got.policy, whole.policy); d > 1e-5 {
			t.Errorf("micro-batches of %d × %d: the policy's gradient differs by %g", split[0], split[1], d)
		}
		if d := farthest(got.critic, whole.critic); d > 1e-5 {
			t.Errorf("micro-batches of %d × %d: the critic's gradient differs by %g", split[0], split[1], d)
		}
		if math.Abs(got.stats.policyLoss-whole.stats.policyLoss) > 1e-5 || math.Abs(got.stats.valueLoss-whole.stats.valueLoss) > 1e-5 {
			t.Errorf("micro-batches of %d × %d: losses %v and %v, want %v and %v", split[0], split[1],
				got.stats.policyLoss, got.stats.valueLoss, whole.stats.policyLoss, whole.stats.valueLoss)
		}
	}
	// Rows of one length, cut into micro-batches in another way: the same bits.
	for _, rows := range []int{1, 2, 5} {
		got := measure(rows, 11)
		if p, c := farthest(got.policy, whole.policy), farthest(got.critic, whole.critic); p != 0 || c != 0 {
			t.Errorf("micro-batches of %d rows: the gradients differ by %g and %g", rows, p, c)
		}
	}
}

// A row may be all but full of responses.
func TestPPO29RowsFullOfResponsesFit(t *testing.T) {
	c := tinyPPO()
	c.MicroRows, c.MaxTokens, c.Prompts = 1, 9, 20
	l := newLab(t, newEngine(t), c, 40, nil)
	l.sampler.Stop = nil
	l.sampler.Prompts = []rollout.Prompt{{Tokens: []int32{4}}}
	most := 0
	sequences := l.roll()
	all := make([]int, len(sequences))
	for i := range all {
		all[i] = i
	}
	batches, err := rollout.Split(sequences, all, l.shape)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		most = max(most, b.Tokens)
		if len(b.Rows) == 0 {
			t.Error("a micro-batch is empty")
		}
	}
	if most != 36 {
		t.Errorf("the fullest micro-batch has %d response tokens, want 4 × 9", most)
	}
	l.take(0, 1e-3)
}

func TestPPO30MetricsAreUnchangedByPadding(t *testing.T) {
	measure := func(rows, length int) []train.Metric {
		c := tinyPPO()
		c.MicroRows = rows
		l := newLab(t, newEngine(t), c, length, nil)
		first, _ := l.take(0, 1e-2)
		second, _ := l.take(1, 1e-2)
		return append(first.Metrics, second.Metrics...)
	}
	want := measure(2, 12)
	for _, size := range [][2]int{{2, 40}, {12, 12}, {5, 31}} {
		got := measure(size[0], size[1])
		for i := range want {
			if got[i].Name != want[i].Name || math.Abs(got[i].Value-want[i].Value) > 1e-5*max(1, math.Abs(want[i].Value)) {
				t.Errorf("rows %d × %d: %v, want %v", size[0], size[1], got[i], want[i])
			}
		}
	}
}

func TestPPO31ReferenceStaysAsItIs(t *testing.T) {
	c := tinyPPO()
	l := newLab(t, newEngine(t), c, 16, nil)
	policy, reference, critic := digest(t, l.policy), digest(t, l.reference), digest(t, l.critic)
	for step := range 2 * c.minibatches() {
		l.take(step, 1e-2)
	}
	if digest(t, l.reference) != reference {
		t.Error("the reference changed")
	}
	if digest(t, l.policy) == policy || digest(t, l.critic) == critic {
		t.Error("policy or critic did not change")
	}
}

// newText writes shards of text and opens a stream of rows of length tokens.
func newText(t testing.TB, vocabulary, length int) (*dataset.Stream, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "text")
	w, err := dataset.NewShardWriter(folder, dataset.ShardOptions{VocabSize: vocabulary, EndToken: 0})
	if err != nil {
		t.Fatal(err)
	}
	for doc := range 20 {
		ids := make([]int32, 37)
		for i := range ids {
			ids[i] = int32(compute.Bits(8, uint64(doc), uint64(i))%uint64(vocabulary-4)) + 4
		}
		if err := w.Append(ids); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	shards, err := dataset.OpenShards(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shards.Close() })
	stream, err := dataset.NewStream(shards, dataset.StreamOptions{T: length, Seed: 0, Shuffle: true})
	if err != nil {
		t.Fatal(err)
	}
	return stream, folder
}

func TestPPO32PretrainingMixAddsItsGradient(t *testing.T) {
	stream, _ := newText(t, vocabulary, 40)
	c := tinyPPO()
	c.PretrainCoef, c.PretrainRows = 2.5, 3
	which := []int{1, 3, 5, 7}
	measure := func(stream *dataset.Stream) (map[string][]float32, minibatchSum) {
		c := c
		if stream == nil {
			c.PretrainCoef = 0
		}
		l := newLab(t, newEngine(t), c, 16, stream)
		l.roll()
		var s minibatchSum
		if err := l.accumulate(4, which, &s); err != nil {
			t.Fatal(err)
		}
		return gradients(t, l.policy), s
	}
	mixed, s := measure(stream)
	alone, _ := measure(nil)

	// The same rows by themselves.
	m := newModel(t, newEngine(t), tinyConfig(vocabulary, 40, model.LanguageModel), 1)
	lm, err := train.NewLanguageModel(m, 3, 40)
	if err != nil {
		t.Fatal(err)
	}
	rows := train.NewTextRows(3, 40)
	if err := stream.Batch(4*3, rows.Tokens, rows.Targets); err != nil {
		t.Fatal(err)
	}
	loss, err := lm.Accumulate(rows, 1./120)
	if err != nil {
		t.Fatal(err)
	}
	text := gradients(t, m)
	want := make(map[string][]float32)
	for name := range alone {
		want[name] = make([]float32, len(alone[name]))
		for i := range alone[name] {
			want[name][i] = alone[name][i] + 2.5*text[name][i]
		}
	}
	if d := farthest(mixed, want); d > 1e-6 {
		t.Errorf("the gradient differs by %g from grad(PPO) + γ·grad(LM)", d)
	}
	if d := farthest(mixed, alone); d < 1e-3 {
		t.Errorf("the text changes the gradient by %g only", d)
	}
	if math.Abs(s.textLoss-loss) > 1e-5 {
		t.Errorf("the loss on the text is %v, want %v", s.textLoss, loss)
	}
}

func TestEveryEpochTakesEachResponseOnceInAnOrderOfItsOwn(t *testing.T) {
	c := tinyPPO()
	c.Prompts, c.Minibatch, c.Epochs = 14, 4, 2
	l := newLab(t, newEngine(t), c, 16, nil)
	if c.minibatches() != 8 {
		t.Fatalf("%d minibatches, want 2 × 4", c.minibatches())
	}
	var names []string
	epochs := make([][]int, 4)
	for step := range 16 {
		_, err := l.step(t.Context(), step, func(_ *minibatchSum, batch func() string) error {
			names = append(names, batch())
			return errors.Join(l.policyOptimizer.Zero(), l.criticOpt.Zero())
		})
		if err != nil {
			t.Fatal(err)
		}
		_, list, _ := strings.Cut(names[step], "responses [")
		for _, number := range strings.Fields(strings.TrimSuffix(list, "]")) {
			x, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			epochs[step/4] = append(epochs[step/4], x)
		}
	}
	for i, epoch := range epochs {
		if i > 0 && slices.Equal(epoch, epochs[i-1]) {
			t.Errorf("epochs %d and %d have one order", i-1, i)
		}
		if sorted := slices.Sorted(slices.Values(epoch)); len(sorted) != 14 || sorted[0] != 0 || sorted[13] != 13 || len(slices.Compact(sorted)) != 14 {
			t.Errorf("epoch %d takes %v", i, epoch)
		}
	}
	if !strings.HasPrefix(names[9], "iteration 1, minibatch 1,") {
		t.Errorf("step 9 is named %q", names[9])
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

// workshop is the artifacts of a whole run.
type workshop struct {
	t      testing.TB
	engine compute.Engine
	inputs Inputs
	tok    *tokenizer.Tokenizer
	log    strings.Builder
}

func newWorkshop(t testing.TB) *workshop {
	t.Helper()
	docs := func(yield func(string, error) bool) { yield(strings.Repeat("user assistant say it again ", 4), nil) }
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 276})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	w := &workshop{t: t, engine: newEngine(t), tok: tok}
	w.inputs = Inputs{Policy: filepath.Join(folder, "sft"), Critic: filepath.Join(folder, "reward"), Prompts: filepath.Join(folder, "prompts.jsonl")}
	policy := tinyConfig(276, 32, model.LanguageModel)
	policy.InitRange = .1
	w.save(w.inputs.Policy, newModel(t, w.engine, policy, 1))
	w.save(w.inputs.Critic, newModel(t, w.engine, tinyConfig(276, 32, model.Scalar), 2))
	var prompts []dataset.Prompt
	for i := range 10 {
		prompts = append(prompts, dataset.UserPrompt(fmt.Sprint("say ", i), ""))
	}
	if err := dataset.WritePrompts(w.inputs.Prompts, prompts); err != nil {
		t.Fatal(err)
	}
	_, w.inputs.Text = newText(t, 276, 32)
	// The share of even tokens.
	w.inputs.Reward = func(_ context.Context, texts []Text) ([]float32, error) {
		scores := make([]float32, len(texts))
		for i, x := range texts {
			for _, token := range x.Response {
				if token%2 == 0 {
					scores[i] += 1 / float32(len(x.Response))
				}
			}
		}
		return scores, nil
	}
	return w
}

func (w *workshop) save(folder string, m *model.Model) {
	w.t.Helper()
	if err := artifact.MakeFolder(folder); err != nil {
		w.t.Fatal(err)
	}
	if err := train.SaveModel(folder, "", m, w.tok, 1, chat.Ends(w.tok, nil)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workshop) run(ctx context.Context, c Config, out string, every int) (*artifact.Manifest, error) {
	log := &progress.Log{Progress: progress.NewTo(progress.Options{Out: &w.log})}
	return Run(ctx, stage.Environment{Engine: w.engine, Log: log, CheckpointSteps: every}, c, w.inputs, out)
}

func (w *workshop) config() Config {
	c := tinyPPO()
	c.Epochs, c.PretrainCoef, c.PretrainRows, c.TargetKL, c.KLHorizon = 2, .1, 2, .05, 100
	return c
}

func weightsOf(t testing.TB, folder string) string {
	t.Helper()
	_, sum, err := artifact.HashFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestPPO34ResumedRunEndsWithTheBitsOfAStraightOne(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	straight := filepath.Join(t.TempDir(), "straight")
	if _, err := w.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	lines, err := train.ReadMetrics(filepath.Join(straight, train.MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	steps := c.Iterations * c.minibatches()
	if steps != 12 || len(lines) != steps {
		t.Fatalf("%d steps and %d lines of metrics, want 12", steps, len(lines))
	}
	for stop := 1; stop <= steps; stop++ {
		every := 1 + stop%3 // what is lost: 0 to 2 steps and the one that ran
		out := filepath.Join(t.TempDir(), "out")
		if err := artifact.ArmFailpoint(fmt.Sprintf("train.after_step:%d:error", stop)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.run(t.Context(), c, out, every); !errors.Is(err, artifact.ErrFailpoint) {
			t.Fatalf("%v, want the failpoint", err)
		}
		if err := artifact.ArmFailpoint(""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.run(t.Context(), c, out, every); err != nil {
			t.Fatal(err)
		}
		if weightsOf(t, out) != weightsOf(t, straight) {
			t.Errorf("stopped after step %d, checkpoints every %d: other weights at the end", stop, every)
		}
		got, err := train.ReadMetrics(filepath.Join(out, train.MetricsName))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(lines) {
			t.Errorf("stopped after step %d: other metrics (%v)", stop, err)
		}
	}
}

// A run that is interrupted while it samples goes back to before the rollout.
func TestPPO34InterruptedRolloutIsMadeAnew(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	straight, out := filepath.Join(t.TempDir(), "straight"), filepath.Join(t.TempDir(), "out")
	if _, err := w.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reward, rollouts := w.inputs.Reward, 0
	w.inputs.Reward = func(ctx context.Context, texts []Text) ([]float32, error) {
		if rollouts++; rollouts == 2 {
			cancel(artifact.ErrInterrupted)
			return nil, ctx.Err() // as an HTTP request would
		}
		return reward(ctx, texts)
	}
	if _, err := w.run(ctx, c, out, 0); artifact.ExitCode(err) != 130 {
		t.Fatalf("%v, want exit code 130", err)
	}
	w.inputs.Reward = reward
	if _, err := w.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	if weightsOf(t, out) != weightsOf(t, straight) {
		t.Error("other weights at the end")
	}
}

func TestPPO26CriticMayStartAsALanguageModel(t *testing.T) {
	w := newWorkshop(t)
	w.inputs.Critic = w.inputs.Policy
	if _, err := w.run(t.Context(), w.config(), filepath.Join(t.TempDir(), "out"), 0); err != nil {
		t.Fatal(err)
	}
}

func TestPolicyAndCriticHaveLearningRatesOfTheirOwn(t *testing.T) {
	for _, rates := range [][2]float64{{1e-3, 1e-60}, {1e-60, 1e-3}} {
		w := newWorkshop(t)
		c := w.config()
		c.LR, c.CriticLR = rates[0], rates[1]
		out := filepath.Join(t.TempDir(), "out")
		if _, err := w.run(t.Context(), c, out, 0); err != nil {
			t.Fatal(err)
		}
		last := filepath.Join(out, train.CheckpointFolder, artifact.CheckpointName(12))
		for name, start := range map[string]string{"model.safetensors": w.inputs.Policy, "critic-model.safetensors": w.inputs.Critic} {
			_, sum, err := artifact.HashFile(filepath.Join(last, name))
			if err != nil {
				t.Fatal(err)
			}
			rate := rates[0]
			if name != "model.safetensors" {
				rate = rates[1]
			}
			if moved := sum != weightsOf(t, start); moved != (rate > 1e-9) {
				t.Errorf("rates %g: %s changed: %v", rates, name, moved)
			}
		}
	}
}

// Promise 6 of the reliability list: which responses are sampled together, by
// how many threads, and which rows make a micro-batch, changes no bit.
func TestResultDoesNotDependOnThreadsSlotsOrMicroBatches(t *testing.T) {
	w := newWorkshop(t)
	want := ""
	for _, split := range [][3]int{{1, 1, 1}, {1, 5, 2}, {2, 4, 1}, {4, 32, 3}, {8, 3, 5}} {
		engine := cpu.New(cpu.Options{Threads: split[0]})
		defer engine.Close()
		w.engine = engine
		c := w.config()
		c.Slots, c.MicroRows = split[1], split[2]
		out := filepath.Join(t.TempDir(), "out")
		if _, err := w.run(t.Context(), c, out, 0); err != nil {
			t.Fatal(err)
		}
		got := weightsOf(t, out)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%d threads, %d slots, micro-batches of %d rows: other weights than with one of each", split[0], split[1], split[2])
		}
	}
}

func TestPPO26CriticStartsAsTheRewardModel(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	c.Iterations = 1
	out := filepath.Join(t.TempDir(), "out")
	if err := artifact.ArmFailpoint("train.after_checkpoint:1:error"); err != nil {
		t.Fatal(err)
	}
	_, err := w.run(t.Context(), c, out, 1)
	if disarm := artifact.ArmFailpoint(""); disarm != nil {
		t.Fatal(disarm)
	}
	if !errors.Is(err, artifact.ErrFailpoint) {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(out, train.CheckpointFolder, artifact.CheckpointName(1), "rollout.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r iteration
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(w.engine, w.inputs.Critic)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range r.Sequences {
		text := append(slices.Clone(s.Prompt), s.Response...)
		p := compute.NewProgram("scores")
		p.Output("scores", m.Score(p, m.Hidden(p, m.NewBatch(p, 1, len(text)))))
		x, err := m.Engine.Compile(p, m.Store)
		if err != nil {
			t.Fatal(err)
		}
		copy(x.Ints("tokens"), text)
		for j := range text {
			x.Ints("positions")[j] = int32(j)
		}
		if err := x.Run(); err != nil {
			t.Fatal(err)
		}
		for at, got := range s.OldValues {
			// The value of a token is read where it is about to be written.
			if want := x.Floats("scores")[len(s.Prompt)+at-1]; math.Abs(float64(got-want)) > 1e-5 {
				t.Errorf("response %d, token %d: the critic's value is %v, the reward model's %v", i, at, got, want)
			}
		}
	}
}

func TestPPO31WhatTheRunReadsStaysAsItIs(t *testing.T) {
	w := newWorkshop(t)
	var before []string
	paths := []string{w.inputs.Policy, w.inputs.Critic, w.inputs.Prompts, w.inputs.Text}
	for _, path := range paths {
		sum, err := artifact.HashInput(path)
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, sum)
	}
	out := filepath.Join(t.TempDir(), "out")
	manifest, err := w.run(t.Context(), w.config(), out, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		if sum, err := artifact.HashInput(path); err != nil || sum != before[i] {
			t.Errorf("%s changed (%v)", path, err)
		}
	}
	for i, role := range []string{"policy", "critic", "prompts", "text"} {
		if manifest.Inputs[role].SHA256 != before[i] {
			t.Errorf("the manifest has another hash of the %s", role)
		}
	}
	if weightsOf(t, out) == weightsOf(t, w.inputs.Policy) {
		t.Error("the policy did not change")
	}
	m, tok, err := train.LoadModel(w.engine, out)
	if err != nil || m.Head != model.LanguageModel || tok.VocabSize() != 276 {
		t.Errorf("the result does not open as a model: %v", err)
	}
}

func TestMetricsHaveTheNamesOfTRL(t *testing.T) {
	w := newWorkshop(t)
	out := filepath.Join(t.TempDir(), "out")
	if _, err := w.run(t.Context(), w.config(), out, 0); err != nil {
		t.Fatal(err)
	}
	lines, err := train.ReadMetrics(filepath.Join(out, train.MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("objective/kl objective/entropy objective/non_score_reward objective/rlhf_reward objective/scores" +
		" policy/approxkl_avg policy/clipfrac_avg policy/entropy_avg loss/policy_avg loss/value_avg val/clipfrac_avg val/ratio val/ratio_var" +
		" val/num_eos_tokens lr eps episode vf_explained_var response_length/clip_ratio") {
		value, ok := lines[0].Value(name)
		if !ok || math.IsNaN(value) {
			t.Errorf("%s is %v (there: %v)", name, value, ok)
		}
	}
	if kl, _ := lines[0].Value("objective/kl"); kl != 0 {
		t.Errorf("the KL of the SFT model against itself is %v", kl)
	}
}

// An update is applied to both models or to none.
func TestBadUpdateOfTheCriticIsNotAppliedToThePolicy(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	c.PretrainCoef = 0
	// The squares of such values overflow in the critic's loss; the advantages,
	// which are whitened, stay what they were.
	m, err := model.Load(w.engine, w.inputs.Critic)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Store.Write(model.ScoreBias, []float32{1e20}); err != nil {
		t.Fatal(err)
	}
	w.save(w.inputs.Critic, m)
	c.OnBadBatch, c.WhitenRewards = "skip", false
	out := filepath.Join(t.TempDir(), "out")
	if _, err := w.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	if weightsOf(t, out) != weightsOf(t, w.inputs.Policy) {
		t.Error("the policy was updated")
	}
	if log := w.log.String(); !strings.Contains(log, "in the critic at iteration 0, minibatch 0, responses") || strings.Contains(log, "the policy at") {
		t.Errorf("the log does not name the critic and the batch alone:\n%s", log)
	}
}

func TestPPORefusesInputsThatDoNotFit(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(w *workshop, c *Config)
		code   int
		want   string
	}{
		{"no text for the mix", func(w *workshop, c *Config) { w.inputs.Text = "" }, 4, "pretrain_coefficient"},
		{"context too long", func(w *workshop, c *Config) { c.Context = 33 }, 4, "context 33 is longer than the models', which is 32"},
		{"no prompt fits", func(w *workshop, c *Config) { c.MaxTokens = 31 }, 4, "none of 10 leaves room for 31 tokens"},
		{"a critic of another vocabulary", func(w *workshop, c *Config) {
			w.save(w.inputs.Critic, newModel(w.t, w.engine, tinyConfig(280, 32, model.Scalar), 2))
		}, 4, "280"},
		{"text of another vocabulary", func(w *workshop, c *Config) { _, w.inputs.Text = newText(w.t, 300, 32) }, 4, "300"},
		{"a policy that is a reward model", func(w *workshop, c *Config) { w.inputs.Policy = w.inputs.Critic }, 4, "head"},
		{"a policy that is an encoder", func(w *workshop, c *Config) {
			config := tinyConfig(276, 32, model.MaskedLanguageModel)
			config.Family, config.KVHeads, config.Types = model.BERT, 2, 2
			w.save(w.inputs.Policy, newModel(w.t, w.engine, config, 2))
		}, 4, `has a "mlm" head; give a language model`},
		{"a missing folder", func(w *workshop, c *Config) { w.inputs.Critic += "-none" }, 10, "reward-none"},
		{"a decay that does not exist", func(w *workshop, c *Config) { c.Decay = "staircase" }, 4, "staircase"},
	} {
		w := newWorkshop(t)
		c := w.config()
		test.change(w, &c)
		_, err := w.run(t.Context(), c, filepath.Join(t.TempDir(), "out"), 0)
		if artifact.ExitCode(err) != test.code || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s: %v, want exit code %d and %q", test.name, err, test.code, test.want)
		}
	}
}

// course trains on a rule and returns score and KL by iteration.
func (w *workshop) course(beta float64) (scores, kls []float64) {
	w.t.Helper()
	c := tinyPPO()
	c.Iterations, c.Prompts, c.Minibatch, c.MicroRows, c.Slots, c.MaxTokens, c.Epochs = 24, 64, 16, 8, 32, 8, 2
	c.LR, c.CriticLR, c.MissingEnd, c.Beta = 2e-2, 1e-2, "keep", beta
	out := filepath.Join(w.t.TempDir(), "out")
	if _, err := w.run(w.t.Context(), c, out, 0); err != nil {
		w.t.Fatal(err)
	}
	lines, err := train.ReadMetrics(filepath.Join(out, train.MetricsName))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range lines {
		if v, ok := line.Value("objective/scores"); ok {
			kl, _ := line.Value("objective/kl")
			scores, kls = append(scores, v), append(kls, kl)
		}
	}
	w.t.Logf("β %g: scores %.3f, KL %.2f", beta, scores, kls)
	return scores, kls
}

func TestPPORaisesTheScoreAndBetaHoldsTheKL(t *testing.T) {
	w := newWorkshop(t)
	scores, kls := w.course(.02)
	last := len(scores) - 1
	if scores[0] > .65 || scores[last] < .9 {
		t.Errorf("the share of even tokens went from %.3f to %.3f", scores[0], scores[last])
	}
	heldScores, held := w.course(.5)
	if heldScores[last] < scores[0]+.02 || held[last] > kls[last]/2 {
		t.Errorf("with a larger β the score ends at %.3f and the KL at %.2f; without, at %.3f and %.2f", heldScores[last], held[last], scores[last], kls[last])
	}
}
