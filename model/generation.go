package model

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
)

// Generation is how a model's texts are meant to be written, as its files say beside
// its configuration: generation_config.json of a folder, or a GGUF file's metadata.
type Generation struct {
	Ends []int // ids that end a text

	// Sampling is what the files recommend, nil where they do not say. A temperature
	// of 0 is greedy.
	Temperature, TopP, MinP *float64
	TopK                    *int
	RepetitionPenalty       *float64 // of the tokens of prompt and text, as transformers has it

	// StopStrings end a text where it comes to hold one.
	StopStrings []string

	// Keys are generation_config.json's, as they stand there: what is written of
	// the model again keeps them.
	Keys map[string]json.RawMessage
}

// clone copies the generation's lists.
func (g Generation) clone() Generation {
	g.Ends, g.StopStrings, g.Keys = slices.Clone(g.Ends), slices.Clone(g.StopStrings), maps.Clone(g.Keys)
	return g
}

// EndTokens lists the tokens that end a text by the model's files, which may be
// others than the tokenizer's: those of config.json and of what stands beside it.
func (m *Model) EndTokens() []int32 {
	var ids []int32
	for _, id := range slices.Concat([]int{m.EOS}, m.Ends, m.Generation.Ends) {
		if id >= 0 && id <= math.MaxInt32 && !slices.Contains(ids, int32(id)) {
			ids = append(ids, int32(id))
		}
	}
	return ids
}
