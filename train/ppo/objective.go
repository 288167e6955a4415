package ppo

import (
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

// The Programs below see packed rows of whole sequences (prompt and response).
// What belongs to a response token stands at the position whose hidden state
// predicts it, the one before the token's own: "responses" [B, T] holds the
// token, −1 where no response token is predicted. There the head does no work,
// and the weight is 0.

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
	forward compute.Executable
	step    compute.Executable // nil for a frozen model
	head    train.HeadFLOPs    // 0 for a critic
}

// policyPasses compiles log-probabilities at the sampling temperature
// (detail 16) and, when it is trained, the policy loss.
func policyPasses(m *model.Model, s shape, temperature float64, clip float64, trained bool) (passes, error) {
	build := func(name string) (*compute.Program, *compute.Tensor) {
		p := compute.NewProgram(name)
		hidden := m.Hidden(p, m.NewBatch(p, s.B, s.T))
		logProb, entropy := compute.TokenLogProb(hidden, m.HeadWeight(p), p.Input("responses", compute.Int32, s.B, s.T), true, float32(temperature))
		p.Output("log_probs", logProb)
		p.Output("entropies", entropy)
		return p, logProb
	}
	out := passes{head: train.HeadFLOPsOf(m.Config)}
	p, _ := build("log-probabilities")
	var err error
	if out.forward, err = m.Engine.Compile(p, m.Store); err != nil || !trained {
		return out, err
	}
	p, logProb := build("policy step")
	loss := policyLoss(p, logProb, s.B*s.T, float32(clip))
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
		hidden := m.Hidden(p, m.NewBatch(p, s.B, s.T))
		value := m.Score(p, compute.Reshape(hidden, s.B, s.T, m.Width))
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
	loss := valueLoss(p, value, s.B*s.T, float32(clip))
	p.Output("loss", loss)
	if err := train.Backward(p, m, compute.Scale(loss, float32(coefficient))); err != nil {
		return out, err
	}
	out.step, err = m.Engine.Compile(p, m.Store)
	return out, err
}

// run runs a pass over a batch that was filled in and returns what it took.
func (p passes) run(x compute.Executable, b batch, s shape) (flops int64, err error) {
	if err := x.Run(); err != nil {
		return 0, err
	}
	return x.FLOPs() - p.head.Skipped(s.B*s.T-b.tokens, x == p.step), nil
}

// shape is the size of a micro-batch: B packed rows of T tokens.
type shape struct{ B, T int }

// batch is a micro-batch: some sequences of a rollout, packed.
type batch struct {
	rows   [][]int // indices into the rollout
	tokens int     // response tokens
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
	for at := 0; at < len(rows); at += s.B {
		b := batch{rows: rows[at:min(at+s.B, len(rows))]}
		for _, row := range b.rows {
			for i, x := range row {
				row[i] = which[x]
				b.tokens += len(rollout[row[i]].Response)
			}
		}
		out = append(out, b)
	}
	return out, nil
}

// each calls place for every response token: token t of a sequence, and the
// position in the rows that predicts it.
func (b batch) each(rollout []*sequence, s shape, place func(seq *sequence, t, position int)) {
	for r, row := range b.rows {
		at := r * s.T
		for _, index := range row {
			seq := rollout[index]
			for t := range seq.Response {
				place(seq, t, at+len(seq.Prompt)+t-1)
			}
			at += len(seq.Prompt) + len(seq.Response)
		}
	}
}

// fill lays the rows out in the inputs of a Program.
func (b batch) fill(x compute.Executable, rollout []*sequence, s shape, responses bool) {
	tokens, positions, segments := x.Ints("tokens"), x.Ints("positions"), x.Ints("segments")
	clear(tokens)
	clear(positions)
	for i := range segments {
		segments[i] = -1
	}
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
		}
	}
	if !responses {
		return
	}
	want := x.Ints("responses")
	for i := range want {
		want[i] = -1
	}
	b.each(rollout, s, func(seq *sequence, t, position int) { want[position] = seq.Response[t] })
}
