package computetest

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Tolerances in float32, whose unit roundoff is 6e-8. They are set by what an
// operator sums: one element, a row, or a row of what was itself summed.
const (
	exact       = 0    // copies
	rounded     = 2e-6 // one element: a few roundings and a polynomial
	summed      = 1e-5 // sums of up to a few hundred products
	recomputed  = 3e-5 // sums whose terms are sums
	conditioned = 3e-4 // differences of close numbers, deep models
)

func allCases() []testCase {
	var all []testCase
	for _, family := range [][]testCase{
		linearCases(), embeddingCases(), normCases(), activationCases(), ropeCases(),
		attentionCases(), cachedAttentionCases(), headCases(), primitiveCases(), shapeCases(), optimizerCases(),
		updateCases(), randomCases(), modelCases(),
	} {
		all = append(all, family...)
	}
	return all
}

func linearCases() []testCase {
	var cases []testCase
	for _, s := range []struct {
		rows []int
		k, n int
	}{
		{nil, 5, 3},
		{[]int{1}, 1, 1},
		{[]int{3}, 7, 13},
		{[]int{2, 5}, 13, 33},
		{[]int{17}, 33, 65},
		{[]int{65}, 17, 1},
		{[]int{2, 3, 7}, 1, 17},
		{[]int{40}, 130, 70},
		{[]int{3, 70}, 65, 49},
		{[]int{1}, 300, 129},
		{[]int{1, 9}, 1000, 100},
	} {
		for _, outIn := range []bool{false, true} {
			for _, bias := range []bool{false, true} {
				shape := []int{s.k, s.n}
				if outIn {
					shape = []int{s.n, s.k}
				}
				cases = append(cases, testCase{
					name:      fmt.Sprintf("linear/rows %v K %d N %d OutIn %v bias %v", s.rows, s.k, s.n, outIn, bias),
					tolerance: summed,
					build: func(b *builder) {
						x := b.variable("x", append(append([]int{}, s.rows...), s.k)...)
						w := b.variable("w", shape...)
						var add *compute.Tensor
						if bias {
							add = b.variable("bias", s.n)
						}
						b.output("y", compute.Linear(x, w, add, outIn))
					},
				})
			}
		}
	}
	return append(cases, testCase{
		name:      "linear/input from the caller and two readers",
		tolerance: summed,
		build: func(b *builder) {
			x, w := b.input("x", 6, 9), b.variable("w", 9, 9)
			once := compute.Linear(x, w, nil, false)
			b.output("y", compute.Linear(once, w, nil, true))
			b.output("once", once)
		},
	})
}

func embeddingCases() []testCase {
	var cases []testCase
	for _, s := range []struct {
		name       string
		table, ids []int
	}{
		{"one id", []int{5, 3}, []int{1}},
		{"repeated and negative ids", []int{3, 7}, []int{4, 9}},
		{"wide rows", []int{33, 65}, []int{2, 17}},
		{"rows of one", []int{13, 1}, []int{7}},
		{"scalars", []int{13}, []int{3, 5}},
		{"rows of two dimensions", []int{4, 3, 5}, []int{2, 3}},
	} {
		cases = append(cases, testCase{
			name: "embedding/" + s.name,
			// The gradient sums rows; the lookup copies.
			tolerance: rounded,
			build: func(b *builder) {
				table := b.variable("table", s.table...)
				b.output("y", compute.Embedding(table, b.below("ids", -1, s.table[0], s.ids...)))
			},
		})
	}
	return append(cases, testCase{
		name:      "embedding/no row is named",
		tolerance: exact,
		build: func(b *builder) {
			b.output("y", compute.Embedding(b.variable("table", 4, 3), b.integers("ids", []int32{-1, -5, -100}, 3)))
		},
	}, testCase{
		name:      "embedding/rows of a computed tensor",
		tolerance: rounded,
		build: func(b *builder) {
			x := compute.Tanh(b.variable("x", 2, 6, 5))
			rows := compute.Reshape(x, 12, 5)
			b.output("y", compute.GatherRows(rows, b.integers("rows", []int32{11, 0, 3, 3}, 4)))
		},
	})
}

