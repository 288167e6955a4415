package kernel

import (
	"fmt"
)

// RoPE rotates x [rows, heads, headDim] into dst by the angles of each row's
// position, in Llama's layout, where element i pairs with i + headDim/2:
//
//	dst[i]              = x[i]·cos − x[i+headDim/2]·sin
//	dst[i+headDim/2]    = x[i+headDim/2]·cos + x[i]·sin
//
// cos and sin are [maxPositions, headDim/2], positions has one entry a row,
// headDim is even. dst may be x. It panics on a position outside the tables.
func RoPE(dst, x, cos, sin []float32, positions []int32, heads, headDim int) {
	rope("RoPE", dst, x, cos, sin, positions, heads, headDim)
}

// RoPEInverse rotates by the negative angles: it undoes RoPE, and carries the
// gradient of RoPE's output to its input.
func RoPEInverse(dst, x, cos, sin []float32, positions []int32, heads, headDim int) {
	rope("RoPEInverse", dst, x, cos, sin, positions, -heads, headDim)
}

// rope takes negative heads for the inverse.
func rope(op string, dst, x, cos, sin []float32, positions []int32, heads, headDim int) {
	half, width := headDim/2, max(heads, -heads)*headDim
	if headDim%2 != 0 {
		panic(fmt.Sprintf("kernel: %s: head dimension %d is odd", op, headDim))
	}
	check(op, len(positions)*width, len(dst), len(x))
	check(op, len(cos), len(cos), len(sin))
	for r, p := range positions {
		if p < 0 || (int(p)+1)*half > len(cos) {
			panic(fmt.Sprintf("kernel: %s: position %d of row %d is outside the tables of %d", op, p, r, len(cos)/max(half, 1)))
		}
		at := int(p) * half
		vec().rotate(dst[r*width:(r+1)*width], x[r*width:(r+1)*width],
			cos[at:at+half], sin[at:at+half], heads, headDim)
	}
}

// rotatePortable rotates one row; negative heads turn backwards.
func rotatePortable(dst, x, cos, sin []float32, heads, headDim int) {
	half, sign := headDim/2, float32(1)
	if heads < 0 {
		heads, sign = -heads, -1
	}
	for h := range heads {
		at := h * headDim
		for i, c := range cos {
			s := sign * sin[i]
			a, b := x[at+i], x[at+half+i]
			dst[at+i] = float32(a*c) - float32(b*s)
			dst[at+half+i] = float32(b*c) + float32(a*s)
		}
	}
}
