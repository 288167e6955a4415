package cpu

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// ending is a context that ends the nth time that somebody asks it.
type ending struct {
	context.Context
	left int
	end  context.CancelCauseFunc
}

var errAsked = errors.New("asked often enough")

func (e *ending) Err() error {
	if e.left--; e.left == 0 {
		e.end(errAsked)
	}
	return e.Context.Err()
}

func TestARunGivesUpBetweenStepsAndTheNextOneIsWhole(t *testing.T) {
	engine := New(Options{Threads: 2})
	defer engine.Close()
	store := engine.NewStore()
	p := compute.NewProgram("chain")
	if err := store.Define("w", 8, 8); err != nil {
		t.Fatal(err)
	}
	w := make([]float32, 64)
	for i := range w {
		w[i] = float32(i%7) / 7
	}
	if err := store.Write("w", w); err != nil {
		t.Fatal(err)
	}
	x := p.Input("x", compute.Float32, 4, 8)
	for range 10 {
		x = compute.Linear(x, p.Variable("w", 8, 8), nil, false)
	}
	p.Output("y", x)
	run, err := engine.Compile(p, store)
	if err != nil {
		t.Fatal(err)
	}
	for i := range run.Floats("x") {
		run.Floats("x")[i] = float32(i)
	}
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
	want := append([]float32(nil), run.Floats("y")...)
	for n := 1; n <= 10; n++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		clear(run.Floats("y"))
		if err := compute.RunUntil(&ending{ctx, n, cancel}, run); !errors.Is(err, errAsked) {
			t.Errorf("asked %d times: %v", n, err)
		}
		if run.Floats("y")[0] != 0 {
			t.Errorf("asked %d times: there is an output all the same", n)
		}
		if err := compute.RunUntil(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		for i, v := range run.Floats("y") {
			if v != want[i] {
				t.Fatalf("after a run that gave up at step %d, y[%d] is %g, want %g", n, i, v, want[i])
			}
		}
	}
}
