package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
)

// What PEFT's adapter_config.json says: which modules are adapted, with what rank and
// scale. What it asks for and alma does not compute is refused by its key. The rules
// are those of PEFT 0.21.2, check_target_module_exists in tuners/tuners_utils.py and
// get_pattern_key in utils/other.py; modules are named as in the model that PEFT
// wraps ("model.layers.0.self_attn.q_proj").

// AdapterConfig is what an adapter_config.json says.
type AdapterConfig struct {
	Base  string   // the model that it was trained on, as the file names it
	Whole []string // modules that were trained whole; one that ends with such a name is
	Task  string   // PEFT's name of the head that the model had; "": not told

	// A module's product is scaled by alpha/rank, stabilized by alpha/√rank
	// (Kalajdzievski 2023, section 3).
	rank       int
	alpha      float64
	stabilized bool
	ranks      []override // of modules that differ; the first that matches is taken
	alphas     []override

	targets  moduleSet // nothing: the family's standard ones
	excluded moduleSet
	layers   []int            // the layers to which a list of targets is limited; nil: all
	layersAt []*regexp.Regexp // finds a layer's number in a module's name
	whole    []*regexp.Regexp // modules that are trained whole, or lie in one that is

	bias   string         // "none", "lora_only" (of adapted modules), "all"
	tied   bool           // an embedding that is trained whole stays the head's
	tokens []trainedToken // rows of embeddings that were trained alone
}

// override is an entry of rank_pattern or alpha_pattern.
type override struct {
	module *regexp.Regexp
	value  float64
}

// trainedToken is an entry of trainable_token_indices: a module, by what its name
// ends with, and rows of it. An empty name is the embedding.
type trainedToken struct {
	module string
	ids    []int
}

// moduleSet names modules: by their names or what these end with, behind a dot; by
// an expression that must match the whole name; or all linear ones but the head.
type moduleSet struct {
	given  bool // else a configuration does not say
	names  []string
	whole  *regexp.Regexp
	linear bool
}

// matches tells whether a module is in the set, and whether by its full name.
func (s moduleSet) matches(module string) (in, exact bool) {
	if s.whole != nil {
		return s.whole.MatchString(module), false
	}
	if slices.Contains(s.names, module) {
		return true, true
	}
	return slices.ContainsFunc(s.names, func(name string) bool { return strings.HasSuffix(module, "."+name) }), false
}

// standardTargets are what PEFT adapts where a configuration names nothing.
func standardTargets(f model.Family) []string {
	switch f {
	case model.GPT2:
		return []string{"c_attn"}
	case model.BERT:
		return []string{"query", "value"}
	}
	return []string{"q_proj", "v_proj"}
}

// trainsWhole tells whether a module, or one that it lies in, was trained whole.
func (c *AdapterConfig) trainsWhole(module string) bool {
	for end := range len(module) + 1 {
		if end < len(module) && module[end] != '.' {
			continue
		}
		part := module[:end]
		if slices.ContainsFunc(c.Whole, func(name string) bool { return strings.HasSuffix(part, name) }) {
			return true
		}
	}
	return false
}

// adapts tells whether a module of a model has an adapter. linear says that it is
// none of the embeddings, head that it makes the model's outputs.
func (c *AdapterConfig) adapts(f model.Family, module string, linear, head bool) bool {
	matches := func(e *regexp.Regexp) bool { return e.MatchString(module) }
	if out, _ := c.excluded.matches(module); out || slices.ContainsFunc(c.whole, matches) {
		return false
	}
	targets := c.targets
	switch {
	case targets.linear:
		return linear && !head
	case !targets.given:
		targets.names = standardTargets(f)
	}
	in, exact := targets.matches(module)
	if !in || exact || targets.whole != nil || c.layers == nil {
		return in
	}
	for _, at := range c.layersAt {
		if found := at.FindStringSubmatch(module); found != nil {
			layer, err := strconv.Atoi(found[at.SubexpIndex("idx")])
			return err == nil && slices.Contains(c.layers, layer)
		}
	}
	return false
}

