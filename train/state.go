package train

import (
	"bytes"
	"io"
	"maps"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
)

// State is a part of what a checkpoint holds.
type State interface {
	// Save returns the state's files by name. It takes its copy at once: what
	// happens after it does not change what is written.
	Save() (map[string]func(io.Writer) error, error)
	// Load takes the state back; read returns a file of the checkpoint.
	Load(read func(name string) ([]byte, error)) error
}

// ModelState is a model with its optimizer. Its files are those of a model
// folder, so that a checkpoint of a stage opens like any model, and
// optimizer.safetensors. A Prefix tells a second model's files apart.
//
// Of a model with an adapter only what is trained is saved, as an adapter of the
// model in the folder Base, in PEFT's layout.
type ModelState struct {
	Prefix    string
	Base      string
	Model     *model.Model
	Optimizer *Optimizer
	// Extra files that complete the folder (the tokenizer), written as they are.
	Extra map[string][]byte
	EOS   []int
}

// Save implements [State].
func (s ModelState) Save() (map[string]func(io.Writer) error, error) {
	files, err := s.modelFiles()
	if err != nil {
		return nil, err
	}
	maps.Copy(files, s.Extra)
	var optimizer bytes.Buffer
	if err := s.Optimizer.Save(&optimizer); err != nil {
		return nil, err
	}
	files["optimizer.safetensors"] = optimizer.Bytes()
	out := make(map[string]func(io.Writer) error)
	for name, data := range files {
		out[s.Prefix+name] = func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}
	}
	return out, nil
}

func (s ModelState) modelFiles() (map[string][]byte, error) {
	if s.Model.Adapter != nil {
		return s.Model.AdapterFiles(s.Base)
	}
	return s.Model.Files(s.EOS, 1)
}

// Load implements [State].
func (s ModelState) Load(read func(name string) ([]byte, error)) error {
	name, load := s.Prefix+"model.safetensors", LoadParameters
	if s.Model.Adapter != nil {
		name, load = s.Prefix+model.AdapterWeightsFile, (*model.Model).ReadAdapter
	}
	data, err := read(name)
	if err != nil {
		return err
	}
	if err := load(s.Model, name, data); err != nil {
		return err
	}
	name = s.Prefix + "optimizer.safetensors"
	if data, err = read(name); err != nil {
		return err
	}
	if err := s.Optimizer.Load(name, data); err != nil {
		return err
	}
	return s.Optimizer.Zero()
}

// LoadParameters gives a model the weights of a safetensors file that
// [model.Model.Weights] wrote. The name appears in errors.
func LoadParameters(m *model.Model, name string, data []byte) error {
	file, err := artifact.ParseSafetensors(name, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	for _, p := range m.Parameters() {
		values, err := file.Float32(p.Name)
		if err != nil {
			return err
		}
		if len(values) != compute.Shape(p.Shape).Size() {
			return artifact.Errorf(artifact.ErrCorrupt, "reading %s: tensor %q has %d elements, the configuration asks for shape %v", name, p.Name, len(values), p.Shape)
		}
		if err := m.Store.Write(p.Name, values); err != nil {
			return err
		}
	}
	return nil
}
