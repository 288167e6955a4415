package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// Products in bfloat16: both operands are rounded to the nearest bfloat16
// (ties to even, NaN stays NaN) and multiplied and added in float32.
//
// A packed matrix holds words of two: the word of a column in a panel has the
// number of an even step of the inner dimension in its low half and that of the
// step after it in its high half, the order that AVX512_BF16 multiplies in. So
// a panel is [⌈k/2⌉][16] words, half the bytes of a float32 panel. An odd last
// step is followed by zeros.
//
// The left matrix is rounded into scratch as the tiles want it, block by block
// of KC steps: [rows][KC] floats, or [rows][KC/2] words of two in rows as far
// apart for AVX512_BF16. Its dot products treat subnormal bfloat16 as 0 and
// round in an order of their own, so their bits are other than those of the
// sets that multiply floats.
//
// # Error
//
// A bfloat16 has 8 significant bits, so rounding x changes it by at most
// |x|·2⁻⁸ (for normal numbers), and a product of two rounded numbers differs
// from the exact one by at most (2·2⁻⁸ + 2⁻¹⁶)·|a·b|. The sums are those of
// Gemm, with an error of at most (k+2)·2⁻²⁴·Σ|a·b| each way. Hence
//
//	|c − Σ a·b| ≤ (2⁻⁷ + 2⁻¹⁶ + (k+2)·2⁻²³) · Σ |a·b|

// RoundBF16 sets dst[i] to x[i] rounded to the nearest bfloat16, ties to even.
// dst may be x.
func RoundBF16(dst, x []float32) {
	check("RoundBF16", len(dst), len(dst), len(x))
	for i := 0; i < len(dst); i += chunkLen {
		j := min(i+chunkLen, len(dst))
		roundBF16(dst[i:j], x[i:j])
	}
}

// PackedSizeBF16 returns the words that a [k, n] matrix packed in bfloat16
// takes: ⌈n/NR⌉ · NR · ⌈k/2⌉.
func PackedSizeBF16(k, n int) int { return (n + NR - 1) / NR * NR * ((k + 1) / 2) }

// PanelsBF16 is Panels in bfloat16, of PackedSizeBF16(K, N) words.
type PanelsBF16 struct {
	Data []uint32
	K, N int
}

// PackBBF16 is PackB in bfloat16.
func PackBBF16(dst PanelsBF16, b Matrix, p0, p1 int) {
	if !checkPackBF16("PackBBF16", dst, p0, p1) {
		return
	}
	k, n := dst.K, dst.N
	checkMatrix("PackBBF16", "b", b, k, min(n, p1*NR))
	pairs := (k + 1) / 2
	var t [2 * NR]float32 // a pair of steps that is not whole
	for k0 := 0; k0 < k; k0 += packRows {
		rows := min(packRows, k-k0)
		for p := p0; p < p1; p++ {
			to := dst.Data[(p*pairs+k0/2)*NR : (p*pairs+(k0+rows+1)/2)*NR]
			from, cols := b.Data[k0*b.Stride+p*NR:], min(NR, n-p*NR)
			whole := 0
			if cols == NR {
				if whole = rows / 2; whole > 0 {
					packPairs(to, from, b.Stride, whole)
				}
			}
			for r := 2 * whole; r < rows; r += 2 {
				clear(t[:])
				copy(t[:NR], from[r*b.Stride:r*b.Stride+cols])
				if r+1 < rows {
					copy(t[NR:], from[(r+1)*b.Stride:(r+1)*b.Stride+cols])
				}
				packPairs(to[r/2*NR:], t[:], NR, 1)
			}
		}
	}
}

// PackBTBF16 packs as PackBBF16 does from the transposed matrix b [n, k].
func PackBTBF16(dst PanelsBF16, b Matrix, p0, p1 int) {
	if !checkPackBF16("PackBTBF16", dst, p0, p1) {
		return
	}
	k, n := dst.K, dst.N
	checkMatrix("PackBTBF16", "b", b, min(n, p1*NR), k)
	pairs := (k + 1) / 2
	var t [packRows * NR]float32
	for p := p0; p < p1; p++ {
		cols := min(NR, n-p*NR)
		if cols < NR {
			clear(t[:])
		}
		for k0 := 0; k0 < k; k0 += packRows {
			steps := min(packRows, k-k0)
			transpose(t[:], NR, b.Data[p*NR*b.Stride+k0:], b.Stride, cols, steps)
			if steps%2 != 0 {
				clear(t[steps*NR : (steps+1)*NR])
			}
			packPairs(dst.Data[(p*pairs+k0/2)*NR:], t[:], NR, (steps+1)/2)
		}
	}
}

// GemmBF16Scratch returns the floats of scratch that GemmBF16 and GemmATBF16
// need, for any shape.
func GemmBF16Scratch() int { return rowBlock * KC }

