package model

import (
	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/count"
)

// Sketch is a model without numbers on an engine that only counts, from the text of
// a config.json and with a head: what plans are made with.
func Sketch(config []byte, head Head) (*Model, *count.Engine, error) {
	if len(config) == 0 {
		return nil, nil, artifact.Errorf(artifact.ErrNotFound, "estimating a model: its config.json is not known yet")
	}
	c, err := ParseConfig("config.json", config)
	if err != nil {
		return nil, nil, err
	}
	return SketchOf(c, head)
}

// SketchOf is [Sketch] of a configuration.
func SketchOf(c Config, head Head) (*Model, *count.Engine, error) {
	c.Head = head
	engine := &count.Engine{}
	m := &Model{Config: c, Engine: engine, Store: engine.NewStore()}
	for _, p := range c.Parameters() {
		if err := m.Store.Define(p.Name, p.Shape...); err != nil {
			return nil, nil, err
		}
	}
	return m, engine, nil
}
