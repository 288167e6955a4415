package ppo

import (
	"math"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

func TestTheResultIsTheLastRolloutsBesideTheFirsts(t *testing.T) {
	r := newRun(Config{}, 8)
	r.rollout.First = []float64{0, 1, 0, 1}
	for _, s := range []*sequence{{Score: 1, KL: 2, Ended: true}, {Score: 2, KL: 4}, {Score: 3, KL: 6, Ended: true}, {Score: 2, KL: 4, Ended: true}} {
		s.Response = make([]int32, 5)
		r.rollout.Sequences = append(r.rollout.Sequences, s)
	}
	m := &artifact.Manifest{Metrics: artifact.Metrics{}}
	r.result(m)
	// The mean of 1, 2, 3, 2 is 2, its standard error √(2/3)/2.
	half := 1.959964 * math.Sqrt(2.0/3) / 2
	for name, want := range map[string]float64{
		"objective/scores": 2, "objective/scores/low": 2 - half, "objective/scores/high": 2 + half, "objective/scores_before": .5,
		"objective/kl": 4, "response_length/mean": 5, "ended": .75,
	} {
		if got, ok := m.Metrics[name]; !ok || math.Abs(got-want) > 1e-6 {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "the first rollout's was 0.500") {
		t.Errorf("notes %q", m.Notes)
	}
}
