package kernel

import (
	"fmt"
	"runtime"
)

const (
	// MR is the number of rows of the register tile.
	MR = 6
	// NR is the number of columns of a packed panel and of the register tile.
	NR = 16
	// KC is the length of a block of the inner dimension. It decides the bits
	// of a product: a result is the sum of its block sums, in block order.
	KC = 256
)

const (
	// rowBlock rows of A by KC steps (96 KiB) stay in a core's L2 cache while
	// all the panels pass by.
	rowBlock = 96
	// streamRows is the most rows for which the packed matrix is read only
	// once and front to back, since reading it is then what takes the time.
	streamRows = 32
	// edgeRows rows of the temporary tile of a partial panel.
	edgeRows = 48
)

// Matrix is rows of floats, Stride apart.
type Matrix struct {
	Data   []float32
	Stride int
}

// Panels is the right-hand side [K, N] of a product as PackB or PackBT left it;
// see PackB.
type Panels struct {
	Data []float32
	K, N int
}

// Area is the rows M0 ≤ i < M1 and the panels P0 ≤ p < P1 of a product.
type Area struct{ M0, M1, P0, P1 int }

// Fetch is memory that will be read soon after a product. A product of many rows
// brings it into the second-level cache on its way, where the instruction set
// can: the multipliers need not wait for memory later. It changes no result.
//
// For each panel it multiplies, the product fetches k lines, if it has rowBlock
// rows and one block of k steps, in 16 strips of k/16: panel j begins at
// From[j·Panel], its strip s s·Strip floats further, and the lines of a strip are
// Line floats apart. In AVX2 each strip of rows fetches one of them. In AVX-512,
// where strips are of three panels, a third of a block's strips fetches for each.
type Fetch struct {
	From               []float32
	Panel, Strip, Line int
}

// Ahead is what a product fetches, nothing where From is nil.
type Ahead [2]Fetch

// rowStrips are the strips of a block of rowBlock rows, and of what is fetched for
// a panel.
const rowStrips = rowBlock / MR

// FetchRows fetches rows × columns of a matrix of the given stride, at which x
// begins, sixteen columns for each panel, with a product of kc steps.
func FetchRows(x []float32, stride, rows, kc int) Fetch {
	return Fetch{From: x, Panel: NR, Strip: (rows + rowStrips - 1) / rowStrips * stride, Line: stride}
}

// FetchColumns fetches as many rows of kc floats, for a product of kc steps, as the
// panels have columns, the rows stride apart: each strip is one of them.
func FetchColumns(x []float32, stride int) Fetch {
	return Fetch{From: x, Panel: NR * stride, Strip: stride, Line: NR}
}

// fetchPanel fetches with a panel, the first one being p, the panel of a packed
// matrix that will be multiplied in its place next. The panels are ldp floats
// apart; a block of them has lines rows.
func fetchPanel(bp []float32, ldp, lines, p, p1 int) Fetch {
	if p += groupPanels(rowBlock); p >= p1 {
		return Fetch{}
	}
	f := FetchRows(bp[p*ldp:], NR, lines, lines)
	f.Panel = ldp
	return f
}

// fetchLeft fetches the block of a transposed left matrix [k, ·] that is transposed
// after that of the rows from i and the steps from k0 on: the last one of a is
// followed by next's first.
func fetchLeft(a Matrix, k, k0 int, at Area, i int, next []float32) Fetch {
	kc := min(KC, k-k0)
	switch {
	case i+rowBlock < at.M1:
		return FetchRows(a.Data[k0*a.Stride+i+rowBlock:], a.Stride, kc, kc)
	case k0+KC < k:
		return FetchRows(a.Data[(k0+KC)*a.Stride+at.M0:], a.Stride, kc, kc)
	case at.M0 < len(next):
		return FetchRows(next[at.M0:], a.Stride, kc, kc)
	}
	return Fetch{}
}

