package ppo

import "math"

// advantages is generalized advantage estimation (Schulman et al. 2016,
// eq. 16) over the tokens of one response, which ends its episode:
//
//	δ_t = r_t + γ·V_{t+1} − V_t,  A_t = δ_t + γλ·A_{t+1},  return_t = A_t + V_t
//
// with V after the last token 0 (detail 25).
func advantages(rewards, values []float32, gamma, lambda float64) (advantage, returns []float32) {
	n := len(rewards)
	advantage, returns = make([]float32, n), make([]float32, n)
	var next, nextValue float64
	for t := n - 1; t >= 0; t-- {
		delta := float64(rewards[t]) + gamma*nextValue - float64(values[t])
		next = delta + gamma*lambda*next
		nextValue = float64(values[t])
		advantage[t] = float32(next)
		returns[t] = float32(next + float64(values[t]))
	}
	return advantage, returns
}

// whiten divides by the standard deviation and, with shiftMean, moves the mean
// to 0; without it the mean stays what it was (detail 23):
//
//	(x − μ)·1/√(var + 1e-8) [+ μ]
//
// The statistics run over all values of all rows, with the biased variance.
func whiten(rows [][]float32, shiftMean bool) {
	var n, sum, squares float64
	for _, row := range rows {
		for _, x := range row {
			n++
			sum += float64(x)
		}
	}
	if n == 0 {
		return
	}
	mean := sum / n
	for _, row := range rows {
		for _, x := range row {
			squares += (float64(x) - mean) * (float64(x) - mean)
		}
	}
	scale := 1 / math.Sqrt(squares/n+1e-8)
	for _, row := range rows {
		for i, x := range row {
			y := (float64(x) - mean) * scale
			if !shiftMean {
				y += mean
			}
			row[i] = float32(y)
		}
	}
}

// KLEstimator names an estimate of KL(π‖π_ref) at a sampled token, from the
// difference of the two log-probabilities d = log π − log π_ref
// (Schulman 2020, "Approximating KL divergence"; detail 20).
type KLEstimator string

const (
	K1 KLEstimator = "k1" // d: unbiased, of either sign
	K2 KLEstimator = "k2" // d²/2: biased, never negative
	K3 KLEstimator = "k3" // e⁻ᵈ − 1 + d: unbiased, never negative
)

func (k KLEstimator) at(d float64) float64 {
	switch k {
	case K2:
		return d * d / 2
	case K3:
		return math.Expm1(-d) + d
	default:
		return d
	}
}

// controller adapts β so that the KL of a rollout stays near a target
// (Ziegler et al. 2019, section 2.2; detail 22).
type controller struct {
	Beta    float64 `json:"beta"`
	target  float64 // nats a response; 0: β is constant
	horizon float64 // episodes
}

// update moves β after a rollout of so many episodes had a mean KL.
func (c *controller) update(kl float64, episodes int) {
	if c.target == 0 {
		return
	}
	e := min(max(kl/c.target-1, -.2), .2)
	c.Beta *= 1 + e*float64(episodes)/c.horizon
}
