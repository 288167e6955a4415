package reward

import (
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

func estimate(c Config, in stage.Known) (stage.Estimate, error) {
	s, err := train.NewSketch(in["base"], model.Scalar, c.LoRAConfig)
	if err != nil {
		return stage.Estimate{}, err
	}
	length, err := s.RowLength("reward", c.Context)
	if err != nil {
		return stage.Estimate{}, err
	}
	s.Recompute = c.Recompute
	rows := float64(c.MicroRows)
	forward := s.Forward(c.MicroRows, length, train.Rewards) / rows
	step, err := s.Step(c.MicroRows, length, train.Rewards)
	if err != nil {
		return stage.Estimate{}, err
	}
	update, err := s.Update(c.OptimizerConfig)
	if err != nil {
		return stage.Estimate{}, err
	}
	ranked := func(f stage.Facts) float64 { return float64(f.Rows) * float64(max(2, f.Each)) }
	texts := c.Epochs * ranked(in["rankings"])
	steps := max(1, c.Epochs*float64(in["rankings"].Rows)/float64(c.BatchPrompts))
	demonstrations := float64(in["demonstrations"].Rows)
	if c.Demonstrations > 0 {
		demonstrations = min(demonstrations, float64(c.Demonstrations))
	}
	measured := (steps/float64(c.EvalEvery) + 2) * ranked(in["validation"])
	learned := max(1, train.PackedRows(in["rankings"], texts, length))
	scored := train.PackedRows(in["validation"], measured, length) + train.PackedRows(in["demonstrations"], demonstrations, length)
	e := stage.Estimate{
		Parameters: s.ParameterCount(), Steps: int64(steps), Tokens: int64(learned * float64(length)),
		FLOPs:  learned*step/rows + scored*forward + steps*update,
		Memory: s.Counted.Memory(),
	}
	e.Leaves, err = s.LeavesModel()
	return e, err
}
