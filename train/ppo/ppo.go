package ppo

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

// Config configures the stage.
type Config struct {
	Iterations int `yaml:"iterations" json:"iterations" doc:"rollouts" min:"1"`
	Prompts    int `yaml:"prompts" json:"prompts" doc:"prompts of a rollout" min:"1"`
	Minibatch  int `yaml:"minibatch" json:"minibatch" doc:"responses of an optimizer step" min:"1"`
	Epochs     int `yaml:"epochs" json:"epochs" doc:"times that the update sees a rollout" min:"1"`
	MicroRows  int `yaml:"micro_rows" json:"micro_rows" doc:"packed rows of a micro-batch" min:"1"`
	Context    int `yaml:"context" json:"context" doc:"tokens of a packed row, the longest prompt with its response; 0: the model's context" min:"0"`
	Slots      int `yaml:"slots" json:"slots" doc:"responses that are sampled at one time" min:"1"`

	MaxTokens   int     `yaml:"max_tokens" json:"max_tokens" doc:"longest response" min:"1"`
	Temperature float64 `yaml:"temperature" json:"temperature" doc:"of the sampling and of all log-probabilities" above:"0"`

	Beta        float64     `yaml:"beta" json:"beta" doc:"weight of the KL penalty" min:"0"`
	TargetKL    float64     `yaml:"target_kl" json:"target_kl" doc:"nats a response that beta is adapted to; 0: beta is constant" min:"0"`
	KLHorizon   float64     `yaml:"kl_horizon" json:"kl_horizon" doc:"episodes over which beta is adapted" above:"0"`
	KLEstimator KLEstimator `yaml:"kl_estimator" json:"kl_estimator" doc:"of the KL at a token" enum:"k1,k2,k3"`

	RewardCommand string `yaml:"reward_command" json:"reward_command,omitempty" doc:"program that scores responses in place of the reward model"`

	MissingEnd        string  `yaml:"missing_end" json:"missing_end" doc:"score of a response that did not end itself: replaced by −penalty, lowered by it, or kept" enum:"replace,subtract,keep"`
	MissingEndPenalty float64 `yaml:"missing_end_penalty" json:"missing_end_penalty" doc:"see missing_end" min:"0"`
	ClipScore         float64 `yaml:"clip_score" json:"clip_score" doc:"scores are clipped to ± this; 0 does not clip" min:"0"`
	WhitenRewards     bool    `yaml:"whiten_rewards" json:"whiten_rewards" doc:"divide the rewards of a rollout by their standard deviation"`

	Gamma     float64 `yaml:"gamma" json:"gamma" doc:"discount of a token" min:"0" max:"1"`
	Lambda    float64 `yaml:"lambda" json:"lambda" doc:"of the advantage estimate" min:"0" max:"1"`
	Clip      float64 `yaml:"clip_ratio" json:"clip_ratio" doc:"range of the probability ratio" above:"0"`
	ClipValue float64 `yaml:"clip_value" json:"clip_value" doc:"range of the value's change" above:"0"`
	ValueCoef float64 `yaml:"value_coefficient" json:"value_coefficient" doc:"weight of the value loss" above:"0"`

	PretrainCoef float64 `yaml:"pretrain_coefficient" json:"pretrain_coefficient" doc:"γ: weight of the loss on pretraining text; 0: none" min:"0"`
	PretrainRows int     `yaml:"pretrain_rows" json:"pretrain_rows" doc:"rows of pretraining text in each optimizer step" min:"1"`

	train.OptimizerConfig `yaml:",inline"`
	train.LoRAConfig      `yaml:",inline"`
	CriticLR              float64 `yaml:"critic_lr" json:"critic_lr" doc:"peak learning rate of the critic" above:"0"`

	Seed uint64 `yaml:"seed" json:"seed" doc:"of the order of the prompts and of sampling"`
}

// Defaults suit a model of a few million parameters (InstructGPT: β .02,
// batches of 512 in minibatches of 64, γ 27.8, rate 9e-6 for the critic).
func Defaults() Config {
	c := Config{
		Iterations: 24, Prompts: 128, Minibatch: 32, Epochs: 1, MicroRows: 3, Slots: 64,
		MaxTokens: 64, Temperature: 1, Beta: .1, KLHorizon: 10000, KLEstimator: K1,
		MissingEnd: "replace", MissingEndPenalty: 1, WhitenRewards: true,
		Gamma: 1, Lambda: .95, Clip: .2, ClipValue: .2, ValueCoef: .1,
		PretrainCoef: .1, PretrainRows: 4,
		OptimizerConfig: train.DefaultOptimizer(3e-4), LoRAConfig: train.DefaultLoRA(), CriticLR: 5e-4,
	}
	// Adam's epsilon as in PPO's first implementations (detail 4); the rate
	// anneals to 0 (detail 5).
	c.Epsilon, c.Decay, c.WeightDecay = 1e-5, "linear", 0
	return c
}

