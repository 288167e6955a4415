package gguf_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
)

// splitKeys are the keys of part no of count, of tensors in all, as llama-gguf-split
// writes them.
func splitKeys(no, count, tensors int) []gguf.Entry {
	return []gguf.Entry{{"split.no", uint16(no)}, {"split.count", uint16(count)}, {"split.tensors.count", int32(tensors)}}
}

// writeParts writes three parts of a model with three tensors, the first with the
// metadata alone, and returns their folder.
func writeParts(t testing.TB, change func(part int, entries *[]gguf.Entry, tensors *[]gguf.Tensor)) string {
	t.Helper()
	folder := t.TempDir()
	tensors := [][]gguf.Tensor{nil,
		{{Name: "b", Shape: []int{2}, Type: gguf.F32, Values: values(1, 2)}, {Name: "a", Shape: []int{3}, Type: gguf.F32, Values: values(3, 4, 5)}},
		{{Name: "c", Shape: []int{1, 2}, Type: gguf.F32, Values: values(6, 7)}}}
	for i := range tensors {
		entries := splitKeys(i, 3, 3)
		if i == 0 {
			entries = append([]gguf.Entry{{"general.architecture", "llama"}, {"general.name", "x"}}, entries...)
		}
		if change != nil {
			change(i+1, &entries, &tensors[i])
		}
		if entries == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("m-%05d-of-00003.gguf", i+1)), write(t, entries, tensors[i]...), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestAModelInPartsIsOpenedByAnyOfThem(t *testing.T) {
	folder := writeParts(t, nil)
	for part := 1; part <= 3; part++ {
		path := filepath.Join(folder, fmt.Sprintf("m-%05d-of-00003.gguf", part))
		file, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := []gguf.Entry{{"general.architecture", "llama"}, {"general.name", "x"}}; !slices.Equal(file.Entries(), want) {
			t.Errorf("metadata %v, want %v", file.Entries(), want)
		}
		if file.Name() != path || len(file.Tensors()) != 3 {
			t.Errorf("%s has %d tensors", file.Name(), len(file.Tensors()))
		}
		for name, want := range map[string][]float32{"a": {3, 4, 5}, "b": {1, 2}, "c": {6, 7}} {
			if got, err := file.Float32(name); err != nil || !slices.Equal(got, want) {
				t.Errorf("tensor %s holds %v, %v; want %v", name, got, err, want)
			}
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPartsThatDoNotBelongTogetherAreRefusedByName(t *testing.T) {
	set := func(part int, key string, value any) func(int, *[]gguf.Entry, *[]gguf.Tensor) {
		return func(p int, entries *[]gguf.Entry, _ *[]gguf.Tensor) {
			if p != part {
				return
			}
			if i := slices.IndexFunc(*entries, func(e gguf.Entry) bool { return e.Key == key }); i >= 0 {
				(*entries)[i].Value = value
			} else {
				*entries = append(*entries, gguf.Entry{Key: key, Value: value})
			}
		}
	}
	for name, c := range map[string]struct {
		change func(part int, entries *[]gguf.Entry, tensors *[]gguf.Tensor)
		says   string
		code   int
	}{
		"a missing part": {func(p int, entries *[]gguf.Entry, _ *[]gguf.Tensor) {
			if p == 3 {
				*entries = nil
			}
		}, "part 3 of 3 of the model of m-00002-of-00003.gguf is missing: opening GGUF file: open", 10},
		"another count":       {set(1, "split.count", uint16(4)), "m-00001-of-00003.gguf: split.count is 4, and the file's name says 3 parts", 12},
		"another count in it": {set(2, "split.count", uint16(4)), "(split.count), and its name does not end as that of one, -00001-of-00004.gguf", 4},
		"another number":      {set(3, "split.no", uint16(1)), "m-00003-of-00003.gguf: split.no is 1, and the file's name says part 3, whose number is 2", 12},
		"no number":           {set(2, "split.no", "two"), `"split.no" is of type string`, 12},
		"a number of no kind": {set(2, "split.count", float32(3)), `"split.count" is of type float32`, 12},
		"another model":       {set(3, "general.name", "y"), `m-00003-of-00003.gguf: metadata entry "general.name" is y, and x in the first part`, 12},
		"other tensors":       {set(3, "split.tensors.count", int32(5)), `"split.tensors.count" is 5, and 3 in the first part`, 12},
		"a tensor of another": {func(p int, _ *[]gguf.Entry, tensors *[]gguf.Tensor) {
			if p == 3 {
				(*tensors)[0].Name = "a"
			}
		}, `tensor "a" is in two of its 3 parts`, 12},
		"a tensor less": {func(p int, _ *[]gguf.Entry, tensors *[]gguf.Tensor) {
			if p == 2 {
				*tensors = (*tensors)[:1]
			}
		}, "its 3 parts have 2 tensors, and split.tensors.count is 3", 12},
	} {
		folder := writeParts(t, c.change)
		_, err := gguf.Open(filepath.Join(folder, "m-00002-of-00003.gguf"))
		if err == nil || !strings.Contains(err.Error(), c.says) || artifact.ExitCode(err) != c.code {
			t.Errorf("%s: %v, exit code %d; want %s and %d", name, err, artifact.ExitCode(err), c.says, c.code)
		}
	}
	folder := writeParts(t, nil)
	renamed := filepath.Join(folder, "model.gguf")
	if err := os.Rename(filepath.Join(folder, "m-00001-of-00003.gguf"), renamed); err != nil {
		t.Fatal(err)
	}
	if _, err := gguf.Open(renamed); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "give the parts the names that they had") {
		t.Errorf("a renamed part: %v", err)
	}
	if _, err := gguf.Open(filepath.Join(folder, "m-00003-of-00003.gguf")); artifact.ExitCode(err) != 10 {
		t.Errorf("the first part missing: %v, want exit code 10", err)
	}
}

// FuzzOpenParts holds the reader of parts to this: whatever the second of two files
// holds, they are refused or have the tensors of both.
func FuzzOpenParts(f *testing.F) {
	tensor := gguf.Tensor{Name: "b", Shape: []int{2}, Type: gguf.F16, Values: values(1, 2)}
	f.Add(write(f, splitKeys(1, 2, 2), tensor))
	f.Add(write(f, append(splitKeys(1, 2, 2), gguf.Entry{"general.name", "x"}), tensor))
	f.Add(write(f, splitKeys(0, 2, 2), tensor))
	f.Add(write(f, splitKeys(1, 3, 2)))
	folder := f.TempDir()
	first := filepath.Join(folder, "m-00001-of-00002.gguf")
	if err := os.WriteFile(first, write(f, append(splitKeys(0, 2, 2), gguf.Entry{"general.name", "x"}),
		gguf.Tensor{Name: "a", Shape: []int{1}, Type: gguf.F32, Values: values(3)}), 0o666); err != nil {
		f.Fatal(err)
	}
	second := filepath.Join(folder, "m-00002-of-00002.gguf")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(second, data, 0o666); err != nil {
			t.Fatal(err)
		}
		file, err := gguf.Open(first)
		if err != nil {
			return
		}
		defer file.Close()
		if len(file.Tensors()) != 2 {
			t.Fatalf("%d tensors, want 2", len(file.Tensors()))
		}
		for _, info := range file.Tensors() {
			if got, err := file.Float32(info.Name); err != nil || len(got) != info.Elements() {
				t.Fatalf("%q: %d values, %v", info.Name, len(got), err)
			}
		}
	})
}
