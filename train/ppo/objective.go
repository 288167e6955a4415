package ppo

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

// What the losses see of a response token stands at the position that predicts it
// ([rollout.LogProbs]). At all others the weight is 0.

// policyLoss is −E[min(A·ρ, A·clip(ρ, 1±ε))] with ρ = π/π_old at each response
// token (Schulman et al. 2017, eq. 7; detail 27), as max of the negatives.
//
//	weight [B·T] is 1/(tokens of the minibatch), so that micro-batches add up to
//	the mean over the minibatch's tokens (detail 29)
func policyLoss(p *compute.Program, logProb *compute.Tensor, n int, clip float32) *compute.Tensor {
	old := p.Input("old_log_probs", compute.Float32, n)
	advantage := p.Input("advantages", compute.Float32, n)
	weight := p.Input("weights", compute.Float32, n)
	ratio := compute.Exp(compute.Sub(logProb, old))
	loss := compute.Max(
		compute.Neg(compute.Mul(advantage, ratio)),
		compute.Neg(compute.Mul(advantage, compute.Clip(ratio, 1-clip, 1+clip))))
	return compute.Sum(compute.Mul(loss, weight))
}

// valueLoss is ½·E[max((V−R)², (clip(V, V_old±ε)−R)²)] (detail 27).
func valueLoss(p *compute.Program, value *compute.Tensor, n int, clip float32) *compute.Tensor {
	old := p.Input("old_values", compute.Float32, n)
	target := p.Input("returns", compute.Float32, n)
	weight := p.Input("weights", compute.Float32, n)
	clipped := compute.Add(old, compute.Clip(compute.Sub(value, old), -clip, clip))
	loss := compute.Max(compute.Square(compute.Sub(value, target)), compute.Square(compute.Sub(clipped, target)))
	return compute.Scale(compute.Sum(compute.Mul(loss, weight)), .5)
}

// passes are the compiled Programs of one model.
type passes struct {
	forward rollout.Pass
	step    rollout.Pass // none of a frozen model
}

// policyPasses compiles log-probabilities at the sampling temperature
// (detail 16) and, when it is trained, the policy loss.
func policyPasses(m *model.Model, s rollout.Shape, temperature float64, clip float64, trained bool) (out passes, err error) {
	pass := rollout.Pass{Shape: s, Responses: true, Head: train.HeadFLOPsOf(m.Config)}
	out.forward = pass
	p, _ := rollout.LogProbs("log-probabilities", m, s, temperature)
	if out.forward.Executable, err = m.Engine.Compile(p, m.Store); err != nil || !trained {
		return out, err
	}
	out.step, out.step.Step = pass, true
	p, logProb := rollout.LogProbs("policy step", m, s, temperature)
	loss := policyLoss(p, logProb, s.B*s.T, float32(clip))
	p.Output("loss", loss)
	if err := train.Backward(p, m, loss); err != nil {
		return out, err
	}
	out.step.Executable, err = m.Engine.Compile(p, m.Store)
	return out, err
}

// criticPasses compiles the values and the value loss.
func criticPasses(m *model.Model, s rollout.Shape, clip, coefficient float64) (out passes, err error) {
	build := func(name string) (*compute.Program, *compute.Tensor) {
		p := compute.NewProgram(name)
		hidden := m.Hidden(p, m.NewBatch(p, s.B, s.T))
		value := m.Score(p, compute.Reshape(hidden, s.B, s.T, m.Width))
		p.Output("values", value)
		return p, value
	}
	out.forward.Shape = s
	p, _ := build("values")
	if out.forward.Executable, err = m.Engine.Compile(p, m.Store); err != nil {
		return out, err
	}
	out.step.Shape, out.step.Step = s, true
	p, value := build("critic step")
	loss := valueLoss(p, value, s.B*s.T, float32(clip))
	p.Output("loss", loss)
	if err := train.Backward(p, m, compute.Scale(loss, float32(coefficient))); err != nil {
		return out, err
	}
	out.step.Executable, err = m.Engine.Compile(p, m.Store)
	return out, err
}
