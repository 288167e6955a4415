package model

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
)

// CopyWeights takes the parameters of a model of the same configuration, and
// those of its adapter.
func (m *Model) CopyWeights(from *Model) error {
	for _, p := range append(m.Parameters(), m.AdapterParameters()...) {
		values, err := compute.Values(from.Store, p.Name)
		if err != nil {
			return err
		}
		if err := m.Store.Write(p.Name, values); err != nil {
			return err
		}
		if !compute.Same(from.Store, m.Store, p.Name) {
			return artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("copying weights: %w", compute.Changed(p.Name)))
		}
	}
	return nil
}
