package artifact_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/faultfs"
)

// pattern returns n bytes that differ from block to block and between seeds.
func pattern(seed, n int) []byte {
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// crashStates calls check with at least 1000 states that a power loss could
// have left, spread over every moment of what memory recorded after the first
// `from` operations. done is the number of operations after which the check
// may rely on the whole work.
func crashStates(t *testing.T, memory *faultfs.Memory, from int, check func(t *testing.T, operations int, after *faultfs.Memory)) {
	t.Helper()
	moments := memory.Operations() - from + 1
	each := 1000/moments + 1
	for operations := from; operations <= memory.Operations(); operations++ {
		for i := range each {
			random := rand.New(rand.NewPCG(uint64(operations), uint64(i)))
			check(t, operations, memory.Crash(operations, random))
			if t.Failed() {
				t.Fatalf("at power loss after operation %d of %d, state %d", operations, memory.Operations(), i)
			}
		}
	}
	t.Logf("%d states", moments*each)
}

// noTemporaries cleans a file system as the start of a run does and reports
// what is left that should not be.
func noTemporaries(t *testing.T, fs artifact.FS, folder string) {
	t.Helper()
	if _, err := (artifact.Disk{FS: fs}).CleanTemporaries(folder); err != nil {
		t.Fatal(err)
	}
	var walk func(string)
	walk = func(folder string) {
		entries, err := fs.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), ".alma-tmp-") {
				t.Errorf("%s is left in %s", entry.Name(), folder)
			}
			if entry.IsDir() {
				walk(folder + "/" + entry.Name())
			}
		}
	}
	walk(folder)
}

func TestPowerLossLeavesAFileOldOrNew(t *testing.T) {
	for _, sizes := range [][2]int{{3000, 20_000}, {20_000, 100}, {300_000, 300_000}, {1, 0}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			memory := faultfs.NewMemory()
			d := artifact.Disk{FS: memory}
			older, newer := pattern(1, sizes[0]), pattern(2, sizes[1])
			if err := d.WriteFile("file", older); err != nil {
				t.Fatal(err)
			}
			from := memory.Operations()
			if err := d.WriteFile("file", newer); err != nil {
				t.Fatal(err)
			}
			crashStates(t, memory, from, func(t *testing.T, operations int, after *faultfs.Memory) {
				got, err := after.ReadFile("file")
				if err != nil {
					t.Error(err)
				}
				isNew := bytes.Equal(got, newer)
				if !isNew && !bytes.Equal(got, older) {
					t.Errorf("the file is neither old nor new: %d bytes", len(got))
				}
				if operations == memory.Operations() && !isNew {
					t.Error("WriteFile had returned, and the new content is lost")
				}
				noTemporaries(t, after, ".")
			})
		})
	}
}

// checkpointFiles is the content of a test checkpoint of a step.
func checkpointFiles(step int) map[string][]byte {
	return map[string][]byte{
		"model.safetensors":     pattern(step, 9000),
		"optimizer.safetensors": pattern(step+1000, 5000),
		"trainer.json":          fmt.Appendf(nil, `{"step":%d}`, step),
	}
}