func normCases() []testCase {
	var cases []testCase
	for _, shape := range [][]int{{1, 3}, {5, 7}, {7}, {2, 3, 17}, {13, 33}, {3, 65}, {2, 70, 130}} {
		d := shape[len(shape)-1]
		for _, offset := range []float64{0, 20} {
			tolerance := recomputed
			if offset != 0 {
				// The mean is far from zero: variance and x̂ are small differences.
				tolerance = conditioned
			}
			cases = append(cases, testCase{
				name:      fmt.Sprintf("layer_norm/%v around %g", shape, offset),
				tolerance: tolerance,
				build: func(b *builder) {
					x := b.scaled("x", 1.5, offset, shape...)
					b.output("y", compute.LayerNorm(x, b.variable("gamma", d), b.variable("beta", d), 1e-5))
				},
			}, testCase{
				name:      fmt.Sprintf("rms_norm/%v around %g", shape, offset),
				tolerance: tolerance,
				build: func(b *builder) {
					b.output("y", compute.RMSNorm(b.scaled("x", 1.5, offset, shape...), b.variable("gamma", d), 1e-6))
				},
			})
		}
	}
	return append(cases, testCase{
		name:      "layer_norm/one element is its own mean",
		tolerance: exact,
		build: func(b *builder) {
			b.output("y", compute.LayerNorm(b.variable("x", 4, 1), b.variable("gamma", 1), b.variable("beta", 1), 1e-5))
		},
		forwardOnly: true,
	}, testCase{
		name:      "rms_norm/a row of zeros stays zero",
		tolerance: summed,
		build: func(b *builder) {
			x := compute.Mul(b.variable("x", 3, 9), b.inputOf("keep", func(_, i int) float32 { return float32(i % 2) }, 3, 1))
			b.output("y", compute.RMSNorm(x, b.variable("gamma", 9), 1e-6))
		},
	})
}

func activationCases() []testCase {
	var cases []testCase
	for _, shape := range [][]int{{1}, {7}, {3, 33}, {1009}} {
		for _, exactly := range []bool{false, true} {
			cases = append(cases, testCase{
				name:      fmt.Sprintf("gelu/%v exact %v", shape, exactly),
				tolerance: rounded,
				build: func(b *builder) {
					b.output("y", compute.GELU(b.scaled("x", 3, 0, shape...), exactly))
				},
			})
		}
		cases = append(cases, testCase{
			name:      fmt.Sprintf("swiglu/%v", shape),
			tolerance: rounded,
			build: func(b *builder) {
				b.output("y", compute.SwiGLU(b.scaled("gate", 3, 0, shape...), b.variable("up", shape...)))
			},
		})
	}
	far := func(_, i int) float32 { return []float32{-200, -90, -30, -9, 0, 9, 30, 90, 200}[i] }
	return append(cases, testCase{
		name:      "gelu/far from zero",
		tolerance: rounded,
		build: func(b *builder) {
			x := b.filled("x", far, 9)
			b.output("tanh", compute.GELU(x, false))
			b.output("erf", compute.GELU(x, true))
		},
	}, testCase{
		name:      "swiglu/far from zero",
		tolerance: rounded,
		build: func(b *builder) {
			b.output("y", compute.SwiGLU(b.filled("gate", far, 9), b.variable("up", 9)))
		},
	})
}

// frequencies are Llama's for heads of dh dimensions.
func frequencies(dh int) []float64 {
	f := make([]float64, dh/2)
	for i := range f {
		f[i] = math.Pow(10000, -2*float64(i)/float64(dh))
	}
	return f
}

func ropeCases() []testCase {
	var cases []testCase
	for _, s := range []struct {
		rows  []int
		heads int
		dh    int
		limit int
	}{
		{[]int{1}, 1, 2, 3},
		{[]int{2, 7}, 3, 6, 70},
		{[]int{2, 33}, 2, 16, 100},
		{[]int{3, 5}, 1, 34, 4096},
	} {
		cases = append(cases, testCase{
			name:      fmt.Sprintf("rope/%v rows of %d heads of %d below position %d", s.rows, s.heads, s.dh, s.limit),
			tolerance: rounded,
			build: func(b *builder) {
				x := b.variable("x", append(append([]int{}, s.rows...), s.heads, s.dh)...)
				b.output("y", compute.RoPE(x, b.below("positions", 0, s.limit, s.rows...), frequencies(s.dh)))
			},
		})
	}
	return cases
}

