package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// In AVX-512 a row of a panel is one register. The tile is 8 rows by 3 panels:
// 24 accumulators, the three rows of the panels and what is broadcast from the
// left matrix fill 29 of the 32 registers.
const (
	wideRows   = 8
	widePanels = 3
	vectorRow  = 64 // bytes of a panel's row

	// A strip of many fetches as many runs of lines as a panel has for its share
	// of the strips of a block of rows, a line of each place for every
	// fetchSteps steps of float32.
	fetchRuns  = 4
	fetchSteps = 4
)

// product is a kind of operands.
type product struct {
	name  string // of the functions
	b     string // type of the packed matrix
	steps string // name of the number of its rows
	lines int    // that fetchSteps of its steps fetch of each place
	doc   string
}

var (
	float32Product = product{"gemm", "float32", "kc", 1, "a is row-major, b one block of packed panels, both kc ≥ 1 steps"}
	widenedBF16    = product{"gemmBF16", "uint32", "pairs", 2, "a is row-major and already rounded, b one block of bfloat16 panels, both pairs ≥ 1 pairs of steps"}
	dotBF16        = product{"dotBF16", "uint32", "pairs", 2, "a is row-major in words of two bfloat16, b one block of bfloat16 panels, both pairs ≥ 1 words"}
)

// genGemmAVX512 writes the matrix products.
func genGemmAVX512() {
	writeFor(avx512)
	for _, p := range []product{float32Product, widenedBF16, dotBF16} {
		for panels := widePanels; panels >= 1; panels-- {
			for rows := wideRows; rows >= 1; rows-- {
				genBlock(p, rows, panels, false)
			}
			genBlock(p, wideRows, panels, true)
		}
		// A single row is bound by memory; more panels are more streams.
		genBlock(p, 1, 4, false)
	}
	genCopyPanelAVX512()
	genRoundAVX512()
	genPackPairsAVX512()
	genPackWords()
	genPeakAVX512()
}

