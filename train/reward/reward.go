package reward

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// Config configures the stage.
type Config struct {
	Epochs       float64 `yaml:"epochs" json:"epochs" doc:"times that each ranking is seen; more than 1 overfits quickly" above:"0"`
	BatchPrompts int     `yaml:"batch_prompts" json:"batch_prompts" doc:"prompts of a step, each with all its completions" min:"1"`
	MicroRows    int     `yaml:"micro_rows" json:"micro_rows" doc:"most packed rows of a micro-batch; the completions of a prompt must fit into one" min:"1"`
	Context      int     `yaml:"context" json:"context" doc:"tokens of a packed row; a prompt with a longer completion is left out; 0: the model's context" min:"0"`
	Margin       float64 `yaml:"margin" json:"margin" doc:"lead that the better completion must have beyond the other" min:"0"`
	Centering    float64 `yaml:"centering" json:"centering" doc:"coefficient of (r_w + r_l)², which pulls rewards towards 0" min:"0"`

	train.OptimizerConfig `yaml:",inline"`
	train.LoRAConfig      `yaml:",inline"`

	Demonstrations int `yaml:"max_demonstrations" json:"max_demonstrations" doc:"most demonstrations that the bias is set to, drawn by the seed; 0: all" min:"0"`
	EvalEvery      int `yaml:"eval_every" json:"eval_every" doc:"steps between two measurements on the validation rankings" min:"1"`
	// ValidationShare counts where no file of validation rankings is given.
	ValidationShare float64 `yaml:"validation_share" json:"validation_share,omitempty" doc:"share of the rankings that is held out to measure on where no file of validation rankings is given, by a hash of the prompt" min:"0" max:"0.9"`
	Seed            uint64  `yaml:"seed" json:"seed" doc:"of the new head and of the order of the prompts"`

	dataset.Reading `yaml:",inline"`
}

// Defaults suit a model of a few million parameters; for large ones lower the
// rate (InstructGPT: 64 prompts a step at 9e-6 for 6B parameters; one epoch
// there too).
func Defaults() Config {
	c := Config{Epochs: 1, BatchPrompts: 16, MicroRows: 8, OptimizerConfig: train.DefaultOptimizer(7e-4), LoRAConfig: train.DefaultLoRA(), EvalEvery: 50, Reading: dataset.DefaultReading()}
	c.WeightDecay = 0.01
	return c
}

// Inputs are the artifacts that the stage reads.
type Inputs struct {
	// Base is a folder with the fine-tuned model. One that is a reward model
	// already goes on with the head that it has.
	Base           string
	Rankings       string // rankings or pairs
	Validation     string // rankings or pairs; may be empty
	Demonstrations string // dialogues; empty: the bias is not set
}

// ValidationFile is the file of the stage's folder with the final [Validation],
// absent where there are no validation rankings.
const ValidationFile = "validation.json"

// Run runs the stage in the folder out, continuing where an earlier run stopped.
// The caller holds the folder's lock.
func Run(ctx context.Context, env stage.Environment, c Config, in Inputs, out string) (*artifact.Manifest, error) {
	return stage.Run(ctx, env, Stage, c, in.paths(), out)
}

// modelling is a run of the stage.
type modelling struct {
	*train.Trainer
	Config
	rankings []preference.Ranking
	held     []preference.Ranking // to measure on
	plan     []preference.Step
	loss     *rankingLoss
	scorer   *preference.Scorer

	validation Validation // after validated steps
	validated  int
}

