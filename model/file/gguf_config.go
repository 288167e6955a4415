package file

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/model"
)

// ggufSizes are sizes below the architecture's name with their keys in
// config.json.
type ggufSizes []struct{ key, config string }

var (
	gpt2Sizes = ggufSizes{
		{"block_count", "n_layer"}, {"context_length", "n_positions"}, {"embedding_length", "n_embd"},
		{"feed_forward_length", "n_inner"}, {"attention.head_count", "n_head"},
	}
	llamaSizes = ggufSizes{
		{"block_count", "num_hidden_layers"}, {"context_length", "max_position_embeddings"}, {"embedding_length", "hidden_size"},
		{"feed_forward_length", "intermediate_size"}, {"attention.head_count", "num_attention_heads"},
	}
)

// The keys of the norms' epsilon.
const (
	layerEpsilon = "attention.layer_norm_epsilon"
	rmsEpsilon   = "attention.layer_norm_rms_epsilon"
)

// Every key below an architecture's name belongs to one of three groups, as those of
// config.json do (keys.go). The keys are those of ggml's docs/gguf.md and of gguf-py
// 0.19; what is in no group is refused by name, or let pass by Accept.

// ggufKeys are the further keys below an architecture's name that are read or
// change nothing.
var ggufKeys = []string{
	"vocab_size", "attention.head_count_kv", "attention.key_length", "attention.value_length",
	"rope.dimension_count", "rope.freq_base", "rope.freq_base_swa", "rope.scale_linear",
	"rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.finetuned",
	"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
	"attention.sliding_window", "attention.sliding_window_pattern", "pooling_type",
}

// ggufFixed are keys with the values that are computed.
var ggufFixed = map[string][]any{
	"expert_count": {0}, "expert_used_count": {0}, "expert_shared_count": {0}, "expert_group_count": {0}, "expert_group_used_count": {0},
	"expert_feed_forward_length": {0}, "expert_shared_feed_forward_length": {0}, "leading_dense_block_count": {0}, "nextn_predict_layers": {0},
	"interleave_moe_layer_step": {0}, "moe_every_n_layers": {0}, "n_deepstack_layers": {0}, "embedding_length_per_layer_input": {0},
	"attention.causal": {true}, "attention.max_alibi_bias": {0}, "attention.clamp_kqv": {0}, "attention.scale": {0}, "attention.shared_kv_layers": {0},
	"attention.temperature_length": {0}, "attention.temperature_scale": {0},
	"attn_logit_softcapping": {0}, "final_logit_softcapping": {0}, "router_logit_softcapping": {0}, "use_parallel_residual": {false}, "swin_norm": {false},
	"logit_scale": {0, 1}, "residual_scale": {0, 1}, "embedding_scale": {0, 1},
	"rope.scaling.yarn_ext_factor": {1}, "rope.scaling.yarn_log_multiplier": {0}, "rope.scaling.alpha": {0, 1},
	// How the converters of 2023 said that rows of queries and keys stand in pairs, as
	// those of llama always do.
	"tensor_data_layout": {"reference", "Meta AI original pth"},
}

// sameValue compares what a file holds with a value of ggufFixed, whatever the type
// of the number.
func sameValue(value, want any) bool {
	if number, ok := want.(int); ok {
		v := reflect.ValueOf(value)
		switch {
		case v.CanInt():
			return v.Int() == int64(number)
		case v.CanUint():
			return v.Uint() == uint64(number)
		case v.CanFloat():
			return v.Float() == float64(number)
		}
		return false
	}
	return value == want
}

// The keys under which alma writes the numbers of Llama 3's scaling, of which
// the format has only the tensor rope_freqs.weight. Other readers ignore them.
const (
	ropeFactorKey   = "alma.rope.scaling.factor"
	ropeLowKey      = "alma.rope.scaling.low_freq_factor"
	ropeHighKey     = "alma.rope.scaling.high_freq_factor"
	ropeOriginalKey = "alma.rope.scaling.original_context_length"
)

// ggufDefaultPattern is Gemma 3's: of every six layers the last has no window.
const ggufDefaultPattern = 6