// minibatches is the number of optimizer steps of an iteration.
func (c Config) minibatches() int {
	return c.Epochs * ((c.Prompts + c.Minibatch - 1) / c.Minibatch)
}

// Inputs are the artifacts that the stage reads.
type Inputs struct {
	Policy  string // SFT model folder
	Critic  string // reward model folder, or any model folder of the same tokenizer
	Prompts string // JSONL
	Text    string // token shards or a file of text for the pretraining mix; may be empty when its coefficient is 0
	// RewardModel is the folder of what Reward scores with, if it is neither
	// Critic nor the configuration's RewardCommand; it is recorded as an input.
	RewardModel string
	// Reward, if set, scores the responses in their place.
	Reward Reward
}

// run is the state of a stage while it runs.
type run struct {
	config  Config
	shape   rollout.Shape
	sampler *rollout.Sampler

	policy    passes
	reference passes
	critic    passes
	updater   *updater
	lm        *train.LanguageModel
	stream    *dataset.Stream
	text      *dataset.Packed

	flops int64

	rollout iteration
}

// iteration is the part of the state that lives between the optimizer steps of
// an iteration (detail 34).
type iteration struct {
	Iteration  int         `json:"iteration"` // −1 before the first
	Controller controller  `json:"controller"`
	Sequences  []*sequence `json:"sequences"`
}

// Save implements train.State.
func (r *run) Save() (artifact.Contents, error) {
	data, err := json.Marshal(r.rollout)
	if err != nil {
		return nil, fmt.Errorf("encoding rollout: %w", err)
	}
	return artifact.Contents{"rollout.json": artifact.Bytes(data)}, nil
}

// Snapshot implements train.State: Save encodes at once.
func (r *run) Snapshot() (artifact.Contents, error) { return r.Save() }

// SnapshotSize implements train.State.
func (r *run) SnapshotSize() int64 { return 0 } // little beside the models

// Load implements train.State.
func (r *run) Load(c *artifact.Checkpoint) error {
	data, err := c.ReadFile("rollout.json")
	if err != nil {
		return err
	}
	var loaded iteration
	if err := json.Unmarshal(data, &loaded); err != nil {
		return artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading rollout.json: %w", err))
	}
	loaded.Controller.target, loaded.Controller.horizon = r.rollout.Controller.target, r.rollout.Controller.horizon
	r.rollout = loaded
	return nil
}

// newRun returns a run of rows of so many tokens before its first rollout.
func newRun(c Config, length int) *run {
	return &run{
		config: c,
		shape:  rollout.Shape{B: c.MicroRows, T: length},
		sampler: &rollout.Sampler{
			Order:    "ppo prompts",
			Sampling: generate.Sampling{Temperature: c.Temperature, Seed: c.Seed, MaxTokens: c.MaxTokens},
		},
		rollout: iteration{Iteration: -1, Controller: controller{Beta: c.Beta, target: c.TargetKL, horizon: c.KLHorizon}},
	}
}

// compile prepares the Programs of a run for its models; the pretraining mix
// is a part of it if there is a stream of text.
func (r *run) compile(policy, reference, critic *model.Model) (err error) {
	c := r.config
	if r.policy, err = policyPasses(policy, r.shape, c.Temperature, c.Clip, true); err != nil {
		return err
	}
	if r.reference, err = policyPasses(reference, r.shape, c.Temperature, c.Clip, false); err != nil {
		return err
	}
	if r.critic, err = criticPasses(critic, r.shape, c.ClipValue, c.ValueCoef); err != nil {
		return err
	}
	if r.stream != nil {
		if r.lm, err = train.NewLanguageModel(policy, c.PretrainRows, policy.Context); err != nil {
			return err
		}
		r.text = train.NewTextRows(c.PretrainRows, policy.Context)
	}
	return r.sampler.Use(policy, c.Slots, r.shape.T)
}

// addAdapters puts the adapters that are asked for on the policy and the critic
// and returns the frozen reference: a copy of the policy or, where an adapter
// holds all that is trained, the policy's own body without it.
func (c Config) addAdapters(policy, critic *model.Model) (reference *model.Model, err error) {
	if c.LoRAConfig.Rank == 0 {
		return policy.Clone()
	}
	if err := c.LoRAConfig.AddTo(policy, c.Seed); err != nil {
		return nil, err
	}
	if err := c.LoRAConfig.AddTo(critic, c.Seed); err != nil {
		return nil, err
	}
	return policy.WithoutAdapter(), nil
}

