package file

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
)

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
func edited(t testing.TB, c model.Config, keys map[string]any) []byte {
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
		family model.Family
		keys   map[string]any
		want   string
	}{
		{model.Llama, map[string]any{"quantization_config": map[string]any{"bits": 4}}, `key "quantization_config"`},
		{model.Llama, map[string]any{"rope_scaling": map[string]any{"factor": 8}}, `key "rope_scaling"`},
		{model.Llama, map[string]any{"rope_parameters": map[string]any{"rope_type": "yarn", "factor": .5, "rope_theta": 5e5}}, "yarn rotary scaling wants a factor of at least 1"},
		{model.Llama, map[string]any{"rope_scaling": map[string]any{"type": "su", "factor": 4}}, `rope_type is "su"`},
		{model.Llama, map[string]any{"rope_scaling": map[string]any{"type": "linear", "factor": 2, "mrope_section": []int{1}}}, "--accept-keys rope_scaling.mrope_section"},
		{model.Llama, map[string]any{"colour": "red"}, "--accept-keys colour"},
		{model.Llama, map[string]any{"rope_scaling": map[string]any{"type": "dynamic", "factor": 4}}, `rope_type is "dynamic"`},
		{model.Llama, map[string]any{"rope_scaling": map[string]any{"rope_type": "longrope", "short_factor": []int{1}}}, `rope_type is "longrope"`},
		{model.Llama, map[string]any{"rope_scaling": map[string]any{"rope_type": "linear", "factor": 2, "attention_factor": 3}}, `"attention_factor"`},
		{model.Llama, map[string]any{"rope_parameters": map[string]any{"rope_theta": 1e4, "partial_rotary_factor": .5}}, `partial_rotary_factor is 0.5`},
		{model.Llama, map[string]any{"hidden_act": "relu"}, `key "hidden_act" is "relu"`},
		{model.Llama, map[string]any{"n_embd": 8}, `key "n_embd"`},
		{model.Llama, map[string]any{"sliding_window": 8}, `key "sliding_window"`},
		{model.Llama, map[string]any{"architectures": []string{"LlamaForTokenClassification"}}, "LlamaForTokenClassification"},
		{model.Llama, map[string]any{"architectures": []string{"LlamaForCausalLM", "LlamaModel"}}, "names 2 models"},
		{model.Llama, map[string]any{"model_type": "mamba"}, `model_type "mamba"`},
		{model.Llama, map[string]any{"vocab_size": nil}, "vocabulary is 0"},
		{model.Llama, map[string]any{"vocab_size": "many"}, "vocab_size"},
		{model.Llama, map[string]any{"eos_token_id": "</s>"}, "eos_token_id"},
		{model.Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}, "id2label": map[string]string{"0": "a", "2": "b"}}, "none for 1"},
		{model.Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}, "id2label": map[string]string{"0": "a"}, "num_labels": 3}, `"num_labels" is 3`},
		{model.Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}, "num_labels": 1 << 13}, `"num_labels" is 8192`},
		{model.BERT, map[string]any{"architectures": []string{"BertForSequenceClassification"}, "problem_type": "guessing"}, `problem type "guessing"`},
		{model.Mistral, map[string]any{"attention_bias": true}, `key "attention_bias" is true`},
		{model.Mistral, map[string]any{"layer_types": []string{"full_attention", "full_attention"}}, `key "layer_types"`},
		{model.Qwen2, map[string]any{"attention_bias": true}, `key "attention_bias" is true`},
		{model.Qwen3, map[string]any{"mlp_bias": true}, `key "mlp_bias" is true`},
		{model.Qwen3, map[string]any{"use_sliding_window": true}, `key "use_sliding_window" is true`},
		{model.Qwen3, map[string]any{"layer_types": []string{"full_attention", "sliding_attention"}}, `"sliding_window" gives no positive size`},
		{model.Qwen3, map[string]any{"layer_types": []string{"full_attention", "chunked_attention"}}, `layer_types[1] is "chunked_attention"`},
		{model.Qwen3, map[string]any{"layer_types": []string{"full_attention"}}, "names 1 layers"},
		{model.Gemma3, map[string]any{"final_logit_softcapping": 30}, `key "final_logit_softcapping" is 30`},
		{model.Gemma3, map[string]any{"attn_logit_softcapping": 50}, `key "attn_logit_softcapping" is 50`},
		{model.Gemma3, map[string]any{"use_bidirectional_attention": true}, `key "use_bidirectional_attention" is true`},
		{model.Gemma3, map[string]any{"hidden_activation": "silu"}, `key "hidden_activation" is "silu"`},
		{model.Gemma3, map[string]any{"rope_parameters": map[string]any{"sliding_attention": map[string]any{"rope_type": "linear", "factor": 2}}}, "rope_parameters.sliding_attention"},
		{model.GPT2, map[string]any{"scale_attn_by_inverse_layer_idx": true}, `key "scale_attn_by_inverse_layer_idx" is true`},
		{model.GPT2, map[string]any{"activation_function": "relu"}, `key "activation_function" is "relu"`},
		{model.BERT, map[string]any{"position_embedding_type": "relative_key"}, `key "position_embedding_type" is "relative_key"`},
		{model.BERT, map[string]any{"is_decoder": true}, `key "is_decoder" is true`},
		{model.BERT, map[string]any{"hidden_act": "relu"}, `key "hidden_act" is "relu"`},
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
		family model.Family
		keys   map[string]any
		check  func(model.Config) bool
	}{
		{model.Llama, map[string]any{"tie_word_embeddings": nil}, func(c model.Config) bool { return !c.Tied }},
		{model.GPT2, map[string]any{"tie_word_embeddings": nil}, func(c model.Config) bool { return c.Tied }},
		{model.GPT2, map[string]any{"n_inner": nil}, func(c model.Config) bool { return c.FeedForward == 4*c.Width }},
		{model.Llama, map[string]any{"num_key_value_heads": nil}, func(c model.Config) bool { return c.KVHeads == c.Heads }},
		{model.Llama, map[string]any{"head_dim": nil}, func(c model.Config) bool { return c.HeadDim == c.Width/c.Heads }},
		{model.Llama, map[string]any{"rope_parameters": nil}, func(c model.Config) bool { return c.RoPETheta == 10000 }},
		{model.Llama, map[string]any{"rope_parameters": nil, "rope_theta": 5e5}, func(c model.Config) bool { return c.RoPETheta == 5e5 }},
		{model.Llama, map[string]any{"rms_norm_eps": nil}, func(c model.Config) bool { return c.Epsilon == 1e-6 }},
		{model.GPT2, map[string]any{"layer_norm_epsilon": nil}, func(c model.Config) bool { return c.Epsilon == 1e-5 }},
		{model.Llama, map[string]any{"architectures": nil}, func(c model.Config) bool { return c.Head == model.LanguageModel }},
		{model.Llama, map[string]any{"eos_token_id": []int{4, 7}}, func(c model.Config) bool { return c.EOS == 4 && slices.Equal(c.Ends, []int{4, 7}) }},
		{model.Llama, map[string]any{"rope_parameters": nil, "rope_scaling": map[string]any{"type": "linear", "factor": 2.0}}, func(c model.Config) bool {
			return c.RoPEScaling == model.RoPEScaling{Type: "linear", Factor: 2} && c.RoPETheta == 10000
		}},
		{model.Llama, map[string]any{"rope_parameters": nil, "rope_scaling": map[string]any{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}}, func(c model.Config) bool {
			return c.RoPEScaling == model.RoPEScaling{Type: "llama3", Factor: 8, LowFactor: 1, HighFactor: 4, Original: c.Context}
		}},
		{model.Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}}, func(c model.Config) bool {
			return c.Head == model.Classes && slices.Equal(c.Labels, []string{"LABEL_0", "LABEL_1"})
		}},
		{model.Llama, map[string]any{"architectures": []string{"LlamaForSequenceClassification"}, "num_labels": 1}, func(c model.Config) bool { return c.Head == model.Scalar }},
		{model.Llama, map[string]any{"architectures": []string{"LlamaModel"}}, func(c model.Config) bool { return c.Head == model.NoHead }},
		{model.Mistral, map[string]any{"sliding_window": nil}, func(c model.Config) bool { return c.Window == 0 && c.Windowed == nil }},
		{model.Qwen2, map[string]any{"use_sliding_window": true, "sliding_window": 6, "max_window_layers": 1}, func(c model.Config) bool {
			return c.Window == 6 && slices.Equal(c.Windowed, []bool{false, true})
		}},
		{model.Qwen2, map[string]any{"use_sliding_window": false, "sliding_window": 6, "max_window_layers": 1}, func(c model.Config) bool { return c.Window == 0 }},
		{model.Qwen2, map[string]any{"use_sliding_window": true, "sliding_window": 6}, func(c model.Config) bool { return c.Window == 0 }}, // of 28 layers
		{model.Gemma3, map[string]any{"layer_types": nil, "sliding_window_pattern": 2}, func(c model.Config) bool {
			return c.Window == 3 && slices.Equal(c.Windowed, []bool{true, false})
		}},
		{model.Gemma3, map[string]any{"rope_parameters": nil, "rope_theta": 5e5, "rope_local_base_freq": 300, "rope_scaling": map[string]any{"rope_type": "linear", "factor": 8}}, func(c model.Config) bool {
			return c.RoPETheta == 5e5 && c.LocalTheta == 300 && c.RoPEScaling.Factor == 8
		}},
		{model.Gemma3, map[string]any{"rope_parameters": nil, "head_dim": nil, "query_pre_attn_scalar": nil, "tie_word_embeddings": nil}, func(c model.Config) bool {
			return c.RoPETheta == 1e6 && c.LocalTheta == 1e4 && c.HeadDim == 256 && c.QueryScalar == 256 && c.Tied
		}},
		// As older tools write it, in full.
		{model.Llama, map[string]any{"is_encoder_decoder": false, "pruned_heads": map[string]any{}, "output_past": true, "unk_token_id": 0}, func(model.Config) bool { return true }},
		{model.BERT, map[string]any{"architectures": []string{"BertForPreTraining"}}, func(c model.Config) bool { return c.Head == model.MaskedLanguageModel }},
		{model.BERT, map[string]any{"layer_norm_eps": nil, "type_vocab_size": nil, "hidden_act": nil}, func(c model.Config) bool {
			return c.Epsilon == 1e-12 && c.Types == 2 && c.ExactGELU
		}},
		{model.Llama, map[string]any{"eos_token_id": nil}, func(c model.Config) bool { return c.EOS == -1 }},
		// Dropout of other tools' training changes no output.
		{model.GPT2, map[string]any{"attn_pdrop": .1, "resid_pdrop": .1, "embd_pdrop": .1}, func(c model.Config) bool { return true }},
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
