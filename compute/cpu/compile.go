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
	fused    map[*compute.Node]bool   // nodes that run with the product that they read
	views    map[*compute.Tensor]view // tensors that are columns of another's storage
	trains   bool                     // the Program computes gradients of weights
	kept     map[*compute.Tensor]kept // what a vocabulary operator leaves to its gradient, by its log-sum-exps
}

// use tells who reads a root tensor, through itself or its reshaped forms.
type use struct {
	steps []int // in rising order; one entry for each reading input
	end   bool  // an output or a deferred update reads it after the last step
}

// last is the last step that reads the tensor, at the latest len(nodes).
func (u *use) last(nodes int) int {
	switch {
	case u == nil:
		return -1
	case u.end:
		return nodes
	case len(u.steps) == 0:
		return -1
	}
	return u.steps[len(u.steps)-1]
}

// placement says that a tensor is computed in the memory of a variable.
type placement struct {
	array *array
	add   bool // added to what is there
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
		kept:     map[*compute.Tensor]kept{},
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
		if err := c.lower(n); err != nil {
			return fmt.Errorf("operator %s (node %d): %w", n.Op.Kind(), n.ID, err)
		}
		for _, u := range c.adds[i] {
			c.accumulate(n, u)
		}
	}
	c.finish()
	return c.engine.reserve(pack(c.x.arena, len(c.nodes)), c.scratch)
}

// findUses lists the readers of every root tensor.
func (c *compiler) findUses(p *compute.Program) {
	for i := range c.readers {
		c.readers[i] = -1
	}
	for i, n := range c.nodes {
		c.readers[n.ID] = i
		if _, ok := n.Op.(compute.ReshapeOp); ok {
			continue
		}
		for _, in := range n.Inputs {
			u := c.useOf(in)
			u.steps = append(u.steps, i)
		}
	}
	for _, out := range p.Outputs {
		c.useOf(out.Tensor).end = true
	}
	// A variable that becomes another variable's value is read at the end.
	for _, u := range p.Updates {
		if t := root(u.Value); c.arrays[t] != nil {
			c.useOf(t).end = true
		}
	}
}

func (c *compiler) useOf(t *compute.Tensor) *use {
	t = root(t)
	u := c.uses[t]
	if u == nil {
		u = &use{}
		c.uses[t] = u
	}
	return u
}

// placeUpdates decides for every update whether its value is computed in the
// variable's memory, added to it right after it is computed, or copied when
// the run ends.
func (c *compiler) placeUpdates(updates []compute.Update) {
	count := map[*array]int{} // updates of a variable
	onlyAdds := map[*array]bool{}
	for _, u := range updates {
		a := c.arrays[u.Variable]
		if count[a] == 0 {
			onlyAdds[a] = true
			c.x.written = append(c.x.written, a)
		}
		count[a]++
		c.updated[a] = true
		onlyAdds[a] = onlyAdds[a] && u.Add
		c.values[root(u.Value)]++
	}
	for _, u := range updates {
		a := c.arrays[u.Variable]
		switch {
		case c.values[root(u.Value)] > 1 || c.arrays[root(u.Value)] != nil:
			c.deferUpdate(u)
		case onlyAdds[a]:
			c.placeAdd(u)
		case count[a] == 1 && c.replaceable(u):
			c.placed[root(u.Value)] = placement{a, false}
			if _, clears := c.cleared(root(u.Value)); !clears {
				c.replaced[a] = true
			}
		default:
			c.deferUpdate(u)
		}
	}
}

// findSettled lists the arrays whose memory must hold their numbers when the run
// begins: all but those that steps only add to or clear.
func (c *compiler) findSettled(p *compute.Program) {
	for _, v := range p.Variables {
		a := c.arrays[v.Tensor]
		if c.replaced[a] || c.uses[v.Tensor].last(len(c.nodes)) >= 0 {
			c.x.settled = append(c.x.settled, a)
		}
	}
}

