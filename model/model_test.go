package model

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

func tiny(family Family) Config {
	c := Config{
		Family: family, Head: LanguageModel, Vocabulary: 23, Context: 24, Width: 16, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 4,
		FeedForward: 24, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .3, BOS: -1, EOS: 2, Pad: 3,
	}
	switch family {
	case GPT2:
		c.KVHeads, c.RoPETheta = 4, 0
	case Mistral:
		c.Window, c.Windowed = 5, []bool{true, true}
	case Qwen2:
		c.AttentionBias = true
	case Gemma3:
		c.Window, c.Windowed, c.LocalTheta, c.QueryScalar = 3, []bool{true, false}, 100, 7
	case BERT:
		c.Head, c.KVHeads, c.RoPETheta, c.Types, c.ExactGELU = MaskedLanguageModel, 4, 0, 2, true
	}
	return c
}

func newModel(t testing.TB, engine compute.Engine, c Config, seed uint64) *Model {
	t.Helper()
	m, err := New(engine, c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newCPU(t testing.TB) compute.Engine {
	engine := cpu.New(cpu.Options{Threads: 1})
	t.Cleanup(func() { engine.Close() })
	return engine
}

// weights are all parameters' numbers.
func weights(t testing.TB, m *Model) []float32 {
	t.Helper()
	var all []float32
	for _, p := range m.Parameters() {
		all = append(all, read(t, m, p.Name)...)
	}
	return all
}

func read(t testing.TB, m *Model, name string) []float32 {
	t.Helper()
	shape, ok := m.Store.Shape(name)
	if !ok {
		t.Fatalf("no parameter %q", name)
	}
	data := make([]float32, shape.Size())
	if err := m.Store.Read(name, data); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParameterCountsAreThoseOfPublishedModels(t *testing.T) {
	gpt2 := func(layers, width, heads int) Config {
		return Config{Family: GPT2, Head: LanguageModel, Vocabulary: 50257, Context: 1024, Width: width, Layers: layers, Heads: heads, KVHeads: heads,
			HeadDim: width / heads, FeedForward: 4 * width, Epsilon: 1e-5, Tied: true, InitRange: .02}
	}
	for _, test := range []struct {
		name string
		c    Config
		want int64
	}{
		{"GPT-2 124M", gpt2(12, 768, 12), 124_439_808},
		{"GPT-2 medium", gpt2(24, 1024, 16), 354_823_168},
		{"GPT-2 large", gpt2(36, 1280, 20), 774_030_080},
		{"GPT-2 XL", gpt2(48, 1600, 25), 1_557_611_200},
		{"Llama 2 7B", Config{Family: Llama, Head: LanguageModel, Vocabulary: 32000, Context: 4096, Width: 4096, Layers: 32, Heads: 32, KVHeads: 32,
			HeadDim: 128, FeedForward: 11008}, 6_738_415_616},
		{"TinyLlama 1.1B", Config{Family: Llama, Head: LanguageModel, Vocabulary: 32000, Context: 2048, Width: 2048, Layers: 22, Heads: 32, KVHeads: 4,
			HeadDim: 64, FeedForward: 5632}, 1_100_048_384},
		{"Qwen3 0.6B", Config{Family: Qwen3, Head: LanguageModel, Vocabulary: 151936, Context: 40960, Width: 1024, Layers: 28, Heads: 16, KVHeads: 8,
			HeadDim: 128, FeedForward: 3072, Tied: true}, 596_049_920},
	} {
		if got := test.c.ParameterCount(); got != test.want {
			t.Errorf("%s has %d parameters, want %d", test.name, got, test.want)
		}
	}
}

func TestConfigurationsAreRefusedWithTheSizeAtFault(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Family = "bloom" }, `family "bloom"`},
		{func(c *Config) { c.Head = "pair" }, `head "pair"`},
		{func(c *Config) { c.Vocabulary = 0 }, "vocabulary is 0"},
		{func(c *Config) { c.Context = -1 }, "context is -1"},
		{func(c *Config) { c.Width = 1 << 25 }, "width is 33554432"},
		{func(c *Config) { c.Layers = 1 << 13 }, "layers is 8192"},
		{func(c *Config) { c.KVHeads = 3 }, "4 query heads are not a multiple of 3"},
		{func(c *Config) { c.HeadDim = 3 }, "even head size"},
		{func(c *Config) { c.RoPETheta = 0 }, "positive theta"},
		{func(c *Config) { c.Epsilon = 0 }, "epsilon 0"},
		{func(c *Config) { c.InitRange = -1 }, "range -1"},
		{func(c *Config) { c.Family = GPT2 }, "gpt2 wants"},
		{func(c *Config) { c.Epsilon = math.NaN() }, "epsilon NaN"},
		{func(c *Config) { c.RoPETheta = math.Inf(1) }, "theta"},
		{func(c *Config) { c.Head = MaskedLanguageModel }, `head "mlm"`},
		{func(c *Config) { c.Head = Classes }, "0 labels"},
		{func(c *Config) { c.Labels = []string{"a"} }, "1 labels"},
		{func(c *Config) { c.Window = 4 }, "window of 4"},
		{func(c *Config) { c.Window, c.Windowed = 4, []bool{true} }, "1 windowed layers for 2 layers"},
		{func(c *Config) { c.Window, c.Windowed = 4, []bool{true, true} }, "llama has no window"},
		{func(c *Config) { *c = tiny(GPT2); c.Window, c.Windowed = 4, []bool{true, true} }, "gpt2 has no window"},
		{func(c *Config) { *c = tiny(BERT); c.Window, c.Windowed = 4, []bool{true, true} }, "bert has no window"},
		{func(c *Config) { c.Family, c.Window, c.Windowed = Mistral, 4, []bool{true, false} }, "in every layer or in none"},
		{func(c *Config) { c.Family, c.AttentionBias = Mistral, true }, "mistral has no biases"},
		{func(c *Config) { c.Family, c.FeedForwardBias = Qwen3, true }, "qwen3 has no biases"},
		{func(c *Config) { c.Family = Qwen2 }, "qwen2 has biases"},
		{func(c *Config) { c.RoPEScaling.Factor = 2 }, "no type"},
		{func(c *Config) { c.RoPEScaling.Type = "longrope" }, `"longrope"`},
		{func(c *Config) { c.RoPEScaling = RoPEScaling{Type: "yarn", Factor: 4} }, "a positive attention factor"},
		{func(c *Config) { c.RoPEScaling = RoPEScaling{Type: "linear"} }, "positive factor"},
		{func(c *Config) {
			c.RoPEScaling = RoPEScaling{Type: "llama3", Factor: 2, LowFactor: 4, HighFactor: 1, Original: 8}
		}, "low < high"},
		{func(c *Config) { *c = tiny(Gemma3); c.LocalTheta = 0 }, "theta of its windows"},
		{func(c *Config) { *c = tiny(BERT); c.Types = 0 }, "token types are 0"},
		{func(c *Config) { *c = tiny(BERT); c.Head, c.Labels = Classes, []string{"a"} }, "pooler"},
		{func(c *Config) { *c = tiny(BERT); c.Head = Scalar }, `head "score"`},
	} {
		c := tiny(Llama)
		test.change(&c)
		err := c.Validate()
		if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want a usage error with %q, got %v", test.want, err)
		}
	}
}

