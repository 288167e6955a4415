package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A panel of bfloat16 holds pairs of steps: the word of a column has the first
// step's number in its low half, the second one's in its high half.

// genBF16 writes the products of bfloat16 panels for AVX2, which knows no
// bfloat16: a shift makes a float of a low half, a mask of a high one.
func genBF16() {
	high := GLOBL("bf16High", RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(0xffff0000))
	}
	for rows := maxRows; rows >= 1; rows-- {
		genStripsBF16(rows, high)
	}
	genFewBF16(1, 4, high)
	genFewBF16(2, 2, high)
	genFewBF16(3, 2, high)
	genRoundBF16(high)
	genPackPairs(high)
}

// genStripsBF16 writes gemmBF16xN: strips of N rows of C times one panel. Every
// N runs the same chain for each element.
func genStripsBF16(rows int, high Mem) {
	TEXT(fmt.Sprintf("gemmBF16x%d", rows), NOSPLIT,
		"func(c *float32, ldc int, a *float32, lda int, b *uint32, pairs, strips int, add bool)")
	Doc(fmt.Sprintf("gemmBF16x%d computes (or adds, if add) strips × %d rows of C, one panel wide.", rows, rows),
		"a is row-major and already rounded, b one block of a bfloat16 panel, both pairs ≥ 1",
		"pairs of steps; strides are in floats.")
	Pragma("noescape")

	c := Load(Param("c"), GP64())
	ldc := Load(Param("ldc"), GP64())
	a := Load(Param("a"), GP64())
	lda := Load(Param("lda"), GP64())
	b := Load(Param("b"), GP64())
	pairs := Load(Param("pairs"), GP64())
	strips := Load(Param("strips"), GP64())
	add := Load(Param("add"), GP8())
	SHLQ(U8(2), ldc)
	SHLQ(U8(2), lda)

	aLow, aHigh, bAt, count := GP64(), GP64(), GP64(), GP64()
	cHigh := GP64()
	row := func(low, high, stride reg.Register, r, disp int) Mem {
		base := low
		if r >= 3 {
			base, r = high, r-3
		}
		m := Mem{Base: base, Disp: disp}
		if r > 0 {
			m.Index, m.Scale = stride, uint8(r)
		}
		return m
	}
	setHigh := func(low, high, stride reg.Register) {
		if rows > 3 {
			LEAQ(Mem{Base: low, Index: stride, Scale: 2}, high)
			ADDQ(stride, high)
		}
	}

	acc := make([][2]reg.VecVirtual, rows)
	for r := range acc {
		acc[r] = [2]reg.VecVirtual{YMM(), YMM()}
	}
	mask, b0, b1, scalar := YMM(), YMM(), YMM(), YMM()
	VMOVDQU(high, mask)
	half := func(u, disp int) {
		for r := range rows {
			VBROADCASTSS(row(aLow, aHigh, lda, r, 8*u+disp), scalar)
			VFMADD231PS(b0, scalar, acc[r][0])
			VFMADD231PS(b1, scalar, acc[r][1])
		}
	}
	pair := func(u int) {
		at := Mem{Base: bAt, Disp: u * panelBytes}
		PREFETCHT1(at.Offset(ahead / 2))
		VMOVDQU(at, b0)
		VMOVDQU(at.Offset(32), b1)
		VPSLLD(U8(16), b0, b0)
		VPSLLD(U8(16), b1, b1)
		half(u, 0)
		VPAND(at, mask, b0)
		VPAND(at.Offset(32), mask, b1)
		half(u, 4)
	}

	Label("strip")
	MOVQ(a, aLow)
	setHigh(aLow, aHigh, lda)
	setHigh(c, cHigh, ldc)
	MOVQ(b, bAt)
	for r := range rows {
		PREFETCHT0(row(c, cHigh, ldc, r, 0))
		PREFETCHT0(row(c, cHigh, ldc, r, panelBytes-4))
	}
	for r := range rows {
		VXORPS(acc[r][0], acc[r][0], acc[r][0])
		VXORPS(acc[r][1], acc[r][1], acc[r][1])
	}
	advance := func(pairs int) {
		ADDQ(U8(8*pairs), aLow)
		if rows > 3 {
			ADDQ(U8(8*pairs), aHigh)
		}
		ADDQ(U32(panelBytes*pairs), bAt)
	}
	MOVQ(pairs, count)
	SHRQ(U8(1), count)
	JZ(LabelRef("rest"))
	Label("unrolled")
	pair(0)
	pair(1)
	advance(2)
	DECQ(count)
	JNZ(LabelRef("unrolled"))

	Label("rest")
	TESTQ(U32(1), pairs)
	JZ(LabelRef("store"))
	pair(0)

	Label("store")
	TESTB(add, add)
	JZ(LabelRef("replace"))
	for r := range rows {
		VADDPS(row(c, cHigh, ldc, r, 0), acc[r][0], acc[r][0])
		VADDPS(row(c, cHigh, ldc, r, 32), acc[r][1], acc[r][1])
	}
	Label("replace")
	for r := range rows {
		VMOVUPS(acc[r][0], row(c, cHigh, ldc, r, 0))
		VMOVUPS(acc[r][1], row(c, cHigh, ldc, r, 32))
	}
	for range rows {
		ADDQ(lda, a)
		ADDQ(ldc, c)
	}
	DECQ(strips)
	JNZ(LabelRef("strip"))
	VZEROUPPER()
	RET()
}

