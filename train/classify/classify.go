package classify

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// Inputs are the artifacts that the stage reads.
type Inputs struct {
	// Base is a model folder, a decoder's or an encoder's. One that has just
	// these classes already goes on with the layers that it has.
	Base       string
	Texts      string // labelled texts to learn
	Validation string // labelled texts to measure on; empty: a share of Texts
}

// ValidationFile is the file of the stage's folder with the final measures
// ([stats.Classification]), absent where nothing was held out.
const ValidationFile = "validation.json"

// Run runs the stage in the folder out, continuing where an earlier run stopped.
// The caller holds the folder's lock.
func Run(ctx context.Context, env stage.Environment, c Config, in Inputs, out string) (*artifact.Manifest, error) {
	return stage.Run(ctx, env, Stage, c, in.paths(), out)
}

// training is a run of the stage.
type training struct {
	*train.Trainer
	Config
	in      Inputs
	data    texts
	plan    []stepPlan
	loss    *classLoss
	early   *best
	measure func(ctx context.Context) (Measures, error) // on the held-out texts
}

// run trains a classifier from the base model, continuing where an earlier run
// stopped.
func run(ctx context.Context, w *stage.Work, c Config, in Inputs) error {
	t, err := train.Open(w, "classify", in.Base)
	if err != nil {
		return err
	}
	if _, err := t.Length(c.Context); err != nil {
		return err
	}
	f := &training{Trainer: t, Config: c, in: in}
	f.data, err = load(t.Tokenizer, c, in, t.Model.Context)
	for _, a := range f.data.accounts { // said first: it may be why the rest fails
		a.Record(w.Log, &w.Manifest)
	}
	if err != nil {
		return err
	}
	if f.plan, err = plan(f.data.learned, c, f.data.length); err != nil {
		return err
	}
	if t.Model, err = t.Model.WithHead(model.Classes, c.Seed, f.data.labels...); err != nil {
		return err
	}
	if f.data.several {
		t.Model.Problem = model.SeveralLabels
	}
	if err := t.Adapt(c.OptimizerConfig, train.LoRAConfig{}, c.Seed); err != nil {
		return err
	}
	if c.FreezeBody {
		t.Model.Freeze(t.Model.InBody)
	}
	classifier, err := NewClassifier(t.Model, c.MicroRows, f.data.length)
	if err != nil {
		return err
	}
	kind := "classes"
	if f.data.several {
		kind = "labels, of which a text may have several"
	}
	w.Log.Printf("classify: %d %s, %s texts to learn and %s held out (%s are cut at %d tokens), %s steps of %d texts",
		len(f.data.labels), kind, progress.Count(int64(len(f.data.learned.Tokens))), progress.Count(int64(len(f.data.held.Tokens))),
		progress.Count(int64(f.data.learned.Cut+f.data.held.Cut)), f.data.limit, progress.Count(int64(len(f.plan))), c.BatchTexts)
	f.measure = func(ctx context.Context) (Measures, error) { return Measure(ctx, classifier, f.data.held) }
	var states [][]float32
	if c.FreezeBody {
		if states, f.measure, err = frozen(ctx, classifier, f.data); err != nil {
			return err
		}
	}
	if f.loss, err = newLoss(t.Model, f.plan, f.data.learned, states, c, f.data.length); err != nil {
		return err
	}
	if err := t.Optimize(c.OptimizerConfig, len(f.plan)); err != nil {
		return err
	}
	// Once most texts are told apart the norm is near 0, and one hard text a leap.
	t.Guard.Least = c.Clip

	loop := train.Loop{Steps: len(f.plan), Step: f.step, EvaluateEvery: c.EvalEvery, Held: "validation/nll"}
	measured := len(f.data.held.Tokens) > 0
	if measured {
		loop.Evaluate = f.evaluate
	}
	if measured && c.Patience > 0 {
		f.early = newBest(t.Model, c.Patience)
		loop.States, loop.Done = []train.State{f.early}, f.early.done
	}
	if err := t.Run(ctx, c, loop); err != nil {
		return err
	}
	metrics := w.Manifest.Metrics
	metrics["texts"], metrics["held_out"] = float64(len(f.data.learned.Tokens)), float64(len(f.data.held.Tokens))
	metrics["classes"], metrics["cut"] = float64(len(f.data.labels)), float64(f.data.learned.Cut+f.data.held.Cut)
	metrics["padding"] = padding(f.plan, f.data.learned, f.data.length)
	if c.FreezeBody {
		w.Manifest.FLOPs += float64(classifier.body.flops) // it ran before the steps
	}
	if f.early != nil {
		if err := f.early.restore(); err != nil {
			return err
		}
		metrics["best_step"] = float64(f.early.Step)
	}
	if err := f.report(ctx, measured); err != nil {
		return err
	}
	return t.Save(1)
}

// step is the weighted mean loss over the step's texts.
func (f *training) step(ctx context.Context, step int) (train.StepReport, error) {
	now := f.plan[step]
	total := f.loss.weight(now)
	report := train.StepReport{FLOPs: f.Optimizer.FLOPs()}
	sum := 0.0
	for rows := range slices.Chunk(now.rows, f.MicroRows) {
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		part, tokens, flops, err := f.loss.accumulate(ctx, rows, total)
		if err != nil {
			return report, err
		}
		sum += part
		report.Tokens += tokens
		report.FLOPs += flops
	}
	update, err := f.Update(step, sum, func() string {
		return fmt.Sprintf("the texts of lines %v of %s", now.lines(f.data.learned), f.in.Texts)
	})
	report.Metrics = append([]train.Metric{{Name: "loss", Value: sum}}, update.Metrics()...)
	return report, err
}