// genBlock writes strips of rows of C times neighbouring panels, for one block
// of the inner dimension. Every size runs the same chain for each element, the
// one of AVX2's kernels, dot products of two apart.
//
// The tiles of few rows read a group of panels once, from memory if they must, and
// fetch the next group's line at every step. The tiles of many strips (many) fetch
// what the caller says, as AVX2's do.
func genBlock(p product, rows, panels int, many bool) {
	plain := fmt.Sprintf("%s%dx%dAVX512", p.name, rows, panels)
	name, signature := plain, fmt.Sprintf("func(c *float32, ldc int, a *float32, lda int, b *%s, ldp, %s, strips int, last uint16, add bool", p.b, p.steps)
	doc := []string{fmt.Sprintf("%s computes (or adds, if add) strips × %d rows of C, %d panels wide, of the last one the columns in last.", plain, rows, panels),
		p.doc + ";", "the panels are ldp apart in b, rows lda and ldc floats."}
	if many {
		name = fmt.Sprintf("%sMany%dx%dAVX512", p.name, rows, panels)
		signature += fetchParameters
		lines := fmt.Sprintf("%s/%d", p.steps, fetchRuns*fetchSteps/p.lines)
		doc = []string{fmt.Sprintf("%s is %s for many strips. During each strip it brings %d times %s cache", name, plain, fetchRuns, lines),
			"lines, line0 floats apart, into the second-level cache, the first strip's first time from fetch0, each",
			"next time from strip0 floats further; and as many from fetch1."}
	}
	TEXT(name, NOSPLIT, signature+")")
	Doc(doc...)
	Pragma("noescape")

	c := Load(Param("c"), GP64())
	a := Load(Param("a"), GP64())
	lda := Load(Param("lda"), GP64())
	b := Load(Param("b"), GP64())
	ldp := Load(Param("ldp"), GP64())
	strips := Load(Param("strips"), GP64())
	SHLQ(U8(2), lda)
	SHLQ(U8(2), ldp)
	var fetched fetches
	var runs Mem
	if many {
		runs = AllocLocal(8)
		fetched = loadFetches()
	}
	lda3, ldp3 := GP64(), GP64()
	if rows > 3 {
		LEAQ(Mem{Base: lda, Index: lda, Scale: 2}, lda3)
	}
	if panels > 3 {
		LEAQ(Mem{Base: ldp, Index: ldp, Scale: 2}, ldp3)
	}
	tail, inLast, lastAt := GP32(), K(), address("last")
	Load(Param("last"), tail)
	KMOVW(tail, inLast)

	aLow, aHigh, bAt, count := GP64(), GP64(), GP64(), GP64()
	strided := func(base, stride, stride3 reg.Register, i, disp int) Mem {
		switch i {
		case 0:
			return Mem{Base: base, Disp: disp}
		case 3:
			return Mem{Base: base, Index: stride3, Scale: 1, Disp: disp}
		}
		return Mem{Base: base, Index: stride, Scale: uint8(i), Disp: disp}
	}
	// row r of A is at aLow + r·lda for r < 4, at aHigh + (r−4)·lda otherwise.
	left := func(r, disp int) Mem {
		if r >= 4 {
			return strided(aHigh, lda, lda3, r-4, disp)
		}
		return strided(aLow, lda, lda3, r, disp)
	}
	right := func(panel, disp int) Mem { return strided(bAt, ldp, ldp3, panel, disp) }

	// The registers are numbered here: an instruction written as bytes has no
	// others.
	acc := func(r, panel int) reg.VecPhysical { return zmm[r*panels+panel] }
	at := func(panel int) reg.VecPhysical { return zmm[24+panel] }
	scalar := func(r int) reg.VecPhysical { return zmm[28+r%2] }
	high := zmm[30]
	multiply := func(r int) {
		for panel := range panels {
			if p == dotBF16 {
				dotProduct(at(panel), scalar(r), acc(r, panel))
			} else {
				VFMADD231PS(at(panel), scalar(r), acc(r, panel))
			}
		}
	}
	// step takes row u of the panels: a step of the inner dimension, or two. In a
	// product of few rows it fetches that row of the next group of panels.
	next := GP64()
	step := func(u int) {
		if !many {
			for panel := range panels {
				PREFETCHT1(strided(next, ldp, ldp3, panel, vectorRow*u))
			}
		}
		switch p {
		case float32Product, dotBF16:
			for panel := range panels {
				VMOVUPS(right(panel, vectorRow*u), at(panel))
			}
			for r := range rows {
				VBROADCASTSS(left(r, 4*u), scalar(r))
				multiply(r)
			}
		case widenedBF16:
			for half := range 2 {
				for panel := range panels {
					if half == 0 {
						VPSLLD(U8(16), right(panel, vectorRow*u), at(panel))
					} else {
						VPANDD(right(panel, vectorRow*u), high, at(panel))
					}
				}
				for r := range rows {
					VBROADCASTSS(left(r, 8*u+4*half), scalar(r))
					multiply(r)
				}
			}
		}
	}
	stepBytes := 4 // of a row of A
	if p == widenedBF16 {
		stepBytes = 8
		ones := GP32()
		MOVL(U32(0xffff0000), ones)
		VPBROADCASTD(ones, high)
	}
	advance := func(steps int) {
		ADDQ(U8(stepBytes*steps), aLow)
		if rows > 4 {
			ADDQ(U8(stepBytes*steps), aHigh)
		}
		ADDQ(U32(vectorRow*steps), bAt)
		if !many {
			ADDQ(U32(vectorRow*steps), next)
		}
	}

	Label("strip")
	MOVQ(a, aLow)
	if rows > 4 {
		LEAQ(Mem{Base: a, Index: lda, Scale: 4}, aHigh)
	}
	MOVQ(b, bAt)
	if !many {
		LEAQ(right(panels-1, 0), next)
		ADDQ(ldp, next)
	}
	ldc, row := GP64(), GP64()
	Load(Param("ldc"), ldc)
	MOVQ(c, row)
	for r := range rows {
		for panel := range panels {
			PREFETCHT0(Mem{Base: row, Disp: vectorRow * panel})
		}
		if r+1 < rows {
			LEAQ(Mem{Base: row, Index: ldc, Scale: 4}, row)
		}
	}
	for r := range rows {
		for panel := range panels {
			VPXORD(acc(r, panel), acc(r, panel), acc(r, panel))
		}
	}
	// Small tiles have little to do between two jumps.
	unroll := 4
	switch {
	case many:
		unroll = fetchSteps
		MOVQ(U32(fetchRuns), runs)
	case rows*panels > 8:
		unroll = 2
	}
	together := unroll // the steps that end in step "rest" are fewer
	if many {
		together *= fetchRuns
		Label("run")
		fetched.begin()
	}
	Load(Param(p.steps), count)
	SHRQ(U8(bits.TrailingZeros(uint(together))), count)
	JZ(LabelRef("rest"))
	Label("unrolled")
	for u := range unroll {
		if each := unroll / (len(fetched.at) * p.lines); many && u%each == 0 {
			fetched.line(u / each % len(fetched.at))
		}
		step(u)
	}
	advance(unroll)
	DECQ(count)
	JNZ(LabelRef("unrolled"))
	if many {
		fetched.next(count)
		DECQ(runs)
		JNZ(LabelRef("run"))
	}

	Label("rest")
	Load(Param(p.steps), count)
	ANDQ(U8(together-1), count)
	JZ(LabelRef("store"))
	Label("single")
	step(0)
	advance(1)
	DECQ(count)
	JNZ(LabelRef("single"))

	Label("store")
	ldc = GP64()
	Load(Param("ldc"), ldc)
	add := Load(Param("add"), GP8())
	TESTB(add, add)
	JZ(LabelRef("replace"))
	row = GP64()
	MOVQ(c, row)
	for r := range rows {
		for panel := range panels {
			m, x := Mem{Base: row, Disp: vectorRow * panel}, acc(r, panel)
			if panel == panels-1 {
				VADDPS_Z(m, x, inLast, x)
			} else {
				VADDPS(m, x, x)
			}
		}
		if r+1 < rows {
			LEAQ(Mem{Base: row, Index: ldc, Scale: 4}, row)
		}
	}
	// A store under a mask costs more than a whole one on some processors.
	Label("replace")
	CMPW(lastAt, I16(-1))
	JNE(LabelRef("masked"))
	store := func(last func(x, m Op)) {
		for r := range rows {
			for panel := range panels {
				m, x := Mem{Base: c, Disp: vectorRow * panel}, acc(r, panel)
				if panel == panels-1 {
					last(x, m)
				} else {
					VMOVUPS(x, m)
				}
			}
			LEAQ(Mem{Base: c, Index: ldc, Scale: 4}, c)
		}
	}
	store(func(x, m Op) { VMOVUPS(x, m) })
	JMP(LabelRef("next"))
	Label("masked")
	store(func(x, m Op) { VMOVUPS(x, inLast, m) })
	Label("next")
	for range rows {
		ADDQ(lda, a)
	}
	DECQ(strips)
	JNZ(LabelRef("strip"))
	VZEROUPPER()
	RET()
}

