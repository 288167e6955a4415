package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// genKeyDots writes the products of one query with keys.
func genKeyDots() {
	function("keyDots", "func(s, q, k []float32, stride int)",
		"sets s[j] to the product of q and the j-th row of k.")
	s, q, k, n, stride := base("s"), base("q"), base("k"), length("s"), integer("stride")
	SHLQ(U8(2), stride)
	dots([]reg.GPVirtual{q}, func() reg.GPVirtual { return length("q") }, k, stride, n, []Mem{{Base: s}})
	finish()
}

// genKeyDots3 writes the products of three queries with keys.
func genKeyDots3() {
	function("keyDots3", "func(s []float32, ld int, q []float32, qs, dim int, k []float32, stride, n int)",
		"sets s[i·ld + j] to the product of the i-th of three rows of q and the j-th row of k.")
	s, ld := base("s"), integer("ld")
	q, qs := []reg.GPVirtual{base("q"), GP64(), GP64()}, integer("qs")
	LEAQ(Mem{Base: q[0], Index: qs, Scale: 4}, q[1])
	LEAQ(Mem{Base: q[1], Index: qs, Scale: 4}, q[2])
	k, n, stride := base("k"), integer("n"), integer("stride")
	SHLQ(U8(2), ld)
	SHLQ(U8(2), stride)
	dots(q, func() reg.GPVirtual { return integer("dim") }, k, stride, n,
		[]Mem{{Base: s}, {Base: s, Index: ld, Scale: 1}, {Base: s, Index: ld, Scale: 2}})
	finish()
}

// dots writes the loop over n keys: four at a time, then what is left over one
// by one, each times all queries q. A product has eight lanes, which are added
// in the same tree in all cases, so its bits do not depend on what is computed
// beside it. s are the places of the first key's products; dim returns a copy
// of the number of floats of a query.
func dots(q []reg.GPVirtual, dim func() reg.GPVirtual, k, stride, n reg.GPVirtual, s []Mem) {
	for _, keys := range []int{4, 1} {
		name := map[int]string{4: "four", 1: "one"}[keys]
		Label(name)
		CMPQ(n, I8(int8(keys)))
		JL(LabelRef(name + "end"))
		acc := make([][]vec, len(q))
		for i := range acc {
			for range keys {
				acc[i] = append(acc[i], zero())
			}
		}
		at := []reg.GPVirtual{k}
		for len(at) < keys {
			next := GP64()
			LEAQ(Mem{Base: at[len(at)-1], Index: stride, Scale: 1}, next)
			at = append(at, next)
		}
		each(name+"dim", dim(), func(p place) {
			// Three queries and four keys leave four registers: for a vector
			// of each query and one of a key, or for a mask and one of each.
			var x []vec
			if p.mask == nil {
				for i := range q {
					x = append(x, p.load(q[i]))
				}
			}
			for j := range at {
				if p.mask == nil && len(q) == 1 {
					VFMADD231PS(p.mem(at[j]), x[0], acc[0][j])
					continue
				}
				y := p.load(at[j])
				for i := range q {
					if p.mask == nil {
						VFMADD231PS(y, x[i], acc[i][j])
					} else {
						VFMADD231PS(y, p.load(q[i]), acc[i][j])
					}
				}
			}
		})
		for i, a := range acc {
			if keys == 4 {
				addNeighbours(a[0], a[1])
				addNeighbours(a[2], a[3])
				addNeighbours(a[0], a[2])
			} else {
				addNeighbours(a[0], a[0])
				addNeighbours(a[0], a[0])
			}
			high := newVec()
			VEXTRACTF128(U8(1), a[0], high.AsX())
			VADDPS(high.AsX(), a[0].AsX(), a[0].AsX())
			if keys == 4 {
				VMOVUPS(a[0].AsX(), s[i])
			} else {
				VMOVSS(a[0].AsX(), s[i])
			}
		}
		if keys == 4 {
			LEAQ(Mem{Base: k, Index: stride, Scale: 4}, k)
		} else {
			ADDQ(stride, k)
		}
		ADDQ(I8(int8(4*keys)), s[0].Base)
		SUBQ(I8(int8(keys)), n)
		JMP(LabelRef(name))
		Label(name + "end")
	}
}

// addNeighbours sets x to the sums of neighbouring lanes of x and y, those of x
// first in each half: VHADDPS, which takes twice the time of these three.
func addNeighbours(x, y vec) {
	odd := newVec()
	VSHUFPS(U8(0xdd), y, x, odd)
	VSHUFPS(U8(0x88), y, x, x)
	VADDPS(odd, x, x)
}

// chains are the sums of a run of columns over rows of even and of odd number,
// which are apart because one chain of additions would wait for itself.
type chains struct {
	even, odd []vec
	mask      *mask // of the last, partial vector of a row; nil elsewhere
}

// newChains begins the sums at o.
func newChains(o Mem, vectors int, m *mask) chains {
	c := chains{mask: m}
	for u := range vectors {
		c.odd = append(c.odd, zero())
		if m == nil {
			c.even = append(c.even, load(o.Offset(4*lanes*u)))
		} else {
			c.even = append(c.even, m.load(o))
		}
	}
	return c
}

