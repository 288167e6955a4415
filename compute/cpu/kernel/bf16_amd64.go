//go:build !purego

package kernel

// Without AVX512_BF16, bfloat16 is widened to float32 in registers: half the
// memory traffic at the arithmetic of float32.

// roundBF16 sets dst to x rounded; they have the same length.
func roundBF16(dst, x []float32) {
	switch selected {
	case portableLevel:
		roundPortable(dst, x)
	case avx2Level:
		whole := len(x) &^ 7
		if whole > 0 {
			roundBF16AVX2(&dst[0], &x[0], whole/8)
		}
		roundPortable(dst[whole:], x[whole:])
	case avx512Level:
		roundBF16AVX512(dst, x)
	}
}

func packPairs(dst []uint32, src []float32, ld, pairs int) {
	switch selected {
	case portableLevel:
		packPairsPortable(dst, src, ld, pairs)
	case avx2Level:
		packPairsAVX2(&dst[0], &src[0], ld, pairs)
	case avx512Level:
		packPairsAVX512(&dst[0], &src[0], ld, pairs)
	}
}

// prepareRowBF16 rounds a row of the left matrix as the tiles read it.
func prepareRowBF16(to, x []float32) {
	if dotBF16 {
		packWordsAVX512(&to[0], x)
		return
	}
	prepareFloats(to, x)
}

// tileBF16 cuts the rows as tileAVX2 does.
func tileBF16(c []float32, ldc int, a []float32, bp []uint32, pairs, rows int, add bool) {
	if selected == portableLevel {
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

// groupsBF16 computes rows of C for panels from p0 on, which lie ldp words apart
// in bp, several at a time, and returns the first one below p1 that it left:
// with AVX-512 none, with AVX2 all for more than three rows.
func groupsBF16(c []float32, ldc int, a []float32, bp []uint32, ldp, pairs, n, rows, p0, p1 int, add bool, ahead Ahead) int {
	switch {
	case dotBF16:
		dotTiles.block(c, ldc, a, KC, bp, ldp, pairs, n, rows, p0, p1, add, ahead)
		return p1
	case selected == avx512Level:
		widenedTiles.block(c, ldc, a, KC, bp, ldp, pairs, n, rows, p0, p1, add, ahead)
		return p1
	case selected == portableLevel || rows > 3:
		return p0
	}
	group := 2
	if rows == 1 {
		group = 4
	}
	p := p0
	for whole := min(p1, n/NR); p+group <= whole; p += group {
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
