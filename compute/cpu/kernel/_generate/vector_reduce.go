package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// returnSum stores the sum of the lanes as a result.
func returnSum(acc *sums, result int) { Store(acc.total().AsX(), ReturnIndex(result)) }

func genReductions() {
	function("sum", "func(x []float32) float32", "returns the sum of x.")
	x, n, acc := base("x"), length("x"), newSums(zero)
	reduce("loop", n, func(p place) {
		v := p.load(x)
		VADDPS(v, acc.at(p), acc.at(p))
	}, acc)
	returnSum(acc, 0)
	finish()

	function("dot", "func(x, y []float32) float32", "returns the sum of x·y.")
	x, y, n := base("x"), base("y"), length("x")
	acc = newSums(zero)
	reduce("loop", n, func(p place) {
		v, w := p.load(x), p.load(y)
		VFMADD231PS(v, w, acc.at(p))
	}, acc)
	returnSum(acc, 0)
	finish()

	function("sumSquare", "func(x []float32) float64", "returns the sum of x² in 16 lanes of float64.")
	genSumSquare()

	function("max", "func(x []float32) float32", "returns the largest of x, NaNs apart, or −Inf.")
	x, n = base("x"), length("x")
	lowest := func() vec { return load(wide(0xff800000)) }
	acc = newSums(lowest)
	reduce("loop", n, func(p place) {
		v := p.load(x)
		if p.mask != nil {
			p.mask.blend(lowest(), v)
		}
		// The second source is the maximum, which replaces a NaN.
		VMAXPS(acc.at(p), v, acc.at(p))
	}, acc)
	top := acc.narrow
	VMAXPS(top[1], top[0], top[0])
	VMAXPS(top[3], top[2], top[2])
	VMAXPS(top[2], top[0], top[0])
	maxOfEight(top[0])
	Store(top[0].AsX(), ReturnIndex(0))
	finish()
}

// maxVector leaves the largest lane of x in its lowest one.
func maxVector(x vec) {
	if set == avx512 {
		high := YMM()
		VEXTRACTF32X8(U8(1), x, high)
		VMAXPS(high, x.AsY(), x.AsY())
	}
	maxOfEight(x)
}

func maxOfEight(x vec) {
	high := YMM()
	VEXTRACTF128(U8(1), x.AsY(), high.AsX())
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
	acc := newSums(zero)
	square := func(v, to reg.Register) {
		VFMADD231PD(v, v, to)
	}
	XORQ(i, i)
	MOVQ(n, end)
	ANDQ(I8(-16), end)
	Label("loop")
	CMPQ(i, end)
	JGE(LabelRef("fours"))
	for u, to := range acc.wide {
		v := newVec()
		// set.lanes/2 floats become as many float64.
		VCVTPS2PD(Mem{Base: x, Index: i, Scale: 4, Disp: 2 * set.lanes * u}, v)
		square(v, to)
	}
	ADDQ(I8(16), i)
	JMP(LabelRef("loop"))
	Label("fours")
	acc.halve()
	sum := acc.narrow
	MOVQ(n, end)
	ANDQ(I8(-4), end)
	Label("four")
	CMPQ(i, end)
	JGE(LabelRef("tail"))
	v := YMM()
	VCVTPS2PD(Mem{Base: x, Index: i, Scale: 4}, v)
	square(v, sum[0])
	ADDQ(I8(4), i)
	JMP(LabelRef("four"))
	Label("tail")
	ANDQ(I8(3), n)
	JZ(LabelRef("done"))
	v = YMM()
	lanes = 8
	tail := tailMask(n).load(Mem{Base: x, Index: i, Scale: 4})
	lanes = set.lanes
	VCVTPS2PD(tail.AsX(), v)
	square(v, sum[0])
	Label("done")
	VADDPD(sum[1], sum[0], sum[0])
	VADDPD(sum[3], sum[2], sum[2])
	VADDPD(sum[2], sum[0], sum[0])
	high := YMM()
	VEXTRACTF128(U8(1), sum[0], high.AsX())
	VADDPD(high.AsX(), sum[0].AsX(), sum[0].AsX())
	VUNPCKHPD(sum[0].AsX(), sum[0].AsX(), high.AsX())
	VADDSD(high.AsX(), sum[0].AsX(), sum[0].AsX())
	Store(sum[0].AsX(), ReturnIndex(0))
	finish()
}