// GemmBF16 is Gemm in bfloat16, with A rounded from a. scratch has at least
// GemmBF16Scratch floats and belongs to this call alone.
//
// As in Gemm, c[i,j] depends on row i of A and column j of B alone, and its
// sums run in one fixed order for each instruction set. What is ahead is fetched
// where the instruction set can.
func GemmBF16(c, a Matrix, b PanelsBF16, at Area, acc bool, scratch []float32, ahead Ahead) {
	if !checkProductBF16("GemmBF16", c, b, at, acc, scratch) {
		return
	}
	k, m0, m1 := b.K, at.M0, at.M1
	checkMatrix("GemmBF16", "a", a, m1, k)
	for k0 := 0; k0 < k; k0 += KC {
		kc := min(KC, k-k0)
		for i := m0; i < m1; i += rowBlock {
			rows := min(rowBlock, m1-i)
			prepareBF16(scratch, a.Data[i*a.Stride+k0:], a.Stride, rows, kc)
			fetch := ahead
			if ahead[0].From == nil && i == m0 {
				fetch[0] = fetchPanelBF16(b.Data, k, k0, kc, at.P0, at.P1)
			}
			panelsBF16(c.Data[i*c.Stride:], c.Stride, scratch, b.Data, k, k0, kc, b.N, rows, at.P0, at.P1, acc || k0 > 0, fetch)
		}
	}
}

// GemmATBF16 is GemmAT in bfloat16: A is stored [k, ·] with stride lda ≥ m1.
// The result has the bits that GemmBF16 gives for the transposed matrix; next is
// fetched as in GemmAT.
func GemmATBF16(c, a Matrix, b PanelsBF16, at Area, acc bool, scratch, next []float32) {
	if !checkProductBF16("GemmATBF16", c, b, at, acc, scratch) {
		return
	}
	k, m0, m1 := b.K, at.M0, at.M1
	checkMatrix("GemmATBF16", "a", a, k, m1)
	for k0 := 0; k0 < k; k0 += KC {
		kc := min(KC, k-k0)
		for i := m0; i < m1; i += rowBlock {
			rows := min(rowBlock, m1-i)
			transpose(scratch, KC, a.Data[k0*a.Stride+i:], a.Stride, kc, rows)
			prepareBF16(scratch, scratch, KC, rows, kc)
			ahead := Ahead{fetchPanelBF16(b.Data, k, k0, kc, at.P0, at.P1), fetchLeft(a, k, k0, at, i, next)}
			panelsBF16(c.Data[i*c.Stride:], c.Stride, scratch, b.Data, k, k0, kc, b.N, rows, at.P0, at.P1, acc || k0 > 0, ahead)
		}
	}
}

// fetchPanelBF16 is fetchPanel for words. A panel has half the lines that are
// fetched for it, so that each strip fetches the next one's too.
func fetchPanelBF16(bp []uint32, k, k0, kc, p0, p1 int) Fetch {
	block := bp[k0/2*NR:]
	floats := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(block))), len(block))
	return fetchPanel(floats, (k+1)/2*NR, (kc+1)/2, p0, p1)
}

// panelsBF16 multiplies a prepared block of rows with the steps k0 ≤ k < k0+kc of
// the panels.
func panelsBF16(c []float32, ldc int, a []float32, bp []uint32, k, k0, kc, n, rows, p0, p1 int, add bool, ahead Ahead) {
	ldp, pairs := (k+1)/2*NR, (kc+1)/2
	block := bp[k0/2*NR:]
	p := groupsBF16(c, ldc, a, block, ldp, pairs, n, rows, p0, p1, add, ahead)
	for ; p < p1; p++ {
		panel := block[p*ldp : p*ldp+pairs*NR]
		cols := min(NR, n-p*NR)
		if cols == NR {
			tileBF16(c[p*NR:], ldc, a, panel, pairs, rows, add)
			continue
		}
		var t [edgeRows * NR]float32
		for i := 0; i < rows; i += edgeRows {
			r := min(edgeRows, rows-i)
			tileBF16(t[:], NR, a[i*KC:], panel, pairs, r, false)
			moveEdge(c[i*ldc+p*NR:], ldc, t[:], r, cols, add)
		}
	}
}

// roundBits returns the bits of x rounded to the nearest bfloat16: the low half
// is zero.
func roundBits(x float32) uint32 {
	b := math.Float32bits(x)
	if x != x {
		return (b | 1<<22) &^ 0xffff // adding could make an infinity of it
	}
	return (b + 0x7fff + b>>16&1) &^ 0xffff
}

func roundPortable(dst, x []float32) {
	for i, v := range x {
		dst[i] = math.Float32frombits(roundBits(v))
	}
}

// prepareBF16 rounds a block [rows, kc] of the left matrix into to, whose rows
// are KC floats apart, as the tiles read it: as floats, an odd kc followed by
// one zero, or in words as in a panel, where AVX512_BF16 multiplies. to may be
// a.
func prepareBF16(to, a []float32, lda, rows, kc int) {
	for r := range rows {
		prepareRowBF16(to[r*KC:], a[r*lda:r*lda+kc])
	}
}

// prepareFloats is prepareRowBF16 for tiles that multiply floats.
func prepareFloats(to, x []float32) {
	roundBF16(to[:len(x)], x)
	if len(x)%2 != 0 {
		to[len(x)] = 0
	}
}

