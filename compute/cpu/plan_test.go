package cpu

import (
	"fmt"
	"math"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// planned is the memory that an engine of two workers takes for the values of a
// Program, in floats.
func planned(t *testing.T, p *compute.Program) int {
	t.Helper()
	e := New(Options{Threads: 2})
	defer e.Close()
	store := e.NewStore()
	for _, v := range p.Variables {
		if err := store.Define(v.Name, v.Tensor.Shape...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Compile(p, store); err != nil {
		t.Fatal(err)
	}
	floats := len(e.arena)
	for _, s := range e.scratch {
		floats += len(s)
	}
	return floats
}

func TestMemoryOfAttentionGrowsWithTheLengthAndNotItsSquare(t *testing.T) {
	const heads, dim = 4, 64
	for _, causal := range []bool{false, true} {
		attend := func(length int) int {
			p := compute.NewProgram("attention")
			shape := []int{1, length, heads, dim}
			q, k, v := p.Input("q", compute.Float32, shape...), p.Input("k", compute.Float32, shape...), p.Input("v", compute.Float32, shape...)
			o := compute.Attention(compute.Neg(q), compute.Neg(k), compute.Neg(v), nil, compute.AttentionOp{Scale: .125, Causal: causal})
			for i, g := range o.Node.Op.Gradient(o.Node, []*compute.Tensor{compute.Neg(o), nil}) {
				p.Output(fmt.Sprintf("d%d", i), g)
			}
			return planned(t, p)
		}
		short, long := attend(512), attend(4096)
		if long > 9*short {
			t.Errorf("causal %v: eight times the length take %.1f times the memory", causal, float64(long)/float64(short))
		}
		if square := 4096 * 4096; long > square {
			t.Errorf("causal %v: %d floats for 4096 positions: more than the weights of one head", causal, long)
		}
	}
}

func TestALossOverAVocabularyNeverHoldsAllLogitsOfALargeBatch(t *testing.T) {
	const d, v, rows = 8, 1 << 15, 1 << 12
	if rows*v <= keptLogits {
		t.Fatal("the logits are few enough to be kept")
	}
	p := compute.NewProgram("head")
	hidden, w := compute.Neg(p.Input("hidden", compute.Float32, rows, d)), p.Variable("w", v, d)
	loss := compute.Mean(compute.LinearCrossEntropy(hidden, w, p.Input("targets", compute.Int32, 4, rows/4), true))
	p.Output("loss", loss)
	p.Accumulate("grad/w", compute.Gradient(loss, w)[0])
	if floats := planned(t, p); floats > rows*v/8 {
		t.Errorf("%d floats are taken for %d logits", floats, rows*v)
	}
}

// linearProgram is y = x·w for two rows, with its Store.
func linearProgram(t *testing.T, e *Engine) (*Store, compute.Executable) {
	t.Helper()
	store := e.NewStore().(*Store)
	if err := store.Define("w", 40, 30); err != nil {
		t.Fatal(err)
	}
	if err := store.Write("w", numbers(40*30, 1)); err != nil {
		t.Fatal(err)
	}
	p := compute.NewProgram("linear")
	p.Output("y", compute.Linear(p.Input("x", compute.Float32, 2, 40), p.Variable("w", 40, 30), nil, false))
	x, err := e.Compile(p, store)
	if err != nil {
		t.Fatal(err)
	}
	copy(x.Floats("x"), numbers(2*40, 2))
	return store, x
}

// In decoding, packing a weight again for each token would cost more than the
// product.
func TestAWeightIsPackedOnceAndAgainOnlyAfterAWrite(t *testing.T) {
	for _, precision := range []Precision{FP32, BF16} {
		e := New(Options{Threads: 2, Precision: precision})
		defer e.Close()
		store, x := linearProgram(t, e)
		run := func() []float32 {
			t.Helper()
			if err := x.Run(); err != nil {
				t.Fatal(err)
			}
			return slices.Clone(x.Floats("y"))
		}
		want := run()
		panels := store.arrays["w"].panels
		if len(panels) != 1 || len(panels[0].Data) == 0 {
			t.Fatalf("%s: %d packed copies of the weight", precision, len(panels))
		}
		// Panels that were packed again would not keep what is put there.
		clear(panels[0].Data)
		if got := run(); !slices.Equal(got, make([]float32, len(want))) {
			t.Errorf("%s: the second run packs the weight again", precision)
		}
		if err := store.Write("w", numbers(40*30, 1)); err != nil {
			t.Fatal(err)
		}
		if got := run(); !slices.Equal(got, want) {
			t.Errorf("%s: a run after a write uses the panels from before", precision)
		}
	}
}

func TestARunStartsNoGoroutine(t *testing.T) {
	e := New(Options{Threads: 4})
	defer e.Close()
	p := compute.NewProgram("steps")
	x := p.Input("x", compute.Float32, 64, 256)
	for range 6 {
		x = compute.GELU(compute.Exp(compute.Neg(x)), false)
	}
	p.Output("y", compute.RMSNorm(x, p.Variable("gamma", 256), 1e-5))
	store := e.NewStore()
	if err := store.Define("gamma", 256); err != nil {
		t.Fatal(err)
	}
	run, err := e.Compile(p, store)
	if err != nil {
		t.Fatal(err)
	}
	created := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	count := func() uint64 {
		metrics.Read(created)
		return created[0].Value.Uint64()
	}
	count()
	least := uint64(math.MaxUint64) // the runtime may start some of its own in between
	for range 20 {
		before := count()
		for range 3 {
			if err := run.Run(); err != nil {
				t.Fatal(err)
			}
		}
		least = min(least, count()-before)
	}
	if least > 0 {
		t.Errorf("three runs start %d goroutines", least)
	}
}
