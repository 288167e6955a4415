package artifact_test

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

func TestFullDiskEndsWithExitCode13AndAllCheckpointsWhole(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("alma-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a file system of 1 MiB: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	for range 2 { // the second start cleans up and meets the same wall
		cmd := worker(t, "fill", dir, "")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != 13 || !strings.Contains(stderr.String(), dir+"/step-0") || !strings.Contains(stderr.String(), " bytes") {
			t.Fatalf("exit code %d: %s", got, &stderr)
		}
		latest, damaged, err := artifact.LatestCheckpoint(dir)
		if err != nil || latest == nil || len(damaged) > 0 {
			t.Fatalf("latest is %v, damaged %v, %v", latest, damaged, err)
		}
		if got, err := latest.ReadFile("state"); err != nil || !bytes.Equal(got, pattern(latest.Step, 100_000)) {
			t.Fatalf("%s: %d bytes, %v", latest.Path(), len(got), err)
		}
		noTemporaries(t, artifact.OS{}, dir)
	}
}
