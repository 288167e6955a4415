// Package sft fine-tunes a language model on dialogues: the objective of
// pretraining on another training set, with a loss only on what the assistant
// says and on the token that ends its turn (Ouyang et al. 2022, section 3.5).
package sft

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
)

// Config configures the stage.
type Config struct {
	Epochs    float64 `yaml:"epochs" json:"epochs" doc:"times that each dialogue is seen" above:"0"`
	BatchRows int     `yaml:"batch_rows" json:"batch_rows" doc:"packed rows of a step" min:"1"`
	MicroRows int     `yaml:"micro_rows" json:"micro_rows" doc:"rows of a micro-batch" min:"1"`
	Context   int     `yaml:"context" json:"context" doc:"tokens of a packed row; a longer dialogue is left out; 0: the model's context" min:"0"`

	// TextShare is 0 where no text is given: the loss is then that of dialogues alone.
	TextShare float64 `yaml:"text_share" json:"text_share,omitempty" doc:"share of each step's loss, and about of its rows, that pretraining text has, so that the model does not unlearn it; 0 without the input text" min:"0" max:"0.9"`

	train.OptimizerConfig `yaml:",inline"`
	train.LoRAConfig      `yaml:",inline"`

	EvalEvery int `yaml:"eval_every" json:"eval_every" doc:"steps between two measurements on the validation dialogues" min:"1"`
	// ValidationShare counts where no file of validation dialogues is given.
	ValidationShare float64 `yaml:"validation_share" json:"validation_share,omitempty" doc:"share of the dialogues that is held out to measure on where no file of validation dialogues is given, by a hash of what stands before the first answer" min:"0" max:"0.9"`
	Seed            uint64  `yaml:"seed" json:"seed" doc:"of the order of the dialogues"`

	dataset.Reading `yaml:",inline"`
}