// of gives the rank of a module's adapter and what its product is multiplied by.
func (c *AdapterConfig) of(module string) (rank int, scale float64) {
	pick := func(list []override, standard float64) float64 {
		for _, one := range list {
			if one.module.MatchString(module) {
				return one.value
			}
		}
		return standard
	}
	rank = int(pick(c.ranks, float64(c.rank)))
	scale = pick(c.alphas, c.alpha) / float64(rank)
	if c.stabilized {
		scale = pick(c.alphas, c.alpha) / math.Sqrt(float64(rank))
	}
	return rank, scale
}

// peftKeys are the keys that an AdapterConfig is made of.
type peftKeys struct {
	Base       string          `json:"base_model_name_or_path"`
	Type       string          `json:"peft_type"`
	Task       string          `json:"task_type"`
	Rank       int             `json:"r"`
	Alpha      float64         `json:"lora_alpha"`
	Stabilized bool            `json:"use_rslora"`
	Ranks      json.RawMessage `json:"rank_pattern"`
	Alphas     json.RawMessage `json:"alpha_pattern"`
	Init       json.RawMessage `json:"init_lora_weights"`
	Targets    json.RawMessage `json:"target_modules"`
	Excluded   json.RawMessage `json:"exclude_modules"`
	Layers     json.RawMessage `json:"layers_to_transform"`
	LayersAt   json.RawMessage `json:"layers_pattern"`
	Whole      []string        `json:"modules_to_save"`
	Bias       string          `json:"bias"`
	Tied       bool            `json:"ensure_weight_tying"`
	Tokens     json.RawMessage `json:"trainable_token_indices"`
}

// peftRead are the keys of peftKeys, and those that change nothing once an adapter is
// trained: they say how it was. Whether a weight is stored [in, out]
// (fan_in_fan_out) the model itself says; the configurations of ways to begin speak
// where init_lora_weights does, which is looked at.
var peftRead = map[string]bool{
	"base_model_name_or_path": true, "peft_type": true, "r": true, "lora_alpha": true, "use_rslora": true,
	"rank_pattern": true, "alpha_pattern": true, "init_lora_weights": true, "task_type": true,
	"target_modules": true, "exclude_modules": true, "layers_to_transform": true, "layers_pattern": true,
	"modules_to_save": true, "bias": true, "ensure_weight_tying": true, "trainable_token_indices": true,

	"fan_in_fan_out": true, "inference_mode": true, "lora_dropout": true, "revision": true,
	"auto_mapping": true, "peft_version": true, "megatron_core": true, "runtime_config": true,
	"ephemeral_gpu_offload": true, "qalora_group_size": true,
	"loftq_config": true, "eva_config": true, "corda_config": true, "lora_ga_config": true,
}

// peftBegins are the values of init_lora_weights that leave the base's weights as
// they are.
var peftBegins = []string{"true", "false", `"gaussian"`, `"eva"`, `"orthogonal"`, `"mica"`}

// mergeElsewhere is the remedy for an adapter of a kind that alma does not have.
const mergeElsewhere = "merge it with PEFT (merge_and_unload) and give the merged model"

// peftEmpty tells whether a key that alma does not have asks for nothing.
func peftEmpty(value json.RawMessage) bool {
	switch string(bytes.TrimSpace(value)) {
	case "null", "false", "{}", "[]", `""`, `"none"`:
		return true
	}
	return false
}

// ParseAdapterConfig reads PEFT's adapter_config.json. The path appears in
// errors.
func ParseAdapterConfig(path string, data []byte) (AdapterConfig, error) {
	fail := func(format string, args ...any) (AdapterConfig, error) {
		return AdapterConfig{}, artifact.Errorf(artifact.ErrUsage, "reading %s: %s", path, fmt.Sprintf(format, args...))
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return AdapterConfig{}, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	var k peftKeys
	if err := json.Unmarshal(data, &k); err != nil {
		return fail("%v", err)
	}
	// First of all: another method's keys are none of alma's either.
	if k.Type != "LORA" {
		return fail("peft_type is %q; alma has LORA: %s", k.Type, mergeElsewhere)
	}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if !peftRead[key] && !peftEmpty(raw[key]) {
			return fail("key %q asks for something that alma does not have (its value is %s): %s", key, abbreviate(raw[key]), mergeElsewhere)
		}
	}
	// The others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) change the base's weights as they
	// begin. PEFT writes true where it converted the adapter back to the base's own.
	if given(k.Init) && !slices.Contains(peftBegins, strings.ToLower(string(k.Init))) {
		return fail("key %q is %s, after which the adapter belongs to changed weights; alma has those that begin as true, false, gaussian, eva, orthogonal and mica: save it with PEFT's path_initial_model_for_weight_conversion, or %s",
			"init_lora_weights", abbreviate(k.Init), mergeElsewhere)
	}
	c, err := k.config()
	if err != nil {
		return fail("%v", err)
	}
	return c, nil
}

