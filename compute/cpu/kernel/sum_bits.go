package kernel

import (
	"math"
	"unsafe"
)

// SumBits is the sum, modulo 2⁶⁴, of the elements' bits: of each two as one number
// of 64 bits, and of an odd last one by itself. Any one bit that changes changes
// the sum. The sums of parts of even lengths add up to that of the whole.
func SumBits(x []float32) (sum uint64) {
	n := len(x) / 2
	if len(x)%2 == 1 {
		sum = uint64(math.Float32bits(x[2*n]))
	}
	if n == 0 {
		return sum
	}
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&x[0])), n)
	var a, b, c, d uint64
	for len(words) >= 8 {
		w := (*[8]uint64)(words)
		a += w[0] + w[4]
		b += w[1] + w[5]
		c += w[2] + w[6]
		d += w[3] + w[7]
		words = words[8:]
	}
	for _, w := range words {
		a += w
	}
	return sum + a + b + c + d
}