// Defaults suit a model of a few million parameters that was pretrained here; what
// suits others follows from them (derive).
func Defaults() Config {
	c := Config{Epochs: 1.5, BatchRows: 8, MicroRows: 8, OptimizerConfig: train.DefaultOptimizer(1.5e-3), LoRAConfig: train.DefaultLoRA(), EvalEvery: 100, Reading: dataset.DefaultReading()}
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

// textRows is how many rows of text a step has.
func (c Config) textRows() int {
	return max(1, int(math.Round(float64(c.BatchRows)*c.TextShare/(1-c.TextShare))))
}

// Inputs are the artifacts that the stage reads.
type Inputs struct {
	Base       string // model folder
	Train      string // dialogues
	Validation string // dialogues; may be empty
	Text       string // token shards or a file of text that is mixed in; may be empty where TextShare is 0
}

// Run runs the stage in the folder out, continuing where an earlier run stopped.
// The caller holds the folder's lock.
func Run(ctx context.Context, env stage.Environment, c Config, in Inputs, out string) (*artifact.Manifest, error) {
	return stage.Run(ctx, env, Stage, c, in.paths(), out)
}

// tuning is a run of the stage.
type tuning struct {
	*train.Trainer
	Config
	in       Inputs
	examples []dataset.Example
	lines    []int             // of the file, of each example
	held     []dataset.Example // to measure on
	plan     [][][]int         // packed rows of each step
	lm       *train.LanguageModel
	micro    *dataset.Packed
	pad      int32
	text     *train.TextMix // nil without text

	logProbs []float64 // of the held-out dialogues after measured steps
	measured int
}

// run fine-tunes the base model, continuing where an earlier run stopped.
func run(ctx context.Context, w *stage.Work, c Config, in Inputs) error {
	t, err := train.Open(w, "sft", in.Base)
	if err != nil {
		return err
	}
	if t.Model.Head != model.LanguageModel {
		return artifact.Errorf(artifact.ErrUsage, "configuring sft: the base %s has a %q head; give a language model", in.Base, t.Model.Head)
	}
	length, err := t.Length(c.Context)
	if err != nil {
		return err
	}
	if err := t.Converse(); err != nil {
		return err
	}
	f := &tuning{Trainer: t, Config: c, in: in, micro: dataset.NewPacked(c.MicroRows, length), measured: -1}
	f.pad, _ = t.Tokenizer.Pad()
	learned, err := load(t.Template, in.Train, c.Reading, length)
	learned.account.Record(w.Log, &w.Manifest)
	if err != nil {
		return err
	}
	f.examples, f.lines = learned.examples, learned.lines
	dropped := len(learned.long)
	if dropped*20 > dropped+len(learned.examples) {
		need, remedy := learned.fits(.95), "set context"
		if need > t.Model.Context {
			remedy = "more than the model's context; shorten them, or take a model with a longer one"
		}
		w.Log.Warn(fmt.Errorf("sft: %s of %s dialogues do not fit in %d tokens and are left out; in %s tokens 95 %% of them would (%s)",
			progress.Count(int64(dropped)), progress.Count(int64(dropped+len(learned.examples))), length, progress.Count(int64(need)), remedy))
	}
	if in.Validation != "" {
		held, err := load(t.Template, in.Validation, c.Reading, length)
		held.account.Record(w.Log, &w.Manifest)
		if err != nil {
			return err
		}
		f.held = held.examples
	} else if err := f.holdOut(); err != nil {
		return err
	}
	if f.plan, err = plan(f.examples, c, length); err != nil {
		return err
	}
	if err := t.Adapt(c.OptimizerConfig, c.LoRAConfig, c.Seed); err != nil {
		return err
	}
	if f.lm, err = train.NewLanguageModel(t.Model, c.MicroRows, length); err != nil {
		return err
	}
	if c.TextShare > 0 {
		if in.Text == "" {
			return errNoText(c)
		}
		shards, err := t.OpenText(ctx, in.Text)
		if err != nil {
			return err
		}
		defer shards.Close()
		if f.text, err = train.NewTextMix(t.Model, shards, c.textRows(), length, c.Seed); err != nil {
			return err
		}
	}
	if err := t.Optimize(c.OptimizerConfig, len(f.plan)); err != nil {
		return err
	}
	if say := c.tooFast(t.Model.ParameterCount()); say != "" {
		w.Log.Warn(errors.New(say))
	}
	w.Log.Printf("sft: %s dialogues (%s do not fit in %d tokens), %s steps of %d rows",
		progress.Count(int64(len(f.examples))), progress.Count(int64(dropped)), length, progress.Count(int64(len(f.plan))), c.BatchRows)
	loop := train.Loop{Steps: len(f.plan), Step: f.step, EvaluateEvery: c.EvalEvery, Held: "validation/loss"}
	if len(f.held) > 0 {
		loop.Evaluate = f.evaluate
	}
	if err := t.Run(ctx, c, loop); err != nil {
		return err
	}
	// The last step's are those of a step.
	total := 0
	for _, rows := range f.plan {
		for _, row := range rows {
			for _, x := range row {
				total += f.examples[x].Learned()
			}
		}
	}
	w.Manifest.Metrics["learned_tokens"] = float64(total)
	if err := f.interval(ctx); err != nil {
		return err
	}
	w.Manifest.Metrics["dialogues"], w.Manifest.Metrics["dropped"], w.Manifest.Metrics["held_out"] = float64(len(f.examples)), float64(dropped), float64(len(f.held))
	return t.Save(1)
}

// tooFast warns of a rate that would make a large model forget what it knows, "" for
// none.
func (c Config) tooFast(parameters int64) string {
	most, usual := 2e-4, "1e-5 to 5e-5"
	if c.Rank > 0 {
		most, usual = 2e-3, "1e-4 to 5e-4, of an adapter"
	}
	if parameters < train.LargeModel || c.LR <= most {
		return ""
	}
	return fmt.Sprintf("sft: lr is %g, and a model of %s parameters wants about %s; the default suits one of a few million (set lr)", c.LR, progress.Count(parameters), usual)
}

// holdOut splits the share that is measured on off the dialogues.
func (f *tuning) holdOut() error {
	var examples []dataset.Example
	var lines []int
	for i, e := range f.examples {
		prompt := e.Tokens[:max(0, slices.Index(e.Trained, true))]
		if len(prompt) <= 1 { // plain text, whose first token alone is not learned
			prompt = e.Tokens
		}
		if dataset.HeldOut(prompt, f.ValidationShare) {
			f.held = append(f.held, e)
		} else {
			examples, lines = append(examples, e), append(lines, f.lines[i])
		}
	}
	if len(examples) == 0 {
		return artifact.Errorf(artifact.ErrUsage, "reading dialogues %s: all %d that fit are held out; give more dialogues, or a smaller validation_share", f.in.Train, len(f.held))
	}
	f.examples, f.lines = examples, lines
	return nil
}

// step is the mean loss over the assistant's tokens of the step's rows and, in its
// share, over the tokens of pretraining text.
func (f *tuning) step(ctx context.Context, step int) (train.StepReport, error) {
	rows := f.plan[step]
	targets := learned(rows, f.examples)
	report := train.StepReport{FLOPs: f.Optimizer.FLOPs()}
	var loss float64
	for at := 0; at < len(rows); at += f.MicroRows {
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		f.Within(step, at/f.MicroRows, (len(rows)+f.MicroRows-1)/f.MicroRows)
		if err := f.micro.Fill(rows[at:min(at+f.MicroRows, len(rows))], f.examples, f.pad); err != nil {
			return report, err
		}
		part, err := f.lm.Accumulate(ctx, f.micro, (1-f.TextShare)/float64(targets))
		if err != nil {
			return report, err
		}
		loss += part
		report.FLOPs += f.lm.FLOPsOf(f.micro)
		report.Tokens += int64(used(f.micro))
	}
	loss /= 1 - f.TextShare
	whole, text := loss, 0.0
	if f.text != nil {
		var err error
		if text, err = f.text.Accumulate(ctx, step, f.TextShare); err != nil {
			return report, err
		}
		whole = (1-f.TextShare)*loss + f.TextShare*text
		report.FLOPs += f.text.FLOPs()
		report.Tokens += f.text.Tokens()
	}
	update, err := f.Update(step, whole, func() string {
		return fmt.Sprintf("the rows of the dialogues on lines %v of %s", f.linesOf(rows), f.in.Train)
	})
	report.Metrics = append([]train.Metric{{Name: "loss", Value: loss}}, update.Metrics()...)
	report.Metrics = append(report.Metrics, train.Metric{Name: "learned_tokens", Value: float64(targets)})
	if f.text != nil {
		report.Metrics = append(report.Metrics, train.Metric{Name: "loss/text", Value: text})
	}
	return report, err
}

func (f *tuning) evaluate(ctx context.Context, step int) (_ []train.Metric, err error) {
	if f.logProbs, err = train.LogProbs(ctx, f.lm, f.held); err != nil {
		return nil, err
	}
	f.measured = step
	return []train.Metric{{Name: "validation/loss", Value: lossOf(f.logProbs, f.held, nil)}}, nil
}

// resamples of the interval of the held-out loss.
const resamples = 1000

// interval records the ends of the held-out loss's interval over other dialogues.
func (f *tuning) interval(ctx context.Context) error {
	if len(f.held) < 2 {
		return nil
	}
	if f.measured != len(f.plan) { // the steps were done in an earlier run
		if _, err := f.evaluate(ctx, len(f.plan)); err != nil {
			return err
		}
	}
	e := stats.Bootstrap(len(f.held), resamples, f.Seed, func(pick []int) float64 { return lossOf(f.logProbs, f.held, pick) })
	f.Manifest.Metrics["validation/loss/low"], f.Manifest.Metrics["validation/loss/high"] = e.Low, e.High
	return nil
}

// linesOf are the lines of the file that the dialogues in rows begin at.
func (f *tuning) linesOf(rows [][]int) (lines []int) {
	for _, row := range rows {
		for _, x := range row {
			lines = append(lines, f.lines[x])
		}
	}
	return lines
}

// loaded are the dialogues of a file that fit.
type loaded struct {
	examples []dataset.Example
	lines    []int // of the file, of each example
	long     []int // tokens of those that are longer
	account  *dataset.Account
}

// fits is how many tokens a row needs for a share of the dialogues to fit.
func (l loaded) fits(share float64) int {
	lengths := append(dataset.Lengths(l.examples), l.long...)
	slices.Sort(lengths)
	return lengths[min(len(lengths)-1, int(math.Ceil(share*float64(len(lengths)))))]
}

// load reads the dialogues that fit into length tokens.
func load(template *chat.Template, path string, how dataset.Reading, length int) (l loaded, err error) {
	chats, err := dataset.ReadDialogues(path, how)
	if err != nil {
		return l, err
	}
	l.account = chats.Account
	if l.examples, l.lines, l.long, err = dataset.Tokenize(template, chats, length); err != nil {
		return l, err
	}
	if len(l.examples) == 0 {
		return l, artifact.Errorf(artifact.ErrUsage, "reading dialogues %s: none of %d fits into %d tokens; give a longer context or shorter dialogues", path, len(chats.Rows), length)
	}
	return l, nil
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

// lossOf is the mean loss of the assistant's tokens of the picked examples, nil for
// all, from the log-probability of each.
func lossOf(logProbs []float64, examples []dataset.Example, pick []int) float64 {
	var sum float64
	var n int
	add := func(i int) {
		sum -= logProbs[i]
		n += examples[i].Learned()
	}
	if pick == nil {
		for i := range examples {
			add(i)
		}
	}
	for _, i := range pick {
		add(i)
	}
	return sum / float64(n)
}
