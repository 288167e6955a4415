package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
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

// variants are the tiny models of all families, heads and ways to tie.
func variants() map[string]Config {
	all := make(map[string]Config)
	for _, family := range Families {
		c := tiny(family)
		all[string(family)] = c
		c.Tied = false
		all[string(family)+" untied"] = c
		c.Tied = true
		if !family.Encoder() {
			all[string(family)+" scalar"] = c.WithHead(Scalar)
		}
		all[string(family)+" classes"] = c.WithHead(Classes, "no", "yes", "perhaps")
		body := c.WithHead(NoHead)
		body.Pooler = family == BERT
		all[string(family)+" body"] = body
	}
	llama := tiny(Llama)
	llama.AttentionBias, llama.FeedForwardBias = true, true
	llama.RoPEScaling = RoPEScaling{Type: "llama3", Factor: 8, LowFactor: 1, HighFactor: 4, Original: 12}
	llama.Ends = []int{2, 5}
	all["llama with biases and scaling"] = llama
	qwen := tiny(Qwen3)
	qwen.Window, qwen.Windowed = 4, []bool{false, true}
	qwen.RoPEScaling = RoPEScaling{Type: "linear", Factor: 4}
	all["qwen3 with a window"] = qwen
	gpt2 := tiny(GPT2)
	gpt2.ExactGELU = true
	all["gpt2 with exact GELU"] = gpt2
	return all
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

func weights(t testing.TB, m *Model) []byte {
	t.Helper()
	return content(t, func(w io.Writer) error { return m.WriteWeights(w, "F32") })
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
		{func(c *Config) { c.RoPEScaling.Type = "yarn" }, `"yarn"`},
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

func TestConfigSurvivesConfigJSON(t *testing.T) {
	for name, c := range variants() {
		data, err := MarshalConfig(c, "F32")
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseConfig("config.json", data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got, c) {
			t.Errorf("%s came back as\n%+v, want\n%+v", name, got, c)
		}
	}
}

// edited is a config.json with keys replaced; a nil value removes the key.
func edited(t testing.TB, c Config, keys map[string]any) []byte {
	t.Helper()
	data, err := MarshalConfig(c, "F32")
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	for key, value := range keys {
		if value == nil {
			delete(m, key)
		} else {
			m[key] = value
		}
	}
	if data, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestConfigJSONNamesWhatItRefuses(t *testing.T) {
	for _, test := range []struct {
		family Family
		keys   map[string]any
		want   string
	}{
		{Llama, map[string]any{"quantization_config": map[string]any{"bits": 4}}, `key "quantization_config"`},
		{Llama, map[string]any{"rope_scaling": map[string]any{"factor": 8}}, `key "rope_scaling"`},
		{Llama, map[string]any{"rope_parameters": map[string]any{"rope_type": "yarn", "factor": 4, "rope_theta": 5e5}}, `rope_type is "yarn"`},
		{Llama, map[string]any{"rope_scaling": map[string]any{"type": "dynamic", "factor": 4}}, `rope_type is "dynamic"`},
		{Llama, map[string]any{"rope_scaling": map[string]any{"rope_type": "longrope", "short_factor": []int{1}}}, `rope_type is "longrope"`},
		{Llama, map[string]any{"rope_scaling": map[string]any{"rope_type": "linear", "factor": 2, "attention_factor": 3}}, `"attention_factor"`},
		{Llama, map[string]any{"rope_parameters": map[string]any{"rope_theta": 1e4, "partial_rotary_factor": .5}}, `"partial_rotary_factor"`},
		{Llama, map[string]any{"hidden_act": "relu"}, `key "hidden_act" is "relu"`},
		{Llama, map[string]any{"n_embd": 8}, `key "n_embd"`},
		{Llama, map[string]any{"sliding_window": 8}, `key "sliding_window"`},
		{Llama, map[string]any{"architectures": []string{"LlamaForTokenClassification"}}, "LlamaForTokenClassification"},
		{Llama, map[string]any{"architectures": []string{"LlamaForCausalLM", "LlamaModel"}}, "names 2 models"},
		{Llama, map[string]any{"model_type": "mamba"}, `model_type "mamba"`},
		{Llama, map[string]any{"vocab_size": nil}, "vocabulary is 0"},
		{Llama, map[string]any{"vocab_size": "many"}, "vocab_size"},
		{Llama, map[string]any{"eos_token_id": "</s>"}, "eos_token_id"},
		{Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}, "id2label": map[string]string{"0": "a", "2": "b"}}, "none for 1"},
		{Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}, "id2label": map[string]string{"0": "a"}, "num_labels": 3}, `"num_labels" is 3`},
		{Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}, "num_labels": 1 << 13}, `"num_labels" is 8192`},
		{BERT, map[string]any{"architectures": []string{"BertForSequenceClassification"}, "problem_type": "guessing"}, `problem type "guessing"`},
		{Mistral, map[string]any{"attention_bias": true}, `key "attention_bias" is true`},
		{Mistral, map[string]any{"layer_types": []string{"full_attention", "full_attention"}}, `key "layer_types"`},
		{Qwen2, map[string]any{"attention_bias": true}, `key "attention_bias" is true`},
		{Qwen3, map[string]any{"mlp_bias": true}, `key "mlp_bias" is true`},
		{Qwen3, map[string]any{"use_sliding_window": true}, `key "use_sliding_window" is true`},
		{Qwen3, map[string]any{"layer_types": []string{"full_attention", "sliding_attention"}}, `"sliding_window" gives no positive size`},
		{Qwen3, map[string]any{"layer_types": []string{"full_attention", "chunked_attention"}}, `layer_types[1] is "chunked_attention"`},
		{Qwen3, map[string]any{"layer_types": []string{"full_attention"}}, "names 1 layers"},
		{Gemma3, map[string]any{"final_logit_softcapping": 30}, `key "final_logit_softcapping" is 30`},
		{Gemma3, map[string]any{"attn_logit_softcapping": 50}, `key "attn_logit_softcapping" is 50`},
		{Gemma3, map[string]any{"use_bidirectional_attention": true}, `key "use_bidirectional_attention" is true`},
		{Gemma3, map[string]any{"hidden_activation": "silu"}, `key "hidden_activation" is "silu"`},
		{Gemma3, map[string]any{"rope_parameters": map[string]any{"sliding_attention": map[string]any{"rope_type": "linear", "factor": 2}}}, "rope_parameters.sliding_attention"},
		{GPT2, map[string]any{"scale_attn_by_inverse_layer_idx": true}, `key "scale_attn_by_inverse_layer_idx" is true`},
		{GPT2, map[string]any{"activation_function": "relu"}, `key "activation_function" is "relu"`},
		{BERT, map[string]any{"position_embedding_type": "relative_key"}, `key "position_embedding_type" is "relative_key"`},
		{BERT, map[string]any{"is_decoder": true}, `key "is_decoder" is true`},
		{BERT, map[string]any{"hidden_act": "relu"}, `key "hidden_act" is "relu"`},
	} {
		_, err := ParseConfig("a/config.json", edited(t, tiny(test.family), test.keys))
		if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "a/config.json") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want a usage error that names a/config.json and %s, got %v", test.want, err)
		}
	}
	if _, err := ParseConfig("c", []byte(`{"model_type":`)); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("half a file gives %v", err)
	}
}

