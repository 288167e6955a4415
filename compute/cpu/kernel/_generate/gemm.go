package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	panelCols  = 16 // NR: two YMM registers
	panelBytes = 4 * panelCols
	ahead      = 256 * panelBytes // a block of a panel: the same line of the next panel
	maxRows    = 6                // MR: 6 × 2 accumulators leave four registers to work with
	lineSteps  = 16               // steps of gemmMany6 for each line that it fetches
)

// genGemm writes the matrix product half of the package.
func genGemm() {
	for rows := maxRows; rows >= 1; rows-- {
		genStrips(rows, false)
	}
	genStrips(maxRows, true)
	genFew(1, 4)
	genFew(2, 2)
	genFew(3, 2)
	genCopyPanel()
	genTranspose()
	genPeak()
}

// genStrips writes gemmN: strips of N rows of C times one panel, one block of
// the inner dimension. Every N runs the same chain for each element.
//
// The tiles of few rows read a panel once, from memory if they must, and fetch
// the line of the next panel at every step. The tile of many strips (many)
// finds its panel in the cache, and fetches what the caller says, a line of each
// of two places for every lineSteps steps: an instruction at each step would cost
// a fiftieth of the time.
func genStrips(rows int, many bool) {
	name, signature := fmt.Sprintf("gemm%d", rows), "func(c *float32, ldc int, a *float32, lda int, b *float32, kc, strips int, add bool)"
	doc := []string{fmt.Sprintf("%s computes (or adds, if add) strips × %d rows of C, one panel wide.", name, rows),
		"a is row-major, b one block of a packed panel, both kc ≥ 1 steps; strides are in floats."}
	unroll := 4
	if many {
		name, signature = fmt.Sprintf("gemmMany%d", rows), "func(c *float32, ldc int, a *float32, lda int, b *float32, kc, strips int, add bool"+fetchParameters+")"
		doc = []string{fmt.Sprintf("%s is gemm%d for many strips. During each strip it brings kc/16 cache lines, line0 floats", name, rows),
			"apart, into the second-level cache, the first strip's from fetch0, each next one's from strip0 floats",
			"further; and as many from fetch1."}
		unroll = lineSteps
	}
	TEXT(name, NOSPLIT, signature)
	Doc(doc...)
	Pragma("noescape")

	c := Load(Param("c"), GP64())
	ldc := Load(Param("ldc"), GP64())
	a := Load(Param("a"), GP64())
	lda := Load(Param("lda"), GP64())
	b := Load(Param("b"), GP64())
	SHLQ(U8(2), ldc)
	SHLQ(U8(2), lda)
	var fetched fetches
	if many {
		fetched = loadFetches()
	}

	aLow, aHigh, bAt, count := GP64(), GP64(), GP64(), GP64()
	cHigh := GP64()
	// row r of A is at aLow + r·lda for r < 3, at aHigh + (r−3)·lda otherwise.
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
	// setHigh points high at row 3.
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
	b0, b1 := YMM(), YMM()
	scalar := [2]reg.VecVirtual{YMM(), YMM()}
	step := func(u int) {
		if !many {
			PREFETCHT1(Mem{Base: bAt, Disp: ahead + u*panelBytes})
		}
		VMOVUPS(Mem{Base: bAt, Disp: u * panelBytes}, b0)
		VMOVUPS(Mem{Base: bAt, Disp: u*panelBytes + 32}, b1)
		for r := range rows {
			s := scalar[r%2]
			VBROADCASTSS(row(aLow, aHigh, lda, r, 4*u), s)
			VFMADD231PS(b0, s, acc[r][0])
			VFMADD231PS(b1, s, acc[r][1])
		}
	}
	steps := func(n int) {
		for u := range n {
			step(u)
		}
		ADDQ(U8(4*n), aLow)
		if rows > 3 {
			ADDQ(U8(4*n), aHigh)
		}
		ADDQ(U32(panelBytes*n), bAt)
	}

	Label("strip")
	MOVQ(a, aLow)
	setHigh(aLow, aHigh, lda)
	setHigh(c, cHigh, ldc)
	MOVQ(b, bAt)
	for r := range rows {
		// Both ends, since a row of the tile may straddle two cache lines.
		PREFETCHT0(row(c, cHigh, ldc, r, 0))
		PREFETCHT0(row(c, cHigh, ldc, r, panelBytes-4))
	}
	for r := range rows {
		VXORPS(acc[r][0], acc[r][0], acc[r][0])
		VXORPS(acc[r][1], acc[r][1], acc[r][1])
	}
	if many {
		fetched.begin()
	}
	Load(Param("kc"), count)
	SHRQ(U8(bits.TrailingZeros(uint(unroll))), count)
	JZ(LabelRef("rest"))
	Label("unrolled")
	if many {
		for i := range fetched.at {
			fetched.line(i)
		}
	}
	steps(unroll)
	DECQ(count)
	JNZ(LabelRef("unrolled"))

	Label("rest")
	Load(Param("kc"), count)
	ANDQ(U8(unroll-1), count)
	JZ(LabelRef("store"))
	Label("single")
	steps(1)
	DECQ(count)
	JNZ(LabelRef("single"))

	Label("store")
	CMPB(address("add"), U8(0))
	JE(LabelRef("replace"))
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
	if many {
		fetched.next(count)
	}
	DECQ(address("strips"))
	JNZ(LabelRef("strip"))
	VZEROUPPER()
	RET()
}

