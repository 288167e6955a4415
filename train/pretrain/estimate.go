package pretrain

import (
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// bytesPerToken of text that is not read yet, with a vocabulary of some thousand
// tokens.
const bytesPerToken = 2.4

// Shape is the architecture for a vocabulary of so many tokens, for plans.
func (c Config) Shape(vocabulary int) (model.Config, error) { return c.architecture(vocabulary) }

func estimate(c Config, in stage.Known) (stage.Estimate, error) {
	vocabulary := in["tokenizer"].Vocabulary
	if vocabulary == 0 {
		vocabulary = 2048
	}
	config, err := c.architecture(vocabulary)
	if err != nil {
		return stage.Estimate{}, err
	}
	m, engine, err := model.SketchOf(config, config.Head)
	if err != nil {
		return stage.Estimate{}, err
	}
	s := &train.Sketch{Model: m, Counted: engine}
	lm, err := train.NewLanguageModel(m, c.MicroRows, c.Context)
	if err != nil {
		return stage.Estimate{}, err
	}
	update, err := s.Update(c.OptimizerConfig)
	if err != nil {
		return stage.Estimate{}, err
	}
	tokens := float64(c.Steps) * float64(c.BatchTokens)
	perRun := float64(c.MicroRows * c.Context)
	measured := float64(c.Steps/c.EvalEvery+2) * float64(c.EvalRows*c.Context)
	e := stage.Estimate{
		Parameters: m.ParameterCount(), Steps: int64(c.Steps), Tokens: int64(tokens),
		FLOPs:   tokens/perRun*float64(lm.FLOPs()) + float64(c.Steps)*update + measured/perRun*float64(lm.ForwardFLOPs()),
		Memory:  engine.Memory(),
		Seconds: float64(in["corpus"].Bytes) / 10e6, // tokenising
	}
	if e.Leaves, err = s.LeavesModel(); err != nil {
		return e, err
	}
	e.Leaves["text"] = stage.Facts{Bytes: in["corpus"].Bytes, Vocabulary: vocabulary}
	e.Leaves["validation"] = stage.Facts{Vocabulary: vocabulary}
	return e, nil
}
