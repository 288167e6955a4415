package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// target is the instruction set that the vector half is written for. A kernel
// is described once; what differs between the sets is here: the registers'
// width, and how a part of a vector is selected.
type target struct {
	suffix string // of the functions' names
	lanes  int    // floats of a whole vector
}

var (
	avx2   = target{"AVX2", 8}
	avx512 = target{"AVX512", 16}

	set = avx2
	// lanes is the width that is being written: set.lanes, or 8 in the tail
	// of a reduction.
	lanes = set.lanes
)

// writeFor chooses the target of everything that follows.
func writeFor(t target) { set, lanes = t, t.lanes }

// vec is a register of set.lanes floats.
type vec = reg.VecVirtual

func newVec() vec {
	if lanes == 16 {
		return ZMM()
	}
	return YMM()
}

// fit is x at the width that is being written: a constant that was loaded
// before the loops serves the narrow tail of a reduction too.
func fit(x vec) reg.Register {
	if lanes < set.lanes {
		return x.AsY()
	}
	return x
}

// lowHalf is the lower eight lanes of a vector.
func lowHalf(x vec) reg.Register {
	if set == avx512 {
		return x.AsY()
	}
	return x
}

// mask selects lanes of a vector: all bits of a lane in AVX2, a bit a lane of
// a mask register in AVX-512.
type mask struct {
	vector vec
	bits   reg.OpmaskVirtual
}

// tailMask returns the mask of the first n lanes, 0 < n < lanes. It overwrites
// n.
func tailMask(n reg.GPVirtual) mask {
	if set == avx512 {
		count, m := newVec(), K()
		VPBROADCASTD(n.As32(), count)
		VPCMPGTD(counting(), count, m)
		return mask{bits: m}
	}
	if maskTable == nil {
		m := GLOBL("tail_mask", RODATA|NOPTR)
		for i := range 16 {
			word := U32(0)
			if i < 8 {
				word = 0xffffffff
			}
			DATA(4*i, word)
		}
		maskTable = &m
	}
	table, m := GP64(), YMM()
	LEAQ(*maskTable, table)
	NEGQ(n)
	VMOVDQU(Mem{Base: table, Index: n, Scale: 4, Disp: 32}, m)
	return mask{vector: m}
}

// maskTable is eight ones of 32 bits before eight zeros: the eight from 8−n on
// select n lanes.
var maskTable *Mem

// load reads the selected lanes of m, and 0 for the others, whose memory it
// does not touch.
func (k mask) load(m Mem) vec {
	x := newVec()
	if set == avx512 {
		VMOVUPS_Z(m, k.bits, x)
	} else {
		VMASKMOVPS(m, k.vector, x)
	}
	return x
}

func (k mask) store(x reg.Register, m Mem) {
	if set == avx512 {
		VMOVUPS(x, k.bits, m)
	} else {
		VMASKMOVPS(x, k.vector, m)
	}
}

// clear sets the lanes of x that are not selected to 0.
func (k mask) clear(x vec) {
	if set == avx512 {
		VMOVAPS_Z(x, k.bits, x)
	} else {
		VANDPS(k.vector, x, x)
	}
}

// blend sets the lanes of x that are not selected to those of other.
func (k mask) blend(other, x vec) {
	if set == avx512 {
		VBLENDMPS(x, other, k.bits, x)
	} else {
		VBLENDVPS(k.vector, x, other, x)
	}
}

// place is a vector of every slice of a loop: unroll is its number within the
// loop's group, mask selects its lanes in the last, partial vector and is nil
// elsewhere.
type place struct {
	index  reg.GPVirtual
	unroll int
	mask   *mask
}

func (p place) mem(base reg.GPVirtual) Mem {
	return Mem{Base: base, Index: p.index, Scale: 4, Disp: 4 * lanes * p.unroll}
}

func (p place) load(base reg.GPVirtual) vec {
	if p.mask == nil {
		return load(p.mem(base))
	}
	return p.mask.load(p.mem(base))
}

func (p place) store(x vec, base reg.GPVirtual) {
	if p.mask == nil {
		VMOVUPS(x, p.mem(base))
	} else {
		p.mask.store(x, p.mem(base))
	}
}

// cut clears the lanes of x beyond the end.
func (p place) cut(x vec) {
	if p.mask != nil {
		p.mask.clear(x)
	}
}

// groups runs body over what is left of n floats from index i on, in groups of
// size vectors.
func groups(label string, i, n reg.GPVirtual, size int, body func(place)) {
	end := GP64()
	MOVQ(n, end)
	ANDQ(I8(-lanes*size), end)
	Label(label)
	CMPQ(i, end)
	JGE(LabelRef(label + "end"))
	for u := range size {
		body(place{index: i, unroll: u})
	}
	ADDQ(I8(lanes*size), i)
	JMP(LabelRef(label))
	Label(label + "end")
}

// rest runs body on the last, partial vector of n floats. It overwrites n.
func rest(label string, i, n reg.GPVirtual, body func(place)) {
	ANDQ(I8(lanes-1), n)
	JZ(LabelRef(label + "done"))
	m := tailMask(n)
	body(place{index: i, mask: &m})
	Label(label + "done")
}

// each runs body over n floats: vector by vector, then on the last, partial one
// under a mask. It overwrites n.
func each(label string, n reg.GPVirtual, body func(place)) {
	i := GP64()
	XORQ(i, i)
	groups(label+"1", i, n, 1, body)
	rest(label, i, n, body)
}

// sums holds the 32 lanes of a reduction: four vectors of eight, or two of
// sixteen that are halved after the whole groups of 32.
type sums struct {
	wide   []vec
	narrow [4]vec
}

// newSums returns lanes that hold what initial returns.
func newSums(initial func() vec) *sums {
	s := &sums{wide: make([]vec, 32/set.lanes)}
	for i := range s.wide {
		s.wide[i] = initial()
	}
	if set == avx2 {
		copy(s.narrow[:], s.wide)
	}
	return s
}

// at is the accumulator of a place.
func (s *sums) at(p place) vec {
	if lanes < set.lanes {
		return s.narrow[0]
	}
	return s.wide[p.unroll]
}

// halve leaves the lanes in vectors of eight.
func (s *sums) halve() {
	if set == avx2 {
		return
	}
	for i, x := range s.wide {
		low, high := YMM(), YMM()
		VMOVAPS(x.AsY(), low)
		VEXTRACTF32X8(U8(1), x, high)
		s.narrow[2*i], s.narrow[2*i+1] = low, high
	}
}

// reduce runs body over n floats: in groups of 32, a lane each, then by eight
// and under a mask into the first eight lanes. The lanes do not depend on the
// target, so neither do the bits of a sum. It overwrites n.
func reduce(label string, n reg.GPVirtual, body func(place), all ...*sums) {
	i := GP64()
	XORQ(i, i)
	size := 32 / lanes
	groups(fmt.Sprintf("%s%d", label, size), i, n, size, body)
	for _, s := range all {
		s.halve()
	}
	lanes = 8
	groups(label+"1", i, n, 1, body)
	rest(label, i, n, body)
	lanes = set.lanes
}

// addHalves adds x to the eight lanes of sum, the lower half first.
func addHalves(x, sum vec) {
	VADDPS(lowHalf(x), sum, sum)
	if set == avx512 {
		high := YMM()
		VEXTRACTF32X8(U8(1), x, high)
		VADDPS(high, sum, sum)
	}
}