// fetchParameters are the last ones of a tile that fetches.
const fetchParameters = ", fetch0 *float32, line0, strip0 int, fetch1 *float32, line1, strip1 int"

// fetches are the two places of which a tile brings lines into the second-level
// cache: the next line of each, and the bytes between two of them.
type fetches struct{ at, apart [2]reg.GPVirtual }

// loadFetches begins a function with fetchParameters, whose distances become bytes.
func loadFetches() (f fetches) {
	for i := range f.at {
		f.at[i], f.apart[i] = GP64(), GP64()
		Load(Param(fmt.Sprint("line", i)), f.apart[i])
		SHLQ(U8(2), f.apart[i])
		SHLQ(U8(2), address(fmt.Sprint("strip", i)))
	}
	return f
}

// begin goes to the first lines of a strip.
func (f fetches) begin() {
	for i := range f.at {
		Load(Param(fmt.Sprint("fetch", i)), f.at[i])
	}
}

// line fetches a line of place i.
func (f fetches) line(i int) {
	PREFETCHT1(Mem{Base: f.at[i]})
	ADDQ(f.apart[i], f.at[i])
}

// next makes the next strip begin where its lines are.
func (f fetches) next(scratch reg.Register) {
	for i := range f.at {
		Load(Param(fmt.Sprint("strip", i)), scratch)
		ADDQ(scratch, address(fmt.Sprint("fetch", i)))
	}
}

