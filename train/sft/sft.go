// Package sft fine-tunes a language model on dialogues: the objective of
// pretraining on another training set, with a loss only on what the assistant
// says and on the token that ends its turn (Ouyang et al. 2022, section 3.5).
package sft

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// Config configures the stage.
type Config struct {
	Epochs    float64 `yaml:"epochs" json:"epochs" doc:"times that each dialogue is seen" above:"0"`
	BatchRows int     `yaml:"batch_rows" json:"batch_rows" doc:"packed rows of a step" min:"1"`
	MicroRows int     `yaml:"micro_rows" json:"micro_rows" doc:"rows of a micro-batch" min:"1"`
	Context   int     `yaml:"context" json:"context" doc:"tokens of a packed row; a longer dialogue is left out; 0: the model's context" min:"0"`

	train.OptimizerConfig `yaml:",inline"`
	train.LoRAConfig      `yaml:",inline"`

	EvalEvery int    `yaml:"eval_every" json:"eval_every" doc:"steps between two measurements on the validation dialogues" min:"1"`
	Seed      uint64 `yaml:"seed" json:"seed" doc:"of the order of the dialogues"`
}

// Defaults suit a model of a few million parameters; for large ones lower the
// rate (InstructGPT: 16 epochs at 9.65e-6 for 1.3B parameters).
func Defaults() Config {
	c := Config{Epochs: 1.5, BatchRows: 8, MicroRows: 8, OptimizerConfig: train.DefaultOptimizer(1.5e-3), LoRAConfig: train.DefaultLoRA(), EvalEvery: 100}
	c.WeightDecay = 0.01
	return c
}

// Validate checks what no single value can say.
func (c Config) Validate() error {
	if c.BatchRows%c.MicroRows != 0 {
		return artifact.Errorf(artifact.ErrUsage, "configuring sft: batch_rows %d is not a multiple of micro_rows %d", c.BatchRows, c.MicroRows)
	}
	return nil
}

// Inputs are the artifacts that the stage reads.
type Inputs struct {
	Base       string // model folder
	Train      string // dialogues, JSONL
	Validation string // dialogues, JSONL; may be empty
}

// Run runs the stage in the folder out, continuing where an earlier run stopped.
// The caller holds the folder's lock.
func Run(ctx context.Context, env stage.Environment, c Config, in Inputs, out string) (*artifact.Manifest, error) {
	return stage.Run(ctx, env, Stage, c, in.paths(), out)
}

