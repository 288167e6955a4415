package kernel

import "math"

// adamWConstants are the scalars of one AdamW step.
type adamWConstants struct {
	gscale       float32 // factor of the gradient
	keep         float32 // 1 − lr·decay
	oneMinusBeta float32 // 1 − β1
	beta2        float32
	oneMinusB2   float32 // 1 − β2
	rootC2       float32 // √(1 − β2ᵗ)
	eps          float32
	step         float32 // lr/(1 − β1ᵗ)
}

// AdamW makes one step of Adam with decoupled weight decay (Loshchilov and
// Hutter, arXiv 1711.05101) on w, with PyTorch's order of operations:
//
//	g ← gscale·grad
//	w ← w·(1 − lr·decay)
//	m ← m + (g − m)·(1 − β1)
//	v ← v·β2 + g·g·(1 − β2)
//	w ← w − (lr/c1) · m/(√v/√c2 + eps)
//
// c1 = 1 − β1ᵗ and c2 = 1 − β2ᵗ are the bias corrections of step t, from 1.
// w, m and v are updated in place, grad is only read. All implementations give
// the same bits.
func AdamW(w, grad, m, v []float32, lr, beta1, beta2, eps, decay, c1, c2, gscale float32) {
	check("AdamW", len(w), len(w), len(grad), len(m), len(v))
	a := adamWConstants{
		gscale:       gscale,
		keep:         float32(1 - float64(lr)*float64(decay)),
		oneMinusBeta: float32(1 - float64(beta1)),
		beta2:        beta2,
		oneMinusB2:   float32(1 - float64(beta2)),
		rootC2:       float32(math.Sqrt(float64(c2))),
		eps:          eps,
		step:         float32(float64(lr) / float64(c1)),
	}
	for i := 0; i < len(w); i += chunkLen {
		j := min(i+chunkLen, len(w))
		vec().adamW(w[i:j], grad[i:j], m[i:j], v[i:j], a)
	}
}

func adamWPortable(w, grad, m, v []float32, a adamWConstants) {
	for i := range w {
		g := float32(grad[i] * a.gscale)
		m1 := m[i] + float32((g-m[i])*a.oneMinusBeta)
		v1 := float32(v[i]*a.beta2) + float32(float32(g*g)*a.oneMinusB2)
		denom := float32(math.Sqrt(float64(v1)))/a.rootC2 + a.eps
		w[i] = float32(w[i]*a.keep) - float32(a.step*float32(m1/denom))
		m[i], v[i] = m1, v1
	}
}
