package computetest

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
)

// randomCases are Programs of operators thrown together: tensors that are read
// late, early and often, variables that change while others read them, values
// that alias inputs and each other. They are for what plans an engine's memory
// and order, where operators by themselves are easy.
func randomCases() []testCase {
	cases := make([]testCase, 150)
	for i := range cases {
		cases[i] = testCase{
			name:      fmt.Sprintf("random/%d", i),
			tolerance: conditioned,
			floor:     1e-5,
			build:     func(b *builder) { randomProgram(b, uint64(i)) },
		}
	}
	return cases
}

// randomProgram builds on tensors of one shape, kept small by tanh.
func randomProgram(b *builder, seed uint64) {
	const rows, d = 6, 5
	draws := uint64(0)
	draw := func(n int) int {
		draws++
		return int(compute.Bits(seed, compute.Stream("random program"), draws) % uint64(n))
	}

	var variables, tensors []*compute.Tensor // of shape [rows, d]
	for i := range 4 {
		variables = append(variables, b.variable(fmt.Sprintf("v%d", i), rows, d))
	}
	tensors = append(append(tensors, variables...), b.input("in", rows, d))
	square := b.variable("square", d, d)
	gain := b.variable("gain", d)
	pick := func() *compute.Tensor { return tensors[draw(len(tensors))] }

	for range 6 + draw(14) {
		var t *compute.Tensor
		switch draw(14) {
		case 0:
			t = compute.Tanh(pick())
		case 1:
			t = compute.Neg(pick())
		case 2:
			t = compute.Sigmoid(pick())
		case 3, 4:
			t = compute.Add(pick(), pick())
		case 5:
			t = compute.Sub(pick(), pick())
		case 6:
			t = compute.Mul(compute.Tanh(pick()), compute.Tanh(pick()))
		case 7:
			t = compute.Tanh(compute.Linear(pick(), square, nil, draw(2) == 0))
		case 8:
			t = compute.Tanh(compute.Linear(compute.Reshape(pick(), 2, rows/2, d), square, gain, false))
			t = compute.Reshape(t, rows, d)
		case 9:
			t = compute.RMSNorm(pick(), gain, 1e-2)
		case 10:
			t = compute.LayerNorm(pick(), gain, gain, 1e-2)
		case 11: // the rows in another order
			cut := 1 + draw(rows-1)
			t = compute.Concat(0, compute.Slice(pick(), 0, cut, rows), compute.Slice(pick(), 0, 0, cut))
		case 12:
			t = compute.Add(pick(), compute.SumTo(compute.Tanh(pick()), compute.Shape{rows, 1}))
		case 13:
			t = compute.SwiGLU(compute.Tanh(pick()), compute.Tanh(pick()))
		}
		tensors = append(tensors, t)
	}

	bounded := func() *compute.Tensor { return compute.Tanh(pick()) }
	for i := range 1 + draw(3) {
		b.output(fmt.Sprintf("y%d", i), bounded())
	}
	if draw(3) == 0 {
		b.measure("any", pick())
	}
	// Each variable is replaced, added to, or left alone, by a value that may
	// be anything, another variable among it. A value is used more than once.
	for i, v := range variables {
		switch draw(5) {
		case 0:
			b.p.Update(v, pick())
		case 1:
			b.p.Update(v, bounded())
		case 2:
			b.p.Accumulate(fmt.Sprintf("v%d", i), compute.Add(bounded(), bounded()))
		case 3:
			b.p.Accumulate(fmt.Sprintf("v%d", i), pick())
		}
	}
}
