package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// returnSum stores the sum of the lanes as a result.
func returnSum(acc [4]vec, result int) { Store(sumLanes(acc).AsX(), ReturnIndex(result)) }

func genReductions() {
	function("sumAVX2", "func(x []float32) float32", "sumAVX2 returns the sum of x.")
	x, n, acc := base("x"), length("x"), accumulators()
	each("loop", n, 4, func(p place) {
		v := p.load(x)
		VADDPS(v, acc[p.unroll], acc[p.unroll])
	})
	returnSum(acc, 0)
	finish()

	function("dotAVX2", "func(x, y []float32) float32", "dotAVX2 returns the sum of x·y.")
	x, y, n := base("x"), base("y"), length("x")
	acc = accumulators()
	each("loop", n, 4, func(p place) {
		v, w := p.load(x), p.load(y)
		VFMADD231PS(v, w, acc[p.unroll])
	})
	returnSum(acc, 0)
	finish()

	function("sumSquareAVX2", "func(x []float32) float64", "sumSquareAVX2 returns the sum of x² in 16 lanes of float64.")
	genSumSquare()

	function("maxAVX2", "func(x []float32) float32", "maxAVX2 returns the largest of x, NaNs apart, or −Inf.")
	x, n = base("x"), length("x")
	for i := range acc {
		acc[i] = load(wide(0xff800000))
	}
	each("loop", n, 4, func(p place) {
		v := p.load(x)
		if p.mask != nil {
			low := load(wide(0xff800000))
			VBLENDVPS(*p.mask, v, low, v)
		}
		// The second source is the maximum, which replaces a NaN.
		VMAXPS(acc[p.unroll], v, acc[p.unroll])
	})
	VMAXPS(acc[1], acc[0], acc[0])
	VMAXPS(acc[3], acc[2], acc[2])
	VMAXPS(acc[2], acc[0], acc[0])
	maxVector(acc[0])
	Store(acc[0].AsX(), ReturnIndex(0))
	finish()
}

// maxVector leaves the largest lane of x in its lowest one.
func maxVector(x vec) {
	high := YMM()
	VEXTRACTF128(U8(1), x, high.AsX())
	VMAXPS(high.AsX(), x.AsX(), x.AsX())
	VMOVHLPS(x.AsX(), x.AsX(), high.AsX())
	VMAXPS(high.AsX(), x.AsX(), x.AsX())
	VMOVSHDUP(x.AsX(), high.AsX())
	VMAXSS(high.AsX(), x.AsX(), x.AsX())
}

// genSumSquare takes 16 floats a step, and what is left over by fours and
// under a mask into the first accumulator.
func genSumSquare() {
	x, n, end, i := base("x"), length("x"), GP64(), GP64()
	acc := accumulators()
	square := func(v vec, to vec) {
		VCVTPS2PD(v.AsX(), v)
		VFMADD231PD(v, v, to)
	}
	XORQ(i, i)
	MOVQ(n, end)
	ANDQ(I8(-16), end)
	Label("loop")
	CMPQ(i, end)
	JGE(LabelRef("fours"))
	for u := range 4 {
		v := YMM()
		VMOVUPS(Mem{Base: x, Index: i, Scale: 4, Disp: 16 * u}, v.AsX())
		square(v, acc[u])
	}
	ADDQ(I8(16), i)
	JMP(LabelRef("loop"))
	Label("fours")
	MOVQ(n, end)
	ANDQ(I8(-4), end)
	Label("four")
	CMPQ(i, end)
	JGE(LabelRef("tail"))
	v := YMM()
	VMOVUPS(Mem{Base: x, Index: i, Scale: 4}, v.AsX())
	square(v, acc[0])
	ADDQ(I8(4), i)
	JMP(LabelRef("four"))
	Label("tail")
	ANDQ(I8(3), n)
	JZ(LabelRef("done"))
	mask := tailMask(n)
	v = YMM()
	VMASKMOVPS(Mem{Base: x, Index: i, Scale: 4}, mask.AsX(), v.AsX())
	square(v, acc[0])
	Label("done")
	VADDPD(acc[1], acc[0], acc[0])
	VADDPD(acc[3], acc[2], acc[2])
	VADDPD(acc[2], acc[0], acc[0])
	high := YMM()
	VEXTRACTF128(U8(1), acc[0], high.AsX())
	VADDPD(high.AsX(), acc[0].AsX(), acc[0].AsX())
	VUNPCKHPD(acc[0].AsX(), acc[0].AsX(), high.AsX())
	VADDSD(high.AsX(), acc[0].AsX(), acc[0].AsX())
	Store(acc[0].AsX(), ReturnIndex(0))
	finish()
}

