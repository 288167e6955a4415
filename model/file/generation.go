package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/model"
)

// GenerationFile says how texts are written with a folder's model: which tokens end
// them, and the sampling that its makers recommend.
const GenerationFile = "generation_config.json"

// maxGeneration bounds generation_config.json, in bytes.
const maxGeneration = 1 << 20

// inertGeneration are the keys of generation_config.json (GenerationConfig of
// transformers 5.24 and before) with the values that leave texts as they are, as
// JSON; nil: any value does. What asks for something else is kept, and said.
var inertGeneration = map[string][]string{
	"temperature": nil, "top_p": nil, "top_k": nil, "do_sample": nil, "eos_token_id": nil, "bos_token_id": nil, "pad_token_id": nil, // read, or of no matter
	"transformers_version": nil, "_from_model_config": nil, "use_cache": nil, "cache_implementation": nil, "cache_config": nil, "max_cache_len": nil,
	"max_length": nil, "max_new_tokens": nil, "max_time": nil, "num_return_sequences": nil, "return_dict_in_generate": nil, "output_scores": nil,
	"output_logits": nil, "output_attentions": nil, "output_hidden_states": nil, "length_penalty": nil, "early_stopping": nil, "low_memory": nil,
	"disable_compile": nil, "compile_config": nil, "prefill_chunk_size": nil, "renormalize_logits": nil, "remove_invalid_values": nil,
	"decoder_start_token_id": nil, "encoder_repetition_penalty": nil, "encoder_no_repeat_ngram_size": nil, "chat_format": nil, "user_token_id": nil,
	"assistant_token_id": nil, "is_assistant": nil, "num_assistant_tokens": nil, "num_assistant_tokens_schedule": nil, "assistant_confidence_threshold": nil,
	"assistant_early_exit": nil, "assistant_lookbehind": nil, "target_lookbehind": nil, "assistant_ensemble_weight": nil, "prompt_lookup_num_tokens": nil,
	"max_matching_ngram_size": nil, "speculation_type": nil, "continuous_batching_config": nil, "use_mtp": {"false"},
	"num_beams": {"1"}, "num_beam_groups": {"1"}, "diversity_penalty": {"0"}, "repetition_penalty": {"1"}, "no_repeat_ngram_size": {"0"},
	"min_length": {"0"}, "min_new_tokens": {"0"}, "min_p": {"0"}, "top_h": {}, "typical_p": {"1"}, "epsilon_cutoff": {"0"}, "eta_cutoff": {"0"},
	"token_healing": {"false"}, "guidance_scale": {"1"}, "bad_words_ids": {"[]"}, "suppress_tokens": {"[]"}, "begin_suppress_tokens": {"[]"},
}

// ReadGeneration reads how texts are written with the model of a folder, or of a
// file that [IsGGUF]. What the file asks for and alma does not do is told to OnNote.
func ReadGeneration(path string) (g model.Generation, err error) {
	if IsGGUF(path) {
		file, err := gguf.Open(path)
		if err != nil {
			return g, err
		}
		defer file.Close()
		return generationOfGGUF(file)
	}
	if path, err = bodyOf(path); err != nil {
		return g, err
	}
	path = filepath.Join(path, GenerationFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return g, nil
	case err != nil:
		return g, fmt.Errorf("reading %s: %w", path, err)
	case !info.Mode().IsRegular() || info.Size() > maxGeneration:
		return g, artifact.Errorf(artifact.ErrCorrupt, "reading %s: it is no regular file of at most %d bytes", path, maxGeneration)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return g, fmt.Errorf("reading %s: %w", path, err)
	}
	return ParseGeneration(path, data)
}