// configOfGGUF makes the configuration that a GGUF file's metadata describe: it
// writes them as a config.json, which is read as any other.
func configOfGGUF(file *gguf.File) (model.Config, *ggufArchitecture, error) {
	architecture, err := file.Text("general.architecture")
	if err != nil {
		return model.Config{}, nil, err
	}
	i := slices.IndexFunc(ggufArchitectures, func(a *ggufArchitecture) bool { return a.name == architecture })
	if i < 0 {
		var names []string
		for _, a := range ggufArchitectures {
			names = append(names, a.name)
		}
		return model.Config{}, nil, artifact.Errorf(artifact.ErrUsage, "reading %s: general.architecture is %q, which alma does not have; it has %s", file.Name(), architecture, strings.Join(names, ", "))
	}
	a := ggufArchitectures[i]
	r := &ggufReader{file: file, a: a, config: map[string]any{"model_type": a.family}}
	if err := r.read(); err != nil {
		return model.Config{}, nil, err
	}
	data, err := json.Marshal(r.config)
	if err != nil {
		return model.Config{}, nil, fmt.Errorf("reading %s: %w", file.Name(), err)
	}
	c, err := ParseConfig(file.Name(), data)
	return c, a, err
}

// A ggufReader fills the keys of a config.json.
type ggufReader struct {
	file   *gguf.File
	a      *ggufArchitecture
	config map[string]any
	err    error // the first
}

func (r *ggufReader) refuse(format string, args ...any) error {
	return artifact.Errorf(artifact.ErrUsage, "reading %s: %s", r.file.Name(), fmt.Sprintf(format, args...))
}

func (r *ggufReader) key(key string) string { return r.a.name + "." + key }

// number reads a whole number below the architecture's name.
func (r *ggufReader) number(key string) int {
	n, err := r.file.Int(r.key(key))
	r.note(err)
	return n
}

// float reads a floating-point number as the shortest decimal that is it in
// float32: metadata are float32, and config.json's 1e-5 comes back as it was.
func (r *ggufReader) float(key string) float64 {
	v, err := r.file.Float(key)
	r.note(err)
	return shortest(v)
}

func shortest(v float64) float64 {
	if float64(float32(v)) == v {
		if short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64); err == nil {
			return short
		}
	}
	return v
}

func (r *ggufReader) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *ggufReader) has(key string) bool { return r.file.Has(r.key(key)) }

func (r *ggufReader) read() error {
	if err := r.checkKeys(); err != nil {
		return err
	}
	for _, size := range r.a.sizes {
		r.config[size.config] = r.number(size.key)
	}
	epsilon := r.float(r.key(r.a.epsilon))
	if r.a.epsilon == layerEpsilon {
		r.config["layer_norm_epsilon"] = epsilon
	} else {
		r.config["rms_norm_eps"] = epsilon
	}
	embedding, ok := r.file.Tensor("token_embd.weight")
	if !ok || len(embedding.Shape) != 2 {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: tensor %q, of shape [vocabulary, width], is missing; fetch or convert the model again", r.file.Name(), "token_embd.weight")
	}
	r.config["vocab_size"] = embedding.Shape[0]
	_, untied := r.file.Tensor("output.weight")
	r.config["tie_word_embeddings"] = !untied
	for key, name := range map[string]string{"bos": "bos_token_id", "eos": "eos_token_id", "padding": "pad_token_id"} {
		if full := "tokenizer.ggml." + key + "_token_id"; r.file.Has(full) {
			id, err := r.file.Int(full)
			r.note(err)
			r.config[name] = id
		}
	}
	if r.err != nil {
		return r.err
	}
	if layers := r.number("block_count"); layers > len(r.file.Tensors()) {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: it holds %d tensors, too few for the %d layers of %s", r.file.Name(), len(r.file.Tensors()), layers, r.key("block_count"))
	}
	if r.has("vocab_size") {
		if n := r.number("vocab_size"); r.err == nil && n != embedding.Shape[0] {
			return artifact.Errorf(artifact.ErrCorrupt, "reading %s: %s is %d and tensor token_embd.weight has shape %v", r.file.Name(), r.key("vocab_size"), n, embedding.Shape)
		}
	}
	heads, width := r.number("attention.head_count"), r.number("embedding_length")
	if heads == 0 {
		return r.refuse("%s is 0", r.key("attention.head_count"))
	}
	kv := heads
	if r.has("attention.head_count_kv") {
		kv = r.number("attention.head_count_kv")
	}
	head := width / heads
	if r.has("attention.key_length") {
		head = r.number("attention.key_length")
	}
	for _, key := range []string{"attention.value_length", "rope.dimension_count"} {
		if r.has(key) {
			if n := r.number(key); n != head {
				return r.refuse("%s is %d; alma computes only the size of a head, %d", r.key(key), n, head)
			}
		}
	}
	if r.a.family == model.GPT2 {
		if kv != heads || head*heads != width {
			return r.refuse("gpt2 has as many key-value heads as heads, which together are as wide as the embedding; found %d, %d of size %d, and %d", kv, heads, head, width)
		}
		return r.err
	}
	r.config["num_key_value_heads"], r.config["head_dim"] = kv, head
	if r.a.family == model.Llama {
		_, r.config["attention_bias"] = r.file.Tensor("blk.0.attn_q.bias")
		_, r.config["mlp_bias"] = r.file.Tensor("blk.0.ffn_gate.bias")
	}
	if err := r.windows(head, heads, width); err != nil {
		return err
	}
	if err := r.rope(head); err != nil {
		return err
	}
	return r.err
}

