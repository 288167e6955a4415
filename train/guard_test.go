package train

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
)

const badStep = 14 // after the 10 norms that a comparison needs

// badUpdates are the ways in which an update can be bad.
var badUpdates = map[string]struct {
	sabotage func(t testing.TB, m *model.Model, loss *float64)
	reason   string
}{
	"loss NaN":                    {func(_ testing.TB, _ *model.Model, loss *float64) { *loss = math.NaN() }, "loss is NaN"},
	"loss infinite":               {func(_ testing.TB, _ *model.Model, loss *float64) { *loss = math.Inf(1) }, "loss is +Inf"},
	"a gradient infinite":         {func(t testing.TB, m *model.Model, _ *float64) { poison(t, m, "model.norm.weight", math.Inf(-1)) }, "gradient norm is +Inf"},
	"a gradient NaN":              {func(t testing.TB, m *model.Model, _ *float64) { poison(t, m, "model.norm.weight", math.NaN()) }, "gradient norm is NaN"},
	"gradients 30 times as large": {func(t testing.TB, m *model.Model, _ *float64) { scaleGradients(t, m, 30) }, "is more than 20 times"},
}

func TestBadUpdateStopsTheRunBeforeItIsApplied(t *testing.T) {
	for name, bad := range badUpdates {
		t.Run(name, func(t *testing.T) {
			r := newTrial(t, t.TempDir())
			var before [32]byte
			r.sabotage = func(step int, m *model.Model, loss *float64) {
				if step == badStep {
					before = digest(t, m)
					bad.sabotage(t, m, loss)
				}
			}
			_, err := r.run(t.Context())
			if exitCode(err) != 20 {
				t.Fatalf("exit code %d of %v, want 20", exitCode(err), err)
			}
			for _, want := range []string{"trial step 14", bad.reason, "rows 56 to 59", "on_bad_batch"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
			if digest(t, r.model) != before {
				t.Error("the weights changed")
			}
			for _, p := range r.model.Parameters() {
				gradient, err := Gradient(r.model, p)
				if err != nil {
					t.Fatal(err)
				}
				if slices.ContainsFunc(gradient, func(v float32) bool { return v != 0 }) {
					t.Fatalf("the gradient of %s is still there", p.Name)
				}
			}
		})
	}
}

func TestBadUpdateIsSkippedOrRolledBackToGoOn(t *testing.T) {
	var want [32]byte // of all of them: what was bad does not matter, nor how it was left out
	for _, policy := range []BadUpdate{SkipBad, RollBackBad} {
		for name, bad := range badUpdates {
			t.Run(string(policy)+", "+name, func(t *testing.T) {
				r := newTrial(t, t.TempDir())
				r.optimizer.OnBadBatch, r.every = string(policy), 6
				var before [32]byte
				r.sabotage = func(step int, m *model.Model, loss *float64) {
					if step == badStep {
						before = digest(t, m)
						bad.sabotage(t, m, loss)
					}
				}
				r.before = func(step int, m *model.Model) {
					if step == badStep+1 && digest(t, m) != before {
						t.Error("the weights changed over the bad step")
					}
				}
				totals, err := r.run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(totals.Skipped, []int{badStep}) || totals.Steps != r.steps {
					t.Errorf("skipped %v of %d steps, want step %d", totals.Skipped, totals.Steps, badStep)
				}
				for _, part := range []string{"warning: trial step 14", bad.reason, "rows 56 to 59"} {
					if !strings.Contains(r.output.String(), part) {
						t.Errorf("the log does not name %q:\n%s", part, r.output.String())
					}
				}
				got := digest(t, r.model)
				if want == [32]byte{} {
					want = got
				}
				if got != want {
					t.Error("the run ends with other weights than after another bad update")
				}
				lines := readMetrics(t, r.folder)
				var steps []int
				for _, line := range lines {
					steps = append(steps, line.Step)
				}
				if !slices.IsSorted(steps) || len(slices.Compact(slices.Clone(steps))) != len(steps) {
					t.Errorf("metrics of steps %v", steps)
				}
			})
		}
	}
}

func TestRollBackNeedsACheckpoint(t *testing.T) {
	r := newTrial(t, t.TempDir())
	r.optimizer.OnBadBatch = "rollback"
	r.sabotage = func(step int, _ *model.Model, loss *float64) {
		if step == 3 {
			*loss = math.NaN()
		}
	}
	if _, err := r.run(t.Context()); exitCode(err) != 20 || !strings.Contains(err.Error(), "no checkpoint") {
		t.Errorf("%v, want exit code 20", err)
	}
}

func TestRunThatStoppedAtABadUpdateGoesOnWithAnotherPolicy(t *testing.T) {
	folder := t.TempDir()
	var want [32]byte
	for _, policy := range []string{"stop", "skip"} {
		r := newTrial(t, folder)
		r.every, r.optimizer.OnBadBatch, r.config = 5, policy, map[string]any{"on_bad_batch": policy}
		r.sabotage = func(step int, _ *model.Model, loss *float64) {
			if step == badStep {
				*loss = math.NaN()
			}
		}
		_, err := r.run(t.Context())
		switch policy {
		case "stop":
			if exitCode(err) != 20 {
				t.Fatal(err)
			}
		default:
			if err != nil {
				t.Fatal(err)
			}
			r2 := newTrial(t, t.TempDir())
			r2.sabotage, r2.optimizer.OnBadBatch = r.sabotage, "skip"
			if want = r2.mustRun(); digest(t, r.model) != want {
				t.Error("the weights are not those of a run that skipped from the start")
			}
		}
	}
}

func TestResumedRunStillKnowsTheNormsBefore(t *testing.T) {
	folder := t.TempDir()
	for _, last := range []bool{false, true} {
		r := newTrial(t, folder)
		r.every = 5
		ctx, cancel := context.WithCancelCause(t.Context())
		r.sabotage = func(step int, m *model.Model, _ *float64) {
			switch {
			case !last && step == badStep-1:
				cancel(artifact.ErrInterrupted)
			case last && step == badStep:
				scaleGradients(t, m, 30)
			}
		}
		_, err := r.run(ctx)
		if want := map[bool]int{false: 130, true: 20}[last]; exitCode(err) != want {
			t.Fatalf("resumed %v: %v, want exit code %d", last, err, want)
		}
	}
}

func TestGuardComparesWithRecentUpdatesOnly(t *testing.T) {
	for _, test := range []struct {
		name  string
		guard Guard
		norms []float64
		norm  float64
		bad   bool
	}{
		{"few norms say nothing", Guard{Spike: 20, Window: 50}, slices.Repeat([]float64{1}, 9), 1e6, false},
		{"ten do", Guard{Spike: 20, Window: 50}, slices.Repeat([]float64{1}, 10), 21, true},
		{"just below", Guard{Spike: 20, Window: 50}, slices.Repeat([]float64{1}, 10), 19.9, false},
		{"switched off", Guard{Window: 50}, slices.Repeat([]float64{1}, 10), 1e6, false},
		{"after a time without gradients", Guard{Spike: 20, Window: 50}, make([]float64, 10), 1, false},
		{"below a multiple of the least", Guard{Spike: 20, Window: 50, Least: 1}, slices.Repeat([]float64{.005}, 10), 19, false},
		{"above it", Guard{Spike: 20, Window: 50, Least: 1}, slices.Repeat([]float64{.005}, 10), 21, true},
		{"one outlier moves no median", Guard{Spike: 20, Window: 50}, append(slices.Repeat([]float64{1}, 20), 1e9), 30, true},
	} {
		m := newModel(t, newEngine(t, 1), model.Llama, true)
		if _, err := NewLanguageModel(m, 1, testContext); err != nil {
			t.Fatal(err)
		}
		o, err := NewOptimizer(m, DefaultOptimizer(1e-3).AdamW())
		if err != nil {
			t.Fatal(err)
		}
		g := test.guard
		g.norms = test.norms
		// A gradient of one element has that element as its norm.
		poison(t, m, "model.norm.weight", test.norm)
		norm, err := g.Apply(o, 1e-3, 1, func() string { return "a test" })
		if math.Abs(norm-test.norm) > 1e-6*test.norm || (err != nil) != test.bad {
			t.Errorf("%s: norm %v, error %v; want norm %v, bad %v", test.name, norm, err, test.norm, test.bad)
		}
		if !test.bad && g.norms[len(g.norms)-1] != norm {
			t.Errorf("%s: the norm is not remembered", test.name)
		}
	}
}

func TestGuardForgetsOldNorms(t *testing.T) {
	g := DefaultGuard()
	m := newModel(t, newEngine(t, 1), model.Llama, true)
	if _, err := NewLanguageModel(m, 1, testContext); err != nil {
		t.Fatal(err)
	}
	o, err := NewOptimizer(m, DefaultOptimizer(1e-3).AdamW())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if err := g.Step(o, 0, float64(i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.norms) != 50 || g.norms[0] != 10 || g.norms[49] != 59 {
		t.Errorf("remembers %v", g.norms)
	}
}