// Gemm computes an area of C = A·B, or C += A·B if acc; panel p is the columns p·NR
// up to (p+1)·NR or n.
//
//	c [·, n]  only the area is written
//	a [·, k]  read in place
//	b [k, n]
//
// c and a begin at row 0 and b at panel 0, whatever the area. c must not overlap a
// or b.
//
// The element c[i,j] is computed in one fixed way. The inner dimension is cut
// into blocks of KC steps. A block's sum is one chain of multiply-adds that
// starts at 0 and runs through the block in increasing order; block sums are
// added to c[i,j] in increasing order (the first one replaces c[i,j] unless
// acc). It follows that c[i,j] depends on row i of A and column j of B alone:
// neither the area, nor the number of rows, nor the other rows change a bit
// of it. In assembly each multiply-add rounds once, in the portable kernels
// twice. Zeros are not skipped: 0·Inf is NaN.
//
// ahead is fetched on the way and changes no result.
//
// With k = 0 the product is 0. Gemm panics if a slice is too short for its
// area.
func Gemm(c, a Matrix, b Panels, at Area, acc bool, ahead Ahead) {
	if !checkProduct("Gemm", c, b, at) {
		return
	}
	k, n, m0, m1 := b.K, b.N, at.M0, at.M1
	checkMatrix("Gemm", "a", a, m1, k)
	if k == 0 {
		if !acc {
			clearArea(c, n, at)
		}
		return
	}
	if m1-m0 <= streamRows {
		group := groupPanels(m1 - m0)
		for p := at.P0; p < at.P1; p += group {
			for k0 := 0; k0 < k; k0 += KC {
				block(c.Data[m0*c.Stride:], c.Stride, a.Data[m0*a.Stride+k0:], a.Stride, b.Data[k0*NR:], k*NR,
					min(KC, k-k0), n, m1-m0, p, min(p+group, at.P1), acc || k0 > 0, Ahead{})
			}
		}
		return
	}
	for k0 := 0; k0 < k; k0 += KC {
		kc := min(KC, k-k0)
		for i := m0; i < m1; i += rowBlock {
			rows := min(rowBlock, m1-i)
			fetch := ahead
			if ahead[0].From == nil && i == m0 {
				fetch[0] = fetchPanel(b.Data[k0*NR:], k*NR, kc, at.P0, at.P1)
			}
			block(c.Data[i*c.Stride:], c.Stride, a.Data[i*a.Stride+k0:], a.Stride, b.Data[k0*NR:], k*NR, kc, n, rows, at.P0, at.P1, acc || k0 > 0, fetch)
		}
	}
}

// GemmATScratch returns the floats of scratch that GemmAT needs, for any shape.
func GemmATScratch() int { return rowBlock * KC }

// GemmAT computes an area of C = Aᵀ·B, or C += Aᵀ·B if acc, where A is stored with
// the inner dimension first. It is the product of the weight gradient dW = Xᵀ·dY,
// with the k rows of X and dY the tokens of the batch.
//
//	c [·, n]  only the area is written
//	a [k, ·]
//	b [k, n]
//
// scratch has at least GemmATScratch floats and belongs to this call alone;
// blocks of A are transposed into it. The result has the bits that Gemm gives
// for the transposed matrix. next, if not nil, is the A of a product with the
// same M0 that follows, to be fetched. Panics as Gemm does.
func GemmAT(c, a Matrix, b Panels, at Area, acc bool, scratch, next []float32) {
	if !checkProduct("GemmAT", c, b, at) {
		return
	}
	k, n, m0, m1 := b.K, b.N, at.M0, at.M1
	checkMatrix("GemmAT", "a", a, k, m1)
	if len(scratch) < GemmATScratch() {
		panic(fmt.Sprintf("kernel: GemmAT: scratch has %d floats, needs %d", len(scratch), GemmATScratch()))
	}
	if k == 0 {
		if !acc {
			clearArea(c, n, at)
		}
		return
	}
	for k0 := 0; k0 < k; k0 += KC {
		kc := min(KC, k-k0)
		for i := m0; i < m1; i += rowBlock {
			rows := min(rowBlock, m1-i)
			transpose(scratch, KC, a.Data[k0*a.Stride+i:], a.Stride, kc, rows)
			ahead := Ahead{fetchPanel(b.Data[k0*NR:], k*NR, kc, at.P0, at.P1), fetchLeft(a, k, k0, at, i, next)}
			block(c.Data[i*c.Stride:], c.Stride, scratch, KC, b.Data[k0*NR:], k*NR, kc, n, rows, at.P0, at.P1, acc || k0 > 0, ahead)
		}
	}
}

// Peak runs steps of multiply-adds on registers alone, as fast as the selected
// instruction set can, and returns the floating point operations done (two to
// a multiply-add). Timed by the caller, it is the ceiling of one core to
// compare products with.
func Peak(steps int) (flops int) { return peak(max(steps, 0)) }

func peakPortable(steps int) (flops int) {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	x := float32(steps)
	for range steps {
		s0 += float32(x * x)
		s1 += float32(x * x)
		s2 += float32(x * x)
		s3 += float32(x * x)
		s4 += float32(x * x)
		s5 += float32(x * x)
		s6 += float32(x * x)
		s7 += float32(x * x)
	}
	runtime.KeepAlive(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7)
	return steps * 8 * 2
}

// blockPortable computes rows of C for the panels p0 ≤ p < p1 from one block of
// kc steps, adding to C if add. c and a begin at the first row, the panels ldp
// floats apart in bp.
func blockPortable(c []float32, ldc int, a []float32, lda int, bp []float32, ldp, kc, n, rows, p0, p1 int, add bool) {
	for p := p0; p < p1; p++ {
		c, panel := c[p*NR:], bp[p*ldp:]
		cols := n - p*NR
		if cols >= NR {
			tilePortable(c, ldc, a, lda, panel, kc, rows, add)
			continue
		}
		var t [edgeRows * NR]float32
		for i := 0; i < rows; i += edgeRows {
			r := min(edgeRows, rows-i)
			tilePortable(t[:], NR, a[i*lda:], lda, panel, kc, r, false)
			moveEdge(c[i*ldc:], ldc, t[:], r, cols, add)
		}
	}
}

