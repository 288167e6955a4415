package reference_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

// store returns a Store that holds the given arrays.
func store(t *testing.T, arrays map[string][]float32, shapes map[string][]int) *reference.Store {
	t.Helper()
	s := reference.New().NewStore()
	for name, data := range arrays {
		shape, ok := shapes[name]
		if !ok {
			shape = []int{len(data)}
		}
		if err := s.Define(name, shape...); err != nil {
			t.Fatal(err)
		}
		if err := s.Write(name, data); err != nil {
			t.Fatal(err)
		}
	}
	return s.(*reference.Store)
}

func run(t *testing.T, p *compute.Program, s compute.Store) *reference.Executable {
	t.Helper()
	e, err := reference.New().Compile(p, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	return e.(*reference.Executable)
}

func wantClose(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d elements, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= 1e-12*math.Max(1, math.Abs(w))) {
			t.Errorf("%s[%d] = %.15g, want %.15g", what, i, got[i], w)
		}
	}
}

// The expectations come from Python's math module.
func TestActivationsGiveKnownValues(t *testing.T) {
	x := []float32{-2, -0.5, 0, 1, 3}
	for _, c := range []struct {
		name  string
		apply func(x, one *compute.Tensor) *compute.Tensor
		want  []float64
	}{
		{"exact GELU", func(x, _ *compute.Tensor) *compute.Tensor { return compute.GELU(x, true) },
			[]float64{-0.04550026389635842, -0.15426876936299344, 0, 0.8413447460685429, 2.99595030590511}},
		{"tanh GELU", func(x, _ *compute.Tensor) *compute.Tensor { return compute.GELU(x, false) },
			[]float64{-0.04540230591222494, -0.15428599017485606, 0, 0.8411919906082768, 2.996362607918227}},
		{"SwiGLU", compute.SwiGLU,
			[]float64{-0.2384058440442351, -0.1887703343990727, 0, 0.7310585786300049, 2.8577223804672998}},
		{"log sigmoid", func(x, _ *compute.Tensor) *compute.Tensor { return compute.LogSigmoid(x) },
			[]float64{-2.1269280110429727, -0.9740769841801067, -0.6931471805599453, -0.31326168751822286, -0.04858735157374206}},
	} {
		p := compute.NewProgram(c.name)
		p.Output("y", c.apply(p.Variable("x", 5), compute.Fill(p, 1, 5)))
		e := run(t, p, store(t, map[string][]float32{"x": x}, nil))
		wantClose(t, c.name, e.Float64("y"), c.want)
	}
}

// With equal scores, attention is the mean of what a position sees.
func TestAttentionAveragesWhatThePositionSees(t *testing.T) {
	values := []float32{1, 2, 4, 8, 16, 32}
	for _, c := range []struct {
		name     string
		op       compute.AttentionOp
		segments []float32
		want     []float64
	}{
		{"full", compute.AttentionOp{Scale: 1}, nil, []float64{10.5, 10.5, 10.5, 10.5, 10.5, 10.5}},
		{"causal", compute.AttentionOp{Scale: 1, Causal: true}, nil, []float64{1, 1.5, 7.0 / 3, 15.0 / 4, 31.0 / 5, 63.0 / 6}},
		{"a window of two", compute.AttentionOp{Scale: 1, Causal: true, Window: 2}, nil, []float64{1, 1.5, 3, 6, 12, 24}},
		{"two segments and padding", compute.AttentionOp{Scale: 1, Causal: true}, []float32{3, 3, 5, 5, 5, -1},
			[]float64{1, 1.5, 4, 6, 28.0 / 3, 0}},
		{"full within segments", compute.AttentionOp{Scale: 1}, []float32{0, 1, 1, -1, -1, -1}, []float64{1, 3, 3, 0, 0, 0}},
	} {
		p := compute.NewProgram(c.name)
		q := compute.Fill(p, 0, 1, 6, 1, 1)
		v := p.Variable("v", 1, 6, 1, 1)
		var segments *compute.Tensor
		if c.segments != nil {
			segments = p.Input("segments", compute.Int32, 1, 6)
		}
		p.Output("o", compute.Attention(q, q, v, segments, c.op))
		s := store(t, map[string][]float32{"v": values}, map[string][]int{"v": {1, 6, 1, 1}})
		e, err := reference.New().Compile(p, s)
		if err != nil {
			t.Fatal(err)
		}
		for i, segment := range c.segments {
			e.Ints("segments")[i] = int32(segment)
		}
		if err := e.Run(); err != nil {
			t.Fatal(err)
		}
		wantClose(t, c.name, e.(*reference.Executable).Float64("o"), c.want)
	}
}

