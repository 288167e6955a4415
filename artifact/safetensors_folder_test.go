package artifact_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// shard writes a safetensors file of one-element tensors.
func shard(t testing.TB, names ...string) []byte {
	t.Helper()
	var tensors []artifact.Tensor
	for i, name := range names {
		tensors = append(tensors, artifact.Tensor{Name: name, Shape: []int{1}, Data: []float32{float32(i) + 1}})
	}
	var b bytes.Buffer
	if err := artifact.WriteSafetensors(&b, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func folderOf(t testing.TB, files map[string][]byte) string {
	t.Helper()
	folder := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestSafetensorsFolderReadsOneFileOrShards(t *testing.T) {
	index := []byte(`{"metadata":{"total_size":12},"weight_map":{"a":"x-1.safetensors","b":"x-2.safetensors","c":"x-2.safetensors"}}`)
	for name, files := range map[string]map[string][]byte{
		"one file": {"model.safetensors": shard(t, "a", "b", "c")},
		"shards":   {"model.safetensors.index.json": index, "x-1.safetensors": shard(t, "a"), "x-2.safetensors": shard(t, "b", "c")},
		// As transformers has it.
		"one file before shards": {"model.safetensors": shard(t, "a", "b", "c"), "model.safetensors.index.json": []byte("{")},
	} {
		s, err := artifact.OpenSafetensors(folderOf(t, files))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := s.Names(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("%s: names %v", name, got)
		}
		for _, tensor := range s.Names() {
			info, ok := s.Info(tensor)
			values, err := s.AppendFloat32(nil, tensor)
			if !ok || !slices.Equal(info.Shape, []int{1}) || err != nil || len(values) != 1 {
				t.Errorf("%s: tensor %s is %v, %v, %v", name, tensor, info, values, err)
			}
		}
		if _, err := s.AppendFloat32(nil, "d"); !errors.Is(err, artifact.ErrNotFound) {
			t.Errorf("%s: a tensor that is not there gives %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSafetensorsFolderNamesWhatDoesNotFit(t *testing.T) {
	const list = "model.safetensors.index.json"
	for _, test := range []struct {
		name  string
		files map[string][]byte
		kind  error
		want  []string
	}{
		{"nothing", nil, artifact.ErrNotFound, []string{"model.safetensors"}},
		{"a pickle", map[string][]byte{"pytorch_model.bin": nil}, artifact.ErrNotFound, []string{"pickle", "safe_serialization"}},
		{"an index that is no JSON", map[string][]byte{list: []byte("{")}, artifact.ErrCorrupt, []string{list}},
		{"an index of nothing", map[string][]byte{list: []byte("{}")}, artifact.ErrCorrupt, []string{"no tensor"}},
		{"a shard elsewhere", map[string][]byte{list: []byte(`{"weight_map":{"a":"../x.safetensors"}}`)}, artifact.ErrCorrupt, []string{`"../x.safetensors"`}},
		{"a shard of another kind", map[string][]byte{list: []byte(`{"weight_map":{"a":"x.bin"}}`)}, artifact.ErrCorrupt, []string{`"x.bin"`}},
		{"a missing shard", map[string][]byte{list: []byte(`{"weight_map":{"a":"x.safetensors"}}`)}, artifact.ErrCorrupt, []string{"x.safetensors", "does not hold"}},
		{"a missing tensor", map[string][]byte{list: []byte(`{"weight_map":{"a":"x.safetensors","b":"x.safetensors"}}`), "x.safetensors": shard(t, "a")}, artifact.ErrCorrupt, []string{`"b"`, "x.safetensors"}},
		{"an extra tensor", map[string][]byte{list: []byte(`{"weight_map":{"a":"x.safetensors"}}`), "x.safetensors": shard(t, "a", "b")}, artifact.ErrCorrupt, []string{`"b"`, "x.safetensors"}},
		{"a tensor in two shards", map[string][]byte{
			list:            []byte(`{"weight_map":{"a":"x.safetensors","b":"y.safetensors"}}`),
			"x.safetensors": shard(t, "a"), "y.safetensors": shard(t, "a", "b"),
		}, artifact.ErrCorrupt, []string{`"a"`, "y.safetensors"}},
		{"a cut shard", map[string][]byte{list: []byte(`{"weight_map":{"a":"x.safetensors"}}`), "x.safetensors": shard(t, "a")[:70]}, artifact.ErrCorrupt, []string{"x.safetensors"}},
		{"an empty file", map[string][]byte{"model.safetensors": nil}, artifact.ErrCorrupt, []string{"0 bytes"}},
	} {
		s, err := artifact.OpenSafetensors(folderOf(t, test.files))
		if err == nil {
			s.Close()
			t.Errorf("%s: opens", test.name)
			continue
		}
		if !errors.Is(err, test.kind) {
			t.Errorf("%s: %v is not a %v", test.name, err, test.kind)
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", test.name, err, want)
			}
		}
	}
}

func TestSafetensorsFileThatIsCutWhileItIsOpenIsAnError(t *testing.T) {
	data := make([]float32, 1<<16)
	var b bytes.Buffer
	if err := artifact.WriteSafetensors(&b, []artifact.Tensor{{Name: "a", Shape: []int{len(data)}, Data: data}}, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folderOf(t, map[string][]byte{"model.safetensors": b.Bytes()}), "model.safetensors")
	s, err := artifact.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AppendFloat32(nil, "a"); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), path) {
		t.Errorf("reading gives %v, want an unexpected end of %s", err, path)
	}
	if _, err := s.Raw("a"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("reading raw gives %v, want an unexpected end", err)
	}
}

func FuzzSafetensorsIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":8},"weight_map":{"a":"x.safetensors","b":"x.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../../etc/passwd"}}`))
	f.Add([]byte(`{"weight_map":{"":""}}`))
	f.Fuzz(func(t *testing.T, index []byte) {
		folder := folderOf(t, map[string][]byte{"model.safetensors.index.json": index, "x.safetensors": shard(t, "a", "b")})
		s, err := artifact.OpenSafetensors(folder)
		if err != nil {
			return
		}
		defer s.Close()
		if got := s.Names(); !slices.Equal(got, []string{"a", "b"}) {
			t.Fatalf("%s opens with %v", index, got)
		}
	})
}
