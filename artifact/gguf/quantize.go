package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Quantising. A block has few levels and one or two numbers that say what they stand
// for; which numbers those are is not part of the format. Here they are searched: for
// each of some steps, x is put on the nearest levels, the scale (and minimum) that make
// the sum of squared errors least for these levels are computed in closed form, and
// the best of all is kept. What is stored is then the nearest level under the scale as
// the file rounds it. Every error counts alike, which gives a lower error than the
// weights x² and √mean(x²) + |x| of llama.cpp without an importance matrix, and no
// worse perplexity (docs/log.md, 2026-11-28).
//
// Products are converted, which keeps the compiler from fusing them with sums, so
// that every machine writes the same bytes.

// quantize appends the blocks of values, a whole number of them. Values must be finite
// and of a magnitude that the type's scales can hold.
func quantize(b []byte, t Type, values []float32) ([]byte, error) {
	block := quantizers[t]
	elements, size := t.Block()
	for at := 0; at < len(values); at += elements {
		x := values[at : at+elements]
		largest := float32(0)
		for _, v := range x {
			if v-v != 0 { // infinite or not a number
				return nil, artifact.Errorf(artifact.ErrDiverged, "%w; no scale of %s can hold it", notFinite(v), t)
			}
			largest = max(largest, v, -v)
		}
		b = append(b, make([]byte, size)...)
		out := b[len(b)-size:]
		// Beyond that no type's scales reach, and sums of squares would not be finite.
		fits := largest < 1e9
		if fits {
			block(out, x)
		}
		for _, at := range scaleBytes[t] {
			fits = fits && binary.LittleEndian.Uint16(out[at:])&0x7c00 != 0x7c00
		}
		if !fits {
			return nil, artifact.Errorf(artifact.ErrUsage, "a value of magnitude %g is beyond the range of %s; write BF16 or F32", largest, t)
		}
	}
	return b, nil
}

func notFinite(v float32) error {
	if v != v {
		return fmt.Errorf("a value is not a number")
	}
	return fmt.Errorf("a value is infinite (%g)", v)
}

// quantizers write one block.
var quantizers = map[Type]func(out []byte, x []float32){
	Q8_0: putQ8_0, Q4_0: putQ4_0, Q4_1: putQ4_1, Q5_0: putQ5_0, Q5_1: putQ5_1,
	Q4_K: putQ4_K, Q5_K: putQ5_K, Q6_K: putQ6_K,
}

// scaleBytes says where a block's float16 scales stand.
var scaleBytes = map[Type][]int{
	Q8_0: {0}, Q4_0: {0}, Q4_1: {0, 2}, Q5_0: {0}, Q5_1: {0, 2}, Q4_K: {0, 2}, Q5_K: {0, 2}, Q6_K: {208},
}

// level is the whole number nearest to v among those from lo to hi, ties to even.
func level(v, lo, hi float32) float32 {
	if v <= lo {
		return lo
	}
	if v < hi {
		const magic = 3 << 22 // from here on float32 has no fractions
		return v + magic - magic
	}
	return hi // also where v is not a number: a scale of 0
}

// putScale writes v as float16 and returns what that is.
func putScale(out []byte, v float32) float32 {
	h := artifact.Float32ToFloat16(v)
	binary.LittleEndian.PutUint16(out, h)
	return artifact.Float16ToFloat32(h)
}

// inverse is 1/v, 0 for 0 and for what has no finite inverse.
func inverse(v float32) float32 {
	if i := 1 / v; i-i == 0 {
		return i
	}
	return 0
}

// putQ8_0: the scale d is the largest magnitude of the block by 127, and each element
// the nearest multiple of d, ties away from zero. d is rounded to float16 only
// afterwards, as ggml's reference does.
func putQ8_0(out []byte, x []float32) {
	largest := float32(0)
	for _, v := range x {
		largest = max(largest, v, -v)
	}
	d := largest / 127
	putScale(out, d)
	by := float32(0)
	if d > 0 {
		by = 1 / d
	}
	for i, v := range x {
		out[2+i] = byte(int8(math.Round(float64(v * by))))
	}
}