func TestInitialWeightsDependOnSeedAndNameAlone(t *testing.T) {
	engine := reference.New()
	small := newModel(t, engine, tiny(Llama), 11)
	c := tiny(Llama)
	c.Vocabulary, c.Head, c.Tied, c.KVHeads = 31, Scalar, false, 4
	other := newModel(t, engine, c, 11)
	seeded := newModel(t, engine, tiny(Llama), 12)
	for _, name := range []string{"model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.gate_proj.weight"} {
		if !slices.Equal(read(t, small, name), read(t, other, name)) {
			t.Errorf("%s changed with the rest of the model", name)
		}
		if slices.Equal(read(t, small, name), read(t, seeded, name)) {
			t.Errorf("%s is the same for two seeds", name)
		}
	}
	if slices.Equal(read(t, small, "model.layers.0.mlp.gate_proj.weight"), read(t, small, "model.layers.0.mlp.up_proj.weight")) {
		t.Error("two matrices of one model are the same")
	}
	if !slices.Equal(weights(t, small), weights(t, newModel(t, newCPU(t), tiny(Llama), 11))) {
		t.Error("the engine changes the initial weights")
	}
}

func TestInitialWeightsHaveTheirSpread(t *testing.T) {
	for _, family := range Families {
		c := tiny(family)
		c.Width, c.HeadDim, c.FeedForward, c.InitRange, c.Layers = 64, 16, 128, .02, 8
		c.Window, c.Windowed = 0, nil
		m := newModel(t, reference.New(), c, 1)
		for _, p := range m.Parameters() {
			data := read(t, m, p.Name)
			var sum, squares float64
			for _, v := range data {
				sum += float64(v)
				squares += float64(v) * float64(v)
			}
			n := float64(len(data))
			switch {
			case !p.Decays() && (strings.HasSuffix(p.Name, "bias") || family == Gemma3): // whose norms multiply by 1 + weight
				if squares != 0 {
					t.Errorf("%s does not start at 0", p.Name)
				}
			case !p.Decays():
				if sum != n || squares != n {
					t.Errorf("%s does not start at 1", p.Name)
				}
			default:
				want := .02
				if strings.HasSuffix(p.Name, "c_proj.weight") || strings.HasSuffix(p.Name, "o_proj.weight") || strings.HasSuffix(p.Name, "down_proj.weight") {
					want = .005 // .02/√(2·8)
				}
				// Five standard errors of an estimated standard deviation.
				if got := math.Sqrt(squares / n); math.Abs(got-want) > 5*want/math.Sqrt(2*n) {
					t.Errorf("%s has the standard deviation %v, want %v", p.Name, got, want)
				}
			}
		}
	}
}

