package model

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/compute"
)

// Model is a Config with its weights in a Store of an engine.
type Model struct {
	Config
	Engine compute.Engine
	Store  compute.Store

	// Recompute has training compute a block's activations again in the backward
	// pass: less memory, a third more work, the same bits. Programs built before
	// it is set are not changed.
	Recompute bool

	frozen map[string]bool // names of the parameters that training leaves as they are
}

// Freeze keeps the parameters that match from being trained, and lets all
// others be. Programs and optimizers built before it are not changed.
func (m *Model) Freeze(match func(Parameter) bool) {
	m.frozen = make(map[string]bool)
	for _, p := range m.Parameters() {
		if match(p) {
			m.frozen[p.Name] = true
		}
	}
}

// Trained lists the parameters that are not frozen, in the order of
// [Config.Parameters], and then those of an adapter.
func (m *Model) Trained() []Parameter {
	trained := slices.DeleteFunc(m.Parameters(), func(p Parameter) bool { return m.frozen[p.Name] })
	return append(trained, m.AdapterParameters()...)
}

// New returns a model with random weights, a function of the seed and each
// parameter's name alone.
func New(engine compute.Engine, c Config, seed uint64) (*Model, error) {
	m, err := empty(engine, c)
	if err != nil {
		return nil, err
	}
	for _, p := range c.Parameters() {
		if err := m.Store.Write(p.Name, p.initial(seed)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func empty(engine compute.Engine, c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{Config: c, Engine: engine, Store: engine.NewStore()}
	for _, p := range append(c.Parameters(), c.AdapterParameters()...) {
		if err := m.Store.Define(p.Name, p.Shape...); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (p Parameter) initial(seed uint64) []float32 {
	data := make([]float32, compute.Shape(p.Shape).Size())
	stream := compute.Stream("init " + p.Name)
	for i := range data {
		if p.Init == 0 {
			data[i] = p.Fill
		} else {
			data[i] = float32(p.Init * compute.Normal(seed, stream, uint64(i)))
		}
	}
	return data
}

// Clone copies the model into a Store of its own.
func (m *Model) Clone() (*Model, error) {
	out, err := m.WithHead(m.Head, 0, m.Labels...)
	if err != nil {
		return nil, err
	}
	out.Problem = m.Problem
	return out, nil
}

// WithHead copies the model into a Store of its own with another head, labels
// being the names of the classes for [Classes]. The body keeps its weights, and
// so does a head that the model has, with the same labels; a new head starts
// random by the seed, as does a pooler that the new head reads and the model
// lacks.
func (m *Model) WithHead(head Head, seed uint64, labels ...string) (*Model, error) {
	c := m.Config.WithHead(head, labels...)
	out, err := empty(m.Engine, c)
	if err != nil {
		return nil, err
	}
	out.frozen = maps.Clone(m.frozen)
	same := head == m.Head && slices.Equal(labels, m.Labels)
	for _, p := range append(c.Parameters(), c.AdapterParameters()...) {
		var data []float32
		if _, ok := m.Store.Shape(p.Name); ok && (same || !c.inHead(p.Name)) {
			data, err = compute.Values(m.Store, p.Name)
		} else {
			data = p.initial(seed)
		}
		if err == nil {
			err = out.Store.Write(p.Name, data)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ReadConfig reads the configuration of a model folder, or of a file that [IsGGUF],
// without its weights.
func ReadConfig(folder string) (Config, error) {
	if IsGGUF(folder) {
		file, err := gguf.Open(folder)
		if err != nil {
			return Config{}, err
		}
		defer file.Close()
		c, _, err := configOfGGUF(file)
		return c, err
	}
	path := filepath.Join(folder, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		if _, is := os.Stat(filepath.Join(folder, AdapterConfigFile)); is == nil {
			return Config{}, notFound(fmt.Errorf("opening model folder %s: %w; it holds an adapter alone: merge it into its model first (alma merge)", folder, err))
		}
		return Config{}, notFound(fmt.Errorf("opening model folder %s: %w; a model folder holds config.json and model.safetensors", folder, err))
	}
	return ParseConfig(path, data)
}

// Load opens a Hugging Face folder: config.json and model.safetensors, or the
// shards of model.safetensors.index.json. The tensors must be exactly the
// parameters of the configuration: a missing, an extra or a misshapen one is an
// error that names it. Half-precision weights become float32. A path that
// [IsGGUF] is opened as such a file.
func Load(engine compute.Engine, folder string) (*Model, error) {
	if IsGGUF(folder) {
		return loadGGUF(engine, folder)
	}
	c, err := ReadConfig(folder)
	if err != nil {
		return nil, err
	}
	file, err := artifact.OpenSafetensors(folder)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if c.Family == BERT && c.Head != Classes {
		c.Pooler = held(c, poolerName+".weight", file) != ""
	}
	// Before any array is made: a configuration alone may ask for terabytes.
	names, err := match(c, file)
	if err != nil {
		return nil, err
	}
	m, err := empty(engine, c)
	if err != nil {
		return nil, err
	}
	var values []float32 // one buffer for all
	for i, p := range c.Parameters() {
		if names[i] == "" {
			continue
		}
		if values, err = file.AppendFloat32(values[:0], names[i]); err != nil {
			return nil, err
		}
		if err := m.Store.Write(p.Name, values); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return artifact.Mark(artifact.ErrNotFound, err)
	}
	return err
}

// held is the name under which a file holds a parameter, "" if it does not. The
// prefix of the body is left out where the body was published alone, and the
// first BERTs call the parts of a norm gamma and beta.
func held(c Config, name string, file *artifact.SafetensorsFolder) string {
	names := []string{name, c.bare(name)}
	if c.Family == BERT {
		for _, name := range names[:2:2] {
			old := strings.Replace(name, "LayerNorm.weight", "LayerNorm.gamma", 1)
			names = append(names, strings.Replace(old, "LayerNorm.bias", "LayerNorm.beta", 1))
		}
	}
	for _, name := range names {
		if _, ok := file.Info(name); ok {
			return name
		}
	}
	return ""
}

// bare is the name of a parameter in a body that is published alone.
func (c Config) bare(name string) string {
	return strings.TrimPrefix(name, c.Family.architecture().prefix())
}

// FileName is the name that a parameter has in a model file: its own, without
// the prefix of the body if there is no head.
func (c Config) FileName(name string) string {
	if c.Head == NoHead {
		return c.bare(name)
	}
	return name
}

// match finds the tensor of each parameter by name and shape: "" for one that
// a file may leave out, which is then zero.
func match(c Config, file *artifact.SafetensorsFolder) ([]string, error) {
	corrupt := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: %s", file.Path, fmt.Sprintf(format, args...))
	}
	unused := make(map[string]bool)
	for _, name := range file.Names() {
		unused[name] = true
	}
	if c.Layers > len(unused) {
		return nil, corrupt("it holds %d tensors, too few for the %d layers of config.json", len(unused), c.Layers)
	}
	var names []string
	for _, p := range c.Parameters() {
		name := held(c, p.Name, file)
		if name == "" {
			if p.Name == ScoreBias { // transformers' sequence classification has none
				names = append(names, "")
				continue
			}
			return nil, corrupt("tensor %q is missing; config.json asks for it with shape %v: the two files are of different models, or the weights are incomplete", p.Name, p.Shape)
		}
		delete(unused, name)
		info, _ := file.Info(name)
		if !slices.Equal(info.Shape, p.Shape) {
			return nil, corrupt("tensor %q has shape %v, config.json asks for %v: the two files are of different models", name, info.Shape, p.Shape)
		}
		if !slices.Contains(WeightTypes, info.DType) {
			return nil, corrupt("tensor %q of shape %v is of type %s; alma reads %v: save the model in one of them", name, info.Shape, info.DType, WeightTypes)
		}
		names = append(names, name)
	}
	for _, name := range file.Names() {
		tiedTwice := c.Tied && name == "lm_head.weight"
		if unused[name] && !tiedTwice && !c.Family.architecture().buffer(c, name) {
			return nil, corrupt("tensor %q is not a parameter of the %s model that config.json describes: take the config.json that belongs to the weights", name, c.Family)
		}
	}
	return names, nil
}
