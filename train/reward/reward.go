package reward

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
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

	Demonstrations int    `yaml:"demonstrations" json:"demonstrations" doc:"most demonstrations that the bias is set to, drawn by the seed; 0: all" min:"0"`
	EvalEvery      int    `yaml:"eval_every" json:"eval_every" doc:"steps between two measurements on the validation rankings" min:"1"`
	Seed           uint64 `yaml:"seed" json:"seed" doc:"of the new head and of the order of the prompts"`
}

// Defaults suit a model of a few million parameters; for large ones lower the
// rate (InstructGPT: 64 prompts a step at 9e-6 for 6B parameters; one epoch
// there too).
func Defaults() Config {
	c := Config{Epochs: 1, BatchPrompts: 16, MicroRows: 8, OptimizerConfig: train.DefaultOptimizer(7e-4), LoRAConfig: train.DefaultLoRA(), EvalEvery: 50}
	c.WeightDecay = 0.01
	return c
}

// Inputs are the artifacts that the stage reads.
type Inputs struct {
	// Base is a folder with the fine-tuned model. One that is a reward model
	// already goes on with the head that it has.
	Base           string
	Rankings       string // rankings or pairs, JSONL
	Validation     string // rankings or pairs, JSONL; may be empty
	Demonstrations string // dialogues, JSONL; empty: the bias is not set
}

// ValidationFile is the file of the stage's folder with the final [Validation],
// absent where there are no validation rankings.
const ValidationFile = "validation.json"

// Run runs the stage in the folder out, continuing where an earlier run stopped.
// The caller holds the folder's lock.
func Run(ctx context.Context, env stage.Environment, c Config, in Inputs, out string) (*artifact.Manifest, error) {
	return stage.Run(ctx, env, Stage, c, in.paths(), out)
}

