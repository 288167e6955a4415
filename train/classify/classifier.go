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

// Classifier computes the classes of texts: the body gives a state for each,
// the new layers the classes of the states.
type Classifier struct {
	body *body
	top  *top
}

// NewClassifier compiles the forward pass of a model with classes for batches of
// rows packed rows of length tokens. It reads the weights that the model has
// when Probabilities is called. It is not safe for use by several goroutines.
func NewClassifier(m *model.Model, rows, length int) (*Classifier, error) {
	if m.Head != model.Classes {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to classify texts: the model has a %q head, classes need %q; give a folder that alma classify train wrote", m.Head, model.Classes)
	}
	if err := checkClasses(m.Config); err != nil {
		return nil, err
	}
	if rows < 1 || length < 1 || length > m.Context {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to classify texts: %d rows of %d tokens; want at least 1 row of 1 to %d tokens, the model's context", rows, length, m.Context)
	}
	b, err := newBody(m, rows, length)
	if err != nil {
		return nil, err
	}
	t, err := newTop(m)
	return &Classifier{b, t}, err
}

// checkClasses refuses outputs that are neither the logits of one class of several nor
// those of labels, each of a name of its own.
func checkClasses(c model.Config) error {
	refuse := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrUsage, "preparing to classify texts: "+format, args...)
	}
	switch {
	case c.Problem != "" && c.Problem != model.SeveralLabels:
		return refuse("config.json's problem_type is %q; alma chooses one class of several, or of several labels (%s) those that a text has", c.Problem, model.SeveralLabels)
	case c.Problem == "" && len(c.Labels) < 2:
		return refuse("the model has one output, a number and no class; alma chooses one class of several")
	}
	seen := make(map[string]int, len(c.Labels))
	for i, label := range c.Labels {
		if first, ok := seen[label]; ok {
			return refuse("config.json's id2label gives the classes %d and %d one name, %q; give each its own", first, i, label)
		}
		seen[label] = i
	}
	return nil
}

// Probabilities returns the probability of each class for each text [N][K], which are
// 1 together, or of each label, of which a text may have several ([Classifier.Several]). Any
// number of texts may be given, each of 1 to length tokens; what a text gets does
// not depend on the texts beside it. When ctx ends, its cause is returned.
func (c *Classifier) Probabilities(ctx context.Context, texts [][]int32) ([][]float64, error) {
	out := make([][]float64, 0, len(texts))
	for some := range slices.Chunk(texts, textsAtOnce) {
		states, err := c.body.states(ctx, some)
		if err != nil {
			return nil, err
		}
		probabilities, err := c.top.probabilities(states)
		if err != nil {
			return nil, err
		}
		out = append(out, probabilities...)
	}
	return out, nil
}

// Several tells whether a text may have several of the labels, or none.
func (c *Classifier) Several() bool { return c.body.model.Problem == model.SeveralLabels }

// textsAtOnce bounds the states that are held at one time. It changes no result.
const textsAtOnce = 4096

// body computes the states of texts, which the new layers read: the hidden state
// of an encoder's first token or a decoder's last.
type body struct {
	model  *model.Model
	x      compute.Executable
	packed *dataset.Packed
	flops  int64 // of all work so far
}

func newBody(m *model.Model, rows, length int) (*body, error) {
	p := compute.NewProgram("states of texts")
	p.Output("hidden", m.Hidden(p, m.NewBatch(p, rows, length))) // [rows·length, D]
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		return nil, err
	}
	return &body{model: m, x: x, packed: dataset.NewPacked(rows, length)}, nil
}

// states returns the state [D] of each text.
func (b *body) states(ctx context.Context, texts [][]int32) ([][]float32, error) {
	out, d := make([][]float32, len(texts)), b.model.Width
	flops, err := b.packed.WalkTexts(ctx, b.x, texts, b.model.Pad, func(text, start, end int) error {
		at := b.model.ReadIn(start, end)
		out[text] = slices.Clone(b.x.Floats("hidden")[at*d : (at+1)*d])
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("classifying: %w", err)
	}
	b.flops += flops
	return out, nil
}

// top computes the classes of states.
type top struct {
	model *model.Model
	x     compute.Executable
}

// topStates is how many states go through the new layers at one time.
const topStates = 64

func newTop(m *model.Model) (*top, error) {
	p := compute.NewProgram("classes of states")
	states := p.Input("states", compute.Float32, topStates, m.Width)
	p.Output("logits", m.ClassLogits(p, states, p.Input("at", compute.Int32, topStates))) // [topStates, K]
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		return nil, err
	}
	return &top{m, x}, nil
}

// probabilities returns the probability of each class for each state.
func (t *top) probabilities(states [][]float32) ([][]float64, error) {
	out := make([][]float64, 0, len(states))
	for batch := range slices.Chunk(states, topStates) {
		at, in := t.x.Ints("at"), t.x.Floats("states")
		for i := range at {
			at[i] = -1
			if i < len(batch) {
				at[i] = int32(i)
				copy(in[i*t.model.Width:], batch[i])
			}
		}
		if err := t.x.Run(); err != nil {
			return nil, fmt.Errorf("classifying texts: %w", err)
		}
		logits, k := t.x.Floats("logits"), len(t.model.Labels)
		for range batch {
			p := make([]float64, k)
			if t.model.Problem == model.SeveralLabels {
				stats.Sigmoid(p, logits[:k])
			} else {
				stats.Softmax(p, logits[:k])
			}
			if math.IsNaN(p[0]) {
				return nil, artifact.Errorf(artifact.ErrDiverged, "classifying text %d: its classes have no probabilities; the model's weights have diverged", len(out))
			}
			out, logits = append(out, p), logits[k:]
		}
	}
	return out, nil
}
