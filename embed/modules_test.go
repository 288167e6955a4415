package embed_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/embed"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

const (
	transformer = `{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"}`
	pooling     = `{"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}`
	dense       = `{"idx":2,"name":"2","path":"2_Dense","type":"sentence_transformers.models.Dense"}`
	normalize   = `{"idx":3,"name":"3","path":"3_Normalize","type":"sentence_transformers.models.Normalize"}`
)

// folderWith copies testdata/dense and puts files into it.
func folderWith(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("testdata/dense")); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func open(t *testing.T, folder string) (*model.Model, *tokenizer.Tokenizer, embed.Settings) {
	t.Helper()
	engine := cpu.New(cpu.Options{Threads: 1})
	t.Cleanup(func() { engine.Close() })
	m, tok, err := train.LoadModel(engine, folder)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := embed.ReadSettings(folder, m.Context, "")
	if err != nil {
		t.Fatal(err)
	}
	return m, tok, settings
}

// vectors embeds the texts of testdata/dense.
func vectors(t *testing.T, m *model.Model, tok *tokenizer.Tokenizer, settings embed.Settings) [][]float32 {
	t.Helper()
	e, err := embed.New(m, tok, 2, settings)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := dataset.ReadTexts("testdata/dense.texts.jsonl", dataset.TextOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ids := make([][]int32, len(texts.Rows))
	for i, text := range texts.Rows {
		if ids[i], _, err = dataset.EncodeText(tok, settings.Text(text.Text), settings.Context); err != nil {
			t.Fatal(err)
		}
	}
	out, err := e.Embed(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameVectors(t *testing.T, name string, got [][]float32, want [][]float64) {
	t.Helper()
	for i := range want {
		if len(got[i]) != len(want[i]) {
			t.Fatalf("%s: text %d: %d numbers, want %d", name, i, len(got[i]), len(want[i]))
		}
		for d := range want[i] {
			if math.Abs(float64(got[i][d])-want[i][d]) > 1e-5 {
				t.Fatalf("%s: text %d: number %d is %v, want %v", name, i, d, got[i][d], want[i][d])
			}
		}
	}
}

// The vectors are those of a BERT in numpy, with the modules' formulas written out:
// mean, then tanh(W·x + b), then divided by their length.
func TestAllModulesOfAFolderAreComputed(t *testing.T) {
	data, err := os.ReadFile("testdata/dense.vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var want [][]float64
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	m, tok, settings := open(t, "testdata/dense")
	sameVectors(t, "dense", vectors(t, m, tok, settings), want)

	// Without Normalize they have the length that the dense layer gives them.
	_, _, without := open(t, folderWith(t, map[string]string{"modules.json": "[" + transformer + "," + pooling + "," + dense + "]"}))
	for i, v := range vectors(t, m, tok, without) {
		squares := 0.0
		for _, x := range v {
			squares += float64(x) * float64(x)
		}
		if math.Abs(squares-1) < 1e-3 {
			t.Errorf("text %d: length 1 without a Normalize", i)
		}
		for d := range v {
			if math.Abs(float64(v[d])/math.Sqrt(squares)-want[i][d]) > 1e-5 {
				t.Fatalf("text %d: another direction", i)
			}
		}
	}
	// With the model in a folder of its own, and the modules' other names.
	elsewhere := folderWith(t, map[string]string{"modules.json": `[{"idx":3,"name":"3","path":"c","type":"sentence_transformers.base.modules.normalize.Normalize"},
		{"idx":0,"name":"0","path":"0_Transformer","type":"sentence_transformers.base.modules.transformer.Transformer"},
		{"idx":1,"name":"1","path":"a","type":"sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
		{"idx":2,"name":"2","path":"b","type":"sentence_transformers.base.modules.dense.Dense"}]`})
	for from, to := range map[string]string{"1_Pooling": "a", "2_Dense": "b", "config.json": "0_Transformer/config.json", "model.safetensors": "0_Transformer/model.safetensors",
		"tokenizer.json": "0_Transformer/tokenizer.json", "tokenizer_config.json": "0_Transformer/tokenizer_config.json", "sentence_bert_config.json": "0_Transformer/sentence_bert_config.json"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(elsewhere, to)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(elsewhere, from), filepath.Join(elsewhere, to)); err != nil {
			t.Fatal(err)
		}
	}
	m, tok, settings = open(t, elsewhere)
	sameVectors(t, "elsewhere", vectors(t, m, tok, settings), want)

	// And as it is copied beside a model that is saved.
	copied := t.TempDir()
	if err := train.SaveModel(copied, elsewhere, m, tok, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := embed.CopySettings(elsewhere, copied); err != nil {
		t.Fatal(err)
	}
	m, tok, settings = open(t, copied)
	sameVectors(t, "copied", vectors(t, m, tok, settings), want)
}

func TestModulesThatAreNotComputedAreRefusedByName(t *testing.T) {
	list := func(modules ...string) map[string]string {
		return map[string]string{"modules.json": "[" + strings.Join(modules, ",") + "]"}
	}
	for says, files := range map[string]map[string]string{
		`"sentence_transformers.models.LSTM"`:            list(transformer, pooling, `{"idx":2,"name":"2","path":"2_LSTM","type":"sentence_transformers.models.LSTM"}`),
		`"custom_st.Pooling"`:                            list(transformer, `{"idx":1,"name":"1","path":"1_Pooling","type":"custom_st.Pooling"}`),
		`"sentence_transformers.models.StaticEmbedding"`: list(`{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.StaticEmbedding"}`),
		"no module is a Pooling":                         list(transformer),
		"a second Pooling":                               list(transformer, pooling, pooling),
		"stands before Pooling":                          list(transformer, `{"idx":1,"name":"1","path":"2_Dense","type":"sentence_transformers.models.Dense"}`, `{"idx":2,"name":"2","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}`),
		"outside of the model's folder":                  list(transformer, `{"idx":1,"name":"1","path":"../1_Pooling","type":"sentence_transformers.models.Pooling"}`),
		"lists no modules":                               list(),
		filepath.Join("9_Pooling", "config.json"):        list(transformer, `{"idx":1,"name":"1","path":"9_Pooling","type":"sentence_transformers.models.Pooling"}`),
		`activation_function is "torch.nn.modules.Mish"`: {"2_Dense/config.json": `{"in_features":32,"out_features":16,"activation_function":"torch.nn.modules.Mish"}`},
		`activation_function is "custom.Tanh"`:           {"2_Dense/config.json": `{"in_features":32,"out_features":16,"activation_function":"custom.Tanh"}`},
		`"colour"`:                                       {"2_Dense/config.json": `{"in_features":32,"out_features":16,"colour":"red"}`},
		`tensor "linear.weight" with shape [16 33]`:      {"2_Dense/config.json": `{"in_features":33,"out_features":16}`},
		`tensor "residual.weight" with shape [16 32]`:    {"2_Dense/config.json": `{"in_features":32,"out_features":16,"use_residual":true}`},
		`key "module_input_name" is "token_embeddings"`:  {"3_Normalize/config.json": `{"module_input_name":"token_embeddings"}`},
		`default_prompt_name is "query"`:                 {"config_sentence_transformers.json": `{"prompts":{"passage":"passage: "},"default_prompt_name":"query"}`},
	} {
		if _, err := embed.ReadSettings(folderWith(t, files), 64, ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error that says %s", err, says)
		}
	}
	// A dense layer of another size than the pooling gives.
	m, tok, settings := open(t, folderWith(t, map[string]string{"1_Pooling/config.json": `{"pooling_mode":["mean","max"]}`}))
	if _, err := embed.New(m, tok, 1, settings); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "takes vectors of 32 numbers, and gets 64") {
		t.Errorf("%v", err)
	}
}

// The prompt stands before each text, and its states are left out where the folder
// says so; what they would change, attention to them, stays.
func TestPromptsStandBeforeTexts(t *testing.T) {
	files := map[string]string{
		"config_sentence_transformers.json": `{"prompts":{"query":"hello ","document":""},"default_prompt_name":"query"}`,
		"modules.json":                      "[" + transformer + "," + pooling + "]",
		"1_Pooling/config.json":             `{"pooling_mode":"cls","include_prompt":false}`,
	}
	m, tok, settings := open(t, folderWith(t, files))
	if settings.Prompt != "hello " || !settings.PromptApart || settings.Text("a") != "hello a" {
		t.Fatalf("settings %+v", settings)
	}
	prompt := tok.Encode("hello ")
	whole := tok.Wrap(tok.Encode("hello world"))
	e, err := embed.New(m, tok, 1, settings)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Embed(t.Context(), [][]int32{whole})
	if err != nil {
		t.Fatal(err)
	}
	// The state of the first token behind [CLS] and the prompt, which the last one
	// of that much shorter text behind it, [SEP], is not.
	settings.PromptApart, settings.Poolings = false, []embed.Pooling{embed.Max, embed.CLS, embed.LastToken}
	if e, err = embed.New(m, tok, 1, settings); err != nil {
		t.Fatal(err)
	}
	all, err := e.Embed(t.Context(), [][]int32{whole})
	if err != nil {
		t.Fatal(err)
	}
	d := m.Width
	if slices.Equal(got[0], all[0][d:2*d]) || slices.Equal(got[0], all[0][2*d:]) || len(prompt) != 1 {
		t.Errorf("a prompt of %d tokens is pooled", len(prompt))
	}
	for i, v := range got[0] {
		if v > all[0][i] {
			t.Fatalf("number %d is above the maximum of the text", i)
		}
	}
	if _, err := e.Embed(t.Context(), [][]int32{whole[:1]}); err != nil {
		t.Error(err)
	}
	settings.PromptApart = true
	if e, err = embed.New(m, tok, 1, settings); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Embed(t.Context(), [][]int32{whole[:2]}); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "those of the prompt") {
		t.Errorf("nothing but a prompt: %v", err)
	}
}

// FuzzReadSettings holds the doors to the files of sentence-transformers to this:
// whatever they say, settings come of it that an Embedder takes or refuses.
func FuzzReadSettings(f *testing.F) {
	f.Add("["+transformer+","+pooling+","+dense+","+normalize+"]", `{"pooling_mode_mean_tokens":true}`, `{"in_features":32,"out_features":16}`, `{"prompts":{"q":"q: "},"default_prompt_name":"q"}`)
	f.Add("["+transformer+","+pooling+"]", `{"pooling_mode":["max","cls"],"include_prompt":false}`, ``, `{}`)
	f.Fuzz(func(t *testing.T, modules, pool, layer, prompts string) {
		folder := t.TempDir()
		for name, text := range map[string]string{"modules.json": modules, "1_Pooling/config.json": pool, "2_Dense/config.json": layer, "config_sentence_transformers.json": prompts} {
			path := filepath.Join(folder, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := embed.ReadSettings(folder, 64, ""); err == nil && (len(s.Poolings) == 0 || s.Context < 1 || s.Context > 64) {
			t.Errorf("%+v", s)
		}
	})
}
