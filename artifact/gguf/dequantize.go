package gguf

import (
	"encoding/binary"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// dequantize computes the elements of whole blocks, of which src holds as many
// as fill dst. The order of operations, each rounded to float32, is that of
// ggml's reference; the conversions keep the compiler from fusing them.
func dequantize(t Type, dst []float32, src []byte) {
	if t == F32 || t == F16 || t == BF16 {
		plain(t, dst, src)
		return
	}
	block := blockFuncs[t]
	elements, size := t.Block()
	for i := 0; i < len(dst); i += elements {
		block(dst[i:i+elements], src[:size])
		src = src[size:]
	}
}

func plain(t Type, dst []float32, src []byte) {
	for i := range dst {
		switch t {
		case F32:
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		case F16:
			dst[i] = half(src[2*i:])
		default:
			dst[i] = artifact.BFloat16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	}
}

func half(b []byte) float32 { return artifact.Float16ToFloat32(binary.LittleEndian.Uint16(b)) }

// blockFuncs compute the elements of one block.
var blockFuncs = map[Type]func(dst []float32, b []byte){
	Q8_0: blockQ8_0, Q4_0: blockQ4_0, Q4_1: blockQ4_1, Q5_0: blockQ5_0, Q5_1: blockQ5_1,
	Q4_K: blockQ4_K, Q5_K: blockQ5_K, Q6_K: blockQ6_K,
}

// blockQ8_0: scale f16, 32 × int8. x = d·q.
func blockQ8_0(dst []float32, b []byte) {
	d := half(b)
	for i := range 32 {
		dst[i] = d * float32(int8(b[2+i]))
	}
}

// blockQ4_0: scale f16, 16 bytes of which the low halves are elements 0 … 15
// and the high halves 16 … 31. x = d·(q−8).
func blockQ4_0(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:18] {
		dst[i] = d * float32(int(q&15)-8)
		dst[i+16] = d * float32(int(q>>4)-8)
	}
}

// blockQ4_1: scale and minimum f16, halves as in Q4_0. x = d·q + m.
func blockQ4_1(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	for i, q := range b[4:20] {
		dst[i] = float32(d*float32(q&15)) + m
		dst[i+16] = float32(d*float32(q>>4)) + m
	}
}

// blockQ5_0: scale f16, 32 fifth bits, halves as in Q4_0. x = d·(q−16).
func blockQ5_0(dst []float32, b []byte) {
	d, high := half(b), binary.LittleEndian.Uint32(b[2:])
	for i, q := range b[6:22] {
		dst[i] = d * float32(int(q&15|byte(high>>i&1)<<4)-16)
		dst[i+16] = d * float32(int(q>>4|byte(high>>(i+16)&1)<<4)-16)
	}
}

// blockQ5_1: scale and minimum f16, 32 fifth bits, halves as in Q4_0.
// x = d·q + m.
func blockQ5_1(dst []float32, b []byte) {
	d, m, high := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
	for i, q := range b[8:24] {
		dst[i] = float32(d*float32(q&15|byte(high>>i&1)<<4)) + m
		dst[i+16] = float32(d*float32(q>>4|byte(high>>(i+16)&1)<<4)) + m
	}
}

// subScales unpacks eight scales and eight minima of 6 bits from 12 bytes: the
// first four of each have a byte of their own, whose upper two bits are those of
// the last four.
func subScales(b []byte) (scales, minima [8]float32) {
	for i := range 4 {
		scales[i], minima[i] = float32(b[i]&63), float32(b[i+4]&63)
		scales[i+4] = float32(b[i+8]&15 | b[i]>>6<<4)
		minima[i+4] = float32(b[i+8]>>4 | b[i+4]>>6<<4)
	}
	return scales, minima
}

// blockQ4_K: scale of the scales and scale of the minima f16, 12 bytes of
// scales and minima for 8 groups of 32, 128 bytes: of each 32 of them the low
// halves are a group and the high halves the next. x = (d·scale)·q − (dmin·min).
func blockQ4_K(dst []float32, b []byte) {
	d, dmin := half(b), half(b[2:])
	scales, minima := subScales(b[4:16])
	for g := range 8 {
		scale, minimum := d*scales[g], dmin*minima[g]
		shift := 4 * (g & 1)
		for i, q := range b[16+32*(g/2):][:32] {
			dst[32*g+i] = float32(scale*float32(q>>shift&15)) - minimum
		}
	}
}

// blockQ5_K: as Q4_K, with 32 bytes before the halves of which bit g is the
// fifth bit of group g.
func blockQ5_K(dst []float32, b []byte) {
	d, dmin := half(b), half(b[2:])
	scales, minima := subScales(b[4:16])
	high := b[16:48]
	for g := range 8 {
		scale, minimum := d*scales[g], dmin*minima[g]
		shift := 4 * (g & 1)
		for i, q := range b[48+32*(g/2):][:32] {
			dst[32*g+i] = float32(scale*float32(q>>shift&15|high[i]>>g&1<<4)) - minimum
		}
	}
}

// blockQ6_K: 128 bytes of low halves, 64 of upper pairs of bits, 16 × int8
// scales, scale f16. In each half of 128 elements, group g of 32 has its low
// four bits in bytes 32·(g mod 2) …, the low halves for g < 2 and the high ones
// for g ≥ 2, and its upper two bits at bit 2g. x = (d·scale)·(q−32).
func blockQ6_K(dst []float32, b []byte) {
	low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
	for n := range 2 {
		for g := range 4 {
			for i := range 32 {
				q := low[64*n+32*(g&1)+i]>>(4*(g/2))&15 | high[32*n+i]>>(2*g)&3<<4
				scale := d * float32(int8(scales[8*n+2*g+i/16]))
				dst[128*n+32*g+i] = scale * float32(int(q)-32)
			}
		}
	}
}
