package embed

import (
	"bytes"
	"cmp"
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

// The files of sentence-transformers in a model's folder. modules.json lists the
// modules in order, each with its class and the folder, below the model's, that holds
// its config.json.
const (
	modulesFile = "modules.json"
	promptsFile = "config_sentence_transformers.json"
	// sentenceVector is what the modules behind the pooling read and write.
	sentenceVector = "sentence_embedding"
)

// module is an entry of modules.json.
type module struct {
	Index int    `json:"idx"`
	Name  string `json:"name"`
	Path  string `json:"path"`
	Type  string `json:"type"`
}

// class is the last part of a module's type, "" for code that is not
// sentence-transformers' own.
func (m module) class() string {
	if !strings.HasPrefix(m.Type, "sentence_transformers.") {
		return ""
	}
	return m.Type[strings.LastIndexByte(m.Type, '.')+1:]
}

// readModules reads modules.json; nil where there is none.
func readModules(folder string) ([]module, error) {
	path := filepath.Join(folder, modulesFile)
	var list []module
	if found, err := readJSON(path, &list); err != nil || !found {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b module) int { return cmp.Compare(a.Index, b.Index) })
	for _, m := range list {
		if m.Path != "" && !filepath.IsLocal(filepath.FromSlash(m.Path)) {
			return nil, artifact.Errorf(artifact.ErrUsage, "reading %s: module %q lies in %q, outside of the model's folder; put it there", path, m.Name, m.Path)
		}
	}
	if len(list) == 0 {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: it lists no modules; fetch the model again, or delete the file", path)
	}
	return list, nil
}

// ReadSettings returns what a model folder of sentence-transformers asks for, and
// mean pooling over the whole context, normalised, where a folder says nothing: its
// modules.json with the folder of each module, the prompts of
// config_sentence_transformers.json, the most tokens of a text and its case of
// sentence_bert_config.json. What they ask for and this package does not compute is an
// error that names file and key. A pooling that is given, not "", stands in the place
// of the folder's.
func ReadSettings(folder string, context int, pooling Pooling) (Settings, error) {
	s := Settings{Poolings: []Pooling{Mean}, Steps: []Step{{}}, Context: context}
	if pooling != "" {
		s.Poolings = []Pooling{pooling}
	}
	if info, err := os.Stat(folder); err == nil && !info.IsDir() {
		return s, nil // a model in one file says nothing of vectors
	}
	modules, err := readModules(folder)
	if err != nil {
		return s, err
	}
	body := folder
	switch {
	case modules != nil:
		body = filepath.Join(folder, filepath.FromSlash(modules[0].Path))
		if err := s.readModules(folder, modules, pooling); err != nil {
			return s, err
		}
		if err := s.readLongest(body); err != nil {
			return s, err
		}
	case pooling == "":
		if err := s.readPooling(filepath.Join(folder, "1_Pooling"), false); err != nil {
			return s, err
		}
	}
	if err := s.readTexts(body, context); err != nil {
		return s, err
	}
	return s, s.readPrompts(folder)
}

// readModules takes the modules behind the model.
func (s *Settings) readModules(folder string, modules []module, pooling Pooling) error {
	path := filepath.Join(folder, modulesFile)
	if class := modules[0].class(); class != "Transformer" {
		return artifact.Errorf(artifact.ErrUsage, "reading %s: the first module is of type %q; alma has Transformer of sentence_transformers there", path, modules[0].Type)
	}
	s.Steps = nil
	pooled := false
	for i, m := range modules[1:] {
		place := filepath.Join(folder, filepath.FromSlash(m.Path))
		switch class := m.class(); class {
		case "Pooling":
			if pooled {
				return artifact.Errorf(artifact.ErrUsage, "reading %s: module %d is a second Pooling; alma has one", path, i+1)
			}
			pooled = true
			if pooling == "" {
				if err := s.readPooling(place, true); err != nil {
					return err
				}
			}
		case "Dense", "Normalize":
			if !pooled {
				return artifact.Errorf(artifact.ErrUsage, "reading %s: module %d, %s, stands before Pooling; alma computes it behind only", path, i+1, class)
			}
			step := Step{}
			var err error
			if class == "Dense" {
				step.Dense, err = readDense(place)
			} else {
				err = checkNormalize(filepath.Join(place, "config.json"))
			}
			if err != nil {
				return err
			}
			s.Steps = append(s.Steps, step)
		case "Dropout": // does nothing but in training
		default:
			return artifact.Errorf(artifact.ErrUsage, "reading %s: module %d is of type %q; alma has Transformer, Pooling, Dense, Normalize and Dropout of sentence_transformers", path, i+1, m.Type)
		}
	}
	if !pooled {
		return artifact.Errorf(artifact.ErrUsage, "reading %s: no module is a Pooling, so that a text would have no one vector", path)
	}
	return nil
}

