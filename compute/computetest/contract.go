package computetest

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

// testContract checks what the interfaces of package compute say in words.
func (s suite) testContract(t *testing.T) {
	engine := s.one()
	if engine.Name() == "" {
		t.Error("the engine has no name")
	}
	t.Run("store", func(t *testing.T) { testStore(t, engine.NewStore()) })
	t.Run("compile", func(t *testing.T) { testCompile(t, engine) })
	t.Run("shared store", func(t *testing.T) { testSharedStore(t, engine) })
	t.Run("changing weights", s.testChangingWeights)
	t.Run("indices", s.testIndices)
}

func testStore(t *testing.T, store compute.Store) {
	if len(store.Names()) != 0 {
		t.Errorf("a new store holds %v", store.Names())
	}
	for _, name := range []string{"z", "a", "m"} {
		if err := store.Define(name, 2, 3); err != nil {
			t.Fatalf("defining %s: %v", name, err)
		}
	}
	if err := store.Define("scalar"); err != nil {
		t.Fatalf("defining a scalar: %v", err)
	}
	if got, want := store.Names(), []string{"z", "a", "m", "scalar"}; !slices.Equal(got, want) {
		t.Errorf("names are %v, want %v, the order of definition", got, want)
	}
	values := []float32{1, 2, 3, 4, 5, 6}
	got := []float32{9, 9, 9, 9, 9, 9}
	if err := store.Read("a", got); err != nil || !slices.Equal(got, make([]float32, 6)) {
		t.Errorf("a new array reads %v (%v), want zeros", got, err)
	}
	if err := store.Write("a", values); err != nil {
		t.Error(err)
	}
	if err := store.Define("a", 2, 3); err != nil {
		t.Errorf("defining an array again with its shape: %v", err)
	}
	if err := store.Read("a", got); err != nil || !slices.Equal(got, values) {
		t.Errorf("the array reads %v (%v), want what was written, %v", got, err, values)
	}
	for name, want := range map[string][]float32{"a": values, "z": make([]float32, 6), "scalar": {0}} {
		if got, err := compute.Values(store, name); err != nil || !slices.Equal(got, want) {
			t.Errorf("the values of %s are %v (%v), want %v", name, got, err, want)
		}
	}
	if shape, ok := store.Shape("a"); !ok || !shape.Equal(compute.Shape{2, 3}) {
		t.Errorf("shape is %v, %v, want [2 3]", shape, ok)
	}
	if _, ok := store.Shape("nobody"); ok {
		t.Error("an unknown array has a shape")
	}
	wantError(t, "defining an array in another shape", store.Define("a", 3, 2), `"a"`)
	wantError(t, "reading into a short slice", store.Read("a", got[:5]), `"a"`)
	wantError(t, "writing from a long slice", store.Write("a", make([]float32, 7)), `"a"`)
	wantError(t, "reading an unknown array", store.Read("nobody", got), `"nobody"`)
	_, err := compute.Values(store, "nobody")
	wantError(t, "the values of an unknown array", err, `"nobody"`)
	wantError(t, "writing an unknown array", store.Write("nobody", got), `"nobody"`)
}

func wantError(t *testing.T, what string, err error, mention string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s is no error", what)
	} else if !strings.Contains(err.Error(), mention) {
		t.Errorf("%s gives the error %q, which does not mention %s", what, err, mention)
	}
}

func wantPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s does not panic", what)
		}
	}()
	f()
}

func testCompile(t *testing.T, engine compute.Engine) {
	p := compute.NewProgram("compile")
	x := p.Input("x", compute.Float32, 3, 2)
	p.Output("y", compute.Linear(x, p.Variable("layer.weight", 2, 5), nil, false))

	store := engine.NewStore()
	_, err := engine.Compile(p, store)
	wantError(t, "a variable that the store lacks", err, "layer.weight")
	if err := store.Define("layer.weight", 5, 2); err != nil {
		t.Fatal(err)
	}
	_, err = engine.Compile(p, store)
	wantError(t, "a variable in another shape", err, "layer.weight")

	store = engine.NewStore()
	if err := store.Define("layer.weight", 2, 5); err != nil {
		t.Fatal(err)
	}
	e, err := engine.Compile(p, store)
	if err != nil {
		t.Fatal(err)
	}
	if e.FLOPs() != p.FLOPs() || e.FLOPs() != 2*3*2*5 {
		t.Errorf("the executable counts %d FLOPs and the Program %d, want 60", e.FLOPs(), p.FLOPs())
	}
	if len(e.Floats("x")) != 6 || len(e.Floats("y")) != 15 {
		t.Errorf("buffers have %d and %d elements, want 6 and 15", len(e.Floats("x")), len(e.Floats("y")))
	}
	wantPanic(t, "Floats of an unknown name", func() { e.Floats("nobody") })
	wantPanic(t, "Ints of a Float32 input", func() { e.Ints("x") })
}