// packPairsPortable packs 2·pairs rows of NR floats, ld apart, into pairs rows
// of NR words.
func packPairsPortable(dst []uint32, src []float32, ld, pairs int) {
	for r := range pairs {
		even, odd := src[2*r*ld:2*r*ld+NR], src[(2*r+1)*ld:(2*r+1)*ld+NR]
		to := dst[r*NR : (r+1)*NR]
		for x := range to {
			to[x] = roundBits(even[x])>>16 | roundBits(odd[x])
		}
	}
}

// tileBF16Portable computes rows × NR of C, adding to C if add, from a prepared
// block and pairs rows of a panel: the chain of tilePortable.
func tileBF16Portable(c []float32, ldc int, a []float32, bp []uint32, pairs, rows int, add bool) {
	bp = bp[:pairs*NR]
	for i := range rows {
		left := a[i*KC : i*KC+2*pairs]
		to := c[i*ldc : i*ldc+NR]
		for x := 0; x < NR; x += 4 {
			var s0, s1, s2, s3 float32
			for kk := range pairs {
				u, v := left[2*kk], left[2*kk+1]
				b := bp[kk*NR+x : kk*NR+x+4 : kk*NR+x+4]
				s0 += float32(u * math.Float32frombits(b[0]<<16))
				s1 += float32(u * math.Float32frombits(b[1]<<16))
				s2 += float32(u * math.Float32frombits(b[2]<<16))
				s3 += float32(u * math.Float32frombits(b[3]<<16))
				s0 += float32(v * math.Float32frombits(b[0]&^0xffff))
				s1 += float32(v * math.Float32frombits(b[1]&^0xffff))
				s2 += float32(v * math.Float32frombits(b[2]&^0xffff))
				s3 += float32(v * math.Float32frombits(b[3]&^0xffff))
			}
			d := to[x : x+4 : x+4]
			if add {
				s0, s1, s2, s3 = d[0]+s0, d[1]+s1, d[2]+s2, d[3]+s3
			}
			d[0], d[1], d[2], d[3] = s0, s1, s2, s3
		}
	}
}

// checkProductBF16 is checkProduct for a packed matrix of bfloat16. A product
// of no steps is done when it returns.
func checkProductBF16(name string, c Matrix, b PanelsBF16, at Area, acc bool, scratch []float32) bool {
	checkArea(name, b.K, b.N, at)
	if len(scratch) < GemmBF16Scratch() {
		panic(fmt.Sprintf("kernel: %s: scratch has %d floats, needs %d", name, len(scratch), GemmBF16Scratch()))
	}
	if at.M0 == at.M1 || at.P0 == at.P1 {
		return false
	}
	checkMatrix(name, "c", c, at.M1, min(b.N, at.P1*NR))
	checkWords(name, "b", b, at.P1)
	if b.K == 0 && !acc {
		clearArea(c, b.N, at)
	}
	return b.K > 0
}

// checkPackBF16 is checkPack for words.
func checkPackBF16(name string, dst PanelsBF16, p0, p1 int) bool {
	checkArea(name, dst.K, dst.N, Area{P0: p0, P1: p1})
	checkWords(name, "dst", dst, p1)
	return p0 < p1 && dst.K > 0
}

func checkWords(name, what string, b PanelsBF16, p1 int) {
	if need := p1 * NR * ((b.K + 1) / 2); len(b.Data) < need {
		panic(fmt.Sprintf("kernel: %s: %s has %d words, needs %d for %d panels of k = %d", name, what, len(b.Data), need, p1, b.K))
	}
}

// checkBF16 compares a small product with plain loops in float64 on the rounded
// operands. It tells what differs by more than the rounding of the sums.
func checkBF16(gemm func(c, a Matrix, b PanelsBF16, at Area, acc bool, scratch []float32, ahead Ahead)) error {
	const m, n, k = 75, 4*NR + 5, 37 // tiles of many rows and of few
	a, b := make([]float32, m*k), make([]float32, k*n)
	state := uint32(1)
	for _, x := range [2][]float32{a, b} {
		for i := range x {
			state = state*1664525 + 1013904223
			x[i] = float32(int32(state)) * 0x1p-30
		}
	}
	c, packed := make([]float32, m*n), PanelsBF16{make([]uint32, PackedSizeBF16(k, n)), k, n}
	PackBBF16(packed, Matrix{b, n}, 0, panels(n))
	gemm(Matrix{c, n}, Matrix{a, k}, packed, Area{0, m, 0, panels(n)}, false, make([]float32, GemmBF16Scratch()), Ahead{})
	roundPortable(a, a)
	roundPortable(b, b)
	for i := range m {
		for j := range n {
			var sum, size float64
			for kk := range k {
				p := float64(a[i*k+kk]) * float64(b[kk*n+j])
				sum += p
				size += math.Abs(p)
			}
			if got, limit := float64(c[i*n+j]), (k+2)*0x1p-23*size; !(math.Abs(got-sum) <= limit) {
				return fmt.Errorf("element [%d,%d] of a product over %d steps is %g, want %g within %g", i, j, k, got, sum, limit)
			}
		}
	}
	return nil
}
