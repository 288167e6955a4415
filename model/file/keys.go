package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Every key of a config.json belongs to one of three groups: those that a
// model.Config is made of (the structs of the families), those that must have the one
// value that package model computes (fixed), and those that change nothing that a
// model computes (inert). The keys are those of the configuration classes of
// transformers 5.24 for the families here, of its older versions, which wrote the
// defaults of generation into config.json, and of what published files have beside.
// Anything else is refused by name, or let pass by Accept.

// inertKeys are the keys that change no forward pass.
var inertKeys = set(
	// what wrote the file, and how it keeps and runs the model
	"transformers_version", "_name_or_path", "dtype", "torch_dtype", "use_bfloat16", "torchscript", "tf_legacy_loss", "use_cache",
	"output_attentions", "output_hidden_states", "output_past", "return_dict", "gradient_checkpointing", "chunk_size_feed_forward",
	"_attn_implementation", "_attn_implementation_internal", "attn_implementation", "_attn_implementation_autoset", "_flash_attn_2_enabled", "use_flash_attn", "flash_attn",
	"_num_labels", "_commit_hash", "label2id", "finetuning_task", "task_specific_params", "tokenizer_class", "model_max_length",
	"cache_implementation", "pretraining_tp", "transformers.js_config", "unsloth_version", "unsloth_fixed", "alma", "max_sequence_length",
	// dropout, which is not applied here, and what only training by others reads
	"attn_pdrop", "embd_pdrop", "resid_pdrop", "attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout",
	"classifier_dropout", "summary_first_dropout",
	// GPT-2's multiple-choice head and its first files, older BERTs' records of their pooler
	"summary_activation", "summary_proj_to_labels", "summary_type", "summary_use_proj", "n_special", "predict_special_tokens",
	"directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
	// generation, for which generation_config.json is read (generation.go)
	"max_length", "min_length", "max_new_tokens", "min_new_tokens", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty",
	"temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
	"bad_words_ids", "num_return_sequences", "output_scores", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id",
	"remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens", "decoder_start_token_id", "prefix",
	"sep_token_id", "cls_token_id", "unk_token_id", "mask_token_id",
)

// commonFixed lists keys of any family with the values that are computed, as JSON.
// null is always one of them: it stands for what transformers assumes.
var commonFixed = map[string][]string{
	"is_encoder_decoder": {"false"}, "is_decoder": {"false"}, "add_cross_attention": {"false"}, "cross_attention_hidden_size": {},
	"tie_encoder_decoder": {"false"}, "pruned_heads": {"{}"}, "quantization_config": {}, "compression_config": {}, "quantization": {},
	"partial_rotary_factor": {"1"}, "rotary_pct": {"1"}, "attn_logit_softcapping": {}, "final_logit_softcapping": {}, "logit_scale": {"1"}, "clip_qkv": {},
	"embedding_multiplier": {"1"}, "residual_multiplier": {"1"}, "attention_multiplier": {}, "logits_scaling": {"1"}, "use_moe": {"false"},
	"inference_rope_scaling": {"false"}, "dual_chunk_attention_config": {}, "use_bidirectional_attention": {"false"},
}

func set(keys ...string) map[string]bool {
	m := make(map[string]bool, len(keys))
	for _, key := range keys {
		m[key] = true
	}
	return m
}

// keyNames lists the JSON names of a struct's fields.
func keyNames(t reflect.Type) []string {
	var names []string
	for field := range t.Fields() {
		name, ok := field.Tag.Lookup("json")
		switch {
		case ok:
			names = append(names, name)
		case field.Anonymous:
			names = append(names, keyNames(field.Type)...)
		}
	}
	return names
}

// checkKeys refuses what is neither read nor inert nor of a value that is computed.
func checkKeys(raw map[string]json.RawMessage, fixed map[string][]string, read ...[]string) error {
	known := slices.Concat(read...)
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		value := raw[key]
		allowed, ok := fixed[key]
		if !ok {
			allowed, ok = commonFixed[key]
		}
		switch {
		case ok:
			if given(value) && !slices.ContainsFunc(allowed, func(a string) bool { return sameJSON(value, a) }) {
				return fmt.Errorf("key %q is %s; alma computes only %s", key, abbreviate(value), strings.Join(append(slices.Clone(allowed), "null"), ", "))
			}
		case !inertKeys[key] && !slices.Contains(known, key) && !accepted(key):
			return unknownKey(key, value)
		}
	}
	return nil
}

func unknownKey(key string, value json.RawMessage) error {
	return fmt.Errorf("key %q is not one that alma knows (its value is %s); if it changes nothing that the model computes, open it with --accept-keys %s", key, abbreviate(value), key)
}

// sameJSON compares values: 0 is 0.0.
func sameJSON(value json.RawMessage, text string) bool {
	var a, b any
	return json.Unmarshal(value, &a) == nil && json.Unmarshal([]byte(text), &b) == nil && reflect.DeepEqual(a, b)
}

// given reports whether a key is there and not null.
func given(text json.RawMessage) bool {
	text = bytes.TrimSpace(text)
	return len(text) > 0 && string(text) != "null"
}

func abbreviate(text json.RawMessage) string {
	line := string(bytes.Join(bytes.Fields(text), []byte(" ")))
	if len(line) > 60 {
		return strings.ToValidUTF8(line[:60], "") + "…"
	}
	return line
}
