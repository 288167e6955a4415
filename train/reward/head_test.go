package reward

import (
	"math"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

func TestReward9HeadIsNormalWithBiasZero(t *testing.T) {
	c := tinyConfig(newTokenizer(t))
	c.Width, c.Layers, c.FeedForward = 768, 1, 4
	m, err := newModel(t, reference.New(), c).WithHead(model.Scalar, 5)
	if err != nil {
		t.Fatal(err)
	}
	weights := read(t, m, model.ScoreWeight)
	var sum, squares float64
	for _, w := range weights {
		sum += float64(w)
		squares += float64(w) * float64(w)
	}
	n := float64(len(weights))
	std := 1 / math.Sqrt(float64(c.Width)+1)
	if got := sum / n; math.Abs(got) > 4*std/math.Sqrt(n) {
		t.Errorf("mean of the head's weights %g, want 0 within %g", got, 4*std/math.Sqrt(n))
	}
	if got := math.Sqrt(squares / n); math.Abs(got/std-1) > .1 {
		t.Errorf("standard deviation of the head's weights %g, want %g", got, std)
	}
	if bias := read(t, m, model.ScoreBias); bias[0] != 0 {
		t.Errorf("bias %g, want 0", bias[0])
	}
	if len(weights) != c.Width || c.Tied != true {
		t.Errorf("%d weights for width %d", len(weights), c.Width)
	}
}

func TestReward9TrainingBeginsFromTheBaseModelWithANewHead(t *testing.T) {
	w := newWorkplace(t, 10)
	w.inputs.Demonstrations, w.inputs.Validation = "", ""
	c := small()
	c.LR = 1e-30 // no weight moves: what training began from is what comes out
	c.Seed = 11
	engine := reference.New()
	_, out := runIn(t, engine, c, w, "out")
	m, _, err := train.LoadModel(engine, out)
	if err != nil {
		t.Fatal(err)
	}
	base, _, err := train.LoadModel(engine, w.inputs.Base)
	if err != nil {
		t.Fatal(err)
	}
	want, err := base.WithHead(model.Scalar, c.Seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range want.Parameters() {
		if !slices.Equal(read(t, m, p.Name), read(t, want, p.Name)) {
			t.Errorf("%s is not that of the base model with a new head", p.Name)
		}
	}
}
