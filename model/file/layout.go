package file

import (
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/model"
)

// layout is how a family's checkpoints are written. Each family's file implements
// it.
type layout interface {
	// names gives config.json's "architectures" for each head.
	names() map[model.Head]string
	// keys returns a struct whose fields are the keys of config.json that
	// this family reads.
	keys() configKeys
	// fixed lists further keys, with the JSON texts of the values that are
	// what package model computes.
	fixed() map[string][]string
	// write adds the family's keys to a config.json.
	write(c model.Config, m map[string]any)
	// buffer reports whether older tools write a tensor of this name that is
	// no parameter.
	buffer(c model.Config, name string) bool
}

// configKeys is the part of config.json that a family reads. set moves what
// was read to the Config and fills in what transformers assumes.
type configKeys interface{ set(c *model.Config) error }

// layoutOf panics for a family that [model.Config.Validate] refuses.
func layoutOf(f model.Family) layout {
	switch f {
	case model.GPT2:
		return gpt2{}
	case model.Llama, model.Mistral, model.Qwen2, model.Qwen3:
		return llama{f}
	case model.Gemma3:
		return gemma3{}
	case model.BERT:
		return bert{}
	}
	panic(fmt.Sprintf("model/file: family %q is not one of %v", f, model.Families))
}

// geluNames are the names of GELU's forms in config.json, the first of each
// being the one that is written.
var geluNames = map[bool][]string{
	true:  {"gelu"},
	false: {"gelu_new", "gelu_pytorch_tanh"},
}

func setGELU(c *model.Config, key, name string) error {
	for exact, names := range geluNames {
		if slices.Contains(names, name) {
			c.ExactGELU = exact
			return nil
		}
	}
	return fmt.Errorf("key %q is %q; alma computes %q and %q", key, name, geluNames[true], geluNames[false])
}

func geluName(c model.Config) string { return geluNames[c.ExactGELU][0] }