// run trains a reward model from the base model, continuing where an earlier run
// stopped.
func run(ctx context.Context, w *stage.Work, c Config, in Inputs) error {
	t, err := train.Open(w, "reward", in.Base)
	if err != nil {
		return err
	}
	if t.Model.Family.Encoder() {
		return artifact.Errorf(artifact.ErrUsage, "configuring reward: the base %s is an encoder (%s), and rewards are read from a decoder, which writes what is rewarded; give a fine-tuned language model", in.Base, t.Model.Family)
	}
	length, err := t.Length(c.Context)
	if err != nil {
		return err
	}
	if err := t.Converse(); err != nil {
		return err
	}
	r := &modelling{Trainer: t, Config: c, validated: -1}
	file, err := preference.Load(t.Template, in.Rankings, c.Reading, c.MicroRows, length)
	file.Record(w.Log, &w.Manifest)
	if err != nil {
		return err
	}
	r.rankings = file.Rankings
	if in.Validation != "" {
		held, err := preference.Load(t.Template, in.Validation, c.Reading, c.MicroRows, length)
		held.Record(w.Log, &w.Manifest)
		if err != nil {
			return err
		}
		r.held = held.Rankings
	} else if err := r.holdOut(in.Rankings); err != nil {
		return err
	}
	var demonstrations [][]int32
	if in.Demonstrations != "" {
		var account *dataset.Account
		demonstrations, account, err = loadDemonstrations(t.Template, in.Demonstrations, c, length)
		account.Record(w.Log, &w.Manifest)
		if err != nil {
			return err
		}
	}
	if r.plan, err = plan(r.rankings, c, length); err != nil {
		return err
	}
	if t.Model, err = t.Model.WithHead(model.Scalar, c.Seed); err != nil {
		return err
	}
	if err := t.Adapt(c.OptimizerConfig, c.LoRAConfig, c.Seed); err != nil {
		return err
	}
	if r.loss, err = newLoss(t.Model, r.plan, r.rankings, c, length); err != nil {
		return err
	}
	if err := t.Optimize(c.OptimizerConfig, len(r.plan)); err != nil {
		return err
	}
	if r.scorer, err = preference.NewScorer(t.Model, c.MicroRows, length); err != nil {
		return err
	}
	w.Log.Printf("reward: %s prompts (%s do not fit into %d rows of %d tokens, %s have ties only), %s steps of %d prompts",
		progress.Count(int64(len(r.rankings))), progress.Count(int64(file.Long)), c.MicroRows, length,
		progress.Count(int64(file.Tied)), progress.Count(int64(len(r.plan))), c.BatchPrompts)
	loop := train.Loop{Steps: len(r.plan), Step: r.step, EvaluateEvery: c.EvalEvery, Held: "validation/nll"}
	if len(r.held) > 0 {
		loop.Evaluate = r.evaluate
	}
	if err := t.Run(ctx, c, loop); err != nil {
		return err
	}
	metrics := w.Manifest.Metrics
	metrics["rankings"], metrics["dropped_long"], metrics["dropped_tied"] = float64(len(r.rankings)), float64(file.Long), float64(file.Tied)
	if len(file.Annotators) > 0 {
		w.Manifest.Extra = map[string]string{"annotators": strings.Join(file.Annotators, ", ")}
	}
	if err := r.validate(ctx); err != nil {
		return err
	}
	if err := r.center(ctx, demonstrations); err != nil {
		return err
	}
	return t.Save(1)
}

// step is the mean ranking loss over the step's prompts.
func (r *modelling) step(ctx context.Context, step int) (train.StepReport, error) {
	var sum stepSum
	for i, micro := range r.plan[step].Micros {
		if ctx.Err() != nil {
			return train.StepReport{}, context.Cause(ctx)
		}
		r.Within(step, i, len(r.plan[step].Micros))
		if err := r.loss.accumulate(ctx, &sum, r.rankings, micro, r.plan[step].Prompts()); err != nil {
			return train.StepReport{}, err
		}
	}
	update, err := r.Update(step, sum.loss, func() string { return "rankings " + r.plan[step].Lines(r.rankings) })
	accuracy, lead := sum.right/float64(sum.pairs), sum.lead/float64(sum.pairs)
	metrics := append([]train.Metric{{Name: "loss", Value: sum.loss}}, update.Metrics()...)
	return train.StepReport{
		Metrics: append(metrics, train.Metric{Name: "accuracy", Value: accuracy}, train.Metric{Name: "lead", Value: lead}),
		Tokens:  sum.tokens,
		FLOPs:   sum.flops + r.Optimizer.FLOPs(),
		Fields:  []string{fmt.Sprintf("acc %.3f", accuracy)},
	}, err
}

func (r *modelling) evaluate(ctx context.Context, step int) ([]train.Metric, error) {
	v, err := validate(ctx, r.scorer, r.held)
	r.validation, r.validated = v, step
	return v.metrics(), err
}

