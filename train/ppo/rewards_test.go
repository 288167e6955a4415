package ppo

import (
	"math"
	"testing"
)

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