// cleared returns the array that a tensor of zeros replaces, if that is all it
// is for.
func (c *compiler) cleared(t *compute.Tensor) (*array, bool) {
	fill, ok := t.Node.Op.(compute.FillOp)
	at, isPlaced := c.placed[t]
	return at.array, ok && isPlaced && fill.Value == 0 && !at.add && c.uses[t].last(len(c.nodes)) < 0
}

func (c *compiler) deferUpdate(u compute.Update) {
	c.useOf(u.Value).end = true
	c.replaced[c.arrays[u.Variable]] = true
	c.deferred = append(c.deferred, u)
}

// replaceable tells whether the value may be computed in its variable: nobody
// reads the old value later, nor at the same time, unless the operator works
// in place.
func (c *compiler) replaceable(u compute.Update) bool {
	value := root(u.Value)
	if _, ok := value.Node.Op.(compute.Source); ok {
		return false
	}
	at := c.readers[value.Node.ID]
	last := c.useOf(u.Variable).last(len(c.nodes))
	if last < at {
		return true
	}
	if last > at {
		return false
	}
	reading := 0
	for i, in := range value.Node.Inputs {
		if root(in) == u.Variable {
			if !worksInPlace(value.Node, i, value.Index) {
				return false
			}
			reading++
		}
	}
	return reading == 1 || elementwise(value.Node.Op)
}

// placeAdd adds a value to its variable as early as it can. The parts of a sum
// that serves only this are added one after the other, so that each operator
// can add to the variable itself.
func (c *compiler) placeAdd(u compute.Update) {
	value := root(u.Value)
	at := c.readers[value.Node.ID]
	if c.useOf(u.Variable).last(len(c.nodes)) >= at {
		c.deferUpdate(u)
		return
	}
	single := c.uses[value] == nil || len(c.uses[value].steps) == 0 && !c.uses[value].end
	if single && accumulates(value.Node.Op, value.Index) {
		c.placed[value] = placement{c.arrays[u.Variable], true}
		return
	}
	if op, ok := value.Node.Op.(compute.BinaryOp); ok && single && op.Function == compute.BinaryAdd &&
		c.onlyRead(value.Node.Inputs[0], at) && c.onlyRead(value.Node.Inputs[1], at) &&
		value.Node.Inputs[0].Shape.Equal(value.Shape) && value.Node.Inputs[1].Shape.Equal(value.Shape) {
		for _, in := range value.Node.Inputs {
			c.uses[root(in)].steps = nil
		}
		c.readers[value.Node.ID] = -1 // not computed
		for _, in := range value.Node.Inputs {
			c.placeAdd(compute.Update{Variable: u.Variable, Value: in, Add: true})
		}
		return
	}
	c.adds[at] = append(c.adds[at], u)
}

// onlyRead tells whether a computed tensor is read once, by the given step.
func (c *compiler) onlyRead(t *compute.Tensor, step int) bool {
	r := root(t)
	if _, ok := r.Node.Op.(compute.Source); ok {
		return false
	}
	u := c.uses[r]
	return c.values[r] == 0 && !u.end && len(u.steps) == 1 && u.steps[0] == step
}

// accumulates tells whether an operator can add its output to memory.
func accumulates(op compute.Op, output int) bool {
	switch op.(type) {
	case compute.LinearWeightGradOp, compute.SumRowsOp, compute.EmbeddingGradOp:
		return true
	case compute.LayerNormGradOp, compute.RMSNormGradOp, compute.LinearCrossEntropyGradOp, compute.TokenLogProbGradOp:
		return output > 0
	}
	return false
}

// elementwise tells whether every output element is computed from the
// elements at its own place in inputs of its size.
func elementwise(op compute.Op) bool {
	switch op.(type) {
	case compute.UnaryOp, compute.BinaryOp, compute.SelectOp, compute.GELUOp, compute.GELUGradOp, compute.SwiGLUOp:
		return true
	}
	return false
}

