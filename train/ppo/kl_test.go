package ppo

import (
	"math"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

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