// ParseGeneration reads a generation_config.json. The path appears in errors.
func ParseGeneration(path string, data []byte) (g model.Generation, err error) {
	if err := json.Unmarshal(data, &g.Keys); err != nil {
		return g, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w; a generation_config.json is one JSON object: fetch it again, or delete it", path, err))
	}
	var said struct {
		EOS         tokenIDs
		DoSample    *bool
		Temperature *float64
		TopP        *float64
		TopK        *int
	}
	// One by one: encoding/json takes a key of other case for the same.
	for key, into := range map[string]any{
		"eos_token_id": &said.EOS, "do_sample": &said.DoSample, "temperature": &said.Temperature, "top_p": &said.TopP, "top_k": &said.TopK,
	} {
		if value, ok := g.Keys[key]; ok {
			if err := json.Unmarshal(value, into); err != nil {
				return g, artifact.Errorf(artifact.ErrUsage, "reading %s: key %q is %s: %v", path, key, abbreviate(value), err)
			}
		}
	}
	for key, of := range map[string]struct {
		bad   bool
		value any
	}{
		"temperature": {said.Temperature != nil && !(*said.Temperature >= 0), said.Temperature},
		"top_p":       {said.TopP != nil && !(*said.TopP >= 0 && *said.TopP <= 1), said.TopP},
		"top_k":       {said.TopK != nil && *said.TopK < 0, said.TopK},
	} {
		if of.bad {
			return g, artifact.Errorf(artifact.ErrUsage, "reading %s: key %q is %s, which is no such number; mend it, or take it out", path, key, g.Keys[key])
		}
	}
	g.Temperature, g.TopP, g.TopK = said.Temperature, said.TopP, said.TopK
	if !orElse(said.DoSample, true) || orElse(said.Temperature, 1) == 0 {
		g.Temperature, g.TopP, g.TopK = new(0.0), nil, nil // the others then mean nothing
	}
	for _, id := range said.EOS {
		if id >= 0 {
			g.Ends = append(g.Ends, id)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(g.Keys)) {
		value := g.Keys[key]
		inert, known := inertGeneration[key]
		if given(value) && (!known || inert != nil && !slices.ContainsFunc(inert, func(text string) bool { return sameJSON(value, text) })) {
			note("%s: key %q (%s) is not used in sampling", path, key, abbreviate(value))
		}
	}
	return g, nil
}

// MarshalGeneration writes a model's generation_config.json: the keys of the file
// that it came with, the tokens that end a text, and temperature where that file says
// nothing of sampling.
func MarshalGeneration(m *model.Model, eos []int32, temperature float64) ([]byte, error) {
	g := m.Generation
	if orElse(g.Temperature, 1) == 1 && g.TopK == nil && g.TopP == nil { // nothing is said
		g.Temperature = &temperature
	}
	sampled := orElse(g.Temperature, 1) > 0
	all := map[string]any{"do_sample": sampled, "use_cache": true}
	if sampled && g.Temperature != nil {
		all["temperature"] = *g.Temperature
	}
	if sampled && g.TopK != nil {
		all["top_k"] = *g.TopK
	}
	if sampled && g.TopP != nil {
		all["top_p"] = *g.TopP
	}
	for key, value := range g.Keys {
		switch key {
		case "_from_model_config", "eos_token_id", "do_sample", "temperature", "top_k", "top_p":
		default:
			all[key] = value
		}
	}
	for key, id := range map[string]int{"bos_token_id": m.BOS, "pad_token_id": m.Pad} {
		if id >= 0 {
			all[key] = id
		}
	}
	switch len(eos) {
	case 0:
	case 1:
		all["eos_token_id"] = eos[0]
	default:
		all["eos_token_id"] = eos
	}
	return marshalIndented(all)
}

// The keys of GGUF for what generation_config.json says. eos stands in config.json's
// place (gguf_config.go); eot ends a turn, eom a message to a tool.
const (
	samplingTemperature = "general.sampling.temp"
	samplingTopK        = "general.sampling.top_k"
	samplingTopP        = "general.sampling.top_p"
)

// moreEnds are the names of GGUF's tokens that end a text beside eos.
var moreEnds = []string{"eot", "eom"}

func generationOfGGUF(file *gguf.File) (g model.Generation, err error) {
	for _, name := range moreEnds {
		if key := tokenizerKeys + name + idSuffix; file.Has(key) {
			id, err := file.Int(key)
			if err != nil {
				return g, err
			}
			g.Ends = append(g.Ends, id)
		}
	}
	for key, into := range map[string]**float64{samplingTemperature: &g.Temperature, samplingTopP: &g.TopP} {
		if file.Has(key) {
			value, err := file.Float(key)
			if err != nil {
				return g, err
			}
			*into = new(shortest(value))
		}
	}
	if file.Has(samplingTopK) {
		n, err := file.Int(samplingTopK)
		if err != nil {
			return g, err
		}
		g.TopK = new(max(n, 0)) // llama.cpp's −1 is all, too
	}
	if t, p := orElse(g.Temperature, 1), orElse(g.TopP, 1); !(t >= 0) || !(p >= 0 && p <= 1) {
		return g, artifact.Errorf(artifact.ErrUsage, "reading %s: %s is %g and %s is %g, want a number from 0 up and one from 0 to 1", file.Name(), samplingTemperature, t, samplingTopP, p)
	}
	return g, nil
}

// An End is what a place in a model's files says of the tokens that end a text.
type End struct {
	From string // the file and its key
	IDs  []int32
}

// EndsOf lists what the files of a model, a folder or a file that [IsGGUF], say of
// the tokens that end a text; nothing where there are none. Of config.json only that
// is looked at.
func EndsOf(path string) (ends []End, err error) {
	if IsGGUF(path) {
		file, err := gguf.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		for _, name := range append([]string{"eos"}, moreEnds...) {
			if key := tokenizerKeys + name + idSuffix; file.Has(key) {
				id, err := file.Int(key)
				if err != nil {
					return nil, err
				}
				if id >= 0 && id <= math.MaxInt32 {
					ends = append(ends, End{key, []int32{int32(id)}})
				}
			}
		}
		return ends, nil
	}
	if path, err = bodyOf(path); err != nil {
		return nil, err
	}
	for _, name := range []string{"config.json", GenerationFile} {
		data, err := os.ReadFile(filepath.Join(path, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the tokens that end a text: %w", err)
		}
		var said struct {
			EOS tokenIDs `json:"eos_token_id"`
		}
		if err := json.Unmarshal(data, &said); err != nil {
			return nil, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", filepath.Join(path, name), err))
		}
		end := End{From: name}
		for _, id := range said.EOS {
			if id >= 0 && id <= math.MaxInt32 {
				end.IDs = append(end.IDs, int32(id))
			}
		}
		ends = append(ends, end)
	}
	return ends, nil
}
