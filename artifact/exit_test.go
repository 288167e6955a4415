package artifact_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

func TestExitCodeFollowsTheKindOfTheError(t *testing.T) {
	_, notExist := os.Open(filepath.Join(t.TempDir(), "absent"))
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"no error", nil, 0},
		{"no kind", errors.New("x"), 1},
		{"rejected", artifact.Errorf(artifact.ErrSomeRejected, "3 files"), 3},
		{"usage", artifact.Errorf(artifact.ErrUsage, "x"), 4},
		{"check", artifact.Mark(artifact.ErrCheckNotMet, errors.New("x")), 5},
		{"not found", artifact.Errorf(artifact.ErrNotFound, "x"), 10},
		{"not found by the system", notExist, 10},
		{"locked", &artifact.LockedError{Path: "p", PID: 7}, 11},
		{"corrupt", &artifact.CorruptError{Path: "p", Reason: "r"}, 12},
		{"corrupt with a cause", &artifact.CorruptError{Path: "p", Reason: "r", Err: errors.New("c")}, 12},
		{"no space", &artifact.NoSpaceError{Op: "writing", Path: "p", Err: syscall.ENOSPC}, 13},
		{"no space by the system", fmt.Errorf("x: %w", syscall.ENOSPC), 13},
		{"diverged", artifact.ErrDiverged, 20},
		{"SIGINT", artifact.ErrInterrupted, 130},
		{"SIGTERM", artifact.ErrTerminated, 143},
		{"wrapped", fmt.Errorf("stage sft: %w", artifact.Errorf(artifact.ErrUsage, "x")), 4},
		{"outermost kind wins", artifact.Mark(artifact.ErrUsage, notExist), 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := artifact.ExitCode(test.err); got != test.want {
				t.Errorf("ExitCode(%v) = %d, want %d", test.err, got, test.want)
			}
		})
	}
}

func TestMarkKeepsTheMessageAndTheChain(t *testing.T) {
	cause := errors.New("cause")
	err := artifact.Mark(artifact.ErrUsage, fmt.Errorf("reading recipe: %w", cause))
	if err.Error() != "reading recipe: cause" {
		t.Errorf("message is %q", err)
	}
	if !errors.Is(err, cause) || !errors.Is(err, artifact.ErrUsage) || errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("chain is wrong: %#v", err)
	}
	if artifact.Mark(artifact.ErrUsage, nil) != nil {
		t.Error("Mark of nil is not nil")
	}
}
