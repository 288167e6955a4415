//go:build linux

package kernel

import (
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns n floats that end where an unreadable page begins, or that
// begin where one ends.
func guarded(t *testing.T, n int, atEnd bool) []float32 {
	t.Helper()
	page := syscall.Getpagesize()
	size := (4*n + page - 1) / page * page
	all, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(all); err != nil {
			t.Error(err)
		}
	})
	for _, guard := range [][]byte{all[:page], all[page+size:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	at := page
	if atEnd {
		at = page + size - 4*n
	}
	x := unsafe.Slice((*float32)(unsafe.Pointer(&all[at])), n)
	for i := range x {
		x[i] = uniform(uint64(n), uint64(i))
	}
	return x
}

// guardedWords is guarded for words.
func guardedWords(t *testing.T, n int, atEnd bool) []uint32 {
	t.Helper()
	x := guarded(t, n, atEnd)
	return unsafe.Slice((*uint32)(unsafe.Pointer(&x[0])), n)
}

func TestProductsAndPackingStayInsideTheirSlices(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	onEachSet(t, func(t *testing.T) {
		for _, atEnd := range []bool{false, true} {
			for _, s := range []struct{ m, n, k int }{
				{1, 1, 1}, {1, 64, 5}, {1, 70, 9}, {2, 32, 7}, {3, 33, 8}, {4, 16, 3}, {5, 47, 17}, {6, 16, 4},
				{7, 17, 1}, {8, 8, 8}, {9, 24, 23}, {23, 9, 64}, {41, 50, 66}, {7, 16, KC + 9},
			} {
				panels := (s.n + NR - 1) / NR
				a, at := guarded(t, s.m*s.k, atEnd), guarded(t, s.m*s.k, atEnd)
				b, bt := guarded(t, s.k*s.n, atEnd), guarded(t, s.k*s.n, atEnd)
				c := guarded(t, s.m*s.n, atEnd)
				bp := guarded(t, PackedSize(s.k, s.n), atEnd)
				scratch := guarded(t, GemmATScratch(), atEnd)
				PackB(Panels{bp, s.k, s.n}, Matrix{b, s.n}, 0, panels)
				PackBT(Panels{bp, s.k, s.n}, Matrix{bt, s.k}, 0, panels)
				Gemm(Matrix{c, s.n}, Matrix{a, s.k}, Panels{bp, s.k, s.n}, Area{0, s.m, 0, panels}, true, Ahead{})
				GemmAT(Matrix{c, s.n}, Matrix{at, s.m}, Panels{bp, s.k, s.n}, Area{0, s.m, 0, panels}, true, scratch, nil)
			}
		}
	})
}

func TestBFloat16ProductsStayInsideTheirSlices(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	onEachSet(t, func(t *testing.T) {
		for _, atEnd := range []bool{false, true} {
			for _, s := range []struct{ m, n, k int }{
				{1, 1, 1}, {1, 64, 5}, {1, 70, 9}, {2, 32, 7}, {3, 33, 8}, {4, 16, 3}, {5, 47, 17}, {6, 16, 4}, {8, 8, 8}, {41, 50, 66}, {7, 16, KC + 9},
			} {
				panels := (s.n + NR - 1) / NR
				a, at := guarded(t, s.m*s.k, atEnd), guarded(t, s.m*s.k, atEnd)
				b, bt := guarded(t, s.k*s.n, atEnd), guarded(t, s.k*s.n, atEnd)
				c := guarded(t, s.m*s.n, atEnd)
				scratch := guarded(t, GemmBF16Scratch(), atEnd)
				bp := guardedWords(t, PackedSizeBF16(s.k, s.n), atEnd)
				PackBBF16(PanelsBF16{bp, s.k, s.n}, Matrix{b, s.n}, 0, panels)
				PackBTBF16(PanelsBF16{bp, s.k, s.n}, Matrix{bt, s.k}, 0, panels)
				GemmBF16(Matrix{c, s.n}, Matrix{a, s.k}, PanelsBF16{bp, s.k, s.n}, Area{0, s.m, 0, panels}, true, scratch, Ahead{})
				GemmATBF16(Matrix{c, s.n}, Matrix{at, s.m}, PanelsBF16{bp, s.k, s.n}, Area{0, s.m, 0, panels}, true, scratch, nil)
				RoundBF16(c, c)
			}
		}
	})
}
