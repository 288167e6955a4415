//go:build !purego

package kernel

// tileFull computes rows × NR of C, adding to C if add. The rows are cut into
// strips of six; what is left over is joined with the last six and cut anew,
// since strips of four or five keep the multipliers busy and shorter ones
// cannot.
func tileFull(c []float32, ldc int, a []float32, lda int, bp []float32, kc, rows int, add bool) {
	if !useAVX2 {
		tilePortable(c, ldc, a, lda, bp, kc, rows, add)
		return
	}
	strips, rest := rows/MR, rows%MR
	var more int // rows of one more strip after rest
	if strips > 0 && rest > 0 && rest < 4 {
		strips--
		more = 4
		rest += MR - more
	}
	b := &bp[0]
	if strips > 0 {
		gemm6(&c[0], ldc, &a[0], lda, b, kc, strips, add)
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

// fewRows computes 1 to 3 rows of C for the panels from p0 on, all of them
// whole, in groups wide enough to keep the multipliers busy, and returns the
// first panel left.
func fewRows(c []float32, ldc int, a []float32, lda int, bp []float32, k, rows, p0, p1 int, acc bool) int {
	if !useAVX2 || rows > 3 {
		return p0
	}
	group := 2
	if rows == 1 {
		group = 4
	}
	p := p0
	for ; p+group <= p1; p += group {
		for k0 := 0; k0 < k; k0 += KC {
			c, a, b := &c[p*NR], &a[k0], &bp[(p*k+k0)*NR]
			kc, add := min(KC, k-k0), acc || k0 > 0
			switch rows {
			case 1:
				gemm1x4(c, ldc, a, lda, b, k*NR, kc, add)
			case 2:
				gemm2x2(c, ldc, a, lda, b, k*NR, kc, add)
			case 3:
				gemm3x2(c, ldc, a, lda, b, k*NR, kc, add)
			}
		}
	}
	return p
}

func copyPanel(dst, src []float32, ld, rows int) {
	if !useAVX2 {
		copyPanelPortable(dst, src, ld, rows)
		return
	}
	copyPanelAVX2(&dst[0], &src[0], ld, rows)
}

// transpose sets dst[j·ldd+i] = src[i·lds+j] for i < rows, j < cols.
func transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	if !useAVX2 {
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
	if !useAVX2 {
		return peakPortable(steps)
	}
	// About 30 µs a call.
	const most = 1 << 14
	for at := 0; at < steps; at += most {
		peakAVX2(min(most, steps-at))
	}
	return steps * 12 * 8 * 2
}
