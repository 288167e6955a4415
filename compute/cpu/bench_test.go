package cpu_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

// llama is a small model of Llama's family for benchmarks.
type llama struct {
	layers, d, heads, kvHeads, inner, vocabulary int
}

var small = llama{layers: 4, d: 256, heads: 4, kvHeads: 4, inner: 704, vocabulary: 2048}

func (m llama) dim() int { return m.d / m.heads }

func (m llama) frequencies() []float64 {
	f := make([]float64, m.dim()/2)
	for i := range f {
		f[i] = math.Pow(10000, -2*float64(i)/float64(m.dim()))
	}
	return f
}

// body builds everything up to the last norm. attend turns q, k and v into
// the attention's output.
func (m llama) body(p *compute.Program, ids, positions *compute.Tensor, attend func(layer int, q, k, v *compute.Tensor) *compute.Tensor) *compute.Tensor {
	lead := ids.Shape
	x := compute.Embedding(p.Variable("embed", m.vocabulary, m.d), ids)
	for l := range m.layers {
		linear := func(x *compute.Tensor, name string, in, out int) *compute.Tensor {
			return compute.Linear(x, p.Variable(fmt.Sprintf("%d.%s", l, name), out, in), nil, true)
		}
		norm := func(x *compute.Tensor, name string) *compute.Tensor {
			return compute.RMSNorm(x, p.Variable(fmt.Sprintf("%d.%s", l, name), m.d), 1e-5)
		}
		split := func(x *compute.Tensor, heads int) *compute.Tensor {
			return compute.Reshape(x, append(append(compute.Shape{}, lead...), heads, m.dim())...)
		}
		h := norm(x, "norm1")
		q := compute.RoPE(split(linear(h, "q", m.d, m.d), m.heads), positions, m.frequencies())
		k := compute.RoPE(split(linear(h, "k", m.d, m.kvHeads*m.dim()), m.kvHeads), positions, m.frequencies())
		o := attend(l, q, k, split(linear(h, "v", m.d, m.kvHeads*m.dim()), m.kvHeads))
		x = compute.Add(x, linear(compute.Reshape(o, append(append(compute.Shape{}, lead...), m.d)...), "o", m.d, m.d))
		h = norm(x, "norm2")
		h = compute.SwiGLU(linear(h, "gate", m.d, m.inner), linear(h, "up", m.d, m.inner))
		x = compute.Add(x, linear(h, "down", m.inner, m.d))
	}
	return compute.RMSNorm(x, p.Variable("norm", m.d), 1e-5)
}

// step builds forward, backward and accumulation of gradients for b rows of t
// tokens.
func (m llama) step(b, t int) *compute.Program {
	p := compute.NewProgram("train step")
	ids, positions := p.Input("ids", compute.Int32, b, t), p.Input("positions", compute.Int32, b, t)
	x := m.body(p, ids, positions, func(_ int, q, k, v *compute.Tensor) *compute.Tensor {
		return compute.Attention(q, k, v, nil, compute.AttentionOp{Scale: float32(1 / math.Sqrt(float64(m.dim()))), Causal: true})
	})
	losses := compute.LinearCrossEntropy(compute.Reshape(x, b*t, m.d), p.Variable("head", m.vocabulary, m.d), p.Input("targets", compute.Int32, b*t), true)
	loss := compute.Mean(losses)
	p.Output("loss", loss)
	var names []string
	var weights []*compute.Tensor
	for _, v := range p.Variables {
		names, weights = append(names, v.Name), append(weights, v.Tensor)
	}
	for i, g := range compute.Gradient(loss, weights...) {
		p.Accumulate("grad/"+names[i], g)
	}
	return p
}

// optimize builds the optimizer's step over the same variables.
func (m llama) optimize(step *compute.Program) *compute.Program {
	p := compute.NewProgram("optimizer step")
	one := compute.Constant(p, 1)
	var grads []*compute.Tensor
	for _, v := range step.Variables {
		if g := "grad/" + v.Name; len(v.Name) < 5 || v.Name[:5] != "grad/" {
			grads = append(grads, p.Variable(g, v.Tensor.Shape...))
		}
	}
	norm := compute.GlobalNorm(grads...)
	p.Output("norm", norm)
	scale := compute.Min(one, compute.Div(one, norm))
	for _, g := range grads {
		name := g.Node.Op.(compute.Source).Name[5:]
		compute.AdamW(p.Variable(name, g.Shape...), g, p.Variable("m/"+name, g.Shape...), p.Variable("v/"+name, g.Shape...),
			compute.Constant(p, 1e-3), scale, one, one, compute.AdamWOp{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, Decay: 0.1})
		p.Update(g, compute.Fill(p, 0, g.Shape...))
	}
	return p
}

