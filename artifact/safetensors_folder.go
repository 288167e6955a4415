package artifact

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Names of the weights in a model folder of the Hugging Face layout.
const (
	weightsFile = "model.safetensors"
	weightsList = "model.safetensors.index.json"
)

// maxIndex is the longest index accepted, in bytes.
const maxIndex = 64 << 20

// A SafetensorsFolder holds the tensors of a model folder: those of
// model.safetensors or, where there is none, of the shards that
// model.safetensors.index.json names. It is safe for use by several
// goroutines.
type SafetensorsFolder struct {
	// Path is the file that names the tensors: the weights or the index.
	Path  string
	files []*SafetensorsFile
	names []string       // of all tensors, sorted
	at    map[string]int // index into files, by tensor
}

// OpenSafetensors opens the weights of a model folder; what [ReadSafetensors]
// checks in a file is checked in each. An index and its shards must name the
// same tensors. A folder without weights is an [ErrNotFound]. The caller closes
// the result.
func OpenSafetensors(folder string) (*SafetensorsFolder, error) {
	s := &SafetensorsFolder{Path: filepath.Join(folder, weightsFile), at: make(map[string]int)}
	file, err := ReadSafetensors(s.Path)
	if err == nil {
		s.files, s.names = []*SafetensorsFile{file}, file.Names()
		for _, name := range s.names {
			s.at[name] = 0
		}
		return s, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s.Path = filepath.Join(folder, weightsList)
	listed, listErr := readIndex(s.Path)
	if errors.Is(listErr, fs.ErrNotExist) {
		for _, pickle := range []string{"pytorch_model.bin", "pytorch_model.bin.index.json"} {
			if _, statErr := os.Stat(filepath.Join(folder, pickle)); statErr == nil {
				return nil, Errorf(ErrNotFound, "opening weights of %s: it has %s, a Python pickle, which is a program that runs when it is opened, and no %s; save the model again with safe_serialization=True", folder, pickle, weightsFile)
			}
		}
		return nil, Errorf(ErrNotFound, "%w; a model folder holds it, or %s with its shards", err, weightsList)
	}
	if listErr != nil {
		return nil, listErr
	}
	if err := s.openShards(folder, listed); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// readIndex returns the shard of each tensor.
func readIndex(path string) (map[string]string, error) {
	corrupt := func(format string, args ...any) (map[string]string, error) {
		return nil, &CorruptError{Path: path, Reason: fmt.Sprintf(format, args...)}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening index: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxIndex {
		return corrupt("%d bytes, more than the limit of %d, or not a file", info.Size(), maxIndex)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading index: %w", err)
	}
	return parseIndex(path, data)
}

// parseIndex reads an index; its path appears in errors.
func parseIndex(path string, data []byte) (map[string]string, error) {
	corrupt := func(format string, args ...any) (map[string]string, error) {
		return nil, &CorruptError{Path: path, Reason: fmt.Sprintf(format, args...)}
	}
	var index struct {
		Shards map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return corrupt("%v", err)
	}
	if len(index.Shards) == 0 {
		return corrupt("weight_map names no tensor")
	}
	for _, name := range slices.Sorted(maps.Keys(index.Shards)) {
		// A shard lies beside its index, nowhere else.
		if shard := index.Shards[name]; shard != filepath.Base(shard) || filepath.Ext(shard) != ".safetensors" {
			return corrupt("tensor %q lies in %q, which is not the name of a safetensors file", name, shard)
		}
	}
	return index.Shards, nil
}

func (s *SafetensorsFolder) openShards(folder string, shardOf map[string]string) error {
	corrupt := func(format string, args ...any) error {
		return &CorruptError{Path: s.Path, Reason: fmt.Sprintf(format, args...)}
	}
	for _, shard := range slices.Compact(slices.Sorted(maps.Values(shardOf))) {
		file, err := ReadSafetensors(filepath.Join(folder, shard))
		if errors.Is(err, fs.ErrNotExist) {
			return corrupt("it names %s, which the folder does not hold; copy all files of the model", shard)
		}
		if err != nil {
			return err
		}
		for _, name := range file.Names() {
			if shardOf[name] != shard {
				file.Close()
				return corrupt("%s holds tensor %q, which the index puts into %q", shard, name, shardOf[name])
			}
			s.at[name] = len(s.files)
		}
		s.files = append(s.files, file)
	}
	s.names = slices.Sorted(maps.Keys(shardOf))
	for _, name := range s.names {
		if _, ok := s.at[name]; !ok {
			return corrupt("tensor %q is not in %s; the file is of another version of the model", name, shardOf[name])
		}
	}
	return nil
}

// Close closes the files.
func (s *SafetensorsFolder) Close() error {
	var errs []error
	for _, file := range s.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// Names lists the tensors in the order of names.
func (s *SafetensorsFolder) Names() []string { return slices.Clone(s.names) }

// Info describes a tensor; ok is false if there is none of that name. Its
// offsets are those in its own file.
func (s *SafetensorsFolder) Info(name string) (info TensorInfo, ok bool) {
	i, ok := s.at[name]
	if !ok {
		return TensorInfo{}, false
	}
	return s.files[i].Info(name)
}

// AppendFloat32 reads a tensor as [SafetensorsFile.AppendFloat32] does.
func (s *SafetensorsFolder) AppendFloat32(values []float32, name string) ([]float32, error) {
	i, ok := s.at[name]
	if !ok {
		return nil, Errorf(ErrNotFound, "reading %s: no tensor %q among its %d", s.Path, name, len(s.names))
	}
	return s.files[i].AppendFloat32(values, name)
}
