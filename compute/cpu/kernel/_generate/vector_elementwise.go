package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Exponentials
//
// eˣ = 2ⁿ·eʳ with n the integer nearest x·log₂e and r = x − n·ln 2, which two
// fused steps with ln 2 in two parts keep exact; |r| ≤ ln 2/2. The polynomials
// interpolate (eʳ − 1 − r)/r² and (2ᶠ − 1)/f at Chebyshev's points; their
// relative error is under 1e-8, a sixth of a unit in the last place.

var (
	expCoefficients  = []float64{0.0013926181709393859, 0.008363177999854088, 0.041666556149721146, 0.16666576266288757, 0.5}
	exp2Coefficients = []float64{0.00015453163359779865, 0.0013390863314270973, 0.009618083015084267, 0.055503569543361664, 0.24022650718688965, 0.6931471824645996}
)

const (
	ln2High = 0.693145751953125
	ln2Low  = 1.428606765330187e-06
	toEven  = 8 // rounding mode: nearest even, no exception
)

func roundToEven(x, to vec) {
	if set == avx512 {
		VRNDSCALEPS(U8(toEven), x, to)
	} else {
		VROUNDPS(U8(toEven), x, to)
	}
}

// clamp limits x to [low, high]. A NaN stays: MINPS and MAXPS return their
// second source when either is NaN.
func clamp(x vec, low, high float64) {
	bound := load(float(high))
	VMINPS(x, bound, x)
	VMOVUPS(float(low), bound)
	VMAXPS(x, bound, x)
}

// expPolynomial replaces x by eʳ and returns n, as floats.
func expPolynomial(x vec) (n vec) {
	n = newVec()
	VMULPS(float(math.Log2E), x, n)
	roundToEven(n, n)
	VFNMADD231PS(float(ln2High), n, x)
	VFNMADD231PS(float(ln2Low), n, x)
	p, square := load(float(expCoefficients[0])), newVec()
	for _, c := range expCoefficients[1:] {
		VFMADD213PS(float(c), x, p)
	}
	VMULPS(x, x, square)
	VFMADD213PS(x, square, p)
	VADDPS(float(1), p, x)
	return n
}

// scaleBy multiplies x by 2ⁿ for −127 ≤ n ≤ 128, where the ends mean 0 and
// +Inf: the exponent's field is written directly. It overwrites n. A NaN in n
// becomes 1, and x is NaN then.
func scaleBy(x, n vec) {
	VCVTPS2DQ(n, n)
	VPADDD(wide(127), n, n)
	VPSLLD(U8(23), n, n)
	VMULPS(n, x, x)
}

// exp replaces x by eˣ, with 0 for results under 2⁻¹²⁶ and +Inf over 2¹²⁷·⁵.
func exp(x vec) {
	clamp(x, -127*math.Ln2, 128*math.Ln2)
	scaleBy(x, expPolynomial(x))
}

// expFull replaces x by eˣ on the whole range of float32: 2ⁿ is applied in two
// halves, so that neither leaves the normal numbers.
func expFull(x vec) {
	clamp(x, -104, 89)
	n, half := expPolynomial(x), newVec()
	VCVTPS2DQ(n, n)
	VPSRAD(U8(1), n, half)
	VPSUBD(half, n, n)
	for _, k := range []vec{half, n} {
		VPADDD(wide(127), k, k)
		VPSLLD(U8(23), k, k)
		VMULPS(k, x, x)
	}
}

// exp2 holds what 2ˣ needs in registers: as many constants as attention has
// to spare.
type exp2 struct {
	floor, magic vec
	first        []vec // coefficients
}

// exp2Magic is 1.5·2²³ + 127, where a float32's unit is 1: x plus it has the
// integer nearest x, with the exponent's bias, in its lowest bits.
const exp2Magic = 3<<22 + 127

func newExp2() exp2 {
	e := exp2{floor: load(float(-127)), magic: load(float(exp2Magic))}
	for _, c := range exp2Coefficients[:5] {
		e.first = append(e.first, load(float(c)))
	}
	return e
}

// of replaces x by 2ˣ, with 0 for results under 2⁻¹²⁶. x must not exceed 128.
func (e exp2) of(x vec) {
	n, p := newVec(), newVec()
	VMAXPS(x, e.floor, x) // a NaN stays
	VADDPS(e.magic, x, n)
	VSUBPS(e.magic, n, p)
	VSUBPS(p, x, x)
	VPSLLD(U8(23), n, n)
	VMOVAPS(e.first[0], p)
	for _, c := range e.first[1:] {
		VFMADD213PS(c, x, p)
	}
	for _, c := range exp2Coefficients[len(e.first):] {
		VFMADD213PS(float(c), x, p)
	}
	VFMADD213PS(float(1), p, x)
	VMULPS(n, x, x)
}