// fitScale finds s for x ≈ s·l with whole l from −n to n−1.
func fitScale(x []float32, n int) float32 {
	top := float32(0) // of the largest magnitude
	for _, v := range x {
		if max(v, -v) > max(top, -top) {
			top = v
		}
	}
	if top == 0 {
		return 0
	}
	lo, hi := -float32(n), float32(n-1)
	// The largest has the level −n, which has no opposite; with steps to either side
	// of that, where it is cut off or others get nearer.
	var best, scale float32
	for t := range 23 {
		by := (lo - tenths(t, -14)) / top
		var xl, ll float32
		for _, v := range x {
			l := level(v*by, lo, hi)
			xl += float32(v * l)
			ll += float32(l * l)
		}
		// With s = Σxl/Σll the error is Σxx − (Σxl)²/Σll.
		if ll > 0 && xl/ll*xl > best*(1+margin) {
			best, scale = xl/ll*xl, xl/ll
		}
	}
	return scale
}

// margin is by how much a later step of a search must be better, as a share of the sum
// of squares: more than the sums are rounded by, so that values that fit the levels
// exactly get the first step, and neighbouring groups the same scale.
const margin = 1e-6

// tenths lists the steps of a search: 0, then those from first to −.1 and from .1 on, of
// which there is one less than of steps from first on.
func tenths(t, first int) float32 {
	if t == 0 {
		return 0
	}
	if t += first - 1; t >= 0 {
		t++
	}
	return float32(t) / 10
}

// fitLine finds s and m for x ≈ s·l + m with whole l from 0 to n. below asks for
// m ≤ 0.
func fitLine(x []float32, n int, below bool) (scale, least float32) {
	lo, hi := x[0], x[0]
	var sum, squares float32
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
		sum += v
		squares += float32(v * v)
	}
	if below {
		lo = min(lo, 0)
	}
	if hi == lo {
		return 0, lo
	}
	count, top := float32(len(x)), float32(n)
	best := float32(math.MaxFloat32)
	for t := range 21 {
		by := (top + tenths(t, -10)) / (hi - lo)
		var xl, ll, l1 float32
		for _, v := range x {
			l := level((v-lo)*by, 0, top)
			xl += float32(v * l)
			ll += float32(l * l)
			l1 += l
		}
		if ll == 0 {
			continue
		}
		det := float32(count*ll) - float32(l1*l1)
		s := (float32(count*xl) - float32(l1*sum)) / det
		m := (float32(ll*sum) - float32(l1*xl)) / det
		if det <= 0 || below && m > 0 { // det is 0 where all have the same level
			s, m = xl/ll, 0
		}
		// At the least squares, with m = 0 as well, the error is Σxx − sΣxl − mΣx.
		if e := squares - float32(s*xl) - float32(m*sum); e < best-float32(margin*squares) {
			best, scale, least = e, s, m
		}
	}
	return scale, least
}

// putHalves writes levels of 4 bits: those of the first half of the block in the low
// halves of the bytes.
func putHalves(out []byte, levels []byte) {
	n := len(levels) / 2
	for i := range n {
		out[i] = levels[i]&15 | levels[i+n]<<4
	}
}

// fifthBits are the upper bits of 32 levels of 5.
func fifthBits(levels []byte) (bits uint32) {
	for i, l := range levels {
		bits |= uint32(l>>4&1) << i
	}
	return bits
}

// levelsOf puts x on the levels from lo on of n altogether: x ≈ s·(l + lo) + m.
func levelsOf(levels []byte, x []float32, s, m float32, lo, n int) {
	by, least, most := inverse(s), float32(lo), float32(lo+n-1)
	for i, v := range x {
		levels[i] = byte(int(level(float32((v-m)*by), least, most)) - lo)
	}
}

func putQ4_0(out []byte, x []float32) {
	var levels [32]byte
	d := putScale(out, fitScale(x, 8))
	levelsOf(levels[:], x, d, 0, -8, 16)
	putHalves(out[2:], levels[:])
}

func putQ5_0(out []byte, x []float32) {
	var levels [32]byte
	d := putScale(out, fitScale(x, 16))
	levelsOf(levels[:], x, d, 0, -16, 32)
	binary.LittleEndian.PutUint32(out[2:], fifthBits(levels[:]))
	putHalves(out[6:], levels[:])
}

func putQ4_1(out []byte, x []float32) {
	var levels [32]byte
	s, m := fitLine(x, 15, false)
	s, m = putScale(out, s), putScale(out[2:], m)
	levelsOf(levels[:], x, s, m, 0, 16)
	putHalves(out[4:], levels[:])
}

func putQ5_1(out []byte, x []float32) {
	var levels [32]byte
	s, m := fitLine(x, 31, false)
	s, m = putScale(out, s), putScale(out[2:], m)
	levelsOf(levels[:], x, s, m, 0, 32)
	binary.LittleEndian.PutUint32(out[4:], fifthBits(levels[:]))
	putHalves(out[8:], levels[:])
}

