package train

import (
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
)

// LoRAConfig configures a low-rank adapter, which is trained in place of the
// weights (see [model.Adapter]).
type LoRAConfig struct {
	Rank    int     `yaml:"lora_rank" json:"lora_rank" doc:"rank of a low-rank adapter that is trained in place of the weights; 0: all weights are trained" min:"0"`
	Alpha   float64 `yaml:"lora_alpha" json:"lora_alpha" doc:"the adapter's product is multiplied by this, divided by its rank" above:"0"`
	Targets string  `yaml:"lora_targets" json:"lora_targets" doc:"layers that are adapted, by the last part of their names with commas between; all-linear: all of the blocks"`
}

// DefaultLoRA trains all weights; given a rank, all linear layers are adapted.
func DefaultLoRA() LoRAConfig { return LoRAConfig{Alpha: 16, Targets: model.AllLinear} }

// AddTo puts the adapter on a model, if the configuration asks for one.
func (c LoRAConfig) AddTo(m *model.Model, seed uint64) error {
	if c.Rank == 0 {
		return nil
	}
	a := model.Adapter{Rank: c.Rank, Alpha: c.Alpha}
	for target := range strings.SplitSeq(c.Targets, ",") {
		a.Targets = append(a.Targets, strings.TrimSpace(target))
	}
	return m.AddAdapter(a, seed)
}

// AdapterFolder is the folder of a stage that holds the adapter alone, beside
// the model that it was merged into.
const AdapterFolder = "adapter"

// saveAdapter writes the adapter in PEFT's layout and merges it.
func saveAdapter(folder, base string, m *model.Model) error {
	base, err := filepath.Abs(base)
	if err != nil {
		return err
	}
	files, err := file.AdapterFiles(m, base)
	if err != nil {
		return err
	}
	folder = filepath.Join(folder, AdapterFolder)
	if err := artifact.MakeFolder(folder); err != nil {
		return err
	}
	if err := artifact.WriteContents(folder, files); err != nil {
		return err
	}
	return m.MergeAdapter()
}