func TestConfigJSONFillsInWhatTransformersAssumes(t *testing.T) {
	for _, test := range []struct {
		family Family
		keys   map[string]any
		check  func(Config) bool
	}{
		{Llama, map[string]any{"tie_word_embeddings": nil}, func(c Config) bool { return !c.Tied }},
		{GPT2, map[string]any{"tie_word_embeddings": nil}, func(c Config) bool { return c.Tied }},
		{GPT2, map[string]any{"n_inner": nil}, func(c Config) bool { return c.FeedForward == 4*c.Width }},
		{Llama, map[string]any{"num_key_value_heads": nil}, func(c Config) bool { return c.KVHeads == c.Heads }},
		{Llama, map[string]any{"head_dim": nil}, func(c Config) bool { return c.HeadDim == c.Width/c.Heads }},
		{Llama, map[string]any{"rope_parameters": nil}, func(c Config) bool { return c.RoPETheta == 10000 }},
		{Llama, map[string]any{"rope_parameters": nil, "rope_theta": 5e5}, func(c Config) bool { return c.RoPETheta == 5e5 }},
		{Llama, map[string]any{"rms_norm_eps": nil}, func(c Config) bool { return c.Epsilon == 1e-6 }},
		{GPT2, map[string]any{"layer_norm_epsilon": nil}, func(c Config) bool { return c.Epsilon == 1e-5 }},
		{Llama, map[string]any{"architectures": nil}, func(c Config) bool { return c.Head == LanguageModel }},
		{Llama, map[string]any{"eos_token_id": []int{4, 7}}, func(c Config) bool { return c.EOS == 4 && slices.Equal(c.Ends, []int{4, 7}) }},
		{Llama, map[string]any{"rope_parameters": nil, "rope_scaling": map[string]any{"type": "linear", "factor": 2.0}}, func(c Config) bool {
			return c.RoPEScaling == RoPEScaling{Type: "linear", Factor: 2} && c.RoPETheta == 10000
		}},
		{Llama, map[string]any{"rope_parameters": nil, "rope_scaling": map[string]any{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}}, func(c Config) bool {
			return c.RoPEScaling == RoPEScaling{Type: "llama3", Factor: 8, LowFactor: 1, HighFactor: 4, Original: c.Context}
		}},
		{Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}}, func(c Config) bool {
			return c.Head == Classes && slices.Equal(c.Labels, []string{"LABEL_0", "LABEL_1"})
		}},
		{Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}, "num_labels": 1}, func(c Config) bool { return c.Head == Scalar }},
		{Llama, map[string]any{"architectures": []string{"LlamaModel"}}, func(c Config) bool { return c.Head == NoHead }},
		{Mistral, map[string]any{"sliding_window": nil}, func(c Config) bool { return c.Window == 0 && c.Windowed == nil }},
		{Qwen2, map[string]any{"use_sliding_window": true, "sliding_window": 6, "max_window_layers": 1}, func(c Config) bool {
			return c.Window == 6 && slices.Equal(c.Windowed, []bool{false, true})
		}},
		{Qwen2, map[string]any{"use_sliding_window": false, "sliding_window": 6, "max_window_layers": 1}, func(c Config) bool { return c.Window == 0 }},
		{Qwen2, map[string]any{"use_sliding_window": true, "sliding_window": 6}, func(c Config) bool { return c.Window == 0 }}, // of 28 layers
		{Gemma3, map[string]any{"layer_types": nil, "sliding_window_pattern": 2}, func(c Config) bool {
			return c.Window == 3 && slices.Equal(c.Windowed, []bool{true, false})
		}},
		{Gemma3, map[string]any{"rope_parameters": nil, "rope_theta": 5e5, "rope_local_base_freq": 300, "rope_scaling": map[string]any{"rope_type": "linear", "factor": 8}}, func(c Config) bool {
			return c.RoPETheta == 5e5 && c.LocalTheta == 300 && c.RoPEScaling.Factor == 8
		}},
		{Gemma3, map[string]any{"rope_parameters": nil, "head_dim": nil, "query_pre_attn_scalar": nil, "tie_word_embeddings": nil}, func(c Config) bool {
			return c.RoPETheta == 1e6 && c.LocalTheta == 1e4 && c.HeadDim == 256 && c.QueryScalar == 256 && c.Tied
		}},
		// As older tools write it, in full.
		{Llama, map[string]any{"is_encoder_decoder": false, "pruned_heads": map[string]any{}, "output_past": true, "unk_token_id": 0}, func(Config) bool { return true }},
		{BERT, map[string]any{"architectures": []string{"BertForPreTraining"}}, func(c Config) bool { return c.Head == MaskedLanguageModel }},
		{BERT, map[string]any{"layer_norm_eps": nil, "type_vocab_size": nil, "hidden_act": nil}, func(c Config) bool {
			return c.Epsilon == 1e-12 && c.Types == 2 && c.ExactGELU
		}},
		{Llama, map[string]any{"eos_token_id": nil}, func(c Config) bool { return c.EOS == -1 }},
		// Dropout of other tools' training changes no output.
		{GPT2, map[string]any{"attn_pdrop": .1, "resid_pdrop": .1, "embd_pdrop": .1}, func(c Config) bool { return true }},
	} {
		c, err := ParseConfig("c", edited(t, tiny(test.family), test.keys))
		if err != nil || !test.check(c) {
			t.Errorf("%s with %v gives %+v, %v", test.family, test.keys, c, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, c := range variants() {
		data, err := MarshalConfig(c, "F32")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"model_type":"llama","hidden_size":1e9}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig("c", data)
		if err != nil {
			return
		}
		out, err := MarshalConfig(c, "F32")
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", c, err)
		}
		if again, err := ParseConfig("c", out); err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v came back as %+v, %v", c, again, err)
		}
	})
}

