package cpu

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Executable is a Program compiled for an Engine and a Store.
type Executable struct {
	engine  *Engine
	program *compute.Program
	flops   int64

	floats map[string][]float32
	ints   map[string][]int32

	// prepare computes Int32 tensors, checks then looks at all that index
	// memory, and only then do steps touch what outlives the run.
	prepare []func()
	checks  []func() error
	steps   []step
	settled []*array // arrays that someone reads, or that are not only added to
	copies  []func() // outputs
	updates []func() // variables that steps could not update in place
	written []*array
	// verdicts say what an optimizer found changed by itself.
	verdicts []func() error

	arena      []*storage
	size       int // of the arena that it needs, in floats
	generation int // of the engine's arena that the storages point into
}

// step is one operator.
type step struct {
	kind  string
	flops int64
	run   func()
}

// Floats returns the host buffer of a Float32 input or output.
func (x *Executable) Floats(name string) []float32 {
	buffer, ok := x.floats[name]
	if !ok {
		panic(fmt.Sprintf("cpu: program %s has no f32 input or output %q", x.program.Name, name))
	}
	return buffer
}

// Ints returns the host buffer of an Int32 input or output.
func (x *Executable) Ints(name string) []int32 {
	buffer, ok := x.ints[name]
	if !ok {
		panic(fmt.Sprintf("cpu: program %s has no i32 input or output %q", x.program.Name, name))
	}
	return buffer
}

// FLOPs is the Program's count for one run.
func (x *Executable) FLOPs() int64 { return x.flops }

// Run runs the Program once. It allocates nothing and starts no goroutine. When
// an index in the inputs is out of range it returns an error that names the
// operator and the value, and variables are as they were. An optimizer that found
// a variable changed since it was last written returns [compute.ErrChanged].
func (x *Executable) Run() error { return x.RunUntil(context.Background()) }

// RunUntil is Run that gives up between two steps once ctx ends; see
// [compute.RunUntil].
func (x *Executable) RunUntil(ctx context.Context) (err error) {
	x.engine.mu.Lock()
	defer x.engine.mu.Unlock()
	for _, f := range x.prepare {
		f()
	}
	for _, check := range x.checks {
		if err := check(); err != nil {
			return fmt.Errorf("running program %s: %w", x.program.Name, err)
		}
	}
	for _, a := range x.settled {
		a.settle()
	}
	if x.generation != x.engine.generation {
		if err := x.engine.reserve(x.size, 0); err != nil { // it was released
			return fmt.Errorf("running program %s: %w", x.program.Name, err)
		}
		for _, s := range x.arena {
			s.f = x.engine.arena[s.offset : s.offset+s.size : s.offset+s.size]
		}
		x.generation = x.engine.generation
	}
	if x.engine.profile == nil {
		for i := range x.steps {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
				break
			}
			x.steps[i].run()
		}
	} else {
		x.engine.runProfiled(x.steps)
	}
	if err != nil {
		for _, a := range x.written {
			a.version++ // it may have been written to
		}
		return err
	}
	for _, f := range x.copies {
		f()
	}
	for _, f := range x.updates {
		f()
	}
	for _, verdict := range x.verdicts {
		if found := verdict(); found != nil && err == nil {
			err = fmt.Errorf("running program %s: %w", x.program.Name, found)
		}
	}
	for _, a := range x.written {
		a.version++
	}
	return err
}

func (e *Engine) runProfiled(steps []step) {
	for i := range steps {
		s := &steps[i]
		start := time.Now()
		s.run()
		t := e.profile[s.kind]
		if t == nil {
			t = &OperatorTime{Kind: s.kind}
			e.profile[s.kind] = t
		}
		t.Time += time.Since(start)
		t.Count++
		t.FLOPs += s.flops
	}
}
