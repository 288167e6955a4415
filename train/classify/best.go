package classify

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

// best remembers the weights with the highest macro-F1 on the held-out texts,
// and how long ago that was measured: early stopping. It is a part of the
// checkpoint, so that a resumed run stops where an uninterrupted one does.
type best struct {
	model    *model.Model
	patience int

	bestRecord
	weights []byte // model.safetensors, empty before the first measurement
}

func newBest(m *model.Model, patience int) *best {
	return &best{model: m, patience: patience, bestRecord: bestRecord{Step: -1}}
}

// bestRecord is best.json of a checkpoint.
type bestRecord struct {
	MacroF1 float64 `json:"macro_f1"`
	Step    int     `json:"step"` // −1 before the first measurement
	Since   int     `json:"measurements_since"`
}

// The files of a checkpoint.
const (
	bestRecordFile  = "best.json"
	bestWeightsFile = "best.safetensors"
)

// measured takes a measurement after so many steps.
func (b *best) measured(macroF1 float64, step int) error {
	if b.Step >= 0 && macroF1 <= b.MacroF1 {
		b.Since++
		return nil
	}
	weights, err := b.model.Weights()
	if err != nil {
		return err
	}
	b.weights, b.bestRecord = weights, bestRecord{MacroF1: macroF1, Step: step}
	return nil
}

// done reports whether the run should end.
func (b *best) done() bool { return b.Since >= b.patience }

// restore gives the model its best weights.
func (b *best) restore() error { return train.LoadParameters(b.model, bestWeightsFile, b.weights) }

// Save implements [train.State].
func (b *best) Save() (map[string]func(io.Writer) error, error) {
	record, err := json.Marshal(b.bestRecord)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", bestRecordFile, err)
	}
	weights := b.weights
	write := func(data []byte) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}
	}
	return map[string]func(io.Writer) error{bestRecordFile: write(record), bestWeightsFile: write(weights)}, nil
}

// Load implements [train.State].
func (b *best) Load(read func(name string) ([]byte, error)) error {
	data, err := read(bestRecordFile)
	if err != nil {
		return err
	}
	var record bestRecord
	if err := json.Unmarshal(data, &record); err != nil {
		return artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", bestRecordFile, err))
	}
	weights, err := read(bestWeightsFile)
	if err != nil {
		return err
	}
	b.weights, b.bestRecord = weights, record
	return nil
}
