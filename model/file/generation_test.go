package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/model"
)

func generationOf(t *testing.T, m *model.Model, eos []int32, temperature float64) string {
	t.Helper()
	data, err := MarshalGeneration(m, eos, temperature)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		t.Fatal(err)
	}
	return compact.String()
}

func TestGenerationConfigNamesTheTokensThatEndAText(t *testing.T) {
	for _, test := range []struct {
		eos         []int32
		temperature float64
		want        string
	}{
		{[]int32{2}, 0, `{"do_sample":false,"eos_token_id":2,"pad_token_id":3,"use_cache":true}`},
		{[]int32{2, 0}, .7, `{"do_sample":true,"eos_token_id":[2,0],"pad_token_id":3,"temperature":0.7,"use_cache":true}`},
		{nil, 0, `{"do_sample":false,"pad_token_id":3,"use_cache":true}`},
	} {
		if got := generationOf(t, &model.Model{Config: tiny(model.Llama)}, test.eos, test.temperature); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// What published files say (Llama 3.1, Qwen 3, Gemma 3, greedy) is read, and written
// again with the tokens that end a text.
func TestWhatAModelCameWithIsKept(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`{"bos_token_id": 1, "do_sample": true, "eos_token_id": [4, 5], "temperature": 0.6, "top_p": 0.9, "transformers_version": "4.42.3"}`,
			`{"bos_token_id":1,"do_sample":true,"eos_token_id":[4,5],"pad_token_id":3,"temperature":0.6,"top_p":0.9,"transformers_version":"4.42.3","use_cache":true}`},
		{`{"do_sample": true, "eos_token_id": 4, "top_k": 20, "repetition_penalty": 1.05}`,
			`{"do_sample":true,"eos_token_id":4,"pad_token_id":3,"repetition_penalty":1.05,"top_k":20,"use_cache":true}`},
		{`{"temperature": 0.7, "min_p": 0.05, "repetition_penalty": 1.05, "stop_strings": "\n\n"}`,
			`{"do_sample":true,"min_p":0.05,"pad_token_id":3,"repetition_penalty":1.05,"stop_strings":"\n\n","temperature":0.7,"use_cache":true}`},
		{`{"do_sample": false, "min_p": 0.05, "repetition_penalty": 1.05}`, `{"do_sample":false,"pad_token_id":3,"repetition_penalty":1.05,"use_cache":true}`},
		{`{"cache_implementation": "hybrid", "top_k": 64, "top_p": 0.95}`,
			`{"cache_implementation":"hybrid","do_sample":true,"pad_token_id":3,"top_k":64,"top_p":0.95,"use_cache":true}`},
		{`{"do_sample": false, "temperature": 0.6}`, `{"do_sample":false,"pad_token_id":3,"use_cache":true}`},
		{`{"_from_model_config": true, "eos_token_id": null}`, `{"do_sample":true,"pad_token_id":3,"temperature":0.9,"use_cache":true}`},
	} {
		g, err := ParseGeneration("g", []byte(test.in))
		if err != nil {
			t.Fatal(err)
		}
		m := &model.Model{Config: tiny(model.Llama), Generation: g}
		m.EOS, m.Ends = -1, nil
		if got := generationOf(t, m, m.EndTokens(), .9); got != test.want {
			t.Errorf("%s became %s, want %s", test.in, got, test.want)
		}
	}
}