// save writes a model folder with tensors changed.
func save(t testing.TB, m *Model, change func(tensors []artifact.Tensor) []artifact.Tensor) string {
	t.Helper()
	folder := t.TempDir()
	files, err := m.Files(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		weights := content(t, files[WeightsFile])
		file, err := artifact.ParseSafetensors("w", bytes.NewReader(weights), int64(len(weights)))
		if err != nil {
			t.Fatal(err)
		}
		var tensors []artifact.Tensor
		for _, name := range file.Names() {
			info, _ := file.Info(name)
			data, err := file.Float32(name)
			if err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, artifact.Tensor{Name: name, Shape: info.Shape, Data: data})
		}
		files[WeightsFile] = func(w io.Writer) error { return artifact.WriteSafetensors(w, change(tensors), nil) }
	}
	if err := artifact.WriteContents(folder, files); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestModelFolderComesBackWithTheSameWeights(t *testing.T) {
	engine := reference.New()
	for name, c := range variants() {
		m := newModel(t, engine, c, 7)
		got, err := Load(engine, save(t, m, nil))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got.Config, c) || !bytes.Equal(weights(t, got), weights(t, m)) {
			t.Errorf("%s came back different", name)
		}
	}
}

func TestLoadNamesTheTensorThatDoesNotFit(t *testing.T) {
	engine := reference.New()
	name := "model.layers.1.mlp.up_proj.weight"
	find := func(tensors []artifact.Tensor) int {
		return slices.IndexFunc(tensors, func(x artifact.Tensor) bool { return x.Name == name })
	}
	for _, test := range []struct {
		what   string
		change func([]artifact.Tensor) []artifact.Tensor
		want   []string
	}{
		{"missing", func(x []artifact.Tensor) []artifact.Tensor { i := find(x); return slices.Delete(x, i, i+1) }, []string{name, "missing", "[24 16]"}},
		{"misshapen", func(x []artifact.Tensor) []artifact.Tensor { x[find(x)].Shape = []int{16, 24}; return x }, []string{name, "[16 24]", "[24 16]"}},
		{"of another type", func(x []artifact.Tensor) []artifact.Tensor {
			x[find(x)] = artifact.Int32Tensor(name, []int{24, 16}, make([]int32, 24*16))
			return x
		}, []string{name, "I32", "F16"}},
		{"extra", func(x []artifact.Tensor) []artifact.Tensor {
			return append(x, artifact.Tensor{Name: "model.layers.2.extra", Shape: []int{1}, Data: []float32{1}})
		}, []string{"model.layers.2.extra", "not a parameter"}},
	} {
		folder := save(t, newModel(t, engine, tiny(Llama), 1), test.change)
		_, err := Load(engine, folder)
		if artifact.ExitCode(err) != 12 {
			t.Errorf("%s: exit code %d of %v, want 12", test.what, artifact.ExitCode(err), err)
			continue
		}
		for _, want := range append(test.want, filepath.Join(folder, "model.safetensors")) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not name %q", test.what, err, want)
			}
		}
	}
}

