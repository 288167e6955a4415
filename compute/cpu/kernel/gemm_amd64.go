//go:build !purego

package kernel

// block computes rows of C for the panels p0 ≤ p < p1 from one block of kc
// steps, adding to C if add. c and a begin at the first row, the panels ldp
// floats apart in bp.
func block(c []float32, ldc int, a []float32, lda int, bp []float32, ldp, kc, n, rows, p0, p1 int, add bool, ahead Ahead) {
	switch selected {
	case portableLevel:
		blockPortable(c, ldc, a, lda, bp, ldp, kc, n, rows, p0, p1, add)
	case avx2Level:
		blockAVX2(c, ldc, a, lda, bp, ldp, kc, n, rows, p0, p1, add, ahead)
	case avx512Level:
		float32Tiles.block(c, ldc, a, lda, bp, ldp, kc, n, rows, p0, p1, add, ahead)
	}
}

// groupPanels is the number of panels that a product of some rows reads at a time:
// as many as one call takes.
func groupPanels(rows int) int {
	switch {
	case selected == portableLevel:
		return 1
	case rows == 1:
		return 4
	case selected == avx512Level:
		return widePanels
	case rows <= 3:
		return 2
	}
	return 1
}

func blockAVX2(c []float32, ldc int, a []float32, lda int, bp []float32, ldp, kc, n, rows, p0, p1 int, add bool, ahead Ahead) {
	p := p0
	if rows <= 3 {
		// Groups of whole panels wide enough to keep the multipliers busy.
		group := 2
		if rows == 1 {
			group = 4
		}
		for whole := min(p1, n/NR); p+group <= whole; p += group {
			c, a, b := &c[p*NR], &a[0], &bp[p*ldp]
			switch rows {
			case 1:
				gemm1x4(c, ldc, a, lda, b, ldp, kc, add)
			case 2:
				gemm2x2(c, ldc, a, lda, b, ldp, kc, add)
			case 3:
				gemm3x2(c, ldc, a, lda, b, ldp, kc, add)
			}
		}
	}
	for ; p < p1; p++ {
		c, panel := c[p*NR:], bp[p*ldp:]
		cols := n - p*NR
		if cols >= NR {
			tileAVX2(c, ldc, a, lda, panel, kc, rows, add, ahead.at(p-p0, panel))
			continue
		}
		var t [edgeRows * NR]float32
		for i := 0; i < rows; i += edgeRows {
			r := min(edgeRows, rows-i)
			tileAVX2(t[:], NR, a[i*lda:], lda, panel, kc, r, false, Ahead{}.at(0, panel))
			moveEdge(c[i*ldc:], ldc, t[:], r, cols, add)
		}
	}
}

// at is what is fetched with a panel, the j-th one: the first line of an operand,
// which is read anyway, where there is nothing.
func (a Ahead) at(j int, operand []float32) Ahead {
	for i := range a {
		if f := &a[i]; j*f.Panel < len(f.From) {
			f.From = f.From[j*f.Panel:]
		} else {
			*f = Fetch{From: operand}
		}
	}
	return a
}

// tileAVX2 computes rows × NR of C, adding to C if add. The rows are cut into
// strips of six; what is left over is joined with the last six and cut anew,
// since strips of four or five keep the multipliers busy and shorter ones
// cannot. Of many rows the strips fetch what is ahead.
func tileAVX2(c []float32, ldc int, a []float32, lda int, bp []float32, kc, rows int, add bool, ahead Ahead) {
	strips, rest := rows/MR, rows%MR
	var more int // rows of one more strip after rest
	if strips > 0 && rest > 0 && rest < 4 {
		strips--
		more = 4
		rest += MR - more
	}
	b := &bp[0]
	switch {
	case strips == 0:
	case rows <= streamRows:
		gemm6(&c[0], ldc, &a[0], lda, b, kc, strips, add)
	default:
		f := &ahead
		gemmMany6(&c[0], ldc, &a[0], lda, b, kc, strips, add, &f[0].From[0], f[0].Line, f[0].Strip, &f[1].From[0], f[1].Line, f[1].Strip)
	}
	i := strips * MR
	for _, r := range [2]int{rest, more} {
		if r == 0 {
			continue
		}
		c, a := &c[i*ldc], &a[i*lda]
		switch r {
		case 1:
			gemm1(c, ldc, a, lda, b, kc, 1, add)
		case 2:
			gemm2(c, ldc, a, lda, b, kc, 1, add)
		case 3:
			gemm3(c, ldc, a, lda, b, kc, 1, add)
		case 4:
			gemm4(c, ldc, a, lda, b, kc, 1, add)
		case 5:
			gemm5(c, ldc, a, lda, b, kc, 1, add)
		}
		i += r
	}
}

func copyPanel(dst, src []float32, ld, rows int) {
	switch selected {
	case portableLevel:
		copyPanelPortable(dst, src, ld, rows)
	case avx2Level:
		copyPanelAVX2(&dst[0], &src[0], ld, rows)
	case avx512Level:
		copyPanelAVX512(&dst[0], &src[0], ld, rows)
	}
}

// transpose sets dst[j·ldd+i] = src[i·lds+j] for i < rows, j < cols. AVX-512 has
// no kernel of its own: its shuffles move no more bytes a cycle.
func transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	if selected == portableLevel {
		transposePortable(dst, ldd, src, lds, rows, cols)
		return
	}
	// Long rows are cut so that a call stays short and so that the lines of
	// dst, written eight floats at a time, are still in the cache for the
	// next eight rows.
	const run = 64
	wholeRows, wholeCols := rows&^7, cols&^7
	for j := 0; j < wholeCols; j += run {
		for i := 0; i < wholeRows; i += 8 {
			transpose8AVX2(&dst[j*ldd+i], ldd, &src[i*lds+j], lds, min(run, wholeCols-j)/8)
		}
	}
	if wholeCols < cols {
		transposePortable(dst[wholeCols*ldd:], ldd, src[wholeCols:], lds, wholeRows, cols-wholeCols)
	}
	if wholeRows < rows {
		transposePortable(dst[wholeRows:], ldd, src[wholeRows*lds:], lds, rows-wholeRows, cols)
	}
}

func peak(steps int) (flops int) {
	if selected == portableLevel {
		return peakPortable(steps)
	}
	// About 30 µs a call.
	const most = 1 << 14
	for at := 0; at < steps; at += most {
		n := min(most, steps-at)
		if selected == avx512Level {
			peakAVX512(n)
		} else {
			peakAVX2(n)
		}
	}
	width := 8
	if selected == avx512Level {
		width = 16
	}
	return steps * 12 * width * 2
}