// validate writes what the finished model reaches on the validation rankings.
func (r *modelling) validate(ctx context.Context) error {
	// What the last step's few pairs gave says nothing of the model.
	for _, name := range []string{"accuracy", "lead", "loss"} {
		delete(r.Manifest.Metrics, name)
	}
	if len(r.held) == 0 {
		r.Manifest.Notes = append(r.Manifest.Notes, "No rankings were held out, so nothing is known of how well it orders answers that it did not learn from; give --validation FILE or validation_share.")
		return nil
	}
	if r.validated != len(r.plan) { // the steps were done in an earlier run
		if _, err := r.evaluate(ctx, len(r.plan)); err != nil {
			return err
		}
	}
	for _, metric := range r.validation.metrics() {
		r.Manifest.Metrics[metric.Name] = metric.Value
	}
	if v := r.validation; v.Prompts > 1 { // else there is no interval
		r.Manifest.Metrics[preference.AccuracyLow], r.Manifest.Metrics[preference.AccuracyHigh] = v.Interval.Low, v.Interval.High
	}
	r.Manifest.Metrics["validation/pairs"] = float64(r.validation.Pairs)
	r.Manifest.Notes = append(r.Manifest.Notes, r.validation.sentence())
	if !r.validation.BetterThanChance() {
		r.Log.Warn(fmt.Errorf("reward: %s", r.validation.sentence()))
	}
	return r.validation.write(filepath.Join(r.Dir(), ValidationFile))
}

// center sets the bias by demonstrations, if there are any.
func (r *modelling) center(ctx context.Context, demonstrations [][]int32) error {
	if len(demonstrations) == 0 {
		r.Manifest.Notes = append(r.Manifest.Notes, "No demonstrations were given, so the bias of the head was not set: only differences of rewards mean something.")
		return nil
	}
	r.Log.Printf("reward: setting the bias by %s demonstrations", progress.Count(int64(len(demonstrations))))
	bias, err := setBias(ctx, r.Model, r.scorer, demonstrations)
	r.Manifest.Metrics["bias"], r.Manifest.Metrics["demonstrations"] = bias, float64(len(demonstrations))
	return err
}

// Render is [preference.Render].
func Render(template *chat.Template, prompt dataset.Prompt, completion string, ended bool) ([]int32, error) {
	return preference.Render(template, prompt, completion, ended)
}

// plan lists the steps.
func plan(rankings []preference.Ranking, c Config, length int) ([]preference.Step, error) {
	return preference.Plan(rankings, preference.PlanOptions{Epochs: c.Epochs, Prompts: c.BatchPrompts, Rows: c.MicroRows, Length: length, Seed: c.Seed})
}

// setBias moves the head's bias so that the texts' mean reward is 0, and
// returns it.
func setBias(ctx context.Context, m *model.Model, s *preference.Scorer, texts [][]int32) (float64, error) {
	rewards, err := s.Scores(ctx, texts)
	if err != nil {
		return 0, err
	}
	bias := make([]float32, 1)
	if err := m.Store.Read(model.ScoreBias, bias); err != nil {
		return 0, err
	}
	bias[0] = float32(float64(bias[0]) - mean(rewards))
	return float64(bias[0]), m.Store.Write(model.ScoreBias, bias)
}

func mean(rewards []float32) float64 {
	sum := 0.0
	for _, r := range rewards {
		sum += float64(r)
	}
	return sum / float64(len(rewards))
}

// validate measures the rewards of rankings against their order.
func validate(ctx context.Context, s *preference.Scorer, rankings []preference.Ranking) (Validation, error) {
	var texts [][]int32
	for _, r := range rankings {
		texts = append(texts, r.Texts...)
	}
	rewards, err := s.Scores(ctx, texts)
	if err != nil {
		return Validation{}, err
	}
	scored := make([]Scored, len(rankings))
	for i, r := range rankings {
		k := len(r.Texts)
		scored[i] = Scored{Rewards: rewards[:k], Ranks: r.Ranks}
		rewards = rewards[k:]
	}
	return Measure(scored), nil
}

func (v Validation) write(path string) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return artifact.WriteFile(path, append(data, '\n'))
}

// holdOut splits the share that is measured on off the rankings.
func (r *modelling) holdOut(path string) error {
	var rankings []preference.Ranking
	for _, one := range r.rankings {
		if dataset.HeldOut(one.Texts[0][:one.Begin], r.ValidationShare) {
			r.held = append(r.held, one)
		} else {
			rankings = append(rankings, one)
		}
	}
	if len(rankings) == 0 {
		return artifact.Errorf(artifact.ErrUsage, "reading rankings %s: all %d that can be used are held out; give more rankings, or a smaller validation_share", path, len(r.held))
	}
	r.rankings = rankings
	return nil
}
