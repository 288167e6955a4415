package train

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
)

// onDisk is how many bytes a folder's files have.
func onDisk(t testing.TB, folder string) (bytes int64) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	return bytes
}

// Checkpoints are told to take what they take: weights and both moments, as many as
// are kept at once with the one that is being written.
func TestWithoutRoomForItsCheckpointsARunDoesNotBegin(t *testing.T) {
	asked := ""
	tryWith := func(folder string, steps int, result, free int64) (*trial, error) {
		r := newTrial(t, folder)
		r.steps, r.every, r.result = steps, 1, result
		r.free = func(folder string) (int64, bool) { asked = folder; return free, true }
		_, err := r.run(t.Context())
		return r, err
	}
	whole := newTrial(t, t.TempDir())
	whole.every = 1
	whole.mustRun()
	one := onDisk(t, filepath.Join(whole.folder, CheckpointFolder, artifact.CheckpointName(20)))
	arrays := 3 * 4 * whole.model.ParameterCount()
	if arrays > one || one > arrays+20_000 { // the rest is headers and small files
		t.Fatalf("a checkpoint has %d bytes, weights and moments %d", one, arrays)
	}
	for _, tt := range []struct {
		name         string
		steps        int
		result, need int64
	}{
		{"three at once", 20, 0, 3 * arrays},
		{"two and a small result", 20, arrays / 3, 3 * arrays},
		{"two and a large result", 20, 5 * arrays, 7 * arrays},
		{"as many as there are steps", 1, 0, arrays},
		{"one and the result", 1, arrays / 3, arrays + arrays/3},
	} {
		folder := t.TempDir()
		r, err := tryWith(folder, tt.steps, tt.result, tt.need-1)
		if artifact.ExitCode(err) != 13 || !strings.Contains(err.Error(), "take up to "+progress.Bytes(tt.need)) || !strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), "no space for 1B; free them, or choose another disk with --out") {
			t.Errorf("%s: %v, want exit code 13 and %s", tt.name, err, progress.Bytes(tt.need))
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 || asked != folder {
			t.Errorf("%s: it wrote %v (%v); asked of %q", tt.name, entries, err, asked)
		}
		for _, c := range []struct {
			free int64
			warn bool
		}{{tt.need, true}, {2 * tt.need, false}} {
			if r, err = tryWith(t.TempDir(), tt.steps, tt.result, c.free); err != nil {
				t.Errorf("%s: with %d bytes: %v", tt.name, c.free, err)
			} else if strings.Contains(r.output.String(), "for want of space") != c.warn {
				t.Errorf("%s: with %d bytes the log is\n%s", tt.name, c.free, r.output.String())
			}
		}
	}
}

func TestCheckpointsThatAreThereTakeNoMoreRoom(t *testing.T) {
	r := newTrial(t, t.TempDir())
	r.every = 1
	ctx, cancel := context.WithCancel(t.Context())
	r.before = func(step int, _ *model.Model) {
		if step == 10 {
			cancel()
		}
	}
	if _, err := r.run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	one := 3 * 4 * r.model.ParameterCount()
	r.free = func(string) (int64, bool) { return one - 1, true }
	if _, err := r.run(t.Context()); artifact.ExitCode(err) != 13 {
		t.Errorf("%v, want exit code 13", err)
	}
	r.free = func(string) (int64, bool) { return one, true }
	r.mustRun()
	// A run that is at its end needs room for its result alone.
	r.free, r.result = func(string) (int64, bool) { return 9, true }, 9
	r.mustRun()
	// Where the system does not say, the run begins.
	r = newTrial(t, t.TempDir())
	r.free = func(string) (int64, bool) { return 0, false }
	r.mustRun()
}
