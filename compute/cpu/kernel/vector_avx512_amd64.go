//go:build !purego

package kernel

// avx512 is the implementation in AVX-512. Sums have the lanes of avx2 and
// elements its instructions, so that both give the same bits. What it shares
// with avx2 would gain little from wider registers: attention against a cache
// waits for memory, and a transposition moves no more bytes a cycle.
var avx512 = vectorKernels{
	add:       addAVX512,
	mul:       mulAVX512,
	scale:     scaleAVX512,
	addScaled: addScaledAVX512,
	sumRows:   sumRowsAVX512,
	sum:       sumAVX512,
	dot:       dotAVX512,
	sumSquare: sumSquareAVX512,

	exp:         expAVX512,
	sigmoid:     sigmoidAVX512,
	gelu:        geluAVX512,
	geluGrad:    geluGradAVX512,
	siluMul:     siluMulAVX512,
	siluMulGrad: siluMulGradAVX512,

	sumDiffSquares:  sumDiffSquaresAVX512,
	normalize:       normalizeAVX512,
	normalizeRMS:    normalizeRMSAVX512,
	normGradSums:    normGradSumsAVX512,
	normGrad:        normGradAVX512,
	normGradSumsRMS: normGradSumsRMSAVX512,
	normGradRMS:     normGradRMSAVX512,

	max:       maxAVX512,
	expSum:    expSumAVX512,
	expMoment: expMomentAVX512,
	expScale:  expScaleAVX512,

	adamW: func(w, grad, m, v []float32, a adamWConstants) {
		adamWAVX512(w, grad, m, v, a.gscale, a.keep, a.oneMinusBeta, a.beta2, a.oneMinusB2, a.rootC2, a.eps, a.step)
	},
	rotate: func(dst, x, cos, sin []float32, heads, headDim int) {
		const signBit = 1 << 31
		if heads < 0 {
			rotateAVX512(dst, x, cos, sin, -heads, signBit)
		} else if heads > 0 {
			rotateAVX512(dst, x, cos, sin, heads, 0)
		}
	},

	attentionKernels: attentionKernels{
		tileSet: func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
			if mt > 0 && nt > 0 {
				tileSetAVX512(c, ldc, a, rs, ks, b, ldb, bps, k, mt, nt)
			}
		},
		tileAdd: func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
			if mt > 0 && nt > 0 {
				tileAddAVX512(c, ldc, a, rs, ks, b, ldb, bps, k, mt, nt)
			}
		},
		tileRescale: func(c []float32, ldc int, rowScale, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
			if mt > 0 && nt > 0 {
				tileRescaleAVX512(c, ldc, rowScale, a, rs, ks, b, ldb, bps, k, mt, nt)
			}
		},
		transpose8: func(dst, src []float32, stride, dim int) {
			if dim > 0 {
				transpose8AVX2(&dst[0], tileCols, &src[0], stride, dim/8)
			}
		},
		softmaxTile: softmaxTileAVX512,
		gradTile:    gradTileAVX512,
		scaleRows: func(dst []float32, ldd int, src []float32, lds, rows, cols int, s float32) {
			if rows > 0 {
				scaleRowsAVX512(dst, ldd, src, lds, rows, cols, s)
			}
		},
		keyDots:   keyDotsAVX2,
		valueSum:  valueSumAVX512,
		keyDots3:  keyDots3AVX2,
		valueSum3: valueSum3AVX2,
	},
}
