package ppo

import (
	"math"
	"testing"
)

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
