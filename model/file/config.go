package file

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
)

// The door to Hugging Face's config.json. keys.go says which keys there are.

// commonKeys are the keys of config.json that every family has.
type commonKeys struct {
	ModelType     string            `json:"model_type"`
	Architectures []string          `json:"architectures"`
	Vocabulary    int               `json:"vocab_size"`
	Tied          *bool             `json:"tie_word_embeddings"`
	InitRange     float64           `json:"initializer_range"`
	BOS           *int              `json:"bos_token_id"`
	EOS           tokenIDs          `json:"eos_token_id"`
	Pad           *int              `json:"pad_token_id"`
	NumLabels     *int              `json:"num_labels"`
	Labels        map[string]string `json:"id2label"`
	Problem       *string           `json:"problem_type"`
}

// tokenIDs is one id, a list of them, or null.
type tokenIDs []int

func (t *tokenIDs) UnmarshalJSON(text []byte) error {
	var one *int
	if err := json.Unmarshal(text, &one); err == nil {
		*t = nil
		if one != nil {
			*t = tokenIDs{*one}
		}
		return nil
	}
	return json.Unmarshal(text, (*[]int)(t))
}

// ParseConfig reads a Hugging Face config.json. The path appears in errors.
func ParseConfig(path string, data []byte) (model.Config, error) {
	fail := func(format string, args ...any) (model.Config, error) {
		return model.Config{}, artifact.Errorf(artifact.ErrUsage, "reading %s: %s", path, fmt.Sprintf(format, args...))
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return model.Config{}, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	var common commonKeys
	if err := json.Unmarshal(data, &common); err != nil {
		return fail("%v", err)
	}
	family := model.Family(common.ModelType)
	if !slices.Contains(model.Families, family) {
		return fail("model_type %q is not a family that alma has; it has %v", common.ModelType, model.Families)
	}
	a := layoutOf(family)
	keys := a.keys()
	if err := json.Unmarshal(data, keys); err != nil {
		return fail("%v", err)
	}
	if err := checkKeys(raw, a.fixed(), keyNames(reflect.TypeOf(common)), keyNames(reflect.TypeOf(keys).Elem())); err != nil {
		return fail("%v", err)
	}
	c := model.Config{
		Family: family, Head: family.Heads()[0], Vocabulary: common.Vocabulary, InitRange: common.InitRange,
		BOS: orMinusOne(common.BOS), EOS: -1, Pad: orMinusOne(common.Pad),
	}
	if len(common.EOS) > 0 {
		c.EOS = common.EOS[0]
	}
	if len(common.EOS) > 1 {
		c.Ends = common.EOS
	}
	if c.InitRange == 0 {
		c.InitRange = 0.02
	}
	if err := common.setHead(&c, a); err != nil {
		return fail("%v", err)
	}
	if err := keys.set(&c); err != nil {
		return fail("%v", err)
	}
	if common.Tied != nil {
		c.Tied = *common.Tied
	}
	if err := c.Validate(); err != nil {
		return model.Config{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}

// setHead finds the head by the architecture's name, and the labels.
func (k *commonKeys) setHead(c *model.Config, a layout) error {
	if len(k.Architectures) > 1 {
		return fmt.Errorf("architectures names %d models, want one", len(k.Architectures))
	}
	if len(k.Architectures) == 1 {
		name := k.Architectures[0]
		switch name {
		case "BertForPreTraining": // a masked language model and a head that predicts the next sentence
			name = "BertForMaskedLM"
		case "LLaMAForCausalLM": // of the first conversions
			name = "LlamaForCausalLM"
		}
		found, all := false, []string(nil)
		for _, head := range c.Family.Heads() {
			all = append(all, a.names()[head])
			if !found && a.names()[head] == name {
				c.Head, found = head, true
			}
		}
		if !found {
			return fmt.Errorf("architectures names %q, which alma does not have; for %s it has %q", name, c.Family, slices.Compact(all))
		}
	}
	if c.Head != model.Scalar && c.Head != model.Classes {
		return nil
	}
	labels, err := k.labels()
	if err != nil {
		return err
	}
	// One number for each text is a reward, where there are rewards.
	_, scores := a.names()[model.Scalar]
	if c.Head = model.Classes; scores && len(labels) == 1 {
		c.Head = model.Scalar
		return nil
	}
	c.Labels = labels
	if k.Problem != nil && *k.Problem != singleLabel {
		c.Problem = *k.Problem
	}
	return nil
}

const singleLabel = "single_label_classification"

// maxUnnamed bounds the labels without names: a short config.json must not ask for
// many.
const maxUnnamed = 1 << 12

// labels lists id2label in the order of the ids. Without it there are as many
// as num_labels says, or the two that transformers assumes.
func (k *commonKeys) labels() ([]string, error) {
	n := 2
	if k.NumLabels != nil {
		n = *k.NumLabels
	}
	if k.Labels != nil {
		if k.NumLabels != nil && n != len(k.Labels) {
			return nil, fmt.Errorf(`key "num_labels" is %d and key "id2label" names %d`, n, len(k.Labels))
		}
		n = len(k.Labels)
	}
	if n < 1 || n > model.MaxSize {
		return nil, fmt.Errorf("%d labels, want 1 to %d", n, model.MaxSize)
	}
	if k.Labels == nil && n > maxUnnamed {
		return nil, fmt.Errorf(`key "num_labels" is %d; more than %d need names in key "id2label"`, n, maxUnnamed)
	}
	labels := make([]string, n)
	for i := range labels {
		label, ok := k.Labels[strconv.Itoa(i)]
		if !ok && k.Labels != nil {
			return nil, fmt.Errorf(`key "id2label" names %d labels and none for %d; want ids from 0 up`, n, i)
		}
		if labels[i] = label; k.Labels == nil {
			labels[i] = fmt.Sprintf("LABEL_%d", i)
		}
	}
	return labels, nil
}

func orMinusOne(id *int) int {
	if id == nil {
		return -1
	}
	return *id
}

// typeNames are the names of [WeightTypes] in config.json.
var typeNames = map[string]string{"F32": "float32", "F16": "float16", "BF16": "bfloat16"}

// MarshalConfig writes the config.json of a Config whose weights are stored in
// one of [WeightTypes].
func MarshalConfig(c model.Config, dtype string) ([]byte, error) {
	id := func(id int) any {
		if id < 0 {
			return nil
		}
		return id
	}
	a := layoutOf(c.Family)
	m := map[string]any{
		"architectures":       []string{a.names()[c.Head]},
		"model_type":          string(c.Family),
		"dtype":               typeNames[dtype],
		"vocab_size":          c.Vocabulary,
		"initializer_range":   c.InitRange,
		"tie_word_embeddings": c.Tied,
		"bos_token_id":        id(c.BOS),
		"eos_token_id":        id(c.EOS),
		"pad_token_id":        id(c.Pad),
		"use_cache":           true,
	}
	if len(c.Ends) > 0 {
		m["eos_token_id"] = c.Ends
	}
	labels := c.Labels
	if c.Head == model.Scalar {
		labels = []string{"LABEL_0"}
	}
	if len(labels) > 0 {
		names, ids := make(map[string]string), make(map[string]int)
		for i, label := range labels {
			names[strconv.Itoa(i)], ids[label] = label, i
		}
		m["num_labels"], m["id2label"], m["label2id"] = len(labels), names, ids
	}
	if c.Problem != "" {
		m["problem_type"] = c.Problem
	}
	a.write(c, m)
	return marshalIndented(m)
}

func marshalIndented(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding JSON: %w", err)
	}
	return append(data, '\n'), nil
}
