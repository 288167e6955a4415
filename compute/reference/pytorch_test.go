package reference_test

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

// pytorchCase is one case of testdata/pytorch.json, which scripts/operators.py
// writes: the result y, and the gradients dNAME of the sum of y·dy.
type pytorchCase struct {
	Inputs, Outputs, IDs map[string]struct {
		Shape  []int
		Values []float64
	}
}

// operands are a case's inputs as tensors of a Program.
type operands struct {
	p   *compute.Program
	x   map[string]*compute.Tensor
	ids map[string]*compute.Tensor
}

// pytorchOperators builds y of each case.
var pytorchOperators = map[string]func(o operands) *compute.Tensor{
	"gelu tanh":  func(o operands) *compute.Tensor { return compute.GELU(o.x["x"], false) },
	"gelu exact": func(o operands) *compute.Tensor { return compute.GELU(o.x["x"], true) },
	"swiglu":     func(o operands) *compute.Tensor { return compute.SwiGLU(o.x["gate"], o.x["up"]) },
	"layer norm": func(o operands) *compute.Tensor {
		return compute.LayerNorm(o.x["x"], o.x["gamma"], o.x["beta"], 0x1p-10)
	},
	"rms norm":  func(o operands) *compute.Tensor { return compute.RMSNorm(o.x["x"], o.x["gamma"], 0x1p-10) },
	"linear":    func(o operands) *compute.Tensor { return compute.Linear(o.x["x"], o.x["w"], o.x["bias"], true) },
	"embedding": func(o operands) *compute.Tensor { return compute.Embedding(o.x["table"], o.ids["ids"]) },
	"rope": func(o operands) *compute.Tensor {
		return compute.RoPE(o.x["x"], o.ids["positions"], []float64{1, .25})
	},
	"attention":                  attends(compute.AttentionOp{Scale: .5}),
	"causal attention":           attends(compute.AttentionOp{Scale: .5, Causal: true}),
	"causal attention, window 2": attends(compute.AttentionOp{Scale: .5, Causal: true, Window: 2}),
	"cross entropy": func(o operands) *compute.Tensor {
		return compute.LinearCrossEntropy(o.x["hidden"], o.x["w"], o.ids["targets"], true)
	},
	"biased cross entropy": func(o operands) *compute.Tensor {
		return compute.BiasedCrossEntropy(o.x["hidden"], o.x["w"], o.x["bias"], o.ids["targets"], true)
	},
	"token log-probability": func(o operands) *compute.Tensor {
		logProb, _ := compute.TokenLogProb(o.x["hidden"], o.x["w"], o.ids["tokens"], true, .5)
		return logProb
	},
	"entropy": func(o operands) *compute.Tensor {
		_, entropy := compute.TokenLogProb(o.x["hidden"], o.x["w"], o.ids["tokens"], true, .5)
		return entropy
	},
	"global norm": func(o operands) *compute.Tensor { return compute.GlobalNorm(o.x["a"], o.x["b"]) },
}

func attends(op compute.AttentionOp) func(o operands) *compute.Tensor {
	return func(o operands) *compute.Tensor { return compute.Attention(o.x["q"], o.x["k"], o.x["v"], nil, op) }
}

func readPyTorch(t *testing.T) map[string]pytorchCase {
	t.Helper()
	data, err := os.ReadFile("testdata/pytorch.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]pytorchCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// wantNear allows for what two orders of summation in double precision differ by.
func wantNear(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d elements, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= 1e-13*math.Max(1, math.Abs(w))) {
			t.Errorf("%s[%d] = %.16g, want %.16g", what, i, got[i], w)
		}
	}
}

func single(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

func TestOperatorsGiveTheNumbersOfPyTorch(t *testing.T) {
	cases := readPyTorch(t)
	for _, name := range slices.Sorted(maps.Keys(pytorchOperators)) {
		t.Run(name, func(t *testing.T) {
			c, ok := cases[name]
			if !ok {
				t.Fatal("no such case in testdata/pytorch.json")
			}
			o := operands{p: compute.NewProgram(name), x: map[string]*compute.Tensor{}, ids: map[string]*compute.Tensor{}}
			arrays, shapes := map[string][]float32{}, map[string][]int{}
			for x, a := range c.Inputs {
				o.x[x] = o.p.Variable(x, a.Shape...)
				arrays[x], shapes[x] = single(a.Values), a.Shape
			}
			for x, a := range c.IDs {
				o.ids[x] = o.p.Input(x, compute.Int32, a.Shape...)
			}
			y := pytorchOperators[name](o)
			o.p.Output("y", y)
			var loss *compute.Tensor
			for _, output := range slices.Sorted(maps.Keys(c.Outputs)) {
				if output == "y" {
					continue
				}
				if loss == nil {
					loss = compute.Sum(compute.Mul(y, o.x["dy"]))
				}
				o.p.Output(output, compute.Gradient(loss, o.x[output[1:]])[0])
			}
			e, err := reference.New().Compile(o.p, store(t, arrays, shapes))
			if err != nil {
				t.Fatal(err)
			}
			for x, a := range c.IDs {
				for i, id := range a.Values {
					e.Ints(x)[i] = int32(id)
				}
			}
			if err := e.Run(); err != nil {
				t.Fatal(err)
			}
			for output, want := range c.Outputs {
				wantNear(t, output, e.(*reference.Executable).Float64(output), want.Values)
			}
		})
	}
}

func TestAdamWStepsAsPyTorchDoes(t *testing.T) {
	c := readPyTorch(t)["adamw"]
	n := len(c.Inputs["w"].Values)
	s := store(t, map[string][]float32{"w": single(c.Inputs["w"].Values), "m": make([]float32, n), "v": make([]float32, n)}, nil)
	for _, step := range []struct {
		gradient      string
		scale, c1, c2 float32 // c = 1 − βᵗ
	}{{"first", 1, .125, .0625}, {"second", .25, .234375, .12109375}} {
		p := compute.NewProgram("adamw")
		g := p.Input("g", compute.Float32, n)
		compute.AdamW(p.Variable("w", n), g, p.Variable("m", n), p.Variable("v", n),
			compute.Constant(p, 0x1p-7), compute.Constant(p, step.scale), compute.Constant(p, step.c1), compute.Constant(p, step.c2),
			compute.AdamWOp{Beta1: .875, Beta2: .9375, Epsilon: 0x1p-20, Decay: .125})
		e, err := reference.New().Compile(p, s)
		if err != nil {
			t.Fatal(err)
		}
		copy(e.Floats("g"), single(c.Inputs[step.gradient].Values))
		if err := e.Run(); err != nil {
			t.Fatal(err)
		}
	}
	wantNear(t, "w", s.Float64("w"), c.Outputs["y"].Values)
}