func (f *training) evaluate(ctx context.Context, step int) ([]train.Metric, error) {
	measures, err := f.measure(ctx)
	if err == nil && f.early != nil {
		err = f.early.measured(measures.macroF1(), step)
	}
	return measures.metrics(), err
}

// report writes what the finished model reaches on the held-out texts.
func (f *training) report(ctx context.Context, measured bool) error {
	if !measured {
		f.Manifest.Notes = append(f.Manifest.Notes, "Nothing was held out, so nothing was measured; give a validation file, or a share to hold out.")
		return nil
	}
	measures, err := f.measure(ctx)
	if err != nil {
		return err
	}
	for _, metric := range measures.metrics() {
		f.Manifest.Metrics[metric.Name] = metric.Value
	}
	if measures.Several != nil {
		if err := writeJSON(filepath.Join(f.Dir(), ThresholdsFile), thresholdsOf(measures.Several)); err != nil {
			return err
		}
	}
	return writeJSON(filepath.Join(f.Dir(), ValidationFile), measures)
}

// frozen runs a body that does not change once over all texts, and returns the
// states of those to learn and how to measure on the others.
func frozen(ctx context.Context, c *Classifier, d texts) ([][]float32, func(context.Context) (Measures, error), error) {
	learned, err := c.body.states(ctx, d.learned.Tokens)
	if err != nil {
		return nil, nil, err
	}
	held, err := c.body.states(ctx, d.held.Tokens)
	return learned, func(context.Context) (Measures, error) {
		probabilities, err := c.top.probabilities(held)
		if err != nil {
			return Measures{}, err
		}
		return measuresOf(c.body.model.Labels, probabilities, d.held), nil
	}, err
}

// texts is what the stage learns from and measures on.
type texts struct {
	labels        []string
	several       bool // labels a text
	learned, held Examples
	limit         int // tokens at which a text is cut
	length        int // tokens of a packed row
	accounts      []*dataset.Account
}

// load reads the texts and splits or joins them.
func load(tok *tokenizer.Tokenizer, c Config, in Inputs, context int) (d texts, err error) {
	if d.limit = c.Context; d.limit == 0 {
		d.limit = context
	}
	read := func(path string) ([]dataset.Text, error) {
		f, err := dataset.ReadTexts(path, c.texts())
		if err != nil {
			return nil, err
		}
		d.accounts = append(d.accounts, f.Account)
		err = f.Keep(func(_ int, t dataset.Text) error {
			_, _, err := dataset.EncodeText(tok, t.Text, d.limit)
			return err
		})
		return f.Rows, err
	}
	all, err := read(in.Texts)
	if err != nil {
		return d, err
	}
	learned, held, heldFile := all, []dataset.Text(nil), in.Validation
	if in.Validation != "" {
		if held, err = read(in.Validation); err != nil {
			return d, err
		}
	} else {
		learned, held = holdOut(all, c.Validation)
		heldFile = in.Texts
	}
	d.labels, d.several = Labels(all), Several(all) || Several(held)
	switch {
	case len(learned) == 0:
		return d, artifact.Errorf(artifact.ErrUsage, "reading texts %s: all %d texts are held out; give more texts, or a smaller share", in.Texts, len(all))
	case d.several && c.ClassWeights == "balanced":
		return d, artifact.Errorf(artifact.ErrUsage, "configuring classify: class_weights balanced, and the texts of %s have lists of labels; balanced classes are for texts of one label: use none", in.Texts)
	case d.several && len(Labels(learned)) == 0:
		return d, artifact.Errorf(artifact.ErrUsage, "reading texts %s: none of the %d texts that are not held out has a label; there is nothing to learn", in.Texts, len(learned))
	case d.several:
	case len(d.labels) < 2:
		return d, artifact.Errorf(artifact.ErrUsage, "reading texts %s: all %d texts have the label %q; there is nothing to tell apart", in.Texts, len(all), d.labels[0])
	case len(Labels(learned)) < 2:
		return d, artifact.Errorf(artifact.ErrUsage, "reading texts %s: the %d texts that are not held out all have the label %q; give more texts, or a smaller share", in.Texts, len(learned), learned[0].Label)
	}
	if len(held) == 0 && c.Patience > 0 {
		return d, artifact.Errorf(artifact.ErrUsage, "configuring classify: patience %d wants measurements, and nothing is held out; give validation texts, a share to hold out, or patience 0", c.Patience)
	}
	if d.learned, err = Encode(tok, in.Texts, learned, d.labels, d.several, d.limit); err != nil {
		return d, err
	}
	if d.held, err = Encode(tok, heldFile, held, d.labels, d.several, d.limit); err != nil {
		return d, err
	}
	d.length = RowLength(context, d.learned.Tokens, d.held.Tokens)
	return d, nil
}

// lines names the step's texts by their lines in the file.
func (s stepPlan) lines(e Examples) []int {
	var lines []int
	for _, row := range s.rows {
		for _, i := range row {
			lines = append(lines, e.Lines[i])
		}
	}
	slices.Sort(lines)
	return lines
}