// row adds w times the row at at to one of the chains.
func (c chains) row(acc []vec, w vec, at Mem) {
	for u := range acc {
		if c.mask == nil {
			VFMADD231PS(at.Offset(4*lanes*u), w, acc[u])
		} else {
			VFMADD231PS(c.mask.load(at), w, acc[u])
		}
	}
}

// rows adds n rows, the first one an even one, with the weights at p. It
// overwrites p, n and at.
func (c chains) rows(label string, p, n, at, stride reg.GPVirtual) {
	Label(label)
	CMPQ(n, I8(2))
	JL(LabelRef(label + "last"))
	for i, acc := range [][]vec{c.even, c.odd} {
		c.row(acc, broadcast(Mem{Base: p, Disp: 4 * i}), Mem{Base: at})
		ADDQ(stride, at)
	}
	ADDQ(I8(8), p)
	SUBQ(I8(2), n)
	JMP(LabelRef(label))
	Label(label + "last")
	TESTQ(n, n)
	JZ(LabelRef(label + "end"))
	c.row(c.even, broadcast(Mem{Base: p}), Mem{Base: at})
	Label(label + "end")
}

// store writes the sums of both chains to o.
func (c chains) store(o Mem) {
	for u, x := range c.even {
		VADDPS(c.odd[u], x, x)
		if c.mask == nil {
			VMOVUPS(x, o.Offset(4*lanes*u))
		} else {
			c.mask.store(x, o)
		}
	}
}

// genValueSum keeps up to 32 columns of one query in registers.
func genValueSum() {
	function("valueSum", "func(o, p, v []float32, stride int)",
		"adds the sum of p[j] times the j-th row of v to o.")
	o, v, dim, stride := base("o"), base("v"), length("o"), integer("stride")
	SHLQ(U8(2), stride)
	down := func(label string, vectors int, m *mask) {
		c := newChains(Mem{Base: o}, vectors, m)
		p, n, at := base("p"), length("p"), GP64()
		MOVQ(v, at)
		c.rows(label, p, n, at, stride)
		c.store(Mem{Base: o})
	}
	for _, vectors := range columnSteps() {
		name := fmt.Sprintf("by%d", vectors)
		Label(name)
		CMPQ(dim, I8(int8(lanes*vectors)))
		JL(LabelRef(name + "end"))
		down(name+"rows", vectors, nil)
		ADDQ(I32(int32(4*lanes*vectors)), o)
		ADDQ(I32(int32(4*lanes*vectors)), v)
		SUBQ(I8(int8(lanes*vectors)), dim)
		JMP(LabelRef(name))
		Label(name + "end")
	}
	TESTQ(dim, dim)
	JZ(LabelRef("done"))
	m := tailMask(dim)
	down("mask", 1, &m)
	Label("done")
	finish()
}

// genValueSum3 keeps 16 columns of three queries in registers, so that a vector
// of a row is read once for all. An element has the chains of valueSum.
func genValueSum3() {
	function("valueSum3", "func(o []float32, os, dim int, p []float32, ld int, v []float32, stride, n0, n1, n2 int)",
		"adds the sum of p[i·ld + j] times the j-th row of v, for j < nᵢ, to the i-th of three rows of o; n0 is the least, dim a multiple of 16.")
	const queries, vectors = 3, 2
	o, os, dim := base("o"), integer("os"), integer("dim")
	ld, v, stride := integer("ld"), base("v"), integer("stride")
	for _, r := range []reg.GPVirtual{os, ld, stride} {
		SHLQ(U8(2), r)
	}
	of := func(base, step reg.GPVirtual, i int) Mem {
		m := Mem{Base: base}
		if i > 0 {
			m.Index, m.Scale = step, uint8(i)
		}
		return m
	}
	Label("columns")
	CMPQ(dim, I8(vectors*8))
	JL(LabelRef("done"))
	var c [queries]chains
	for i := range c {
		c[i] = newChains(of(o, os, i), vectors, nil)
	}
	p, pairs, at := base("p"), integer("n0"), GP64()
	MOVQ(v, at)
	SHRQ(U8(1), pairs)
	JZ(LabelRef("own"))
	Label("pair")
	for odd := range 2 {
		var x [vectors]vec
		for u := range x {
			x[u] = load(of(at, stride, odd).Offset(4 * lanes * u))
		}
		for i := range c {
			acc := c[i].even
			if odd == 1 {
				acc = c[i].odd
			}
			w := broadcast(of(p, ld, i).Offset(4 * odd))
			for u := range x {
				VFMADD231PS(x[u], w, acc[u])
			}
		}
	}
	LEAQ(Mem{Base: at, Index: stride, Scale: 2}, at)
	ADDQ(I8(8), p)
	DECQ(pairs)
	JNZ(LabelRef("pair"))
	Label("own")
	for i := range c {
		common, n, row, weights := integer("n0"), integer(fmt.Sprintf("n%d", i)), GP64(), GP64()
		ANDQ(I8(-2), common)
		SUBQ(common, n)
		MOVQ(at, row)
		LEAQ(of(p, ld, i), weights)
		c[i].rows(fmt.Sprintf("own%d", i), weights, n, row, stride)
		c[i].store(of(o, os, i))
	}
	ADDQ(I8(4*8*vectors), o)
	ADDQ(I8(4*8*vectors), v)
	SUBQ(I8(8*vectors), dim)
	JMP(LabelRef("columns"))
	Label("done")
	finish()
}
