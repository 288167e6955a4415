package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// genTiles writes the three tile products of attention. Each element is one
// chain of fused multiply-adds over k.
func genTiles() {
	genTile("tileSet", "func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int)", "set",
		"sets the tiles of C to A·B; mt, nt ≥ 1.")
	genTile("tileAdd", "func(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int)", "add",
		"adds A·B to the tiles of C; mt, nt ≥ 1.")
	genTile("tileRescale", "func(c []float32, ldc int, rowScale, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int)", "rescale",
		"multiplies the rows of C by rowScale and adds A·B; mt, nt ≥ 1.")
}

// genTile writes a tile product. A vector of C is one of a panel's halves in
// AVX2, and a whole panel in AVX-512, which takes two panels at a time.
func genTile(name, signature, mode, doc string) {
	function(name, signature, doc)
	ldc, rs, ks, ldb := integer("ldc"), integer("rs"), integer("ks"), integer("ldb")
	for _, r := range []reg.GPVirtual{ldc, rs, ks, ldb} {
		SHLQ(U8(2), r)
	}
	cPanel, bPanel := base("c"), base("b")
	c, cHigh, a := GP64(), GP64(), GP64()
	aLow, aHigh, bAt, count := GP64(), GP64(), GP64(), GP64()
	row := func(low, high, stride reg.GPVirtual, r, disp int) Mem {
		b := low
		if r >= 3 {
			b, r = high, r-3
		}
		m := Mem{Base: b, Disp: disp}
		if r > 0 {
			m.Index, m.Scale = stride, uint8(r)
		}
		return m
	}

	// Counters live in their parameters' stack slots or in a frame; the loops
	// need every register.
	nt, mt := address("nt"), address("mt")
	scaleAt := GP64()
	var tiles Op = GP64()
	var bps reg.GPVirtual
	passes := [][2]int{{1, 2}} // panels, vectors of each
	if set == avx512 {
		passes = [][2]int{{2, 1}, {1, 1}}
		tiles = AllocLocal(8)
		bps = integer("bps")
		SHLQ(U8(2), bps)
	}
	for _, pass := range passes {
		panels, each := pass[0], pass[1]
		label := func(name string) string {
			if panels == 2 {
				return "two" + name
			}
			return name
		}
		acc, b, scalar := [maxRows][2]vec{}, [2]vec{newVec(), newVec()}, [2]vec{newVec(), newVec()}
		vectors := panels * each
		for r := range acc {
			for v := range vectors {
				acc[r][v] = newVec()
			}
		}
		bMem := func(v int) Mem {
			if each == 1 && v == 1 {
				return Mem{Base: bAt, Index: bps, Scale: 1}
			}
			return Mem{Base: bAt, Disp: 4 * lanes * v}
		}

		Label(label("panel"))
		if set == avx512 {
			CMPQ(nt, U8(panels))
			JL(LabelRef(label("end")))
		}
		MOVQ(cPanel, c)
		Load(Param("a").Base(), a)
		if mode == "rescale" {
			Load(Param("rowScale").Base(), scaleAt)
		}
		MOVQ(mt, count)
		MOVQ(count, tiles)
		Label(label("tile"))
		LEAQ(Mem{Base: c, Index: ldc, Scale: 2}, cHigh)
		ADDQ(ldc, cHigh)
		for r := range acc {
			var s vec
			if mode == "rescale" {
				s = broadcast(Mem{Base: scaleAt, Disp: 4 * r})
			}
			for v := range vectors {
				x, at := acc[r][v], row(c, cHigh, ldc, r, 4*lanes*v)
				switch mode {
				case "set":
					VXORPS(x, x, x)
				case "add":
					VMOVUPS(at, x)
				case "rescale":
					VMULPS(at, s, x)
				}
			}
		}
		MOVQ(a, aLow)
		LEAQ(Mem{Base: a, Index: rs, Scale: 2}, aHigh)
		ADDQ(rs, aHigh)
		MOVQ(bPanel, bAt)
		Load(Param("k"), count)
		TESTQ(count, count)
		JZ(LabelRef(label("store")))
		Label(label("step"))
		for v := range vectors {
			VMOVUPS(bMem(v), b[v])
		}
		for r := range acc {
			s := scalar[r%2]
			VBROADCASTSS(row(aLow, aHigh, rs, r, 0), s)
			for v := range vectors {
				VFMADD231PS(b[v], s, acc[r][v])
			}
		}
		ADDQ(ks, aLow)
		ADDQ(ks, aHigh)
		ADDQ(ldb, bAt)
		DECQ(count)
		JNZ(LabelRef(label("step")))
		Label(label("store"))
		for r := range acc {
			for v := range vectors {
				VMOVUPS(acc[r][v], row(c, cHigh, ldc, r, 4*lanes*v))
			}
		}
		LEAQ(Mem{Base: cHigh, Index: ldc, Scale: 2}, c)
		ADDQ(ldc, c)
		LEAQ(Mem{Base: a, Index: rs, Scale: 4}, a)
		LEAQ(Mem{Base: a, Index: rs, Scale: 2}, a)
		if mode == "rescale" {
			ADDQ(I8(4*maxRows), scaleAt)
		}
		DECQ(tiles)
		JNZ(LabelRef(label("tile")))
		ADDQ(U32(panels*panelBytes), cPanel)
		if set == avx2 {
			Load(Param("bps"), count)
			LEAQ(Mem{Base: bPanel, Index: count, Scale: 4}, bPanel)
			DECQ(nt)
			JNZ(LabelRef("panel"))
			continue
		}
		LEAQ(Mem{Base: bPanel, Index: bps, Scale: uint8(panels)}, bPanel)
		SUBQ(U8(panels), nt)
		JMP(LabelRef(label("panel")))
		Label(label("end"))
	}
	finish()
}