func TestPowerLossNeverLosesACheckpoint(t *testing.T) {
	memory := faultfs.NewMemory()
	d := artifact.Disk{FS: memory}
	contents := map[string][]map[string][]byte{} // by folder: what may be in it
	durable := []int{0}                          // durable[i] is the number of operations after which the i-th write had returned
	var steps []int
	write := func(step int, files map[string][]byte) {
		path := "run/sft/" + artifact.CheckpointName(step)
		if err := d.WriteCheckpoint("run/sft", step, artifact.AllBytes(files), 2); err != nil {
			t.Fatal(err)
		}
		contents[path] = append(contents[path], files)
		steps = append(steps, step)
		durable = append(durable, memory.Operations())
	}
	for _, step := range []int{1, 2, 3, 4} {
		write(step, checkpointFiles(step))
	}
	write(4, checkpointFiles(4)) // the same again
	write(4, checkpointFiles(5)) // another content of the same step
	write(6, checkpointFiles(6))

	crashStates(t, memory, 0, func(t *testing.T, operations int, after *faultfs.Memory) {
		want := 0
		for i, n := range durable[1:] {
			if operations >= n {
				want = steps[i]
			}
		}
		recovered := artifact.Disk{FS: after}
		latest, _, err := recovered.LatestCheckpoint("run/sft")
		if err != nil && want > 0 {
			t.Error(err)
		}
		switch {
		case latest == nil && want > 0:
			t.Errorf("no checkpoint is left, step %d was durable", want)
		case latest == nil:
		case latest.Step < want:
			t.Errorf("step %d is the latest, step %d was durable", latest.Step, want)
		default:
			found := false
			for _, files := range contents["run/sft/"+artifact.CheckpointName(latest.Step)] {
				same := len(files) == len(latest.Files)
				for name, data := range files {
					got, err := after.ReadFile(latest.File(name))
					same = same && err == nil && bytes.Equal(got, data)
				}
				found = found || same
			}
			if !found {
				t.Errorf("%s holds none of the contents written", latest.Path())
			}
		}
		noTemporaries(t, after, ".")
	})
}

func TestPowerLossTwiceInARowKeepsTheCheckpoint(t *testing.T) {
	memory := faultfs.NewMemory()
	d := artifact.Disk{FS: memory}
	for step := 1; step <= 2; step++ {
		if err := d.WriteCheckpoint("run", step, artifact.AllBytes(checkpointFiles(step)), 2); err != nil {
			t.Fatal(err)
		}
	}
	from := memory.Operations()
	if err := d.WriteCheckpoint("run", 3, artifact.AllBytes(checkpointFiles(3)), 2); err != nil {
		t.Fatal(err)
	}
	for operations := from; operations <= memory.Operations(); operations++ {
		first := memory.Crash(operations, rand.New(rand.NewPCG(uint64(operations), 7)))
		again := artifact.Disk{FS: first}
		begun := first.Operations()
		if _, err := again.CleanTemporaries("run"); err != nil {
			t.Fatal(err)
		}
		if err := again.WriteCheckpoint("run", 3, artifact.AllBytes(checkpointFiles(3)), 2); err != nil {
			t.Fatal(err)
		}
		for second := begun; second <= first.Operations(); second++ {
			after := first.Crash(second, rand.New(rand.NewPCG(uint64(operations), uint64(second))))
			latest, damaged, err := artifact.Disk{FS: after}.LatestCheckpoint("run")
			if err != nil || latest == nil || latest.Step < 2 {
				t.Fatalf("after power losses at %d and %d: %v, damaged %v, %v", operations, second, latest, damaged, err)
			}
		}
	}
}

