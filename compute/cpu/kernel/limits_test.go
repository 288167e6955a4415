package kernel

import (
	"testing"
	"time"
)

// multiplyAdds runs f and counts the multiply-adds of attention's tile products.
func multiplyAdds(f func()) (count int) {
	kern := vec()
	saved := *kern
	defer func() { *kern = saved }()
	of := func(k, mt, nt int) { count += k * mt * tileRows * nt * tileCols }
	kern.tileSet = func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
		of(k, mt, nt)
		saved.tileSet(c, ldc, a, rs, ks, b, ldb, bps, k, mt, nt)
	}
	kern.tileAdd = func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
		of(k, mt, nt)
		saved.tileAdd(c, ldc, a, rs, ks, b, ldb, bps, k, mt, nt)
	}
	kern.tileRescale = func(c []float32, ldc int, rowScale, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
		of(k, mt, nt)
		saved.tileRescale(c, ldc, rowScale, a, rs, ks, b, ldb, bps, k, mt, nt)
	}
	f()
	return count
}

// What a position does not see is not computed and then masked: it is left out,
// but for the edges of tiles.
func TestAttentionComputesNoMoreThanIsSeen(t *testing.T) {
	const n, dim = 768, 64
	of := func(causal bool, window int, segments []int32) int {
		c := attentionCase{Attention: Attention{Batch: 1, Positions: n, Heads: 1, KVHeads: 1, HeadDim: dim, Causal: causal, Window: window, Scale: .125}, segments: segments}
		x := c.tensors()
		return multiplyAdds(func() { c.run(t, x) })
	}
	full := of(false, 0, nil)
	if exact := 7 * n * n * dim; full != exact { // two products forward, five backward
		t.Errorf("full attention takes %d multiply-adds, want %d", full, exact)
	}
	for _, test := range []struct {
		name     string
		causal   bool
		window   int
		segments []int32
		seen     float64 // of the pairs
		most     float64
	}{
		{"causal", true, 0, nil, .5, .56},
		{"window", true, 96, nil, .117, .33},
		{"two segments", false, 0, repeated(1, 384, 2, 384), .5, .5},
		{"segments of other lengths", false, 0, repeated(1, 96, 2, 96, 3, 576), .594, .6},
		{"eight segments", false, 0, repeated(1, 96, 2, 96, 3, 96, 4, 96, 5, 96, 6, 96, 7, 96, 8, 96), .125, .125},
		{"causal segments", true, 0, repeated(1, 384, 2, 384), .25, .3},
		{"half of it padding", false, 0, repeated(1, 384, -1, 384), .25, .25},
		{"nothing but padding", false, 0, repeated(-1, 768), 0, 0},
	} {
		if got := float64(of(test.causal, test.window, test.segments)) / float64(full); got > test.most {
			t.Errorf("%s: %.3f of what full attention computes, want %.3f at most, of which %.3f is seen", test.name, got, test.most, test.seen)
		}
	}
}

// The garbage collector waits for a call of assembly to end. These are the
// longest ones: pieces of chunkLen, and the tiles of a whole block. The fastest of
// many tries says what a call takes where nothing else disturbs it.
func TestNoCallOfAssemblyTakesLong(t *testing.T) {
	if testing.Short() {
		t.Skip("a time, which says nothing on an emulated processor")
	}
	if Name() == "portable" {
		t.Skip("there is no assembly")
	}
	const limit, tries = 100 * time.Microsecond, 500
	calls := map[string]func(){}
	for _, op := range elementwiseOps {
		switch op.name {
		case "Log", "LogSigmoid", "GELUExact", "GELUExactGrad": // plain Go
			continue
		}
		in, out := operands(op, chunkLen)
		i, o := slicesOf(in), slicesOf(out)
		calls[op.name] = func() { op.run(o, i) }
	}
	row := vector(1, chunkLen, 1).x
	calls["max"] = func() { vec().max(row) }
	calls["expSum"] = func() { vec().expSum(row, 1, 0) }
	calls["expMoment"] = func() { vec().expMoment(row, 1, 0) }
	calls["expScale"] = func() { vec().expScale(row, 1, 0, 1) }
	calls["sumSquare"] = func() { vec().sumSquare(row) }
	calls["roundBF16"] = func() { roundBF16(row, row) }

	// A block of rows with as many panels as one call takes.
	const panels = 4
	a, c := make([]float32, rowBlock*KC), make([]float32, rowBlock*panels*NR)
	b, words := make([]float32, panels*NR*KC), make([]uint32, panels*NR*KC/2)
	calls["a block of a product"] = func() {
		Gemm(Matrix{c, panels * NR}, Matrix{a, KC}, Panels{b, KC, panels * NR}, Area{0, rowBlock, 0, 3}, false, Ahead{})
	}
	scratch := make([]float32, GemmBF16Scratch())
	calls["a block of a bfloat16 product"] = func() {
		GemmBF16(Matrix{c, panels * NR}, Matrix{a, KC}, PanelsBF16{words, KC, panels * NR}, Area{0, rowBlock, 0, 3}, false, scratch, Ahead{})
	}
	calls["peak"] = func() { Peak(1 << 14) }

	// Attention with wide heads, and its softmax against a cache.
	const dim, positions = 256, 1 << 15
	kern := vec()
	big := func() []float32 { return make([]float32, 1<<20) }
	x, y, z := big(), big(), big()
	calls["scores of a block of queries"] = func() {
		kern.tileSet(x, keyBlock, y, dim, 1, z, tileCols, dim*tileCols, dim, queryBlock/tileRows, keyBlock/tileCols)
	}
	calls["scores of a block of the gradient"] = func() {
		kern.tileSet(x, gradKeyBlock, y, dim, 1, z, tileCols, dim*tileCols, dim, gradQueryBlock/tileRows, gradKeyBlock/tileCols)
	}
	calls["keys of a piece of the cache"] = func() { kern.keyDots3(x, positions, y, dim, dim, z, dim, cachePiece) }
	calls["values of a piece of the cache"] = func() { kern.valueSum3(x, dim, dim, y, positions, z, dim, cachePiece, cachePiece, cachePiece) }
	stats := make([]float32, 9)
	calls["softmax of a cache of 32,768 positions"] = func() {
		kern.softmaxTile(x, positions, queriesTogether, positions, -queriesTogether, positions, 0, 1, stats[0:3], stats[3:6], stats[6:9])
	}
	for name, call := range calls {
		best := time.Hour
		for try := 0; try < tries && (try < 3 || best > limit); try++ {
			begun := time.Now()
			call()
			best = min(best, time.Since(begun))
		}
		t.Logf("%s: %v", name, best)
		if best > limit {
			t.Errorf("%s takes %v, want %v at most", name, best, limit)
		}
	}
}
