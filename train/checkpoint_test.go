package train

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
)

// gatedState is a state without content whose file is written when the test
// lets it be. How it is saved and written is counted.
type gatedState struct {
	gate             func() error // called where the file is written
	saves, snapshots int
}

func (s *gatedState) files() artifact.Contents {
	return artifact.Contents{"gate": func(io.Writer) error {
		if s.gate == nil {
			return nil
		}
		return s.gate()
	}}
}

func (s *gatedState) Save() (artifact.Contents, error)     { s.saves++; return s.files(), nil }
func (s *gatedState) Snapshot() (artifact.Contents, error) { s.snapshots++; return s.files(), nil }
func (s *gatedState) Room() Room                           { return Room{} }
func (s *gatedState) Load(*artifact.Checkpoint) error      { return nil }

func contents(t testing.TB, files artifact.Contents) map[string][]byte {
	t.Helper()
	out := make(map[string][]byte)
	for name, write := range files {
		var buffer bytes.Buffer
		if err := write(&buffer); err != nil {
			t.Fatal(err)
		}
		out[name] = buffer.Bytes()
	}
	return out
}

func TestASnapshotHoldsWhatTheStateWasWhateverHappensAfter(t *testing.T) {
	for _, adapter := range []*model.Adapter{nil, {Rank: 2, Alpha: 4, Targets: []string{model.AllLinear}}} {
		for _, engine := range []compute.Engine{reference.New(), newEngine(t, 1)} {
			s := exactState(t, engine, model.Llama, adapter)
			for round := range 2 { // the second takes the memory of the first
				saved, err := s.Save()
				if err != nil {
					t.Fatal(err)
				}
				want := contents(t, saved)
				snapshot, err := s.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range s.Model.Store.Names() {
					shape, _ := s.Model.Store.Shape(name)
					if err := s.Model.Store.Write(name, slices.Repeat([]float32{float32(round + 7)}, shape.Size())); err != nil {
						t.Fatal(err)
					}
				}
				s.Optimizer.steps++
				got := contents(t, snapshot)
				for name := range want {
					if !bytes.Equal(got[name], want[name]) {
						t.Errorf("%s: %s is not what it was", engine.Name(), name)
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d files, want %d", len(got), len(want))
				}
			}
		}
	}
}

// The checkpoint after the first step is held back until step 12 runs: the steps
// between went on, none of their checkpoints was begun, and what is written is the
// state after one step.
func TestStepsGoOnWhileACheckpointIsWritten(t *testing.T) {
	straight := newTrial(t, t.TempDir())
	straight.steps, straight.optimizer.Decay, straight.optimizer.Warmup = 1, "constant", 0
	want := straight.mustRun()

	r := newTrial(t, t.TempDir())
	r.optimizer.Decay, r.optimizer.Warmup, r.interval = "constant", 0, time.Nanosecond
	first := func() string {
		return filepath.Join(r.folder, CheckpointFolder, artifact.CheckpointName(1))
	}
	written := make(chan struct{})
	gate := &gatedState{}
	writes := 0
	gate.gate = func() error {
		switch writes++; writes {
		case 1:
			<-written
		case 2:
			m, err := file.Load(r.engine, first())
			if err != nil {
				return err
			}
			if digest(t, m) != want {
				t.Error("the checkpoint of step 1 has other weights than a run of one step")
			}
		}
		return nil
	}
	r.more = []State{gate}
	r.before = func(step int, _ *model.Model) {
		if step != 12 {
			return
		}
		if gate.snapshots != 1 || gate.saves != 0 {
			t.Errorf("%d snapshots and %d saves by step 12, want 1 and none", gate.snapshots, gate.saves)
		}
		if _, err := os.Stat(first()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the checkpoint is there before it was written: %v", err)
		}
		close(written)
	}
	r.mustRun()
	if writes < 2 {
		t.Errorf("%d checkpoints, want 2 or more", writes)
	}
}

func TestAWriteThatFailsInTheBackgroundEndsTheRun(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code int
	}{"no space": {syscall.ENOSPC, 13}, "other": {errors.New("input/output error"), 1}} {
		t.Run(name, func(t *testing.T) {
			r := newTrial(t, t.TempDir())
			r.every = 6
			r.more = []State{&gatedState{gate: func() error { return test.err }}}
			last := 0
			r.before = func(step int, _ *model.Model) { last = step }
			_, err := r.run(t.Context())
			if exitCode(err) != test.code || !errors.Is(err, test.err) || !strings.Contains(err.Error(), artifact.CheckpointName(6)) {
				t.Errorf("%v, want exit code %d and the checkpoint", err, test.code)
			}
			if last >= 12 { // the next checkpoint at the latest waits for it
				t.Errorf("step %d ran after it", last)
			}
		})
	}
}

