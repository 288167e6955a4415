package artifact_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// tree lists what lies in a folder and below it.
func tree(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if name, relative := filepath.Rel(folder, path); relative == nil && name != "." {
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRefusedWorkLeavesAFolderAsItWas(t *testing.T) {
	refused := errors.New("refused")
	for _, test := range []struct {
		name         string
		before, work []string // files, and folders with a slash behind
		failed       error
		want         []string
	}{
		{"a new folder goes", nil, nil, refused, nil},
		{"but not one with work in it", nil, []string{"a/b/stage/metrics.jsonl"}, refused, []string{"a", "a/b", "a/b/stage", "a/b/stage/.alma.lock", "a/b/stage/metrics.jsonl"}},
		{"a folder that was there stays", []string{"a/b/stage/"}, nil, refused, []string{"a", "a/b", "a/b/stage"}},
		{"as does one above", []string{"a/"}, nil, refused, []string{"a"}},
		{"and what is in it", []string{"a/b/stage/mine"}, nil, refused, []string{"a", "a/b", "a/b/stage", "a/b/stage/mine"}},
		{"a lock file that was there stays", []string{"a/b/stage/.alma.lock"}, nil, refused, []string{"a", "a/b", "a/b/stage", "a/b/stage/.alma.lock"}},
		{"what somebody put above stays", nil, []string{"a/mine"}, refused, []string{"a", "a/mine"}},
		{"work that is done leaves the lock file", nil, nil, nil, []string{"a", "a/b", "a/b/stage", "a/b/stage/.alma.lock"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			put := func(names []string) {
				for _, name := range names {
					path := filepath.Join(root, name)
					if name[len(name)-1] == '/' {
						if err := os.MkdirAll(path, 0o777); err != nil {
							t.Fatal(err)
						}
						continue
					}
					if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, nil, 0o666)); err != nil {
						t.Fatal(err)
					}
				}
			}
			put(test.before)
			folder := filepath.Join(root, "a", "b", "stage")
			claim, err := artifact.MakeAndLock(folder)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := artifact.MakeAndLock(folder); !errors.Is(err, artifact.ErrLocked) {
				t.Errorf("a second claim gives %v", err)
			}
			put(test.work)
			if err := claim.End(test.failed); err != nil {
				t.Error(err)
			}
			if got := tree(t, root); !slices.Equal(got, test.want) {
				t.Errorf("left is %q, want %q", got, test.want)
			}
			if claim, err = artifact.MakeAndLock(folder); err != nil {
				t.Fatalf("claiming it again: %v", err)
			}
			if err := claim.End(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// Lock files come and go here as fast as they can. Two who held locks on two
// files of the same name would meet in the folder.
func TestAFolderWhoseLockFileIsRemovedHasOneHolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "run", "stage")
	var holders, held atomic.Int64
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 400 {
				claim, err := artifact.MakeAndLock(folder)
				if errors.Is(err, artifact.ErrLocked) || errors.Is(err, os.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock at a time", n)
				}
				held.Add(1)
				for range 100 {
					runtime.Gosched()
				}
				holders.Add(-1)
				if err := claim.End(errors.New("refused")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	if held.Load() == 0 {
		t.Error("nobody ever held the lock")
	}
}