// moveEdge moves what was computed beside C to cols < NR columns of C, or adds
// it, in the arithmetic of the tiles.
func moveEdge(c []float32, ldc int, t []float32, rows, cols int, add bool) {
	for i := range rows {
		from, to := t[i*NR:i*NR+cols], c[i*ldc:i*ldc+cols]
		if !add {
			copy(to, from)
			continue
		}
		for x, v := range from {
			to[x] += v
		}
	}
}

// tilePortable computes rows × NR of C, adding to C if add, two rows by four
// columns at a time. The conversions forbid fused multiply-adds, so that every
// machine gives the same bits.
func tilePortable(c []float32, ldc int, a []float32, lda int, bp []float32, kc, rows int, add bool) {
	bp = bp[:kc*NR]
	for i := 0; i < rows; i += 2 {
		// A lone last row is computed twice: into the same place, from the
		// same values.
		j := min(i+1, rows-1)
		a0 := a[i*lda : i*lda+kc]
		a1 := a[j*lda : j*lda+kc]
		c0 := c[i*ldc : i*ldc+NR]
		c1 := c[j*ldc : j*ldc+NR]
		for x := 0; x < NR; x += 4 {
			var s00, s01, s02, s03, s10, s11, s12, s13 float32
			for kk, u := range a0 {
				v := a1[kk]
				b := bp[kk*NR+x : kk*NR+x+4 : kk*NR+x+4]
				s00 += float32(u * b[0])
				s01 += float32(u * b[1])
				s02 += float32(u * b[2])
				s03 += float32(u * b[3])
				s10 += float32(v * b[0])
				s11 += float32(v * b[1])
				s12 += float32(v * b[2])
				s13 += float32(v * b[3])
			}
			d0, d1 := c0[x:x+4:x+4], c1[x:x+4:x+4]
			if add {
				s00, s01, s02, s03 = d0[0]+s00, d0[1]+s01, d0[2]+s02, d0[3]+s03
				s10, s11, s12, s13 = d1[0]+s10, d1[1]+s11, d1[2]+s12, d1[3]+s13
			}
			d0[0], d0[1], d0[2], d0[3] = s00, s01, s02, s03
			d1[0], d1[1], d1[2], d1[3] = s10, s11, s12, s13
		}
	}
}

// clearArea sets an area of C, which has n columns, to zero.
func clearArea(c Matrix, n int, at Area) {
	for i := at.M0; i < at.M1; i++ {
		clear(c.Data[i*c.Stride+at.P0*NR : i*c.Stride+min(n, at.P1*NR)])
	}
}

// panels is how many a right-hand side of n columns has.
func panels(n int) int { return (n + NR - 1) / NR }

// checkArea panics unless an area is one of a product with k steps and n columns.
func checkArea(name string, k, n int, at Area) {
	if k < 0 || n < 0 || at.M0 < 0 || at.M1 < at.M0 || at.P0 < 0 || at.P1 < at.P0 || at.P1 > panels(n) {
		panic(fmt.Sprintf("kernel: %s: rows %d..%d, panels %d..%d of %d with k = %d: the range is wrong",
			name, at.M0, at.M1, at.P0, at.P1, panels(n), k))
	}
}

// checkProduct panics unless the area lies in C and b, and reports whether it holds
// anything.
func checkProduct(name string, c Matrix, b Panels, at Area) bool {
	checkArea(name, b.K, b.N, at)
	if at.M0 == at.M1 || at.P0 == at.P1 {
		return false
	}
	checkMatrix(name, "c", c, at.M1, min(b.N, at.P1*NR))
	if len(b.Data) < at.P1*NR*b.K {
		panic(fmt.Sprintf("kernel: %s: b has %d floats, needs %d for %d panels of k = %d",
			name, len(b.Data), at.P1*NR*b.K, at.P1, b.K))
	}
	return true
}

// checkMatrix panics unless x holds rows × cols.
func checkMatrix(name, what string, x Matrix, rows, cols int) {
	if rows == 0 || cols == 0 {
		return
	}
	if x.Stride < cols {
		panic(fmt.Sprintf("kernel: %s: %s has stride %d, less than its %d columns", name, what, x.Stride, cols))
	}
	if need := (rows-1)*x.Stride + cols; len(x.Data) < need {
		panic(fmt.Sprintf("kernel: %s: %s has %d floats, needs %d for %d rows of %d with stride %d",
			name, what, len(x.Data), need, rows, cols, x.Stride))
	}
}
