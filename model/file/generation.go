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
	"temperature": nil, "top_p": nil, "top_k": nil, "min_p": nil, "repetition_penalty": nil, "stop_strings": nil, "do_sample": nil, "eos_token_id": nil, "bos_token_id": nil, "pad_token_id": nil, // read, or of no matter
	"transformers_version": nil, "_from_model_config": nil, "use_cache": nil, "cache_implementation": nil, "cache_config": nil, "max_cache_len": nil,
	"max_length": nil, "max_new_tokens": nil, "max_time": nil, "num_return_sequences": nil, "return_dict_in_generate": nil, "output_scores": nil,
	"output_logits": nil, "output_attentions": nil, "output_hidden_states": nil, "length_penalty": nil, "early_stopping": nil, "low_memory": nil,
	"disable_compile": nil, "compile_config": nil, "prefill_chunk_size": nil, "renormalize_logits": nil, "remove_invalid_values": nil,
	"decoder_start_token_id": nil, "encoder_repetition_penalty": nil, "encoder_no_repeat_ngram_size": nil, "chat_format": nil, "user_token_id": nil,
	"assistant_token_id": nil, "is_assistant": nil, "num_assistant_tokens": nil, "num_assistant_tokens_schedule": nil, "assistant_confidence_threshold": nil,
	"assistant_early_exit": nil, "assistant_lookbehind": nil, "target_lookbehind": nil, "assistant_ensemble_weight": nil, "prompt_lookup_num_tokens": nil,
	"max_matching_ngram_size": nil, "speculation_type": nil, "continuous_batching_config": nil, "use_mtp": {"false"},
	"num_beams": {"1"}, "num_beam_groups": {"1"}, "diversity_penalty": {"0"}, "no_repeat_ngram_size": {"0"},
	"min_length": {"0"}, "min_new_tokens": {"0"}, "top_h": {}, "typical_p": {"1"}, "epsilon_cutoff": {"0"}, "eta_cutoff": {"0"},
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
		EOS                                        tokenIDs
		DoSample                                   *bool
		Temperature, TopP, MinP, RepetitionPenalty *float64
		TopK                                       *int
		StopStrings                                stopStrings
	}
	// One by one: encoding/json takes a key of other case for the same.
	for key, into := range map[string]any{
		"eos_token_id": &said.EOS, "do_sample": &said.DoSample, "temperature": &said.Temperature, "top_p": &said.TopP, "top_k": &said.TopK,
		"min_p": &said.MinP, "repetition_penalty": &said.RepetitionPenalty, "stop_strings": &said.StopStrings,
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
		"temperature":        {said.Temperature != nil && !(*said.Temperature >= 0), said.Temperature},
		"top_p":              {said.TopP != nil && !(*said.TopP >= 0 && *said.TopP <= 1), said.TopP},
		"top_k":              {said.TopK != nil && *said.TopK < 0, said.TopK},
		"min_p":              {said.MinP != nil && !(*said.MinP >= 0 && *said.MinP <= 1), said.MinP},
		"repetition_penalty": {said.RepetitionPenalty != nil && !(*said.RepetitionPenalty > 0), said.RepetitionPenalty},
	} {
		if of.bad {
			return g, artifact.Errorf(artifact.ErrUsage, "reading %s: key %q is %s, which is no such number; mend it, or take it out", path, key, g.Keys[key])
		}
	}
	g.Temperature, g.TopP, g.TopK, g.MinP = said.Temperature, said.TopP, said.TopK, said.MinP
	g.RepetitionPenalty, g.StopStrings = said.RepetitionPenalty, said.StopStrings
	if !orElse(said.DoSample, true) || orElse(said.Temperature, 1) == 0 {
		g.Temperature, g.TopP, g.TopK, g.MinP = new(0.0), nil, nil, nil // the others then mean nothing
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

// stopStrings are one string or several, as transformers' stop_strings.
type stopStrings []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *stopStrings) UnmarshalJSON(data []byte) error {
	var one *string
	if json.Unmarshal(data, &one) == nil {
		if *s = nil; one != nil {
			*s = stopStrings{*one}
		}
	} else if err := json.Unmarshal(data, (*[]string)(s)); err != nil {
		return errors.New("it is neither a string nor a list of strings")
	}
	if slices.Contains(*s, "") {
		return errors.New("an empty string would end every text")
	}
	return nil
}

// MarshalGeneration writes a model's generation_config.json: the keys of the file
// that it came with, the tokens that end a text, and temperature where that file says
// nothing of sampling.
func MarshalGeneration(m *model.Model, eos []int32, temperature float64) ([]byte, error) {
	g := m.Generation
	if orElse(g.Temperature, 1) == 1 && g.TopK == nil && g.TopP == nil && g.MinP == nil { // nothing is said
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
	if sampled && g.MinP != nil {
		all["min_p"] = *g.MinP
	}
	if g.RepetitionPenalty != nil {
		all["repetition_penalty"] = *g.RepetitionPenalty
	}
	for key, value := range g.Keys {
		switch key {
		case "_from_model_config", "eos_token_id", "do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty":
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
	samplingMinP        = "general.sampling.min_p"
	samplingPenalty     = "general.sampling.penalty_repeat"
	// samplingWindow is how many of the last tokens llama.cpp penalizes, −1: all.
	// Without the key it is 64; alma penalizes all in any case.
	samplingWindow = "general.sampling.penalty_last_n"
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
	for key, into := range map[string]**float64{samplingTemperature: &g.Temperature, samplingTopP: &g.TopP, samplingMinP: &g.MinP, samplingPenalty: &g.RepetitionPenalty} {
		if file.Has(key) {
			value, err := file.Float(key)
			if err != nil {
				return g, err
			}
			*into = new(shortest(value))
		}
	}
	if file.Has(samplingTopK) {
		n, err := countOrAll(file, samplingTopK)
		if err != nil {
			return g, err
		}
		g.TopK = new(max(n, 0))
	}
	for _, of := range []struct {
		key   string
		value *float64
		good  func(v float64) bool
		want  string
	}{
		{samplingTemperature, g.Temperature, func(v float64) bool { return v >= 0 }, "a number from 0 up"},
		{samplingTopP, g.TopP, func(v float64) bool { return v >= 0 && v <= 1 }, "one from 0 to 1"},
		{samplingMinP, g.MinP, func(v float64) bool { return v >= 0 && v <= 1 }, "one from 0 to 1"},
		{samplingPenalty, g.RepetitionPenalty, func(v float64) bool { return v > 0 }, "one above 0; 1 is none"},
	} {
		if of.value != nil && !of.good(*of.value) {
			return g, artifact.Errorf(artifact.ErrUsage, "reading %s: %s is %g, want %s", file.Name(), of.key, *of.value, of.want)
		}
	}
	if file.Has(samplingWindow) && orElse(g.RepetitionPenalty, 1) != 1 {
		n, err := countOrAll(file, samplingWindow)
		if err != nil {
			return g, err
		}
		if n == 0 { // llama.cpp then penalizes nothing
			g.RepetitionPenalty = nil
		} else if n > 0 {
			note("%s: key %q (%d) is not used in sampling: the penalty is of all tokens of prompt and text", file.Name(), samplingWindow, n)
		}
	}
	return g, nil
}

// countOrAll reads a number of tokens, of which llama.cpp's −1 means all.
func countOrAll(file *gguf.File, key string) (int, error) {
	switch value, _ := file.Value(key); value {
	case int32(-1), int64(-1):
		return -1, nil
	}
	return file.Int(key)
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
