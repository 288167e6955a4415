// Package embed turns texts into vectors: the hidden states of a model, pooled
// over each text (Reimers and Gurevych 2019).
//
// Terms:
//
//   - pooling: how a text's hidden states become one vector: their mean, or the
//     state of the first token ("cls"), which an encoder may be trained to read.
//   - normalised: divided by its Euclidean length, so that the dot product of two
//     vectors is the cosine of the angle between them.
//
// Example:
//
//	m, tok, err := train.LoadModel(engine, "minilm")
//	settings, err := embed.ReadSettings("minilm", m.Context, "")
//	e, err := embed.New(m, 8, settings)
//	text, _, err := dataset.EncodeText(tok, "a text", settings.Context)
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
)

// Pooling says how a text's hidden states become one vector.
type Pooling string

// The ways of pooling.
const (
	Mean Pooling = "mean" // of all tokens, the special ones included
	CLS  Pooling = "cls"  // the first token's
)

// Poolings lists the ways of pooling.
var Poolings = []Pooling{Mean, CLS}

// Settings say what vectors are made of.
type Settings struct {
	Pooling   Pooling
	Normalize bool
	Context   int // tokens at which a text is cut
}

// Embedder computes vectors of texts.
type Embedder struct {
	model    *model.Model
	settings Settings
	x        compute.Executable
	packed   *dataset.Packed
}

// New compiles a model's body for batches of rows packed rows of
// settings.Context tokens. It is not safe for use by several goroutines.
func New(m *model.Model, rows int, settings Settings) (*Embedder, error) {
	if !slices.Contains(Poolings, settings.Pooling) {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to embed texts: pooling %q is not one of %q", settings.Pooling, Poolings)
	}
	if rows < 1 || settings.Context < 1 || settings.Context > m.Context {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to embed texts: %d rows of %d tokens; want at least 1 row of 1 to %d tokens, the model's context", rows, settings.Context, m.Context)
	}
	p := compute.NewProgram("embeddings")
	p.Output("hidden", m.Hidden(p, m.NewBatch(p, rows, settings.Context))) // [rows·T, D]
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		return nil, err
	}
	return &Embedder{m, settings, x, dataset.NewPacked(rows, settings.Context)}, nil
}

// Embed returns the vector [D] of each text. Any number of texts may be given,
// each of 1 to Context tokens; a vector does not depend on the texts beside it.
// When ctx ends, its cause is returned.
func (e *Embedder) Embed(ctx context.Context, texts [][]int32) ([][]float32, error) {
	vectors, d := make([][]float32, len(texts)), e.model.Width
	_, err := e.packed.WalkTexts(ctx, e.x, texts, e.model.Pad, func(text, start, end int) (err error) {
		vectors[text], err = e.pool(e.x.Floats("hidden")[start*d : end*d])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("embedding: %w", err)
	}
	return vectors, nil
}

// pool makes one vector of a text's hidden states [T, D].
func (e *Embedder) pool(states []float32) ([]float32, error) {
	d := e.model.Width
	n := len(states) / d
	if e.settings.Pooling == CLS {
		n = 1
	}
	sum := make([]float64, d)
	for t := range n {
		for i, v := range states[t*d : (t+1)*d] {
			sum[i] += float64(v)
		}
	}
	scale, squares := 1/float64(n), 0.0
	for _, v := range sum {
		squares += v * scale * v * scale
	}
	if math.IsNaN(squares) || math.IsInf(squares, 0) {
		return nil, artifact.Errorf(artifact.ErrDiverged, "its hidden states are not finite; the model's weights have diverged")
	}
	if e.settings.Normalize {
		// PyTorch's normalize: a vector of zeros stays one.
		scale /= max(math.Sqrt(squares), 1e-12)
	}
	vector := make([]float32, d)
	for i, v := range sum {
		vector[i] = float32(v * scale)
	}
	return vector, nil
}