// checkKeys refuses keys of the architecture, and facts about the whole file,
// that ask for what is not computed.
func (r *ggufReader) checkKeys() error {
	for _, e := range r.file.Entries() {
		switch key, ok := strings.CutPrefix(e.Key, r.a.name+"."); {
		case e.Key == "general.type" && e.Value != "model":
			return r.refuse("general.type is %v; alma reads files of type %q", e.Value, "model")
		case e.Key == "split.count":
			if n, err := r.file.Int(e.Key); err != nil || n > 1 {
				return r.refuse("split.count is %v: the model is spread over several files; give a path of one beside the others", e.Value)
			}
		case !ok, slices.Contains(ggufKeys, key), key == r.a.epsilon, slices.ContainsFunc(r.a.sizes, func(size struct{ key, config string }) bool { return size.key == key }):
		default:
			want, known := ggufFixed[key]
			switch {
			case !known && accepted(e.Key):
			case !known:
				return r.refuse("metadata entry %q is not one that alma knows (its value is %v); if it changes nothing that the model computes, open it with --accept-keys %s", e.Key, e.Value, e.Key)
			case !slices.ContainsFunc(want, func(w any) bool { return sameValue(e.Value, w) }), key == "tensor_data_layout" && e.Value != "reference" && !r.a.permuted:
				return r.refuse("metadata entry %q is %v; alma computes only %s", e.Key, e.Value, strings.Trim(fmt.Sprint(want), "[]"))
			}
		}
	}
	return nil
}

// windows reads which layers see only the last positions.
func (r *ggufReader) windows(head, heads, width int) error {
	window := 0
	if r.has("attention.sliding_window") {
		window = r.number("attention.sliding_window")
	}
	if r.a.family != model.Gemma3 {
		if window > 0 && window < r.number("context_length") {
			return r.refuse("metadata entry %q is %d; the architecture %s has no window", r.key("attention.sliding_window"), window, r.a.name)
		}
		return r.err
	}
	layers := r.number("block_count")
	r.config["query_pre_attn_scalar"] = ggufQueryScalar(layers, head, heads, width)
	types := make([]string, layers)
	pattern := ggufDefaultPattern
	value, _ := r.file.Value(r.key("attention.sliding_window_pattern"))
	listed, isList := value.([]bool)
	switch {
	case isList && len(listed) != layers:
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: %s has %d entries for %d layers", r.file.Name(), r.key("attention.sliding_window_pattern"), len(listed), layers)
	case value != nil && !isList:
		if pattern = r.number("attention.sliding_window_pattern"); pattern == 0 {
			pattern = 1 // llama.cpp's 0: no window
		}
	}
	for i := range types {
		windowed := (i+1)%pattern != 0
		if isList {
			windowed = listed[i]
		}
		types[i] = "full_attention"
		if windowed && window > 0 {
			types[i] = "sliding_attention"
		}
	}
	r.config["layer_types"] = types
	if window > 0 {
		r.config["sliding_window"] = window
	}
	return r.err
}

// ggufQueryScalar is what llama.cpp takes the root of for a Gemma 3's scores:
// the size of a head, and of the largest model, which it knows by its layers,
// width over heads.
func ggufQueryScalar(layers, head, heads, width int) int {
	if layers == 62 {
		return width / heads
	}
	return head
}