// cachedAttentionCases decode two runs: run 1 fills an empty cache, run 2 goes
// on after it.
func cachedAttentionCases() []testCase {
	var cases []testCase
	for _, s := range []struct {
		name                         string
		r, c, h, hkv, dh, slots, max int
		window                       int
		slot                         []int32
		counts                       [2][]int32
	}{
		{name: "one position a row", r: 3, c: 1, h: 3, hkv: 3, dh: 5, slots: 4, max: 7,
			slot: []int32{2, 0, 3}, counts: [2][]int32{{1, 1, 1}, {1, 0, 1}}},
		{name: "grouped queries", r: 2, c: 9, h: 6, hkv: 2, dh: 16, slots: 2, max: 33,
			slot: []int32{1, 0}, counts: [2][]int32{{9, 4}, {3, 9}}},
		{name: "window", r: 2, c: 33, h: 2, hkv: 1, dh: 33, slots: 3, max: 70, window: 7,
			slot: []int32{0, 2}, counts: [2][]int32{{33, 1}, {17, 33}}},
		{name: "rows without positions name any slot", r: 3, c: 2, h: 1, hkv: 1, dh: 5, slots: 1, max: 3,
			slot: []int32{0, 0, -1}, counts: [2][]int32{{2, 0, 0}, {1, 0, 0}}},
	} {
		cases = append(cases, testCase{
			name:        "cached_attention/" + s.name,
			tolerance:   recomputed,
			forwardOnly: true,
			build: func(b *builder) {
				cache := func(name string) *compute.Tensor {
					return b.state(name, normal(name, 1, 0), s.slots, s.max, s.hkv, s.dh)
				}
				starts := b.integersOf("starts", func(run, i int) int32 {
					if run < 2 {
						return 0
					}
					return s.counts[0][i]
				}, s.r)
				counts := b.integersOf("counts", func(run, i int) int32 { return s.counts[max(run-1, 0)][i] }, s.r)
				b.measure("o", compute.CachedAttention(
					b.input("q", s.r, s.c, s.h, s.dh), b.input("k", s.r, s.c, s.hkv, s.dh), b.input("v", s.r, s.c, s.hkv, s.dh),
					cache("keys"), cache("values"), b.integers("slots", s.slot, s.r), starts, counts,
					compute.CachedAttentionOp{Scale: 0.3, Window: s.window}))
			},
		})
	}
	return cases
}

// segmentsOf repeats segment ids: pairs of an id and a length.
func segmentsOf(pairs ...int32) []int32 {
	var ids []int32
	for i := 0; i < len(pairs); i += 2 {
		for range pairs[i+1] {
			ids = append(ids, pairs[i])
		}
	}
	return ids
}

