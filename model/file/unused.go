package file

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// usedFiles are the files of a model folder that some verb reads, beside the
// tokenizer's.
var usedFiles = []string{
	"config.json", WeightsFile, WeightsFile + ".index.json", GenerationFile, "modules.json", "config_sentence_transformers.json",
	"Modelfile", "golden.json", "forward.safetensors", "gradients.safetensors", // of an export, of alma replay
}

// noteUnused tells which files of a folder of others' alma does not read: what a
// model's makers put there may be what makes it work. Documents are passed over,
// and so is what lies in folders, which modules.json names.
func noteUnused(folder string) {
	for _, own := range []string{"artifact.json", "checkpoint.json"} {
		if _, err := os.Stat(filepath.Join(folder, own)); err == nil {
			return // one of alma's own
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return // opening the model says what is wrong
	}
	used := append(tokenizer.UsedFiles(), usedFiles...)
	var unused []string
	for _, entry := range entries {
		name := entry.Name()
		lower := strings.ToLower(name)
		switch {
		case entry.IsDir(), strings.HasPrefix(name, "."), slices.Contains(used, name):
		case strings.HasSuffix(lower, ".md"), strings.HasPrefix(lower, "license"), strings.HasPrefix(lower, "notice"), strings.HasPrefix(lower, "use_policy"):
		case strings.HasPrefix(name, "model-") && strings.HasSuffix(name, ".safetensors"): // a shard
		case strings.HasPrefix(name, "sentence_") && strings.HasSuffix(name, "_config.json"):
		default:
			unused = append(unused, name)
		}
	}
	if len(unused) > 0 {
		note("%s: not used: %s", folder, strings.Join(unused, ", "))
	}
}
