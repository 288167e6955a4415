package compute_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// gpt2Forward is GPT-2 of 124 million parameters on one row of t tokens. It
// returns the number of parameters.
func gpt2Forward(p *compute.Program, t int) (parameters int64) {
	const layers, heads, d, vocabulary = 12, 12, 768, 50257
	weight := func(name string, shape ...int) *compute.Tensor {
		v := p.Variable(name, shape...)
		parameters += int64(v.Shape.Size())
		return v
	}
	norm := func(x *compute.Tensor, name string) *compute.Tensor {
		return compute.LayerNorm(x, weight(name+".g", d), weight(name+".b", d), 1e-5)
	}
	linear := func(x *compute.Tensor, name string, in, out int) *compute.Tensor {
		return compute.Linear(x, weight(name+".w", in, out), weight(name+".b", out), false)
	}
	wte := weight("wte", vocabulary, d)
	x := compute.Embedding(wte, p.Input("ids", compute.Int32, 1, t))
	x = compute.Add(x, compute.Slice(weight("wpe", 1024, d), 0, 0, t))
	for l := range layers {
		p.StartLayer(x)
		name := fmt.Sprintf("h.%d.", l)
		qkv := linear(norm(x, name+"ln_1"), name+"c_attn", d, 3*d)
		part := func(i int) *compute.Tensor {
			return compute.Reshape(compute.Slice(qkv, 2, i*d, (i+1)*d), 1, t, heads, d/heads)
		}
		o := compute.Attention(part(0), part(1), part(2), nil, compute.AttentionOp{Scale: 0.125, Causal: true})
		x = compute.Add(x, linear(compute.Reshape(o, 1, t, d), name+"c_proj", d, d))
		x = compute.Add(x, linear(compute.GELU(linear(norm(x, name+"ln_2"), name+"c_fc", d, 4*d), false), name+"mlp.c_proj", 4*d, d))
	}
	hidden := compute.Reshape(norm(x, "ln_f"), t, d)
	p.Output("loss", compute.Mean(compute.LinearCrossEntropy(hidden, wte, p.Input("targets", compute.Int32, t), true)))
	return parameters
}

func TestForwardPassOfGPT2CostsTwoFLOPsPerParameterAndToken(t *testing.T) {
	const tokens = 1024
	p := compute.NewProgram("GPT-2")
	parameters := gpt2Forward(p, tokens)
	if parameters != 124_439_808 {
		t.Fatalf("%d parameters, want GPT-2's 124,439,808", parameters)
	}
	products, attention := int64(0), int64(0)
	for _, n := range p.Live() {
		switch n.Op.(type) {
		case compute.LinearOp, compute.LinearCrossEntropyOp:
			products += n.Op.FLOPs(n)
		case compute.AttentionOp:
			attention += n.Op.FLOPs(n)
		}
	}
	// Positions, biases and norms take no part in products.
	if least, most := 2*tokens*(parameters-1024*768-121_344), 2*tokens*parameters; products < least || products > most {
		t.Errorf("products cost %d FLOPs, want between %d and %d", products, least, most)
	}
	// 12 layers × 12 heads × 64 dimensions × 524,800 pairs, for scores and
	// values, a multiply-add each.
	if want := int64(4 * 12 * 12 * 64 * 524_800); attention != want {
		t.Errorf("attention costs %d FLOPs, want %d", attention, want)
	}
	total := p.FLOPs()
	if rest := total - products - attention; rest < 0 || rest > total/100 {
		t.Errorf("all else costs %d of %d FLOPs, want under 1 %%", rest, total)
	}
}

func TestBackwardPassCostsTwiceTheForwardPass(t *testing.T) {
	p := compute.NewProgram("products")
	x := p.Variable("x", 64, 128)
	w := p.Variable("w", 128, 32)
	loss := compute.Sum(compute.Linear(x, w, nil, false))
	p.Output("loss", loss)
	forward := p.FLOPs()
	for i, g := range compute.Gradient(loss, x, w) {
		p.Output(fmt.Sprint("gradient ", i), g)
	}
	if ratio := float64(p.FLOPs()) / float64(forward); ratio < 2.95 || ratio > 3.05 {
		t.Errorf("forward and backward cost %.3f times the forward pass, want 3", ratio)
	}
}