// genFewBF16 writes gemmBF16NxP: N rows of C times P neighbouring panels.
func genFewBF16(rows, panels int, high Mem) {
	TEXT(fmt.Sprintf("gemmBF16few%dx%d", rows, panels), NOSPLIT,
		"func(c *float32, ldc int, a *float32, lda int, b *uint32, ldp, pairs int, add bool)")
	Doc(fmt.Sprintf("gemmBF16few%dx%d computes (or adds, if add) %d rows of C, %d panels wide.", rows, panels, rows, panels),
		"The panels' blocks of pairs ≥ 1 pairs start ldp words apart; the rest is as in gemmBF16x6.")
	Pragma("noescape")

	c := Load(Param("c"), GP64())
	ldc := Load(Param("ldc"), GP64())
	a := Load(Param("a"), GP64())
	lda := Load(Param("lda"), GP64())
	b := Load(Param("b"), GP64())
	ldp := Load(Param("ldp"), GP64())
	pairs := Load(Param("pairs"), GP64())
	add := Load(Param("add"), GP8())
	SHLQ(U8(2), ldc)
	SHLQ(U8(2), lda)
	SHLQ(U8(2), ldp)
	ldp3 := GP64()
	LEAQ(Mem{Base: ldp, Index: ldp, Scale: 2}, ldp3)
	at := func(base, stride, stride3 reg.Register, i, disp int) Mem {
		m := Mem{Base: base, Disp: disp}
		switch i {
		case 0:
		case 3:
			m.Index, m.Scale = stride3, 1
		default:
			m.Index, m.Scale = stride, uint8(i)
		}
		return m
	}

	acc := make([][]reg.VecVirtual, rows)
	for r := range acc {
		acc[r] = make([]reg.VecVirtual, 2*panels)
		for i := range acc[r] {
			acc[r][i] = YMM()
			VXORPS(acc[r][i], acc[r][i], acc[r][i])
		}
	}
	scalar, x := make([]reg.VecVirtual, rows), YMM()
	for r := range rows {
		scalar[r] = YMM()
	}
	Label("pair")
	for half := range 2 {
		for r := range rows {
			VBROADCASTSS(at(a, lda, nil, r, 4*half), scalar[r])
		}
		for i := range 2 * panels {
			VMOVDQU(at(b, ldp, ldp3, i/2, i%2*32), x)
			if half == 0 {
				VPSLLD(U8(16), x, x)
			} else {
				VPAND(high, x, x)
			}
			for r := range rows {
				VFMADD231PS(x, scalar[r], acc[r][i])
			}
		}
	}
	ADDQ(U8(8), a)
	ADDQ(U8(panelBytes), b)
	DECQ(pairs)
	JNZ(LabelRef("pair"))

	TESTB(add, add)
	JZ(LabelRef("replace"))
	for r := range rows {
		for i, x := range acc[r] {
			VADDPS(at(c, ldc, nil, r, 32*i), x, x)
		}
	}
	Label("replace")
	for r := range rows {
		for i, x := range acc[r] {
			VMOVUPS(x, at(c, ldc, nil, r, 32*i))
		}
	}
	VZEROUPPER()
	RET()
}