// testSharedStore trains in one Program and looks in another.
func testSharedStore(t *testing.T, engine compute.Engine) {
	store := engine.NewStore()
	if err := store.Define("w", 2); err != nil {
		t.Fatal(err)
	}
	grow := compute.NewProgram("grow")
	grow.Accumulate("w", grow.Input("step", compute.Float32, 2))
	look := compute.NewProgram("look")
	look.Output("w", look.Variable("w", 2))
	var executables [2]compute.Executable
	for i, p := range []*compute.Program{grow, look} {
		var err error
		if executables[i], err = engine.Compile(p, store); err != nil {
			t.Fatal(err)
		}
	}
	want := func(a, b float32) {
		t.Helper()
		if err := executables[1].Run(); err != nil {
			t.Fatal(err)
		}
		if got := executables[1].Floats("w"); got[0] != a || got[1] != b {
			t.Errorf("the second Program sees %v, want [%g %g]", got, a, b)
		}
	}
	want(0, 0)
	copy(executables[0].Floats("step"), []float32{1, 2})
	for range 2 {
		if err := executables[0].Run(); err != nil {
			t.Fatal(err)
		}
	}
	want(2, 4)
	if err := store.Write("w", []float32{7, 8}); err != nil {
		t.Fatal(err)
	}
	want(7, 8)
}

// testChangingWeights multiplies by weights that another Program and the caller
// change: an engine that keeps its own arrangement of a weight must notice.
func (s suite) testChangingWeights(t *testing.T) {
	build := func(b *builder) {
		x, w := b.input("x", 20, 33), b.variable("w", 33, 49)
		b.output("y", compute.Linear(x, w, nil, false))
		b.output("transposed", compute.Linear(b.input("z", 20, 49), w, nil, true))
		b.output("loss", compute.LinearCrossEntropy(x, w, b.below("targets", 0, 49, 20), false))
	}
	lifetime := func(engine compute.Engine) []numbers {
		look := newBuilder(testCase{name: "look", build: build}, asOutput).compile(t, engine)
		change := &builder{p: compute.NewProgram("change"), n: 1}
		change.p.Accumulate("w", change.input("step", 33, 49))
		replace := &builder{p: compute.NewProgram("replace"), n: 1}
		replace.p.Update(replace.p.Variable("w", 33, 49), compute.Tanh(replace.input("new", 33, 49)))
		all := look.run(t, 1)
		for _, b := range []*builder{change, replace} {
			b.compileOn(t, engine, look.store).run(t, 1)
			all = append(all, look.run(t, 1)...)
		}
		define(t, look.store, "w", compute.Shape{33, 49}, func(i int) float32 { return float32(i%7) - 3 })
		return append(all, look.run(t, 1)...)
	}
	want := lifetime(reference.New())
	for i, engine := range s.engines {
		if diff := s.differs(lifetime(engine), want, conditioned, 0, 1e-5); diff != "" {
			t.Errorf("on %d threads: %s", threadCounts[i], diff)
		}
	}
}

