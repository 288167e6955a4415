package computetest

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

func primitiveCases() []testCase {
	var cases []testCase
	inf := float32(math.Inf(1))
	for _, f := range []struct {
		name     string
		apply    func(x *compute.Tensor) *compute.Tensor
		positive bool
		special  []float32
	}{
		{"neg", compute.Neg, false, []float32{0, inf, -inf}},
		{"exp", compute.Exp, false, []float32{0, -200, -40, 40, 88, 89, 200, inf, -inf}},
		{"log", compute.Log, true, []float32{0, 1, -1, 1e-30, 1e30, inf}},
		{"sigmoid", compute.Sigmoid, false, []float32{0, -200, -30, 30, 200, inf, -inf}},
		{"log_sigmoid", compute.LogSigmoid, false, []float32{0, -200, -30, 30, 200, inf}},
		{"tanh", compute.Tanh, false, []float32{0, 1e-4, -1e-4, -50, 50, inf, -inf}},
		{"sqrt", compute.Sqrt, true, []float32{0, -1, 1e-30, 1e30, inf}},
		{"square", compute.Square, false, []float32{0, 1e25, inf, -inf}},
	} {
		for _, shape := range [][]int{nil, {1}, {13}, {3, 65}, {1009}} {
			cases = append(cases, testCase{
				name:      fmt.Sprintf("%s/%v", f.name, shape),
				tolerance: rounded,
				build: func(b *builder) {
					x := b.positive
					if !f.positive {
						x = func(name string, shape ...int) *compute.Tensor { return b.scaled(name, 3, 0, shape...) }
					}
					b.output("y", f.apply(x("x", shape...)))
				},
			})
		}
		for _, special := range f.special {
			cases = append(cases, testCase{
				name:        fmt.Sprintf("%s/of %g", f.name, special),
				tolerance:   rounded,
				forwardOnly: true,
				build: func(b *builder) {
					b.output("y", f.apply(b.inputOf("x", func(int, int) float32 { return special }, 9)))
				},
			})
		}
	}
	for _, f := range []struct {
		name  string
		apply func(a, b *compute.Tensor) *compute.Tensor
	}{
		{"add", compute.Add}, {"sub", compute.Sub}, {"mul", compute.Mul}, {"div", compute.Div},
		{"min", compute.Min}, {"max", compute.Max}, {"less", compute.Less},
	} {
		for _, s := range [][2][]int{
			{{3, 5}, {3, 5}}, {{1009}, {1009}}, {nil, nil}, {{3, 5}, {5}}, {{5}, {3, 5}}, {{3, 1}, {1, 5}},
			{nil, {3, 5}}, {{3, 5}, nil}, {{2, 3, 5}, {3, 1}}, {{2, 1, 5}, {2, 3, 1}}, {{1}, {7}},
			{{4, 33}, {4, 1}}, {{2, 17, 65}, {65}}, {{1, 1}, {5}}, {{300}, {1}},
		} {
			cases = append(cases, testCase{
				name:      fmt.Sprintf("%s/%v and %v", f.name, s[0], s[1]),
				tolerance: summed, // the gradient of what is repeated is a sum
				build: func(b *builder) {
					// The divisor keeps away from zero.
					b.output("y", f.apply(b.variable("a", s[0]...), b.positive("b", s[1]...)))
				},
			})
		}
	}
	same := func(b *builder) (x, y *compute.Tensor) {
		fill := func(_, i int) float32 { return float32(i%3) - 1 }
		return b.state("x", fill, 9), b.state("y", fill, 9)
	}
	return append(cases, testCase{
		name:      "div/by zero",
		tolerance: exact,
		build: func(b *builder) {
			x, y := same(b)
			b.output("y", compute.Div(x, compute.Scale(y, 0)))
		},
		forwardOnly: true,
	}, testCase{
		name:      "less/of equal numbers",
		tolerance: exact,
		build: func(b *builder) {
			x, y := same(b)
			b.output("y", compute.Less(x, y))
		},
		forwardOnly: true,
	}, testCase{
		name:      "clip",
		tolerance: rounded,
		build: func(b *builder) {
			b.output("y", compute.Clip(b.variable("x", 3, 17), -0.5, 0.75))
		},
	}, testCase{
		name:      "select",
		tolerance: exact,
		build: func(b *builder) {
			condition := b.inputOf("condition", func(run, i int) float32 { return []float32{0, 1, 0, -0.5}[(i+run)%4] }, 3, 33)
			b.output("y", compute.Select(condition, b.variable("a", 3, 33), b.variable("b", 3, 33)))
		},
	}, testCase{
		name:      "select/by comparison of what it selects",
		tolerance: rounded,
		build: func(b *builder) {
			x, y := b.variable("x", 65), b.variable("y", 65)
			b.output("z", compute.Select(compute.Less(x, y), compute.Exp(x), compute.Neg(y)))
		},
	})
}

