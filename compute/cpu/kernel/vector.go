package kernel

import "fmt"

// chunkLen bounds one assembly call of the elementwise kernels. Assembly
// cannot be preempted, so a call must stay far below 100 µs for the garbage
// collector not to wait on it; 16 Ki elements of the costliest kernel take
// about 20 µs, and AdamW on memory that is in no cache about 45 µs.
const chunkLen = 1 << 14

// vectorKernels is one implementation of everything in this package outside
// the matrix products. Elementwise entries compute an element from its own
// inputs alone, by the same instructions wherever the element lies in the
// slice, so splitting a range never changes a bit. Reducing entries add in an
// order fixed by the length.
type vectorKernels struct {
	add       func(dst, a, b []float32)
	mul       func(dst, a, b []float32)
	scale     func(dst, x []float32, s float32)
	addScaled func(dst, x []float32, s float32)
	sumRows   func(dst, x []float32, stride, rows int)
	sum       func(x []float32) float32
	dot       func(x, y []float32) float32
	sumSquare func(x []float32) float64

	exp         func(dst, x []float32)
	sigmoid     func(dst, x []float32)
	gelu        func(dst, x []float32)
	geluGrad    func(dx, x, dy []float32)
	siluMul     func(dst, gate, up []float32)
	siluMulGrad func(dgate, dup, gate, up, dy []float32)

	// Norms, one row a call.
	sumDiffSquares func(x []float32, mean float32) float32
	normalize      func(y, x, gamma, beta []float32, mean, rstd float32)
	normalizeRMS   func(y, x, gamma []float32, rstd float32)
	// normGradSums adds dy to dbeta and dy·x̂ to dgamma and returns Σ dy·γ
	// and Σ dy·γ·x̂, with x̂ = (x − mean)·rstd.
	normGradSums    func(dgamma, dbeta, dy, x, gamma []float32, mean, rstd float32) (s, sx float32)
	normGrad        func(dx, dy, x, gamma []float32, mean, rstd, s, sx float32)
	normGradSumsRMS func(dgamma, dy, x, gamma []float32, rstd float32) (sx float32)
	normGradRMS     func(dx, dy, x, gamma []float32, rstd, sx float32)

	// Rows of logits; t is x·c − sub throughout.
	max       func(x []float32) float32
	expSum    func(x []float32, c, sub float32) float32
	expMoment func(x []float32, c, sub float32) (sum, moment float32) // Σ eᵗ, Σ t·eᵗ
	expScale  func(x []float32, c, sub, scale float32)                // x ← eᵗ·scale

	adamW  func(w, grad, m, v []float32, a adamWConstants)
	rotate func(dst, x, cos, sin []float32, heads, headDim int)

	attentionKernels
}

// check panics when a slice of a call has another length than its first one.
// The engine derives all lengths from shapes that it has verified, so a
// difference is a defect of the caller.
func check(op string, want int, lengths ...int) {
	for i, n := range lengths {
		if n != want {
			panic(fmt.Sprintf("kernel: %s: argument %d has %d elements, want %d", op, i+1, n, want))
		}
	}
}

// Add sets dst[i] = a[i] + b[i]. dst may be a or b.
func Add(dst, a, b []float32) {
	check("Add", len(dst), len(dst), len(a), len(b))
	for i := 0; i < len(dst); i += chunkLen {
		j := min(i+chunkLen, len(dst))
		vec().add(dst[i:j], a[i:j], b[i:j])
	}
}

// Mul sets dst[i] = a[i] · b[i]. dst may be a or b.
func Mul(dst, a, b []float32) {
	check("Mul", len(dst), len(dst), len(a), len(b))
	for i := 0; i < len(dst); i += chunkLen {
		j := min(i+chunkLen, len(dst))
		vec().mul(dst[i:j], a[i:j], b[i:j])
	}
}

// Scale sets dst[i] = s · x[i]. dst may be x.
func Scale(dst, x []float32, s float32) {
	check("Scale", len(dst), len(dst), len(x))
	for i := 0; i < len(dst); i += chunkLen {
		j := min(i+chunkLen, len(dst))
		vec().scale(dst[i:j], x[i:j], s)
	}
}

// AddScaled adds s · x[i] to dst[i]; the product is rounded before the sum.
func AddScaled(dst, x []float32, s float32) {
	check("AddScaled", len(dst), len(dst), len(x))
	for i := 0; i < len(dst); i += chunkLen {
		j := min(i+chunkLen, len(dst))
		vec().addScaled(dst[i:j], x[i:j], s)
	}
}

// SumRows adds the rows of x [rows, len(dst)] to dst, one after another: the
// gradient of a bias. Row ranges taken in order give the bits of one call.
func SumRows(dst, x []float32) {
	cols := len(dst)
	rows := rowCount("SumRows", len(x), cols)
	if rows == 0 {
		return
	}
	step := max(1, chunkLen/cols)
	for r := 0; r < rows; r += step {
		n := min(step, rows-r)
		block := x[r*cols : (r+n)*cols]
		for j := 0; j < cols; j += chunkLen {
			vec().sumRows(dst[j:min(j+chunkLen, cols)], block[j:], cols, n)
		}
	}
}

// rowCount returns n/cols and panics when cols does not divide n.
func rowCount(op string, n, cols int) int {
	if cols == 0 && n == 0 {
		return 0
	}
	if cols == 0 || n%cols != 0 {
		panic(fmt.Sprintf("kernel: %s: %d elements are not rows of %d", op, n, cols))
	}
	return n / cols
}

// Sum returns Σ x[i] in float32, added in 32 lanes within pieces of chunkLen
// and the pieces in order.
func Sum(x []float32) float32 {
	var s float32
	for i := 0; i < len(x); i += chunkLen {
		s += vec().sum(x[i:min(i+chunkLen, len(x))])
	}
	return s
}

// Dot returns Σ x[i]·y[i] in float32, in the order of Sum.
func Dot(x, y []float32) float32 {
	check("Dot", len(x), len(x), len(y))
	var s float32
	for i := 0; i < len(x); i += chunkLen {
		j := min(i+chunkLen, len(x))
		s += vec().dot(x[i:j], y[i:j])
	}
	return s
}

// SumSquares returns Σ x[i]² in float64, added in 16 lanes within pieces of
// chunkLen and the pieces in order. Squares of float32 are exact in float64,
// so every implementation returns the same bits.
func SumSquares(x []float32) float64 {
	var s float64
	for i := 0; i < len(x); i += chunkLen {
		s += vec().sumSquare(x[i:min(i+chunkLen, len(x))])
	}
	return s
}
