package computetest

import (
	"fmt"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// testRows computes rows of a batch alone, on one thread, and together, on
// three: each row must have the same bits. Evaluation, decoding and
// micro-batches rest on it.
func (s suite) testRows(t *testing.T) {
	elementwise := func(f func(x *compute.Tensor) *compute.Tensor) func(b *builder) {
		return func(b *builder) { b.output("y", f(b.grown("x", 13))) }
	}
	linear := func(k, n int, outIn bool) func(b *builder) {
		return func(b *builder) {
			shape := []int{k, n}
			if outIn {
				shape = []int{n, k}
			}
			b.output("y", compute.Linear(b.grown("x", k), b.state("w", normal("w", 1, 0), shape...), b.state("bias", normal("bias", 1, 0), n), outIn))
		}
	}
	const total = 300
	for _, c := range []struct {
		name  string
		total int
		build func(b *builder)
	}{
		{"linear K 33 N 17", 41, linear(33, 17, false)},
		{"linear K 33 N 17 OutIn", 41, linear(33, 17, true)},
		{"linear K 130 N 65", 41, linear(130, 65, false)},
		{"linear K 1600 N 100", 41, linear(1600, 100, false)},
		{"linear K 1600 N 100 OutIn", 41, linear(1600, 100, true)},
		{"linear K 64 N 1", 41, linear(64, 1, true)},
		{"layer_norm", 41, func(b *builder) {
			b.output("y", compute.LayerNorm(b.grown("x", 33), b.state("gamma", normal("gamma", 1, 0), 33), b.state("beta", normal("beta", 1, 0), 33), 1e-5))
		}},
		{"rms_norm", 41, func(b *builder) {
			b.output("y", compute.RMSNorm(b.grown("x", 33), b.state("gamma", normal("gamma", 1, 0), 33), 1e-6))
		}},
		{"exact gelu", total, elementwise(func(x *compute.Tensor) *compute.Tensor { return compute.GELU(x, true) })},
		{"tanh gelu", total, elementwise(func(x *compute.Tensor) *compute.Tensor { return compute.GELU(x, false) })},
		{"swiglu", total, func(b *builder) { b.output("y", compute.SwiGLU(b.grown("x", 13), b.grown("up", 13))) }},
		{"exp", total, elementwise(compute.Exp)},
		{"sigmoid", total, elementwise(compute.Sigmoid)},
		{"log_sigmoid", total, elementwise(compute.LogSigmoid)},
		{"tanh", total, elementwise(compute.Tanh)},
		{"rope", 41, func(b *builder) {
			positions := b.integersOf("positions", part(b, uniform("positions", 0, 100), 1), b.n)
			b.output("y", compute.RoPE(b.grown("x", 3, 10), positions, frequencies(10)))
		}},
		{"attention", 9, func(b *builder) {
			b.output("o", compute.Attention(b.grown("q", 33, 3, 5), b.grown("k", 33, 1, 5), b.grown("v", 33, 1, 5), nil,
				compute.AttentionOp{Scale: 0.5, Causal: true}))
		}},
		{"attention with segments", 9, func(b *builder) {
			segments := b.integersOf("segments", part(b, func(_, i int) int32 {
				row, at := i/33, i%33
				if at > 30 {
					return -1
				}
				return int32(at / (3 + row))
			}, 33), b.n, 33)
			b.output("o", compute.Attention(b.grown("q", 33, 2, 16), b.grown("k", 33, 2, 16), b.grown("v", 33, 2, 16), segments,
				compute.AttentionOp{Scale: 0.25, Causal: true, Window: 7}))
		}},
		{"linear_cross_entropy", total, func(b *builder) {
			targets := b.integersOf("targets", part(b, ignoreSome("targets", 65), 1), b.n)
			b.output("loss", compute.LinearCrossEntropy(b.grown("h", 17), b.state("w", normal("w", 1, 0), 17, 65), targets, false))
		}},
		{"token_log_prob", total, func(b *builder) {
			tokens := b.integersOf("tokens", part(b, ignoreSome("tokens", 65), 1), b.n)
			logProb, entropy := compute.TokenLogProb(b.grown("h", 17), b.state("w", normal("w", 1, 0), 65, 17), tokens, true, 0.7)
			b.output("log-probability", logProb)
			b.measure("entropy", entropy)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := rowsOf(t, s.engines[2], c.build, 0, c.total)
			for _, cut := range [][2]int{{0, 1}, {c.total - 1, 1}, {c.total / 2, 1}, {1, 2}, {3, min(17, c.total-3)}, {0, c.total - 1}} {
				first, n := cut[0], cut[1]
				got := rowsOf(t, s.one(), c.build, first, n)
				for i, w := range whole {
					row := len(w.values) / c.total
					want := numbers{w.name, w.values[first*row : (first+n)*row]}
					if diff := sameBits(got[i:i+1], []numbers{want}); diff != "" {
						t.Errorf("rows %d to %d alone differ from the same rows of %d: %s", first, first+n-1, c.total, diff)
					}
				}
			}
		})
	}
}

// grown is an input of rows, as a tensor that gradients are taken by. The
// gradients of rows are rows too.
func (b *builder) grown(name string, row ...int) *compute.Tensor {
	t := b.rows(name, row...)
	b.wrt = append(b.wrt, compute.Named{Name: name, Tensor: t})
	return t
}

// rowsOf runs the rows first ≤ r < first+n of a batch and returns the outputs
// and the gradients by the inputs.
func rowsOf(t *testing.T, engine compute.Engine, build func(b *builder), first, n int) []numbers {
	t.Helper()
	b := &builder{p: compute.NewProgram("rows"), first: first, n: n}
	build(b)
	b.differentiate(asOutput)
	return b.compile(t, engine).run(t, 1)
}

// testMicroBatches accumulates the gradients of a batch over several runs, in
// which each holds whole sequences: the sums must have the bits of one run.
// The vocabulary operators promise it where the tokens' shape tells the
// sequences apart.
func (s suite) testMicroBatches(t *testing.T) {
	const head = compute.HeadBlock
	linear := func(sequence, k, n int, outIn bool) func(b *builder) {
		return func(b *builder) {
			shape := []int{k, n}
			if outIn {
				shape = []int{n, k}
			}
			b.output("y", compute.Linear(b.rows("x", sequence, k), b.variable("w", shape...), b.variable("bias", n), outIn))
		}
	}
	for _, c := range []struct {
		name  string
		build func(b *builder)
	}{
		{"linear", linear(7, 33, 17, false)},
		{"linear OutIn", linear(7, 33, 17, true)},
		{"linear, long sequences", linear(130, 65, 49, false)},
		{"linear, sequences of one", linear(1, 17, 33, true)},
		{"linear, one output", linear(9, 33, 1, true)},
		{"layer_norm", func(b *builder) {
			b.output("y", compute.LayerNorm(b.rows("x", 7, 33), b.variable("gamma", 33), b.variable("beta", 33), 1e-5))
		}},
		{"rms_norm", func(b *builder) { b.output("y", compute.RMSNorm(b.rows("x", 70, 17), b.variable("gamma", 17), 1e-6)) }},
		{"embedding", func(b *builder) {
			ids := b.integersOf("ids", part(b, uniform("ids", -1, 5), 13), b.n, 13)
			b.output("y", compute.Embedding(b.variable("table", 5, 17), ids))
		}},
		{"linear_cross_entropy", func(b *builder) {
			targets := b.integersOf("targets", part(b, ignoreSome("targets", 13), head), b.n*head)
			hidden := compute.Reshape(b.rows("hidden", head, 7), b.n*head, 7)
			b.output("loss", compute.LinearCrossEntropy(hidden, b.variable("w", 13, 7), targets, true))
		}},
		{"linear_cross_entropy with a bias", func(b *builder) {
			targets := b.integersOf("targets", part(b, ignoreSome("targets", 13), 19), b.n, 19)
			hidden := compute.Reshape(b.rows("hidden", 19, 7), b.n*19, 7)
			b.output("loss", compute.BiasedCrossEntropy(hidden, b.variable("w", 13, 7), b.variable("bias", 13), targets, true))
		}},
		{"linear_cross_entropy, short sequences", func(b *builder) {
			targets := b.integersOf("targets", part(b, ignoreSome("targets", 13), 19), b.n, 19)
			hidden := compute.Reshape(b.rows("hidden", 19, 7), b.n*19, 7)
			b.output("loss", compute.LinearCrossEntropy(hidden, b.variable("w", 13, 7), targets, true))
		}},
		{"token_log_prob, long sequences", func(b *builder) {
			const long = head + 37
			tokens := b.integersOf("tokens", part(b, ignoreSome("tokens", 13), long), b.n, long)
			hidden := compute.Reshape(b.rows("hidden", long, 7), b.n*long, 7)
			logProb, _ := compute.TokenLogProb(hidden, b.variable("w", 7, 13), tokens, false, 0.7)
			b.output("log-probability", logProb)
		}},
		{"token_log_prob", func(b *builder) {
			tokens := b.integersOf("tokens", part(b, ignoreSome("tokens", 13), head), b.n*head)
			hidden := compute.Reshape(b.rows("hidden", head, 7), b.n*head, 7)
			logProb, _ := compute.TokenLogProb(hidden, b.variable("w", 7, 13), tokens, false, 0.7)
			b.output("log-probability", logProb)
		}},
		{"Llama", func(b *builder) { llama(b, head) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := s.accumulate(t, c.build, []int{4})
			for _, parts := range [][]int{{2, 2}, {1, 3}, {1, 1, 1, 1}} {
				if diff := sameBits(s.accumulate(t, c.build, parts), want); diff != "" {
					t.Errorf("batches of %v differ from one of 4: %s", parts, diff)
				}
			}
		})
	}
}

// accumulate runs the parts of a batch, each with a Program of its own and
// another number of threads, and returns the variables that they share.
func (s suite) accumulate(t *testing.T, build func(b *builder), parts []int) []numbers {
	t.Helper()
	engine := s.engines[len(parts)%len(s.engines)]
	var store compute.Store
	first := 0
	for _, n := range parts {
		b := &builder{p: compute.NewProgram(fmt.Sprintf("rows %d to %d", first, first+n-1)), first: first, n: n}
		build(b)
		b.differentiate(accumulated)
		var p *program
		if store == nil {
			p = b.compile(t, engine)
			store = p.store
		} else {
			p = b.compileOn(t, engine, store)
		}
		p.run(t, 1)
		first += n
	}
	return stateOf(t, store)
}
