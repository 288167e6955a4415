// Package count is an engine without numbers: it counts what Programs would take,
// for plans that are made before anything runs.
package count

import (
	"errors"
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Engine counts Programs and runs none.
type Engine struct {
	FLOPs   []float64 // of each Program, in the order in which they were compiled
	Tensors int64     // bytes of the Program whose tensors take the most at one time

	stores []*shapes
}

// Last is the count of the Program compiled last.
func (c *Engine) Last() float64 { return c.FLOPs[len(c.FLOPs)-1] }

// Memory is what the Stores of the engine and its largest Program take, in bytes.
func (c *Engine) Memory() int64 {
	n := c.Tensors
	for _, s := range c.stores {
		for _, shape := range s.of {
			n += 4 * int64(shape.Size())
		}
	}
	return n
}

// Name implements compute.Engine.
func (c *Engine) Name() string { return "count" }

// NewStore implements compute.Engine.
func (c *Engine) NewStore() compute.Store {
	s := &shapes{of: map[string]compute.Shape{}}
	c.stores = append(c.stores, s)
	return s
}

// Compile implements compute.Engine.
func (c *Engine) Compile(p *compute.Program, _ compute.Store) (compute.Executable, error) {
	c.FLOPs = append(c.FLOPs, float64(p.FLOPs()))
	c.Tensors = max(c.Tensors, tensors(p))
	return countedProgram{p.FLOPs()}, nil
}

// tensors is the most that a Program's tensors take at one time when each is
// given up after its last use, in bytes. Variables lie in the Store.
func tensors(p *compute.Program) int64 {
	nodes := p.Live()
	lastUse := map[*compute.Tensor]int{}
	for i, n := range nodes {
		for _, in := range n.Inputs {
			lastUse[in] = i
		}
	}
	for _, o := range p.Outputs {
		lastUse[o.Tensor] = len(nodes)
	}
	for _, u := range p.Updates {
		lastUse[u.Value] = len(nodes)
	}
	ends := make([]int64, len(nodes)+1)
	var now, most int64
	for i, n := range nodes {
		if source, ok := n.Op.(compute.Source); ok && source.Variable {
			continue
		}
		for _, out := range n.Outputs {
			size := 4 * int64(out.Shape.Size())
			now += size
			ends[max(i, lastUse[out])] += size
		}
		most = max(most, now)
		now -= ends[i]
	}
	return most
}

// countedProgram is a Program that has only its count.
type countedProgram struct{ flops int64 }

func (countedProgram) Floats(string) []float32 { return nil }
func (countedProgram) Ints(string) []int32     { return nil }
func (countedProgram) Run() error              { return errors.New("running a program that was only counted") }
func (p countedProgram) FLOPs() int64          { return p.flops }

// shapes is a Store without numbers.
type shapes struct {
	of    map[string]compute.Shape
	names []string
}

// Define implements compute.Store.
func (s *shapes) Define(name string, shape ...int) error {
	if old, ok := s.of[name]; ok {
		if !old.Equal(shape) {
			return fmt.Errorf("defining %s as %v: it is %v already", name, shape, old)
		}
		return nil
	}
	s.of[name] = shape
	s.names = append(s.names, name)
	return nil
}

// Shape implements compute.Store.
func (s *shapes) Shape(name string) (compute.Shape, bool) {
	shape, ok := s.of[name]
	return shape, ok
}

// Names implements compute.Store.
func (s *shapes) Names() []string { return s.names }

// Read implements compute.Store.
func (s *shapes) Read(string, []float32) error {
	return errors.New("reading from a store without numbers")
}

// Write implements compute.Store. Numbers are not kept: nothing reads them.
func (s *shapes) Write(name string, _ []float32) error {
	if _, ok := s.of[name]; !ok {
		return fmt.Errorf("writing %s: it is not defined", name)
	}
	return nil
}
