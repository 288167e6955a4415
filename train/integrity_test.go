package train

import (
	"context"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
)

// flip changes a bit of an array where it lies in memory.
func flip(t testing.TB, s compute.Store, array string, at, bit int) {
	t.Helper()
	values, err := compute.Values(s, array)
	if err != nil {
		t.Fatal(err)
	}
	values[at] = math.Float32frombits(math.Float32bits(values[at]) ^ 1<<bit)
}

// RELIABILITY, row 9: a bit of a weight or a moment that changes while a step runs
// ends the run at that step's update, and the run goes on from the checkpoint before
// with the bits of one in which nothing changed.
func TestABitThatChangesInWhatIsTrainedEndsTheRunAtTheNextUpdate(t *testing.T) {
	want := newTrial(t, t.TempDir()).mustRun()
	const weight = "model.layers.1.mlp.down_proj.weight"
	for i, array := range []string{weight, momentName(1, weight), momentName(2, weight)} {
		r := newTrial(t, t.TempDir())
		r.every = 4
		r.before = func(step int, m *model.Model) {
			if step == 9 {
				flip(t, m.Store, array, 30*i, 9*i)
			}
		}
		_, err := r.run(t.Context())
		if exitCode(err) != 12 || !strings.Contains(err.Error(), "trial step 9") || !strings.Contains(err.Error(), array) {
			t.Errorf("%s: %v, want exit code 12, the step and the array", array, err)
		}
		r.before = nil
		if r.mustRun() != want {
			t.Errorf("%s: other weights at the end of the run that went on", array)
		}
	}
}

// After the update, before the checkpoint of the step: it is not written.
func TestABitThatChangesBeforeACheckpointIsNotWritten(t *testing.T) {
	for _, last := range []bool{false, true} { // written in the background, and at the end
		for _, array := range []string{"model.norm.weight", momentName(2, "model.norm.weight")} {
			r := newTrial(t, t.TempDir())
			r.every = 5
			if last {
				r.steps = 10
			}
			r.evaluate = func(ctx context.Context, step int) ([]Metric, error) {
				if step == 10 {
					flip(t, r.model.Store, array, 3, 22)
				}
				return evaluation(ctx, step)
			}
			if _, err := r.run(t.Context()); exitCode(err) != 12 || !strings.Contains(err.Error(), array) {
				t.Errorf("%s: %v, want exit code 12 and the array", array, err)
			}
			checkpoint, damaged, err := artifact.LatestCheckpoint(filepath.Join(r.folder, CheckpointFolder))
			if err != nil || len(damaged) > 0 || checkpoint.Step != 5 {
				t.Errorf("the newest checkpoint is %v, %v, %v; want that of step 5", checkpoint, damaged, err)
			}
		}
	}
}

// In the copy that a checkpoint is written from.
func TestABitThatChangesInASnapshotIsNotWritten(t *testing.T) {
	for _, array := range []string{"model.norm.weight", momentName(1, "model.norm.weight")} {
		r := newTrial(t, t.TempDir())
		r.every = 5
		writes := 0
		// Files are written in the order of their names: this one first.
		r.more = []State{&gatedState{gate: func() error {
			if writes++; writes == 2 {
				flip(t, r.state.copies.store, array, 2, 0)
			}
			return nil
		}}}
		if _, err := r.run(t.Context()); exitCode(err) != 12 || !strings.Contains(err.Error(), array) {
			t.Errorf("%s: %v, want exit code 12 and the array", array, err)
		}
		checkpoint, _, err := artifact.LatestCheckpoint(filepath.Join(r.folder, CheckpointFolder))
		if err != nil || checkpoint.Step != 5 {
			t.Errorf("the newest checkpoint is %v, %v; want that of step 5", checkpoint, err)
		}
	}
}

func TestABitThatChangesInAFrozenModelEndsTheRun(t *testing.T) {
	frozen := newModel(t, newEngine(t, 1), model.GPT2, true)
	post := Frozen("the reference", frozen)
	r := newTrial(t, t.TempDir())
	r.frozen = []compute.Post{post}
	r.steps = 10 + len(post.Names) // a part of an array a step at the least
	r.before = func(step int, _ *model.Model) {
		if step == 7 {
			flip(t, frozen.Store, post.Names[len(post.Names)-1], 0, 31)
		}
	}
	_, err := r.run(t.Context())
	if exitCode(err) != 12 || !strings.Contains(err.Error(), `the reference: variable "`+post.Names[len(post.Names)-1]) {
		t.Errorf("%v, want exit code 12, the model and the array", err)
	}
}

func TestOnlyWhatHasNoOptimizerIsFrozen(t *testing.T) {
	m := newModel(t, newEngine(t, 1), model.Llama, true)
	if err := m.AddAdapter(model.Adapter{Rank: 2, Alpha: 4, Targets: []string{model.AllLinear}}, 1); err != nil {
		t.Fatal(err)
	}
	newOptimizer(t, m, AdamW{})
	if got := len(Frozen("the model", m).Names); got != len(m.Parameters()) {
		t.Errorf("%d arrays of a model with an adapter are frozen, want all %d", got, len(m.Parameters()))
	}
	whole := newModel(t, newEngine(t, 1), model.Llama, true)
	newOptimizer(t, whole, AdamW{})
	if got := Frozen("the model", whole).Names; got != nil {
		t.Errorf("of a model that is trained %v are frozen", got)
	}
}

// What is written is looked at, and so is what an adapter is merged into.
func TestABitThatChangesIsNotSaved(t *testing.T) {
	const array = "model.layers.0.self_attn.q_proj.weight"
	whole := exactState(t, newEngine(t, 1), model.Llama, nil)
	flip(t, whole.Model.Store, array, 5, 5)
	if err := file.WriteWeights(io.Discard, whole.Model, "F32"); exitCode(err) != 12 {
		t.Errorf("%v, want exit code 12", err)
	}
	adapted := exactState(t, newEngine(t, 1), model.Llama, &model.Adapter{Rank: 2, Alpha: 4, Targets: []string{model.AllLinear}})
	flip(t, adapted.Model.Store, array, 5, 5)
	if err := SaveModel(t.TempDir(), t.TempDir(), adapted.Model, nil, 1, nil); exitCode(err) != 12 {
		t.Errorf("with an adapter: %v, want exit code 12", err)
	}
}
