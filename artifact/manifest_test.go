package artifact_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// writeStage makes a complete stage folder with two files and an input.
func writeStage(t *testing.T, dir string) *artifact.Manifest {
	t.Helper()
	stage, err := artifact.Begin(dir, "sft", map[string]any{"lr": 1.5e-3, "epochs": 2})
	if err != nil {
		t.Fatal(err)
	}
	input := filepath.Join(filepath.Dir(dir), "input.txt")
	if err := os.WriteFile(input, []byte("input"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := stage.AddInput("base", input); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"model.safetensors", "config.json"} {
		if err := artifact.WriteFile(stage.Path(name), pattern(i, 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := artifact.MakeFolder(stage.Path("samples")); err != nil {
		t.Fatal(err)
	}
	if err := artifact.WriteFile(stage.Path("samples/a.txt"), []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := artifact.WriteCheckpoint(stage.Dir(), 7, artifact.AllBytes(map[string][]byte{"x": nil}), 2); err != nil {
		t.Fatal(err)
	}
	stage.Manifest.Tokens = 1234
	stage.Manifest.FLOPs = 9.6e13
	stage.Manifest.Metrics = artifact.Metrics{"loss": 1.5, "bad": math.NaN(), "worse": math.Inf(-1)}
	stage.Manifest.Notes = []string{"simulated annotator"}
	m, err := stage.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifestComesBackAsItWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "sft")
	written := writeStage(t, dir)
	read, err := artifact.Open(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(read.Metrics["bad"]) || !math.IsInf(read.Metrics["worse"], -1) || read.Metrics["loss"] != 1.5 {
		t.Errorf("metrics are %v", read.Metrics)
	}
	read.Metrics, written.Metrics = nil, nil
	if !reflect.DeepEqual(read, written) {
		t.Errorf("read %+v, written %+v", read, written)
	}
	var names []string
	for _, f := range read.Files {
		names = append(names, f.Name)
	}
	if want := []string{"config.json", "model.safetensors", "samples/a.txt"}; !reflect.DeepEqual(names, want) {
		t.Errorf("files %v, want %v", names, want)
	}
	want := sha256.Sum256([]byte("input"))
	if got := read.Inputs["base"].SHA256; got != hex.EncodeToString(want[:]) {
		t.Errorf("hash of the input is %s", got)
	}
	fingerprint, err := artifact.Fingerprint("sft", map[string]any{"epochs": 2, "lr": 0.0015}, map[string]string{"base": read.Inputs["base"].SHA256})
	if err != nil || fingerprint != read.Fingerprint {
		t.Errorf("fingerprint %s, manifest has %s, %v", fingerprint, read.Fingerprint, err)
	}
}

func TestStageIsUnfinishedFromBeginToFinish(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sft")
	if _, err := artifact.Open(dir, false); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("a folder that is not there: %v", err)
	}
	writeStage(t, dir)
	if _, err := artifact.Begin(dir, "sft", nil); err != nil {
		t.Fatal(err)
	}
	_, err := artifact.Open(dir, false)
	if !errors.Is(err, artifact.ErrNotFound) || !strings.Contains(err.Error(), "run it again") {
		t.Errorf("a begun stage: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "model.safetensors")); err != nil {
		t.Errorf("Begin removed more than artifact.json: %v", err)
	}
}

func TestFingerprintChangesWithEveryPart(t *testing.T) {
	fingerprint := func(kind string, config any, inputs map[string]string) string {
		f, err := artifact.Fingerprint(kind, config, inputs)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	base := fingerprint("sft", map[string]any{"a": 1, "b": []int{2}}, map[string]string{"x": "1"})
	type ordered struct {
		B []int `json:"b"`
		A int   `json:"a"`
	}
	if got := fingerprint("sft", ordered{[]int{2}, 1}, map[string]string{"x": "1"}); got != base {
		t.Error("the order of keys changes the fingerprint")
	}
	for name, other := range map[string]string{
		"kind":          fingerprint("ppo", map[string]any{"a": 1, "b": []int{2}}, map[string]string{"x": "1"}),
		"value":         fingerprint("sft", map[string]any{"a": 2, "b": []int{2}}, map[string]string{"x": "1"}),
		"key":           fingerprint("sft", map[string]any{"c": 1, "b": []int{2}}, map[string]string{"x": "1"}),
		"input hash":    fingerprint("sft", map[string]any{"a": 1, "b": []int{2}}, map[string]string{"x": "2"}),
		"input name":    fingerprint("sft", map[string]any{"a": 1, "b": []int{2}}, map[string]string{"y": "1"}),
		"missing input": fingerprint("sft", map[string]any{"a": 1, "b": []int{2}}, nil),
	} {
		if other == base {
			t.Errorf("another %s gives the same fingerprint", name)
		}
	}
	if _, err := artifact.Fingerprint("sft", func() {}, nil); err == nil {
		t.Error("a configuration that is no JSON was taken")
	}
}

func TestHashOfAFolderFollowsNamesAndContents(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]string{}
	hash := func(state string) {
		h, err := artifact.HashInput(dir)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have the same hash", state, other)
		}
		seen[h] = state
	}
	hash("empty")
	write("a", "1")
	hash("one file")
	write("sub/a", "1")
	hash("two files")
	write("sub/a", "2")
	hash("changed file")
	write("b", "")
	hash("empty file")
	before := len(seen)
	write(".alma.lock", "123")
	write(".alma-tmp-1-1-x", "123")
	h, err := artifact.HashInput(dir)
	if err != nil || seen[h] != "empty file" || len(seen) != before {
		t.Errorf("housekeeping files change the hash: %v", err)
	}
	if _, err := artifact.HashInput(filepath.Join(dir, "absent")); artifact.ExitCode(err) != 10 {
		t.Errorf("an absent input gives %v", err)
	}
}

// damage is a way to spoil one file of a folder; it reports whether it
// changed anything.
type damage struct {
	name string
	do   func(t *testing.T, path string, data []byte) (changed bool)
}

func rewrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// damages lists, for a file of the given size, a flipped bit in every 4 KiB
// block, cuts, a zeroed block and removal.
func damages(size int) []damage {
	var all []damage
	for block := 0; block*4096 < size; block++ {
		at := min(block*4096+(block*1237)%4096, size-1)
		all = append(all, damage{fmt.Sprintf("bit flipped in byte %d", at), func(t *testing.T, path string, data []byte) bool {
			data[at] ^= 1 << (at % 8)
			rewrite(t, path, data)
			return true
		}})
	}
	for _, n := range []int{0, size / 2, size - 1} {
		all = append(all, damage{fmt.Sprintf("cut to %d bytes", n), func(t *testing.T, path string, data []byte) bool {
			rewrite(t, path, data[:n])
			return n < len(data)
		}})
	}
	return append(all,
		damage{"zeroed", func(t *testing.T, path string, data []byte) bool {
			rewrite(t, path, make([]byte, len(data)))
			return true
		}},
		damage{"one byte appended", func(t *testing.T, path string, data []byte) bool {
			rewrite(t, path, append(data, 0))
			return true
		}},
		damage{"removed", func(t *testing.T, path string, data []byte) bool {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return true
		}},
	)
}

// eachDamage spoils every file in folder in every way, one at a time, calls
// check, and puts the file back.
func eachDamage(t *testing.T, folder string, check func(what, path string)) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		original, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range damages(len(original)) {
			if d.do(t, path, append([]byte(nil), original...)) {
				check(d.name, path)
				cases++
			}
			rewrite(t, path, original)
		}
	}
	t.Logf("%d cases of damage", cases)
}

func TestEveryDamageToAStageIsFoundAndNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sft")
	writeStage(t, dir)
	eachDamage(t, dir, func(what, path string) {
		_, err := artifact.Open(dir, true)
		if filepath.Base(path) == "artifact.json" && what == "removed" {
			if !errors.Is(err, artifact.ErrNotFound) {
				t.Errorf("%s %s: %v", path, what, err)
			}
			return
		}
		if artifact.ExitCode(err) != 12 || !strings.Contains(err.Error(), path) {
			t.Errorf("%s %s: %v", path, what, err)
		}
	})
	if _, err := artifact.Open(dir, true); err != nil {
		t.Fatal(err)
	}
	a, b := filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "config.json")
	swap(t, a, b)
	_, err := artifact.Open(dir, true)
	if artifact.ExitCode(err) != 12 || !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), b) {
		t.Errorf("two files swapped: %v", err)
	}
}

func swap(t *testing.T, a, b string) {
	t.Helper()
	for _, names := range [][2]string{{a, a + ".x"}, {b, a}, {a + ".x", b}} {
		if err := os.Rename(names[0], names[1]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestManifestSealCanBeCheckedByHand(t *testing.T) {
	for _, tool := range []string{"sh", "tail", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "sft")
	writeStage(t, dir)
	sum, err := exec.Command("sh", "-c", `tail -n +3 "$1" | sha256sum | cut -c1-64`, "sh", filepath.Join(dir, "artifact.json")).Output()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "artifact.json"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"sha256\": \"" + strings.TrimSpace(string(sum)) + "\",\n  \"format\": 1,\n"; !strings.HasPrefix(string(data), want) {
		t.Errorf("the file begins with\n%.120s\nwant\n%s", data, want)
	}
}
