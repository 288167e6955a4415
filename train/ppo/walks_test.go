package ppo

import (
	"context"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

// Random walks (the task of trlx's example of that name): on a random graph a
// walk is to reach the goal by as few steps as it can. A language model that
// was trained on random walks knows the edges; what is optimal it learns from
// the reward alone.
const (
	nodes    = 21
	goal     = 0 // the token that ends a walk
	mostNew  = 9 // tokens of a walk after its start
	edgeOdds = .1
)

type graph struct {
	next     [nodes][]int32
	distance [nodes]int // to the goal
}

// newGraph draws graphs until the goal can be reached from everywhere.
func newGraph(seed uint64) *graph {
	for draw := uint64(0); ; draw++ {
		g := &graph{}
		for a := range nodes {
			for b := range nodes {
				if a != b && compute.Uniform(seed, draw, uint64(a*nodes+b)) < edgeOdds {
					g.next[a] = append(g.next[a], int32(b))
				}
			}
		}
		for a := range g.distance {
			g.distance[a] = nodes
		}
		g.distance[goal] = 0
		for range nodes {
			for a := range nodes {
				for _, b := range g.next[a] {
					g.distance[a] = min(g.distance[a], g.distance[b]+1)
				}
			}
		}
		if slices.Max(g.distance[:]) <= mostNew {
			return g
		}
	}
}

// optimality is the shortest way's length over the walk's, 0 for a walk that
// does not reach the goal or leaves the edges.
func (g *graph) optimality(start int32, walk []int32) float32 {
	at := start
	for _, node := range walk {
		if !slices.Contains(g.next[at], node) {
			return 0
		}
		at = node
	}
	if at != goal {
		return 0
	}
	return float32(g.distance[start]) / float32(len(walk))
}

// walk draws a random walk.
func (g *graph) walk(seed, number uint64) []int32 {
	at := int32(1 + compute.Bits(seed, number, 0)%(nodes-1))
	walk := []int32{at}
	for i := range mostNew {
		if at == goal {
			break
		}
		at = g.next[at][compute.Bits(seed, number, uint64(i+1))%uint64(len(g.next[at]))]
		walk = append(walk, at)
	}
	return walk
}

// Protocol A of the learning protocols: the SFT model below .85, PPO at .95 or
// more after 50 updates at most, on three seeds.
func TestPPOLearnsTheShortestWalks(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		g := newGraph(seed)
		engine := newEngine(t)
		config := model.Config{
			Family: model.Llama, Head: model.LanguageModel, Vocabulary: nodes, Context: 40, Width: 32, Layers: 2, Heads: 2, KVHeads: 2, HeadDim: 16,
			FeedForward: 64, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .1, BOS: -1, EOS: -1, Pad: -1,
		}
		policy := newModel(t, engine, config, seed)
		learnWalks(t, policy, g, seed)
		reference, err := policy.Clone()
		if err != nil {
			t.Fatal(err)
		}
		critic, err := policy.WithHead(model.Scalar, seed)
		if err != nil {
			t.Fatal(err)
		}

		c := Defaults()
		c.Iterations, c.Prompts, c.Minibatch, c.MicroRows, c.Slots, c.MaxTokens, c.Epochs = 25, 100, 50, 16, 64, mostNew, 1
		c.PretrainCoef, c.MissingEnd, c.Beta, c.Seed, c.WhitenRewards = 0, "keep", .01, seed, false
		c.LR, c.CriticLR = 3e-3, 3e-3
		l := &lab{t: t, run: newRun(c, config.Context), policy: policy, reference: reference, critic: critic}
		l.sampler.Stop = []int32{goal}
		for node := int32(1); node < nodes; node++ {
			l.sampler.Prompts = append(l.sampler.Prompts, rollout.Prompt{Tokens: []int32{node}})
		}
		l.sampler.Reward = func(_ context.Context, texts []Text) ([]float32, error) {
			scores := make([]float32, len(texts))
			for i, x := range texts {
				scores[i] = g.optimality(x.Tokens[0], x.Response)
			}
			return scores, nil
		}
		if err := l.compile(policy, reference, critic); err != nil {
			t.Fatal(err)
		}
		if l.policyOptimizer, err = train.NewOptimizer(policy, c.AdamW()); err != nil {
			t.Fatal(err)
		}
		if l.criticOpt, err = train.NewOptimizer(critic, c.AdamW()); err != nil {
			t.Fatal(err)
		}
		var scores []float64
		steps := c.Iterations * c.minibatches()
		rates := c.Schedule(steps)
		for step := range steps {
			report, _ := l.take(step, rates.At(step))
			if step%c.minibatches() == 0 {
				scores = append(scores, metric(t, report.Metrics, "objective/scores"))
			}
		}
		final, err := l.sample(t.Context(), c.Iterations)
		if err != nil {
			t.Fatal(err)
		}
		scores = append(scores, mean(final, func(s *sequence) float64 { return float64(s.Score) }))
		t.Logf("seed %d: optimality %.3f", seed, scores)
		if last := scores[len(scores)-1]; scores[0] >= .85 || last < .95 {
			t.Errorf("seed %d: optimality %.3f of the SFT model, %.3f after %d updates; want below .85, then .95 or more", seed, scores[0], last, steps)
		}
	}
}

// learnWalks trains a model on random walks.
func learnWalks(t testing.TB, m *model.Model, g *graph, seed uint64) {
	t.Helper()
	const rows = 16
	lm, err := train.NewLanguageModel(m, rows, m.Context)
	if err != nil {
		t.Fatal(err)
	}
	o, err := train.NewOptimizer(m, train.DefaultOptimizer(1).AdamW())
	if err != nil {
		t.Fatal(err)
	}
	packed := dataset.NewPacked(rows, m.Context)
	s := train.Schedule{Peak: 1e-2, Warmup: 10, Steps: 120, Decay: "linear"}
	for step := range s.Steps {
		var examples []dataset.Example
		var lengths []int
		for i := range 4 * rows {
			walk := g.walk(seed, uint64(step*4*rows+i))
			trained := slices.Repeat([]bool{true}, len(walk))
			trained[0] = false
			examples = append(examples, dataset.Example{Tokens: walk, Trained: trained})
			lengths = append(lengths, len(walk))
		}
		packing, err := dataset.Pack(lengths, m.Context)
		if err != nil {
			t.Fatal(err)
		}
		if err := packed.Fill(packing[:min(rows, len(packing))], examples, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := lm.Accumulate(t.Context(), packed, 1/float64(packed.Learned)); err != nil {
			t.Fatal(err)
		}
		norm, err := o.Norm()
		if err == nil {
			err = o.Step(s.At(step), norm)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