// genSumRows keeps up to 32 columns in registers while it goes down the rows.
func genSumRows() {
	function("sumRowsAVX2", "func(dst, x []float32, stride, rows int)",
		"sumRowsAVX2 adds rows ≥ 1 rows of len(dst) floats, stride floats apart, to dst, in order.")
	dst, x, n, stride := base("dst"), base("x"), length("dst"), integer("stride")
	SHLQ(U8(2), stride)
	at, rows := GP64(), GP64()
	down := func(label string, vectors int, mask *vec) {
		p := place{mask: mask}
		acc := make([]vec, vectors)
		var zeroIndex = GP64()
		XORQ(zeroIndex, zeroIndex)
		p.index = zeroIndex
		for u := range acc {
			p.unroll = u
			acc[u] = p.load(dst)
		}
		MOVQ(x, at)
		Load(Param("rows"), rows)
		Label(label)
		for u := range acc {
			if mask == nil {
				VADDPS(Mem{Base: at, Disp: 32 * u}, acc[u], acc[u])
				continue
			}
			v := YMM()
			VMASKMOVPS(Mem{Base: at}, *mask, v)
			VADDPS(v, acc[u], acc[u])
		}
		ADDQ(stride, at)
		DECQ(rows)
		JNZ(LabelRef(label))
		for u := range acc {
			p.unroll = u
			p.store(acc[u], dst)
		}
	}
	for _, vectors := range []int{4, 1} {
		name := map[int]string{4: "four", 1: "one"}[vectors]
		Label(name)
		CMPQ(n, I8(int8(8*vectors)))
		JL(LabelRef(name + "end"))
		down(name+"rows", vectors, nil)
		ADDQ(I32(int32(32*vectors)), dst)
		ADDQ(I32(int32(32*vectors)), x)
		SUBQ(I8(int8(8*vectors)), n)
		JMP(LabelRef(name))
		Label(name + "end")
	}
	TESTQ(n, n)
	JZ(LabelRef("done"))
	mask := tailMask(n)
	down("maskrows", 1, &mask)
	Label("done")
	finish()
}

func genNorms() {
	function("sumDiffSquaresAVX2", "func(x []float32, mean float32) float32", "sumDiffSquaresAVX2 returns the sum of (x − mean)².")
	x, n, mean, acc := base("x"), length("x"), broadcast(address("mean")), accumulators()
	each("loop", n, 4, func(p place) {
		v := p.load(x)
		VSUBPS(mean, v, v)
		p.cut(v)
		VFMADD231PS(v, v, acc[p.unroll])
	})
	returnSum(acc, 0)
	finish()

	genMap("normalizeAVX2", "func(y, x, gamma, beta []float32, mean, rstd float32)", []string{"y"}, []string{"x", "gamma", "beta"},
		func() func([]vec) []vec {
			mean, rstd := broadcast(address("mean")), broadcast(address("rstd"))
			return func(x []vec) []vec {
				VSUBPS(mean, x[0], x[0])
				VMULPS(rstd, x[0], x[0])
				VFMADD213PS(x[2], x[1], x[0])
				return x[:1]
			}
		}, "normalizeAVX2 sets y = (x − mean)·rstd·gamma + beta.")
	genMap("normalizeRMSAVX2", "func(y, x, gamma []float32, rstd float32)", []string{"y"}, []string{"x", "gamma"},
		func() func([]vec) []vec {
			rstd := broadcast(address("rstd"))
			return func(x []vec) []vec {
				VMULPS(rstd, x[0], x[0])
				VMULPS(x[1], x[0], x[0])
				return x[:1]
			}
		}, "normalizeRMSAVX2 sets y = x·rstd·gamma.")

	function("normGradSumsAVX2", "func(dgamma, dbeta, dy, x, gamma []float32, mean, rstd float32) (s, sx float32)",
		"normGradSumsAVX2 adds dy to dbeta and dy·x̂ to dgamma and returns the sums of dy·γ and dy·γ·x̂.")
	genNormGradSums(true)
	function("normGradSumsRMSAVX2", "func(dgamma, dy, x, gamma []float32, rstd float32) (sx float32)",
		"normGradSumsRMSAVX2 adds dy·x̂ to dgamma and returns the sum of dy·γ·x̂.")
	genNormGradSums(false)

	genMap("normGradAVX2", "func(dx, dy, x, gamma []float32, mean, rstd, s, sx float32)", []string{"dx"}, []string{"dy", "x", "gamma"},
		func() func([]vec) []vec {
			mean, rstd, s, sx := broadcast(address("mean")), broadcast(address("rstd")), broadcast(address("s")), broadcast(address("sx"))
			return func(x []vec) []vec {
				VSUBPS(mean, x[1], x[1])
				VMULPS(rstd, x[1], x[1])
				VFMSUB213PS(s, x[2], x[0])
				VFNMADD231PS(sx, x[1], x[0])
				VMULPS(rstd, x[0], x[0])
				return x[:1]
			}
		}, "normGradAVX2 sets dx = (dy·γ − s − x̂·sx)·rstd.")
	genMap("normGradRMSAVX2", "func(dx, dy, x, gamma []float32, rstd, sx float32)", []string{"dx"}, []string{"dy", "x", "gamma"},
		func() func([]vec) []vec {
			rstd, sx := broadcast(address("rstd")), broadcast(address("sx"))
			return func(x []vec) []vec {
				VMULPS(rstd, x[1], x[1])
				VMULPS(x[2], x[0], x[0])
				VFNMADD231PS(sx, x[1], x[0])
				VMULPS(rstd, x[0], x[0])
				return x[:1]
			}
		}, "normGradRMSAVX2 sets dx = (dy·γ − x̂·sx)·rstd.")
}

