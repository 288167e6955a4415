package cpu

import (
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
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
	// The numbers lie in data or in rows; in neither as long as nobody asked.
	data []float32
	rows *rowForm
	// version grows with every write, so that panels know when they are old.
	version uint64
	panels  []*keptPanels
	// sum is kernel.SumBits of what was written, if that was version summed.
	sum, summed uint64
	// zero says that the array counts as zeros, whatever its memory holds: the
	// clearing of a gradient costs nothing, and the first sum after it is
	// written in place of being added. It is settled before anyone reads.
	zero bool
	// viewed says that somebody may hold the memory, which must then show
	// what the array holds.
	viewed bool
}

// settle makes the memory hold what the array does.
func (a *array) settle() {
	if a.zero {
		if a.rows != nil {
			a.rows.clear()
		}
		clear(a.data)
		a.zero = false
	}
}

// join makes the array lie in one piece, which it returns.
func (a *array) join() []float32 {
	if a.data == nil {
		a.data = aligned(a.shape.Size())
		if a.rows != nil {
			a.rows.copyTo(a.data)
			a.rows = nil
		}
	}
	return a.data
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
	s.arrays[name] = &array{name: name, shape: append(compute.Shape{}, shape...), version: 1, summed: 1, zero: true}
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
	a.settle()
	if a.rows != nil {
		a.rows.copyTo(dst)
	} else {
		copy(dst, a.join())
	}
	return nil
}

// Write copies src into an array.
func (s *Store) Write(name string, src []float32) error {
	a, err := s.sized("writing", name, len(src))
	if err != nil {
		return err
	}
	dst := a.join()
	a.zero = false
	a.version++
	a.sum, a.summed = 0, a.version
	for lo := 0; lo < len(src); lo += chunk { // summed while they are in the cache
		part := src[lo:min(lo+chunk, len(src))]
		a.sum += kernel.SumBits(part)
		copy(dst[lo:], part)
	}
	return nil
}

// WrittenSum is the sum of the bits that were last written to an array by Write
// or an optimizer; false if something else wrote since.
func (s *Store) WrittenSum(name string) (uint64, bool) {
	a, ok := s.arrays[name]
	if !ok || a.summed != a.version {
		return 0, false
	}
	return a.sum, true
}

// SumOf is the sum of the bits of elements lo to hi of an array as it lies in
// memory.
func (s *Store) SumOf(name string, lo, hi int) uint64 {
	a := s.arrays[name]
	a.settle()
	return kernel.SumBits(a.join()[lo:hi])
}

// View returns the memory of an array without a copy, nil if there is none of
// that name. It must only be read, and shows what later runs and writes put
// there.
func (s *Store) View(name string) []float32 {
	if a, ok := s.arrays[name]; ok {
		a.settle()
		a.viewed = true
		return a.join()
	}
	return nil
}

func (s *Store) sized(doing, name string, size int) (*array, error) {
	a, ok := s.arrays[name]
	if !ok {
		return nil, fmt.Errorf("%s variable %q: the store has none of that name; define it first", doing, name)
	}
	if a.shape.Size() != size {
		return nil, fmt.Errorf("%s variable %q: got a slice of %d elements for shape %v", doing, name, size, []int(a.shape))
	}
	return a, nil
}