// checkNormalize refuses a Normalize that reads something else than the vector.
func checkNormalize(path string) error {
	var c struct {
		Input  *string `json:"module_input_name"`
		Output *string `json:"module_output_name"`
	}
	if _, err := readStrict(path, &c); err != nil {
		return err
	}
	for key, name := range map[string]*string{"module_input_name": c.Input, "module_output_name": c.Output} {
		if name != nil && *name != sentenceVector {
			return artifact.Errorf(artifact.ErrUsage, "reading %s: key %q is %q; alma computes only %q", path, key, *name, sentenceVector)
		}
	}
	return nil
}

// oldPoolings are the older keys, one for each way, in the order in which several
// stand one after the other (sentence-transformers' _LEGACY_POOLING_MODE_KWARGS).
var oldPoolings = []struct {
	key string
	way Pooling
}{
	{"pooling_mode_cls_token", CLS}, {"pooling_mode_max_tokens", Max}, {"pooling_mode_mean_tokens", Mean},
	{"pooling_mode_mean_sqrt_len_tokens", MeanSqrtLen}, {"pooling_mode_weightedmean_tokens", WeightedMean}, {"pooling_mode_lasttoken", LastToken},
}

// readPooling reads a Pooling module's config.json: pooling_mode, a name or several,
// or the older keys pooling_mode_*, of which none stands for the mean.
func (s *Settings) readPooling(folder string, required bool) error {
	path := filepath.Join(folder, "config.json")
	keys := map[string]json.RawMessage{}
	found, err := readJSON(path, &keys)
	switch {
	case err != nil:
		return err
	case !found && required:
		return artifact.Errorf(artifact.ErrNotFound, "reading %s: it is missing, and %s names its folder; fetch the model again", path, modulesFile)
	case !found:
		return nil
	}
	refuse := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrUsage, "reading %s: %s", path, fmt.Sprintf(format, args...))
	}
	flag := func(key string, otherwise bool) (value bool, err error) {
		value = otherwise
		if text, ok := keys[key]; ok {
			if err := json.Unmarshal(text, &value); err != nil {
				return value, refuse("key %q is %s, want true or false", key, text)
			}
		}
		return value, nil
	}
	var ways []Pooling
	if text, ok := keys["pooling_mode"]; ok && string(text) != "null" {
		var one Pooling
		if err := json.Unmarshal(text, &one); err == nil {
			ways = []Pooling{one}
		} else if err := json.Unmarshal(text, &ways); err != nil || len(ways) == 0 {
			return refuse("key %q is %s, want a name or a list of names of %q", "pooling_mode", text, Poolings)
		}
	}
	given := len(ways) > 0
	known := []string{"pooling_mode", "word_embedding_dimension", "embedding_dimension", "include_prompt"}
	for _, old := range oldPoolings {
		known = append(known, old.key)
		on, err := flag(old.key, false)
		if err != nil {
			return err
		}
		if on && !given {
			ways = append(ways, old.way)
		}
	}
	for key, text := range keys {
		if !slices.Contains(known, key) {
			return refuse("key %q is not one that alma knows (its value is %s); choose with --pooling", key, text)
		}
	}
	for _, way := range ways {
		if !slices.Contains(Poolings, way) {
			return refuse("it pools by %q; alma has %q: choose with --pooling", way, Poolings)
		}
	}
	if len(ways) > 0 {
		s.Poolings = ways
	}
	included, err := flag("include_prompt", true)
	s.PromptApart = !included
	return err
}