func TestGenerationFilesAreRefusedByNameAndKey(t *testing.T) {
	for text, test := range map[string]struct {
		says string
		kind error
	}{
		`{"eos_token_id":`:            {"fetch it again", artifact.ErrCorrupt},
		`[1]`:                         {"one JSON object", artifact.ErrCorrupt},
		`{"eos_token_id": "</s>"}`:    {"eos_token_id", artifact.ErrUsage},
		`{"temperature": -1}`:         {`key "temperature" is -1`, artifact.ErrUsage},
		`{"top_p": 1.5}`:              {`key "top_p" is 1.5`, artifact.ErrUsage},
		`{"top_k": -4}`:               {`key "top_k" is -4`, artifact.ErrUsage},
		`{"temperature": "lukewarm"}`: {"temperature", artifact.ErrUsage},
		`{"min_p": 2}`:                {`key "min_p" is 2`, artifact.ErrUsage},
		`{"repetition_penalty": 0}`:   {`key "repetition_penalty" is 0`, artifact.ErrUsage},
		`{"stop_strings": [7]}`:       {"neither a string nor a list of strings", artifact.ErrUsage},
		`{"stop_strings": ["a", ""]}`: {"an empty string would end every text", artifact.ErrUsage},
	} {
		folder := t.TempDir()
		path := filepath.Join(folder, GenerationFile)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadGeneration(folder); !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if g, err := ReadGeneration(t.TempDir()); err != nil || g.Keys != nil || g.Ends != nil {
		t.Errorf("no file: %+v, %v", g, err)
	}
}

func TestWhatSamplingDoesNotDoIsSaidOnce(t *testing.T) {
	var told []string
	OnNote(func(line string) { told = append(told, line) })
	defer OnNote(nil)
	text := []byte(`{"no_repeat_ngram_size": 3, "repetition_penalty": 1.1, "stop_strings": ["."], "num_beams": 1, "min_p": 0.1, "colour": 3, "suppress_tokens": null, "temperature": 0.5}`)
	for range 2 {
		if _, err := ParseGeneration("g", text); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 2 || !strings.Contains(told[0], `"colour"`) || !strings.Contains(told[1], `"no_repeat_ngram_size"`) {
		t.Errorf("told %q", told)
	}
}

// llama.cpp takes eos, eot and eom for ends (llama-vocab.cpp).
func TestAGGUFFileKeepsTheTokensThatEndATextAndTheSampling(t *testing.T) {
	engine, tok := newCPU(t), letters(t)
	m := newModel(t, engine, tiny(model.Llama), 1)
	m.Generation = model.Generation{Temperature: new(.6), TopP: new(.95), TopK: new(20), MinP: new(.05), RepetitionPenalty: new(1.1), StopStrings: []string{"User:"}}
	var told []string
	OnNote(func(line string) { told = append(told, line) })
	defer OnNote(nil)
	eos, _ := tok.EOS()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if _, err := artifact.WriteContent(path, func(w io.Writer) error {
		_, err := WriteGGUF(w, m, tok, []int32{7, eos, 9, 11}, About{}, Mixtures[0], nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got, err := Load(engine, path)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int32{eos, 7, 9}; !slices.Equal(got.EndTokens(), want) {
		t.Errorf("texts end at %v, want %v", got.EndTokens(), want)
	}
	if len(told) != 2 || !strings.Contains(told[0], "11 has none") || !strings.Contains(told[1], `stop strings ["User:"]`) {
		t.Errorf("told %q", told)
	}
	if g := got.Generation; *g.Temperature != .6 || *g.TopP != .95 || *g.TopK != 20 || *g.MinP != .05 || *g.RepetitionPenalty != 1.1 {
		t.Errorf("sampling %v, %v, %v, %v, %v", *g.Temperature, *g.TopP, *g.TopK, *g.MinP, *g.RepetitionPenalty)
	}
}

func TestStopStringsAreOneOrSeveral(t *testing.T) {
	for text, want := range map[string][]string{
		`{"stop_strings": "User:"}`: {"User:"}, `{"stop_strings": ["a", "\n"]}`: {"a", "\n"}, `{"stop_strings": null}`: nil, `{}`: nil,
	} {
		if g, err := ParseGeneration("g", []byte(text)); err != nil || !slices.Equal(g.StopStrings, want) {
			t.Errorf("%s: %q, %v; want %q", text, g.StopStrings, err, want)
		}
	}
}

// llama.cpp's top-k of −1 is all, as 0.
func TestATopKOfMinusOneInAGGUFFileIsAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	if _, err := artifact.WriteContent(path, func(w io.Writer) error {
		return gguf.Write(w, []gguf.Entry{{Key: samplingTopK, Value: int32(-1)}}, nil)
	}); err != nil {
		t.Fatal(err)
	}
	if g, err := ReadGeneration(path); err != nil || g.TopK == nil || *g.TopK != 0 {
		t.Errorf("%+v, %v", g, err)
	}
}

// llama.cpp's penalty is of the last 64 tokens unless the file says otherwise.
func TestTheWindowOfAPenaltyInAGGUFFileIsRead(t *testing.T) {
	for window, want := range map[int32]struct {
		penalty float64
		told    int
	}{-1: {1.25, 0}, 0: {1, 0}, 64: {1.25, 1}} {
		var told []string
		OnNote(func(line string) { told = append(told, line) })
		path := filepath.Join(t.TempDir(), "m.gguf")
		if _, err := artifact.WriteContent(path, func(w io.Writer) error {
			return gguf.Write(w, []gguf.Entry{{Key: samplingPenalty, Value: float32(1.25)}, {Key: samplingWindow, Value: window}}, nil)
		}); err != nil {
			t.Fatal(err)
		}
		g, err := ReadGeneration(path)
		if OnNote(nil); err != nil || orElse(g.RepetitionPenalty, 1) != want.penalty || len(told) != want.told {
			t.Errorf("window %d: penalty %v, %v, told %q", window, orElse(g.RepetitionPenalty, 1), err, told)
		}
	}
}

func TestFilesThatAreNotUsedAreToldInOneLine(t *testing.T) {
	var told []string
	OnNote(func(line string) { told = append(told, line) })
	defer OnNote(nil)
	engine := newCPU(t)
	folder := save(t, newModel(t, engine, tiny(model.Llama), 1), nil)
	if _, err := Load(engine, folder); err != nil || len(told) != 0 {
		t.Fatalf("%v, told %q", err, told)
	}
	for _, name := range []string{"README.md", "LICENSE", ".gitattributes", "tokenizer.json", "generation_config.json", "preprocessor_config.json", "modeling_x.py", "adapter_model.safetensors"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := Load(engine, folder); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || !strings.HasSuffix(told[0], "not used: adapter_model.safetensors, modeling_x.py, preprocessor_config.json") {
		t.Errorf("told %q", told)
	}
}

// FuzzParseGeneration holds the door to this: what is read can be written, and says
// the same when it is read again.
func FuzzParseGeneration(f *testing.F) {
	for _, text := range []string{
		`{"eos_token_id": [1, 106], "do_sample": true, "temperature": 0.6, "top_k": 64, "top_p": 0.95}`,
		`{"do_sample": false, "eos_token_id": -1, "repetition_penalty": 1.1}`, `{"temperature": null}`, `null`, `{`,
		`{"min_p": 0.1, "repetition_penalty": 1.2, "stop_strings": ["a", "b"]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := ParseGeneration("g", data)
		if err != nil {
			return
		}
		m := &model.Model{Config: tiny(model.Llama), Generation: g}
		m.EOS, m.Ends = -1, nil
		written, err := MarshalGeneration(m, nil, 1)
		if err != nil {
			t.Fatalf("%s was read and cannot be written: %v", data, err)
		}
		again, err := ParseGeneration("g", written)
		if err != nil || orElse(again.Temperature, 1) != orElse(g.Temperature, 1) || orElse(again.TopK, 0) != orElse(g.TopK, 0) || orElse(again.TopP, 1) != orElse(g.TopP, 1) ||
			orElse(again.MinP, 0) != orElse(g.MinP, 0) || orElse(again.RepetitionPenalty, 1) != orElse(g.RepetitionPenalty, 1) || !slices.Equal(again.StopStrings, g.StopStrings) {
			t.Fatalf("%s came back as %s, %v", data, written, err)
		}
	})
}