// Logits, attention scores and activations that the backward pass computes again
// are not counted again.
func TestAStepOfGPT2CostsThreeTimesItsForwardPassHoweverMuchIsComputedAgain(t *testing.T) {
	const tokens = 256
	counts, nodes := map[bool]int64{}, map[bool]int{}
	for _, recompute := range []bool{false, true} {
		p := compute.NewProgram("GPT-2")
		p.Recompute = recompute
		gpt2Forward(p, tokens)
		forward := p.FLOPs()
		var weights []*compute.Tensor
		for _, v := range p.Variables {
			weights = append(weights, v.Tensor)
		}
		for i, g := range compute.Gradient(p.Outputs[0].Tensor, weights...) {
			p.Output(fmt.Sprint("gradient ", i), g)
		}
		counts[recompute], nodes[recompute] = p.FLOPs(), len(p.Live())
		if ratio := float64(counts[recompute]) / float64(forward); ratio < 2.99 || ratio > 3.02 {
			t.Errorf("recompute %v: a step costs %.3f times the forward pass, want 3", recompute, ratio)
		}
	}
	if counts[true] != counts[false] || nodes[true] <= nodes[false] {
		t.Errorf("with recomputation %d FLOPs in %d nodes, without %d in %d", counts[true], nodes[true], counts[false], nodes[false])
	}
}

func kinds(p *compute.Program) []string {
	var all []string
	for _, n := range p.Live() {
		all = append(all, n.Op.Kind())
	}
	return all
}

func TestOnlyNodesThatReachAnOutputOrUpdateAreLive(t *testing.T) {
	p := compute.NewProgram("live")
	x := p.Input("x", compute.Float32, 3)
	y := compute.Exp(x)
	compute.Log(y)                   // nobody reads it
	compute.Tanh(p.Variable("u", 3)) // nor its variable
	p.Output("y", y)
	compute.Sigmoid(y)
	p.Accumulate("v", compute.Neg(x))
	if got, want := kinds(p), []string{"input", "exp", "neg", "variable"}; !slices.Equal(got, want) {
		t.Errorf("live operators are %v, want %v", got, want)
	}
}

func TestGradientsThatNobodyAskedForAreNotLive(t *testing.T) {
	p := compute.NewProgram("unasked")
	x, w := p.Input("x", compute.Float32, 5, 3), p.Variable("w", 3, 2)
	loss := compute.Sum(compute.Linear(x, w, nil, false))
	p.Output("gradient", compute.Gradient(loss, w)[0])
	for _, kind := range kinds(p) {
		if kind == "linear" {
			t.Errorf("live operators %v compute the gradient by the input", kinds(p))
		}
	}
}

func TestGradientByWhatDoesNotReachTheLossIsZero(t *testing.T) {
	p := compute.NewProgram("unreached")
	x, y := p.Variable("x", 3), p.Variable("y", 4, 2)
	g := compute.Gradient(compute.Sum(x), y)[0]
	fill, ok := g.Node.Op.(compute.FillOp)
	if !ok || fill.Value != 0 || !g.Shape.Equal(compute.Shape{4, 2}) {
		t.Errorf("the gradient is %s of shape %v, want zeros of shape [4 2]", g.Node.Op.Kind(), g.Shape)
	}
}

func TestVariableOfOneNameIsOneTensor(t *testing.T) {
	p := compute.NewProgram("names")
	if p.Variable("w", 2, 3) != p.Variable("w", 2, 3) {
		t.Error("asking twice for a variable gives two tensors")
	}
	if len(p.Variables) != 1 {
		t.Errorf("the Program lists %d variables, want 1", len(p.Variables))
	}
}

func TestShapesOfCallersAreCopied(t *testing.T) {
	p := compute.NewProgram("copies")
	shape := []int{2, 3}
	for _, x := range []*compute.Tensor{
		p.Input("in", compute.Float32, shape...), p.Variable("v", shape...), compute.Fill(p, 1, shape...),
		compute.Reshape(compute.Fill(p, 1, 6), shape...),
	} {
		shape[0] = 7
		if x.Shape[0] != 2 {
			t.Errorf("the shape of %s changes with the caller's slice", x.Node.Op.Kind())
		}
		shape[0] = 2
	}
}

