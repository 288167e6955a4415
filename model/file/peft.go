package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
)

// The door to PEFT's adapters: a folder with adapter_config.json and
// adapter_model.safetensors, whose tensors are named "base_model.model." and
// the layer's name. What adapter_config.json asks for and alma does not compute
// is refused by its key.

const (
	// AdapterConfigFile makes a folder an adapter's.
	AdapterConfigFile = "adapter_config.json"
	// AdapterWeightsFile holds what is trained.
	AdapterWeightsFile = "adapter_model.safetensors"
	peftPrefix         = "base_model.model."
)

// peftConfig holds the keys that an Adapter is made of.
type peftConfig struct {
	Base       string          `json:"base_model_name_or_path"`
	Type       string          `json:"peft_type"`
	Task       string          `json:"task_type"`
	Rank       int             `json:"r"`
	Alpha      float64         `json:"lora_alpha"`
	RSLoRA     bool            `json:"use_rslora"`
	Init       json.RawMessage `json:"init_lora_weights"`
	Targets    json.RawMessage `json:"target_modules"`
	SavedParts []string        `json:"modules_to_save"`
}

// peftNeutral are keys that change nothing once an adapter is trained, or only
// say how it was.
var peftNeutral = map[string]bool{
	"base_model_name_or_path": true, "peft_type": true, "r": true, "lora_alpha": true, "use_rslora": true,
	"fan_in_fan_out": true, "target_modules": true, "modules_to_save": true, "init_lora_weights": true,
	"task_type": true, "inference_mode": true, "lora_dropout": true, "revision": true,
	"auto_mapping": true, "peft_version": true, "megatron_core": true, "runtime_config": true,
	"ephemeral_gpu_offload": true, "qalora_group_size": true,
}

// peftEmpty tells whether a key that alma does not have asks for nothing.
func peftEmpty(value json.RawMessage) bool {
	switch string(bytes.TrimSpace(value)) {
	case "null", "false", "{}", "[]", `""`, `"none"`:
		return true
	}
	return false
}

// AdapterConfig is what an adapter_config.json says.
type AdapterConfig struct {
	model.Adapter
	Base  string   // the model that it was trained on, as the file names it
	Whole []string // modules that were trained whole
	Task  string   // PEFT's name of the head that the model had; "": not told
}

// causalLM is PEFT's name of a language model's head.
const causalLM = "CAUSAL_LM"

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
	var c peftConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return fail("%v", err)
	}
	keys := make([]string, 0, len(raw))
	for key := range raw {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		if !peftNeutral[key] && !peftEmpty(raw[key]) {
			return fail("key %q asks for something that alma does not have (its value is %s)", key, abbreviate(raw[key]))
		}
	}
	if c.Type != "LORA" {
		return fail("peft_type is %q; alma has LORA", c.Type)
	}
	if c.RSLoRA {
		return fail("key %q is true; alma scales by lora_alpha/r", "use_rslora")
	}
	// The others (PiSSA, OLoRA, LoftQ, …) change the base's weights as they begin.
	if given(c.Init) && !slices.Contains([]string{"true", "false", `"gaussian"`, `"eva"`}, string(c.Init)) {
		return fail("key %q is %s, after which the adapter belongs to changed weights; alma has those that begin as true, false, gaussian and eva", "init_lora_weights", abbreviate(c.Init))
	}
	a := model.Adapter{Rank: c.Rank, Alpha: c.Alpha}
	var one string
	if json.Unmarshal(c.Targets, &one) == nil {
		a.Targets = []string{one}
	} else if err := json.Unmarshal(c.Targets, &a.Targets); err != nil {
		return fail("target_modules is %s, want names of modules", abbreviate(c.Targets))
	}
	return AdapterConfig{a, c.Base, c.SavedParts, c.Task}, nil
}

