package model

import (
	"maps"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Model is a Config with its weights in a Store of an engine.
type Model struct {
	Config
	Engine compute.Engine
	Store  compute.Store

	// Generation is what the model's files say of writing texts with it.
	Generation Generation

	// Recompute has training compute a block's activations again in the backward
	// pass: less memory, a third more work, the same bits. Programs built before
	// it is set are not changed.
	Recompute bool

	frozen map[string]bool // names of the parameters that training leaves as they are
}

// Freeze keeps the parameters that match from being trained, and lets all
// others be. Programs and optimizers built before it are not changed.
func (m *Model) Freeze(match func(Parameter) bool) {
	m.frozen = make(map[string]bool)
	for _, p := range m.Parameters() {
		if match(p) {
			m.frozen[p.Name] = true
		}
	}
}

// Trained lists the parameters that are not frozen, in the order of
// [Config.Parameters], and then those of an adapter.
func (m *Model) Trained() []Parameter {
	trained := slices.DeleteFunc(m.Parameters(), func(p Parameter) bool { return m.frozen[p.Name] })
	return append(trained, m.AdapterParameters()...)
}

// New returns a model with random weights, a function of the seed and each
// parameter's name alone.
func New(engine compute.Engine, c Config, seed uint64) (*Model, error) {
	m, err := Empty(engine, c)
	if err != nil {
		return nil, err
	}
	for _, p := range c.Parameters() {
		if err := m.Store.Write(p.Name, p.initial(seed)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Empty returns a model whose weights are all 0.
func Empty(engine compute.Engine, c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{Config: c, Engine: engine, Store: engine.NewStore()}
	for _, p := range append(c.Parameters(), c.AdapterParameters()...) {
		if err := m.Store.Define(p.Name, p.Shape...); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (p Parameter) initial(seed uint64) []float32 {
	data := make([]float32, compute.Shape(p.Shape).Size())
	stream := compute.Stream("init " + p.Name)
	for i := range data {
		if p.Init == 0 {
			data[i] = p.Fill
		} else {
			data[i] = float32(p.Init * compute.Normal(seed, stream, uint64(i)))
		}
	}
	return data
}

// Clone copies the model into a Store of its own.
func (m *Model) Clone() (*Model, error) {
	out, err := m.WithHead(m.Head, 0, m.Labels...)
	if err != nil {
		return nil, err
	}
	out.Problem = m.Problem
	return out, nil
}

// WithHead copies the model into a Store of its own with another head, labels
// being the names of the classes for [Classes]. The body keeps its weights, and
// so does a head that the model has, with the same labels; a new head starts
// random by the seed, as does a pooler that the new head reads and the model
// lacks.
func (m *Model) WithHead(head Head, seed uint64, labels ...string) (*Model, error) {
	c := m.Config.WithHead(head, labels...)
	out, err := Empty(m.Engine, c)
	if err != nil {
		return nil, err
	}
	out.frozen, out.Generation = maps.Clone(m.frozen), m.Generation.clone()
	same := head == m.Head && slices.Equal(labels, m.Labels)
	for _, p := range append(c.Parameters(), c.AdapterParameters()...) {
		var data []float32
		if _, ok := m.Store.Shape(p.Name); ok && (same || !c.inHead(p.Name)) {
			data, err = compute.Values(m.Store, p.Name)
		} else {
			data = p.initial(seed)
		}
		if err == nil {
			err = out.Store.Write(p.Name, data)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// FileName is the name that a parameter has in a model file: its own, without
// the prefix of the body if there is no head.
func (c Config) FileName(name string) string {
	if c.Head == NoHead {
		return strings.TrimPrefix(name, c.Family.architecture().prefix())
	}
	return name
}
