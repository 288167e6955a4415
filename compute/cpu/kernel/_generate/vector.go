package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// genVector writes the vector half of the package.
func genVector(t target) {
	writeFor(t)
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
	genScaleRows()
	genValueSum()
	if t == avx2 {
		// The sum over a key's floats has eight lanes. Twice as wide, it would
		// have other bits, or halves of two keys to put together. The sums of
		// three queries fill sixteen registers of either width.
		genKeyDots()
		genKeyDots3()
		genValueSum3()
	}
}

// Constants

var (
	pool = map[string]Mem{}
)

// wide returns a vector of copies of a 32-bit word in read-only memory.
func wide(bits uint32) Mem {
	name := fmt.Sprintf("wide_%08x", bits)
	if m, ok := pool[name]; ok {
		return m
	}
	m := GLOBL(name, RODATA|NOPTR)
	for i := range set.lanes {
		DATA(4*i, U32(bits))
	}
	pool[name] = m
	return m
}

func float(v float64) Mem { return wide(math.Float32bits(float32(v))) }

func load(m Mem) vec {
	x := newVec()
	VMOVUPS(m, x)
	return x
}

func zero() vec {
	x := newVec()
	VXORPS(x, x, x)
	return x
}

// counting returns the vector 0, 1, 2, … in memory.
func counting() Mem {
	if m, ok := pool["counting"]; ok {
		return m
	}
	m := GLOBL("counting", RODATA|NOPTR)
	for i := range set.lanes {
		DATA(4*i, U32(uint32(i)))
	}
	pool["counting"] = m
	return m
}

// Parameters

// function begins the function name of the target. The doc's first line goes
// on after its name.
func function(name, signature string, doc ...string) {
	TEXT(name+set.suffix, NOSPLIT, signature)
	doc[0] = name + set.suffix + " " + doc[0]
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
	x := newVec()
	VBROADCASTSS(m, x)
	return x
}

// Sums

// total adds the lanes in the tree of lanes.total and leaves the sum in the
// lowest lane.
func (s *sums) total() vec {
	acc := s.narrow
	VADDPS(acc[1], acc[0], acc[0])
	VADDPS(acc[3], acc[2], acc[2])
	VADDPS(acc[2], acc[0], acc[0])
	return sumVector(acc[0])
}

// sumVector adds the eight lanes of x into its lowest one.
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
