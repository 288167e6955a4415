package kernel

import "fmt"

// packRows rows of a row-major matrix are packed for all panels before the
// next ones, so that neighbouring panels find their cache lines loaded.
const packRows = 64

// PackedSize returns the floats that a packed [k, n] matrix takes:
// ⌈n/NR⌉ · NR · k.
func PackedSize(k, n int) int { return (n + NR - 1) / NR * NR * k }

// PackB packs the panels p0 ≤ p < p1 of the matrix b [k, n] into dst, which begins
// at panel 0 and has PackedSize(k, n) floats. Panel p holds the columns p·NR up to (p+1)·NR as [k][NR]; columns
// past n are set to zero. It panics if a slice is too short.
func PackB(dst Panels, b Matrix, p0, p1 int) {
	if !checkPack("PackB", dst, p0, p1) {
		return
	}
	k, n := dst.K, dst.N
	checkMatrix("PackB", "b", b, k, min(n, p1*NR))
	for k0 := 0; k0 < k; k0 += packRows {
		rows := min(packRows, k-k0)
		for p := p0; p < p1; p++ {
			to := dst.Data[(p*k+k0)*NR : (p*k+k0+rows)*NR]
			from := b.Data[k0*b.Stride+p*NR:]
			if cols := n - p*NR; cols < NR {
				for r := 0; r < rows; r++ {
					row := to[r*NR : (r+1)*NR]
					copy(row, from[r*b.Stride:r*b.Stride+cols])
					clear(row[cols:])
				}
				continue
			}
			copyPanel(to, from, b.Stride, rows)
		}
	}
}

// PackBT packs as PackB does from the transposed matrix b [n, k]: a weight stored
// as [out, in].
func PackBT(dst Panels, b Matrix, p0, p1 int) {
	if !checkPack("PackBT", dst, p0, p1) {
		return
	}
	k, n := dst.K, dst.N
	checkMatrix("PackBT", "b", b, min(n, p1*NR), k)
	for p := p0; p < p1; p++ {
		to := dst.Data[p*k*NR : (p+1)*k*NR]
		cols := min(NR, n-p*NR)
		transpose(to, NR, b.Data[p*NR*b.Stride:], b.Stride, cols, k)
		if cols < NR {
			for r := 0; r < k; r++ {
				clear(to[r*NR+cols : (r+1)*NR])
			}
		}
	}
}

// copyPanelPortable copies rows × NR floats from rows of stride ld.
func copyPanelPortable(dst, src []float32, ld, rows int) {
	for r := 0; r < rows; r++ {
		copy(dst[r*NR:(r+1)*NR], src[r*ld:r*ld+NR])
	}
}

// transposePortable sets dst[j·ldd+i] = src[i·lds+j] for i < rows, j < cols.
func transposePortable(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	for i := 0; i < rows; i++ {
		for j, v := range src[i*lds : i*lds+cols] {
			dst[j*ldd+i] = v
		}
	}
}

// checkPack panics unless the panels lie in dst, and reports whether they hold
// anything.
func checkPack(name string, dst Panels, p0, p1 int) bool {
	checkArea(name, dst.K, dst.N, Area{P0: p0, P1: p1})
	if len(dst.Data) < p1*NR*dst.K {
		panic(fmt.Sprintf("kernel: %s: dst has %d floats, needs %d for %d panels of k = %d",
			name, len(dst.Data), p1*NR*dst.K, p1, dst.K))
	}
	return p0 < p1 && dst.K > 0
}