// rope reads the rotary frequencies.
func (r *ggufReader) rope(head int) error {
	theta, local := 10000., 10000. // llama.cpp's, where a file is silent
	if r.has("rope.freq_base") {
		theta = r.float(r.key("rope.freq_base"))
	}
	if r.has("rope.freq_base_swa") {
		local = r.float(r.key("rope.freq_base_swa"))
	}
	parameters := map[string]any{"rope_type": "default", "rope_theta": theta}
	kind := "none"
	if r.has("rope.scaling.type") {
		text, err := r.file.Text(r.key("rope.scaling.type"))
		if err != nil {
			return err
		}
		kind = text
	} else if r.has("rope.scaling.factor") || r.has("rope.scale_linear") {
		kind = "linear"
	}
	switch kind {
	case "none":
	case "linear":
		key := r.key("rope.scaling.factor")
		if !r.has("rope.scaling.factor") {
			key = r.key("rope.scale_linear")
		}
		parameters["rope_type"], parameters["factor"] = "linear", r.float(key)
	case "yarn":
		r.yarn(parameters)
	default:
		return r.refuse("%s is %q; alma computes %q, %q, %q and the factors of %s", r.key("rope.scaling.type"), kind, "none", "linear", "yarn", ropeFactors)
	}
	if _, ok := r.file.Tensor(ropeFactors); ok {
		if kind != "none" {
			return r.refuse("it has tensor %q beside %s %q; alma computes one of both", ropeFactors, r.key("rope.scaling.type"), kind)
		}
		if err := r.llama3(parameters, theta, head); err != nil {
			return err
		}
	}
	if r.a.family == model.Gemma3 {
		r.config["rope_parameters"] = map[string]any{
			"full_attention":    parameters,
			"sliding_attention": map[string]any{"rope_type": "default", "rope_theta": local},
		}
	} else {
		r.config["rope_parameters"] = parameters
	}
	return r.err
}

// yarn reads YaRN's numbers. llama.cpp multiplies what the paper says of the
// attention factor by the file's, which is 1 where it does not say.
func (r *ggufReader) yarn(parameters map[string]any) {
	factor := r.float(r.key("rope.scaling.factor"))
	parameters["rope_type"], parameters["factor"] = "yarn", factor
	if r.has("rope.scaling.original_context_length") {
		parameters["original_max_position_embeddings"] = r.number("rope.scaling.original_context_length")
	}
	for key, name := range map[string]string{"rope.scaling.yarn_beta_fast": "beta_fast", "rope.scaling.yarn_beta_slow": "beta_slow"} {
		if r.has(key) {
			parameters[name] = r.float(r.key(key))
		}
	}
	attention := 1.0
	for _, key := range yarnAttentionKeys {
		if r.has(key) {
			attention *= r.float(r.key(key))
		}
	}
	if attention != 1 {
		parameters["attention_factor"] = attention * model.YaRNAttention(factor)
	}
}

// yarnAttentionKeys are the keys of what the attention factor is multiplied by; the
// first is the one that is written.
var yarnAttentionKeys = []string{"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"}

// llama3 finds the numbers of Llama 3's scaling that give the factors in the
// file: those that alma wrote beside them, or those of Llama 3.1 to 3.3, whose
// factor is the largest of the tensor.
func (r *ggufReader) llama3(parameters map[string]any, theta float64, head int) error {
	info, _ := r.file.Tensor(ropeFactors)
	if info.Elements() != head/2 {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: tensor %q has shape %v, the metadata ask for [%d]", r.file.Name(), ropeFactors, info.Shape, head/2)
	}
	found, err := r.file.Float32(ropeFactors)
	if err != nil {
		return err
	}
	s := model.RoPEScaling{Type: "llama3", Factor: float64(slices.Max(found)), LowFactor: 1, HighFactor: 4, Original: 8192}
	if r.file.Has(ropeFactorKey) {
		s.Factor, s.LowFactor, s.HighFactor = r.float(ropeFactorKey), r.float(ropeLowKey), r.float(ropeHighKey)
		s.Original, err = r.file.Int(ropeOriginalKey)
		r.note(err)
	}
	if r.err != nil {
		return r.err
	}
	for i, want := range divisors(s, theta, head) {
		if !(math.Abs(float64(want-found[i])) <= 1e-4*float64(want)) {
			return r.refuse("tensor %q divides frequency %d by %g, Llama 3's scaling of factor %g by %g; alma computes only that", ropeFactors, i, found[i], s.Factor, want)
		}
	}
	parameters["rope_type"], parameters["factor"] = s.Type, s.Factor
	parameters["low_freq_factor"], parameters["high_freq_factor"] = s.LowFactor, s.HighFactor
	parameters["original_max_position_embeddings"] = s.Original
	return nil
}

// divisors is what the scaling divides each of the dim/2 frequencies by.
func divisors(s model.RoPEScaling, theta float64, dim int) []float32 {
	plain, scaled := model.RoPEScaling{}.Frequencies(theta, dim), s.Frequencies(theta, dim)
	divisors := make([]float32, len(plain))
	for i := range divisors {
		divisors[i] = float32(plain[i] / scaled[i])
	}
	return divisors
}
