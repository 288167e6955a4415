package ppo

import (
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// assumedAnswer is the share of max_tokens that an answer takes.
const assumedAnswer = .4

func estimate(c Config, in stage.Known) (stage.Estimate, error) {
	policy, err := train.NewSketch(in["policy"], model.LanguageModel, c.LoRAConfig)
	if err != nil {
		return stage.Estimate{}, err
	}
	from := in["policy"]
	for _, name := range []string{"reward", "critic"} {
		if len(in[name].Model) > 0 {
			from = in[name]
		}
	}
	critic, err := train.NewSketch(from, model.Scalar, c.LoRAConfig)
	if err != nil {
		return stage.Estimate{}, err
	}
	length, err := policy.RowLength("ppo", c.Context)
	if err != nil {
		return stage.Estimate{}, err
	}
	if c.MaxTokens >= length {
		return stage.Estimate{}, artifact.Errorf(artifact.ErrUsage, "configuring ppo: max_tokens %d leaves no room for a prompt in a context of %d", c.MaxTokens, length)
	}
	logProb := func(p *compute.Program, m *model.Model, hidden *compute.Tensor) *compute.Tensor {
		out, _ := compute.TokenLogProb(hidden, m.HeadWeight(p), p.Input("responses", compute.Int32, c.MicroRows, length), true, float32(c.Temperature))
		return out
	}
	policyForward := policy.Forward(c.MicroRows, length, logProb)
	criticForward := critic.Forward(c.MicroRows, length, train.Rewards)
	policyStep, err := policy.Step(c.MicroRows, length, logProb)
	if err != nil {
		return stage.Estimate{}, err
	}
	criticStep, err := critic.Step(c.MicroRows, length, train.Rewards)
	if err != nil {
		return stage.Estimate{}, err
	}
	update, err := policy.Update(c.OptimizerConfig)
	if err != nil {
		return stage.Estimate{}, err
	}

	row := in["prompts"].RowTokens
	if row == 0 {
		row = min(train.AssumedRow, float64(length))
	}
	answer := assumedAnswer * float64(c.MaxTokens)
	prompt := max(1, row-answer)
	// The head works on the responses alone.
	skipped := int(float64(c.MicroRows*length) * prompt / row)
	head := train.HeadFLOPsOf(policy.Config)
	policyForward -= float64(head.Skipped(skipped, false))
	policyStep -= float64(head.Skipped(skipped, true))

	facts := stage.Facts{RowTokens: row}
	// A micro-batch that is not full costs as much as one that is.
	batches := func(n int) float64 {
		return math.Floor(train.PackedRows(facts, float64(n), length)/float64(c.MicroRows)) + 1
	}
	steps := float64(c.Iterations * c.minibatches())
	episodes := float64(c.Iterations * c.Prompts)
	e, err := generate.Estimate(in["policy"], c.Slots, prompt, answer, episodes)
	if err != nil {
		return stage.Estimate{}, err
	}
	e.Steps = int64(steps)
	e.FLOPs = steps*(batches(c.Minibatch)*(policyStep+criticStep)+2*update) +
		float64(c.Iterations)*batches(c.Prompts)*(2*policyForward+2*criticForward)
	if c.PretrainCoef > 0 {
		mix, err := train.NewLanguageModel(policy.Model, c.PretrainRows, length)
		if err != nil {
			return stage.Estimate{}, err
		}
		e.FLOPs += steps * float64(mix.FLOPs())
		e.Tokens += int64(steps) * int64(c.PretrainRows*length)
	}
	e.Parameters = policy.ParameterCount()
	e.Memory += policy.Counted.Memory() + critic.Counted.Memory() + 2*4*e.Parameters // and the reference and the reward model
	e.Leaves, err = policy.LeavesModel()
	return e, err
}