// logistic replaces x by 1/(1 + eˣ): the sigmoid of −x.
func logistic(x vec) {
	exp(x)
	one := load(float(1))
	VADDPS(one, x, x)
	VDIVPS(x, one, x)
}

// genMap writes an elementwise function of slices: setup runs once and returns
// what computes the outputs from the inputs.
func genMap(name, signature string, outputs, inputs []string, setup func() func(in []vec) []vec, doc ...string) {
	function(name, signature, doc...)
	var out, in []reg.GPVirtual
	for _, s := range outputs {
		out = append(out, base(s))
	}
	for _, s := range inputs {
		in = append(in, base(s))
	}
	n := length(outputs[0])
	body := setup()
	each("loop", n, func(p place) {
		x := make([]vec, len(in))
		for i := range in {
			x[i] = p.load(in[i])
		}
		for i, y := range body(x) {
			p.store(y, out[i])
		}
	})
	finish()
}

func genArithmetic() {
	two := "func(dst, a, b []float32)"
	genMap("add", two, []string{"dst"}, []string{"a", "b"}, func() func([]vec) []vec {
		return func(x []vec) []vec {
			VADDPS(x[1], x[0], x[0])
			return x[:1]
		}
	}, "sets dst = a + b.")
	genMap("mul", two, []string{"dst"}, []string{"a", "b"}, func() func([]vec) []vec {
		return func(x []vec) []vec {
			VMULPS(x[1], x[0], x[0])
			return x[:1]
		}
	}, "sets dst = a · b.")
	scaled := "func(dst, x []float32, s float32)"
	genMap("scale", scaled, []string{"dst"}, []string{"x"}, func() func([]vec) []vec {
		s := broadcast(address("s"))
		return func(x []vec) []vec {
			VMULPS(s, x[0], x[0])
			return x
		}
	}, "sets dst = s · x.")
	genMap("addScaled", scaled, []string{"dst"}, []string{"x", "dst"}, func() func([]vec) []vec {
		s := broadcast(address("s"))
		return func(x []vec) []vec {
			VMULPS(s, x[0], x[0])
			VADDPS(x[1], x[0], x[0])
			return x[:1]
		}
	}, "adds s · x to dst.")
}

func plain(body func(x []vec) []vec) func() func([]vec) []vec {
	return func() func([]vec) []vec { return body }
}

const (
	geluTwoRoot = 2 * 0.7978845608028654
	geluCubic   = 0.044715
	geluFlat    = 10
)

// geluExponent returns −2u of GELU's tanh form and x².
func geluExponent(x vec) (t, square vec) {
	t, square = newVec(), newVec()
	VMULPS(x, x, square)
	VMOVUPS(float(-geluTwoRoot*geluCubic), t)
	VFMADD213PS(float(-geluTwoRoot), square, t)
	VMULPS(x, t, t)
	return t, square
}

