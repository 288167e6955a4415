//go:build amd64 && !purego

package kernel

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The committed assembly must be what the generator writes: an edit by hand,
// or a generator changed and not run, fails here.
func TestAssemblyIsWhatTheGeneratorWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("building the generator takes seconds")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "generate")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "_generate"
	build.Env = append(os.Environ(), "GOFLAGS=-mod=readonly")
	if out, err := build.CombinedOutput(); err != nil {
		download := exec.Command("go", "mod", "download")
		download.Dir = "_generate"
		if download.Run() != nil {
			t.Skipf("the generator's modules cannot be downloaded: %s", out)
		}
		t.Fatalf("building the generator: %v\n%s", err, out)
	}
	stubs, err := filepath.Glob("stubs_*_amd64.go")
	if err != nil || len(stubs) == 0 {
		t.Fatalf("finding the generated stubs: %v, %d found", err, len(stubs))
	}
	for _, stub := range stubs {
		half := strings.TrimSuffix(strings.TrimPrefix(stub, "stubs_"), "_amd64.go")
		t.Run(half, func(t *testing.T) {
			files := map[string]string{
				half + "_amd64.s": filepath.Join(dir, half+".s"),
				stub:              filepath.Join(dir, half+".go"),
			}
			run := exec.Command(program, "-kernel", half, "-pkg", "kernel",
				"-out", filepath.Join(dir, half+".s"), "-stubs", filepath.Join(dir, half+".go"))
			if out, err := run.CombinedOutput(); err != nil {
				t.Fatalf("running the generator: %v\n%s", err, out)
			}
			for committed, fresh := range files {
				want, err := os.ReadFile(fresh)
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(committed)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(afterFirstLine(got), afterFirstLine(want)) {
					t.Errorf("%s is not what the generator writes; run go generate ./compute/cpu/kernel", committed)
				}
			}
		})
	}
}

// afterFirstLine drops the line that holds the generator's arguments.
func afterFirstLine(file []byte) []byte {
	_, rest, _ := bytes.Cut(file, []byte("\n"))
	return rest
}
