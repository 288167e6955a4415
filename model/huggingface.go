package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"sort"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// The door to Hugging Face's config.json. Every key belongs to one of three
// groups: keys that [Config] is made of, keys that must have the one value
// that this package computes, and keys that do not change what a model
// computes. Anything else is refused by name.

// configKeys is what config.json may hold, by family.
type keyRule struct {
	allowed []string // JSON texts of the values that are computed
}

func only(values ...string) keyRule { return keyRule{values} }

// neutralKeys do not change the forward pass, or only training by other tools
// (dropout is not applied here).
var neutralKeys = map[string]bool{
	"architectures": true, "model_type": true, "dtype": true, "torch_dtype": true, "transformers_version": true,
	"_name_or_path": true, "use_cache": true, "initializer_range": true, "bos_token_id": true, "eos_token_id": true,
	"pad_token_id": true, "vocab_size": true, "tie_word_embeddings": true, "num_labels": true, "id2label": true,
	"label2id": true, "task_specific_params": true, "pretraining_tp": true, "alma": true,
	"attn_pdrop": true, "embd_pdrop": true, "resid_pdrop": true, "attention_dropout": true, "summary_first_dropout": true,
	"summary_activation": true, "summary_proj_to_labels": true, "summary_type": true, "summary_use_proj": true,
	"problem_type": true, "output_attentions": true, "output_hidden_states": true,
}

var familyKeys = map[Family]map[string]keyRule{
	GPT2: {
		"n_positions": {}, "n_ctx": {}, "n_embd": {}, "n_layer": {}, "n_head": {}, "n_inner": {}, "layer_norm_epsilon": {},
		"activation_function":             only(`"gelu_new"`, `"gelu_pytorch_tanh"`),
		"add_cross_attention":             only("false"),
		"reorder_and_upcast_attn":         only("false"),
		"scale_attn_by_inverse_layer_idx": only("false"),
		"scale_attn_weights":              only("true"),
	},
	Llama: {
		"max_position_embeddings": {}, "hidden_size": {}, "num_hidden_layers": {}, "num_attention_heads": {},
		"num_key_value_heads": {}, "head_dim": {}, "intermediate_size": {}, "rms_norm_eps": {},
		"rope_theta": {}, "rope_parameters": {},
		"rope_scaling":   only("null"),
		"hidden_act":     only(`"silu"`, `"swish"`),
		"attention_bias": only("false"),
		"mlp_bias":       only("false"),
	},
}

func init() {
	qwen := map[string]keyRule{
		"use_sliding_window": only("false"),
		"sliding_window":     only("null"),
		"max_window_layers":  {},
		"layer_types":        {},
	}
	for key, rule := range familyKeys[Llama] {
		qwen[key] = rule
	}
	familyKeys[Qwen3] = qwen
}

// architectures that a checkpoint of each family and head is written as.
var architectures = map[Family]map[Head]string{
	GPT2:  {LanguageModel: "GPT2LMHeadModel", Scalar: "GPT2ForSequenceClassification"},
	Llama: {LanguageModel: "LlamaForCausalLM", Scalar: "LlamaForSequenceClassification"},
	Qwen3: {LanguageModel: "Qwen3ForCausalLM", Scalar: "Qwen3ForSequenceClassification"},
}

// hfConfig holds the keys of config.json that a Config is made of.
type hfConfig struct {
	ModelType     string   `json:"model_type"`
	Architectures []string `json:"architectures"`
	Vocabulary    int      `json:"vocab_size"`
	Tied          *bool    `json:"tie_word_embeddings"`
	InitRange     float64  `json:"initializer_range"`
	BOS           *int     `json:"bos_token_id"`
	EOS           *int     `json:"eos_token_id"`
	Pad           *int     `json:"pad_token_id"`

	NPositions int     `json:"n_positions"`
	NEmbd      int     `json:"n_embd"`
	NLayer     int     `json:"n_layer"`
	NHead      int     `json:"n_head"`
	NInner     *int    `json:"n_inner"`
	LNEpsilon  float64 `json:"layer_norm_epsilon"`

	MaxPositions int     `json:"max_position_embeddings"`
	Hidden       int     `json:"hidden_size"`
	Layers       int     `json:"num_hidden_layers"`
	Heads        int     `json:"num_attention_heads"`
	KVHeads      *int    `json:"num_key_value_heads"`
	HeadDim      *int    `json:"head_dim"`
	Intermediate int     `json:"intermediate_size"`
	RMSEpsilon   float64 `json:"rms_norm_eps"`
	RopeTheta    float64 `json:"rope_theta"`
	Rope         *struct {
		Theta float64 `json:"rope_theta"`
		Type  string  `json:"rope_type"`
	} `json:"rope_parameters"`
	LayerTypes []string `json:"layer_types"`
}

