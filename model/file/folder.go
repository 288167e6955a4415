package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
)

// ReadConfig reads the configuration of a model folder, or of a file that [IsGGUF],
// without its weights.
func ReadConfig(folder string) (model.Config, error) {
	if IsGGUF(folder) {
		file, err := gguf.Open(folder)
		if err != nil {
			return model.Config{}, err
		}
		defer file.Close()
		c, _, err := configOfGGUF(file)
		return c, err
	}
	folder, err := bodyOf(folder)
	if err != nil {
		return model.Config{}, err
	}
	path := filepath.Join(folder, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		if _, is := os.Stat(filepath.Join(folder, AdapterConfigFile)); is == nil {
			return model.Config{}, notFound(fmt.Errorf("opening model folder %s: %w; it holds an adapter alone: merge it into its model first (alma merge)", folder, err))
		}
		return model.Config{}, notFound(fmt.Errorf("opening model folder %s: %w; a model folder holds config.json and model.safetensors", folder, err))
	}
	return ParseConfig(path, data)
}

// Load opens a Hugging Face folder: config.json and model.safetensors, or the
// shards of model.safetensors.index.json. The tensors must be exactly the
// parameters of the configuration: a missing, an extra or a misshapen one is an
// error that names it. Half-precision weights become float32. A path that
// [IsGGUF] is opened as such a file.
func Load(engine compute.Engine, folder string) (*model.Model, error) {
	if IsGGUF(folder) {
		return loadGGUF(engine, folder)
	}
	folder, err := bodyOf(folder)
	if err != nil {
		return nil, err
	}
	c, err := ReadConfig(folder)
	if err != nil {
		return nil, err
	}
	generation, err := ReadGeneration(folder)
	if err != nil {
		return nil, err
	}
	noteUnused(folder)
	file, err := artifact.OpenSafetensors(folder)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if c.Family == model.BERT && c.Head != model.Classes {
		c.Pooler = held(c, "bert.pooler.dense.weight", file) != ""
	}
	if err := untie(&c, file); err != nil {
		return nil, err
	}
	// Before any array is made: a configuration alone may ask for terabytes.
	names, err := match(c, file)
	if err != nil {
		return nil, err
	}
	m, err := model.Empty(engine, c)
	if err != nil {
		return nil, err
	}
	m.Generation = generation
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

// bodyOf is the folder that holds a model's config.json: of a folder of
// sentence-transformers that has none itself, the one of the first module that its
// modules.json names.
func bodyOf(folder string) (string, error) {
	if _, err := os.Stat(filepath.Join(folder, "config.json")); err == nil {
		return folder, nil
	}
	path := filepath.Join(folder, "modules.json")
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxGeneration {
		return folder, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	var modules []struct {
		Index int    `json:"idx"`
		Path  string `json:"path"`
	}
	if err := json.Unmarshal(data, &modules); err != nil {
		return "", artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	for _, m := range modules {
		if m.Index == 0 && filepath.IsLocal(filepath.FromSlash(m.Path)) {
			return filepath.Join(folder, filepath.FromSlash(m.Path)), nil
		}
	}
	return folder, nil
}

// untie keeps a head that the file holds with other numbers than the embedding to
// which config.json ties it: a head that was trained by itself would else be lost.
// Before transformers 5 it was; there it is kept as well.
func untie(c *model.Config, file *artifact.SafetensorsFolder) error {
	if !c.Tied || c.Head != model.LanguageModel && c.Head != model.MaskedLanguageModel {
		return nil
	}
	apart := *c
	apart.Tied = false
	head, embedding := held(apart, apart.HeadName(), file), held(*c, c.EmbeddingName(), file)
	if head == "" || embedding == "" {
		return nil
	}
	first, ok := file.Info(head)
	second, too := file.Info(embedding)
	if !ok || !too || !slices.Contains(WeightTypes, first.DType) || !slices.Contains(WeightTypes, second.DType) || !slices.Equal(first.Shape, second.Shape) {
		return nil // match says what is wrong with them
	}
	a, err := file.AppendFloat32(nil, head)
	if err != nil {
		return err
	}
	b, err := file.AppendFloat32(nil, embedding)
	if err != nil {
		return err
	}
	if !slices.Equal(a, b) {
		c.Tied = false
		note("%s: config.json ties %q to %q, and they hold other numbers; both are kept, as with tie_word_embeddings false", file.Path, head, embedding)
	}
	return nil
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
func held(c model.Config, name string, file *artifact.SafetensorsFolder) string {
	names := []string{name, bare(c, name)}
	if c.Family == model.BERT && name == "cls.predictions.decoder.bias" { // the same bias, under the name of a tied decoder
		names = append(names, "cls.predictions.bias")
	}
	if c.Family == model.BERT {
		for _, name := range slices.Clone(names) {
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
func bare(c model.Config, name string) string {
	c.Head = model.NoHead
	return c.FileName(name)
}

// match finds the tensor of each parameter by name and shape: "" for one that
// a file may leave out, which is then zero.
func match(c model.Config, file *artifact.SafetensorsFolder) ([]string, error) {
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
			if p.Name == model.ScoreBias { // transformers' sequence classification has none
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
		if unused[name] && !tiedTwice && !layoutOf(c.Family).buffer(c, name) {
			return nil, corrupt("tensor %q is not a parameter of the %s model that config.json describes: take the config.json that belongs to the weights", name, c.Family)
		}
	}
	return names, nil
}