// genSumRows keeps up to 32 columns in registers while it goes down the rows.
func genSumRows() {
	function("sumRows", "func(dst, x []float32, stride, rows int)",
		"adds rows ≥ 1 rows of len(dst) floats, stride floats apart, to dst, in order.")
	dst, x, n, stride := base("dst"), base("x"), length("dst"), integer("stride")
	SHLQ(U8(2), stride)
	at, rows := GP64(), GP64()
	down := func(label string, vectors int, m *mask) {
		p := place{mask: m}
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
			if m == nil {
				VADDPS(Mem{Base: at, Disp: 4 * lanes * u}, acc[u], acc[u])
				continue
			}
			VADDPS(m.load(Mem{Base: at}), acc[u], acc[u])
		}
		ADDQ(stride, at)
		DECQ(rows)
		JNZ(LabelRef(label))
		for u := range acc {
			p.unroll = u
			p.store(acc[u], dst)
		}
	}
	for _, vectors := range columnSteps() {
		name := fmt.Sprintf("by%d", vectors)
		Label(name)
		CMPQ(n, I8(int8(lanes*vectors)))
		JL(LabelRef(name + "end"))
		down(name+"rows", vectors, nil)
		ADDQ(I32(int32(4*lanes*vectors)), dst)
		ADDQ(I32(int32(4*lanes*vectors)), x)
		SUBQ(I8(int8(lanes*vectors)), n)
		JMP(LabelRef(name))
		Label(name + "end")
	}
	TESTQ(n, n)
	JZ(LabelRef("done"))
	m := tailMask(n)
	down("maskrows", 1, &m)
	Label("done")
	finish()
}

// columnSteps are the vectors of columns that a pass over rows takes at a time:
// as many as 32 floats where there are so many, since a head of attention has
// few more.
func columnSteps() []int {
	if set == avx512 {
		return []int{4, 2, 1}
	}
	return []int{4, 1}
}

func genNorms() {
	function("sumDiffSquares", "func(x []float32, mean float32) float32", "returns the sum of (x − mean)².")
	x, n, mean, acc := base("x"), length("x"), broadcast(address("mean")), newSums(zero)
	reduce("loop", n, func(p place) {
		v := p.load(x)
		VSUBPS(fit(mean), v, v)
		p.cut(v)
		VFMADD231PS(v, v, acc.at(p))
	}, acc)
	returnSum(acc, 0)
	finish()

	genMap("normalize", "func(y, x, gamma, beta []float32, mean, rstd float32)", []string{"y"}, []string{"x", "gamma", "beta"},
		func() func([]vec) []vec {
			mean, rstd := broadcast(address("mean")), broadcast(address("rstd"))
			return func(x []vec) []vec {
				VSUBPS(mean, x[0], x[0])
				VMULPS(rstd, x[0], x[0])
				VFMADD213PS(x[2], x[1], x[0])
				return x[:1]
			}
		}, "sets y = (x − mean)·rstd·gamma + beta.")
	genMap("normalizeRMS", "func(y, x, gamma []float32, rstd float32)", []string{"y"}, []string{"x", "gamma"},
		func() func([]vec) []vec {
			rstd := broadcast(address("rstd"))
			return func(x []vec) []vec {
				VMULPS(rstd, x[0], x[0])
				VMULPS(x[1], x[0], x[0])
				return x[:1]
			}
		}, "sets y = x·rstd·gamma.")

	function("normGradSums", "func(dgamma, dbeta, dy, x, gamma []float32, mean, rstd float32) (s, sx float32)",
		"adds dy to dbeta and dy·x̂ to dgamma and returns the sums of dy·γ and dy·γ·x̂.")
	genNormGradSums(true)
	function("normGradSumsRMS", "func(dgamma, dy, x, gamma []float32, rstd float32) (sx float32)",
		"adds dy·x̂ to dgamma and returns the sum of dy·γ·x̂.")
	genNormGradSums(false)

	genMap("normGrad", "func(dx, dy, x, gamma []float32, mean, rstd, s, sx float32)", []string{"dx"}, []string{"dy", "x", "gamma"},
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
		}, "sets dx = (dy·γ − s − x̂·sx)·rstd.")
	genMap("normGradRMS", "func(dx, dy, x, gamma []float32, rstd, sx float32)", []string{"dx"}, []string{"dy", "x", "gamma"},
		func() func([]vec) []vec {
			rstd, sx := broadcast(address("rstd")), broadcast(address("sx"))
			return func(x []vec) []vec {
				VMULPS(rstd, x[1], x[1])
				VMULPS(x[2], x[0], x[0])
				VFNMADD231PS(sx, x[1], x[0])
				VMULPS(rstd, x[0], x[0])
				return x[:1]
			}
		}, "sets dx = (dy·γ − x̂·sx)·rstd.")
}