func TestConfigJSONThatAsksForFarMoreThanTheFileHoldsAllocatesNothing(t *testing.T) {
	m := newModel(t, reference.New(), tiny(Llama), 1)
	folder := save(t, m, nil)
	for _, keys := range []map[string]any{{"num_hidden_layers": maxLayers}, {"hidden_size": 1 << 24, "vocab_size": 1 << 24}} {
		if err := os.WriteFile(filepath.Join(folder, "config.json"), edited(t, tiny(Llama), keys), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(reference.New(), folder); artifact.ExitCode(err) != 12 {
			t.Errorf("%v: %v, want exit code 12", keys, err)
		}
	}
}

func TestAnAdaptersFolderIsNoModelAndTheRemedyIsNamed(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, AdapterConfigFile), []byte(peftExample), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(reference.New(), folder); artifact.ExitCode(err) != 10 || !strings.Contains(err.Error(), "alma merge") {
		t.Errorf("%v, want exit code 10 and alma merge", err)
	}
}

func TestLoadOfAFolderWithoutAModelIsNotFound(t *testing.T) {
	folder := save(t, newModel(t, reference.New(), tiny(GPT2), 1), nil)
	for _, name := range []string{"model.safetensors", "config.json"} {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(reference.New(), folder); artifact.ExitCode(err) != 10 || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v, want exit code 10", name, err)
		}
	}
}

