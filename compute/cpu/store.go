package cpu

import (
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Store holds variables as aligned float32 arrays in main memory.
type Store struct {
	names  []string
	arrays map[string]*array
}

// array is one variable.
type array struct {
	name  string
	shape compute.Shape
	data  []float32
	// version grows with every write, so that panels know when they are old.
	version uint64
	panels  []*panels
}

// Define adds an array of zeros.
func (s *Store) Define(name string, shape ...int) error {
	if a, ok := s.arrays[name]; ok {
		if !a.shape.Equal(shape) {
			return fmt.Errorf("defining variable %q with shape %v: the store holds it with shape %v", name, shape, []int(a.shape))
		}
		return nil
	}
	for _, d := range shape {
		if d < 0 {
			return fmt.Errorf("defining variable %q with shape %v: a dimension is negative", name, shape)
		}
	}
	a := &array{name: name, shape: append(compute.Shape{}, shape...), version: 1}
	a.data = aligned(a.shape.Size())
	s.arrays[name] = a
	s.names = append(s.names, name)
	return nil
}

// Shape returns the shape of an array, false if there is none.
func (s *Store) Shape(name string) (compute.Shape, bool) {
	a, ok := s.arrays[name]
	if !ok {
		return nil, false
	}
	return slices.Clone(a.shape), true
}

// Names lists the arrays in the order of their definition.
func (s *Store) Names() []string { return slices.Clone(s.names) }

// Read copies an array into dst.
func (s *Store) Read(name string, dst []float32) error {
	a, err := s.sized("reading", name, len(dst))
	if err != nil {
		return err
	}
	copy(dst, a.data)
	return nil
}

// Write copies src into an array.
func (s *Store) Write(name string, src []float32) error {
	a, err := s.sized("writing", name, len(src))
	if err != nil {
		return err
	}
	copy(a.data, src)
	a.version++
	return nil
}

// View returns the memory of an array without a copy, nil if there is none of
// that name. It must only be read, and shows what later runs and writes put
// there.
func (s *Store) View(name string) []float32 {
	if a, ok := s.arrays[name]; ok {
		return a.data
	}
	return nil
}

func (s *Store) sized(doing, name string, size int) (*array, error) {
	a, ok := s.arrays[name]
	if !ok {
		return nil, fmt.Errorf("%s variable %q: the store has none of that name; define it first", doing, name)
	}
	if len(a.data) != size {
		return nil, fmt.Errorf("%s variable %q: got a slice of %d elements for shape %v", doing, name, size, []int(a.shape))
	}
	return a, nil
}
