package model

import (
	"github.com/seed-b72bdb6c/alma/compute/count"
)

// SketchOf is a model without numbers on an engine that only counts, of a
// configuration with another head: what plans are made with.
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
