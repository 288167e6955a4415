package file

import (
	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/count"
	"github.com/seed-b72bdb6c/alma/model"
)

// Sketch is a model without numbers on an engine that only counts, from the text of
// a config.json and with a head: what plans are made with.
func Sketch(config []byte, head model.Head) (*model.Model, *count.Engine, error) {
	if len(config) == 0 {
		return nil, nil, artifact.Errorf(artifact.ErrNotFound, "estimating a model: its config.json is not known yet")
	}
	c, err := ParseConfig("config.json", config)
	if err != nil {
		return nil, nil, err
	}
	return model.SketchOf(c, head)
}