func shapeCases() []testCase {
	var cases []testCase
	for _, s := range []struct{ x, target []int }{
		{[]int{3, 5}, nil}, {[]int{3, 5}, []int{5}}, {[]int{3, 5}, []int{3, 1}}, {[]int{3, 5}, []int{1, 5}},
		{[]int{2, 3, 7}, []int{3, 1}}, {[]int{2, 3, 7}, []int{2, 1, 7}}, {[]int{2, 3, 7}, []int{1, 3, 1}},
		{[]int{1}, nil}, {[]int{1009}, nil}, {[]int{130, 65}, []int{65}}, {[]int{130, 65}, []int{130, 1}}, {[]int{70, 300}, nil},
	} {
		cases = append(cases, testCase{
			name:      fmt.Sprintf("sum/%v to %v", s.x, s.target),
			tolerance: recomputed,
			build: func(b *builder) {
				b.output("y", compute.SumTo(b.scaled("x", 1, 1, s.x...), s.target))
			},
		})
	}
	for _, s := range []struct {
		x                []int
		axis, start, end int
	}{
		{[]int{7}, 0, 0, 7}, {[]int{7}, 0, 3, 4}, {[]int{5, 9}, 0, 1, 4}, {[]int{5, 9}, 1, 0, 4},
		{[]int{5, 9}, 1, 8, 9}, {[]int{2, 3, 33}, 0, 1, 2}, {[]int{2, 3, 33}, 1, 1, 3}, {[]int{2, 3, 33}, 2, 5, 22},
	} {
		cases = append(cases, testCase{
			name:      fmt.Sprintf("slice/%v %d:%d of dimension %d", s.x, s.start, s.end, s.axis),
			tolerance: exact,
			build: func(b *builder) {
				b.output("y", compute.Slice(b.variable("x", s.x...), s.axis, s.start, s.end))
			},
		})
	}
	for _, s := range []struct {
		axis   int
		shapes [][]int
	}{
		{0, [][]int{{3}}}, {0, [][]int{{3}, {1}, {7}}}, {0, [][]int{{2, 5}, {1, 5}}}, {1, [][]int{{3, 5}, {3, 1}, {3, 17}}},
		{0, [][]int{{1, 3, 5}, {2, 3, 5}}}, {1, [][]int{{2, 1, 5}, {2, 3, 5}}}, {2, [][]int{{2, 3, 33}, {2, 3, 7}}},
	} {
		cases = append(cases, testCase{
			name:      fmt.Sprintf("concat/%v in dimension %d", s.shapes, s.axis),
			tolerance: exact,
			build: func(b *builder) {
				var parts []*compute.Tensor
				for i, shape := range s.shapes {
					parts = append(parts, b.variable(fmt.Sprintf("x%d", i), shape...))
				}
				b.output("y", compute.Concat(s.axis, parts...))
			},
		})
	}
	return append(cases, testCase{
		name:      "concat/of a tensor with itself",
		tolerance: rounded,
		build: func(b *builder) {
			x := compute.Exp(b.variable("x", 3, 5))
			b.output("y", compute.Concat(1, x, x))
		},
	}, testCase{
		name:      "mean",
		tolerance: rounded,
		build: func(b *builder) {
			b.output("y", compute.Mean(b.scaled("x", 1, 2, 3, 17)))
		},
	}, testCase{
		name:      "reshape/there and back",
		tolerance: rounded,
		build: func(b *builder) {
			x := b.variable("x", 2, 3, 5)
			y := compute.Exp(compute.Reshape(x, 6, 5))
			b.output("y", compute.Reshape(y, 30))
			b.output("z", compute.Reshape(compute.Mul(y, y), 5, 6))
		},
	}, testCase{
		name:      "reshape/of variables and inputs",
		tolerance: exact,
		build: func(b *builder) {
			b.output("variable", compute.Reshape(b.variable("x", 2, 9), 18))
			b.output("input", compute.Reshape(b.input("in", 2, 9), 9, 2))
		},
	}, testCase{
		name:      "integers can be reshaped, cut and joined",
		tolerance: exact,
		build: func(b *builder) {
			ids := b.below("ids", -1, 7, 3, 5)
			cut := compute.Slice(ids, 1, 1, 4)
			joined := compute.Concat(0, compute.Reshape(cut, 9), compute.Reshape(compute.Slice(ids, 0, 2, 3), 5))
			b.output("y", compute.Embedding(b.state("table", normal("table", 1, 0), 7, 2), joined))
		},
		forwardOnly: true,
	}, testCase{
		name:      "fill",
		tolerance: exact,
		build: func(b *builder) {
			b.output("y", compute.Fill(b.p, 0.75, 3, 7))
			b.output("scalar", compute.Constant(b.p, -2))
		},
		forwardOnly: true,
	}, testCase{
		name:      "losses/clipped ratios as PPO writes them",
		tolerance: summed,
		floor:     1e-7, // advantages of both signs
		build: func(b *builder) {
			logProb, old, advantage := b.variable("logprob", 4, 9), b.input("old", 4, 9), b.input("advantage", 4, 9)
			ratio := compute.Exp(compute.Scale(compute.Sub(logProb, old), 0.3))
			surrogate := compute.Min(compute.Mul(ratio, advantage), compute.Mul(compute.Clip(ratio, 0.8, 1.2), advantage))
			b.output("loss", compute.Neg(compute.Mean(surrogate)))
		},
	}, testCase{
		name:      "losses/every pair of a ranking",
		tolerance: summed,
		build: func(b *builder) {
			r := b.variable("rewards", 4)
			differences := compute.Sub(compute.Reshape(r, 4, 1), r)
			better := b.integersOf("pairs", func(_, i int) int32 { return []int32{1, 2, 3, 6, 7, 11}[i] }, 6)
			pairs := compute.GatherRows(compute.Reshape(differences, 16), better)
			b.output("loss", compute.Neg(compute.Mean(compute.LogSigmoid(pairs))))
		},
	})
}
