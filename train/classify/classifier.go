package classify

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stats"
)

// Classifier computes the classes of texts.
type Classifier struct {
	model  *model.Model
	x      compute.Executable
	packed *dataset.Packed
	flops  int64
}

// NewClassifier compiles the forward pass of a model with classes for batches of
// rows packed rows of length tokens. It reads the weights that the model has
// when Probabilities is called. It is not safe for use by several goroutines.
func NewClassifier(m *model.Model, rows, length int) (*Classifier, error) {
	if m.Head != model.Classes {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to classify texts: the model has a %q head, classes need %q; give a folder that alma classify train wrote", m.Head, model.Classes)
	}
	if rows < 1 || length < 1 || length > m.Context {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to classify texts: %d rows of %d tokens; want at least 1 row of 1 to %d tokens, the model's context", rows, length, m.Context)
	}
	p := compute.NewProgram("classes")
	hidden := m.Hidden(p, m.NewBatch(p, rows, length))
	p.Output("logits", m.ClassLogits(p, hidden, p.Input("at", compute.Int32, rows*length))) // [rows·length, K], of which a text takes one
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		return nil, err
	}
	return &Classifier{model: m, x: x, packed: dataset.NewPacked(rows, length)}, nil
}

// Probabilities returns the probability of each class for each text [N][K]. Any
// number of texts may be given, each of 1 to length tokens; what a text gets does
// not depend on the texts beside it. When ctx ends, its cause is returned.
func (c *Classifier) Probabilities(ctx context.Context, texts [][]int32) ([][]float64, error) {
	all := make([]int, len(texts))
	for i, t := range texts {
		all[i] = i
		if len(t) < 1 || len(t) > c.packed.T {
			return nil, artifact.Errorf(artifact.ErrUsage, "classifying text %d: it has %d tokens, want 1 to %d; cut it, or leave it out", i, len(t), c.packed.T)
		}
	}
	rows, err := packTexts(texts, all, c.packed.T)
	if err != nil {
		return nil, err
	}
	out := make([][]float64, len(texts))
	for batch := range slices.Chunk(rows, c.packed.B) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := c.batch(batch, texts, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *Classifier) batch(rows [][]int, texts [][]int32, out [][]float64) error {
	if err := c.packed.FillTexts(rows, texts, int32(max(c.model.Pad, 0))); err != nil {
		return err
	}
	c.packed.Feed(c.x)
	at := c.x.Ints("at")
	for i := copy(at, c.model.ReadAt(c.packed.Segments, c.packed.T)); i < len(at); i++ {
		at[i] = -1
	}
	if err := c.x.Run(); err != nil {
		return fmt.Errorf("classifying texts: %w", err)
	}
	c.flops += c.x.FLOPs()
	logits, k := c.x.Floats("logits"), len(c.model.Labels)
	for _, row := range rows {
		for _, i := range row {
			out[i] = make([]float64, k)
			stats.Softmax(out[i], logits[:k])
			if math.IsNaN(out[i][0]) {
				return artifact.Errorf(artifact.ErrDiverged, "classifying text %d: its classes have no probabilities; the model's weights have diverged", i)
			}
			logits = logits[k:]
		}
	}
	return nil
}

// FLOPs is the count of all work so far.
func (c *Classifier) FLOPs() int64 { return c.flops }