// Detail 9 of the reward model's head.
func TestScalarHeadStartsAsInTheSummaries(t *testing.T) {
	c := tiny(Llama)
	c.Width, c.Heads, c.KVHeads, c.HeadDim, c.Head = 1024, 4, 4, 256, Scalar
	for _, p := range c.Parameters() {
		switch p.Name {
		case ScoreWeight:
			if want := 1 / math.Sqrt(1025); math.Abs(p.Init-want) > 1e-12 {
				t.Errorf("spread %v, want %v", p.Init, want)
			}
		case ScoreBias:
			if p.Init != 0 || p.Fill != 0 {
				t.Errorf("the bias starts at %+v, want 0", p)
			}
		}
	}
}

func TestWithHeadKeepsTheBodyAndTheOriginal(t *testing.T) {
	engine := reference.New()
	for _, tied := range []bool{true, false} {
		c := tiny(GPT2)
		c.Tied = tied
		m := newModel(t, engine, c, 5)
		before := weights(t, m)
		scalar, err := m.WithHead(Scalar, 9)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range scalar.Parameters() {
			switch p.Name {
			case ScoreWeight, ScoreBias:
			default:
				if !slices.Equal(read(t, scalar, p.Name), read(t, m, p.Name)) {
					t.Errorf("%s changed", p.Name)
				}
			}
		}
		if _, ok := scalar.Store.Shape("lm_head.weight"); ok {
			t.Error("the language model's head is still there")
		}
		again, err := m.WithHead(Scalar, 9)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(weights(t, again), weights(t, scalar)) {
			t.Error("one seed gives two heads")
		}
		other, err := m.WithHead(Scalar, 10)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(read(t, other, ScoreWeight), read(t, scalar, ScoreWeight)) {
			t.Error("two seeds give one head")
		}
		if err := scalar.Store.Write(ScoreBias, []float32{4}); err != nil {
			t.Fatal(err)
		}
		clone, err := scalar.Clone()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(weights(t, clone), weights(t, scalar)) {
			t.Error("a clone is different")
		}
		if err := scalar.Store.Write("transformer.ln_f.bias", make([]float32, 16)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(weights(t, m), before) {
			t.Error("the original changed")
		}
	}
}

func TestWeightDecayIsForMatricesOnly(t *testing.T) {
	for _, family := range Families {
		for _, p := range tiny(family).Parameters() {
			vector := strings.HasSuffix(p.Name, "bias") || strings.Contains(strings.ToLower(p.Name), "norm") || strings.Contains(p.Name, "ln_")
			if p.Decays() == vector {
				t.Errorf("%s of shape %v decays: %v", p.Name, p.Shape, p.Decays())
			}
		}
	}
}
