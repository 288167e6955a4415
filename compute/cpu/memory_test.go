package cpu_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

func TestAProgramBeyondTheBoundOnMemoryDoesNotCompile(t *testing.T) {
	product := func(rows int) *compute.Program {
		p := compute.NewProgram("product")
		x := p.Input("x", compute.Float32, rows, 64)
		p.Output("sum", compute.Sum(compute.Exp(compute.Square(compute.Linear(x, p.Variable("w", 64, 64), nil, false)))))
		return p
	}
	for _, test := range []struct {
		memory int64
		rows   int
		fits   bool
	}{
		{0, 1 << 14, true},
		{1 << 20, 16, true},
		{1 << 20, 1 << 14, false},
	} {
		engine := cpu.New(cpu.Options{Threads: 1, Memory: test.memory})
		store := engine.NewStore()
		if err := store.Define("w", 64, 64); err != nil {
			t.Fatal(err)
		}
		_, err := engine.Compile(product(test.rows), store)
		if test.fits && err != nil || !test.fits && (!errors.Is(err, cpu.ErrMemory) || !strings.Contains(err.Error(), "GiB")) {
			t.Errorf("%d rows in %d bytes: %v", test.rows, test.memory, err)
		}
		engine.Close()
	}
}

func TestAnEngineThatGaveItsArenaBackComputesOn(t *testing.T) {
	engine := cpu.New(cpu.Options{Threads: 2})
	defer engine.Close()
	numbers := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(i%7) - 3
		}
		return out
	}
	store := engine.NewStore()
	if err := store.Define("w", 8, 8); err != nil {
		t.Fatal(err)
	}
	if err := store.Write("w", numbers(64)); err != nil {
		t.Fatal(err)
	}
	var programs [2]compute.Executable
	for i, rows := range []int{4, 512} {
		p := compute.NewProgram("product")
		x := p.Input("x", compute.Float32, rows, 8)
		p.Output("sum", compute.Sum(compute.Square(compute.Linear(x, p.Variable("w", 8, 8), nil, false))))
		var err error
		if programs[i], err = engine.Compile(p, store); err != nil {
			t.Fatal(err)
		}
		copy(programs[i].Floats("x"), numbers(rows*8))
	}
	run := func() (sums [2]float32) {
		for i, x := range programs {
			if err := x.Run(); err != nil {
				t.Fatal(err)
			}
			sums[i] = x.Floats("sum")[0]
		}
		return sums
	}
	before := run()
	engine.Release()
	if after := run(); after != before || before[0] == before[1] {
		t.Errorf("%v before and %v after", before, after)
	}
}
