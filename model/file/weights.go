package file

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
)

// WeightTypes are the element types that weights are read and written in.
var WeightTypes = []string{"F32", "F16", "BF16"}

// WeightsFile holds the parameters in a model folder.
const WeightsFile = "model.safetensors"

// Files returns a model's files in Hugging Face's layout: config.json,
// generation_config.json and model.safetensors. eos are the tokens that end a
// generated text, temperature is what texts are sampled at unless the model's own
// files say otherwise (see MarshalGeneration). The weights are those at the time of writing.
func Files(m *model.Model, eos []int32, temperature float64) (artifact.Contents, error) {
	config, err := MarshalConfig(m.Config, "F32")
	if err != nil {
		return nil, err
	}
	files := artifact.Contents{
		"config.json": artifact.Bytes(config),
		WeightsFile:   func(w io.Writer) error { return WriteWeights(w, m, "F32") },
	}
	if m.Head == model.LanguageModel {
		generation, err := MarshalGeneration(m, eos, temperature)
		if err != nil {
			return nil, err
		}
		files[GenerationFile] = artifact.Bytes(generation)
	}
	return files, nil
}

// WriteWeights writes the parameters as a safetensors file in one of
// [WeightTypes], rounding to the nearest, ties to even. One parameter is read at
// a time, where it lies if the Store can show it. Weights that are not finite, or
// would not be in that type, are refused, and so are those that changed in memory by
// themselves ([compute.Verify]).
func WriteWeights(w io.Writer, m *model.Model, dtype string) error {
	if !slices.Contains(WeightTypes, dtype) {
		return artifact.Errorf(artifact.ErrUsage, "saving model: type %q is not one of %v", dtype, WeightTypes)
	}
	var tensors []artifact.Tensor
	for _, p := range m.Parameters() {
		tensors = append(tensors, tensor(m, m.FileName(p.Name), p, dtype))
	}
	return artifact.WriteSafetensors(w, tensors, nil)
}

// tensor is a parameter under a name of a file.
func tensor(m *model.Model, name string, p model.Parameter, dtype string) artifact.Tensor {
	return artifact.Tensor{Name: name, DType: dtype, Shape: p.Shape, Read: func() ([]float32, error) {
		data, err := intact(m, p)
		if err != nil {
			return nil, err
		}
		return data, writable(p.Name, data, dtype)
	}}
}

// intact returns a parameter's numbers, which must be those that were last written
// there.
func intact(m *model.Model, p model.Parameter) ([]float32, error) {
	if err := compute.Verify(m.Store, p.Name); err != nil {
		return nil, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("saving model: %w", err))
	}
	return compute.Values(m.Store, p.Name)
}

// writable refuses numbers that are not finite in the type they are written
// in.
func writable(name string, data []float32, dtype string) error {
	for _, v := range data {
		switch {
		case math.IsNaN(float64(v)) || math.IsInf(float64(v), 0):
			return artifact.Errorf(artifact.ErrDiverged, "saving model: parameter %q holds a number that is not finite", name)
		case dtype == "F16" && artifact.Float32ToFloat16(v)&0x7c00 == 0x7c00,
			dtype == "BF16" && artifact.Float32ToBFloat16(v)&0x7f80 == 0x7f80:
			return artifact.Errorf(artifact.ErrUsage, "saving model: parameter %q holds %g, which %s cannot; write another type", name, v, dtype)
		}
	}
	return nil
}

// ReadWeights takes the parameters from a safetensors file of size bytes that
// [WriteWeights] wrote. The name appears in errors.
func ReadWeights(m *model.Model, name string, r io.ReaderAt, size int64) error {
	file, err := artifact.ParseSafetensors(name, r, size)
	if err != nil {
		return err
	}
	arrays := make(map[string]string)
	for _, p := range m.Parameters() {
		arrays[m.FileName(p.Name)] = p.Name
	}
	return ReadTensors(m.Store, file, arrays)
}

// ReadTensors fills arrays of a Store with the tensors of a file. arrays names
// the array that takes a tensor by the tensor's name; other tensors are left
// out. One is read at a time, in the order of the file, so that a reader that
// goes from front to back will do. A tensor that the file lacks, or has in
// another shape than the array, is an [artifact.ErrCorrupt] before any is read.
func ReadTensors(s compute.Store, file *artifact.SafetensorsFile, arrays map[string]string) error {
	if err := checkTensors(s, file, arrays); err != nil {
		return err
	}
	infos := slices.DeleteFunc(file.Infos(), func(info artifact.TensorInfo) bool { return arrays[info.Name] == "" })
	largest := 0
	for _, info := range infos {
		largest = max(largest, info.Elements())
	}
	buffer := make([]float32, 0, largest)
	for _, info := range infos {
		values, err := file.AppendFloat32(buffer, info.Name)
		if err != nil {
			return err
		}
		if err := s.Write(arrays[info.Name], values); err != nil {
			return err
		}
	}
	return nil
}

// checkTensors compares the shapes of arrays with those of a file.
func checkTensors(s compute.Store, file *artifact.SafetensorsFile, arrays map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(arrays)) {
		shape, ok := s.Shape(arrays[name])
		if !ok {
			return fmt.Errorf("reading %s: tensor %q: the store has no array %q for it", file.Name(), name, arrays[name])
		}
		info, ok := file.Info(name)
		if !ok {
			return artifact.Errorf(artifact.ErrCorrupt, "reading %s: tensor %q is missing; the model asks for it with shape %v: the file belongs to another model", file.Name(), name, []int(shape))
		}
		if !shape.Equal(info.Shape) {
			return artifact.Errorf(artifact.ErrCorrupt, "reading %s: tensor %q has shape %v, the model asks for %v: the file belongs to another model", file.Name(), name, info.Shape, []int(shape))
		}
	}
	return nil
}

// Digest is the SHA-256 of the weights as [WriteWeights] writes them in
// F32.
func Digest(m *model.Model) (sum [sha256.Size]byte, err error) {
	hash := sha256.New()
	if err := WriteWeights(hash, m, "F32"); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}