func TestAnInterruptedRunWaitsForTheWriteUnderWay(t *testing.T) {
	r := newTrial(t, t.TempDir())
	r.every = 6
	ctx, cancel := context.WithCancelCause(t.Context())
	written := make(chan struct{})
	gate := &gatedState{}
	first := true
	gate.gate = func() error {
		if first {
			first = false
			<-written
		}
		return nil
	}
	r.more = []State{gate}
	r.before = func(step int, _ *model.Model) {
		if step == 8 {
			cancel(artifact.ErrInterrupted)
			go close(written)
		}
	}
	if _, err := r.run(ctx); exitCode(err) != 130 {
		t.Fatalf("%v, want exit code 130", err)
	}
	for _, step := range []int{6, 9} {
		if _, err := file.Load(r.engine, filepath.Join(r.folder, CheckpointFolder, artifact.CheckpointName(step))); err != nil {
			t.Error(err)
		}
	}
	if gate.snapshots != 1 || gate.saves != 1 {
		t.Errorf("%d snapshots and %d saves, want one of each", gate.snapshots, gate.saves)
	}
}

func TestWithoutMemoryForASnapshotTheStepsWaitAndTheLogSaysSo(t *testing.T) {
	straight := newTrial(t, t.TempDir())
	want := straight.mustRun()
	r := newTrial(t, t.TempDir())
	r.every, r.memory = 6, 1
	gate := &gatedState{}
	r.more = []State{gate}
	if r.mustRun() != want {
		t.Error("other weights at the end")
	}
	if gate.snapshots != 0 || gate.saves != 4 { // after 6, 12, 18 and 20
		t.Errorf("%d snapshots and %d saves, want 0 and 4", gate.snapshots, gate.saves)
	}
	if log := r.output.String(); strings.Count(log, "the steps wait while a checkpoint is written") != 1 {
		t.Errorf("the log is\n%s", log)
	}
}

func TestTheMemoryForSnapshotsIsMadeBeforeTheFirst(t *testing.T) {
	s := exactState(t, newEngine(t, 1), model.Llama, nil)
	c := &checkpoints{Loop: &Loop{States: []State{s}, CheckpointEvery: time.Hour}, begun: time.Now().Add(-20 * time.Minute)}
	if c.prepare(); c.under != nil {
		t.Error("made within the first half of the interval")
	}
	c.begun = c.begun.Add(-20 * time.Minute)
	if c.prepare(); c.under == nil {
		t.Fatal("not made in the second half of the interval")
	}
	if err := c.wait(); err != nil {
		t.Fatal(err)
	}
	if c.prepare(); c.under != nil {
		t.Error("made twice")
	}
	for _, name := range s.arrays() {
		if shape, ok := s.copies.store.Shape(name); !ok || s.Room().Bytes < 4*int64(shape.Size()) {
			t.Errorf("there is no room for %s", name)
		}
	}
	saved, err := s.Save()
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	want, got := contents(t, saved), contents(t, snapshot)
	for name := range want {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("%s of the snapshot differs", name)
		}
	}
}