// testIndices checks that an index out of range is an error that names the
// operator, and that the executable works after it.
func (s suite) testIndices(t *testing.T) {
	cached := func(slot, start, count int32) func(b *builder) {
		return func(b *builder) {
			cache := func(name string) *compute.Tensor { return b.state(name, normal(name, 1, 0), 2, 5, 1, 3) }
			b.measure("o", compute.CachedAttention(b.input("q", 2, 3, 1, 3), b.input("k", 2, 3, 1, 3), b.input("v", 2, 3, 1, 3),
				cache("keys"), cache("values"),
				b.integersOf("slots", badFirst(slot, 0, 1), 2), b.integersOf("starts", badFirst(start, 0, 0), 2),
				b.integersOf("counts", badFirst(count, 3, 3), 2), compute.CachedAttentionOp{Scale: 1}))
		}
	}
	for _, c := range []struct {
		name, operator string
		build          func(b *builder)
	}{
		{"embedding", "embedding", func(b *builder) {
			b.measure("y", compute.Embedding(b.variable("table", 4, 3), b.integersOf("ids", badFirst(4, 1, 3), 2)))
		}},
		{"far beyond the table", "embedding", func(b *builder) {
			b.measure("y", compute.Embedding(b.variable("table", 4, 3), b.integersOf("ids", badFirst(math.MaxInt32, 1, 3), 2)))
		}},
		{"an id that passed through shapes", "embedding", func(b *builder) {
			ids := compute.Concat(0, b.integersOf("ids", badFirst(4, 1, 3), 2), b.integers("more", []int32{0}, 1))
			b.measure("y", compute.Embedding(b.variable("table", 4, 3), compute.Slice(ids, 0, 0, 2)))
		}},
		{"target", "linear_cross_entropy", func(b *builder) {
			b.measure("y", compute.LinearCrossEntropy(b.input("h", 2, 3), b.variable("w", 3, 5), b.integersOf("targets", badFirst(5, 0, 4), 2), false))
		}},
		{"token", "token_log_prob", func(b *builder) {
			logProb, _ := compute.TokenLogProb(b.input("h", 2, 3), b.variable("w", 5, 3), b.integersOf("tokens", badFirst(5, 0, 4), 2), true, 1)
			b.measure("y", logProb)
		}},
		{"negative position", "rope", func(b *builder) {
			b.measure("y", compute.RoPE(b.input("x", 2, 1, 4), b.integersOf("positions", badFirst(-1, 0, 3), 2), frequencies(4)))
		}},
		{"slot beyond the cache", "cached_attention", cached(2, 0, 3)},
		{"negative slot", "cached_attention", cached(-1, 0, 3)},
		{"negative start", "cached_attention", cached(0, -1, 3)},
		{"positions beyond the cache", "cached_attention", cached(0, 3, 3)},
		{"count beyond the positions given", "cached_attention", cached(0, 0, 4)},
		{"negative count", "cached_attention", cached(0, 0, -1)},
		{"one slot for two rows", "cached_attention", cached(1, 0, 3)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, engine := range s.engines {
				p := newBuilder(testCase{name: c.name, build: c.build, forwardOnly: true}, asOutput).compile(t, engine)
				p.fill(0)
				wantError(t, "an index out of range", p.executable.Run(), c.operator)
				want := newBuilder(testCase{name: c.name, build: c.build, forwardOnly: true}, asOutput).compile(t, reference.New())
				if diff := s.differs(p.run(t, 1), want.run(t, 1), recomputed, 0, 0); diff != "" {
					t.Errorf("on %d threads, the run after the error: %s", threadCounts[i], diff)
				}
			}
		})
	}
}

// badFirst gives bad as the first element in run 0, else the given values.
func badFirst(bad int32, good ...int32) func(run, i int) int32 {
	return func(run, i int) int32 {
		if run == 0 && i == 0 {
			return bad
		}
		return good[i]
	}
}

// testNaN puts a NaN into the middle of each variable of each case in turn:
// what the reference computes as NaN may not come out as a number.
func (s suite) testNaN(t *testing.T) {
	for _, c := range allCases() {
		if c.forwardOnly || strings.HasPrefix(c.name, "model/") {
			continue
		}
		variables := newBuilder(c, asOutput).variables
		for v := range variables {
			spoiled := func(engine compute.Engine) []numbers {
				b := newBuilder(c, asOutput)
				fill, middle := b.variables[v].fill, b.variables[v].shape.Size()/2
				b.variables[v].fill = func(run, i int) float32 {
					if i == middle {
						return float32(math.NaN())
					}
					return fill(run, i)
				}
				return b.compile(t, engine).run(t, 1)
			}
			if diff := missesNaN(spoiled(s.one()), spoiled(reference.New())); diff != "" {
				t.Errorf("%s, with a NaN in %s: %s", c.name, variables[v].name, diff)
			}
		}
	}
}

// testAllocations counts what a warm run of each case allocates, on one thread
// and on four.
func (s suite) testAllocations(t *testing.T) {
	for _, c := range allCases() {
		for _, e := range []int{0, 3} {
			p := newBuilder(c, outputAndAccumulated).compile(t, s.engines[e])
			p.run(t, 1)
			p.run(t, 2)
			run := func() {
				if err := p.executable.Run(); err != nil {
					t.Fatal(err)
				}
			}
			// The runtime may allocate in between: what the engine allocates
			// is in every count.
			least := mallocs(run)
			for try := 0; try < 20 && least > 0; try++ {
				least = min(least, mallocs(run))
			}
			if least > 0 {
				t.Errorf("a run of %s on %d threads allocates %d times, want 0", c.name, threadCounts[e], least)
			}
		}
	}
}

func mallocs(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}
