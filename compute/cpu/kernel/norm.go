package kernel

import "math"

// LayerNorm normalises each row of x [rows, D] to mean 0 and variance 1 and
// applies gamma and beta [D] (Ba et al., arXiv 1607.06450):
//
//	y = (x − mean)·rstd·γ + β, rstd = 1/√(variance + eps)
//
// It stores the mean and rstd of every row [rows]. D is len(gamma), rows is
// len(mean). y may be x.
func LayerNorm(y, mean, rstd, x, gamma, beta []float32, eps float32) {
	d := len(gamma)
	check("LayerNorm", d, len(gamma), len(beta))
	check("LayerNorm", len(mean), len(mean), len(rstd))
	check("LayerNorm", len(mean)*d, len(y), len(x))
	for r := range mean {
		row := x[r*d : (r+1)*d]
		mu := vec().sum(row) / float32(d)
		rs := reciprocalRoot(vec().sumDiffSquares(row, mu)/float32(d), eps)
		mean[r], rstd[r] = mu, rs
		vec().normalize(y[r*d:(r+1)*d], row, gamma, beta, mu, rs)
	}
}

// LayerNormGrad carries dy [rows, D] back through LayerNorm: it sets dx and
// adds to dgamma and dbeta [D], row after row. Row ranges that are given
// accumulators of their own, added in a fixed order, make the sum independent
// of threads. dx may be dy.
func LayerNormGrad(dx, dgamma, dbeta, dy, x, mean, rstd, gamma []float32) {
	d := len(gamma)
	check("LayerNormGrad", d, len(gamma), len(dgamma), len(dbeta))
	check("LayerNormGrad", len(mean), len(mean), len(rstd))
	check("LayerNormGrad", len(mean)*d, len(dx), len(dy), len(x))
	for r := range mean {
		dyr, xr := dy[r*d:(r+1)*d], x[r*d:(r+1)*d]
		s, sx := vec().normGradSums(dgamma, dbeta, dyr, xr, gamma, mean[r], rstd[r])
		vec().normGrad(dx[r*d:(r+1)*d], dyr, xr, gamma, mean[r], rstd[r], s/float32(d), sx/float32(d))
	}
}

// RMSNorm divides each row of x [rows, D] by its root mean square and applies
// gamma [D] (Zhang and Sennrich, arXiv 1910.07467):
//
//	y = x·rstd·γ, rstd = 1/√(mean(x²) + eps)
//
// It stores the rstd of every row [rows]. D is len(gamma). y may be x.
func RMSNorm(y, rstd, x, gamma []float32, eps float32) {
	d := len(gamma)
	check("RMSNorm", len(rstd)*d, len(y), len(x))
	for r := range rstd {
		row := x[r*d : (r+1)*d]
		rs := reciprocalRoot(vec().sumDiffSquares(row, 0)/float32(d), eps)
		rstd[r] = rs
		vec().normalizeRMS(y[r*d:(r+1)*d], row, gamma, rs)
	}
}

// RMSNormGrad carries dy [rows, D] back through RMSNorm: it sets dx and adds
// to dgamma [D], row after row. dx may be dy.
func RMSNormGrad(dx, dgamma, dy, x, rstd, gamma []float32) {
	d := len(gamma)
	check("RMSNormGrad", d, len(gamma), len(dgamma))
	check("RMSNormGrad", len(rstd)*d, len(dx), len(dy), len(x))
	for r := range rstd {
		dyr, xr := dy[r*d:(r+1)*d], x[r*d:(r+1)*d]
		sx := vec().normGradSumsRMS(dgamma, dyr, xr, gamma, rstd[r])
		vec().normGradRMS(dx[r*d:(r+1)*d], dyr, xr, gamma, rstd[r], sx/float32(d))
	}
}

func reciprocalRoot(variance, eps float32) float32 {
	return float32(1 / math.Sqrt(float64(variance)+float64(eps)))
}

func sumDiffSquaresPortable(x []float32, mean float32) float32 {
	var l lanes
	for i, v := range x {
		d := v - mean
		l[laneOf(i, len(x))] += float32(d * d)
	}
	return l.total()
}

func normalizePortable(y, x, gamma, beta []float32, mean, rstd float32) {
	for i, v := range x {
		y[i] = float32(float32((v-mean)*rstd)*gamma[i]) + beta[i]
	}
}

func normalizeRMSPortable(y, x, gamma []float32, rstd float32) {
	for i, v := range x {
		y[i] = float32(v*rstd) * gamma[i]
	}
}

func normGradSumsPortable(dgamma, dbeta, dy, x, gamma []float32, mean, rstd float32) (s, sx float32) {
	var l, lx lanes
	for i, v := range x {
		hat := float32((v - mean) * rstd)
		dgamma[i] += float32(dy[i] * hat)
		dbeta[i] += dy[i]
		dhat := float32(dy[i] * gamma[i])
		at := laneOf(i, len(x))
		l[at] += dhat
		lx[at] += float32(dhat * hat)
	}
	return l.total(), lx.total()
}

func normGradPortable(dx, dy, x, gamma []float32, mean, rstd, s, sx float32) {
	for i, v := range x {
		hat := float32((v - mean) * rstd)
		dx[i] = (float32(dy[i]*gamma[i]) - s - float32(hat*sx)) * rstd
	}
}

func normGradSumsRMSPortable(dgamma, dy, x, gamma []float32, rstd float32) (sx float32) {
	var lx lanes
	for i, v := range x {
		hat := float32(v * rstd)
		dgamma[i] += float32(dy[i] * hat)
		lx[laneOf(i, len(x))] += float32(float32(dy[i]*gamma[i]) * hat)
	}
	return lx.total()
}

func normGradRMSPortable(dx, dy, x, gamma []float32, rstd, sx float32) {
	for i, v := range x {
		hat := float32(v * rstd)
		dx[i] = (float32(dy[i]*gamma[i]) - float32(hat*sx)) * rstd
	}
}