func TestLoadReadsWhatGPT2WasPublishedAs(t *testing.T) {
	m := newModel(t, reference.New(), tiny(GPT2), 3)
	folder := save(t, m, func(tensors []artifact.Tensor) []artifact.Tensor {
		for i := range tensors {
			tensors[i].Name = strings.TrimPrefix(tensors[i].Name, "transformer.")
		}
		return append(tensors,
			artifact.Tensor{Name: "h.0.attn.bias", Shape: []int{1, 1, 2, 2}, Data: []float32{1, 0, 1, 1}},
			artifact.Tensor{Name: "h.0.attn.masked_bias", Shape: []int{1}, Data: []float32{-1e4}},
			artifact.Tensor{Name: "lm_head.weight", Shape: []int{23, 16}, Data: read(t, m, "transformer.wte.weight")})
	})
	got, err := Load(reference.New(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(weights(t, got), weights(t, m)) {
		t.Error("the weights came back different")
	}
}

func TestRewardModelWithoutABiasHasTheBiasZero(t *testing.T) {
	c := tiny(Llama)
	c.Head = Scalar
	m := newModel(t, reference.New(), c, 3)
	if err := m.Store.Write(ScoreBias, []float32{5}); err != nil {
		t.Fatal(err)
	}
	folder := save(t, m, func(x []artifact.Tensor) []artifact.Tensor {
		return slices.DeleteFunc(x, func(t artifact.Tensor) bool { return t.Name == ScoreBias })
	})
	got, err := Load(reference.New(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if bias := read(t, got, ScoreBias); bias[0] != 0 {
		t.Errorf("bias %v, want 0", bias)
	}
}

func TestWeightsThatAreNotFiniteAreNotSaved(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		m := newModel(t, reference.New(), tiny(Llama), 3)
		if err := m.Store.Write("model.norm.weight", slices.Repeat([]float32{bad}, 16)); err != nil {
			t.Fatal(err)
		}
		files, err := m.Files(nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := files[WeightsFile](io.Discard); artifact.ExitCode(err) != 20 || !strings.Contains(err.Error(), "model.norm.weight") {
			t.Errorf("with %v: %v, want exit code 20 and the parameter's name", bad, err)
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
	if !bytes.Equal(weights(t, small), weights(t, newModel(t, newCPU(t), tiny(Llama), 11))) {
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
		if !bytes.Equal(weights(t, again), weights(t, scalar)) {
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
		if !bytes.Equal(weights(t, clone), weights(t, scalar)) {
			t.Error("a clone is different")
		}
		if err := scalar.Store.Write("transformer.ln_f.bias", make([]float32, 16)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(weights(t, m), before) {
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

func TestGenerationConfigNamesTheTokensThatEndAText(t *testing.T) {
	for _, test := range []struct {
		eos         []int32
		temperature float64
		want        string
	}{
		{[]int32{2}, 0, `{"do_sample":false,"eos_token_id":2,"pad_token_id":3,"use_cache":true}`},
		{[]int32{2, 0}, .7, `{"do_sample":true,"eos_token_id":[2,0],"pad_token_id":3,"temperature":0.7,"use_cache":true}`},
		{nil, 0, `{"do_sample":false,"pad_token_id":3,"use_cache":true}`},
	} {
		data, err := MarshalGenerationConfig(tiny(Llama), test.eos, test.temperature)
		if err != nil {
			t.Fatal(err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, data); err != nil {
			t.Fatal(err)
		}
		if compact.String() != test.want {
			t.Errorf("got %s, want %s", compact.String(), test.want)
		}
	}
}

func TestWeightsAreWrittenInTheTypeThatIsAskedFor(t *testing.T) {
	engine := reference.New()
	m := newModel(t, engine, tiny(Llama), 3)
	for dtype, round := range map[string]func(float32) float32{
		"F32":  func(v float32) float32 { return v },
		"F16":  func(v float32) float32 { return artifact.Float16ToFloat32(artifact.Float32ToFloat16(v)) },
		"BF16": func(v float32) float32 { return artifact.BFloat16ToFloat32(artifact.Float32ToBFloat16(v)) },
	} {
		folder := t.TempDir()
		var b bytes.Buffer
		if err := m.WriteWeights(&b, dtype); err != nil {
			t.Fatal(err)
		}
		config, err := MarshalConfig(m.Config, dtype)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"model.safetensors": b.Bytes(), "config.json": config} {
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Load(engine, folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Parameters() {
			values := read(t, got, p.Name)
			for i, v := range read(t, m, p.Name) {
				if values[i] != round(v) {
					t.Fatalf("%s: %s[%d] is %v, want %v", dtype, p.Name, i, values[i], round(v))
				}
			}
		}
	}
	norm := read(t, m, "model.norm.weight")
	norm[3] = 1e5
	if err := m.Store.Write("model.norm.weight", norm); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteWeights(&bytes.Buffer{}, "BF16"); err != nil {
		t.Error(err)
	}
	for dtype, want := range map[string]string{"F16": "model.norm.weight", "F64": "F64"} {
		if err := m.WriteWeights(&bytes.Buffer{}, dtype); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v", dtype, err)
		}
	}
}