func genActivations() {
	one := "func(dst, x []float32)"
	genMap("exp", one, []string{"dst"}, []string{"x"}, plain(func(x []vec) []vec {
		expFull(x[0])
		return x
	}), "sets dst to e to the power of x.")
	genMap("sigmoid", one, []string{"dst"}, []string{"x"}, plain(func(x []vec) []vec {
		VXORPS(wide(1<<31), x[0], x[0])
		logistic(x[0])
		return x
	}), "sets dst = 1/(1 + exp(−x)).")
	genMap("gelu", one, []string{"dst"}, []string{"x"}, plain(func(x []vec) []vec {
		s, _ := geluExponent(x[0])
		logistic(s)
		VMULPS(s, x[0], x[0])
		return x
	}), "sets dst to the tanh form of GELU at x.")
	genMap("geluGrad", "func(dx, x, dy []float32)", []string{"dx"}, []string{"x", "dy"}, plain(func(x []vec) []vec {
		z := x[0]
		clamp(z, -geluFlat, geluFlat)
		// s + z·s·(1 − s)·2u′, with 1 − s as s·e^−2u, which does not cancel
		// and, z being clamped, does not overflow.
		rest, square := geluExponent(z)
		exp(rest)
		one, s := load(float(1)), newVec()
		VADDPS(one, rest, s)
		VDIVPS(s, one, s)
		slope := load(float(3 * geluTwoRoot * geluCubic))
		VFMADD213PS(float(geluTwoRoot), square, slope)
		VMULPS(s, rest, rest)
		VMULPS(s, rest, rest)
		VMULPS(z, rest, rest)
		VFMADD213PS(s, rest, slope)
		VMULPS(x[1], slope, slope)
		return []vec{slope}
	}), "sets dx to dy times the derivative of gelu.")
	genMap("siluMul", "func(dst, gate, up []float32)", []string{"dst"}, []string{"gate", "up"}, plain(func(x []vec) []vec {
		s := newVec()
		VXORPS(wide(1<<31), x[0], s)
		logistic(s)
		VMULPS(x[0], s, s)
		VMULPS(x[1], s, s)
		return []vec{s}
	}), "sets dst = gate·σ(gate)·up.")
	genMap("siluMulGrad", "func(dgate, dup, gate, up, dy []float32)", []string{"dgate", "dup"}, []string{"gate", "up", "dy"}, plain(func(x []vec) []vec {
		gate, up, dy := x[0], x[1], x[2]
		s, rest := newVec(), newVec()
		VXORPS(wide(1<<31), gate, s)
		logistic(s)
		VMOVUPS(float(1), rest)
		VSUBPS(s, rest, rest)
		VMULPS(s, gate, gate) // silu(gate)
		VFMADD213PS(s, gate, rest)
		VMULPS(dy, up, up)
		VMULPS(up, rest, rest)
		VMULPS(gate, dy, dy)
		return []vec{rest, dy}
	}), "sets dgate and dup to the gradients of siluMul.")
}

func genAdamW() {
	genMap("adamW", "func(w, grad, m, v []float32, gscale, keep, oneMinusBeta, beta2, oneMinusB2, rootC2, eps, step float32)",
		[]string{"w", "m", "v"}, []string{"w", "grad", "m", "v"}, func() func([]vec) []vec {
			at := map[string]vec{}
			for _, name := range []string{"gscale", "keep", "oneMinusBeta", "beta2", "oneMinusB2", "rootC2", "eps", "step"} {
				at[name] = broadcast(address(name))
			}
			return func(x []vec) []vec {
				w, grad, m, v := x[0], x[1], x[2], x[3]
				t := newVec()
				VMULPS(at["gscale"], grad, grad)
				VSUBPS(m, grad, t)
				VMULPS(at["oneMinusBeta"], t, t)
				VADDPS(t, m, m)
				VMULPS(grad, grad, grad)
				VMULPS(at["oneMinusB2"], grad, grad)
				VMULPS(at["beta2"], v, v)
				VADDPS(grad, v, v)
				VSQRTPS(v, t)
				VDIVPS(at["rootC2"], t, t)
				VADDPS(at["eps"], t, t)
				VDIVPS(t, m, t)
				VMULPS(at["step"], t, t)
				VMULPS(at["keep"], w, w)
				VSUBPS(t, w, w)
				return []vec{w, m, v}
			}
		}, "makes one step of AdamW; products are rounded before they are added.")
}

func genRotate() {
	function("rotate", "func(dst, x, cos, sin []float32, heads int, sign uint32)",
		"rotates one row of heads ≥ 1 heads of 2·len(cos) floats by the angles of cos",
		"and sin, whose sign bits are flipped by sign.")
	dst, x, cos, sin := base("dst"), base("x"), base("cos"), base("sin")
	heads := integer("heads")
	sign := broadcast(address("sign"))
	Label("head")
	half := length("cos")
	dstHigh, xHigh := GP64(), GP64()
	LEAQ(Mem{Base: dst, Index: half, Scale: 4}, dstHigh)
	LEAQ(Mem{Base: x, Index: half, Scale: 4}, xHigh)
	each("loop", half, func(p place) {
		a, b, c, s := p.load(x), p.load(xHigh), p.load(cos), p.load(sin)
		low, high := newVec(), newVec()
		VXORPS(sign, s, s)
		VMULPS(a, c, low)
		VMULPS(b, c, high)
		VMULPS(s, b, b)
		VMULPS(s, a, a)
		VSUBPS(b, low, low)
		VADDPS(a, high, high)
		p.store(low, dst)
		p.store(high, dstHigh)
	})
	half = length("cos")
	LEAQ(Mem{Base: dst, Index: half, Scale: 8}, dst)
	LEAQ(Mem{Base: x, Index: half, Scale: 8}, x)
	DECQ(heads)
	JNZ(LabelRef("head"))
	finish()
}
