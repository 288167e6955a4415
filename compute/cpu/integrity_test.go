package cpu

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// adamWOf is an optimizer of one array of n numbers.
func adamWOf(t testing.TB, n int) (x compute.Executable, store *Store) {
	t.Helper()
	engine := New(Options{Threads: 2})
	t.Cleanup(func() { engine.Close() })
	store = engine.NewStore().(*Store)
	p := compute.NewProgram("optimizer")
	for _, name := range []string{"w", "g", "m", "v"} {
		if err := store.Define(name, n); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"w", "g"} {
		if err := store.Write(name, numbers(n, 3)); err != nil {
			t.Fatal(err)
		}
	}
	var scalars [4]*compute.Tensor
	for i, name := range []string{"lr", "scale", "c1", "c2"} {
		scalars[i] = p.Input(name, compute.Float32)
	}
	variable := func(name string) *compute.Tensor { return p.Variable(name, n) }
	compute.AdamW(variable("w"), variable("g"), variable("m"), variable("v"), scalars[0], scalars[1], scalars[2], scalars[3],
		compute.AdamWOp{Beta1: .9, Beta2: .95, Epsilon: 1e-8})
	x, err := engine.Compile(p, store)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lr", "scale", "c1", "c2"} {
		x.Floats(name)[0] = .1
	}
	return x, store
}

func flip(values []float32, at, bit int) {
	values[at] = math.Float32frombits(math.Float32bits(values[at]) ^ 1<<bit)
}

func TestTheOptimizerFindsEveryBitThatChangedSinceItsLastUpdate(t *testing.T) {
	const n = 3*chunk + 1111
	for _, test := range []struct {
		name    string
		at, bit int
	}{{"w", 0, 0}, {"w", n - 1, 31}, {"m", chunk, 7}, {"m", n - 2, 23}, {"v", 2*chunk - 1, 0}, {"v", 17, 30}} {
		for _, before := range []int{0, 2} { // updates
			x, store := adamWOf(t, n)
			for range before {
				if err := x.Run(); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"w", "m", "v"} {
				if err := compute.Verify(store, name); err != nil {
					t.Fatalf("before anything changed: %v", err)
				}
			}
			flip(store.View(test.name), test.at, test.bit)
			if err := compute.Verify(store, test.name); !errors.Is(err, compute.ErrChanged) {
				t.Errorf("bit %d of %s[%d]: %v", test.bit, test.name, test.at, err)
			}
			err := x.Run()
			if !errors.Is(err, compute.ErrChanged) || !strings.Contains(err.Error(), `"`+test.name+`"`) {
				t.Errorf("bit %d of %s[%d] after %d updates: %v", test.bit, test.name, test.at, before, err)
			}
			if err := x.Run(); err != nil {
				t.Errorf("the update after: %v", err)
			}
		}
	}
}

func TestAPatrolFindsAChangeWithinARound(t *testing.T) {
	_, store := adamWOf(t, 5000)
	p := compute.NewPatrol(compute.Post{Of: "the model", Store: store, Names: []string{"w", "g"}})
	round := func() error {
		for left := p.Elements(); left > 0; {
			walked, err := p.Walk(512)
			if err != nil {
				return err
			}
			left -= walked
		}
		return nil
	}
	for range 3 {
		if err := round(); err != nil {
			t.Fatal(err)
		}
	}
	flip(store.View("g"), 4999, 3)
	if err := round(); !errors.Is(err, compute.ErrChanged) || !strings.Contains(err.Error(), `the model: variable "g"`) {
		t.Errorf("%v, want the variable", err)
	}
}

// RELIABILITY, row 9: the update of 100 million weights, and one sum of as many
// numbers. An update sums weights and both moments twice, while they are in the cache.
func BenchmarkUpdateAndItsSums(b *testing.B) {
	const n = 100_000_000
	x, store := adamWOf(b, n)
	b.Run("update", func(b *testing.B) {
		for b.Loop() {
			if err := x.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one sum", func(b *testing.B) {
		for b.Loop() {
			store.SumOf("w", 0, n)
		}
	})
}
