package file

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/model"
)

// The configuration classes of transformers with their defaults (testdata/defaults.py).
func TestTheDefaultsOfTransformersClassesOpen(t *testing.T) {
	data, err := os.ReadFile("testdata/defaults.json")
	if err != nil {
		t.Fatal(err)
	}
	var defaults struct {
		Configs    []json.RawMessage
		Generation json.RawMessage
	}
	if err := json.Unmarshal(data, &defaults); err != nil || len(defaults.Configs) != len(model.Families) {
		t.Fatalf("%d classes, %v", len(defaults.Configs), err)
	}
	for _, text := range defaults.Configs {
		if _, err := ParseConfig("c", text); err != nil {
			t.Error(err)
		}
	}
	var told []string
	OnNote(func(line string) { told = append(told, line) })
	defer OnNote(nil)
	if _, err := ParseGeneration("g", defaults.Generation); err != nil || len(told) > 0 {
		t.Errorf("%v, told %q", err, told)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(defaults.Generation, &keys); err != nil {
		t.Fatal(err)
	}
	for key := range keys { // what they ask for is known, or said
		if _, known := inertGeneration[key]; !known && !slices.Contains(saidGeneration, key) {
			t.Errorf("key %q of GenerationConfig is in no group", key)
		}
	}
}

// saidGeneration are the keys of GenerationConfig that have no value but null that
// leaves texts as they are.
var saidGeneration = []string{
	"forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty", "sequence_bias", "watermarking_config",
	"penalty_alpha", "dola_layers", "constraints", "force_words_ids",
}

// What transformers 4 wrote of every model: PretrainedConfig.to_dict.
const oldKeys = `"_name_or_path": "x", "add_cross_attention": false, "bad_words_ids": null, "begin_suppress_tokens": null, "chunk_size_feed_forward": 0,
 "cross_attention_hidden_size": null, "decoder_start_token_id": null, "diversity_penalty": 0.0, "do_sample": false, "early_stopping": false,
 "encoder_no_repeat_ngram_size": 0, "exponential_decay_length_penalty": null, "finetuning_task": null, "forced_bos_token_id": null, "forced_eos_token_id": null,
 "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "is_decoder": false, "is_encoder_decoder": false, "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "length_penalty": 1.0,
 "max_length": 20, "min_length": 0, "no_repeat_ngram_size": 0, "num_beam_groups": 1, "num_beams": 1, "num_return_sequences": 1, "output_attentions": false,
 "output_hidden_states": false, "output_scores": false, "prefix": null, "problem_type": null, "pruned_heads": {}, "remove_invalid_values": false,
 "repetition_penalty": 1.0, "return_dict": true, "return_dict_in_generate": false, "sep_token_id": null, "suppress_tokens": null, "task_specific_params": null,
 "temperature": 1.0, "tf_legacy_loss": false, "tie_encoder_decoder": false, "tokenizer_class": null, "top_k": 50, "top_p": 1.0, "torch_dtype": "float16",
 "torchscript": false, "transformers_version": "4.31.0", "typical_p": 1.0, "use_bfloat16": false, "_commit_hash": null, "_attn_implementation": "sdpa"`

// Configurations as they were published, key by key.
func TestPublishedConfigurationsOpen(t *testing.T) {
	gpt2 := func(width, heads, layers int, more string) string {
		return fmt.Sprintf(`{"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1,
			"eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": %d, "n_head": %d, "n_layer": %d,
			"n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true, "summary_type": "cls_index",
			"summary_use_proj": true, "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}}, "vocab_size": 50257%s}`, width, heads, layers, more)
	}
	old := `, "n_special": 0, "predict_special_tokens": true`
	llama := func(more string) string {
		return `{"architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
			"intermediate_size": 11008, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32, "rms_norm_eps": 1e-05, "use_cache": true, "vocab_size": 32000` + more + `}`
	}
	qwen := func(family, more string) string {
		return `{"architectures": ["` + family + `ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645, "hidden_act": "silu", "hidden_size": 896,
			"initializer_range": 0.02, "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 21, "model_type": "` + strings.ToLower(family) + `", "num_attention_heads": 14,
			"num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
			"torch_dtype": "bfloat16", "transformers_version": "4.43.1", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936` + more + `}`
	}
	bert := func(more string) string {
		return `{"architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02,
			"intermediate_size": 3072, "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 0,
			"type_vocab_size": 2, "vocab_size": 30522` + more + `}`
	}
	llama3 := `, "num_key_value_heads": 8, "attention_bias": false, "attention_dropout": 0.0, "mlp_bias": false, "pretraining_tp": 1, "max_position_embeddings": 131072, "rope_theta": 500000.0,
		"rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
		"tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.43.0.dev0"`
	for name, text := range map[string]string{
		"gpt2":         gpt2(768, 12, 12, ""),
		"gpt2-medium":  gpt2(1024, 16, 24, old),
		"gpt2-large":   gpt2(1280, 20, 36, old),
		"gpt2-xl":      gpt2(1600, 25, 48, `, "output_past": true`+old),
		"distilgpt2":   gpt2(768, 12, 6, `, "_num_labels": 1, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}`),
		"llama-1":      strings.Replace(llama(`, "pad_token_id": -1, "max_sequence_length": 2048, "torch_dtype": "float16", "transformers_version": "4.27.0.dev0"`), "LlamaFor", "LLaMAFor", 1),
		"llama-2":      llama(`, "max_position_embeddings": 4096, "num_key_value_heads": 32, "pretraining_tp": 1, "rope_scaling": null, "tie_word_embeddings": false, "pad_token_id": 0, "_name_or_path": "meta-llama/Llama-2-7b-hf"`),
		"vicuna-16k":   llama(`, "max_position_embeddings": 4096, "max_sequence_length": 16384, "pad_token_id": 0, "rope_scaling": {"factor": 4.0, "type": "linear"}, "tie_word_embeddings": false, "pretraining_tp": 1, "transformers_version": "4.31.0"`),
		"llama-3.1":    strings.Replace(llama(llama3), `"eos_token_id": 2`, `"eos_token_id": [128001, 128008, 128009]`, 1),
		"minimind2":    llama(`, "max_position_embeddings": 32768, "num_key_value_heads": 2, "rope_theta": 1000000.0, "tie_word_embeddings": true, "attention_bias": false, "attention_dropout": 0.0, "head_dim": 128, "mlp_bias": false, "pretraining_tp": 1, "rope_scaling": null, "dropout": 0.0, "flash_attn": true, "use_moe": false, "inference_rope_scaling": false`),
		"qwen2.5":      qwen("Qwen2", ""),
		"qwen2.5-yarn": qwen("Qwen2", `, "use_mrope": false, "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}`),
		"qwen3":        qwen("Qwen3", `, "attention_bias": false, "head_dim": 128, "rope_scaling": null`),
		"minimind3":    qwen("Qwen3", `, "attention_bias": false, "head_dim": 96, "dropout": 0.0, "flash_attn": true, "use_moe": false, "rope_scaling": null, "_attn_implementation_autoset": true`),
		"mistral": `{"architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
			"max_position_embeddings": 32768, "model_type": "mistral", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
			"sliding_window": 4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.34.0.dev0", "use_cache": true, "vocab_size": 32000}`,
		"gemma-3": `{"architectures": ["Gemma3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "attn_logit_softcapping": null, "bos_token_id": 2, "cache_implementation": "hybrid",
			"eos_token_id": [1, 106], "final_logit_softcapping": null, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152, "initializer_range": 0.02, "intermediate_size": 6912,
			"max_position_embeddings": 32768, "model_type": "gemma3_text", "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1, "pad_token_id": 0, "query_pre_attn_scalar": 256,
			"rms_norm_eps": 1e-06, "rope_local_base_freq": 10000, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": 512, "sliding_window_pattern": 6, "_sliding_window_pattern": 6,
			"torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0", "use_cache": true, "use_bidirectional_attention": false, "vocab_size": 262144}`,
		"bert-base-uncased": bert(`, "gradient_checkpointing": false, "position_embedding_type": "absolute", "transformers_version": "4.6.0.dev0", "use_cache": true`),
		"bert-base-chinese": bert(`, "directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3, "pooler_size_per_head": 128, "pooler_type": "first_token_transform"`),
		"bert in full":      bert(", " + oldKeys),
		"llama in full":     llama(`, "max_position_embeddings": 4096, ` + oldKeys),
	} {
		if _, err := ParseConfig(name, []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

func TestAKeyThatIsLetPassIsNotAskedAbout(t *testing.T) {
	text := edited(t, tiny(model.Llama), map[string]any{"door_test_colour": "red"})
	if _, err := ParseConfig("c", text); err == nil {
		t.Fatal("an unknown key was let pass")
	}
	Accept("door_test_colour")
	if _, err := ParseConfig("c", text); err != nil || !slices.Contains(Accepted(), "door_test_colour") {
		t.Errorf("%v; accepted %q", err, Accepted())
	}
	// What alma knows that it does not compute is no matter of belief.
	Accept("clip_qkv")
	if _, err := ParseConfig("c", edited(t, tiny(model.Llama), map[string]any{"clip_qkv": 8})); err == nil || !strings.Contains(err.Error(), `key "clip_qkv" is 8`) {
		t.Errorf("a key that is computed otherwise was let pass: %v", err)
	}
}

// transformers' own numbers (testdata/yarn.py).
func TestYaRNIsTransformers(t *testing.T) {
	data, err := os.ReadFile("testdata/yarn.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		HeadDim     int             `json:"head_dim"`
		Context     int             `json:"context"`
		Parameters  json.RawMessage `json:"rope_parameters"`
		Frequencies []float64       `json:"frequencies"`
		Attention   float64         `json:"attention"`
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) < 6 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, want := range cases {
		theta, s, err := parseRope("rope_parameters", want.Parameters, want.Context, 0)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(s.AttentionFactor-want.Attention) > 1e-12 {
			t.Errorf("%s: attention factor %v, want %v", want.Parameters, s.AttentionFactor, want.Attention)
		}
		for i, f := range s.Frequencies(theta, want.HeadDim) {
			if math.Abs(f-want.Frequencies[i]) > 2e-6*want.Frequencies[i] {
				t.Errorf("%s: frequency %d is %v, want %v", want.Parameters, i, f, want.Frequencies[i])
			}
		}
		written, err := json.Marshal(ropeParameters(theta, s))
		if err != nil {
			t.Fatal(err)
		}
		if _, again, err := parseRope("rope_parameters", written, want.Context, 0); err != nil || again != s {
			t.Errorf("%s came back as %+v, %v", written, again, err)
		}
	}
}
