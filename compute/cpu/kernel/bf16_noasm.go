//go:build !amd64 || purego

package kernel

func roundBF16(dst, x []float32) { roundPortable(dst, x) }

func packPairs(dst []uint32, src []float32, ld, pairs int) { packPairsPortable(dst, src, ld, pairs) }

func tileBF16(c []float32, ldc int, a []float32, bp []uint32, pairs, rows int, add bool) {
	tileBF16Portable(c, ldc, a, bp, pairs, rows, add)
}

func groupsBF16(c []float32, ldc int, a []float32, bp []uint32, ldp, pairs, n, rows, p0, p1 int, add bool, _ Ahead) int {
	return p0
}

func prepareRowBF16(to, x []float32) { prepareFloats(to, x) }