// ParseConfig reads a Hugging Face config.json. The path appears in errors.
func ParseConfig(path string, data []byte) (Config, error) {
	fail := func(format string, args ...any) (Config, error) {
		return Config{}, artifact.Errorf(artifact.ErrUsage, "reading %s: %s", path, fmt.Sprintf(format, args...))
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return Config{}, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	var hf hfConfig
	if err := json.Unmarshal(data, &hf); err != nil {
		return fail("%v", err)
	}
	family := Family(hf.ModelType)
	rules, ok := familyKeys[family]
	if !ok {
		return fail("model_type %q is not a family that alma has; it has %v", hf.ModelType, Families)
	}
	if err := checkKeys(raw, rules); err != nil {
		return fail("%v", err)
	}
	c := Config{
		Family: family, Head: LanguageModel, Vocabulary: hf.Vocabulary, InitRange: hf.InitRange,
		BOS: orMinusOne(hf.BOS), EOS: orMinusOne(hf.EOS), Pad: orMinusOne(hf.Pad),
	}
	if c.InitRange == 0 {
		c.InitRange = 0.02
	}
	switch {
	case len(hf.Architectures) > 1:
		return fail("architectures names %d models, want one", len(hf.Architectures))
	case len(hf.Architectures) == 1:
		found := false
		for head, name := range architectures[family] {
			if name == hf.Architectures[0] {
				c.Head, found = head, true
			}
		}
		if !found {
			return fail("architectures names %q, which alma does not have; for %s it has %q and %q", hf.Architectures[0], family,
				architectures[family][LanguageModel], architectures[family][Scalar])
		}
	}
	if family == GPT2 {
		c.Context, c.Width, c.Layers, c.Heads, c.Epsilon = hf.NPositions, hf.NEmbd, hf.NLayer, hf.NHead, hf.LNEpsilon
		c.KVHeads, c.FeedForward, c.Tied = c.Heads, 4*c.Width, true
		if c.Heads > 0 {
			c.HeadDim = c.Width / c.Heads
		}
		if hf.NInner != nil {
			c.FeedForward = *hf.NInner
		}
		if c.Epsilon == 0 {
			c.Epsilon = 1e-5
		}
	} else {
		c.Context, c.Width, c.Layers, c.Heads, c.Epsilon = hf.MaxPositions, hf.Hidden, hf.Layers, hf.Heads, hf.RMSEpsilon
		c.KVHeads, c.FeedForward = c.Heads, hf.Intermediate
		if hf.KVHeads != nil {
			c.KVHeads = *hf.KVHeads
		}
		if hf.HeadDim != nil {
			c.HeadDim = *hf.HeadDim
		} else if c.Heads > 0 {
			c.HeadDim = c.Width / c.Heads
		}
		if c.Epsilon == 0 {
			c.Epsilon = 1e-6
		}
		c.RoPETheta = hf.RopeTheta
		if hf.Rope != nil {
			if hf.Rope.Type != "" && hf.Rope.Type != "default" {
				return fail("rope_parameters.rope_type is %q; alma has %q", hf.Rope.Type, "default")
			}
			c.RoPETheta = hf.Rope.Theta
		}
		if c.RoPETheta == 0 {
			c.RoPETheta = 10000
		}
		for i, kind := range hf.LayerTypes {
			if kind != "full_attention" {
				return fail("layer_types[%d] is %q; alma has %q", i, kind, "full_attention")
			}
		}
	}
	if hf.Tied != nil {
		c.Tied = *hf.Tied
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}

func checkKeys(raw map[string]json.RawMessage, rules map[string]keyRule) error {
	keys := make([]string, 0, len(raw))
	for key := range raw {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		rule, ok := rules[key]
		if !ok {
			if neutralKeys[key] {
				continue
			}
			return fmt.Errorf("key %q asks for something that alma does not have (its value is %s)", key, abbreviate(raw[key]))
		}
		if len(rule.allowed) == 0 {
			continue
		}
		value := string(bytes.TrimSpace(raw[key]))
		found := false
		for _, a := range rule.allowed {
			found = found || a == value
		}
		if !found {
			return fmt.Errorf("key %q is %s; alma computes only %v", key, abbreviate(raw[key]), rule.allowed)
		}
	}
	return nil
}

func abbreviate(text json.RawMessage) string {
	if len(text) > 60 {
		return string(text[:60]) + "…"
	}
	return string(text)
}

func orMinusOne(id *int) int {
	if id == nil {
		return -1
	}
	return *id
}

// MarshalConfig writes the config.json of a Config.
func MarshalConfig(c Config) ([]byte, error) {
	id := func(id int) any {
		if id < 0 {
			return nil
		}
		return id
	}
	m := map[string]any{
		"architectures":       []string{architectures[c.Family][c.Head]},
		"model_type":          string(c.Family),
		"dtype":               "float32",
		"vocab_size":          c.Vocabulary,
		"initializer_range":   c.InitRange,
		"tie_word_embeddings": c.Tied,
		"bos_token_id":        id(c.BOS),
		"eos_token_id":        id(c.EOS),
		"pad_token_id":        id(c.Pad),
		"use_cache":           true,
	}
	if c.Head == Scalar {
		m["num_labels"] = 1
		m["id2label"] = map[string]string{"0": "LABEL_0"}
		m["label2id"] = map[string]int{"LABEL_0": 0}
	}
	if c.Family == GPT2 {
		m["n_positions"], m["n_embd"], m["n_layer"], m["n_head"] = c.Context, c.Width, c.Layers, c.Heads
		m["n_inner"], m["layer_norm_epsilon"], m["activation_function"] = c.FeedForward, c.Epsilon, "gelu_new"
		m["attn_pdrop"], m["embd_pdrop"], m["resid_pdrop"] = 0, 0, 0
	} else {
		m["max_position_embeddings"], m["hidden_size"], m["num_hidden_layers"] = c.Context, c.Width, c.Layers
		m["num_attention_heads"], m["num_key_value_heads"], m["head_dim"] = c.Heads, c.KVHeads, c.HeadDim
		m["intermediate_size"], m["rms_norm_eps"], m["hidden_act"] = c.FeedForward, c.Epsilon, "silu"
		m["rope_parameters"] = map[string]any{"rope_theta": c.RoPETheta, "rope_type": "default"}
		m["attention_bias"], m["attention_dropout"] = false, 0
		if c.Family == Llama {
			m["mlp_bias"] = false
		} else {
			m["use_sliding_window"], m["sliding_window"] = false, nil
		}
	}
	return marshalIndented(m)
}

// MarshalGenerationConfig writes generation_config.json: which tokens end a
// text, and the sampling that the model is meant for.
func MarshalGenerationConfig(c Config, eos []int, temperature float64) ([]byte, error) {
	m := map[string]any{"do_sample": temperature > 0, "use_cache": true}
	if temperature > 0 {
		m["temperature"] = temperature
	}
	if c.BOS >= 0 {
		m["bos_token_id"] = c.BOS
	}
	switch len(eos) {
	case 0:
	case 1:
		m["eos_token_id"] = eos[0]
	default:
		m["eos_token_id"] = eos
	}
	if c.Pad >= 0 {
		m["pad_token_id"] = c.Pad
	}
	return marshalIndented(m)
}

func marshalIndented(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding JSON: %w", err)
	}
	return append(data, '\n'), nil
}

// finite reports whether all numbers are.
func finite(values []float32) bool {
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}
