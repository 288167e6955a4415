package file

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
)

func tiny(family model.Family) model.Config {
	c := model.Config{
		Family: family, Head: model.LanguageModel, Vocabulary: 23, Context: 24, Width: 16, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 4,
		FeedForward: 24, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .3, BOS: -1, EOS: 2, Pad: 3,
	}
	switch family {
	case model.GPT2:
		c.KVHeads, c.RoPETheta = 4, 0
	case model.Mistral:
		c.Window, c.Windowed = 5, []bool{true, true}
	case model.Qwen2:
		c.AttentionBias = true
	case model.Gemma3:
		c.Window, c.Windowed, c.LocalTheta, c.QueryScalar = 3, []bool{true, false}, 100, 7
	case model.BERT:
		c.Head, c.KVHeads, c.RoPETheta, c.Types, c.ExactGELU = model.MaskedLanguageModel, 4, 0, 2, true
	}
	return c
}

// variants are the tiny models of all families, heads and ways to tie.
func variants() map[string]model.Config {
	all := make(map[string]model.Config)
	for _, family := range model.Families {
		c := tiny(family)
		all[string(family)] = c
		c.Tied = false
		all[string(family)+" untied"] = c
		c.Tied = true
		if !family.Encoder() {
			all[string(family)+" scalar"] = c.WithHead(model.Scalar)
		}
		all[string(family)+" classes"] = c.WithHead(model.Classes, "no", "yes", "perhaps")
		body := c.WithHead(model.NoHead)
		body.Pooler = family == model.BERT
		all[string(family)+" body"] = body
	}
	llama := tiny(model.Llama)
	llama.AttentionBias, llama.FeedForwardBias = true, true
	llama.RoPEScaling = model.RoPEScaling{Type: "llama3", Factor: 8, LowFactor: 1, HighFactor: 4, Original: 12}
	llama.Ends = []int{2, 5}
	all["llama with biases and scaling"] = llama
	qwen := tiny(model.Qwen3)
	qwen.Window, qwen.Windowed = 4, []bool{false, true}
	qwen.RoPEScaling = model.RoPEScaling{Type: "linear", Factor: 4}
	all["qwen3 with a window"] = qwen
	yarn := tiny(model.Qwen3)
	yarn.RoPEScaling = model.RoPEScaling{Type: "yarn", Factor: 4, Original: 6, BetaFast: 32, BetaSlow: 1, AttentionFactor: model.YaRNAttention(4)}
	all["qwen3 with yarn"] = yarn
	yarn.Family = model.Llama
	yarn.RoPEScaling.BetaFast, yarn.RoPEScaling.BetaSlow = 2, .5
	yarn.RoPEScaling.Untruncated = true
	all["llama with yarn, untruncated"] = yarn
	gpt2 := tiny(model.GPT2)
	gpt2.ExactGELU = true
	all["gpt2 with exact GELU"] = gpt2
	return all
}

func newModel(t testing.TB, engine compute.Engine, c model.Config, seed uint64) *model.Model {
	t.Helper()
	m, err := model.New(engine, c, seed)
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

func weights(t testing.TB, m *model.Model) []byte {
	t.Helper()
	return content(t, func(w io.Writer) error { return WriteWeights(w, m, "F32") })
}

// content is what a file's function writes.
func content(t testing.TB, write func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t testing.TB, m *model.Model, name string) []float32 {
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

// logits are those of a text alone, [len(tokens) × V].
func logits(t testing.TB, m *model.Model, tokens []int32) []float32 {
	t.Helper()
	p := compute.NewProgram("logits")
	p.Output("logits", m.Logits(p, m.Hidden(p, m.NewBatch(p, 1, len(tokens)))))
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		t.Fatal(err)
	}
	copy(x.Ints("tokens"), tokens)
	for i, positions := 0, x.Ints("positions"); i < len(tokens); i++ {
		positions[i] = int32(i)
	}
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(x.Floats("logits"))
}
