package kernel

import "math"

// Exp sets dst[i] = e^x[i], within 2 units in the last place, subnormal
// results included. −Inf gives 0, NaN gives NaN, and values over 88.73 +Inf.
// dst may be x.
func Exp(dst, x []float32) {
	check("Exp", len(dst), len(dst), len(x))
	for i := 0; i < len(dst); i += chunkLen {
		j := min(i+chunkLen, len(dst))
		vec().exp(dst[i:j], x[i:j])
	}
}

// Sigmoid sets dst[i] = 1/(1 + e^−x[i]). dst may be x.
func Sigmoid(dst, x []float32) {
	check("Sigmoid", len(dst), len(dst), len(x))
	for i := 0; i < len(dst); i += chunkLen {
		j := min(i+chunkLen, len(dst))
		vec().sigmoid(dst[i:j], x[i:j])
	}
}

// Log sets dst[i] to the natural logarithm of x[i]. dst may be x.
func Log(dst, x []float32) {
	check("Log", len(dst), len(dst), len(x))
	for i, v := range x {
		dst[i] = float32(math.Log(float64(v)))
	}
}

// LogSigmoid sets dst[i] = −log(1 + e^−x[i]) without overflow at either end.
// Its derivative is Sigmoid of −x. dst may be x.
func LogSigmoid(dst, x []float32) {
	check("LogSigmoid", len(dst), len(dst), len(x))
	for i, v := range x {
		z := float64(v)
		dst[i] = float32(math.Min(z, 0) - math.Log1p(math.Exp(-math.Abs(z))))
	}
}

// The tanh form of GELU (Hendrycks and Gimpel, arXiv 1606.08415), GPT-2's
// gelu_new, is x·½(1 + tanh u) with u = √(2/π)(x + 0.044715x³). Since
// ½(1 + tanh u) = σ(2u), the kernels compute x·σ(2u), which keeps its relative
// precision where 1 + tanh u cancels.
const (
	geluTwoRoot = 2 * 0.7978845608028654 // 2√(2/π)
	geluCubic   = 0.044715
	// geluFlat is where the gradient is 1, or within 1e-35 of 0; beyond it
	// the kernels use its value here, so that nothing overflows.
	geluFlat = 10
)

// GELU sets dst[i] to the tanh form of GELU at x[i]. dst may be x.
func GELU(dst, x []float32) {
	check("GELU", len(dst), len(dst), len(x))
	for i := 0; i < len(dst); i += chunkLen {
		j := min(i+chunkLen, len(dst))
		vec().gelu(dst[i:j], x[i:j])
	}
}

// GELUGrad sets dx[i] = dy[i] · GELU′(x[i]). dx may be x or dy.
func GELUGrad(dx, x, dy []float32) {
	check("GELUGrad", len(dx), len(dx), len(x), len(dy))
	for i := 0; i < len(dx); i += chunkLen {
		j := min(i+chunkLen, len(dx))
		vec().geluGrad(dx[i:j], x[i:j], dy[i:j])
	}
}

// GELUExact sets dst[i] = x·Φ(x) at x[i], Φ the normal distribution's
// cumulative function: the erf form. dst may be x.
func GELUExact(dst, x []float32) {
	check("GELUExact", len(dst), len(dst), len(x))
	for i, v := range x {
		z := float64(v)
		dst[i] = float32(z * normalCDF(z))
	}
}

// GELUExactGrad sets dx[i] = dy[i] · (Φ(x) + x·φ(x)) at x[i]. dx may be x or
// dy.
func GELUExactGrad(dx, x, dy []float32) {
	check("GELUExactGrad", len(dx), len(dx), len(x), len(dy))
	const rootTwoPi = 2.5066282746310002
	for i, v := range x {
		z := float64(v)
		density := math.Exp(-z*z/2) / rootTwoPi
		dx[i] = dy[i] * float32(normalCDF(z)+z*density)
	}
}

// normalCDF uses erfc, which stays precise in the lower tail.
func normalCDF(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

// SiLUMul sets dst[i] = SiLU(gate[i]) · up[i], SiLU(x) = x·σ(x): the gated
// unit of Llama's feed-forward layer (SwiGLU, Shazeer, arXiv 2002.05202). dst
// may be gate or up.
func SiLUMul(dst, gate, up []float32) {
	check("SiLUMul", len(dst), len(dst), len(gate), len(up))
	for i := 0; i < len(dst); i += chunkLen {
		j := min(i+chunkLen, len(dst))
		vec().siluMul(dst[i:j], gate[i:j], up[i:j])
	}
}

// SiLUMulGrad sets dgate[i] and dup[i] to the gradients of SiLUMul at gate[i],
// up[i] for the output's gradient dy[i]. The results may be gate, up or dy,
// but not each other.
func SiLUMulGrad(dgate, dup, gate, up, dy []float32) {
	check("SiLUMulGrad", len(dgate), len(dgate), len(dup), len(gate), len(up), len(dy))
	for i := 0; i < len(dgate); i += chunkLen {
		j := min(i+chunkLen, len(dgate))
		vec().siluMulGrad(dgate[i:j], dup[i:j], gate[i:j], up[i:j], dy[i:j])
	}
}
