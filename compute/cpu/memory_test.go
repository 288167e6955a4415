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