func attentionCases() []testCase {
	var cases []testCase
	for _, s := range []struct {
		name             string
		b, t, h, hkv, dh int
		causal           bool
		window           int
		segments         []int32
	}{
		{name: "one position", b: 1, t: 1, h: 1, hkv: 1, dh: 5, causal: true},
		{name: "causal", b: 2, t: 7, h: 3, hkv: 3, dh: 5, causal: true},
		{name: "causal, long", b: 1, t: 70, h: 3, hkv: 3, dh: 16, causal: true},
		{name: "causal, one tile", b: 1, t: 64, h: 1, hkv: 1, dh: 16, causal: true},
		{name: "causal, one tile and a position", b: 1, t: 65, h: 1, hkv: 1, dh: 16, causal: true},
		{name: "causal, wide heads", b: 2, t: 33, h: 3, hkv: 1, dh: 33, causal: true},
		{name: "causal, common heads", b: 1, t: 37, h: 2, hkv: 2, dh: 64, causal: true},
		{name: "full", b: 2, t: 13, h: 3, hkv: 3, dh: 5},
		{name: "full, long", b: 1, t: 67, h: 2, hkv: 2, dh: 16},
		{name: "grouped queries", b: 2, t: 17, h: 6, hkv: 2, dh: 5, causal: true},
		{name: "grouped queries, full", b: 1, t: 33, h: 4, hkv: 1, dh: 16},
		{name: "window of one", b: 1, t: 9, h: 2, hkv: 2, dh: 5, causal: true, window: 1},
		{name: "window", b: 2, t: 70, h: 3, hkv: 3, dh: 5, causal: true, window: 9},
		{name: "window as long as the row", b: 1, t: 33, h: 1, hkv: 1, dh: 16, causal: true, window: 33},
		{name: "window without causality", b: 1, t: 33, h: 2, hkv: 1, dh: 5, window: 4},
		{name: "segments", b: 2, t: 13, h: 3, hkv: 3, dh: 5, causal: true,
			segments: append(segmentsOf(0, 5, 1, 7, 2, 1), segmentsOf(4, 1, 3, 12)...)},
		{name: "segments with padding", b: 3, t: 33, h: 2, hkv: 1, dh: 16, causal: true,
			segments: append(append(segmentsOf(0, 20, 1, 1, 2, 9, -1, 3), segmentsOf(-1, 33)...), segmentsOf(7, 33)...)},
		{name: "segments, full", b: 2, t: 17, h: 2, hkv: 2, dh: 5,
			segments: append(segmentsOf(0, 9, -1, 8), segmentsOf(0, 3, 1, 3, 2, 11)...)},
		{name: "segments of single tokens", b: 1, t: 7, h: 1, hkv: 1, dh: 5, causal: true,
			segments: segmentsOf(0, 1, 1, 1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 1)},
		{name: "segments across tiles, window", b: 1, t: 70, h: 2, hkv: 1, dh: 5, causal: true, window: 20,
			segments: segmentsOf(0, 30, 1, 37, -1, 3)},
		{name: "padding in front", b: 1, t: 13, h: 1, hkv: 1, dh: 5, causal: true, segments: segmentsOf(-1, 5, 0, 8)},
	} {
		cases = append(cases, testCase{
			name:      "attention/" + s.name,
			tolerance: recomputed,
			// Of a single position seen, the gradient by q and k is zero.
			floor: 1e-6,
			build: func(b *builder) {
				q := b.variable("q", s.b, s.t, s.h, s.dh)
				k := b.variable("k", s.b, s.t, s.hkv, s.dh)
				v := b.variable("v", s.b, s.t, s.hkv, s.dh)
				var segments *compute.Tensor
				if s.segments != nil {
					segments = b.integers("segments", s.segments, s.b, s.t)
				}
				b.output("o", compute.Attention(q, k, v, segments, compute.AttentionOp{
					Scale: float32(1 / math.Sqrt(float64(s.dh))), Causal: s.causal, Window: s.window,
				}))
			},
		})
	}
	return append(cases, testCase{
		name:      "attention/large scores",
		tolerance: conditioned,
		bf16:      0.15, // a score of 100 is off by up to 1
		build: func(b *builder) {
			q, k := b.scaled("q", 8, 0, 1, 33, 2, 16), b.scaled("k", 8, 0, 1, 33, 2, 16)
			b.output("o", compute.Attention(q, k, b.variable("v", 1, 33, 2, 16), nil, compute.AttentionOp{Scale: 1, Causal: true}))
		},
	}, testCase{
		name:      "attention/q, k and v cut from one product",
		tolerance: recomputed,
		build: func(b *builder) {
			qkv := compute.Linear(b.variable("x", 2, 9, 15), b.scaled("w", 0.3, 0, 15, 45), nil, false)
			part := func(i int) *compute.Tensor {
				return compute.Reshape(compute.Slice(qkv, 2, 15*i, 15*(i+1)), 2, 9, 3, 5)
			}
			b.output("o", compute.Attention(part(0), part(1), part(2), nil, compute.AttentionOp{Scale: 0.4, Causal: true}))
		},
	})
}