// worksInPlace tells whether an output may be computed in the memory of an
// input.
func worksInPlace(n *compute.Node, input, output int) bool {
	if n.Inputs[input].DType != compute.Float32 || n.Inputs[input].Shape.Size() != n.Outputs[output].Shape.Size() {
		return false
	}
	switch n.Op.(type) {
	case compute.RMSNormOp, compute.LayerNormOp, compute.RoPEOp:
		return input == 0 && output == 0
	case compute.RMSNormGradOp:
		return input == 3 && output == 0
	case compute.LayerNormGradOp:
		return input == 4 && output == 0
	case compute.SwiGLUGradOp: // dgate over gate, dup over up
		return input == output
	case compute.AdamWOp:
		return input == [...]int{0, 2, 3}[output]
	case compute.CachedAttentionOp:
		return output > 0 && input == output+2
	}
	return elementwise(n.Op)
}

// bufferOutputs makes the host buffers. A tensor that a step computes for one
// output is computed there; the others are copied when the run ends.
func (c *compiler) bufferOutputs(p *compute.Program) error {
	for _, out := range p.Outputs {
		_, f := c.x.floats[out.Name]
		_, i := c.x.ints[out.Name]
		if f || i {
			return fmt.Errorf("%q is the name of an input and of an output; rename one", out.Name)
		}
		size := out.Tensor.Shape.Size()
		t := root(out.Tensor)
		if out.Tensor.DType == compute.Int32 {
			buffer := make([]int32, size)
			c.x.ints[out.Name] = buffer
			c.outputs = append(c.outputs, out)
			continue
		}
		buffer := aligned(size)
		c.x.floats[out.Name] = buffer
		_, source := t.Node.Op.(compute.Source)
		_, isPlaced := c.placed[t]
		if !source && !isPlaced && c.storage[t] == nil {
			c.storage[t] = &storage{f: buffer, size: size}
			continue
		}
		c.outputs = append(c.outputs, out)
	}
	return nil
}

// in returns the storage of an input of the node being lowered.
func (c *compiler) in(t *compute.Tensor) *storage { return c.storage[root(t)] }

// out decides where output number index of the node lies. The storage of an
// input that dies here is taken over if the operator works in place.
func (c *compiler) out(n *compute.Node, index int) *storage {
	t := n.Outputs[index]
	if s := c.storage[t]; s != nil {
		return s
	}
	s := &storage{size: t.Shape.Size(), first: c.step, last: max(c.step, c.uses[t].last(len(c.nodes)))}
	if p, ok := c.placed[t]; ok {
		s = &storage{f: p.array.data, size: s.size, array: p.array}
	} else if t.DType == compute.Int32 {
		s.i = make([]int32, s.size)
	} else if over := c.takeOver(n, index); over != nil {
		over.last = s.last
		s = over
	} else {
		s.arena = true
		c.x.arena = append(c.x.arena, s)
	}
	c.storage[t] = s
	return s
}

// takeOver returns the storage of an input that the output may replace.
func (c *compiler) takeOver(n *compute.Node, output int) *storage {
	for i, in := range n.Inputs {
		s := c.in(in)
		if s == nil || !s.arena || // nil: columns of another tensor, see sliceInPlace
			s.last != c.step || s.first == c.step || !worksInPlace(n, i, output) {
			continue
		}
		// Another output, or the same operand twice in an operator that is
		// not elementwise, would meet in the same memory.
		free := true
		for _, out := range n.Outputs[:output] {
			free = free && c.storage[out] != s
		}
		for j, other := range n.Inputs {
			free = free && (j == i || c.in(other) != s || elementwise(n.Op) && worksInPlace(n, j, output))
		}
		if free {
			return s
		}
	}
	return nil
}

// sum says how an output is written: in place of what is there, or added to the
// variable where it lies.
type sum struct{ array *array }