// genNormGradSums writes the body for LayerNorm, or for RMSNorm without mean
// and beta.
func genNormGradSums(centred bool) {
	dgamma, dy, x, gamma, n := base("dgamma"), base("dy"), base("x"), base("gamma"), length("dgamma")
	rstd, sx := broadcast(address("rstd")), accumulators()
	dbeta := dgamma
	var mean vec
	var s [4]vec
	if centred {
		dbeta, mean, s = base("dbeta"), broadcast(address("mean")), accumulators()
	}
	each("loop", n, 4, func(p place) {
		d, hat := p.load(dy), p.load(x)
		if centred {
			VSUBPS(mean, hat, hat)
			v := p.load(dbeta)
			VADDPS(d, v, v)
			p.store(v, dbeta)
		}
		VMULPS(rstd, hat, hat)
		v := p.load(dgamma)
		VFMADD231PS(d, hat, v)
		p.store(v, dgamma)
		w := p.load(gamma)
		VMULPS(w, d, d)
		// Beyond the end d is 0, but hat is not, and may be Inf.
		p.cut(hat)
		if centred {
			VADDPS(d, s[p.unroll], s[p.unroll])
		}
		VFMADD231PS(d, hat, sx[p.unroll])
	})
	if centred {
		returnSum(s, 0)
		returnSum(sx, 1)
	} else {
		returnSum(sx, 0)
	}
	finish()
}

func genLogits() {
	function("expSumAVX2", "func(x []float32, c, sub float32) float32", "expSumAVX2 returns the sum of exp(c·x − sub).")
	x, n, c, sub, acc := base("x"), length("x"), broadcast(address("c")), broadcast(address("sub")), accumulators()
	each("loop", n, 4, func(p place) {
		t := p.load(x)
		VFMSUB213PS(sub, c, t)
		exp(t)
		p.cut(t)
		VADDPS(t, acc[p.unroll], acc[p.unroll])
	})
	returnSum(acc, 0)
	finish()

	function("expMomentAVX2", "func(x []float32, c, sub float32) (sum, moment float32)",
		"expMomentAVX2 returns the sums of exp(t) and t·exp(t), t = c·x − sub, t no less than −200.")
	x, n, c, sub, acc = base("x"), length("x"), broadcast(address("c")), broadcast(address("sub")), accumulators()
	moment := accumulators()
	each("loop", n, 4, func(p place) {
		t, e := p.load(x), load(float(-200))
		VFMSUB213PS(sub, c, t)
		VMAXPS(t, e, t)
		VMOVAPS(t, e)
		exp(e)
		p.cut(e)
		p.cut(t)
		VADDPS(e, acc[p.unroll], acc[p.unroll])
		VFMADD231PS(e, t, moment[p.unroll])
	})
	returnSum(acc, 0)
	returnSum(moment, 1)
	finish()

	genMap("expScaleAVX2", "func(x []float32, c, sub, scale float32)", []string{"x"}, []string{"x"}, func() func([]vec) []vec {
		c, sub, scale := broadcast(address("c")), broadcast(address("sub")), broadcast(address("scale"))
		return func(x []vec) []vec {
			VFMSUB213PS(sub, c, x[0])
			exp(x[0])
			VMULPS(scale, x[0], x[0])
			return x
		}
	}, "expScaleAVX2 sets x = exp(c·x − sub)·scale.")
}