// config checks the values of the keys.
func (k *peftKeys) config() (c AdapterConfig, err error) {
	c = AdapterConfig{Base: k.Base, Task: k.Task, Whole: k.Whole, rank: k.Rank, alpha: k.Alpha, stabilized: k.Stabilized, bias: k.Bias, tied: k.Tied}
	if _, ok := rankOf(float64(k.Rank)); !ok {
		return c, fmt.Errorf("key %q is %d; want a rank of 1 to %d", "r", k.Rank, model.MaxSize)
	}
	if c.bias == "" {
		c.bias = "none"
	}
	if !slices.Contains([]string{"none", "all", "lora_only"}, c.bias) {
		return c, fmt.Errorf("key %q is %q; want none, all or lora_only", "bias", c.bias)
	}
	if c.ranks, err = overrides("rank_pattern", k.Ranks); err != nil {
		return c, err
	}
	for _, one := range c.ranks {
		if _, ok := rankOf(one.value); !ok {
			return c, fmt.Errorf("key %q gives %v; want ranks of 1 to %d", "rank_pattern", one.value, model.MaxSize)
		}
	}
	if c.alphas, err = overrides("alpha_pattern", k.Alphas); err != nil {
		return c, err
	}
	if c.targets, err = modules("target_modules", k.Targets); err != nil {
		return c, err
	}
	if c.excluded, err = modules("exclude_modules", k.Excluded); err != nil {
		return c, err
	}
	if c.excluded.linear {
		return c, fmt.Errorf("key %q is %q, which target_modules alone may be", "exclude_modules", model.AllLinear)
	}
	for _, name := range k.Whole {
		e, err := pythonExpression("modules_to_save", `(?:^|.*\.)`, name, `(?:$|\..*)`)
		if err != nil {
			return c, err
		}
		c.whole = append(c.whole, e)
	}
	if err := k.limit(&c); err != nil {
		return c, err
	}
	if given(k.Tokens) {
		if c.tokens, err = trainedTokens(k.Tokens); err != nil {
			return c, err
		}
	}
	return c, nil
}

// limit reads which layers the targets are limited to.
func (k *peftKeys) limit(c *AdapterConfig) error {
	if !given(k.Layers) {
		return nil
	}
	var one int
	if json.Unmarshal(k.Layers, &one) == nil {
		c.layers = []int{one}
	} else if err := json.Unmarshal(k.Layers, &c.layers); err != nil {
		return fmt.Errorf("key %q is %s; want numbers of layers", "layers_to_transform", abbreviate(k.Layers))
	}
	if len(c.layers) == 0 { // no limit
		c.layers = nil
		return nil
	}
	if c.targets.whole != nil || c.targets.linear {
		return fmt.Errorf("key %q limits a list of target_modules, and these are %s", "layers_to_transform", abbreviate(k.Targets))
	}
	patterns, err := modules("layers_pattern", k.LayersAt)
	if err != nil {
		return err
	}
	if patterns.whole != nil || patterns.linear { // one pattern as text
		var text string
		if err := json.Unmarshal(k.LayersAt, &text); err != nil {
			return err
		}
		patterns.names = []string{text}
	}
	if len(patterns.names) == 0 {
		c.layersAt = []*regexp.Regexp{regexp.MustCompile(`^.*?\.[^.]*\.(?P<idx>\d+)\.`)}
	}
	for _, pattern := range patterns.names {
		e, err := pythonExpression("layers_pattern", `^(?:|.*?\.)`, pattern, `\.(?P<idx>\d+)\.`)
		if err != nil {
			return err
		}
		c.layersAt = append(c.layersAt, e)
	}
	return nil
}

// rankOf is a number as a rank, if it is one.
func rankOf(v float64) (int, bool) {
	if v != math.Trunc(v) || v < 1 || v > model.MaxSize {
		return 0, false
	}
	return int(v), true
}