// decode builds one decoding step of one token for rows slots of a cache.
func (m llama) decode(rows, positions int) *compute.Program {
	p := compute.NewProgram("decode step")
	ids, at := p.Input("ids", compute.Int32, rows, 1), p.Input("positions", compute.Int32, rows, 1)
	slots, starts, counts := p.Input("slots", compute.Int32, rows), p.Input("starts", compute.Int32, rows), p.Input("counts", compute.Int32, rows)
	x := m.body(p, ids, at, func(l int, q, k, v *compute.Tensor) *compute.Tensor {
		keys := p.Variable(fmt.Sprintf("cache/%d.k", l), rows, positions, m.kvHeads, m.dim())
		values := p.Variable(fmt.Sprintf("cache/%d.v", l), rows, positions, m.kvHeads, m.dim())
		return compute.CachedAttention(q, k, v, keys, values, slots, starts, counts,
			compute.CachedAttentionOp{Scale: float32(1 / math.Sqrt(float64(m.dim())))})
	})
	p.Output("logits", compute.Linear(compute.Reshape(x, rows, m.d), p.Variable("head", m.vocabulary, m.d), nil, true))
	return p
}

// define defines and fills what a Program needs and the Store lacks.
func define(tb testing.TB, s compute.Store, p *compute.Program) {
	tb.Helper()
	for _, v := range p.Variables {
		if _, ok := s.Shape(v.Name); ok {
			continue
		}
		if err := s.Define(v.Name, v.Tensor.Shape...); err != nil {
			tb.Fatal(err)
		}
		values := make([]float32, v.Tensor.Shape.Size())
		stream := compute.Stream(v.Name)
		for i := range values {
			switch {
			case strings.HasPrefix(v.Name, "grad/") || strings.HasPrefix(v.Name, "cache") || strings.HasPrefix(v.Name, "m/") || strings.HasPrefix(v.Name, "v/"):
			case len(v.Tensor.Shape) == 1:
				values[i] = 1
			default:
				values[i] = 0.05 * float32(compute.Normal(1, stream, uint64(i)))
			}
		}
		if err := s.Write(v.Name, values); err != nil {
			tb.Fatal(err)
		}
	}
}

// fill writes the inputs of the Programs above.
func fill(p *compute.Program, x compute.Executable, vocabulary, positions int) {
	for _, in := range p.Inputs {
		buffer := x.Ints(in.Name)
		for i := range buffer {
			switch in.Name {
			case "positions":
				buffer[i] = int32(i % in.Tensor.Shape.Last())
			case "slots":
				buffer[i] = int32(i)
			case "starts":
				buffer[i] = int32(positions)
			case "counts":
				buffer[i] = 1
			default:
				buffer[i] = int32(compute.Bits(2, compute.Stream(in.Name), uint64(i)) % uint64(vocabulary))
			}
		}
	}
}

func compile(tb testing.TB, e *cpu.Engine, s compute.Store, p *compute.Program) compute.Executable {
	tb.Helper()
	define(tb, s, p)
	x, err := e.Compile(p, s)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

func run(b *testing.B, e *cpu.Engine, programs ...compute.Executable) {
	flops := int64(0)
	for _, x := range programs {
		flops += x.FLOPs()
		if err := x.Run(); err != nil {
			b.Fatal(err)
		}
	}
	e.ResetProfile()
	b.ReportAllocs()
	for b.Loop() {
		for _, x := range programs {
			if err := x.Run(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(flops)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
	for _, t := range e.Profile() {
		b.Logf("%-28s %6d× %8.3f ms a run %7.1f GFLOP/s", t.Kind, t.Count/int64(b.N),
			t.Time.Seconds()*1e3/float64(b.N), float64(t.FLOPs)/float64(max(1, t.Time.Nanoseconds())))
	}
}

// BenchmarkTrainStep is forward, backward and AdamW over 8 rows of 256 tokens.
// With -v it lists the time of each kind of operator.
func BenchmarkTrainStep(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			e := cpu.New(cpu.Options{Threads: threads, Profile: testing.Verbose()})
			defer e.Close()
			store := e.NewStore()
			p := small.step(8, 256)
			x := compile(b, e, store, p)
			fill(p, x, small.vocabulary, 0)
			run(b, e, x, compile(b, e, store, small.optimize(p)))
		})
	}
}

// BenchmarkDecode is one token for each of some rows that hold 128 tokens.
func BenchmarkDecode(b *testing.B) {
	for _, rows := range []int{1, 64} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			e := cpu.New(cpu.Options{Profile: testing.Verbose()})
			defer e.Close()
			p := small.decode(rows, 256)
			x := compile(b, e, e.NewStore(), p)
			fill(p, x, small.vocabulary, 128)
			run(b, e, x)
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// BenchmarkPeak is the ceiling of this machine's multiply-adds.
func BenchmarkPeak(b *testing.B) {
	e := cpu.New(cpu.Options{})
	defer e.Close()
	best := 0.0
	for b.Loop() {
		best = max(best, e.MeasurePeak())
	}
	b.ReportMetric(best, "GFLOP/s")
}