// What does not fit is a programming error: the panic says which operator and
// which shapes.
func TestPanicsNameOperatorAndShapes(t *testing.T) {
	type tensors struct {
		p                      *compute.Program
		f2x3, f3x4, f5, ids    *compute.Tensor
		q, kv, scalar, foreign *compute.Tensor
	}
	for _, c := range []struct {
		name  string
		build func(x tensors)
		want  []string
	}{
		{"linear", func(x tensors) { compute.Linear(x.f2x3, x.f3x4, nil, true) }, []string{"linear", "f32[2 3]", "f32[3 4]"}},
		{"linear bias", func(x tensors) { compute.Linear(x.f2x3, x.f3x4, x.f5, false) }, []string{"linear", "f32[5]"}},
		{"linear of integers", func(x tensors) { compute.Linear(x.ids, x.f3x4, nil, false) }, []string{"linear", "i32[2]"}},
		{"embedding", func(x tensors) { compute.Embedding(x.f2x3, x.f5) }, []string{"embedding", "f32[2 3]", "f32[5]"}},
		{"layer_norm", func(x tensors) { compute.LayerNorm(x.f2x3, x.f5, x.f5, 1e-5) }, []string{"layer_norm", "f32[2 3]", "f32[5]"}},
		{"rms_norm", func(x tensors) { compute.RMSNorm(x.f2x3, x.f5, 1e-5) }, []string{"rms_norm", "f32[2 3]", "f32[5]"}},
		{"gelu", func(x tensors) { compute.GELU(x.ids, true) }, []string{"gelu", "i32[2]"}},
		{"swiglu", func(x tensors) { compute.SwiGLU(x.f2x3, x.f5) }, []string{"swiglu", "f32[2 3]", "f32[5]"}},
		{"rope", func(x tensors) { compute.RoPE(x.q, x.ids, []float64{1, 1}) }, []string{"rope", "f32[1 6 3 4]", "i32[2]"}},
		{"attention heads", func(x tensors) { compute.Attention(x.q, x.kv, x.kv, nil, compute.AttentionOp{}) }, []string{"attention", "f32[1 6 3 4]", "f32[1 6 2 4]"}},
		{"attention segments", func(x tensors) { compute.Attention(x.q, x.q, x.q, x.ids, compute.AttentionOp{}) }, []string{"attention", "i32[2]"}},
		{"cached_attention", func(x tensors) {
			compute.CachedAttention(x.q, x.q, x.q, x.f2x3, x.f2x3, x.ids, x.ids, x.ids, compute.CachedAttentionOp{})
		}, []string{"cached_attention", "f32[2 3]"}},
		{"linear_cross_entropy", func(x tensors) { compute.BiasedCrossEntropy(x.f2x3, x.f3x4, x.f2x3, x.ids, false) }, []string{"linear_cross_entropy", "bias [V]"}},
		{"linear_cross_entropy", func(x tensors) { compute.LinearCrossEntropy(x.f2x3, x.f3x4, x.ids, true) }, []string{"linear_cross_entropy", "f32[3 4]"}},
		{"token_log_prob", func(x tensors) { compute.TokenLogProb(x.f2x3, x.f3x4, x.f5, false, 1) }, []string{"token_log_prob", "f32[5]"}},
		{"unary", func(x tensors) { compute.Exp(x.ids) }, []string{"exp", "i32[2]"}},
		{"binary", func(x tensors) { compute.Add(x.f2x3, x.f5) }, []string{"add", "f32[2 3]", "f32[5]"}},
		{"select", func(x tensors) { compute.Select(x.f5, x.f2x3, x.f2x3) }, []string{"select", "f32[5]"}},
		{"sum", func(x tensors) { compute.SumTo(x.f2x3, compute.Shape{2}) }, []string{"sum", "f32[2 3]", "[2]"}},
		{"reshape", func(x tensors) { compute.Reshape(x.f2x3, 5) }, []string{"reshape", "f32[2 3]", "[5]"}},
		{"slice", func(x tensors) { compute.Slice(x.f2x3, 1, 2, 4) }, []string{"slice", "f32[2 3]", "2:4"}},
		{"slice of nothing", func(x tensors) { compute.Slice(x.f2x3, 1, 2, 2) }, []string{"slice", "2:2"}},
		{"concat", func(x tensors) { compute.Concat(0, x.f2x3, x.f3x4) }, []string{"concat", "f32[2 3]", "f32[3 4]"}},
		{"concat of types", func(x tensors) { compute.Concat(0, x.f5, x.ids) }, []string{"concat", "f32[5]", "i32[2]"}},
		{"global_norm", func(x tensors) { compute.GlobalNorm(x.f5, x.ids) }, []string{"global_norm", "i32[2]"}},
		{"adamw", func(x tensors) {
			compute.AdamW(x.f5, x.f5, x.f5, x.f2x3, x.scalar, x.scalar, x.scalar, x.scalar, compute.AdamWOp{})
		}, []string{"adamw", "f32[2 3]"}},
		{"empty dimension", func(x tensors) { compute.Fill(x.p, 1, 3, 0) }, []string{"fill", "[3 0]"}},
		{"loss of many elements", func(x tensors) { compute.Gradient(x.f5, x.f5) }, []string{"Gradient", "[5]"}},
		{"operator without gradient", func(x tensors) { compute.Gradient(compute.GlobalNorm(x.f5), x.f5) }, []string{"global_norm"}},
		{"missing input", func(x tensors) { compute.Add(x.f5, nil) }, []string{"input 1", "add"}},
		{"another program's input", func(x tensors) { compute.Add(x.f5, x.foreign) }, []string{"add", "stranger", "panics"}},
		{"variable in two shapes", func(x tensors) { x.p.Variable("five", 6) }, []string{`"five"`, "[5]", "[6]"}},
		{"input twice", func(x tensors) { x.p.Input("ids", compute.Int32, 2) }, []string{`"ids"`}},
		{"output twice", func(x tensors) { x.p.Output("y", x.f5); x.p.Output("y", x.f5) }, []string{`"y"`}},
		{"update of what is no variable", func(x tensors) { x.p.Update(compute.Exp(x.f5), x.f5) }, []string{"exp"}},
		{"update in another shape", func(x tensors) { x.p.Update(x.f5, x.f2x3) }, []string{"f32[5]", "f32[2 3]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := compute.NewProgram("panics")
			x := tensors{
				p: p, f2x3: p.Variable("two by three", 2, 3), f3x4: p.Variable("three by four", 3, 4), f5: p.Variable("five", 5),
				ids: p.Input("ids", compute.Int32, 2), q: p.Variable("q", 1, 6, 3, 4), kv: p.Variable("kv", 1, 6, 2, 4),
				scalar: compute.Constant(p, 1), foreign: compute.NewProgram("stranger").Variable("five", 5),
			}
			defer func() {
				message, ok := recover().(string)
				if !ok {
					t.Fatal("no panic with a message")
				}
				for _, want := range append(c.want, "compute: ") {
					if !strings.Contains(message, want) {
						t.Errorf("the panic %q does not mention %s", message, want)
					}
				}
			}()
			c.build(x)
		})
	}
}

func TestShapesDescribeThemselves(t *testing.T) {
	s := compute.Shape{2, 3, 5}
	if s.Size() != 30 || s.Rows() != 6 || s.Last() != 5 || compute.Shape(nil).Size() != 1 {
		t.Errorf("shape %v has size %d, rows %d, last %d; a scalar has size %d", s, s.Size(), s.Rows(), s.Last(), compute.Shape(nil).Size())
	}
	if s.Equal(compute.Shape{2, 3}) || !s.Equal(compute.Shape{2, 3, 5}) || !compute.Shape(nil).Equal(compute.Shape{}) {
		t.Error("equality of shapes is not equality of dimensions")
	}
	if got := (compute.Type{DType: compute.Int32, Shape: s}).String(); got != "i32[2 3 5]" {
		t.Errorf("type prints as %s, want i32[2 3 5]", got)
	}
}
