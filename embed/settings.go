package embed

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
)

// ReadSettings returns what a model folder of sentence-transformers asks for, and
// mean pooling over the whole context, normalised, where a folder says nothing:
// 1_Pooling/config.json names the pooling, sentence_bert_config.json the most
// tokens of a text. What they ask for and this package does not compute is an
// error that names the key. A pooling that is given, not "", stands in the place of
// the folder's.
func ReadSettings(folder string, context int, pooling Pooling) (Settings, error) {
	s := Settings{Pooling: Mean, Normalize: true, Context: context}
	if info, err := os.Stat(folder); err == nil && !info.IsDir() {
		return s, nil // a model in one file says nothing of vectors
	}
	var modes map[string]json.RawMessage
	path := filepath.Join(folder, "1_Pooling", "config.json")
	if pooling != "" {
		s.Pooling = pooling
	} else if found, err := readJSON(path, &modes); err != nil {
		return s, err
	} else if found {
		if s.Pooling, err = poolingOf(path, modes); err != nil {
			return s, err
		}
	}
	var limit struct {
		MaxSeqLength int `json:"max_seq_length"`
	}
	path = filepath.Join(folder, "sentence_bert_config.json")
	if found, err := readJSON(path, &limit); err != nil {
		return s, err
	} else if found && limit.MaxSeqLength > 0 {
		s.Context = min(context, limit.MaxSeqLength)
	}
	return s, nil
}

// poolingOf finds the one mode that is switched on.
func poolingOf(path string, modes map[string]json.RawMessage) (Pooling, error) {
	known := map[string]Pooling{"pooling_mode_mean_tokens": Mean, "pooling_mode_cls_token": CLS}
	var on []string
	for key, value := range modes {
		if strings.HasPrefix(key, "pooling_mode_") && string(value) == "true" {
			on = append(on, key)
		}
	}
	slices.Sort(on)
	if len(on) == 1 {
		if pooling, ok := known[on[0]]; ok {
			return pooling, nil
		}
	}
	return "", artifact.Errorf(artifact.ErrUsage, "reading %s: it switches on %q; alma pools by pooling_mode_mean_tokens or pooling_mode_cls_token, one of them: choose with --pooling", path, on)
}

// maxSettings bounds the small files that are read, in bytes.
const maxSettings = 1 << 20

// readJSON reads a small file if it is there.
func readJSON(path string, into any) (found bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading the settings of an embedding model: %w", err)
	case info.Size() > maxSettings:
		return false, artifact.Errorf(artifact.ErrCorrupt, "reading %s: %d bytes are more than the limit of %d", path, info.Size(), maxSettings)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("reading the settings of an embedding model: %w", err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return false, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	return true, nil
}