func putQ4_K(out []byte, x []float32) {
	var levels [256]byte
	putGroups(out, levels[:], x, 16)
	for g := 0; g < 8; g += 2 {
		putHalves(out[16+16*g:], levels[32*g:][:64])
	}
}

func putQ5_K(out []byte, x []float32) {
	var levels [256]byte
	putGroups(out, levels[:], x, 32)
	for i, l := range levels {
		out[16+i%32] |= l >> 4 << (i / 32)
	}
	for g := 0; g < 8; g += 2 {
		putHalves(out[48+16*g:], levels[32*g:][:64])
	}
}

// putGroups writes the first 16 bytes of a block of Q4_K or Q5_K, the scales and
// minima of its 8 groups, and returns the levels, of which there are n.
func putGroups(out, levels []byte, x []float32, n int) {
	const most = 63 // of a group's scale and minimum
	var scales, minima [8]float32
	for g := range 8 {
		s, m := fitLine(x[32*g:][:32], n-1, true)
		scales[g], minima[g] = max(s, 0), -m
	}
	largest := func(v [8]float32) float32 { return max(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]) }
	d := putScale(out, largest(scales)/most)
	dmin := putScale(out[2:], largest(minima)/most)
	var s, m [8]float32
	for g := range 8 {
		// The rounding of one is made good by a neighbour of the other.
		s0, m0 := level(scales[g]*inverse(d), 0, most), level(minima[g]*inverse(dmin), 0, most)
		best := float32(math.Inf(1))
		for i := max(0, s0-1); i <= min(most, s0+1); i++ {
			for j := max(0, m0-1); j <= min(most, m0+1); j++ {
				if e := lineError(x[32*g:][:32], float32(d*i), float32(dmin*j), float32(n-1)); e < best {
					best, s[g], m[g] = e, i, j
				}
			}
		}
	}
	for g := range 8 {
		levelsOf(levels[32*g:][:32], x[32*g:][:32], float32(d*s[g]), -float32(dmin*m[g]), 0, n)
	}
	packScales(out[4:16], s, m)
}

// lineError is the sum of squared errors of x on the levels 0 to top with scale s and
// minimum −m.
func lineError(x []float32, s, m, top float32) (sum float32) {
	by := inverse(s)
	for _, v := range x {
		e := float32(s*level(float32((v+m)*by), 0, top)) - m - v
		sum += float32(e * e)
	}
	return sum
}

// packScales is the inverse of subScales.
func packScales(out []byte, scales, minima [8]float32) {
	for i := range 4 {
		s, m, s4, m4 := byte(scales[i]), byte(minima[i]), byte(scales[i+4]), byte(minima[i+4])
		out[i], out[i+4] = s|s4>>4<<6, m|m4>>4<<6
		out[i+8] = s4&15 | m4&15<<4
	}
}

func putQ6_K(out []byte, x []float32) {
	var scales [16]float32
	top := float32(0)
	for g := range scales {
		scales[g] = fitScale(x[16*g:][:16], 32)
		if max(scales[g], -scales[g]) > max(top, -top) {
			top = scales[g]
		}
	}
	d := putScale(out[208:], top/-128)
	var levels [256]byte
	for g := range scales {
		group := x[16*g:][:16]
		s0 := level(scales[g]*inverse(d), -128, 127)
		best, scale := float32(math.Inf(1)), float32(0)
		for s := max(-128, s0-1); s <= min(127, s0+1); s++ {
			if e := scaleError(group, float32(d*s)); e < best {
				best, scale = e, s
			}
		}
		out[192+g] = byte(int8(scale))
		levelsOf(levels[16*g:][:16], group, float32(d*scale), 0, -32, 64)
	}
	for n := range 2 {
		for g := range 4 {
			for i := range 32 {
				l := levels[128*n+32*g+i]
				out[64*n+32*(g&1)+i] |= l & 15 << (4 * (g / 2))
				out[128+32*n+i] |= l >> 4 << (2 * g)
			}
		}
	}
}

// scaleError is the sum of squared errors of x on the levels of Q6_K with scale s.
func scaleError(x []float32, s float32) (sum float32) {
	by := inverse(s)
	for _, v := range x {
		e := float32(s*level(float32(v*by), -32, 31)) - v
		sum += float32(e * e)
	}
	return sum
}
