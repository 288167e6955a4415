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
}

// newColumnRange clamps lo and hi, which it leaves as they are. A range that
// is empty ends where it begins.
func newColumnRange(lo, hi, cols reg.GPVirtual) columnRange {
	r := columnRange{GP64(), GP64(), GP64(), GP64(), GP64()}
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
	return r
}

// mask returns the lanes of the vector at column j that lie in the range.
func (r columnRange) mask(j reg.GPVirtual) mask {
	everywhere := func(n reg.GPVirtual) vec {
		x := newVec()
		VMOVD(n.As32(), x.AsX())
		VPBROADCASTD(x.AsX(), x)
		return x
	}
	index, before := everywhere(j), GP64()
	VPADDD(counting(), index, index)
	LEAQ(Mem{Base: r.from, Disp: -1}, before)
	low, high := everywhere(before), everywhere(r.to)
	if set == avx512 {
		below, m := K(), K()
		VPCMPGTD(index, high, below)
		VPCMPGTD(low, index, below, m)
		return mask{bits: m}
	}
	VPCMPGTD(index, high, high)
	VPCMPGTD(low, index, index)
	VPAND(high, index, index)
	return mask{vector: index}
}

// each runs body on the vectors that hold columns of the range: without a mask,
// two in a turn, where all lanes do. Vectors before the last one are masked only when the
// range begins after column 0, which takes a window.
func (r columnRange) each(label string, body func(place)) {
	j := GP64()
	MOVQ(r.first, j)
	TESTQ(r.from, r.from)
	JNZ(LabelRef(label + "masked"))
	end := GP64()
	LEAQ(Mem{Base: r.inner, Disp: -lanes}, end)
	CMPQ(j, end)
	JGE(LabelRef(label + "one"))
	Label(label)
	body(place{index: j})
	body(place{index: j, unroll: 1})
	ADDQ(I8(2*lanes), j)
	CMPQ(j, end)
	JL(LabelRef(label))
	Label(label + "one")
	CMPQ(j, r.inner)
	JGE(LabelRef(label + "masked"))
	body(place{index: j})
	ADDQ(I8(lanes), j)
	Label(label + "masked")
	CMPQ(j, r.last)
	JGE(LabelRef(label + "end"))
	m := r.mask(j)
	body(place{index: j, mask: &m})
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

// genSoftmaxTile goes over the rows twice, first for their maxima: what a row
// waits for, the maximum's reduction, hides behind the other rows, and the
// factors between old and new maxima are computed a vector of rows at a time.
func genSoftmaxTile() {
	function("softmaxTile", "func(s []float32, ld, rows, cols, lo, hi, step int, scale2 float32, m, l, rescale []float32)",
		"makes weights of scores and updates the running maxima and sums; rows ≥ 1.")
	ld, cols := integer("ld"), integer("cols")
	scale := broadcast(address("scale2"))
	SHLQ(U8(2), ld)
	power := newExp2()

	of := func(name string, row reg.GPVirtual) Mem { return Mem{Base: base(name), Index: row, Scale: 4} }
	eachRow := func(label string, body func(s, row reg.GPVirtual, r columnRange)) {
		s, lo, hi, row := base("s"), integer("lo"), integer("hi"), GP64()
		XORQ(row, row)
		Label(label)
		body(s, row, newColumnRange(lo, hi, cols))
		ADDQ(address("step"), lo)
		ADDQ(address("step"), hi)
		ADDQ(ld, s)
		INCQ(row)
		CMPQ(row, address("rows"))
		JL(LabelRef(label))
	}
	eachRow("maxima", func(s, row reg.GPVirtual, r columnRange) {
		before, top := broadcast(of("m", row)), newVec()
		VMOVAPS(before, top)
		r.each("max", func(p place) {
			v := newVec()
			VMULPS(p.mem(s), scale, v)
			if p.mask != nil {
				p.mask.blend(before, v)
			}
			// The second source is the maximum, which replaces a NaN.
			VMAXPS(top, v, top)
		})
		maxVector(top)
		VMOVSS(top.AsX(), of("rescale", row))
	})

	m, rescale, count := base("m"), base("rescale"), integer("rows")
	each("factors", count, func(p place) {
		before, top := p.load(m), p.load(rescale)
		p.store(top, m)
		VSUBPS(top, before, before)
		power.of(before)
		p.store(before, rescale)
	})

	eachRow("weights", func(s, row reg.GPVirtual, r columnRange) {
		top, sum := broadcast(of("m", row)), YMM()
		VXORPS(sum, sum, sum)
		r.each("exp", func(p place) {
			v := load(p.mem(s))
			VFMSUB213PS(top, scale, v)
			power.of(v)
			p.cut(v)
			VMOVUPS(v, p.mem(s))
			addHalves(v, sum)
		})
		sumVector(sum)
		l, total := of("l", row), YMM()
		VMOVSS(l, total.AsX())
		VFMADD132SS(of("rescale", row), sum.AsX(), total.AsX())
		VMOVSS(total.AsX(), l)
		r.clearOutside("clear", cols, s)
	})
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
	power := newExp2()

	Label("row")
	lo, hi := integer("lo"), integer("hi")
	r := newColumnRange(lo, hi, cols)
	lse2, delta := base("lse2"), base("delta")
	sub, mean := broadcast(Mem{Base: lse2}), broadcast(Mem{Base: delta})
	r.each("exp", func(p place) {
		w, d := load(p.mem(s)), load(p.mem(dp))
		VFMSUB213PS(sub, scale, w)
		power.of(w)
		VSUBPS(mean, d, d)
		VMULPS(w, d, d)
		p.cut(w)
		p.cut(d)
		VMOVUPS(w, p.mem(s))
		VMOVUPS(d, p.mem(dp))
	})
	r.clearOutside("clear", cols, s, dp)
	advance(rows, []string{"lse2", "delta"})
	ADDQ(ld, s)
	ADDQ(ld, dp)
	DECQ(rows)
	JNZ(LabelRef("row"))
	finish()
}

// genScaleRows copies rows between strides. It fetches a few rows ahead, since
// rows of a tensor lie pages apart and nothing else foresees them.
func genScaleRows() {
	const ahead = 4
	function("scaleRows", "func(dst []float32, ldd int, src []float32, lds, rows, cols int, s float32)",
		"sets dst's rows to src's times s; rows ≥ 1.")
	dst, src, ldd, lds := base("dst"), base("src"), integer("ldd"), integer("lds")
	factor, rows, next := broadcast(address("s")), integer("rows"), GP64()
	for _, r := range []reg.GPVirtual{ldd, lds} {
		SHLQ(U8(2), r)
	}
	Label("row")
	LEAQ(Mem{Base: src, Index: lds, Scale: ahead}, next)
	n, i := integer("cols"), GP64()
	XORQ(i, i)
	body := func(p place) {
		if p.mask == nil {
			if p.unroll*lanes%16 == 0 {
				PREFETCHT0(p.mem(next))
			}
			x := newVec()
			VMULPS(p.mem(src), factor, x)
			VMOVUPS(x, p.mem(dst))
			return
		}
		x := p.load(src)
		VMULPS(factor, x, x)
		p.store(x, dst)
	}
	groups("group", i, n, 32/lanes, body)
	groups("vector", i, n, 1, body)
	rest("rest", i, n, body)
	ADDQ(ldd, dst)
	ADDQ(lds, src)
	DECQ(rows)
	JNZ(LabelRef("row"))
	finish()
}
