package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vec is a YMM register: eight floats.
type vec = reg.VecVirtual

// genVector writes the vector half of the package.
func genVector() {
	genArithmetic()
	genActivations()
	genReductions()
	genSumRows()
	genNorms()
	genLogits()
	genAdamW()
	genRotate()
	genTiles()
	genSoftmaxTile()
	genGradTile()
	genKeyDots()
	genValueSum()
}

// Constants

var (
	pool = map[string]Mem{}
	// maskTable is eight ones of 32 bits before eight zeros: the eight from
	// 8−n on select n lanes.
	maskTable *Mem
)

// wide returns eight copies of a 32-bit word in read-only memory.
func wide(bits uint32) Mem {
	name := fmt.Sprintf("wide_%08x", bits)
	if m, ok := pool[name]; ok {
		return m
	}
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(bits))
	}
	pool[name] = m
	return m
}

func float(v float64) Mem { return wide(math.Float32bits(float32(v))) }

func load(m Mem) vec {
	x := YMM()
	VMOVUPS(m, x)
	return x
}

func zero() vec {
	x := YMM()
	VXORPS(x, x, x)
	return x
}

// tailMask returns the mask of the first n lanes, 0 < n < 8. It overwrites n.
func tailMask(n reg.GPVirtual) vec {
	if maskTable == nil {
		m := GLOBL("tail_mask", RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(map[bool]uint32{true: math.MaxUint32}[i < 8]))
		}
		maskTable = &m
	}
	table, mask := GP64(), YMM()
	LEAQ(*maskTable, table)
	NEGQ(n)
	VMOVDQU(Mem{Base: table, Index: n, Scale: 4, Disp: 32}, mask)
	return mask
}

// counting returns the vector 0, 1, …, 7 in memory.
func counting() Mem {
	if m, ok := pool["counting"]; ok {
		return m
	}
	m := GLOBL("counting", RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(uint32(i)))
	}
	pool["counting"] = m
	return m
}

// Parameters

func function(name, signature string, doc ...string) {
	TEXT(name, NOSPLIT, signature)
	Doc(doc...)
	Pragma("noescape")
}

func finish() {
	VZEROUPPER()
	RET()
}

func integer(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

func base(name string) reg.GPVirtual { return Load(Param(name).Base(), GP64()).(reg.GPVirtual) }

func length(name string) reg.GPVirtual { return Load(Param(name).Len(), GP64()).(reg.GPVirtual) }

// address is where a scalar parameter lies.
func address(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

func broadcast(m Mem) vec {
	x := YMM()
	VBROADCASTSS(m, x)
	return x
}

// Loops

// place is eight floats of every slice of a loop: unroll is its number within
// the loop's group, mask selects its lanes in the last, partial vector and is
// nil elsewhere.
type place struct {
	index  reg.GPVirtual
	unroll int
	mask   *vec
}

func (p place) mem(base reg.GPVirtual) Mem {
	return Mem{Base: base, Index: p.index, Scale: 4, Disp: 32 * p.unroll}
}

func (p place) load(base reg.GPVirtual) vec {
	if p.mask == nil {
		return load(p.mem(base))
	}
	x := YMM()
	VMASKMOVPS(p.mem(base), *p.mask, x)
	return x
}

func (p place) store(x vec, base reg.GPVirtual) {
	if p.mask == nil {
		VMOVUPS(x, p.mem(base))
	} else {
		VMASKMOVPS(x, *p.mask, p.mem(base))
	}
}

// cut clears the lanes of x beyond the end.
func (p place) cut(x vec) {
	if p.mask != nil {
		VANDPS(*p.mask, x, x)
	}
}

// each runs body over n floats: in groups of `group` vectors, then one by one,
// then the last, partial vector under a mask. It overwrites n.
func each(label string, n reg.GPVirtual, group int, body func(place)) {
	i, end := GP64(), GP64()
	XORQ(i, i)
	for _, size := range []int{group, 1} {
		name := fmt.Sprintf("%s%d", label, size)
		MOVQ(n, end)
		ANDQ(I8(-8*size), end)
		Label(name)
		CMPQ(i, end)
		JGE(LabelRef(name + "end"))
		for u := range size {
			body(place{index: i, unroll: u})
		}
		ADDQ(I8(8*size), i)
		JMP(LabelRef(name))
		Label(name + "end")
		if group == 1 {
			break
		}
	}
	ANDQ(I8(7), n)
	JZ(LabelRef(label + "done"))
	mask := tailMask(n)
	body(place{index: i, mask: &mask})
	Label(label + "done")
}

// sumLanes adds four accumulators and their lanes, in the tree of lanes.total,
// and leaves the sum in the lowest lane.
func sumLanes(acc [4]vec) vec {
	VADDPS(acc[1], acc[0], acc[0])
	VADDPS(acc[3], acc[2], acc[2])
	VADDPS(acc[2], acc[0], acc[0])
	return sumVector(acc[0])
}

func sumVector(x vec) vec {
	high := YMM()
	VEXTRACTF128(U8(1), x, high.AsX())
	VADDPS(high.AsX(), x.AsX(), x.AsX())
	VMOVHLPS(x.AsX(), x.AsX(), high.AsX())
	VADDPS(high.AsX(), x.AsX(), x.AsX())
	VMOVSHDUP(x.AsX(), high.AsX())
	VADDSS(high.AsX(), x.AsX(), x.AsX())
	return x
}

func accumulators() (acc [4]vec) {
	for i := range acc {
		acc[i] = zero()
	}
	return acc
}