// genNormGradSums writes the body for LayerNorm, or for RMSNorm without mean
// and beta.
func genNormGradSums(centred bool) {
	dgamma, dy, x, gamma, n := base("dgamma"), base("dy"), base("x"), base("gamma"), length("dgamma")
	rstd, sx := broadcast(address("rstd")), newSums(zero)
	dbeta, all := dgamma, []*sums{sx}
	var mean vec
	var s *sums
	if centred {
		dbeta, mean, s = base("dbeta"), broadcast(address("mean")), newSums(zero)
		all = append(all, s)
	}
	reduce("loop", n, func(p place) {
		d, hat := p.load(dy), p.load(x)
		if centred {
			VSUBPS(fit(mean), hat, hat)
			v := p.load(dbeta)
			VADDPS(d, v, v)
			p.store(v, dbeta)
		}
		VMULPS(fit(rstd), hat, hat)
		v := p.load(dgamma)
		VFMADD231PS(d, hat, v)
		p.store(v, dgamma)
		w := p.load(gamma)
		VMULPS(w, d, d)
		// Beyond the end d is 0, but hat is not, and may be Inf.
		p.cut(hat)
		if centred {
			VADDPS(d, s.at(p), s.at(p))
		}
		VFMADD231PS(d, hat, sx.at(p))
	}, all...)
	if centred {
		returnSum(s, 0)
		returnSum(sx, 1)
	} else {
		returnSum(sx, 0)
	}
	finish()
}

func genLogits() {
	function("expSum", "func(x []float32, c, sub float32) float32", "returns the sum of exp(c·x − sub).")
	x, n, c, sub, acc := base("x"), length("x"), broadcast(address("c")), broadcast(address("sub")), newSums(zero)
	reduce("loop", n, func(p place) {
		t := p.load(x)
		VFMSUB213PS(fit(sub), fit(c), t)
		exp(t)
		p.cut(t)
		VADDPS(t, acc.at(p), acc.at(p))
	}, acc)
	returnSum(acc, 0)
	finish()

	function("expMoment", "func(x []float32, c, sub float32) (sum, moment float32)",
		"returns the sums of exp(t) and t·exp(t), t = c·x − sub, t no less than −200.")
	x, n, c, sub, acc = base("x"), length("x"), broadcast(address("c")), broadcast(address("sub")), newSums(zero)
	moment := newSums(zero)
	reduce("loop", n, func(p place) {
		t, e := p.load(x), load(float(-200))
		VFMSUB213PS(fit(sub), fit(c), t)
		VMAXPS(t, e, t)
		VMOVAPS(t, e)
		exp(e)
		p.cut(e)
		p.cut(t)
		VADDPS(e, acc.at(p), acc.at(p))
		VFMADD231PS(e, t, moment.at(p))
	}, acc, moment)
	returnSum(acc, 0)
	returnSum(moment, 1)
	finish()

	genMap("expScale", "func(x []float32, c, sub, scale float32)", []string{"x"}, []string{"x"}, func() func([]vec) []vec {
		c, sub, scale := broadcast(address("c")), broadcast(address("sub")), broadcast(address("scale"))
		return func(x []vec) []vec {
			VFMSUB213PS(sub, c, x[0])
			exp(x[0])
			VMULPS(scale, x[0], x[0])
			return x
		}
	}, "sets x = exp(c·x − sub)·scale.")
}
