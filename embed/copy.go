package embed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// CopySettings copies what sentence-transformers reads of a model folder, beside
// the model, to another folder: where vectors come from has one answer in both. The
// model itself lies in the folder that is written, wherever it lay before.
// A source that is one file, or has no such files, has nothing to copy.
func CopySettings(from, to string) error {
	if info, err := os.Stat(from); err == nil && !info.IsDir() {
		return nil
	}
	modules, err := readModules(from)
	if err != nil {
		return err
	}
	files := map[string]string{promptsFile: promptsFile} // where they lay, by where they go
	for _, name := range bodyFiles {
		files[name] = name
	}
	add := func(folder, name string) {
		path := filepath.Join(filepath.FromSlash(folder), name)
		files[path] = path
	}
	switch {
	case modules == nil:
		add("1_Pooling", "config.json")
	default:
		for _, name := range bodyFiles {
			files[name] = filepath.Join(filepath.FromSlash(modules[0].Path), name)
		}
		modules[0].Path = ""
		for _, m := range modules[1:] {
			add(m.Path, "config.json")
			if m.class() == "Dense" {
				add(m.Path, "model.safetensors")
			}
		}
	}
	for name, path := range files {
		if err := copyFile(filepath.Join(from, path), filepath.Join(to, name)); err != nil {
			return fmt.Errorf("copying the settings of an embedding model: %w", err)
		}
	}
	if modules == nil {
		return nil
	}
	data, err := json.MarshalIndent(modules, "", "  ")
	if err == nil {
		err = artifact.WriteFile(filepath.Join(to, modulesFile), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("copying the settings of an embedding model: %w", err)
	}
	return nil
}

// longestCopied bounds a file that is copied, in bytes: a Dense module's weights.
const longestCopied = 1 << 30

// copyFile copies a file if it is there.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() > longestCopied:
		return artifact.Errorf(artifact.ErrUsage, "%s is no regular file of at most %d bytes", from, longestCopied)
	}
	data, err := os.ReadFile(from)
	if err == nil {
		err = artifact.MakeFolder(filepath.Dir(to))
	}
	if err == nil {
		err = artifact.WriteFile(to, data)
	}
	return err
}