// prepare makes a run ready for its first step: adapters, Programs and
// optimizers. It returns the frozen reference.
func (r *run) prepare(policy, critic *model.Model) (reference *model.Model, err error) {
	c := r.config
	if reference, err = c.addAdapters(policy, critic); err != nil {
		return nil, err
	}
	if err := r.compile(policy, reference, critic); err != nil {
		return nil, err
	}
	policyOptimizer, err := train.NewOptimizer(policy, c.AdamW())
	if err != nil {
		return nil, err
	}
	criticOptimizer, err := train.NewOptimizer(critic, c.AdamW())
	if err != nil {
		return nil, err
	}
	r.updater, err = newUpdater(c, c.Iterations*c.minibatches(), policyOptimizer, criticOptimizer)
	return reference, err
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
	prompts, dropped, err := rollout.ReadPrompts(t.Template, in.Prompts, length-c.MaxTokens)
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
		shards, err := openText(ctx, w, in.Text, t.Tokenizer)
		if err != nil {
			return err
		}
		defer shards.Close()
		if shards.Info.VocabSize > t.Model.Vocabulary {
			return artifact.Errorf(artifact.ErrUsage, "configuring ppo: the pretraining text %s is of %d tokens and the policy %s has %d; both must have one tokenizer", in.Text, shards.Info.VocabSize, in.Policy, t.Model.Vocabulary)
		}
		if r.stream, err = dataset.NewStream(shards, dataset.StreamOptions{T: t.Model.Context, Seed: c.Seed, Shuffle: true}); err != nil {
			return err
		}
	}
	t.Model.Recompute, critic.Recompute = c.Recompute, c.Recompute
	reference, err := r.prepare(t.Model, critic)
	if err != nil {
		return err
	}
	t.Optimizer, t.Guard = r.updater.policyOptimizer, r.updater.policyGuard
	digest, err := reference.Digest()
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
	after, err := reference.Digest()
	if err != nil {
		return err
	}
	if after != digest {
		return fmt.Errorf("finishing ppo: the frozen reference changed while the policy was trained; this is a fault in alma")
	}
	return t.Save(c.Temperature)
}

// openCritic opens what the critic begins as, and checks that it and the reward
// model read the tokens that the policy writes.
func openCritic(t *train.Trainer, c Config, in Inputs) (*model.Model, error) {
	critic, err := model.Load(t.Engine, in.Critic)
	if err != nil {
		return nil, err
	}
	if critic.Vocabulary != t.Model.Vocabulary {
		return nil, artifact.Errorf(artifact.ErrUsage, "configuring ppo: the critic %s has %d tokens and the policy %s has %d; both must have one tokenizer", in.Critic, critic.Vocabulary, in.Policy, t.Model.Vocabulary)
	}
	for _, folder := range []string{in.Critic, in.RewardModel} {
		if folder == "" {
			continue
		}
		if err := sameTokenizer(t.Tokenizer, in.Policy, folder); err != nil {
			return nil, err
		}
	}
	if critic.Head != model.Scalar {
		return critic.WithHead(model.Scalar, c.Seed)
	}
	return critic, nil
}

// length is the tokens of a packed row, which both models must have positions for.
func (c Config) length(policy, critic *model.Model) (int, error) {
	longest := min(policy.Context, critic.Context)
	if c.Context > longest {
		return 0, artifact.Errorf(artifact.ErrUsage, "configuring ppo: context %d is longer than the models', which is %d", c.Context, longest)
	}
	if c.Context == 0 {
		return longest, nil
	}
	return c.Context, nil
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
	var metrics []train.Metric
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
		metrics = c.describe(sequences, beta)
		r.rollout.Controller.update(mean(sequences, func(s *sequence) float64 { return s.KL }), len(sequences))
		for _, s := range sequences {
			report.Tokens += int64(len(s.Response))
		}
	}
	// Minibatch m of an epoch takes its share of the rollout in a random order.
	epochSteps := per / c.Epochs
	order := compute.Permutation(c.Seed, compute.Stream("ppo minibatches")+uint64(step/epochSteps), len(r.rollout.Sequences))
	m := minibatch % epochSteps
	which := order[m*c.Minibatch : min((m+1)*c.Minibatch, len(order))]
	var s minibatchSum
	if err := r.accumulate(step, which, &s); err != nil {
		return report, err
	}
	err := apply(&s, func() string {
		return fmt.Sprintf("iteration %d, minibatch %d, responses %v", iteration, minibatch, which)
	})
	n := float64(s.tokens)
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
	report.FLOPs = r.flops + s.flops
	report.Fields = []string{
		fmt.Sprintf("score %.3f", mean(r.rollout.Sequences, func(s *sequence) float64 { return float64(s.Score) })),
		fmt.Sprintf("kl %.2f", mean(r.rollout.Sequences, func(s *sequence) float64 { return s.KL })),
	}
	return report, err
}

// accumulate adds the gradients of a minibatch to both models, and γ times
// those of the pretraining text to the policy's (detail 32).
func (r *run) accumulate(step int, which []int, s *minibatchSum) error {
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
		flops, err := x.RunOn(b)
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
		if flops, err = y.RunOn(b); err != nil {
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
	scaled, err := r.lm.Accumulate(r.text, c.PretrainCoef/n)
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
