package ppo

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

// The Programs below see packed rows of whole sequences (prompt and
// response), and N places for response tokens: "at" [N] is the position in
// the rows whose hidden state predicts the token, "responses" [N] the token.
// Places that are not filled have −1 in both and weight 0.

// policyLoss is −E[min(A·ρ, A·clip(ρ, 1±ε))] with ρ = π/π_old at each response
// token (Schulman et al. 2017, eq. 7; detail 27), as max of the negatives.
//
//	weight [N] is 1/(tokens of the minibatch), so that micro-batches add up to
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
	forward compute.Executable
	step    compute.Executable // nil for a frozen model
}

// policyPasses compiles log-probabilities at the sampling temperature
// (detail 16) and, when it is trained, the policy loss.
func policyPasses(m *model.Model, s shape, temperature float64, clip float64, trained bool) (passes, error) {
	build := func(name string) (*compute.Program, *compute.Tensor) {
		p := compute.NewProgram(name)
		hidden := compute.GatherRows(m.Hidden(p, model.NewBatch(p, s.B, s.T)), p.Input("at", compute.Int32, s.N))
		logProb, entropy := compute.TokenLogProb(hidden, m.HeadWeight(p), p.Input("responses", compute.Int32, s.N), true, float32(temperature))
		p.Output("log_probs", logProb)
		p.Output("entropies", entropy)
		return p, logProb
	}
	var out passes
	p, _ := build("log-probabilities")
	var err error
	if out.forward, err = m.Engine.Compile(p, m.Store); err != nil || !trained {
		return out, err
	}
	p, logProb := build("policy step")
	loss := policyLoss(p, logProb, s.N, float32(clip))
	p.Output("loss", loss)
	if err := train.Backward(p, m, loss); err != nil {
		return out, err
	}
	out.step, err = m.Engine.Compile(p, m.Store)
	return out, err
}

// criticPasses compiles the values and the value loss.
func criticPasses(m *model.Model, s shape, clip, coefficient float64) (passes, error) {
	build := func(name string) (*compute.Program, *compute.Tensor) {
		p := compute.NewProgram(name)
		hidden := compute.GatherRows(m.Hidden(p, model.NewBatch(p, s.B, s.T)), p.Input("at", compute.Int32, s.N))
		value := m.Score(p, hidden)
		p.Output("values", value)
		return p, value
	}
	var out passes
	p, _ := build("values")
	var err error
	if out.forward, err = m.Engine.Compile(p, m.Store); err != nil {
		return out, err
	}
	p, value := build("critic step")
	loss := valueLoss(p, value, s.N, float32(clip))
	p.Output("loss", loss)
	if err := train.Backward(p, m, compute.Scale(loss, float32(coefficient))); err != nil {
		return out, err
	}
	out.step, err = m.Engine.Compile(p, m.Store)
	return out, err
}

// shape is the size of a micro-batch.
type shape struct {
	B, T int // packed rows
	N    int // response tokens
}

// batch is a micro-batch: some sequences of a rollout, packed.
type batch struct {
	sequences []int // indices into the rollout
	rows      [][]int
	tokens    int // response tokens
}

// split packs sequences into rows and the rows into micro-batches that fit.
func split(rollout []*sequence, which []int, s shape) ([]batch, error) {
	lengths := make([]int, len(which))
	for i, x := range which {
		lengths[i] = len(rollout[x].Prompt) + len(rollout[x].Response)
	}
	rows, err := dataset.Pack(lengths, s.T)
	if err != nil {
		return nil, err
	}
	var out []batch
	var b batch
	for _, row := range rows {
		responses := 0
		mapped := make([]int, len(row))
		for i, x := range row {
			mapped[i] = which[x]
			responses += len(rollout[which[x]].Response)
		}
		if len(b.rows) == s.B || b.tokens+responses > s.N {
			out, b = append(out, b), batch{}
		}
		b.rows = append(b.rows, mapped)
		b.sequences = append(b.sequences, mapped...)
		b.tokens += responses
	}
	return append(out, b), nil
}

// fill lays a micro-batch out in the inputs that all Programs share and calls
// place for every response token: sequence x, token t, place n.
func (b batch) fill(x compute.Executable, rollout []*sequence, s shape, responses bool, place func(seq *sequence, t, n int)) {
	tokens, positions, segments := x.Ints("tokens"), x.Ints("positions"), x.Ints("segments")
	at := x.Ints("at")
	clear(tokens)
	clear(positions)
	for i := range segments {
		segments[i] = -1
	}
	for i := range at {
		at[i] = -1
	}
	var want []int32
	if responses {
		want = x.Ints("responses")
		for i := range want {
			want[i] = -1
		}
	}
	n := 0
	for r, row := range b.rows {
		i := r * s.T
		for segment, index := range row {
			seq := rollout[index]
			start := i
			for _, part := range [][]int32{seq.Prompt, seq.Response} {
				for _, token := range part {
					tokens[i], positions[i], segments[i] = token, int32(i-start), int32(segment)
					i++
				}
			}
			for t, token := range seq.Response {
				at[n] = int32(start + len(seq.Prompt) + t - 1)
				if responses {
					want[n] = token
				}
				place(seq, t, n)
				n++
			}
		}
	}
}
