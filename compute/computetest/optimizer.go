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
	}, testCase{
		// A weight with several readers has its gradient in parts.
		name:        "adamw/gradients in parts",
		tolerance:   summed,
		forwardOnly: true,
		build: func(b *builder) {
			part := func(j, size int) *compute.Tensor {
				name := fmt.Sprintf("gradient/%d of %d", j, size)
				return b.state(name, normal(name, 1, 0), size)
			}
			two := compute.Add(part(0, 35), part(1, 35))
			three := compute.Add(compute.Add(part(0, 20000), part(1, 20000)), part(2, 20000))
			right := compute.Add(part(0, 9), compute.Add(part(1, 9), part(2, 9)))
			moved := compute.Add(part(0, 5), part(1, 5))
			b.measure("norm", compute.GlobalNorm(compute.Add(part(0, 35), part(1, 35)), compute.Add(part(1, 20000), part(2, 20000))))
			for i, g := range []*compute.Tensor{two, three, right, moved} {
				b.adamW(fmt.Sprint(i), g, b.scale(fmt.Sprint("scale", i), 0.5), compute.AdamWOp{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, Decay: 0.1})
			}
			b.p.Update(part(0, 5), compute.Neg(part(0, 5))) // not the gradient's any more
			b.measure("read elsewhere", compute.Sum(right))
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

// ownValueCases give a variable a value that one operator computes from the
// variable itself, at other places than its own: in place, it would read what
// it has just written.
func ownValueCases() []testCase {
	var cases []testCase
	for _, c := range []struct {
		name  string
		shape []int
		next  func(b *builder, v *compute.Tensor) *compute.Tensor
	}{
		{"linear input", []int{20, 17}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Linear(v, b.variable("w", 17, 17), nil, false)
		}},
		{"linear weight", []int{33, 33}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Linear(b.input("x", 33, 33), v, nil, true)
		}},
		{"linear input and weight", []int{17, 17}, func(_ *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Linear(v, v, nil, false)
		}},
		{"linear bias", []int{1, 9}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Linear(b.input("x", 1, 5), b.variable("w", 5, 9), compute.Reshape(v, 9), false)
		}},
		{"weight gradient", []int{13, 13}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			loss := compute.Sum(compute.Square(compute.Linear(v, v, nil, false)))
			return compute.Gradient(loss, v)[0]
		}},
		{"rows in reverse", []int{9, 5}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.GatherRows(v, b.integers("rows", []int32{8, 7, 6, 5, 4, 3, 2, 1, 0}, 9))
		}},
		{"embedding gradient", []int{9, 5}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			table := b.variable("table", 9, 5)
			rows := compute.Embedding(table, b.integers("ids", []int32{8, 7, 6, 5, 4, 3, 2, 1, 0}, 9))
			return compute.Gradient(compute.Sum(compute.Mul(rows, v)), table)[0]
		}},
		{"layer_norm", []int{7, 9}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.LayerNorm(v, b.variable("gamma", 9), b.variable("beta", 9), 1e-5)
		}},
		{"layer_norm gamma and beta", []int{33}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.LayerNorm(b.input("x", 33), v, v, 1e-5)
		}},
		{"rms_norm input and gamma", []int{33}, func(_ *builder, v *compute.Tensor) *compute.Tensor {
			return compute.RMSNorm(v, v, 1e-5)
		}},
		{"rms_norm gradient", []int{3, 17}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Gradient(compute.Sum(compute.Mul(b.input("dy", 3, 17), compute.RMSNorm(v, b.variable("gamma", 17), 1e-5))), v)[0]
		}},
		{"gelu", []int{3, 17}, func(_ *builder, v *compute.Tensor) *compute.Tensor { return compute.GELU(v, true) }},
		{"swiglu of itself", []int{3, 17}, func(_ *builder, v *compute.Tensor) *compute.Tensor { return compute.SwiGLU(v, v) }},
		{"rope", []int{7, 3, 4}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.RoPE(v, b.below("positions", 0, 50, 7), frequencies(4))
		}},
		{"attention", []int{1, 13, 2, 5}, func(_ *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Attention(v, v, v, nil, compute.AttentionOp{Scale: 0.4})
		}},
		{"attention values", []int{1, 13, 2, 5}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Attention(b.input("q", 1, 13, 2, 5), b.input("k", 1, 13, 2, 5), v, nil, compute.AttentionOp{Scale: 0.4, Causal: true})
		}},
		{"one element for all", []int{1, 7}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Mul(v, compute.Slice(v, 1, 0, 1))
		}},
		{"itself in another shape", []int{3, 1}, func(b *builder, v *compute.Tensor) *compute.Tensor {
			return compute.SumTo(compute.Mul(v, compute.Reshape(v, 1, 3)), compute.Shape{3, 1})
		}},
		{"select", []int{17}, func(_ *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Select(v, v, compute.Reshape(v, 17))
		}},
		{"halves that change places", []int{6, 5}, func(_ *builder, v *compute.Tensor) *compute.Tensor {
			return compute.Concat(0, compute.Slice(v, 0, 3, 6), compute.Slice(v, 0, 0, 3))
		}},
	} {
		for _, add := range []bool{false, true} {
			how := "replaced by"
			if add {
				how = "added to by"
			}
			cases = append(cases, testCase{
				name:        fmt.Sprintf("updates/a variable %s its own %s", how, c.name),
				tolerance:   conditioned,
				forwardOnly: true,
				build: func(b *builder) {
					v := b.scaled("v", 0.5, 0, c.shape...)
					if next := c.next(b, v); add {
						b.p.Accumulate("v", next)
					} else {
						b.p.Update(v, next)
					}
				},
			})
		}
	}
	return cases
}

// updateCases are about what readers see while variables change.
func updateCases() []testCase {
	return append(ownValueCases(), []testCase{{
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
		name:        "updates/the parts of a sum go elsewhere as well",
		tolerance:   summed,
		forwardOnly: true,
		build: func(b *builder) {
			w := b.variable("w", 17, 17)
			inner, outer := compute.Reshape(w, 17, 17), compute.Reshape(w, 17, 17)
			y := compute.Linear(compute.Tanh(compute.Linear(b.input("x", 9, 17), inner, nil, false)), outer, nil, true)
			parts := compute.Gradient(compute.Sum(compute.Mul(y, b.input("dy", 9, 17))), inner, outer)
			for i, name := range []string{"sum", "first", "second"} {
				b.state(name, normal(name, 1, 0), 17, 17)
				if i > 0 {
					b.p.Accumulate(name, parts[i-1])
				}
			}
			b.p.Accumulate("sum", compute.Add(parts[0], parts[1]))
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
	}}...)
}
