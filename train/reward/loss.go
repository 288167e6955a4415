package reward

import (
	"context"
	"slices"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// rankingLoss is the loss of Ouyang et al. 2022, equation 1, of one prompt x
// with K ranked completions,
//
//	loss(x) = −1/C(K,2) · Σ log σ( r(x, y_w) − r(x, y_l) )
//
// over all pairs with y_w ranked above y_l, and its mean over the prompts of a
// step. Every completion goes through the model once and takes part in all of
// its K−1 pairs, so K forward passes serve C(K,2) pairs, and the prompt is one
// element of the batch; pairs that are spread over batches would let each
// completion be fitted K−1 times.
//
// Ties are no pairs. Where a ranking has some, the sum is divided by the pairs
// that are there, so that every prompt weighs one.
//
// Two terms are optional: a margin m, log σ(r_w − r_l − m), and
// centering · (r_w + r_l)² in the mean over the pairs, which holds the rewards
// near 0 (Eisenstein et al. 2023).
type rankingLoss struct {
	programs map[int]*lossProgram // by the number of rows
	model    *model.Model
}

// lossProgram is the loss compiled for micro-batches of so many rows.
type lossProgram struct {
	x      compute.Executable
	packed *dataset.Packed
}

// stepSum adds up what the micro-batches of a step tell.
type stepSum struct {
	loss          float64 // mean over the prompts
	right, lead   float64 // sums over the pairs
	pairs         int
	tokens, flops int64
}

// newLoss compiles the loss for every number of rows that the steps have.
// Gradients are accumulated in the model's Store.
func newLoss(m *model.Model, steps []preference.Step, rankings []preference.Ranking, c Config, length int) (*rankingLoss, error) {
	texts, pairs, rows := capacities(steps, rankings)
	l := &rankingLoss{programs: make(map[int]*lossProgram), model: m}
	for _, n := range rows {
		x, err := compileLoss(m, n, length, texts, pairs, c)
		if err != nil {
			return nil, err
		}
		l.programs[n] = &lossProgram{x, dataset.NewPacked(n, length)}
	}
	return l, nil
}

// capacities returns the most texts and pairs of a micro-batch, and the
// numbers of rows that occur.
func capacities(steps []preference.Step, rankings []preference.Ranking) (texts, pairs int, rows []int) {
	for _, s := range steps {
		for _, m := range s.Micros {
			k, n := 0, 0
			for _, x := range m.Prompts {
				k += len(rankings[x].Texts)
				n += len(rankings[x].Pairs)
			}
			texts, pairs = max(texts, k), max(pairs, n)
			rows = append(rows, len(m.Rows))
		}
	}
	slices.Sort(rows)
	return texts, pairs, slices.Compact(rows)
}

// compileLoss builds the loss over micro-batches of at most n texts and pairs
// pairs. Places that a micro-batch leaves free hold −1, which gathers zeros and
// takes no gradient, with the weight 0.
func compileLoss(m *model.Model, rows, length, n, pairs int, c Config) (compute.Executable, error) {
	p := compute.NewProgram("ranking loss")
	hidden := m.Hidden(p, m.NewBatch(p, rows, length))                       // [rows·length, D]
	last := p.Input("last", compute.Int32, n)                                // position of each text's last token
	rewards := head(p, m, compute.GatherRows(hidden, last), c.Centering > 0) // [N, 1]
	pair := func(name string) *compute.Tensor {
		return compute.Reshape(compute.GatherRows(rewards, p.Input(name, compute.Int32, pairs)), pairs)
	}
	winner, loser := pair("winners"), pair("losers") // [P]
	weights := p.Input("weights", compute.Float32, pairs)
	lead := compute.Sub(winner, loser)
	term := compute.Neg(compute.LogSigmoid(compute.Sub(lead, compute.Constant(p, float32(c.Margin)))))
	if c.Centering > 0 {
		term = compute.Add(term, compute.Scale(compute.Square(compute.Add(winner, loser)), float32(c.Centering)))
	}
	loss := compute.Sum(compute.Mul(weights, term))
	p.Output("loss", loss)
	p.Output("leads", lead)
	if err := train.Backward(p, m, loss); err != nil {
		return nil, err
	}
	return m.Engine.Compile(p, m.Store)
}

// head applies the scalar head to hidden states [N, D], giving rewards [N, 1].
// Without centering the loss does not depend on the bias: its gradient is 0 up
// to rounding, and Adam would turn that rounding into steps of full size. So
// the bias is left out, and keeps its value.
func head(p *compute.Program, m *model.Model, hidden *compute.Tensor, centering bool) *compute.Tensor {
	if !centering {
		return compute.Linear(hidden, p.Variable(model.ScoreWeight, 1, m.Width), nil, true)
	}
	return compute.Reshape(m.Score(p, hidden), hidden.Shape[0], 1)
}

// accumulate adds the gradients of a micro-batch of a step of so many prompts
// to the model's, and what it tells to sum.
func (l *rankingLoss) accumulate(ctx context.Context, sum *stepSum, rankings []preference.Ranking, micro preference.MicroBatch, prompts int) error {
	program := l.programs[len(micro.Rows)]
	x := program.x
	last, winners, losers, weights := x.Ints("last"), x.Ints("winners"), x.Ints("losers"), x.Floats("weights")
	for _, free := range [][]int32{last, winners, losers} {
		for i := range free {
			free[i] = -1
		}
	}
	clear(weights)

	var texts [][]int32
	pairs := 0
	for _, r := range micro.Prompts {
		for _, pair := range rankings[r].Pairs {
			winners[pairs], losers[pairs] = int32(len(texts)+pair[0]), int32(len(texts)+pair[1])
			weights[pairs] = float32(1 / (float64(len(rankings[r].Pairs)) * float64(prompts)))
			pairs++
		}
		texts = append(texts, rankings[r].Texts...)
	}
	if err := program.packed.FillTexts(micro.Rows, texts, int32(max(l.model.Pad, 0))); err != nil {
		return err
	}
	program.packed.Feed(x)
	ends := l.model.ReadAt(program.packed.Segments, program.packed.T)
	for _, row := range micro.Rows {
		for _, i := range row {
			last[i], ends = ends[0], ends[1:]
			sum.tokens += int64(len(texts[i]))
		}
	}
	if err := compute.RunUntil(ctx, x); err != nil {
		return err
	}
	sum.loss += float64(x.Floats("loss")[0])
	for _, lead := range x.Floats("leads")[:pairs] {
		sum.lead += float64(lead)
		sum.right += stats.Agreement(float64(lead))
	}
	sum.pairs += pairs
	sum.flops += x.FLOPs()
	return nil
}