// columnRange is the loop over the columns [lo, hi) of a row of scratch that is
// cols wide, in whole vectors.
type columnRange struct {
	from, to reg.GPVirtual // clamped to [0, cols]
	first    reg.GPVirtual // from, rounded down to a vector
	inner    reg.GPVirtual // to, rounded down
	last     reg.GPVirtual // to, rounded up
	low      vec           // from − 1 in every lane
	high     vec           // to in every lane
}

// newColumnRange clamps lo and hi, which it leaves as they are. A range that
// is empty ends where it begins.
func newColumnRange(lo, hi, cols reg.GPVirtual) columnRange {
	r := columnRange{GP64(), GP64(), GP64(), GP64(), GP64(), newVec(), newVec()}
	none := GP64()
	XORQ(none, none)
	MOVQ(hi, r.to)
	CMPQ(r.to, none)
	CMOVQLT(none, r.to)
	CMPQ(r.to, cols)
	CMOVQGT(cols, r.to)
	MOVQ(lo, r.from)
	CMPQ(r.from, none)
	CMOVQLT(none, r.from)
	CMPQ(r.from, r.to)
	CMOVQGT(r.to, r.from)
	MOVQ(r.from, r.first)
	ANDQ(I8(-lanes), r.first)
	MOVQ(r.to, r.inner)
	ANDQ(I8(-lanes), r.inner)
	LEAQ(Mem{Base: r.to, Disp: lanes - 1}, r.last)
	ANDQ(I8(-lanes), r.last)
	LEAQ(Mem{Base: r.from, Disp: -1}, none)
	VMOVD(none.As32(), r.low.AsX())
	VPBROADCASTD(r.low.AsX(), r.low)
	VMOVD(r.to.As32(), r.high.AsX())
	VPBROADCASTD(r.high.AsX(), r.high)
	return r
}

// mask returns the lanes of the vector at column j that lie in the range.
func (r columnRange) mask(j reg.GPVirtual) mask {
	index := newVec()
	VMOVD(j.As32(), index.AsX())
	VPBROADCASTD(index.AsX(), index)
	VPADDD(counting(), index, index)
	if set == avx512 {
		below, m := K(), K()
		VPCMPGTD(index, r.high, below)
		VPCMPGTD(r.low, index, below, m)
		return mask{bits: m}
	}
	below := newVec()
	VPCMPGTD(index, r.high, below)
	VPCMPGTD(r.low, index, index)
	VPAND(below, index, index)
	return mask{vector: index}
}

// each runs body on the vectors that hold columns of the range: without a mask
// where all lanes do. Vectors before the last one are masked only when the
// range begins after column 0, which takes a window.
func (r columnRange) each(label string, body func(j reg.GPVirtual, m *mask)) {
	j := GP64()
	MOVQ(r.first, j)
	TESTQ(r.from, r.from)
	JNZ(LabelRef(label + "masked"))
	Label(label)
	CMPQ(j, r.inner)
	JGE(LabelRef(label + "masked"))
	body(j, nil)
	ADDQ(I8(lanes), j)
	JMP(LabelRef(label))
	Label(label + "masked")
	CMPQ(j, r.last)
	JGE(LabelRef(label + "end"))
	m := r.mask(j)
	body(j, &m)
	ADDQ(I8(lanes), j)
	JMP(LabelRef(label + "masked"))
	Label(label + "end")
}

