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
	model       *model.Model
	rows, limit int // packed rows that are seen at one time, and the most tokens of a text
	x           compute.Executable
	packed      *dataset.Packed
	flops       int64
}

// usualTokens is the length of the rows until a longer text comes: a published
// model's context may be a hundred times what is scored, and padding takes time and
// memory as text does.
const usualTokens = 512

// ScoreRows is how many packed rows a reward model sees at one time where nothing
// else asks for a number. It changes no reward.
const ScoreRows = 8

// NewScorer compiles the forward pass of a model with a scalar head for texts of at
// most length tokens, in batches of rows packed rows, fewer where texts are longer
// than usual. It reads the weights that the model has when Scores is called. It is not
// safe for use by several goroutines.
func NewScorer(m *model.Model, rows, length int) (*Scorer, error) {
	if m.Head != model.Scalar {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to score texts: the model has a %q head, rewards need %q; give the folder of a reward model", m.Head, model.Scalar)
	}
	if rows < 1 || length < 1 || length > m.Context {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to score texts: %d rows of %d tokens; want at least 1 row of 1 to %d tokens, the model's context", rows, length, m.Context)
	}
	s := &Scorer{model: m, rows: rows, limit: length}
	return s, s.fit(1)
}

// fit compiles the program for texts of up to tokens tokens, if it is for shorter ones.
func (s *Scorer) fit(tokens int) error {
	length := usualTokens
	for length < tokens {
		length *= 2
	}
	length = min(length, s.limit)
	if s.x != nil && length <= s.packed.T {
		return nil
	}
	rows := max(1, s.rows*min(usualTokens, length)/length)
	p := compute.NewProgram("rewards")
	p.Output("rewards", s.model.Score(p, s.model.Hidden(p, s.model.NewBatch(p, rows, length)))) // [rows·length]
	x, err := s.model.Engine.Compile(p, s.model.Store)
	if err != nil {
		return err
	}
	s.x, s.packed = x, dataset.NewPacked(rows, length)
	return nil
}

// Scores returns the reward of each text, read at its last token. Any number
// of texts may be given, each of 1 to length tokens; a reward does not depend
// on the texts beside it. When ctx ends, its cause is returned.
func (s *Scorer) Scores(ctx context.Context, texts [][]int32) ([]float32, error) {
	longest := 0
	for _, t := range texts {
		longest = max(longest, len(t))
	}
	if err := s.fit(longest); err != nil {
		return nil, fmt.Errorf("scoring: %w", err)
	}
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
