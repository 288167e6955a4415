package artifact_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// writeCheckpoints writes whole checkpoints and removes none.
func writeCheckpoints(t *testing.T, dir string, steps ...int) {
	t.Helper()
	for _, step := range steps {
		if err := artifact.WriteCheckpoint(dir, step, artifact.AllBytes(checkpointFiles(step)), 100); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLatestCheckpointIsTheNewestByStep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if c, damaged, err := artifact.LatestCheckpoint(dir); c != nil || damaged != nil || err != nil {
		t.Errorf("without a folder: %v %v %v", c, damaged, err)
	}
	writeCheckpoints(t, dir, 9, 10, 100_000_000, 99_999_999)
	for _, other := range []string{"step-1", "step-00000011x", "step--0000001", "steps", ".alma-tmp-1-1-step-00000200"} {
		if err := os.Mkdir(filepath.Join(dir, other), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	c, damaged, err := artifact.LatestCheckpoint(dir)
	if err != nil || len(damaged) > 0 || c.Step != 100_000_000 || filepath.Base(c.Path()) != "step-100000000" {
		t.Fatalf("latest is %v, damaged %v, %v", c, damaged, err)
	}
	for name, want := range checkpointFiles(c.Step) {
		got, err := c.ReadFile(name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := c.ReadFile("absent"); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("an absent file gives %v", err)
	}
	rewrite(t, c.File("trainer.json"), []byte(`{"step":100000001}`))
	if _, err := c.ReadFile("trainer.json"); artifact.ExitCode(err) != 12 {
		t.Errorf("a file changed since it was verified gives %v", err)
	}
}

func TestEveryDamageToACheckpointIsFoundAndTheOneBeforeIsUsed(t *testing.T) {
	dir := t.TempDir()
	writeCheckpoints(t, dir, 100, 200)
	newest := filepath.Join(dir, "step-00000200")
	expect := func(what, path string) {
		c, damaged, err := artifact.LatestCheckpoint(dir)
		if err != nil || c == nil || c.Step != 100 {
			t.Errorf("%s %s: latest is %v, %v", path, what, c, err)
			return
		}
		if len(damaged) != 1 || damaged[0].Path != newest || !strings.Contains(damaged[0].Err.Error(), path) || artifact.ExitCode(damaged[0].Err) != 12 {
			t.Errorf("%s %s: damaged is %v", path, what, damaged)
		}
	}
	eachDamage(t, newest, expect)

	a, b := filepath.Join(newest, "model.safetensors"), filepath.Join(newest, "optimizer.safetensors")
	swap(t, a, b)
	expect("swapped", a)
	expect("swapped", b)
	swap(t, a, b)
	if c, _, err := artifact.LatestCheckpoint(dir); err != nil || c.Step != 200 {
		t.Fatalf("after everything was put back: %v, %v", c, err)
	}
	// A whole checkpoint under another step's name.
	if err := os.Rename(newest, filepath.Join(dir, "step-00000300")); err != nil {
		t.Fatal(err)
	}
	newest = filepath.Join(dir, "step-00000300")
	expect("renamed", filepath.Join(newest, "checkpoint.json"))
}

func TestOnlyDamagedCheckpointsAreAnError(t *testing.T) {
	dir := t.TempDir()
	writeCheckpoints(t, dir, 1)
	rewrite(t, filepath.Join(dir, "step-00000001", "trainer.json"), nil)
	c, damaged, err := artifact.LatestCheckpoint(dir)
	if c != nil || len(damaged) != 1 || artifact.ExitCode(err) != 12 {
		t.Errorf("got %v, %v, %v", c, damaged, err)
	}
}

func TestPruningKeepsWholeCheckpoints(t *testing.T) {
	for _, test := range []struct {
		name    string
		steps   []int
		damaged []int
		keep    int
		removed []string
	}{
		{"none to remove", []int{1, 2}, nil, 2, nil},
		{"the older go", []int{1, 2, 3, 4}, nil, 3, []string{"step-00000001"}},
		{"at least two stay", []int{1, 2, 3}, nil, 0, []string{"step-00000001"}},
		{"a damaged one counts for nothing", []int{1, 2, 3, 4}, []int{4}, 2, []string{"step-00000001"}},
		{"two damaged", []int{1, 2, 3, 4}, []int{2, 4}, 2, nil},
		{"an old damaged one goes", []int{1, 2, 3}, []int{1}, 2, []string{"step-00000001"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			writeCheckpoints(t, dir, test.steps...)
			for _, step := range test.damaged {
				rewrite(t, filepath.Join(dir, artifact.CheckpointName(step), "trainer.json"), []byte("x"))
			}
			removed, err := artifact.PruneCheckpoints(dir, test.keep)
			if err != nil {
				t.Fatal(err)
			}
			for i := range removed {
				removed[i] = filepath.Base(removed[i])
			}
			if !reflect.DeepEqual(removed, test.removed) {
				t.Errorf("removed %v, want %v", removed, test.removed)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(test.steps)-len(test.removed) {
				t.Errorf("left are %v, %v", entries, err)
			}
		})
	}
}

func TestCheckpointRefusesNamesThatAreNoFiles(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "../x", "checkpoint.json", ".alma-tmp-1-1-x"} {
		if err := artifact.WriteCheckpoint(t.TempDir(), 1, artifact.AllBytes(map[string][]byte{name: nil}), 2); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestCheckpointsAreRemovedOfAFinishedStageAlone(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, artifact.CheckpointFolder)
	if err := artifact.WriteCheckpoint(folder, 1, artifact.AllBytes(map[string][]byte{"state": make([]byte, 1000)}), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := artifact.RemoveCheckpoints(dir); err == nil {
		t.Error("those of an unfinished stage were removed")
	}
	if n, err := artifact.CountCheckpoints(folder); err != nil || n != 1 {
		t.Fatalf("%d checkpoints (%v), want 1", n, err)
	}
	s, err := artifact.Begin(dir, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	if bytes, err := artifact.RemoveCheckpoints(dir); err != nil || bytes < 1000 || bytes > 2000 {
		t.Errorf("%d bytes were removed (%v), want the state's 1000 and a manifest", bytes, err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the folder is left (%v)", err)
	}
	for range 2 { // there is nothing to be removed
		if bytes, err := artifact.RemoveCheckpoints(dir); err != nil || bytes != 0 {
			t.Errorf("%d bytes (%v)", bytes, err)
		}
	}
	if _, err := artifact.Open(dir, true); err != nil {
		t.Error(err)
	}
}
