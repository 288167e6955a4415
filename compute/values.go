package compute

import "fmt"

// viewer is a Store whose arrays can be read where they lie. View returns nil for
// an array that the Store does not have.
type viewer interface {
	View(name string) []float32
}

// Values returns the numbers of an array, which are only to be read, and before
// the next run or write: where they lie if the Store can show them, so that a
// model can be written without a second one in memory, and else copied.
func Values(s Store, name string) ([]float32, error) {
	shape, ok := s.Shape(name)
	if !ok {
		return nil, fmt.Errorf("reading variable %q: the store has none of that name", name)
	}
	if v, ok := s.(viewer); ok {
		return v.View(name), nil
	}
	values := make([]float32, shape.Size())
	return values, s.Read(name, values)
}