func (c *compiler) sumOf(t *compute.Tensor) sum {
	if p := c.placed[t]; p.add {
		return sum{p.array}
	}
	return sum{}
}

// adds tells whether the step that asks adds its output, and not only writes
// it. A step asks once in a run.
func (s sum) adds() bool {
	if s.array == nil {
		return false
	}
	if s.array.zero {
		s.array.zero = false
		return false
	}
	return true
}

// needed tells whether anyone reads an output.
func (c *compiler) needed(t *compute.Tensor) bool {
	_, isPlaced := c.placed[t]
	return isPlaced || c.uses[t].last(len(c.nodes)) >= 0
}

// temporary returns arena memory for the node being lowered alone.
func (c *compiler) temporary(size int) *storage {
	s := &storage{size: size, arena: true, first: c.step, last: c.step}
	c.x.arena = append(c.x.arena, s)
	return s
}

// needScratch makes sure that each worker has that many floats of scratch.
func (c *compiler) needScratch(size int) { c.scratch = max(c.scratch, size) }

// emit appends a step that runs jobs one after the other.
func (c *compiler) emit(n *compute.Node, jobs ...*job) {
	pool := c.pool
	if len(jobs) == 1 {
		j := jobs[0]
		c.emitFunc(n, func() { pool.do(j) })
		return
	}
	c.emitFunc(n, func() {
		for _, j := range jobs {
			pool.do(j)
		}
	})
}

func (c *compiler) emitFunc(n *compute.Node, run func()) {
	c.x.steps = append(c.x.steps, step{n.Op.Kind(), n.Op.FLOPs(n), run})
}

// check appends a check of the inputs, whose error will name the operator.
func (c *compiler) check(n *compute.Node, check func() error) {
	kind, id := n.Op.Kind(), n.ID
	c.x.checks = append(c.x.checks, func() error {
		if err := check(); err != nil {
			return fmt.Errorf("operator %s (node %d): %w", kind, id, err)
		}
		return nil
	})
}

// accumulate adds a value to its variable after the step that computes it.
func (c *compiler) accumulate(n *compute.Node, u compute.Update) {
	a, s := c.arrays[u.Variable], c.in(u.Value)
	add, set := c.addTo(a, s), c.copyTo(c.in(u.Variable), s)
	c.x.steps = append(c.x.steps, step{"accumulate", int64(u.Value.Shape.Size()), func() {
		if (sum{a}).adds() {
			add()
		} else {
			set()
		}
	}})
}

// finish appends what happens after the last step: outputs are copied, then
// variables change. All values were computed before the first update; a value
// that is itself an updated variable is set aside first.
func (c *compiler) finish() {
	for _, out := range c.outputs {
		s := c.in(out.Tensor)
		if out.Tensor.DType == compute.Int32 {
			buffer := c.x.ints[out.Name]
			c.x.copies = append(c.x.copies, func() { copy(buffer, s.i) })
		} else {
			buffer := c.x.floats[out.Name]
			c.x.copies = append(c.x.copies, c.copyTo(&storage{f: buffer, size: s.size}, s))
		}
	}
	updated := map[*array]bool{}
	for _, u := range c.deferred {
		updated[c.arrays[u.Variable]] = true
	}
	aside := make([]*storage, len(c.deferred))
	for i, u := range c.deferred {
		s := c.in(u.Value)
		if s.array != nil && updated[s.array] {
			copied := &storage{size: s.size, arena: true, first: len(c.nodes), last: len(c.nodes)}
			c.x.arena = append(c.x.arena, copied)
			c.x.updates = append(c.x.updates, c.copyTo(copied, s))
			s = copied
		}
		aside[i] = s
	}
	for i, u := range c.deferred {
		a := c.arrays[u.Variable]
		if u.Add {
			c.x.updates = append(c.x.updates, c.addTo(a, aside[i]))
		} else {
			c.x.updates = append(c.x.updates, c.copyTo(c.in(u.Variable), aside[i]))
		}
	}
}
