package file

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
)

// The door to PEFT's adapters: a folder with adapter_config.json (peft_config.go)
// and adapter_model.safetensors, whose tensors are named "base_model.model." and
// the layer's name. Those that alma trains are written and read here; those that
// others trained are merged into their model (peft_merge.go).

const (
	// AdapterConfigFile makes a folder an adapter's.
	AdapterConfigFile = "adapter_config.json"
	// AdapterWeightsFile holds what is trained.
	AdapterWeightsFile = "adapter_model.safetensors"
	peftPrefix         = "base_model.model."
)

// causalLM is PEFT's name of a language model's head.
const causalLM = "CAUSAL_LM"

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

// ReadAdapter takes the trained arrays of a model with an adapter from an
// adapter_model.safetensors of size bytes, of the layers that the model adapts. The
// name appears in errors. [MergeAdapter] reads adapters of all that PEFT adapts.
func ReadAdapter(m *model.Model, name string, r io.ReaderAt, size int64) error {
	file, err := artifact.ParseSafetensors(name, r, size)
	if err != nil {
		return err
	}
	return readAdapter(m, name, file)
}

// readAdapter takes every trained array of the model from the file, which may
// hold no other.
func readAdapter(m *model.Model, path string, file *artifact.SafetensorsFile) error {
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
			if p.Name == model.ScoreBias {
				continue // of a tool whose head has none
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