// run fine-tunes the base model, continuing where an earlier run stopped.
func run(ctx context.Context, w *stage.Work, c Config, in Inputs) error {
	m, tok, err := train.LoadModel(w.Engine, in.Base)
	if err != nil {
		return err
	}
	m.Recompute = c.Recompute
	if m.Head != model.LanguageModel {
		return artifact.Errorf(artifact.ErrUsage, "configuring sft: the base %s has a %q head; give a language model", in.Base, m.Head)
	}
	length := c.Context
	if length == 0 {
		length = m.Context
	}
	if length > m.Context {
		return artifact.Errorf(artifact.ErrUsage, "configuring sft: context %d is longer than the model's, which is %d", length, m.Context)
	}
	template, err := chat.For(tok)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Base, err)
	}
	ends := chat.Ends(tok, template)
	examples, kept, dropped, err := load(template, in.Train, length)
	if err != nil {
		return err
	}
	var held []dataset.Example
	if in.Validation != "" {
		if held, _, _, err = load(template, in.Validation, length); err != nil {
			return err
		}
	}
	schedule, err := plan(examples, c, length)
	if err != nil {
		return err
	}
	pad, _ := tok.Pad()

	if err := c.LoRAConfig.AddTo(m, c.Seed); err != nil {
		return err
	}
	lm, err := train.NewLanguageModel(m, c.MicroRows, length)
	if err != nil {
		return err
	}
	optimizer, err := train.NewOptimizer(m, c.AdamW())
	if err != nil {
		return err
	}
	w.Log.Printf("sft: %s dialogues (%s do not fit in %d tokens), %s steps of %d rows",
		progress.Count(int64(len(examples))), progress.Count(int64(dropped)), length, progress.Count(int64(len(schedule))), c.BatchRows)

	guard, rates := c.Guard(), c.Schedule(len(schedule))
	if err := rates.Validate(); err != nil {
		return err
	}
	micro := dataset.NewPacked(c.MicroRows, length)
	extra, err := tok.Files()
	if err != nil {
		return err
	}
	loop := &train.Loop{
		Stage: "sft", Folder: w.Dir(), Steps: len(schedule), Config: train.Identity(c, w.Stage), Guard: guard, Log: w.Log, CheckpointSteps: w.CheckpointSteps, Memory: w.Memory,
		States: []train.State{&train.ModelState{Base: in.Base, Model: m, Optimizer: optimizer, Extra: extra, Ends: ends}},
		Step: func(_ context.Context, step int) (train.StepReport, error) {
			rows := schedule[step]
			targets := learned(rows, examples)
			var loss float64
			var tokens, flops int64
			for at := 0; at < len(rows); at += c.MicroRows {
				if err := micro.Fill(rows[at:min(at+c.MicroRows, len(rows))], examples, pad); err != nil {
					return train.StepReport{}, err
				}
				part, err := lm.Accumulate(micro, 1/float64(targets))
				if err != nil {
					return train.StepReport{}, err
				}
				loss += part
				flops += lm.FLOPsOf(micro)
				tokens += int64(used(micro))
			}
			lr := rates.At(step)
			norm, err := guard.Apply(optimizer, lr, loss, func() string {
				var dialogues []int
				for _, row := range rows {
					for _, x := range row {
						dialogues = append(dialogues, kept[x])
					}
				}
				return fmt.Sprintf("the rows of dialogues %v, counted from 1, of %s", dialogues, in.Train)
			})
			return train.StepReport{
				Metrics: []train.Metric{{Name: "loss", Value: loss}, {Name: "grad_norm", Value: norm}, {Name: "lr", Value: lr}, {Name: "learned_tokens", Value: float64(targets)}},
				Tokens:  tokens,
				FLOPs:   flops + optimizer.FLOPs(),
			}, err
		},
		EvaluateEvery: c.EvalEvery,
	}
	if len(held) > 0 {
		loop.Evaluate = func(ctx context.Context, _ int) ([]train.Metric, error) {
			loss, err := Loss(ctx, lm, held)
			return []train.Metric{{Name: "validation/loss", Value: loss}}, err
		}
	}
	totals, err := loop.Run(ctx)
	if err != nil {
		return err
	}
	if err := train.SaveModel(w.Dir(), in.Base, m, tok, 1, ends); err != nil {
		return err
	}
	totals.Fill(&w.Manifest)
	w.Manifest.Metrics["dialogues"] = float64(len(examples))
	w.Manifest.Metrics["dropped"] = float64(dropped)
	return nil
}

// load reads the dialogues that fit into length tokens. kept holds the number
// of each in the file, counted from 1.
func load(r dataset.Renderer, path string, length int) (examples []dataset.Example, kept []int, dropped int, err error) {
	chats, err := dataset.ReadDialogues(path)
	if err != nil {
		return nil, nil, 0, err
	}
	examples, left, err := dataset.Tokenize(r, chats, length)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	if len(examples) == 0 {
		return nil, nil, 0, artifact.Errorf(artifact.ErrUsage, "reading dialogues %s: none of %d fits into %d tokens; give a longer context or shorter dialogues", path, len(chats), length)
	}
	for i := range chats { // left is in order
		if _, found := slices.BinarySearch(left, i); !found {
			kept = append(kept, i+1)
		}
	}
	return examples, kept, len(left), nil
}

// plan lists the packed rows of each step: whole epochs in orders of their
// own, one after the other, and the share of a last one.
func plan(examples []dataset.Example, c Config, length int) ([][][]int, error) {
	lengths := dataset.Lengths(examples)
	var steps [][][]int
	for epoch := 0; float64(epoch) < c.Epochs; epoch++ {
		rows, err := dataset.PackEpoch(lengths, length, c.Seed, uint64(epoch))
		if err != nil {
			return nil, err
		}
		if share := c.Epochs - float64(epoch); share < 1 {
			rows = rows[:max(1, int(share*float64(len(rows))))]
		}
		for at := 0; at < len(rows); at += c.BatchRows {
			steps = append(steps, rows[at:min(at+c.BatchRows, len(rows))])
		}
	}
	return steps, nil
}

// learned counts the targets of rows.
func learned(rows [][]int, examples []dataset.Example) int {
	n := 0
	for _, row := range rows {
		for _, x := range row {
			n += examples[x].Learned()
		}
	}
	return n
}

func used(p *dataset.Packed) int {
	n := 0
	for _, s := range p.Segments {
		if s >= 0 {
			n++
		}
	}
	return n
}

// Loss is the mean loss of the assistant's tokens in nats.
func Loss(ctx context.Context, lm *train.LanguageModel, examples []dataset.Example) (float64, error) {
	logProbs, err := train.LogProbs(ctx, lm, examples)
	if err != nil {
		return 0, err
	}
	var sum float64
	var n int
	for i, e := range examples {
		sum -= logProbs[i]
		n += e.Learned()
	}
	return sum / float64(n), nil
}
