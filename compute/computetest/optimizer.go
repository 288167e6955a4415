package computetest

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

func optimizerCases() []testCase {
	var cases []testCase
	for _, s := range []struct {
		name  string
		fill  func(run, i int) float32
		sizes []int
	}{
		{"one array", normal("a", 1, 0), []int{33}},
		{"many arrays", normal("b", 3, 1), []int{1, 7, 1009, 65}},
		{"squares beyond float32", normal("c", 1e25, 0), []int{17, 70}},
		{"tiny", normal("d", 1e-25, 0), []int{17}},
		{"zeros", func(int, int) float32 { return 0 }, []int{5, 3}},
		{"a NaN", func(_, i int) float32 {
			if i == 40 {
				return float32(math.NaN())
			}
			return 1
		}, []int{33, 65}},
		{"an infinity", func(_, i int) float32 {
			if i == 3 {
				return float32(math.Inf(-1))
			}
			return 1
		}, []int{7, 65}},
		{"large", normal("e", 1, 0), []int{40000, 3}},
	} {
		cases = append(cases, testCase{
			name:        "global_norm/" + s.name,
			tolerance:   rounded,
			forwardOnly: true,
			build: func(b *builder) {
				var tensors []*compute.Tensor
				for i, size := range s.sizes {
					tensors = append(tensors, b.inputOf(fmt.Sprintf("x%d", i), s.fill, size))
				}
				b.output("norm", compute.GlobalNorm(tensors...))
			},
		})
	}
	for _, op := range []compute.AdamWOp{
		{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, Decay: 0.1},
		{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-5},
	} {
		cases = append(cases, testCase{
			name:        fmt.Sprintf("adamw/%+v", op),
			tolerance:   summed,
			forwardOnly: true,
			build: func(b *builder) {
				for _, size := range []int{1, 7, 65, 1009} {
					name := fmt.Sprint(size)
					b.adamW(name, b.input("gradient/"+name, size), b.scale("scale/"+name, 0.5), op)
				}
			},
		})
	}
	return append(cases, testCase{
		// The step that training takes: the norm of the accumulated gradients,
		// clipping, AdamW, and gradients back to zero.
		name:        "adamw/a clipped step that clears the gradients",
		tolerance:   summed,
		forwardOnly: true,
		build: func(b *builder) {
			sizes := []int{33, 7, 130}
			var gradients []*compute.Tensor
			for _, size := range sizes {
				name := fmt.Sprintf("gradient/%d", size)
				gradients = append(gradients, b.state(name, normal(name, 1, 0), size))
			}
			norm := compute.GlobalNorm(gradients...)
			b.measure("norm", norm)
			scale := compute.Min(compute.Constant(b.p, 1), compute.Div(compute.Constant(b.p, 1), norm))
			for i, size := range sizes {
				b.adamW(fmt.Sprint(size), gradients[i], scale, compute.AdamWOp{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, Decay: 0.1})
				b.p.Update(gradients[i], compute.Fill(b.p, 0, size))
			}
		},
	})
}

// scale is a scalar input that is the same in every run.
func (b *builder) scale(name string, value float32) *compute.Tensor {
	return b.inputOf(name, func(int, int) float32 { return value })
}

// adamW adds weight, moments and one step. The corrections are those of the
// run's number.
func (b *builder) adamW(name string, gradient, scale *compute.Tensor, op compute.AdamWOp) {
	weight := b.state("weight/"+name, normal("weight/"+name, 1, 0), gradient.Shape...)
	m := b.state("m/"+name, normal("m/"+name, 0.1, 0), gradient.Shape...)
	v := b.state("v/"+name, func(int, int) float32 { return 0.01 }, gradient.Shape...)
	correction := func(beta float32) func(run, _ int) float32 {
		return func(run, _ int) float32 { return float32(1 - math.Pow(float64(beta), float64(max(run, 1)))) }
	}
	compute.AdamW(weight, gradient, m, v, b.scale("lr/"+name, 0.05), scale,
		b.inputOf("c1/"+name, correction(op.Beta1)), b.inputOf("c2/"+name, correction(op.Beta2)), op)
}

