package ppo

import (
	"context"
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

// Inputs are the artifacts that the stage reads.
type Inputs struct {
	Policy  string // SFT model folder
	Critic  string // reward model folder, or any model folder of the same tokenizer
	Prompts string // prompts or dialogues
	Text    string // token shards or a file of text for the pretraining mix; may be empty when its coefficient is 0
	// RewardModel is the folder of what Reward scores with, if it is neither
	// Critic nor the configuration's RewardCommand; it is recorded as an input.
	RewardModel string
	// Reward, if set, scores the responses in place of a model or a program.
	Reward Reward
}

// Run runs the stage in the folder out, continuing where an earlier run stopped.
// The caller holds the folder's lock.
func Run(ctx context.Context, env stage.Environment, c Config, in Inputs, out string) (*artifact.Manifest, error) {
	return stage.Run(ctx, env, define(in.Reward), c, in.paths(), out)
}

// runStage trains the policy, continuing where an earlier run stopped.
func runStage(ctx context.Context, w *stage.Work, c Config, in Inputs) error {
	if c.PretrainCoef > 0 && in.Text == "" {
		return errNoText(c)
	}
	if in.RewardModel != "" {
		note, err := judged(in.RewardModel, c.Force)
		if err != nil {
			return err
		}
		if note != "" {
			w.Log.Warn(fmt.Errorf("ppo: %s", note))
			w.Manifest.Notes = append(w.Manifest.Notes, note)
		}
	}
	t, err := train.Open(w, "ppo", in.Policy)
	if err != nil {
		return err
	}
	if t.Model.Head != model.LanguageModel {
		return artifact.Errorf(artifact.ErrUsage, "configuring ppo: the policy %s has a %q head; give a language model", in.Policy, t.Model.Head)
	}
	critic, err := openCritic(t, c, in)
	if err != nil {
		return err
	}
	length, err := c.length(t.Model, critic)
	if err != nil {
		return err
	}
	if err := t.Converse(); err != nil {
		return err
	}
	r := newRun(c, length)
	r.sampler.Stop = t.Ends
	prompts, dropped, account, err := rollout.ReadPrompts(t.Template, in.Prompts, c.Reading, length-c.MaxTokens)
	account.Record(w.Log, &w.Manifest)
	if err != nil {
		return err
	}
	if len(prompts) == 0 {
		return artifact.Errorf(artifact.ErrUsage, "reading prompts %s: none of %d leaves room for %d tokens in a context of %d", in.Prompts, dropped, c.MaxTokens, length)
	}
	r.sampler.Prompts = prompts
	var judge *model.Model
	if r.sampler.Reward, judge, err = in.reward(w.Environment, c, t.Tokenizer); err != nil {
		return err
	}
	if c.PretrainCoef > 0 {
		shards, err := t.OpenText(ctx, in.Text)
		if err != nil {
			return err
		}
		defer shards.Close()
		if r.stream, err = dataset.NewStream(shards, dataset.StreamOptions{T: length, Seed: c.Seed, Shuffle: true}); err != nil {
			return err
		}
	}
	t.Model.Recompute, critic.Recompute = c.Recompute, c.Recompute
	reference, err := r.prepare(t.Model, critic)
	if err != nil {
		return err
	}
	t.Optimizer, t.Guard = r.updater.policyOptimizer, r.updater.policyGuard
	digest, err := file.Digest(reference)
	if err != nil {
		return err
	}
	w.Log.Printf("ppo: %s prompts (%s do not fit), %s iterations of %d responses, %d steps each",
		progress.Count(int64(len(prompts))), progress.Count(int64(dropped)), progress.Count(int64(c.Iterations)), c.Prompts, c.minibatches())
	frozen := []compute.Post{train.Frozen("the critic", critic)}
	if reference.Store != t.Model.Store { // else the policy's body, which the Trainer has looked at
		frozen = append(frozen, train.Frozen("the reference", reference))
	}
	if judge != nil {
		frozen = append(frozen, train.Frozen("the reward model", judge))
	}
	if err := t.Run(ctx, c, train.Loop{
		Frozen: frozen,
		Steps:  c.Iterations * c.minibatches(),
		Step:   r.update,
		States: []train.State{&train.ModelState{Prefix: "critic-", Base: in.Critic, Model: critic, Optimizer: r.updater.criticOptimizer}, r},
	}); err != nil {
		return err
	}
	after, err := file.Digest(reference)
	if err != nil {
		return err
	}
	if after != digest {
		return fmt.Errorf("finishing ppo: the frozen reference changed while the policy was trained; this is a fault in alma")
	}
	r.result(&w.Manifest)
	return t.Save(c.Temperature)
}

// update takes an optimizer step.
func (r *run) update(ctx context.Context, step int) (train.StepReport, error) {
	return r.step(ctx, step, func(sum *minibatchSum, batch func() string) error { return r.updater.apply(step, sum, batch) })
}

// minibatchSum sums what a minibatch tells.
type minibatchSum struct {
	policyLoss, valueLoss, textLoss  float64
	approxKL, clipped, entropy       float64
	valueClipped, ratio, ratioSquare float64
	tokens                           int
	norm, criticNorm, lr             float64
	flops                            int64
}

// step is one optimizer step: at the beginning of an iteration a rollout, then
// the minibatch that is due. apply lets the optimizers take their step.
func (r *run) step(ctx context.Context, step int, apply func(*minibatchSum, func() string) error) (train.StepReport, error) {
	c := r.config
	per := c.minibatches()
	iteration, minibatch := step/per, step%per
	report := train.StepReport{}
	r.flops = 0
	if r.rollout.Iteration != iteration {
		sequences, err := r.sample(ctx, iteration)
		if err == nil {
			err = r.measure(ctx, sequences)
		}
		if err != nil {
			return report, err
		}
		beta := r.rollout.Controller.Beta
		c.estimate(sequences, beta)
		r.rollout.Iteration, r.rollout.Sequences = iteration, sequences
		if iteration == 0 {
			r.rollout.First = scores(sequences)
		}
		tokens := int64(0)
		for _, s := range sequences {
			tokens += int64(len(s.Response))
		}
		r.rollout.Untold = &told{c.describe(sequences, beta), tokens, r.flops}
		r.rollout.Controller.update(mean(sequences, func(s *sequence) float64 { return s.KL }), len(sequences))
	}
	// Minibatch m of an epoch takes its share of the rollout in a random order.
	epochSteps := per / c.Epochs
	order := compute.Permutation(c.Seed, compute.Stream("ppo minibatches")+uint64(step/epochSteps), len(r.rollout.Sequences))
	m := minibatch % epochSteps
	which := order[m*c.Minibatch : min((m+1)*c.Minibatch, len(order))]
	var s minibatchSum
	if err := r.accumulate(ctx, step, which, &s); err != nil {
		return report, err
	}
	err := apply(&s, func() string {
		return fmt.Sprintf("iteration %d, minibatch %d, responses %v", iteration, minibatch, which)
	})
	n := float64(s.tokens)
	var metrics []train.Metric
	if told := r.rollout.Untold; told != nil {
		metrics, report.Tokens, report.FLOPs = told.Metrics, told.Tokens, told.FLOPs
		r.rollout.Untold = nil
	}
	metrics = append(metrics,
		train.Metric{Name: "loss", Value: s.policyLoss + c.ValueCoef*s.valueLoss + c.PretrainCoef*s.textLoss},
		train.Metric{Name: "loss/policy_avg", Value: s.policyLoss},
		train.Metric{Name: "loss/value_avg", Value: s.valueLoss},
		train.Metric{Name: "policy/approxkl_avg", Value: s.approxKL / n},
		train.Metric{Name: "policy/clipfrac_avg", Value: s.clipped / n},
		train.Metric{Name: "policy/entropy_avg", Value: s.entropy / n},
		train.Metric{Name: "val/clipfrac_avg", Value: s.valueClipped / n},
		train.Metric{Name: "val/ratio", Value: s.ratio / n},
		train.Metric{Name: "val/ratio_var", Value: max(0, s.ratioSquare/n-(s.ratio/n)*(s.ratio/n))},
		train.Metric{Name: "grad_norm", Value: s.norm},
		train.Metric{Name: "critic_grad_norm", Value: s.criticNorm},
		train.Metric{Name: "lr", Value: s.lr},
		train.Metric{Name: "eps", Value: c.Clip},
		train.Metric{Name: "episode", Value: float64((iteration + 1) * c.Prompts)},
	)
	if r.lm != nil {
		metrics = append(metrics, train.Metric{Name: "loss/pretrain_avg", Value: s.textLoss})
		report.Tokens += int64(len(r.text.Tokens))
	}
	report.Metrics = metrics
	report.Tokens += int64(s.tokens)
	report.FLOPs += s.flops
	report.Fields = []string{
		fmt.Sprintf("score %.3f", mean(r.rollout.Sequences, func(s *sequence) float64 { return float64(s.Score) })),
		fmt.Sprintf("kl %.2f", mean(r.rollout.Sequences, func(s *sequence) float64 { return s.KL })),
	}
	return report, err
}

// accumulate adds the gradients of a minibatch to both models, and γ times
// those of the pretraining text to the policy's (detail 32). Once ctx ends it gives up.
func (r *run) accumulate(ctx context.Context, step int, which []int, s *minibatchSum) error {
	c := r.config
	for _, x := range which {
		s.tokens += len(r.rollout.Sequences[x].Response)
	}
	weight := float32(1 / float64(s.tokens))
	sequences := r.rollout.Sequences
	batches, err := rollout.Split(sequences, which, r.shape)
	if err != nil {
		return err
	}
	for _, b := range batches {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		x := r.policy.step
		// What an earlier batch left where there is no response token could
		// overflow in the ratio, and ∞ × a weight of 0 is not a number.
		for _, name := range []string{"old_log_probs", "advantages", "weights"} {
			clear(x.Floats(name))
		}
		x.Fill(b, sequences)
		x.Each(b, sequences, func(seq *sequence, t, i int) {
			x.Floats("old_log_probs")[i], x.Floats("advantages")[i], x.Floats("weights")[i] = seq.OldLogProbs[t], seq.Advantages[t], weight
		})
		flops, err := x.RunOn(ctx, b)
		if err != nil {
			return err
		}
		s.flops += flops
		s.policyLoss += float64(x.Floats("loss")[0])
		x.Each(b, sequences, func(seq *sequence, t, i int) {
			d := float64(x.Floats("log_probs")[i]) - float64(seq.OldLogProbs[t])
			ratio := math.Exp(d)
			s.approxKL += d * d / 2
			s.ratio += ratio
			s.ratioSquare += ratio * ratio
			s.entropy += float64(x.Floats("entropies")[i])
			if math.Abs(ratio-1) > c.Clip {
				s.clipped++
			}
		})
		y := r.critic.step
		for _, name := range []string{"old_values", "returns", "weights"} {
			clear(y.Floats(name))
		}
		y.Fill(b, sequences)
		y.Each(b, sequences, func(seq *sequence, t, i int) {
			y.Floats("old_values")[i], y.Floats("returns")[i], y.Floats("weights")[i] = seq.OldValues[t], seq.Returns[t], weight
		})
		if flops, err = y.RunOn(ctx, b); err != nil {
			return err
		}
		s.flops += flops
		s.valueLoss += float64(y.Floats("loss")[0])
		y.Each(b, sequences, func(seq *sequence, t, i int) {
			if math.Abs(float64(y.Floats("values")[i]-seq.OldValues[t])) > c.ClipValue {
				s.valueClipped++
			}
		})
	}
	if r.lm == nil {
		return nil
	}
	if err := r.stream.Batch(uint64(step)*uint64(c.PretrainRows), r.text.Tokens, r.text.Targets); err != nil {
		return err
	}
	n := float64(len(r.text.Tokens))
	scaled, err := r.lm.Accumulate(ctx, r.text, c.PretrainCoef/n)
	if err != nil {
		return err
	}
	s.textLoss = scaled / c.PretrainCoef
	s.flops += r.lm.FLOPs()
	return nil
}

// describe gives the metrics of a rollout, in TRL's names, over the tokens of
// the responses alone (detail 30).
func (c Config) describe(sequences []*sequence, beta float64) []train.Metric {
	var ended, length, cut float64
	var values, returns []float64
	for _, s := range sequences {
		if s.Ended {
			ended++
		} else {
			cut++
		}
		length += float64(len(s.Response))
		for t := range s.Returns {
			values = append(values, float64(s.OldValues[t]))
			returns = append(returns, float64(s.Returns[t]))
		}
	}
	n := float64(len(sequences))
	kl := mean(sequences, func(s *sequence) float64 { return s.KL })
	return []train.Metric{
		{Name: "objective/kl", Value: kl},
		{Name: "objective/entropy", Value: mean(sequences, func(s *sequence) float64 {
			var sum float64
			for _, e := range s.Entropies {
				sum += float64(e)
			}
			return sum
		})},
		{Name: "objective/non_score_reward", Value: -beta * kl},
		{Name: "objective/rlhf_reward", Value: mean(sequences, func(s *sequence) float64 { return s.Reward })},
		{Name: "objective/scores", Value: mean(sequences, func(s *sequence) float64 { return float64(s.Score) })},
		{Name: "objective/beta", Value: beta},
		{Name: "val/num_eos_tokens", Value: ended},
		{Name: "vf_explained_var", Value: stats.ExplainedVariance(values, returns)},
		{Name: "response_length/mean", Value: length / n},
		{Name: "response_length/clip_ratio", Value: cut / n},
	}
}

func mean(sequences []*sequence, f func(*sequence) float64) float64 {
	var sum float64
	for _, s := range sequences {
		sum += f(s)
	}
	return sum / float64(len(sequences))
}
