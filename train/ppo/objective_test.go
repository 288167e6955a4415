package ppo

import (
	"math"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

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
