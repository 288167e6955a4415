package preference

import (
	"context"
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
)

// Scorer computes rewards of whole texts.
type Scorer struct {
	model  *model.Model
	x      compute.Executable
	packed *dataset.Packed
	flops  int64
}

// NewScorer compiles the forward pass of a model with a scalar head for
// batches of rows packed rows of length tokens. It reads the weights that the
// model has when Scores is called. It is not safe for use by several goroutines.
func NewScorer(m *model.Model, rows, length int) (*Scorer, error) {
	if m.Head != model.Scalar {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to score texts: the model has a %q head, rewards need %q; give the folder of a reward model", m.Head, model.Scalar)
	}
	if rows < 1 || length < 1 || length > m.Context {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to score texts: %d rows of %d tokens; want at least 1 row of 1 to %d tokens, the model's context", rows, length, m.Context)
	}
	p := compute.NewProgram("rewards")
	p.Output("rewards", m.Score(p, m.Hidden(p, m.NewBatch(p, rows, length)))) // [rows·length]
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		return nil, err
	}
	return &Scorer{model: m, x: x, packed: dataset.NewPacked(rows, length)}, nil
}

// Scores returns the reward of each text, read at its last token. Any number
// of texts may be given, each of 1 to length tokens; a reward does not depend
// on the texts beside it. When ctx ends, its cause is returned.
func (s *Scorer) Scores(ctx context.Context, texts [][]int32) ([]float32, error) {
	scores := make([]float32, len(texts))
	flops, err := s.packed.WalkTexts(ctx, s.x, texts, s.model.Pad, func(text, start, end int) error {
		scores[text] = s.x.Floats("rewards")[s.model.ReadIn(start, end)]
		if r := float64(scores[text]); math.IsNaN(r) || math.IsInf(r, 0) {
			return artifact.Errorf(artifact.ErrDiverged, "its reward is %v; the reward model's weights have diverged", r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("scoring: %w", err)
	}
	s.flops += flops
	return scores, nil
}

// FLOPs is the count of all work so far.
func (s *Scorer) FLOPs() int64 { return s.flops }
