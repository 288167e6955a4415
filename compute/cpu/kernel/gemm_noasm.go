//go:build !amd64 || purego

package kernel

func block(c []float32, ldc int, a []float32, lda int, bp []float32, ldp, kc, n, rows, p0, p1 int, add bool, _ Ahead) {
	blockPortable(c, ldc, a, lda, bp, ldp, kc, n, rows, p0, p1, add)
}

func groupPanels(rows int) int { return 1 }

func copyPanel(dst, src []float32, ld, rows int) { copyPanelPortable(dst, src, ld, rows) }

func transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	transposePortable(dst, ldd, src, lds, rows, cols)
}

func peak(steps int) (flops int) { return peakPortable(steps) }
