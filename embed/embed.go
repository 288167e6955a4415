// Package embed turns texts into vectors: the hidden states of a model, pooled
// over each text (Reimers and Gurevych 2019), and what a folder of
// sentence-transformers puts behind that.
//
// Terms:
//
//   - pooling: how a text's hidden states become one vector: their mean, or the
//     state of the first token ("cls"), which an encoder may be trained to read.
//     Several poolings stand one after the other in the vector.
//   - step: what is done to the pooled vector: a dense layer, or dividing it by its
//     Euclidean length, so that the dot product of two vectors is the cosine of the
//     angle between them ("normalised").
//   - prompt: text that stands before each text, such as "query: ".
//
// Example:
//
//	m, tok, err := train.LoadModel(engine, "minilm")
//	settings, err := embed.ReadSettings("minilm", m.Context, "")
//	e, err := embed.New(m, tok, 8, settings)
//	text, _, err := dataset.EncodeText(tok, settings.Text("a text"), settings.Context)
//	vectors, err := e.Embed(ctx, [][]int32{text})
//
// The package trains nothing and searches nothing.
package embed

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Settings say what vectors are made of.
type Settings struct {
	Poolings []Pooling
	Steps    []Step // behind the pooling, in order
	Context  int    // tokens at which a text is cut

	LowerCase   bool              // texts are made lower-case before they become tokens
	Prompts     map[string]string // by name
	Prompt      string            // stands before each text
	PromptApart bool              // the prompt's states are not pooled
}

// A Step changes a pooled vector: by a dense layer, or, where Dense is nil, by
// dividing the vector by its length.
type Step struct{ Dense *Dense }

// Text is a text as it becomes tokens.
func (s *Settings) Text(text string) string {
	text = s.Prompt + text
	if s.LowerCase {
		text = tokenizer.LowerCase(text)
	}
	return text
}

// Normalize has vectors of length 1, or of the length that the other steps give
// them, whatever the folder says.
func (s *Settings) Normalize(yes bool) {
	last := len(s.Steps) - 1
	switch {
	case !yes:
		s.Steps = slices.DeleteFunc(slices.Clone(s.Steps), func(x Step) bool { return x.Dense == nil })
	case last < 0 || s.Steps[last].Dense != nil:
		s.Steps = append(slices.Clone(s.Steps), Step{})
	}
}

// Embedder computes vectors of texts.
type Embedder struct {
	model    *model.Model
	settings Settings
	apart    int // tokens at a text's beginning that are not pooled
	x        compute.Executable
	packed   *dataset.Packed
}

// New compiles a model's body for batches of rows packed rows of
// settings.Context tokens. The tokenizer tells how long the prompt is. It is not safe
// for use by several goroutines.
func New(m *model.Model, tok *tokenizer.Tokenizer, rows int, settings Settings) (*Embedder, error) {
	if rows < 1 || settings.Context < 1 || settings.Context > m.Context {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to embed texts: %d rows of %d tokens; want at least 1 row of 1 to %d tokens, the model's context", rows, settings.Context, m.Context)
	}
	if err := settings.check(m.Width); err != nil {
		return nil, artifact.Mark(artifact.ErrUsage, fmt.Errorf("preparing to embed texts: %w", err))
	}
	e := &Embedder{model: m, settings: settings, packed: dataset.NewPacked(rows, settings.Context)}
	if settings.PromptApart && settings.Prompt != "" {
		e.apart = promptTokens(tok, settings)
	}
	p := compute.NewProgram("embeddings")
	p.Output("hidden", m.Hidden(p, m.NewBatch(p, rows, settings.Context))) // [rows·T, D]
	var err error
	e.x, err = m.Engine.Compile(p, m.Store)
	return e, err
}

// check holds the poolings and the sizes of dense layers against the model's width.
func (s *Settings) check(width int) error {
	if len(s.Poolings) == 0 {
		return fmt.Errorf("no pooling; want one of %q", Poolings)
	}
	for _, p := range s.Poolings {
		if !slices.Contains(Poolings, p) {
			return fmt.Errorf("pooling %q is not one of %q", p, Poolings)
		}
	}
	size := width * len(s.Poolings)
	for _, step := range s.Steps {
		if d := step.Dense; d != nil {
			if d.In != size {
				return fmt.Errorf("the dense layer of %s takes vectors of %d numbers, and gets %d", d.Folder, d.In, size)
			}
			size = d.Out
		}
	}
	return nil
}

// promptTokens is how many tokens the prompt takes at a text's beginning: all of its
// own but a special one at its end (sentence-transformers' _get_prompt_length).
func promptTokens(tok *tokenizer.Tokenizer, s Settings) int {
	ids := tok.Wrap(tok.Encode(s.Text("")))
	if last := len(ids) - 1; last >= 0 {
		special := slices.ContainsFunc(tok.AddedTokens(), func(a tokenizer.AddedToken) bool { return a.Special && a.ID == ids[last] })
		if special {
			return last
		}
	}
	return len(ids)
}

// Embed returns the vector of each text: [D], or as many numbers as several poolings
// and the last dense layer give. Any number of texts may be given, each of 1 to
// Context tokens; a vector does not depend on the texts beside it. When ctx ends, its
// cause is returned.
func (e *Embedder) Embed(ctx context.Context, texts [][]int32) ([][]float32, error) {
	vectors, d := make([][]float32, len(texts)), e.model.Width
	_, err := e.packed.WalkTexts(ctx, e.x, texts, e.model.Pad, func(text, start, end int) (err error) {
		vectors[text], err = e.vector(e.x.Floats("hidden")[start*d : end*d])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("embedding: %w", err)
	}
	return vectors, nil
}

// vector makes one vector of a text's hidden states [T, D].
func (e *Embedder) vector(states []float32) ([]float32, error) {
	if len(states)/e.model.Width <= e.apart {
		return nil, artifact.Errorf(artifact.ErrUsage, "it has %d tokens, which are those of the prompt; give more text, or a longer context", len(states)/e.model.Width)
	}
	var sum []float64
	scale := 1.0
	for _, p := range e.settings.Poolings {
		part, by := p.pool(states, e.model.Width, e.apart)
		if len(e.settings.Poolings) == 1 {
			sum, scale = part, by // multiplied at the end, so that a mean is rounded once
			break
		}
		for _, v := range part {
			sum = append(sum, v*by)
		}
	}
	squares := 0.0
	for _, v := range sum {
		squares += v * scale * v * scale
	}
	if math.IsNaN(squares) || math.IsInf(squares, 0) {
		return nil, artifact.Errorf(artifact.ErrDiverged, "its hidden states are not finite; the model's weights have diverged")
	}
	for _, step := range e.settings.Steps {
		if step.Dense != nil {
			sum, scale = step.Dense.apply(sum, scale), 1
			squares = 0
			for _, v := range sum {
				squares += v * v
			}
			continue
		}
		// PyTorch's normalize: a vector of zeros stays one.
		length := max(math.Sqrt(squares), 1e-12)
		scale, squares = scale/length, squares/(length*length)
	}
	vector := make([]float32, len(sum))
	for i, v := range sum {
		vector[i] = float32(v * scale)
	}
	return vector, nil
}
