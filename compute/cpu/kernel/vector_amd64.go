//go:build !purego

package kernel

// vec returns the implementation that Select chose.
func vec() *vectorKernels {
	return vectorLevels[selected]
}

var vectorLevels = [...]*vectorKernels{portableLevel: &portable, avx2Level: &avx2, avx512Level: &avx512}

// avx2 is the implementation in AVX2.
var avx2 = vectorKernels{
	add:       addAVX2,
	mul:       mulAVX2,
	scale:     scaleAVX2,
	addScaled: addScaledAVX2,
	sumRows:   sumRowsAVX2,
	sum:       sumAVX2,
	dot:       dotAVX2,
	sumSquare: sumSquareAVX2,

	exp:         expAVX2,
	sigmoid:     sigmoidAVX2,
	gelu:        geluAVX2,
	geluGrad:    geluGradAVX2,
	siluMul:     siluMulAVX2,
	siluMulGrad: siluMulGradAVX2,

	sumDiffSquares:  sumDiffSquaresAVX2,
	normalize:       normalizeAVX2,
	normalizeRMS:    normalizeRMSAVX2,
	normGradSums:    normGradSumsAVX2,
	normGrad:        normGradAVX2,
	normGradSumsRMS: normGradSumsRMSAVX2,
	normGradRMS:     normGradRMSAVX2,

	max:       maxAVX2,
	expSum:    expSumAVX2,
	expMoment: expMomentAVX2,
	expScale:  expScaleAVX2,

	adamW: func(w, grad, m, v []float32, a adamWConstants) {
		adamWAVX2(w, grad, m, v, a.gscale, a.keep, a.oneMinusBeta, a.beta2, a.oneMinusB2, a.rootC2, a.eps, a.step)
	},
	rotate: func(dst, x, cos, sin []float32, heads, headDim int) {
		const signBit = 1 << 31
		if heads < 0 {
			rotateAVX2(dst, x, cos, sin, -heads, signBit)
		} else if heads > 0 {
			rotateAVX2(dst, x, cos, sin, heads, 0)
		}
	},

	attentionKernels: attentionKernels{
		tileSet: func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
			if mt > 0 && nt > 0 {
				tileSetAVX2(c, ldc, a, rs, ks, b, ldb, bps, k, mt, nt)
			}
		},
		tileAdd: func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
			if mt > 0 && nt > 0 {
				tileAddAVX2(c, ldc, a, rs, ks, b, ldb, bps, k, mt, nt)
			}
		},
		tileRescale: func(c []float32, ldc int, rowScale, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
			if mt > 0 && nt > 0 {
				tileRescaleAVX2(c, ldc, rowScale, a, rs, ks, b, ldb, bps, k, mt, nt)
			}
		},
		transpose8: func(dst, src []float32, stride, dim int) {
			if dim > 0 {
				transpose8AVX2(&dst[0], tileCols, &src[0], stride, dim/8)
			}
		},
		softmaxTile: softmaxTileAVX2,
		gradTile:    gradTileAVX2,
		scaleRows: func(dst []float32, ldd int, src []float32, lds, rows, cols int, s float32) {
			if rows > 0 {
				scaleRowsAVX2(dst, ldd, src, lds, rows, cols, s)
			}
		},
		keyDots:   keyDotsAVX2,
		valueSum:  valueSumAVX2,
		keyDots3:  keyDots3AVX2,
		valueSum3: valueSum3AVX2,
	},
}
