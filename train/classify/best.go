package classify

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
)

// best remembers the weights with the highest macro-F1 on the held-out texts,
// and how long ago that was measured: early stopping. It is a part of the
// checkpoint, so that a resumed run stops where an uninterrupted one does.
type best struct {
	model    *model.Model
	patience int

	bestRecord
	kept   *model.Model // a copy with the best weights, nil before the first measurement
	copies train.Copies // of kept
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
	bestWeightsFile = "best.safetensors" // empty before the first measurement
)

// measured takes a measurement after so many steps.
func (b *best) measured(macroF1 float64, step int) error {
	if b.Step >= 0 && macroF1 <= b.MacroF1 {
		b.Since++
		return nil
	}
	if err := b.keep(); err != nil {
		return err
	}
	b.bestRecord = bestRecord{MacroF1: macroF1, Step: step}
	return nil
}

// keep copies the weights as they are.
func (b *best) keep() (err error) {
	if b.kept == nil {
		b.kept, err = b.model.Clone()
		return err
	}
	return b.kept.CopyWeights(b.model)
}

// done reports whether the run should end.
func (b *best) done() bool { return b.Since >= b.patience }

// restore gives the model its best weights.
func (b *best) restore() error {
	if b.kept == nil {
		return artifact.Errorf(artifact.ErrCorrupt, "restoring the best weights: the run ended without a measurement; its checkpoints are of another run")
	}
	return b.model.CopyWeights(b.kept)
}

// Save implements [train.State].
func (b *best) Save() (artifact.Contents, error) { return b.files(b.kept) }

// Snapshot implements [train.State].
func (b *best) Snapshot() (artifact.Contents, error) {
	if b.Step < 0 {
		return b.Save()
	}
	kept, err := b.copies.Of(b.kept, b.arrays())
	if err != nil {
		return nil, err
	}
	return b.files(kept)
}

// Room implements [train.State]. The weights that are kept are as large as the
// model's.
func (b *best) Room() train.Room { return b.copies.Room(b.model, b.arrays()) }

// arrays are those that the files hold.
func (b *best) arrays() (names []string) {
	for _, p := range b.model.Parameters() {
		names = append(names, p.Name)
	}
	return names
}

func (b *best) files(kept *model.Model) (artifact.Contents, error) {
	record, err := json.Marshal(b.bestRecord)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", bestRecordFile, err)
	}
	weights := artifact.Bytes(nil)
	if b.Step >= 0 {
		weights = func(w io.Writer) error { return file.WriteWeights(w, kept, "F32") }
	}
	return artifact.Contents{bestRecordFile: artifact.Bytes(record), bestWeightsFile: weights}, nil
}

// Load implements [train.State].
func (b *best) Load(c *artifact.Checkpoint) error {
	data, err := c.ReadFile(bestRecordFile)
	if err != nil {
		return err
	}
	var record bestRecord
	if err := json.Unmarshal(data, &record); err != nil {
		return artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", bestRecordFile, err))
	}
	if record.Step >= 0 {
		if err := b.keep(); err != nil {
			return err
		}
		if err := c.Read(bestWeightsFile, func(name string, r io.ReaderAt, size int64) error { return file.ReadWeights(b.kept, name, r, size) }); err != nil {
			return err
		}
	}
	b.bestRecord = record
	return nil
}