func headCases() []testCase {
	var cases []testCase
	for _, s := range []struct{ n, d, v int }{
		{1, 1, 2}, {7, 5, 13}, {33, 16, 65}, {17, 33, 130}, {300, 7, 17}, {3, 65, 1031},
	} {
		for _, outIn := range []bool{false, true} {
			shape := []int{s.d, s.v}
			if outIn {
				shape = []int{s.v, s.d}
			}
			cases = append(cases, testCase{
				name:      fmt.Sprintf("linear_cross_entropy/N %d D %d V %d OutIn %v", s.n, s.d, s.v, outIn),
				tolerance: recomputed,
				build: func(b *builder) {
					targets := b.integersOf("targets", ignoreSome("targets", s.v), s.n)
					b.output("loss", compute.LinearCrossEntropy(b.variable("hidden", s.n, s.d), b.variable("w", shape...), targets, outIn))
				},
			}, testCase{
				name:      fmt.Sprintf("token_log_prob/N %d D %d V %d OutIn %v", s.n, s.d, s.v, outIn),
				tolerance: recomputed,
				build: func(b *builder) {
					tokens := b.integersOf("tokens", ignoreSome("tokens", s.v), s.n)
					temperature := float32(1)
					if outIn {
						temperature = 0.7
					}
					logProb, entropy := compute.TokenLogProb(b.variable("hidden", s.n, s.d), b.variable("w", shape...), tokens, outIn, temperature)
					b.output("log-probability", logProb)
					b.measure("entropy", entropy)
				},
			})
		}
	}
	return append(cases, testCase{
		name:      "linear_cross_entropy/bias",
		tolerance: recomputed,
		build: func(b *builder) {
			targets := b.integersOf("targets", ignoreSome("targets", 37), 61)
			b.output("loss", compute.BiasedCrossEntropy(b.variable("hidden", 61, 9), b.variable("w", 37, 9), b.variable("bias", 37), targets, true))
		},
	}, testCase{
		name:      "linear_cross_entropy/bias, w [D, V]",
		tolerance: recomputed,
		build: func(b *builder) {
			targets := b.integersOf("targets", ignoreSome("targets", 37), 300)
			b.output("loss", compute.BiasedCrossEntropy(b.variable("hidden", 300, 9), b.variable("w", 9, 37), b.variable("bias", 37), targets, false))
		},
	}, testCase{
		name:      "linear_cross_entropy/no target counts, bias",
		tolerance: exact,
		build: func(b *builder) {
			targets := b.integers("targets", []int32{compute.IgnoreTarget, -1, compute.IgnoreTarget}, 3)
			b.output("loss", compute.BiasedCrossEntropy(b.variable("hidden", 3, 5), b.variable("w", 5, 7), b.variable("bias", 7), targets, false))
		},
	}, testCase{
		name:      "linear_cross_entropy/no target counts",
		tolerance: exact,
		build: func(b *builder) {
			targets := b.integers("targets", []int32{compute.IgnoreTarget, -1, compute.IgnoreTarget}, 3)
			b.output("loss", compute.LinearCrossEntropy(b.variable("hidden", 3, 5), b.variable("w", 5, 7), targets, false))
		},
	}, testCase{
		name:      "linear_cross_entropy/large logits",
		tolerance: conditioned,
		build: func(b *builder) {
			targets := b.below("targets", 0, 33, 13)
			b.output("loss", compute.LinearCrossEntropy(b.scaled("hidden", 20, 0, 13, 5), b.scaled("w", 5, 0, 5, 33), targets, false))
		},
	}, testCase{
		name:      "linear_cross_entropy/one embedding at both ends",
		tolerance: recomputed,
		build: func(b *builder) {
			table := b.variable("table", 13, 9)
			hidden := compute.Tanh(compute.Embedding(table, b.below("ids", 0, 13, 17)))
			b.output("loss", compute.LinearCrossEntropy(hidden, table, b.below("targets", 0, 13, 17), true))
		},
	})
}

// ignoreSome draws targets below v, a quarter of them ignored.
func ignoreSome(name string, v int) func(run, i int) int32 {
	stream := compute.Stream(name)
	return func(run, i int) int32 {
		bits := compute.Bits(uint64(run), stream, uint64(i))
		if bits%4 == 0 && i > 0 {
			return compute.IgnoreTarget
		}
		return int32(bits / 4 % uint64(v))
	}
}
