package sft

import (
	"math"

	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

func estimate(c Config, in stage.Known) (stage.Estimate, error) {
	s, err := train.NewSketch(in["base"], model.LanguageModel, c.LoRAConfig)
	if err != nil {
		return stage.Estimate{}, err
	}
	length, err := s.RowLength("sft", c.Context)
	if err != nil {
		return stage.Estimate{}, err
	}
	s.Recompute = c.Recompute
	lm, err := train.NewLanguageModel(s.Model, c.MicroRows, length)
	if err != nil {
		return stage.Estimate{}, err
	}
	update, err := s.Update(c.OptimizerConfig)
	if err != nil {
		return stage.Estimate{}, err
	}
	rows := max(1, c.Epochs*train.PackedRows(in["dialogues"], float64(in["dialogues"].Rows), length))
	steps := max(1, rows/float64(c.BatchRows))
	held := train.HeldOut(in, "dialogues", c.ValidationShare)
	measured := (math.Floor(steps/float64(c.EvalEvery)) + 2) * train.PackedRows(in["dialogues"], held, length)
	perRow := 1 / float64(c.MicroRows)
	e := stage.Estimate{
		Parameters: s.ParameterCount(), Steps: int64(steps), Tokens: int64(rows * float64(length)),
		FLOPs:  rows*perRow*float64(lm.FLOPs()) + steps*update + measured*perRow*float64(lm.ForwardFLOPs()),
		Memory: s.Counted.Memory(),
	}
	if c.TextShare > 0 {
		text, err := train.NewLanguageModel(s.Model, c.textRows(), length)
		if err != nil {
			return e, err
		}
		e.FLOPs += steps * float64(text.FLOPs())
		e.Tokens += int64(steps) * int64(c.textRows()*length)
	}
	e.Leaves, err = s.LeavesModel()
	return e, err
}
