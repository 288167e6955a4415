package classify

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
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

// run trains a classifier from the base model, continuing where an earlier run
// stopped.
func run(ctx context.Context, w *stage.Work, c Config, in Inputs) error {
	base, tok, err := train.LoadModel(w.Engine, in.Base)
	if err != nil {
		return err
	}
	if c.Context > base.Context {
		return artifact.Errorf(artifact.ErrUsage, "configuring classify: context %d is longer than the model's, which is %d", c.Context, base.Context)
	}
	data, err := load(tok, c, in, base.Context)
	if err != nil {
		return err
	}
	steps, err := plan(data.learned, c, data.length)
	if err != nil {
		return err
	}
	rates := c.Schedule(len(steps))
	if err := rates.Validate(); err != nil {
		return err
	}

	m, err := base.WithHead(model.Classes, c.Seed, data.labels...)
	if err != nil {
		return err
	}
	m.Recompute = c.Recompute
	if c.FreezeBody {
		m.Freeze(m.InBody)
	}
	classifier, err := NewClassifier(m, c.MicroRows, data.length)
	if err != nil {
		return err
	}
	w.Log.Printf("classify: %d classes, %s texts to learn and %s held out (%s are cut at %d tokens), %s steps of %d texts",
		len(data.labels), progress.Count(int64(len(data.learned.Tokens))), progress.Count(int64(len(data.held.Tokens))),
		progress.Count(int64(data.learned.Cut+data.held.Cut)), data.limit, progress.Count(int64(len(steps))), c.BatchTexts)

	measure := func(ctx context.Context) (stats.Classification, error) { return Measure(ctx, classifier, data.held) }
	var states [][]float32
	if c.FreezeBody {
		if states, measure, err = frozen(ctx, classifier, data); err != nil {
			return err
		}
	}
	loss, err := newLoss(m, steps, data.learned, states, c, data.length)
	if err != nil {
		return err
	}
	optimizer, err := train.NewOptimizer(m, c.AdamW())
	if err != nil {
		return err
	}
	extra, err := tok.Files()
	if err != nil {
		return err
	}
	guard := c.Guard()
	// Once most texts are told apart the norm is near 0, and one hard text a leap.
	guard.Least = c.Clip
	loop := &train.Loop{
		Stage: "classify", Folder: w.Dir(), Steps: len(steps), Config: train.Identity(c, w.Stage), Guard: guard, Log: w.Log, CheckpointSteps: w.CheckpointSteps, Memory: w.Memory,
		States: []train.State{&train.ModelState{Model: m, Optimizer: optimizer, Extra: extra, Ends: chat.Ends(tok, nil)}},
		Step: func(_ context.Context, step int) (train.StepReport, error) {
			total := loss.weight(steps[step])
			report := train.StepReport{FLOPs: optimizer.FLOPs()}
			sum := 0.0
			for rows := range slices.Chunk(steps[step].rows, c.MicroRows) {
				part, tokens, flops, err := loss.accumulate(rows, total)
				if err != nil {
					return report, err
				}
				sum += part
				report.Tokens += tokens
				report.FLOPs += flops
			}
			lr := rates.At(step)
			norm, err := guard.Apply(optimizer, lr, sum, func() string {
				return fmt.Sprintf("the texts of lines %v of %s", steps[step].lines(data.learned), in.Texts)
			})
			report.Metrics = []train.Metric{{Name: "loss", Value: sum}, {Name: "grad_norm", Value: norm}, {Name: "lr", Value: lr}}
			return report, err
		},
		EvaluateEvery: c.EvalEvery,
	}
	early := newBest(m, c.Patience)
	if len(data.held.Tokens) > 0 {
		loop.Evaluate = func(ctx context.Context, step int) ([]train.Metric, error) {
			measures, err := measure(ctx)
			if err == nil && c.Patience > 0 {
				err = early.measured(measures.MacroF1, step)
			}
			return metrics(measures), err
		}
		if c.Patience > 0 {
			loop.States, loop.Done = append(loop.States, early), early.done
		}
	}
	totals, err := loop.Run(ctx)
	if err != nil {
		return err
	}
	if c.FreezeBody {
		totals.FLOPs += classifier.body.flops // it ran before the steps
	}
	totals.Fill(&w.Manifest)
	w.Manifest.Metrics["texts"], w.Manifest.Metrics["held_out"] = float64(len(data.learned.Tokens)), float64(len(data.held.Tokens))
	w.Manifest.Metrics["classes"], w.Manifest.Metrics["cut"] = float64(len(data.labels)), float64(data.learned.Cut+data.held.Cut)
	w.Manifest.Metrics["padding"] = padding(steps, data.learned, data.length)
	if loop.Done != nil {
		if err := early.restore(); err != nil {
			return err
		}
		w.Manifest.Metrics["best_step"] = float64(early.Step)
	}
	if len(data.held.Tokens) > 0 {
		measures, err := measure(ctx)
		if err != nil {
			return err
		}
		for _, metric := range metrics(measures) {
			w.Manifest.Metrics[metric.Name] = metric.Value
		}
		if err := writeMeasures(filepath.Join(w.Dir(), ValidationFile), measures); err != nil {
			return err
		}
	} else {
		w.Manifest.Notes = append(w.Manifest.Notes, "Nothing was held out, so nothing was measured; give a validation file, or a share to hold out.")
	}
	if err := train.SaveModel(w.Dir(), in.Base, m, tok, 1, chat.Ends(tok, nil)); err != nil {
		return err
	}
	return nil
}