// modules reads a list of names, or an expression.
func modules(key string, text json.RawMessage) (s moduleSet, err error) {
	if s.given = given(text); !s.given {
		return s, nil
	}
	var one string
	if json.Unmarshal(text, &one) == nil {
		switch {
		case strings.EqualFold(one, model.AllLinear):
			s.linear = true
		default:
			s.whole, err = pythonExpression(key, "^", one, "$")
		}
		return s, err
	}
	if err := json.Unmarshal(text, &s.names); err != nil {
		return s, fmt.Errorf("%s is %s, want names of modules", key, abbreviate(text))
	}
	return s, nil
}

// overrides reads rank_pattern or alpha_pattern in the order of the file, which
// decides where several match.
func overrides(key string, text json.RawMessage) (list []override, err error) {
	if !given(text) {
		return nil, nil
	}
	wrong := fmt.Errorf("key %q is %s; want numbers by expressions for modules", key, abbreviate(text))
	var values map[string]float64
	if json.Unmarshal(text, &values) != nil {
		return nil, wrong
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, wrong
	}
	seen := make(map[string]bool)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, wrong
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, wrong
		}
		pattern, _ := name.(string)
		if seen[pattern] { // a key that stands twice: its place is the first, its value the last
			continue
		}
		seen[pattern] = true
		e, err := pythonExpression(key, `^(?:.*\.)?`, pattern, `$`)
		if err != nil {
			return nil, err
		}
		list = append(list, override{e, values[pattern]})
	}
	return list, nil
}

// trainedTokens reads trainable_token_indices: rows of the embedding, or rows by
// modules.
func trainedTokens(text json.RawMessage) ([]trainedToken, error) {
	var ids []int
	if json.Unmarshal(text, &ids) == nil {
		return []trainedToken{{ids: ids}}, nil
	}
	var by map[string][]int
	if err := json.Unmarshal(text, &by); err != nil {
		return nil, fmt.Errorf("key %q is %s; want ids of tokens, or ids by modules", "trainable_token_indices", abbreviate(text))
	}
	var list []trainedToken
	for _, module := range slices.Sorted(maps.Keys(by)) {
		list = append(list, trainedToken{module, by[module]})
	}
	return list, nil
}

// pythonExpression compiles an expression of Python's re between two parts of ours. What
// Go's regexp lacks (lookaround, references back) is refused with the key.
func pythonExpression(key, before, pattern, after string) (*regexp.Regexp, error) {
	text, err := fromPython(pattern)
	if err != nil {
		return nil, fmt.Errorf("key %q has the expression %q: %w", key, pattern, err)
	}
	if _, err := regexp.Compile(text); err != nil { // alone, so that it cannot close our group
		return nil, fmt.Errorf("key %q has the expression %q, which alma cannot follow: %w; name the modules in a list", key, pattern, err)
	}
	return regexp.Compile(before + "(?:" + text + ")" + after)
}

// fromPython writes an expression of Python's as Go reads it. The two differ, where
// both accept it, in {,n}, which Go takes for text, and in [[:name:]], which Python
// takes for characters. Names of modules are ASCII without line breaks: the classes and
// anchors mean the same.
func fromPython(pattern string) (string, error) {
	var out strings.Builder
	class := -1 // where the class that is open begins
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			if pattern[i+1] == 'Z' && class < 0 {
				out.WriteString(`\z`)
			} else {
				out.WriteString(pattern[i : i+2])
			}
			i++
			continue
		case class >= 0:
			first := i == class+1 || i == class+2 && pattern[class+1] == '^'
			if c == '[' && i+1 < len(pattern) && pattern[i+1] == ':' {
				return "", fmt.Errorf("[: within a class means other things to Python and to Go; write the characters")
			}
			if c == ']' && !first {
				class = -1
			}
		case c == '[':
			class = i
		case c == '{' && i+1 < len(pattern) && pattern[i+1] == ',':
			if end := strings.IndexByte(pattern[i:], '}'); end >= 2 && strings.Trim(pattern[i+2:i+end], "0123456789") == "" {
				out.WriteString("{0")
				continue
			}
		}
		out.WriteByte(pattern[i])
	}
	return out.String(), nil
}