// bodyFiles are the names of the file that says how texts become tokens, the first
// that is there (sentence-transformers' Transformer module).
var bodyFiles = []string{
	"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json", "sentence_camembert_config.json",
	"sentence_albert_config.json", "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json",
}

// readTexts reads how long a text may be, and whether it is made lower-case.
func (s *Settings) readTexts(folder string, context int) error {
	for _, name := range bodyFiles {
		var c struct {
			MaxSeqLength int    `json:"max_seq_length"`
			LowerCase    bool   `json:"do_lower_case"`
			Task         string `json:"transformer_task"`
		}
		path := filepath.Join(folder, name)
		found, err := readJSON(path, &c)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if c.Task != "" && c.Task != "feature-extraction" {
			return artifact.Errorf(artifact.ErrUsage, `reading %s: key "transformer_task" is %q; alma computes only "feature-extraction"`, path, c.Task)
		}
		if c.MaxSeqLength > 0 {
			s.Context = min(context, c.MaxSeqLength)
		}
		s.LowerCase = c.LowerCase
		return nil
	}
	return nil
}

// readLongest takes the tokenizer's model_max_length, which sentence-transformers
// obeys where nothing else says how long a text may be.
func (s *Settings) readLongest(folder string) error {
	var c struct {
		Longest *float64 `json:"model_max_length"` // 1e30 stands for none
	}
	if _, err := readJSON(filepath.Join(folder, "tokenizer_config.json"), &c); err != nil {
		return err
	}
	if c.Longest != nil && *c.Longest >= 1 && *c.Longest < float64(s.Context) {
		s.Context = int(*c.Longest)
	}
	return nil
}

// readPrompts reads the prompts and which of them stands before each text.
func (s *Settings) readPrompts(folder string) error {
	path := filepath.Join(folder, promptsFile)
	var c struct {
		Prompts map[string]*string `json:"prompts"`
		Default *string            `json:"default_prompt_name"`
	}
	if _, err := readJSON(path, &c); err != nil {
		return err
	}
	for name, text := range c.Prompts {
		if text != nil {
			if s.Prompts == nil {
				s.Prompts = map[string]string{}
			}
			s.Prompts[name] = *text
		}
	}
	if c.Default != nil {
		text, ok := s.Prompts[*c.Default]
		if !ok {
			return artifact.Errorf(artifact.ErrUsage, "reading %s: default_prompt_name is %q, which prompts does not have", path, *c.Default)
		}
		s.Prompt = text
	}
	return nil
}

// maxSettings bounds the small files that are read, in bytes.
const maxSettings = 1 << 20

// readJSON reads a small file if it is there.
func readJSON(path string, into any) (found bool, err error) {
	data, err := readSmall(path)
	if err != nil || data == nil {
		return false, err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return false, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	return true, nil
}

// readStrict is readJSON that refuses keys that the value does not have.
func readStrict(path string, into any) (found bool, err error) {
	data, err := readSmall(path)
	if err != nil || data == nil {
		return false, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if !json.Valid(data) {
			return false, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
		}
		return false, artifact.Errorf(artifact.ErrUsage, "reading %s: %v: alma does not have what it asks for", path, err)
	}
	return true, nil
}

// readSmall reads a small file, nil if it is not there.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the settings of an embedding model: %w", err)
	case info.Size() > maxSettings && filepath.Base(path) != "tokenizer_config.json":
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: %d bytes are more than the limit of %d", path, info.Size(), maxSettings)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the settings of an embedding model: %w", err)
	}
	return data, nil
}
