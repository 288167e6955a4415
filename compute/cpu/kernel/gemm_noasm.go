//go:build !amd64 || purego

package kernel

func tileFull(c []float32, ldc int, a []float32, lda int, bp []float32, kc, rows int, add bool) {
	tilePortable(c, ldc, a, lda, bp, kc, rows, add)
}

func fewRows(c []float32, ldc int, a []float32, lda int, bp []float32, k, rows, p0, p1 int, acc bool) int {
	return p0
}

func copyPanel(dst, src []float32, ld, rows int) { copyPanelPortable(dst, src, ld, rows) }

func transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	transposePortable(dst, ldd, src, lds, rows, cols)
}

func peak(steps int) (flops int) { return peakPortable(steps) }