func TestEqualLogitsCostTheLogarithmOfTheVocabulary(t *testing.T) {
	p := compute.NewProgram("head")
	hidden, w := compute.Fill(p, 1, 2, 3), compute.Fill(p, 0.5, 7, 3)
	targets := p.Input("targets", compute.Int32, 2)
	p.Output("loss", compute.LinearCrossEntropy(hidden, w, targets, true))
	logProb, entropy := compute.TokenLogProb(hidden, w, targets, true, 0.5)
	p.Output("logprob", logProb)
	p.Output("entropy", entropy)
	e, err := reference.New().Compile(p, reference.New().NewStore())
	if err != nil {
		t.Fatal(err)
	}
	copy(e.Ints("targets"), []int32{6, compute.IgnoreTarget})
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	r := e.(*reference.Executable)
	wantClose(t, "loss", r.Float64("loss"), []float64{math.Log(7), 0})
	wantClose(t, "log-probability", r.Float64("logprob"), []float64{-math.Log(7), 0})
	wantClose(t, "entropy", r.Float64("entropy"), []float64{math.Log(7), 0})
}

func TestUpdatesShowOldValuesToReadersOfTheSameRun(t *testing.T) {
	p := compute.NewProgram("updates")
	a, b := p.Variable("a", 2), p.Variable("b", 2)
	p.Update(a, b)
	p.Update(b, a)
	p.Accumulate("sum", a)
	p.Accumulate("sum", b)
	p.Output("a", a)
	s := store(t, map[string][]float32{"a": {1, 2}, "b": {10, 20}, "sum": {100, 100}}, nil)
	e := run(t, p, s)
	wantClose(t, "output a", e.Float64("a"), []float64{1, 2})
	wantClose(t, "a", s.Float64("a"), []float64{10, 20})
	wantClose(t, "b", s.Float64("b"), []float64{1, 2})
	wantClose(t, "sum", s.Float64("sum"), []float64{111, 122})
}

func TestFailedRunsLeaveVariablesAlone(t *testing.T) {
	p := compute.NewProgram("failing")
	table := p.Variable("table", 3, 2)
	ids := p.Input("ids", compute.Int32, 1)
	p.Accumulate("table", compute.Fill(p, 1, 3, 2))
	p.Output("row", compute.Embedding(table, ids))
	s := store(t, map[string][]float32{"table": make([]float32, 6)}, map[string][]int{"table": {3, 2}})
	e, err := reference.New().Compile(p, s)
	if err != nil {
		t.Fatal(err)
	}
	e.Ints("ids")[0] = 3
	if err := e.Run(); err == nil || !strings.Contains(err.Error(), "embedding") || !strings.Contains(err.Error(), "row 3") {
		t.Errorf("row 3 of 3 gives error %v, want one that names the operator and the row", err)
	}
	if got := s.Float64("table"); !slices.Equal(got, make([]float64, 6)) {
		t.Errorf("after the error the variable is %v, want zeros", got)
	}
}

func TestStoresKeepDoubles(t *testing.T) {
	s := store(t, map[string][]float32{"x": {1}}, nil)
	s.Float64("x")[0] = 1 + 1e-12
	p := compute.NewProgram("square")
	p.Output("y", compute.Square(p.Variable("x", 1)))
	if got := run(t, p, s).Float64("y")[0] - 1; math.Abs(got-2e-12) > 1e-15 {
		t.Errorf("square of 1 + 1e-12 is 1 + %g, want 1 + 2e-12", got)
	}
	if s.Float64("y") != nil {
		t.Error("Float64 of an unknown name is not nil")
	}
}

func TestStoresOfOtherEnginesAreRefused(t *testing.T) {
	if _, err := reference.New().Compile(compute.NewProgram("p"), nil); err == nil {
		t.Error("compiling against a foreign store succeeded")
	}
}