var zmm = [32]reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
	reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
	reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// dotProduct writes VDPBF16PS, which adds to each float of acc the products of
// the two bfloat16 in the same words of x and y. Neither avo nor Go's assembler
// knows it: EVEX.512.F3.0F38.W0 52 /r (Intel SDM, volume 2, VDPBF16PS), where
// the prefix holds the registers' upper bits inverted.
func dotProduct(x, y, acc reg.VecPhysical) {
	rm, vvvv, r := number(x), number(y), number(acc)
	not := func(n, bit int) int { return (^n >> bit) & 1 }
	Commentf("VDPBF16PS Z%d, Z%d, Z%d", rm, vvvv, r)
	prefix := []int{
		0x62,
		not(r, 3)<<7 | not(rm, 4)<<6 | not(rm, 3)<<5 | not(r, 4)<<4 | 2, // R X B R′, map 0F38
		(^vvvv&15)<<3 | 1<<2 | 2, // W0, vvvv, F3
		2<<5 | not(vvvv, 4)<<3,   // 512 bits, V′
	}
	Instruction(&ir.Instruction{Opcode: "LONG", Operands: []Op{U32(prefix[0] | prefix[1]<<8 | prefix[2]<<16 | prefix[3]<<24)}})
	modRM := 3<<6 | (r&7)<<3 | rm&7
	Instruction(&ir.Instruction{Opcode: "WORD", Operands: []Op{U16(0x52 | modRM<<8)}})
}

func number(z reg.VecPhysical) int {
	for i, r := range zmm {
		if r == z {
			return i
		}
	}
	panic("no register of 512 bits")
}

// genCopyPanelAVX512 writes the packing of one panel from rows of 16 floats.
func genCopyPanelAVX512() {
	function("copyPanel", "func(dst, src *float32, ld, rows int)",
		"copies rows ≥ 1 rows of 16 floats, the starts ld floats apart, one after another.")
	dst, src, ld, rows := integer("dst"), integer("src"), integer("ld"), integer("rows")
	SHLQ(U8(2), ld)
	Label("row")
	x := load(Mem{Base: src})
	VMOVUPS(x, Mem{Base: dst})
	ADDQ(ld, src)
	ADDQ(U8(vectorRow), dst)
	DECQ(rows)
	JNZ(LabelRef("row"))
	finish()
}

// bf16Rounding holds the constants of a rounding to bfloat16. The rounding is
// done on integers, not by VCVTNE2PS2BF16, which makes 0 of subnormal numbers:
// so the packed words are those of every other set.
type bf16Rounding struct{ one, bias, quiet, high vec }

