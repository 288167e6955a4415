package classify

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// estimate counts the body; the head's few outputs are left out.
func estimate(c Config, in stage.Known) (stage.Estimate, error) {
	s, err := train.NewSketch(in["base"], model.LanguageModel, train.LoRAConfig{})
	if err != nil {
		return stage.Estimate{}, err
	}
	length, err := s.RowLength("classify", c.Context)
	if err != nil {
		return stage.Estimate{}, err
	}
	s.Recompute = c.Recompute
	states := func(_ *compute.Program, _ *model.Model, hidden *compute.Tensor) *compute.Tensor { return hidden }
	forward := s.Forward(c.MicroRows, length, states) / float64(c.MicroRows)
	step, err := s.Step(c.MicroRows, length, states)
	if err != nil {
		return stage.Estimate{}, err
	}
	update, err := s.Update(c.OptimizerConfig)
	if err != nil {
		return stage.Estimate{}, err
	}
	texts := in["texts"]
	if texts.RowTokens > 0 {
		texts.RowTokens = min(texts.RowTokens, float64(length)) // longer ones are cut
	}
	held := train.HeldOut(in, "texts", c.Validation)
	if in["validation"].Rows == 0 {
		texts.Rows -= int64(held)
	}
	rows := max(1, c.Epochs*train.PackedRows(texts, float64(texts.Rows), length))
	steps := max(1, c.Epochs*float64(texts.Rows)/float64(c.BatchTexts))
	measured := (steps/float64(c.EvalEvery) + 2) * train.PackedRows(texts, held, length)
	e := stage.Estimate{
		Parameters: s.ParameterCount(), Steps: int64(steps), Tokens: int64(rows * float64(length)),
		FLOPs: rows*step/float64(c.MicroRows) + measured*forward + steps*update, Memory: s.Counted.Memory(),
	}
	if c.FreezeBody { // it runs once over all texts
		e.FLOPs = (rows/c.Epochs + train.PackedRows(texts, held, length)) * forward
	}
	return e, nil
}