func TestPowerLossLeavesAStageWholeOrUnfinished(t *testing.T) {
	memory := faultfs.NewMemory()
	d := artifact.Disk{FS: memory}
	run := func(seed int) {
		stage, err := d.Begin("run/tokenizer", "tokenizer", map[string]int{"seed": seed})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.WriteFile(stage.Path("tokenizer.json"), pattern(seed, 6000)); err != nil {
			t.Fatal(err)
		}
		// A file that its writer never synced, as metrics.jsonl is.
		_ = memory.Remove(stage.Path("metrics.jsonl"))
		f, err := memory.CreateNew(stage.Path("metrics.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if _, err := f.Write(pattern(seed+i, 700)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stage.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	run(1)
	first := memory.Operations()
	run(2)
	crashStates(t, memory, 0, func(t *testing.T, operations int, after *faultfs.Memory) {
		m, err := artifact.Disk{FS: after}.Open("run/tokenizer", true)
		switch {
		case errors.Is(err, artifact.ErrNotFound):
			if operations == first || operations == memory.Operations() {
				t.Error("Finish had returned, and the stage is not there")
			}
		case err != nil:
			t.Error(err)
		case len(m.Files) != 2:
			t.Errorf("the manifest has %d files", len(m.Files))
		case operations < first && string(m.Config) != `{"seed":1}`:
			t.Errorf("configuration is %s before the second run", m.Config)
		}
	})
}

func TestPowerLossLeavesAFolderThatIsRemovedWholeOrGone(t *testing.T) {
	memory := faultfs.NewMemory()
	d := artifact.Disk{FS: memory}
	stage, err := d.Begin("run/sft", "sft", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := d.WriteFile(stage.Path(fmt.Sprint(i)), pattern(i, 900)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stage.Finish(); err != nil {
		t.Fatal(err)
	}
	before := memory.Operations()
	if err := d.RemoveFolder("run/sft"); err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveFolder("run/sft"); err != nil {
		t.Errorf("removing it again: %v", err)
	}
	crashStates(t, memory, before, func(t *testing.T, operations int, after *faultfs.Memory) {
		d := artifact.Disk{FS: after}
		_, err := d.Open("run/sft", true)
		switch entries, _ := after.ReadDir("run/sft"); {
		case err == nil && operations == memory.Operations():
			t.Error("RemoveFolder had returned, and the folder is there")
		case errors.Is(err, artifact.ErrNotFound) && len(entries) > 0:
			t.Errorf("without its manifest there are %d entries left", len(entries))
		case err != nil && !errors.Is(err, artifact.ErrNotFound):
			t.Error(err)
		}
		if _, err := d.CleanTemporaries("run"); err != nil {
			t.Error(err)
		}
		if entries, err := after.ReadDir("run"); err != nil || len(entries) > 1 {
			t.Errorf("%d entries after cleaning (%v)", len(entries), err)
		}
	})
}

func TestEveryCallThatFailsLeavesTheOldAndNamesFileAndBytes(t *testing.T) {
	writers := []struct {
		name string
		// prepare makes the old state, write the new one.
		prepare, write func(d artifact.Disk) error
		check          func(t *testing.T, d artifact.Disk, memory *faultfs.Memory, failed bool)
		path           string // a name that every error holds
	}{
		{
			name:    "file",
			prepare: func(d artifact.Disk) error { return d.WriteFile("file", pattern(1, 300_000)) },
			write:   func(d artifact.Disk) error { return d.WriteFile("file", pattern(2, 600_000)) },
			check: func(t *testing.T, d artifact.Disk, memory *faultfs.Memory, failed bool) {
				got, err := memory.ReadFile("file")
				isNew := bytes.Equal(got, pattern(2, 600_000))
				if err != nil || !isNew && !bytes.Equal(got, pattern(1, 300_000)) || !failed && !isNew {
					t.Errorf("the file has %d bytes that are neither old nor new; %v", len(got), err)
				}
			},
			path: "file",
		},
		{
			name: "checkpoint",
			prepare: func(d artifact.Disk) error {
				return d.WriteCheckpoint("run", 1, artifact.AllBytes(checkpointFiles(1)), 2)
			},
			write: func(d artifact.Disk) error {
				return d.WriteCheckpoint("run", 2, artifact.AllBytes(checkpointFiles(2)), 2)
			},
			check: func(t *testing.T, d artifact.Disk, memory *faultfs.Memory, failed bool) {
				latest, damaged, err := d.LatestCheckpoint("run")
				if err != nil || latest == nil || len(damaged) > 0 || !failed && latest.Step != 2 {
					t.Errorf("latest %v, damaged %v, %v", latest, damaged, err)
				}
			},
			path: "run/step-00000002",
		},
		{
			name: "checkpoint of the same step",
			prepare: func(d artifact.Disk) error {
				return d.WriteCheckpoint("run", 1, artifact.AllBytes(checkpointFiles(1)), 2)
			},
			write: func(d artifact.Disk) error {
				return d.WriteCheckpoint("run", 1, artifact.AllBytes(checkpointFiles(2)), 2)
			},
			check: func(t *testing.T, d artifact.Disk, memory *faultfs.Memory, failed bool) {
				latest, damaged, err := d.LatestCheckpoint("run")
				if err != nil || latest == nil || len(damaged) > 0 {
					t.Errorf("latest %v, damaged %v, %v", latest, damaged, err)
				}
			},
			path: "run/step-00000001",
		},
		{
			name: "stage",
			prepare: func(d artifact.Disk) error {
				return d.MakeFolder("run")
			},
			write: func(d artifact.Disk) error {
				stage, err := d.Begin("run/a", "a", nil)
				if err != nil {
					return err
				}
				if err := d.WriteFile(stage.Path("x"), pattern(1, 10)); err != nil {
					return err
				}
				_, err = stage.Finish("x")
				return err
			},
			check: func(t *testing.T, d artifact.Disk, memory *faultfs.Memory, failed bool) {
				_, err := d.Open("run/a", true)
				if err != nil && !(failed && errors.Is(err, artifact.ErrNotFound)) {
					t.Error(err)
				}
			},
			path: "run/a",
		},
	}
	for _, writer := range writers {
		for fault, faultName := range []string{"no space", "I/O error", "short write"} {
			for _, sticky := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/sticky=%v", writer.name, faultName, sticky), func(t *testing.T) {
					for at := 1; ; at++ {
						memory := faultfs.NewMemory()
						d := artifact.Disk{FS: memory}
						if err := writer.prepare(d); err != nil {
							t.Fatal(err)
						}
						failing := &faultfs.Failing{FS: memory, Fault: faultfs.Fault(fault), At: at, Sticky: sticky}
						err := writer.write(artifact.Disk{FS: failing})
						if !failing.Failed() {
							if err != nil {
								t.Fatalf("nothing was made to fail: %v", err)
							}
							if at < 6 {
								t.Fatalf("only %d calls were counted", at-1)
							}
							break
						}
						if err == nil {
							// A short write may be made good by writing the rest.
							if fault != int(faultfs.ShortWrite) {
								t.Errorf("call %d failed and nobody said so", at)
							}
							writer.check(t, d, memory, false)
						} else {
							if !strings.Contains(err.Error(), writer.path) || !strings.Contains(err.Error(), " bytes") {
								t.Errorf("call %d: error %q does not name %s and bytes", at, err, writer.path)
							}
							want := 1
							if fault == int(faultfs.NoSpace) {
								want = 13
							}
							if got := artifact.ExitCode(err); got != want {
								t.Errorf("call %d: exit code %d, want %d: %v", at, got, want, err)
							}
						}
						if again := failing.Resynced(); len(again) > 0 {
							t.Errorf("call %d: %v synced again after a failed sync", at, again)
						}
						writer.check(t, d, memory, true)
						noTemporaries(t, memory, ".")
						// The next start succeeds.
						if err := writer.write(d); err != nil {
							t.Errorf("call %d: the next attempt fails: %v", at, err)
						}
						writer.check(t, d, memory, false)
						if t.Failed() {
							return
						}
					}
				})
			}
		}
	}
}

func TestWriterStopsAtItsFirstError(t *testing.T) {
	failing := &faultfs.Failing{FS: faultfs.NewMemory(), Fault: faultfs.IOError, At: 3}
	w, err := artifact.Disk{FS: failing}.Create("file") // call 1
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("data")); err != nil {
		t.Fatal(err)
	}
	first := w.Commit() // calls 2 (write) and 3 (sync)
	if first == nil {
		t.Fatal("the failed sync was not reported")
	}
	calls := failing.Calls()
	if second := w.Commit(); second != first {
		t.Errorf("the second Commit says %v, want %v", second, first)
	}
	if _, err := w.Write([]byte("more")); err != first {
		t.Errorf("Write after the failure says %v", err)
	}
	if failing.Calls() != calls {
		t.Errorf("%d calls came after the failure", failing.Calls()-calls)
	}
}

func TestCheckpointPassesOnTheErrorOfItsSource(t *testing.T) {
	memory := faultfs.NewMemory()
	cause := errors.New("no such tensor")
	err := artifact.Disk{FS: memory}.WriteCheckpoint("run", 1, map[string]func(io.Writer) error{
		"model.safetensors": func(io.Writer) error { return cause },
	}, 2)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "run/step-00000001/model.safetensors") {
		t.Errorf("error is %v", err)
	}
	if entries, err := memory.ReadDir("run"); err != nil || len(entries) != 0 {
		t.Errorf("%v is left, %v", entries, err)
	}
}