// AdapterFiles returns a model's adapter as PEFT's two files. base is the folder of
// the model that it belongs to, as the file will name it.
func AdapterFiles(m *model.Model, base string) (artifact.Contents, error) {
	if m.Adapter == nil {
		return nil, fmt.Errorf("saving adapter: the model has none")
	}
	task := map[model.Head]string{model.LanguageModel: causalLM, model.Scalar: "SEQ_CLS", model.Classes: "SEQ_CLS"}[m.Head]
	var targets any = m.Adapter.Targets
	if m.Adapter.Targets[0] == model.AllLinear {
		targets = model.AllLinear
	}
	config := map[string]any{
		"peft_type": "LORA", "base_model_name_or_path": base,
		"r": m.Adapter.Rank, "lora_alpha": m.Adapter.Alpha, "lora_dropout": 0, "bias": "none",
		"target_modules": targets, "fan_in_fan_out": m.Family == model.GPT2, "inference_mode": true,
	}
	if task != "" {
		config["task_type"] = task
	}
	var whole []string
	for _, p := range m.Parameters() {
		if module, _, _ := strings.Cut(p.Name, "."); m.TrainedWhole(p.Name) && !slices.Contains(whole, module) {
			whole = append(whole, module)
		}
	}
	if whole != nil {
		config["modules_to_save"] = whole
	}
	text, err := marshalIndented(config)
	if err != nil {
		return nil, err
	}
	return artifact.Contents{
		AdapterConfigFile: artifact.Bytes(text),
		AdapterWeightsFile: func(w io.Writer) error {
			var tensors []artifact.Tensor
			for _, p := range m.Trained() {
				tensors = append(tensors, tensor(m, peftPrefix+p.Name, p, "F32"))
			}
			return artifact.WriteSafetensors(w, tensors, nil)
		},
	}, nil
}

// LoadAdapter puts the adapter of a PEFT folder on a model.
func LoadAdapter(m *model.Model, folder string) error {
	path := filepath.Join(folder, AdapterConfigFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return notFound(fmt.Errorf("opening adapter %s: %w; an adapter's folder holds %s and %s", folder, err, AdapterConfigFile, AdapterWeightsFile))
	}
	c, err := ParseAdapterConfig(path, data)
	if err != nil {
		return err
	}
	if c.Task == causalLM && (m.Head == model.Scalar || m.Head == model.Classes) {
		return artifact.Errorf(artifact.ErrUsage, "reading %s: the adapter was trained on a language model (task_type %s), and the model has a %q head; give that language model", path, c.Task, m.Head)
	}
	// PEFT names every head that a classifier may have; the model must have one.
	if len(c.Whole) > 0 && !slices.ContainsFunc(m.Parameters(), func(p model.Parameter) bool {
		return slices.ContainsFunc(c.Whole, func(module string) bool { return strings.HasPrefix(p.Name, module+".") })
	}) {
		return artifact.Errorf(artifact.ErrUsage, "reading %s: of %q one was trained whole, and the model with its %q head has none of that name; give the model that the adapter was trained on, with that head", path, c.Whole, m.Head)
	}
	if err := m.AddAdapter(c.Adapter, 0); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	path = filepath.Join(folder, AdapterWeightsFile)
	file, err := artifact.ReadSafetensors(path)
	if err != nil {
		return notFound(err)
	}
	defer file.Close()
	return readAdapter(m, path, file, len(c.Whole) > 0)
}

// ReadAdapter takes the trained arrays from an adapter_model.safetensors of size
// bytes. The name appears in errors.
func ReadAdapter(m *model.Model, name string, r io.ReaderAt, size int64) error {
	file, err := artifact.ParseSafetensors(name, r, size)
	if err != nil {
		return err
	}
	return readAdapter(m, name, file, true)
}

// readAdapter takes every trained array of the model from the file, which may
// hold no other; head tells whether it holds the head's.
func readAdapter(m *model.Model, path string, file *artifact.SafetensorsFile, head bool) error {
	corrupt := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: %s", path, fmt.Sprintf(format, args...))
	}
	unused := make(map[string]bool)
	for _, name := range file.Names() {
		unused[name] = true
	}
	arrays := make(map[string]string)
	for _, p := range m.Trained() {
		name := peftPrefix + p.Name
		info, ok := file.Info(name)
		if !ok {
			if m.TrainedWhole(p.Name) && (!head || p.Name == model.ScoreBias) {
				continue // trained with the head that the base has, or by a tool whose head has no bias
			}
			return corrupt("tensor %q is missing; %s asks for it with shape %v", name, AdapterConfigFile, p.Shape)
		}
		if !slices.Equal(info.Shape, p.Shape) {
			return corrupt("tensor %q has shape %v, the model and %s ask for %v", name, info.Shape, AdapterConfigFile, p.Shape)
		}
		arrays[name] = p.Name
		delete(unused, name)
	}
	for _, name := range file.Names() {
		if unused[name] {
			return corrupt("tensor %q belongs to no layer that %s adapts", name, AdapterConfigFile)
		}
	}
	return ReadTensors(m.Store, file, arrays)
}
