package artifact_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/faultfs"
)

func TestATemporaryIsReadBackAndLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	file, err := artifact.CreateTemporary(filepath.Join(folder, "sort"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"one ", "two ", "three"} {
		if _, err := file.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 5)
	if _, err := file.ReadAt(got, 4); err != nil || string(got) != "two t" {
		t.Errorf("read %q, %v", got, err)
	}
	if file.Written() != 13 {
		t.Errorf("%d bytes, want 13", file.Written())
	}
	for range 2 {
		if err := file.Remove(); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}

func TestATemporaryOfAKilledProcessIsCleaned(t *testing.T) {
	folder := t.TempDir()
	if _, err := artifact.CreateTemporary(filepath.Join(folder, "sort")); err != nil { // and nobody removes it
		t.Fatal(err)
	}
	removed, err := artifact.CleanTemporaries(folder)
	if err != nil || len(removed) != 1 {
		t.Errorf("removed %v, %v", removed, err)
	}
}

func TestATemporaryThatFindsNoRoomSaysSo(t *testing.T) {
	for at, fault := range []faultfs.Fault{faultfs.NoSpace, faultfs.NoSpace, faultfs.ShortWrite} {
		memory := faultfs.NewMemory()
		d := artifact.Disk{FS: &faultfs.Failing{FS: memory, Fault: fault, At: min(at, 1) + 1}}
		file, err := d.CreateTemporary("sort")
		if err == nil {
			_, err = file.Write(make([]byte, 100))
			file.Remove()
		}
		if err == nil || fault == faultfs.NoSpace && !errors.Is(err, artifact.ErrNoSpace) {
			t.Errorf("call %d, fault %d: %v", at, fault, err)
		}
		if entries, _ := memory.ReadDir("."); len(entries) > 0 {
			t.Errorf("left %v", entries)
		}
	}
}
