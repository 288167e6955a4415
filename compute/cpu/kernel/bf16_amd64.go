//go:build !purego

package kernel

// With AVX2, bfloat16 is widened to float32 in registers: half the memory
// traffic at the arithmetic of float32.

// roundBF16 sets dst to x rounded; they have the same length.
func roundBF16(dst, x []float32) {
	if !useAVX2 {
		roundPortable(dst, x)
		return
	}
	whole := len(x) &^ 7
	if whole > 0 {
		roundBF16AVX2(&dst[0], &x[0], whole/8)
	}
	roundPortable(dst[whole:], x[whole:])
}

func packPairs(dst []uint32, src []float32, ld, pairs int) {
	if !useAVX2 {
		packPairsPortable(dst, src, ld, pairs)
		return
	}
	packPairsAVX2(&dst[0], &src[0], ld, pairs)
}

// tileBF16 cuts the rows as tileFull does.
func tileBF16(c []float32, ldc int, a []float32, bp []uint32, pairs, rows int, add bool) {
	if !useAVX2 {
		tileBF16Portable(c, ldc, a, bp, pairs, rows, add)
		return
	}
	strips, rest := rows/MR, rows%MR
	var more int
	if strips > 0 && rest > 0 && rest < 4 {
		strips--
		more = 4
		rest += MR - more
	}
	b := &bp[0]
	if strips > 0 {
		gemmBF16x6(&c[0], ldc, &a[0], KC, b, pairs, strips, add)
	}
	i := strips * MR
	for _, r := range [2]int{rest, more} {
		if r == 0 {
			continue
		}
		c, a := &c[i*ldc], &a[i*KC]
		switch r {
		case 1:
			gemmBF16x1(c, ldc, a, KC, b, pairs, 1, add)
		case 2:
			gemmBF16x2(c, ldc, a, KC, b, pairs, 1, add)
		case 3:
			gemmBF16x3(c, ldc, a, KC, b, pairs, 1, add)
		case 4:
			gemmBF16x4(c, ldc, a, KC, b, pairs, 1, add)
		case 5:
			gemmBF16x5(c, ldc, a, KC, b, pairs, 1, add)
		}
		i += r
	}
}

// fewBF16 computes 1 to 3 rows of C for the whole panels p0 ≤ p < p1, which lie
// ldp words apart in bp, and returns the first one that it left.
func fewBF16(c []float32, ldc int, a []float32, bp []uint32, ldp, pairs, rows, p0, p1 int, add bool) int {
	if !useAVX2 || rows > 3 {
		return p0
	}
	group := 2
	if rows == 1 {
		group = 4
	}
	p := p0
	for ; p+group <= p1; p += group {
		c, b := &c[p*NR], &bp[p*ldp]
		switch rows {
		case 1:
			gemmBF16few1x4(c, ldc, &a[0], KC, b, ldp, pairs, add)
		case 2:
			gemmBF16few2x2(c, ldc, &a[0], KC, b, ldp, pairs, add)
		case 3:
			gemmBF16few3x2(c, ldc, &a[0], KC, b, ldp, pairs, add)
		}
	}
	return p
}