// frozen runs a body that does not change once over all texts, and returns the
// states of those to learn and how to measure on the others.
func frozen(ctx context.Context, c *Classifier, d texts) ([][]float32, func(context.Context) (stats.Classification, error), error) {
	learned, err := c.body.states(ctx, d.learned.Tokens)
	if err != nil {
		return nil, nil, err
	}
	held, err := c.body.states(ctx, d.held.Tokens)
	return learned, func(context.Context) (stats.Classification, error) {
		probabilities, err := c.top.probabilities(held)
		if err != nil {
			return stats.Classification{}, err
		}
		return stats.Classify(c.body.model.Labels, probabilities, d.held.Classes), nil
	}, err
}

// texts is what the stage learns from and measures on.
type texts struct {
	labels        []string
	learned, held Examples
	limit         int // tokens at which a text is cut
	length        int // tokens of a packed row
}

// load reads the texts and splits or joins them.
func load(tok *tokenizer.Tokenizer, c Config, in Inputs, context int) (d texts, err error) {
	all, err := dataset.ReadTexts(in.Texts, c.texts())
	if err != nil {
		return d, err
	}
	learned, held, heldFile := all, []dataset.Text(nil), in.Validation
	if in.Validation != "" {
		if held, err = dataset.ReadTexts(in.Validation, c.texts()); err != nil {
			return d, err
		}
	} else {
		learned, held = holdOut(all, c.Validation)
		heldFile = in.Texts
	}
	d.labels = Labels(all)
	switch {
	case len(d.labels) < 2:
		return d, artifact.Errorf(artifact.ErrUsage, "reading texts %s: all %d texts have the label %q; there is nothing to tell apart", in.Texts, len(all), d.labels[0])
	case len(learned) == 0:
		return d, artifact.Errorf(artifact.ErrUsage, "reading texts %s: all %d texts are held out; give more texts, or a smaller share", in.Texts, len(all))
	case len(Labels(learned)) < 2:
		return d, artifact.Errorf(artifact.ErrUsage, "reading texts %s: the %d texts that are not held out all have the label %q; give more texts, or a smaller share", in.Texts, len(learned), learned[0].Label)
	case len(held) == 0 && c.Patience > 0:
		return d, artifact.Errorf(artifact.ErrUsage, "configuring classify: patience %d wants measurements, and nothing is held out; give validation texts, a share to hold out, or patience 0", c.Patience)
	}
	if d.limit = c.Context; d.limit == 0 {
		d.limit = context
	}
	if d.learned, err = Encode(tok, in.Texts, learned, d.labels, d.limit); err != nil {
		return d, err
	}
	if d.held, err = Encode(tok, heldFile, held, d.labels, d.limit); err != nil {
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

// Measure holds a classifier against the classes of examples.
func Measure(ctx context.Context, c *Classifier, e Examples) (stats.Classification, error) {
	probabilities, err := c.Probabilities(ctx, e.Tokens)
	if err != nil {
		return stats.Classification{}, err
	}
	return stats.Classify(c.body.model.Labels, probabilities, e.Classes), nil
}

// metrics are the measures for metrics.jsonl.
func metrics(c stats.Classification) []train.Metric {
	return []train.Metric{
		{Name: "validation/accuracy", Value: c.Accuracy.Value}, {Name: "validation/macro_f1", Value: c.MacroF1},
		{Name: "validation/nll", Value: c.NLL}, {Name: "validation/ece", Value: c.ECE},
	}
}

func writeMeasures(path string, c stats.Classification) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return artifact.WriteFile(path, append(data, '\n'))
}
