package cpu

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// compiler turns one Program into an Executable.
type compiler struct {
	engine *Engine
	pool   *pool
	x      *Executable
	nodes  []*compute.Node // live, in running order

	step    int   // index in nodes of the node being lowered
	readers []int // by node ID: position in nodes, -1 if not live
	uses    map[*compute.Tensor]*use
	storage map[*compute.Tensor]*storage // of roots
	arrays  map[*compute.Tensor]*array   // of variables

	values   map[*compute.Tensor]int // updates by a root tensor
	placed   map[*compute.Tensor]placement
	replaced map[*array]bool          // arrays of updates that are neither sums nor clearings
	outputs  []compute.Named          // copied when the run ends
	adds     map[int][]compute.Update // accumulated right after a step
	deferred []compute.Update         // applied when the run ends
	packed   map[sequences]*storage   // right-hand sides packed so far
	scratch  int                      // floats that each worker needs
	updated  map[*array]bool          // arrays of all updates
	sums     map[*compute.Tensor]addends
	fused    map[*compute.Node]bool    // nodes that run with the product that they read
	views    map[*compute.Tensor]view  // tensors that are columns of another's storage
	trains   bool                      // the Program computes gradients of weights
	kept     map[*compute.Tensor]*head // of vocabulary operators that leave their logits to a gradient, by the log-sum-exps
}

// Compile prepares a Program to run against the variables of a Store that
// this engine made.
func (e *Engine) Compile(p *compute.Program, s compute.Store) (compute.Executable, error) {
	store, ok := s.(*Store)
	if !ok {
		return nil, fmt.Errorf("compiling program %s: the store belongs to another engine (%T)", p.Name, s)
	}
	if err := kernel.SelectError(); err != nil {
		return nil, fmt.Errorf("compiling program %s: %w", p.Name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &compiler{
		engine: e,
		pool:   e.pool,
		nodes:  p.Live(),
		x: &Executable{
			engine: e, program: p, flops: p.FLOPs(),
			floats: map[string][]float32{}, ints: map[string][]int32{},
			generation: -1,
		},
		readers:  make([]int, len(p.Nodes)),
		uses:     map[*compute.Tensor]*use{},
		storage:  map[*compute.Tensor]*storage{},
		arrays:   map[*compute.Tensor]*array{},
		values:   map[*compute.Tensor]int{},
		placed:   map[*compute.Tensor]placement{},
		trains:   trains(p.Live()),
		kept:     map[*compute.Tensor]*head{},
		updated:  map[*array]bool{},
		sums:     map[*compute.Tensor]addends{},
		fused:    map[*compute.Node]bool{},
		views:    map[*compute.Tensor]view{},
		adds:     map[int][]compute.Update{},
		replaced: map[*array]bool{},
		packed:   map[sequences]*storage{},
	}
	if err := c.compile(p, store); err != nil {
		return nil, fmt.Errorf("compiling program %s: %w", p.Name, err)
	}
	return c.x, nil
}

func (c *compiler) compile(p *compute.Program, store *Store) error {
	if err := known(c.nodes); err != nil {
		return err
	}
	for _, v := range p.Variables {
		a, ok := store.arrays[v.Name]
		if !ok {
			return fmt.Errorf("variable %q is not in the store; define it with shape %v", v.Name, []int(v.Tensor.Shape))
		}
		if !a.shape.Equal(v.Tensor.Shape) {
			return fmt.Errorf("variable %q has shape %v in the program and %v in the store", v.Name, []int(v.Tensor.Shape), []int(a.shape))
		}
		c.arrays[v.Tensor] = a
	}
	for _, in := range p.Inputs {
		s := &storage{size: in.Tensor.Shape.Size()}
		if in.Tensor.DType == compute.Int32 {
			s.i = make([]int32, s.size)
			c.x.ints[in.Name] = s.i
		} else {
			s.f = aligned(s.size)
			c.x.floats[in.Name] = s.f
		}
		c.storage[in.Tensor] = s
	}
	c.findUses(p)
	c.placeUpdates(p.Updates)
	c.findForms(p)
	c.findSettled(p)
	if err := c.bufferOutputs(p); err != nil {
		return err
	}
	for i, n := range c.nodes {
		c.step = i
		if c.readers[n.ID] < 0 || c.fused[n] {
			continue
		}
		if err := operatorOf(n.Op).lower(c, n); err != nil {
			return fmt.Errorf("operator %s (node %d): %w", n.Op.Kind(), n.ID, err)
		}
		for _, u := range c.adds[i] {
			c.accumulate(n, u)
		}
	}
	c.finish()
	c.x.size = pack(c.x.arena, len(c.nodes))
	return c.engine.reserve(c.x.size, c.scratch)
}