// run trains a reward model from the base model, continuing where an earlier run
// stopped.
func run(ctx context.Context, w *stage.Work, c Config, in Inputs) error {
	base, tok, err := train.LoadModel(w.Engine, in.Base)
	if err != nil {
		return err
	}
	if base.Family.Encoder() {
		return artifact.Errorf(artifact.ErrUsage, "configuring reward: the base %s is an encoder (%s), and rewards are read from a decoder, which writes what is rewarded; give a fine-tuned language model", in.Base, base.Family)
	}
	length := c.Context
	if length == 0 {
		length = base.Context
	}
	if length > base.Context {
		return artifact.Errorf(artifact.ErrUsage, "configuring reward: context %d is longer than the model's, which is %d", length, base.Context)
	}
	template, err := chat.For(tok)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Base, err)
	}
	ends := chat.Ends(tok, template)
	file, err := load(template, in.Rankings, c.MicroRows, length)
	if err != nil {
		return err
	}
	rankings := file.rankings
	var held []ranking
	if in.Validation != "" {
		f, err := load(template, in.Validation, c.MicroRows, length)
		if err != nil {
			return err
		}
		held = f.rankings
	}
	var demonstrations [][]int32
	if in.Demonstrations != "" {
		if demonstrations, err = loadDemonstrations(template, in.Demonstrations, c, length); err != nil {
			return err
		}
	}
	steps, err := plan(rankings, c, length)
	if err != nil {
		return err
	}
	rates := c.Schedule(len(steps))
	if err := rates.Validate(); err != nil {
		return err
	}

	m, err := base.WithHead(model.Scalar, c.Seed)
	if err != nil {
		return err
	}
	m.Recompute = c.Recompute
	if err := c.LoRAConfig.AddTo(m, c.Seed); err != nil {
		return err
	}
	loss, err := newLoss(m, steps, rankings, c, length)
	if err != nil {
		return err
	}
	optimizer, err := train.NewOptimizer(m, c.AdamW())
	if err != nil {
		return err
	}
	scorer, err := preference.NewScorer(m, c.MicroRows, length)
	if err != nil {
		return err
	}
	w.Log.Printf("reward: %s prompts (%s do not fit into %d rows of %d tokens, %s have ties only), %s steps of %d prompts",
		progress.Count(int64(len(rankings))), progress.Count(int64(file.long)), c.MicroRows, length,
		progress.Count(int64(file.tied)), progress.Count(int64(len(steps))), c.BatchPrompts)

	extra, err := tok.Files()
	if err != nil {
		return err
	}
	guard := c.Guard()
	loop := &train.Loop{
		Stage: "reward", Folder: w.Dir(), Steps: len(steps), Config: train.Identity(c, w.Stage), Guard: guard, Log: w.Log, CheckpointSteps: w.CheckpointSteps, Memory: w.Memory,
		States: []train.State{&train.ModelState{Base: in.Base, Model: m, Optimizer: optimizer, Extra: extra, Ends: ends}},
		Step: func(_ context.Context, step int) (train.StepReport, error) {
			var sum stepSum
			for _, micro := range steps[step].micros {
				if err := loss.accumulate(&sum, rankings, micro, steps[step].prompts()); err != nil {
					return train.StepReport{}, err
				}
			}
			lr := rates.At(step)
			norm, err := guard.Apply(optimizer, lr, sum.loss, func() string { return "rankings " + steps[step].lines(rankings) })
			return train.StepReport{
				Metrics: []train.Metric{
					{Name: "loss", Value: sum.loss}, {Name: "grad_norm", Value: norm}, {Name: "lr", Value: lr},
					{Name: "accuracy", Value: sum.right / float64(sum.pairs)}, {Name: "lead", Value: sum.lead / float64(sum.pairs)},
				},
				Tokens: sum.tokens,
				FLOPs:  sum.flops + optimizer.FLOPs(),
				Fields: []string{fmt.Sprintf("acc %.3f", sum.right/float64(sum.pairs))},
			}, err
		},
		EvaluateEvery: c.EvalEvery,
	}
	var validation Validation // after validated steps
	validated := -1
	if len(held) > 0 {
		loop.Evaluate = func(ctx context.Context, step int) ([]train.Metric, error) {
			v, err := validate(ctx, scorer, held)
			validation, validated = v, step
			return v.metrics(), err
		}
	}
	totals, err := loop.Run(ctx)
	if err != nil {
		return err
	}
	totals.Fill(&w.Manifest)
	metrics := w.Manifest.Metrics
	metrics["rankings"], metrics["dropped_long"], metrics["dropped_tied"] = float64(len(rankings)), float64(file.long), float64(file.tied)
	if len(file.annotators) > 0 {
		w.Manifest.Extra = map[string]string{"annotators": strings.Join(file.annotators, ", ")}
	}
	if len(held) > 0 {
		if validated != len(steps) { // the steps were done in an earlier run
			if validation, err = validate(ctx, scorer, held); err != nil {
				return err
			}
		}
		for _, metric := range validation.metrics() {
			metrics[metric.Name] = metric.Value
		}
		if err := validation.write(filepath.Join(w.Dir(), ValidationFile)); err != nil {
			return err
		}
	}
	if len(demonstrations) == 0 {
		w.Manifest.Notes = append(w.Manifest.Notes, "No demonstrations were given, so the bias of the head was not set: only differences of rewards mean something.")
	} else {
		w.Log.Printf("reward: setting the bias by %s demonstrations", progress.Count(int64(len(demonstrations))))
		bias, err := setBias(ctx, m, scorer, demonstrations)
		if err != nil {
			return err
		}
		metrics["bias"], metrics["demonstrations"] = bias, float64(len(demonstrations))
	}
	if err := train.SaveModel(w.Dir(), in.Base, m, tok, 1, ends); err != nil {
		return err
	}
	return nil
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
func validate(ctx context.Context, s *preference.Scorer, rankings []ranking) (Validation, error) {
	var texts [][]int32
	for _, r := range rankings {
		texts = append(texts, r.texts...)
	}
	rewards, err := s.Scores(ctx, texts)
	if err != nil {
		return Validation{}, err
	}
	scored := make([]Scored, len(rankings))
	for i, r := range rankings {
		k := len(r.texts)
		scored[i] = Scored{Rewards: rewards[:k], Ranks: r.ranks}
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
