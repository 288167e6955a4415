//go:build !purego

package kernel

const (
	wideRows   = 8 // of the tile of AVX-512
	widePanels = 3 // of the same
	// fetchStrips strips of its rows fetch what belongs to a panel.
	fetchStrips = rowBlock / wideRows / widePanels
	// manyRows, the least rows of the tiles of many, fetch for two panels of three.
	// Fewer are better off with tiles that fetch the next panels themselves.
	manyRows = 2 * fetchStrips * wideRows
)

// wideTile computes (or adds, if add) strips × some rows of C for some
// neighbouring panels, of the last one the columns that last has a bit for; see
// the stubs.
type wideTile[T float32 | uint32] func(c *float32, ldc int, a *float32, lda int, b *T, ldp, steps, strips int, last uint16, add bool)

// manyTile is a wideTile of eight rows that fetches from two places.
type manyTile[T float32 | uint32] func(c *float32, ldc int, a *float32, lda int, b *T, ldp, steps, strips int, last uint16, add bool, fetch0 *float32, line0, strip0 int, fetch1 *float32, line1, strip1 int)

// wideTiles are the tiles of one kind of product by panels and rows, less one.
type wideTiles[T float32 | uint32] struct {
	sizes [widePanels][wideRows]wideTile[T]
	row   wideTile[T]             // one row, four panels
	many  [widePanels]manyTile[T] // of many rows
}

var float32Tiles = wideTiles[float32]{
	[widePanels][wideRows]wideTile[float32]{
		{gemm1x1AVX512, gemm2x1AVX512, gemm3x1AVX512, gemm4x1AVX512, gemm5x1AVX512, gemm6x1AVX512, gemm7x1AVX512, gemm8x1AVX512},
		{gemm1x2AVX512, gemm2x2AVX512, gemm3x2AVX512, gemm4x2AVX512, gemm5x2AVX512, gemm6x2AVX512, gemm7x2AVX512, gemm8x2AVX512},
		{gemm1x3AVX512, gemm2x3AVX512, gemm3x3AVX512, gemm4x3AVX512, gemm5x3AVX512, gemm6x3AVX512, gemm7x3AVX512, gemm8x3AVX512},
	}, gemm1x4AVX512, [widePanels]manyTile[float32]{gemmMany8x1AVX512, gemmMany8x2AVX512, gemmMany8x3AVX512},
}

// widenedTiles make floats of bfloat16 in registers.
var widenedTiles = wideTiles[uint32]{
	[widePanels][wideRows]wideTile[uint32]{
		{gemmBF161x1AVX512, gemmBF162x1AVX512, gemmBF163x1AVX512, gemmBF164x1AVX512, gemmBF165x1AVX512, gemmBF166x1AVX512, gemmBF167x1AVX512, gemmBF168x1AVX512},
		{gemmBF161x2AVX512, gemmBF162x2AVX512, gemmBF163x2AVX512, gemmBF164x2AVX512, gemmBF165x2AVX512, gemmBF166x2AVX512, gemmBF167x2AVX512, gemmBF168x2AVX512},
		{gemmBF161x3AVX512, gemmBF162x3AVX512, gemmBF163x3AVX512, gemmBF164x3AVX512, gemmBF165x3AVX512, gemmBF166x3AVX512, gemmBF167x3AVX512, gemmBF168x3AVX512},
	}, gemmBF161x4AVX512, [widePanels]manyTile[uint32]{gemmBF16Many8x1AVX512, gemmBF16Many8x2AVX512, gemmBF16Many8x3AVX512},
}

// dotTiles multiply bfloat16 with AVX512_BF16.
var dotTiles = wideTiles[uint32]{
	[widePanels][wideRows]wideTile[uint32]{
		{dotBF161x1AVX512, dotBF162x1AVX512, dotBF163x1AVX512, dotBF164x1AVX512, dotBF165x1AVX512, dotBF166x1AVX512, dotBF167x1AVX512, dotBF168x1AVX512},
		{dotBF161x2AVX512, dotBF162x2AVX512, dotBF163x2AVX512, dotBF164x2AVX512, dotBF165x2AVX512, dotBF166x2AVX512, dotBF167x2AVX512, dotBF168x2AVX512},
		{dotBF161x3AVX512, dotBF162x3AVX512, dotBF163x3AVX512, dotBF164x3AVX512, dotBF165x3AVX512, dotBF166x3AVX512, dotBF167x3AVX512, dotBF168x3AVX512},
	}, dotBF161x4AVX512, [widePanels]manyTile[uint32]{dotBF16Many8x1AVX512, dotBF16Many8x2AVX512, dotBF16Many8x3AVX512},
}

// block computes rows of C for the panels p0 ≤ p < p1 from a block of steps of
// the inner dimension, adding to C if add. c and a begin at the first row, the
// panels ldp apart in bp. A group of panels passes all rows before the next
// one, so that it stays in a second-level cache. Of many rows, each fetchStrips
// strips fetch what belongs to another of its panels.
func (t *wideTiles[T]) block(c []float32, ldc int, a []float32, lda int, bp []T, ldp, steps, n, rows, p0, p1 int, add bool, ahead Ahead) {
	for p := p0; p < p1; {
		panels := min(widePanels, p1-p)
		switch left := p1 - p; {
		case rows == 1 && left >= 4:
			panels = 4
		case left == 4:
			panels = 2 // twice, since one panel alone keeps the multipliers less busy
		}
		last := uint16(1<<min(NR, n-(p+panels-1)*NR) - 1)
		for i := 0; i < rows; {
			r, strips := wideStrips(rows - i)
			c, a, b := &c[i*ldc+p*NR], a[i*lda:], &bp[p*ldp]
			switch {
			case panels > widePanels:
				t.row(c, ldc, &a[0], lda, b, ldp, steps, strips, last, add)
			case rows < manyRows || r < wideRows:
				t.sizes[panels-1][r-1](c, ldc, &a[0], lda, b, ldp, steps, strips, last, add)
			default:
				strips = min(strips, fetchStrips)
				f, j := ahead, i/(fetchStrips*wideRows)
				if j >= panels {
					f = Ahead{}
				}
				f = f.at(p-p0+j, a)
				t.many[panels-1](c, ldc, &a[0], lda, b, ldp, steps, strips, last, add,
					&f[0].From[0], f[0].Line, f[0].Strip, &f[1].From[0], f[1].Line, f[1].Strip)
			}
			i += r * strips
		}
		p += panels
	}
}

// wideStrips cuts the next strips from what is left of the rows: of eight rows,
// or fewer at the end, where a strip of one to three rows is avoided.
func wideStrips(left int) (rows, strips int) {
	switch rest := left % wideRows; {
	case left <= wideRows:
		return left, 1
	case rest == 0 || rest >= 4:
		return wideRows, left / wideRows
	case left > 2*wideRows:
		return wideRows, left/wideRows - 1
	default:
		return left - 4, 1 // 9, 10 or 11 as 5, 6 or 7 and 4
	}
}