func loadBF16Rounding() bf16Rounding {
	word := func(v uint32) vec {
		x, w := newVec(), GP32()
		MOVL(U32(v), w)
		VPBROADCASTD(w, x)
		return x
	}
	return bf16Rounding{word(1), word(0x7fff), word(1 << 22), word(0xffff0000)}
}

// round rounds the floats x to the nearest bfloat16, ties to even, whose bits
// are the high half. A NaN stays one: it only gets its quiet bit.
func (r bf16Rounding) round(x vec) {
	lsb, kept, nan := newVec(), newVec(), K()
	VCMPPS(U8(3), x, x, nan) // unordered
	VPORD(r.quiet, x, kept)
	VPSRLD(U8(16), x, lsb)
	VPANDD(r.one, lsb, lsb)
	VPADDD(r.bias, x, x)
	VPADDD(lsb, x, x)
	VMOVDQA32(kept, nan, x)
	VPANDD(r.high, x, x)
}

// genRoundAVX512 writes the rounding of a row.
func genRoundAVX512() {
	function("roundBF16", "func(dst, x []float32)",
		"sets dst to x rounded to bfloat16; dst may be x.")
	dst, x, n := base("dst"), base("x"), length("x")
	r := loadBF16Rounding()
	each("loop", n, func(p place) {
		v := p.load(x)
		r.round(v)
		p.store(v, dst)
	})
	finish()
}

// genPackPairsAVX512 writes the packing of one panel from rows of 16 floats.
func genPackPairsAVX512() {
	function("packPairs", "func(dst *uint32, src *float32, ld, pairs int)",
		"rounds 2·pairs ≥ 2 rows of 16 floats, the starts ld floats apart, and stores",
		"each two of them as a row of 16 words.")
	dst, src, ld, pairs := integer("dst"), integer("src"), integer("ld"), integer("pairs")
	SHLQ(U8(2), ld)
	r := loadBF16Rounding()
	Label("pair")
	x, y := load(Mem{Base: src}), load(Mem{Base: src, Index: ld, Scale: 1})
	r.round(x)
	r.round(y)
	VPSRLD(U8(16), x, x)
	VPORD(y, x, x)
	VMOVUPS(x, Mem{Base: dst})
	LEAQ(Mem{Base: src, Index: ld, Scale: 2}, src)
	ADDQ(U8(vectorRow), dst)
	DECQ(pairs)
	JNZ(LabelRef("pair"))
	finish()
}

// genPackWords writes the rounding of a row of the left matrix into words of
// two steps.
func genPackWords() {
	function("packWords", "func(dst *float32, x []float32)",
		"rounds x to bfloat16 and stores each two of them as a word of dst, the first in the low",
		"half; an odd last one has 0 beside it. dst may be x, whose words are read first.")
	dst, x, n := integer("dst"), base("x"), length("x")
	r := loadBF16Rounding()
	i, words := GP64(), GP64()
	XORQ(i, i)
	pack := func(v vec) (words vec) {
		odd, low := newVec(), newVec()
		r.round(v)
		VPSRLQ(U8(32), v, odd)
		VPSRLD(U8(16), v, low)
		VPORD(odd, low, low)
		VPMOVQD(low, low.AsY())
		return low
	}
	groups("loop", i, n, 1, func(p place) {
		v := p.load(x)
		VMOVUPS(pack(v).AsY(), Mem{Base: dst, Index: i, Scale: 2})
	})
	ANDQ(I8(lanes-1), n)
	JZ(LabelRef("done"))
	LEAQ(Mem{Base: n, Disp: 1}, words)
	SHRQ(U8(1), words)
	m := tailMask(n)
	v := m.load(Mem{Base: x, Index: i, Scale: 4})
	VMOVUPS(pack(v).AsY(), tailMask(words).bits, Mem{Base: dst, Index: i, Scale: 2})
	Label("done")
	finish()
}

// genPeakAVX512 writes the loop that measures the ceiling of a core.
func genPeakAVX512() {
	TEXT("peakAVX512", NOSPLIT, "func(steps int)")
	Doc("peakAVX512 runs steps × 12 independent multiply-adds of sixteen floats, steps ≥ 1.")
	steps := integer("steps")
	x, y := zero(), zero()
	acc := make([]vec, 2*maxRows)
	for i := range acc {
		acc[i] = zero()
	}
	Label("step")
	for i := range acc {
		VFMADD231PS(x, y, acc[i])
	}
	DECQ(steps)
	JNZ(LabelRef("step"))
	finish()
}