// genFew writes gemmNxP: N rows of C times P neighbouring panels, for N too few
// to fill the multipliers with one panel.
func genFew(rows, panels int) {
	TEXT(fmt.Sprintf("gemm%dx%d", rows, panels), NOSPLIT,
		"func(c *float32, ldc int, a *float32, lda int, b *float32, ldp, kc int, add bool)")
	Doc(fmt.Sprintf("gemm%dx%d computes (or adds, if add) %d rows of C, %d panels wide.", rows, panels, rows, panels),
		"The panels' blocks of kc ≥ 1 steps start ldp floats apart; the rest is as in gemm6.")
	Pragma("noescape")

	c := Load(Param("c"), GP64())
	ldc := Load(Param("ldc"), GP64())
	a := Load(Param("a"), GP64())
	lda := Load(Param("lda"), GP64())
	b := Load(Param("b"), GP64())
	ldp := Load(Param("ldp"), GP64())
	kc := Load(Param("kc"), GP64())
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
	scalar := make([]reg.VecVirtual, rows)
	for r := range acc {
		scalar[r] = YMM()
		acc[r] = make([]reg.VecVirtual, 2*panels)
		for i := range acc[r] {
			acc[r][i] = YMM()
			VXORPS(acc[r][i], acc[r][i], acc[r][i])
		}
	}
	Label("step")
	for r := range rows {
		VBROADCASTSS(at(a, lda, nil, r, 0), scalar[r])
	}
	for i := range 2 * panels {
		x := YMM()
		VMOVUPS(at(b, ldp, ldp3, i/2, i%2*32), x)
		for r := range rows {
			VFMADD231PS(x, scalar[r], acc[r][i])
		}
	}
	ADDQ(U8(4), a)
	ADDQ(U8(panelBytes), b)
	DECQ(kc)
	JNZ(LabelRef("step"))

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

// genCopyPanel writes the packing of one panel from rows of 16 floats.
func genCopyPanel() {
	TEXT("copyPanelAVX2", NOSPLIT, "func(dst, src *float32, ld, rows int)")
	Doc("copyPanelAVX2 copies rows ≥ 1 rows of 16 floats, the starts ld floats apart, one after another.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	ld := Load(Param("ld"), GP64())
	rows := Load(Param("rows"), GP64())
	SHLQ(U8(2), ld)
	x, y := YMM(), YMM()
	Label("row")
	VMOVUPS(Mem{Base: src}, x)
	VMOVUPS(Mem{Base: src, Disp: 32}, y)
	VMOVUPS(x, Mem{Base: dst})
	VMOVUPS(y, Mem{Base: dst, Disp: 32})
	ADDQ(ld, src)
	ADDQ(U8(panelBytes), dst)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// genTranspose writes the transposition of eight rows, eight columns at a
// time: halves are gathered from two rows by the loads, so that only in-lane
// shuffles remain.
func genTranspose() {
	TEXT("transpose8AVX2", NOSPLIT, "func(dst *float32, ldd int, src *float32, lds, blocks int)")
	Doc("transpose8AVX2 sets dst[j·ldd+i] = src[i·lds+j] for i < 8 and j < 8·blocks, blocks ≥ 1.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	ldd := Load(Param("ldd"), GP64())
	src := Load(Param("src"), GP64())
	lds := Load(Param("lds"), GP64())
	blocks := Load(Param("blocks"), GP64())
	SHLQ(U8(2), ldd)
	SHLQ(U8(2), lds)
	lds3, ldd3, src4, dst4 := GP64(), GP64(), GP64(), GP64()
	LEAQ(Mem{Base: lds, Index: lds, Scale: 2}, lds3)
	LEAQ(Mem{Base: ldd, Index: ldd, Scale: 2}, ldd3)
	row := func(base, base4, stride, stride3 reg.Register, r, disp int) Mem {
		if r >= 4 {
			base, r = base4, r-4
		}
		switch r {
		case 0:
			return Mem{Base: base, Disp: disp}
		case 3:
			return Mem{Base: base, Index: stride3, Scale: 1, Disp: disp}
		}
		return Mem{Base: base, Index: stride, Scale: uint8(r), Disp: disp}
	}

	Label("block")
	LEAQ(Mem{Base: src, Index: lds, Scale: 4}, src4)
	LEAQ(Mem{Base: dst, Index: ldd, Scale: 4}, dst4)
	for half := range 2 {
		// rows r and r+4 of four columns side by side
		in := make([]reg.VecVirtual, 4)
		for r := range in {
			in[r] = YMM()
			VMOVUPS(row(src, src4, lds, lds3, r, 16*half), in[r].AsX())
			VINSERTF128(U8(1), row(src, src4, lds, lds3, r+4, 16*half), in[r], in[r])
		}
		low01, high01, low23, high23 := YMM(), YMM(), YMM(), YMM()
		VUNPCKLPS(in[1], in[0], low01)
		VUNPCKHPS(in[1], in[0], high01)
		VUNPCKLPS(in[3], in[2], low23)
		VUNPCKHPS(in[3], in[2], high23)
		out := YMM()
		for i, pair := range [2][2]reg.VecVirtual{{low01, low23}, {high01, high23}} {
			VUNPCKLPD(pair[1], pair[0], out)
			VMOVUPS(out, row(dst, dst4, ldd, ldd3, 4*half+2*i, 0))
			VUNPCKHPD(pair[1], pair[0], out)
			VMOVUPS(out, row(dst, dst4, ldd, ldd3, 4*half+2*i+1, 0))
		}
	}
	ADDQ(U8(32), src)
	LEAQ(Mem{Base: dst, Index: ldd, Scale: 8}, dst)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// genPeak writes the loop that measures the ceiling of a core.
func genPeak() {
	TEXT("peakAVX2", NOSPLIT, "func(steps int)")
	Doc("peakAVX2 runs steps × 12 independent multiply-adds of eight floats, steps ≥ 1.")
	steps := Load(Param("steps"), GP64())
	x, y := YMM(), YMM()
	VXORPS(x, x, x)
	VXORPS(y, y, y)
	acc := make([]reg.VecVirtual, 2*maxRows)
	for i := range acc {
		acc[i] = YMM()
		VXORPS(acc[i], acc[i], acc[i])
	}
	Label("step")
	for i := range acc {
		VFMADD231PS(x, y, acc[i])
	}
	DECQ(steps)
	JNZ(LabelRef("step"))
	VZEROUPPER()
	RET()
}
