package train

import (
	"fmt"
	"maps"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// OptimizerConfig configures the optimizer, the schedule and the arithmetic of a
// stage.
type OptimizerConfig struct {
	LR          float64 `yaml:"lr" json:"lr" doc:"peak learning rate" above:"0"`
	Warmup      float64 `yaml:"warmup" json:"warmup" doc:"share of the steps over which the rate rises from 0" min:"0" max:"1"`
	Decay       string  `yaml:"decay" json:"decay" doc:"how the rate falls" enum:"cosine,linear,linear-tail,constant"`
	FinalLR     float64 `yaml:"final_lr" json:"final_lr" doc:"share of the peak rate that is left at the end" min:"0" max:"1"`
	WeightDecay float64 `yaml:"weight_decay" json:"weight_decay" doc:"decoupled decay, on matrices only" min:"0"`
	Beta1       float64 `yaml:"beta1" json:"beta1" doc:"decay of the first moment" min:"0" max:"1"`
	Beta2       float64 `yaml:"beta2" json:"beta2" doc:"decay of the second moment" min:"0" max:"1"`
	Epsilon     float64 `yaml:"epsilon" json:"epsilon" doc:"added to the root of the second moment" above:"0"`
	Clip        float64 `yaml:"clip" json:"clip" doc:"largest global norm of the gradients; 0 does not clip" min:"0"`
	// Precision is that of the engine that the stage runs on, empty for fp32. It
	// comes from the recipe or the command line, and is recorded because the
	// results depend on it.
	Precision  string `yaml:"-" json:"precision,omitempty"`
	Recompute  bool   `yaml:"recompute" json:"recompute,omitempty" doc:"compute activations again in the backward pass: less memory, a third more work, the same bits"`
	OnBadBatch string `yaml:"on_bad_batch" json:"on_bad_batch" doc:"what to do when a loss or gradient is not finite or a norm leaps" enum:"stop,skip,rollback"`
}

// DefaultOptimizer returns the constants that the stages share.
func DefaultOptimizer(lr float64) OptimizerConfig {
	return OptimizerConfig{LR: lr, Warmup: .05, Decay: "cosine", WeightDecay: .1, Beta1: .9, Beta2: .95, Epsilon: 1e-8, Clip: 1, OnBadBatch: "stop"}
}

// InPrecision records the precision of the engine that the stage runs on.
func (c *OptimizerConfig) InPrecision(precision string) { c.Precision = precision }

// AdamW returns the optimizer's constants.
func (c OptimizerConfig) AdamW() AdamW {
	return AdamW{Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon, Decay: c.WeightDecay, MaxNorm: c.Clip}
}

// Schedule returns the learning rates of a run of so many steps.
func (c OptimizerConfig) Schedule(steps int) Schedule {
	return Schedule{Peak: c.LR, Warmup: int(math.Round(c.Warmup * float64(steps))), Steps: steps, Decay: c.Decay, Final: c.FinalLR}
}

// Guard returns the check that stands before the optimizer.
func (c OptimizerConfig) Guard() *Guard {
	g := DefaultGuard()
	g.Policy = BadUpdate(c.OnBadBatch)
	return g
}

// LoadModel opens a model folder with its tokenizer, whose vocabulary must be
// the model's.
func LoadModel(engine compute.Engine, folder string) (*model.Model, *tokenizer.Tokenizer, error) {
	m, err := file.Load(engine, folder)
	if err != nil {
		return nil, nil, err
	}
	t, err := file.LoadTokenizerFor(folder, m.Vocabulary)
	if err != nil {
		return nil, nil, err
	}
	if t.VocabSize() > m.Vocabulary {
		return nil, nil, artifact.Errorf(artifact.ErrUsage,
			"opening model %s: the tokenizer has %d tokens and tensor %q has shape [%d %d], a row for each of %d tokens; they do not belong together: take the tokenizer that the model was trained with",
			folder, t.VocabSize(), m.FileName(m.EmbeddingName()), m.Vocabulary, m.Width, m.Vocabulary)
	}
	return m, t, nil
}

// SaveModel writes a model folder's files durably: weights, configuration and
// tokenizer. An adapter is written to a folder of its own, as one of the base
// model, and then merged into the weights, so that what stands in the folder is
// a whole model. ends are the tokens that end a text (chat.Ends); temperature is what
// texts are sampled at, where the files that the model came with say nothing of
// sampling (file.MarshalGeneration).
func SaveModel(folder, base string, m *model.Model, t *tokenizer.Tokenizer, temperature float64, ends []int32) error {
	if m.Adapter != nil {
		for _, p := range m.Parameters() { // the merge reads them; Files looks at what it writes
			if err := intact(m.Store, p.Name); err != nil {
				return fmt.Errorf("saving model: %w", err)
			}
		}
		if err := saveAdapter(folder, base, m); err != nil {
			return fmt.Errorf("saving model: %w", err)
		}
	}
	files, err := file.Files(m, ends, temperature)
	if err != nil {
		return err
	}
	more, err := t.Files()
	if err != nil {
		return err
	}
	maps.Copy(files, artifact.AllBytes(more))
	if err := artifact.WriteContents(folder, files); err != nil {
		return fmt.Errorf("saving model: %w", err)
	}
	return nil
}