// clearOutside zeroes the vectors up to cols that hold no column of the range.
func (r columnRange) clearOutside(label string, cols reg.GPVirtual, rows ...reg.GPVirtual) {
	j, none := GP64(), zero()
	XORQ(j, j)
	for _, part := range []struct {
		name string
		end  reg.GPVirtual
	}{{"before", r.first}, {"after", cols}} {
		if part.name == "after" {
			MOVQ(r.last, j)
		}
		name := label + part.name
		Label(name)
		CMPQ(j, part.end)
		JGE(LabelRef(name + "end"))
		for _, row := range rows {
			VMOVUPS(none, Mem{Base: row, Index: j, Scale: 4})
		}
		ADDQ(I8(lanes), j)
		JMP(LabelRef(name))
		Label(name + "end")
	}
}

func genSoftmaxTile() {
	function("softmaxTile", "func(s []float32, ld, rows, cols, lo, hi, step int, scale2 float32, m, l, rescale []float32)",
		"makes weights of scores and updates the running maxima and sums; rows ≥ 1.")
	s, ld, rows, cols := base("s"), integer("ld"), integer("rows"), integer("cols")
	m, l := base("m"), base("l")
	scale := broadcast(address("scale2"))
	SHLQ(U8(2), ld)

	Label("row")
	lo, hi := integer("lo"), integer("hi")
	r := newColumnRange(lo, hi, cols)
	before, top := broadcast(Mem{Base: m}), newVec()
	VMOVAPS(before, top)
	r.each("max", func(j reg.GPVirtual, k *mask) {
		v := newVec()
		VMULPS(Mem{Base: s, Index: j, Scale: 4}, scale, v)
		if k != nil {
			k.blend(before, v)
		}
		// The second source is the maximum, which replaces a NaN.
		VMAXPS(top, v, top)
	})
	maxVector(top)
	VMOVSS(top.AsX(), Mem{Base: m})
	VBROADCASTSS(top.AsX(), top)
	VSUBPS(top, before, before)
	exp2(before)
	sum := YMM()
	VXORPS(sum, sum, sum)
	r.each("exp", func(j reg.GPVirtual, k *mask) {
		v := load(Mem{Base: s, Index: j, Scale: 4})
		VFMSUB213PS(top, scale, v)
		exp2(v)
		if k != nil {
			k.clear(v)
		}
		VMOVUPS(v, Mem{Base: s, Index: j, Scale: 4})
		addHalves(v, sum)
	})
	sumVector(sum)
	old := YMM()
	VMOVSS(Mem{Base: l}, old.AsX())
	VFMADD213SS(sum.AsX(), before.AsX(), old.AsX())
	VMOVSS(old.AsX(), Mem{Base: l})
	rescale := base("rescale")
	VMOVSS(before.AsX(), Mem{Base: rescale})
	r.clearOutside("clear", cols, s)

	advance(rows, []string{"rescale"})
	ADDQ(I8(4), m)
	ADDQ(I8(4), l)
	ADDQ(ld, s)
	DECQ(rows)
	JNZ(LabelRef("row"))
	finish()
}

// advance moves what a loop over rows keeps in its parameters' stack slots:
// the columns' bounds by step, and pointers that have no register.
func advance(rows reg.GPVirtual, pointers []string) {
	step := integer("step")
	ADDQ(step, address("lo"))
	ADDQ(step, address("hi"))
	for _, name := range pointers {
		b, err := Param(name).Base().Resolve()
		if err != nil {
			panic(err)
		}
		ADDQ(I8(4), b.Addr)
	}
}

func genGradTile() {
	function("gradTile", "func(s, dp []float32, ld, rows, cols, lo, hi, step int, scale2 float32, lse2, delta []float32)",
		"makes weights of scores and their gradients of dp; rows ≥ 1.")
	s, dp, ld, rows, cols := base("s"), base("dp"), integer("ld"), integer("rows"), integer("cols")
	scale := broadcast(address("scale2"))
	SHLQ(U8(2), ld)

	Label("row")
	lo, hi := integer("lo"), integer("hi")
	r := newColumnRange(lo, hi, cols)
	lse2, delta := base("lse2"), base("delta")
	sub, mean := broadcast(Mem{Base: lse2}), broadcast(Mem{Base: delta})
	r.each("exp", func(j reg.GPVirtual, m *mask) {
		p := load(Mem{Base: s, Index: j, Scale: 4})
		d := load(Mem{Base: dp, Index: j, Scale: 4})
		VFMSUB213PS(sub, scale, p)
		exp2(p)
		VSUBPS(mean, d, d)
		VMULPS(p, d, d)
		if m != nil {
			m.clear(p)
			m.clear(d)
		}
		VMOVUPS(p, Mem{Base: s, Index: j, Scale: 4})
		VMOVUPS(d, Mem{Base: dp, Index: j, Scale: 4})
	})
	r.clearOutside("clear", cols, s, dp)
	advance(rows, []string{"lse2", "delta"})
	ADDQ(ld, s)
	ADDQ(ld, dp)
	DECQ(rows)
	JNZ(LabelRef("row"))
	finish()
}
