package artifact

import "math"

// Float16ToFloat32 converts the bits of an IEEE 754 binary16 number. The
// conversion is exact, for subnormal numbers too.
func Float16ToFloat32(bits uint16) float32 {
	sign := uint32(bits&0x8000) << 16
	exponent := uint32(bits>>10) & 0x1f
	fraction := uint32(bits & 0x3ff)
	switch exponent {
	case 0: // zero or subnormal: fraction · 2⁻²⁴, which float32 holds as it is
		value := float32(fraction) * 0x1p-24
		return math.Float32frombits(math.Float32bits(value) | sign)
	case 0x1f: // infinity or NaN, its payload kept
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// Float32ToFloat16 converts to IEEE 754 binary16, rounding to the nearest,
// ties to even. What is too large becomes infinity; NaN stays NaN.
func Float32ToFloat16(value float32) uint16 {
	bits := math.Float32bits(value)
	sign := uint16(bits>>16) & 0x8000
	magnitude := bits & 0x7fffffff
	switch {
	case magnitude > 0x7f800000: // NaN: keep the high payload bits, made quiet
		return sign | 0x7e00 | uint16(magnitude>>13)&0x3ff
	case magnitude >= 0x477ff000: // 65520, half way from the largest number to 2¹⁶, and above
		return sign | 0x7c00
	case magnitude < 0x38800000: // below 2⁻¹⁴: subnormal or zero
		// Adding 1/2 makes the unit in the last place of the sum 2⁻²⁴, that of
		// a binary16 subnormal, and the addition rounds to even.
		sum := math.Float32frombits(magnitude) + 0.5
		return sign | uint16(math.Float32bits(sum)-math.Float32bits(0.5))
	}
	// Round the 13 bits that go away; a carry runs into the exponent as it should.
	magnitude += 0xfff + magnitude>>13&1
	return sign | uint16(magnitude>>13-(127-15)<<10)
}

// BFloat16ToFloat32 converts the bits of a bfloat16 number, exactly.
func BFloat16ToFloat32(bits uint16) float32 {
	return math.Float32frombits(uint32(bits) << 16)
}

// Float32ToBFloat16 converts to bfloat16, rounding to the nearest, ties to
// even. NaN stays NaN.
func Float32ToBFloat16(value float32) uint16 {
	bits := math.Float32bits(value)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40 // quiet, so that cutting the payload cannot make it infinite
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
