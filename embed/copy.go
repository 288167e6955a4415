package embed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// settingsFiles are what sentence-transformers keeps in a model's folder beside
// the model.
var settingsFiles = []string{"modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "1_Pooling/config.json"}

// CopySettings copies what sentence-transformers reads of a model folder, beside
// the model, to another folder: where vectors come from has one answer in both.
// A source that is one file, or has no such files, has nothing to copy.
func CopySettings(from, to string) error {
	if info, err := os.Stat(from); err == nil && !info.IsDir() {
		return nil
	}
	for _, name := range settingsFiles {
		path := filepath.Join(from, filepath.FromSlash(name))
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && (!info.Mode().IsRegular() || info.Size() > maxSettings) {
			err = artifact.Errorf(artifact.ErrUsage, "%s is no regular file of at most %d bytes", path, maxSettings)
		}
		var data []byte
		if err == nil {
			data, err = os.ReadFile(path)
		}
		target := filepath.Join(to, filepath.FromSlash(name))
		if err == nil {
			err = artifact.MakeFolder(filepath.Dir(target))
		}
		if err == nil {
			err = artifact.WriteFile(target, data)
		}
		if err != nil {
			return fmt.Errorf("copying the settings of an embedding model: %w", err)
		}
	}
	return nil
}
