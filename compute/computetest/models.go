package computetest

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Whole transformers, written from the operators alone, small and of odd sizes.

func modelCases() []testCase {
	return []testCase{
		{name: "model/GPT-2", tolerance: conditioned, build: func(b *builder) { gpt2(b, 2, 13) }},
		{name: "model/Llama", tolerance: conditioned, build: func(b *builder) {
			b.n = 2
			llama(b, 17)
		}},
	}
}

// gpt2 is GPT-2 with learned positions, biases, tanh GELU and a tied head:
// 3 heads of 5, 37 tokens. Its output is the mean loss of the next tokens.
func gpt2(b *builder, rows, t int) {
	const layers, heads, dh, vocabulary = 2, 3, 5, 37
	const d = heads * dh
	weight := func(name string, shape ...int) *compute.Tensor { return b.scaled(name, 0.25, 0, shape...) }
	norm := func(x *compute.Tensor, name string) *compute.Tensor {
		return compute.LayerNorm(x, b.scaled(name+".g", 0.1, 1, d), weight(name+".b", d), 1e-5)
	}
	linear := func(x *compute.Tensor, name string, in, out int) *compute.Tensor {
		return compute.Linear(x, weight(name+".w", in, out), weight(name+".b", out), false)
	}

	wte := weight("wte", vocabulary, d)
	ids := b.below("ids", 0, vocabulary, rows, t)
	positions := b.integersOf("positions", func(_, i int) int32 { return int32(i % t) }, rows, t)
	x := compute.Add(compute.Embedding(wte, ids), compute.Embedding(weight("wpe", t, d), positions)) // [B, T, D]
	for l := range layers {
		name := func(part string) string { return fmt.Sprintf("h.%d.%s", l, part) }
		qkv := linear(norm(x, name("ln_1")), name("attn.c_attn"), d, 3*d)
		part := func(i int) *compute.Tensor {
			return compute.Reshape(compute.Slice(qkv, 2, i*d, (i+1)*d), rows, t, heads, dh)
		}
		o := compute.Attention(part(0), part(1), part(2), nil, compute.AttentionOp{
			Scale: float32(1 / math.Sqrt(dh)), Causal: true,
		})
		x = compute.Add(x, linear(compute.Reshape(o, rows, t, d), name("attn.c_proj"), d, d))
		hidden := compute.GELU(linear(norm(x, name("ln_2")), name("mlp.c_fc"), d, 4*d), false)
		x = compute.Add(x, linear(hidden, name("mlp.c_proj"), 4*d, d))
	}
	hidden := compute.Reshape(norm(x, "ln_f"), rows*t, d)
	losses := compute.LinearCrossEntropy(hidden, wte, b.integersOf("targets", ignoreSome("targets", vocabulary), rows*t), true)
	b.output("loss", compute.Mean(losses))
}

// llama is Llama with rotary positions, grouped queries, SwiGLU, packed
// documents, a window in odd layers and a head of its own: 6 query heads of 4
// on 2 key heads, 33 tokens. It processes the builder's rows of t tokens; its
// outputs are the losses of the next tokens.
func llama(b *builder, t int) {
	const layers, heads, groups, dh, inner, vocabulary = 2, 6, 2, 4, 33, 33
	const d = heads * dh
	weight := func(name string, shape ...int) *compute.Tensor { return b.scaled(name, 0.25, 0, shape...) }
	norm := func(x *compute.Tensor, name string) *compute.Tensor {
		return compute.RMSNorm(x, b.scaled(name, 0.1, 1, d), 1e-6)
	}
	linear := func(x *compute.Tensor, name string, in, out int) *compute.Tensor {
		return compute.Linear(x, weight(name, out, in), nil, true)
	}

	rows := b.n
	// Each row holds a document of 7 tokens, one of the rest, and padding.
	documents := func(_, i int) int32 {
		switch at := i % t; {
		case at < 7:
			return 0
		case at < t-2:
			return 1
		}
		return -1
	}
	segments := b.integersOf("segments", documents, rows, t)
	positions := b.integersOf("positions", func(_, i int) int32 {
		if at := i % t; at < 7 {
			return int32(at)
		}
		return int32(i%t - 7)
	}, rows, t)
	draw := part(b, ignoreSome("targets", vocabulary), t)
	targets := b.integersOf("targets", func(run, i int) int32 {
		if documents(run, i) < 0 {
			return compute.IgnoreTarget
		}
		return draw(run, i)
	}, rows*t)

	x := compute.Embedding(weight("embed", vocabulary, d), b.integersOf("ids", part(b, uniform("ids", 0, vocabulary), t), rows, t)) // [B, T, D]
	for l := range layers {
		name := func(part string) string { return fmt.Sprintf("layers.%d.%s", l, part) }
		h := norm(x, name("input_norm"))
		head := func(part string, n int) *compute.Tensor {
			return compute.Reshape(linear(h, name(part), d, n*dh), rows, t, n, dh)
		}
		q := compute.RoPE(head("q", heads), positions, frequencies(dh))
		k := compute.RoPE(head("k", groups), positions, frequencies(dh))
		o := compute.Attention(q, k, head("v", groups), segments, compute.AttentionOp{
			Scale: float32(1 / math.Sqrt(dh)), Causal: true, Window: 5 * (l % 2),
		})
		x = compute.Add(x, linear(compute.Reshape(o, rows, t, d), name("o"), d, d))
		h = norm(x, name("post_norm"))
		h = compute.SwiGLU(linear(h, name("gate"), d, inner), linear(h, name("up"), d, inner))
		x = compute.Add(x, linear(h, name("down"), inner, d))
	}
	hidden := compute.Reshape(norm(x, "norm"), rows*t, d)
	b.output("losses", compute.LinearCrossEntropy(hidden, weight("head", vocabulary, d), targets, true))
}
