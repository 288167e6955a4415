package model

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/compute/count"
)

// Sketch is a model without numbers on an engine that only counts, from the text of
// a config.json and with a head: what plans are made with.
func Sketch(config []byte, head Head) (*Model, *count.Engine, error) {
	if len(config) == 0 {
		return nil, nil, artifact.Errorf(artifact.ErrNotFound, "estimating a model: its config.json is not known yet")
	}
	c, err := ParseConfig("config.json", config)
	if err != nil {
		return nil, nil, err
	}
	return SketchOf(c, head)
}

// SketchOf is [Sketch] of a configuration.
func SketchOf(c Config, head Head) (*Model, *count.Engine, error) {
	c.Head = head
	engine := &count.Engine{}
	m := &Model{Config: c, Engine: engine, Store: engine.NewStore()}
	for _, p := range c.Parameters() {
		if err := m.Store.Define(p.Name, p.Shape...); err != nil {
			return nil, nil, err
		}
	}
	return m, engine, nil
}

// ReadConfigJSON returns the config.json of a model folder, or what it would be for
// a GGUF file, without reading weights. A path that is neither is an
// artifact.ErrNotFound.
func ReadConfigJSON(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, notFound(err)
	}
	if info.IsDir() {
		data, err := os.ReadFile(filepath.Join(path, "config.json"))
		return data, notFound(err)
	}
	if !strings.HasSuffix(strings.ToLower(path), ".gguf") {
		return nil, artifact.Errorf(artifact.ErrNotFound, "reading %s: it is neither a model folder nor a GGUF file", path)
	}
	file, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	c, _, err := configOfGGUF(file)
	if err != nil {
		return nil, err
	}
	return MarshalConfig(c, "F32")
}