// updateCases are about what readers see while variables change.
func updateCases() []testCase {
	return []testCase{{
		name:        "updates/two variables change places",
		tolerance:   exact,
		forwardOnly: true,
		build: func(b *builder) {
			x, y := b.variable("x", 33), b.variable("y", 33)
			b.p.Update(x, y)
			b.p.Update(y, x)
			b.measure("old x", x)
		},
	}, {
		name:        "updates/readers after the update in the list see the old value",
		tolerance:   summed,
		forwardOnly: true,
		build: func(b *builder) {
			b.adamW("w", b.input("gradient", 7, 5), b.scale("scale", 1), compute.AdamWOp{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8})
			w := b.p.Variable("weight/w", 7, 5)
			b.measure("y", compute.Linear(b.input("x", 3, 7), w, nil, false))
			b.measure("w", w)
			b.measure("moment", compute.Exp(b.p.Variable("m/w", 7, 5)))
		},
	}, {
		name:        "updates/a variable is computed from itself",
		tolerance:   rounded,
		forwardOnly: true,
		build: func(b *builder) {
			x := b.variable("x", 5, 13)
			next := compute.Mul(compute.Add(x, x), compute.Constant(b.p, 0.25))
			b.p.Update(x, next)
			b.measure("old", compute.Neg(x))
			b.measure("next", next)
		},
	}, {
		name:        "updates/one value for two variables",
		tolerance:   rounded,
		forwardOnly: true,
		build: func(b *builder) {
			value := compute.Exp(b.input("in", 17))
			b.p.Update(b.variable("x", 17), value)
			b.p.Update(b.variable("y", 17), value)
			b.p.Accumulate("z", value)
			b.state("z", normal("z", 1, 0), 17)
		},
	}, {
		name:        "updates/a variable adds up twice in a run",
		tolerance:   rounded,
		forwardOnly: true,
		build: func(b *builder) {
			b.state("x", normal("x", 1, 0), 17)
			b.p.Accumulate("x", b.input("in", 17))
			b.p.Accumulate("x", compute.Exp(b.p.Variable("x", 17)))
		},
	}, {
		name:        "updates/values that are no computation",
		tolerance:   exact,
		forwardOnly: true,
		build: func(b *builder) {
			in := b.input("in", 3, 7)
			b.p.Update(b.variable("input", 3, 7), in)
			b.p.Update(b.variable("reshaped", 21), compute.Reshape(in, 21))
			b.p.Update(b.variable("constant", 5), compute.Fill(b.p, 2, 5))
			x := b.variable("x", 2, 9)
			b.p.Update(b.variable("copy", 9, 2), compute.Reshape(x, 9, 2))
			b.p.Update(x, compute.Concat(0, compute.Slice(x, 0, 1, 2), compute.Slice(x, 0, 0, 1)))
		},
	}, {
		name:        "outputs/the same tensor under two names, inputs and variables",
		tolerance:   rounded,
		forwardOnly: true,
		build: func(b *builder) {
			in, x := b.input("in", 7), b.variable("x", 7)
			y := compute.Exp(in)
			b.measure("y", y)
			b.measure("y again", y)
			b.measure("y in another shape", compute.Reshape(y, 7, 1))
			b.measure("copied in", in)
			b.measure("x", x)
		},
	}, {
		name:        "outputs/survive what is computed after them",
		tolerance:   rounded,
		forwardOnly: true,
		build: func(b *builder) {
			x := b.input("in", 300)
			for i := range 12 {
				x = compute.Tanh(x)
				if i%4 == 0 {
					b.measure(fmt.Sprintf("x%d", i), x)
				}
			}
			b.measure("last", x)
		},
	}, {
		name:        "nodes that nobody reads do not run",
		tolerance:   rounded,
		forwardOnly: true,
		build: func(b *builder) {
			x := b.input("in", 9)
			y := compute.Exp(x)
			b.measure("y", y)
			compute.GlobalNorm(compute.Log(y))
			compute.Embedding(b.variable("table", 2, 3), b.integers("ids", []int32{7}, 1))
		},
	}}
}