// rounding holds the constants of a rounding to bfloat16.
type rounding struct{ one, bias, quiet, high reg.VecVirtual }

func loadRounding(high Mem) rounding {
	r := rounding{YMM(), YMM(), YMM(), YMM()}
	VMOVDQU(high, r.high)
	VPSRLD(U8(31), r.high, r.one)  // 1
	VPSRLD(U8(17), r.high, r.bias) // 0x7fff
	VPSLLD(U8(22), r.one, r.quiet) // the bit of a quiet NaN
	return r
}

// round rounds the floats x to the nearest bfloat16, ties to even, whose bits
// are the high half. A NaN stays one: adding to its bits could make it an
// infinity, so it only gets its quiet bit.
func (r rounding) round(x reg.VecVirtual) {
	lsb, nan, kept := YMM(), YMM(), YMM()
	VCMPPS(U8(3), x, x, nan) // unordered
	VPOR(r.quiet, x, kept)
	VPSRLD(U8(16), x, lsb)
	VPAND(r.one, lsb, lsb)
	VPADDD(r.bias, x, x)
	VPADDD(lsb, x, x)
	VBLENDVPS(nan, kept, x, x)
	VPAND(r.high, x, x)
}

// genRoundBF16 writes the rounding of a row.
func genRoundBF16(high Mem) {
	TEXT("roundBF16AVX2", NOSPLIT, "func(dst, src *float32, eights int)")
	Doc("roundBF16AVX2 sets dst to src rounded to bfloat16, 8·eights ≥ 8 floats; dst may be src.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	eights := Load(Param("eights"), GP64())
	r := loadRounding(high)
	x := YMM()
	Label("eight")
	VMOVDQU(Mem{Base: src}, x)
	r.round(x)
	VMOVDQU(x, Mem{Base: dst})
	ADDQ(U8(32), src)
	ADDQ(U8(32), dst)
	DECQ(eights)
	JNZ(LabelRef("eight"))
	VZEROUPPER()
	RET()
}

// genPackPairs writes the packing of one panel from rows of 16 floats.
func genPackPairs(high Mem) {
	TEXT("packPairsAVX2", NOSPLIT, "func(dst *uint32, src *float32, ld, pairs int)")
	Doc("packPairsAVX2 rounds 2·pairs ≥ 2 rows of 16 floats, the starts ld floats apart, and stores",
		"each two of them as a row of 16 words.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	ld := Load(Param("ld"), GP64())
	pairs := Load(Param("pairs"), GP64())
	SHLQ(U8(2), ld)
	r := loadRounding(high)
	x, y := YMM(), YMM()
	Label("pair")
	for half := range 2 {
		VMOVDQU(Mem{Base: src, Disp: 32 * half}, x)
		VMOVDQU(Mem{Base: src, Index: ld, Scale: 1, Disp: 32 * half}, y)
		r.round(x)
		r.round(y)
		VPSRLD(U8(16), x, x)
		VPOR(y, x, x)
		VMOVDQU(x, Mem{Base: dst, Disp: 32 * half})
	}
	LEAQ(Mem{Base: src, Index: ld, Scale: 2}, src)
	ADDQ(U8(panelBytes), dst)
	DECQ(pairs)
	JNZ(LabelRef("pair"))
	VZEROUPPER()
	RET()
}
