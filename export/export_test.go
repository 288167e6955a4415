package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// The program starts itself to render chat templates.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == chat.Verb {
		if err := chat.Serve(); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func words() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for range 20 {
			if !yield("The colour of the sky is blue; a second paragraph follows the first one with more words than it had, and 1 + 1 = 2.", nil) {
				return
			}
		}
	}
}

// source is a small model in a folder of a finished stage, whose input is
// another, with the tokenizer that is given a chat template.
func source(t *testing.T, family model.Family, template string) (*model.Model, *tokenizer.Tokenizer, string) {
	t.Helper()
	tok, _, err := tokenizer.Train(t.Context(), words(), tokenizer.Options{VocabSize: 300})
	if err != nil {
		t.Fatal(err)
	}
	if template != "" {
		folder := t.TempDir()
		files, err := tok.Files()
		if err != nil {
			t.Fatal(err)
		}
		files[tokenizer.TemplateFile] = []byte(template)
		delete(files, tokenizer.ConfigFile)
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if tok, err = tokenizer.Load(folder); err != nil {
			t.Fatal(err)
		}
	}
	c := model.Config{
		Family: family, Head: model.LanguageModel, Vocabulary: 300, Context: 128, Width: 32, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 8,
		FeedForward: 64, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .2, BOS: -1, EOS: 0, Pad: 3,
	}
	if family == model.GPT2 {
		c.KVHeads, c.RoPETheta = 4, 0
	}
	engine := cpu.New(cpu.Options{Threads: 1})
	t.Cleanup(func() { engine.Close() })
	m, err := model.New(engine, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	text := filepath.Join(run, "text.jsonl")
	if err := os.WriteFile(text, []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	input, role := text, "dialogues"
	folder := ""
	for _, kind := range []string{"pretrain", "sft"} {
		folder = filepath.Join(run, kind)
		stage, err := artifact.Begin(folder, kind, map[string]int{"steps": 3})
		if err != nil {
			t.Fatal(err)
		}
		if err := stage.AddInput(role, input); err != nil {
			t.Fatal(err)
		}
		if err := train.SaveModel(folder, "", m, tok, 1, chat.Ends(tok, nil)); err != nil {
			t.Fatal(err)
		}
		stage.Manifest.FLOPs, stage.Manifest.Tokens, stage.Manifest.Metrics = 1e9, 1000, artifact.Metrics{"validation/loss": 1.25}
		if _, err := stage.Finish(); err != nil {
			t.Fatal(err)
		}
		input, role = folder, "base"
	}
	return m, tok, folder
}

func TestWhatIsExportedOpensAgainWithTheSameResults(t *testing.T) {
	for _, family := range []model.Family{model.Llama, model.GPT2} {
		m, tok, from := source(t, family, "")
		for _, format := range []string{HuggingFace, GGUF} {
			for _, kind := range TypesOf(format) {
				o := Options{Source: from, Format: format, Type: kind, Out: filepath.Join(t.TempDir(), "out")}
				r, err := Write(context.Background(), m, tok, o)
				if err != nil {
					t.Fatalf("%s %s %s: %v", family, format, kind, err)
				}
				c := r.Check
				if c.Conversations != 6 || c.Greedy != 64 || c.Logits == 0 {
					t.Errorf("%s %s %s: compared %+v", family, format, kind, c)
				}
				if exact := kind == "f32"; exact != c.LogitsEqual || exact != (c.WeightError == 0) || exact && c.GreedyEqual != 64 || c.WeightError > .09 || c.KL > .2 {
					t.Errorf("%s %s %s: compared %+v", family, format, kind, c)
				}
				for _, name := range []string{"README.md", "Modelfile"} {
					if _, err := os.Stat(filepath.Join(o.Out, name)); err != nil {
						t.Error(err)
					}
				}
				if info, err := os.Stat(r.Path); err != nil || format == GGUF && info.Size() != r.Bytes {
					t.Errorf("%s: %v, %d bytes reported", r.Path, err, r.Bytes)
				}
			}
		}
	}
}

// The configuration may name an end that neither the tokenizer nor the template
// knows.
func TestAnExportedFolderKeepsAllEndsOfAText(t *testing.T) {
	m, tok, from := source(t, model.Llama, "")
	m.EOS, m.Ends = 7, []int{7, 9}
	o := Options{Source: from, Format: HuggingFace, Type: "f32", Out: filepath.Join(t.TempDir(), "out")}
	if _, err := Write(t.Context(), m, tok, o); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(o.Out, "generation_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Ends []int `json:"eos_token_id"`
	}
	if err := json.Unmarshal(data, &said); err != nil || !slices.Contains(said.Ends, 7) || !slices.Contains(said.Ends, 9) {
		t.Errorf("ends %v (%v), want 7 and 9 among them", said.Ends, err)
	}
}

func TestAnExportMayReplaceAnExportAndNothingElse(t *testing.T) {
	m, tok, from := source(t, model.Llama, "")
	folder := t.TempDir()
	o := Options{Source: from, Format: GGUF, Type: "f16", Out: filepath.Join(folder, "small.gguf")}
	for range 2 {
		if _, err := Write(t.Context(), m, tok, o); err != nil {
			t.Fatal(err)
		}
	}
	readme := filepath.Join(folder, "README.md")
	if err := os.WriteFile(readme, []byte("my own"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), m, tok, o); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "README.md was not written by an export") {
		t.Errorf("a README.md of somebody else: %v", err)
	}
	o = Options{Source: from, Format: HuggingFace, Type: "f32", Out: from}
	if _, err := Write(t.Context(), m, tok, o); !errors.Is(err, artifact.ErrUsage) {
		t.Errorf("the source's folder: %v", err)
	}
}

func TestDifferencesAreChecksNotMet(t *testing.T) {
	m, tok, from := source(t, model.Llama, "")
	template, err := chat.For(tok)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Source: from, Format: GGUF, Type: "f32", Out: filepath.Join(t.TempDir(), "small.gguf")}
	if _, err := Write(t.Context(), m, tok, o); err != nil {
		t.Fatal(err)
	}
	name := m.Parameters()[3].Name
	shape, _ := m.Store.Shape(name)
	values := make([]float32, shape.Size())
	if err := m.Store.Read(name, values); err != nil {
		t.Fatal(err)
	}
	values[7] += .5
	if err := m.Store.Write(name, values); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q4_0"} {
		o.Type = kind
		mixture, _ := file.MixtureOf(kind)
		stored := storage{matrices: map[string]gguf.Type{}}
		for _, p := range m.Parameters() {
			if len(p.Shape) > 1 {
				stored.matrices[p.Name] = mixture.Most
			}
		}
		c, err := check(t.Context(), m, tok, template, o, stored, nil)
		if !errors.Is(err, artifact.ErrCheckNotMet) || !strings.Contains(err.Error(), "element 7 of parameter "+`"`+name) {
			t.Errorf("%s: a weight that was changed: %v", kind, err)
		}
		if c.LogitsEqual {
			t.Errorf("%s: the logits of another model are equal", kind)
		}
	}
	data, err := os.ReadFile(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.Out, data[:len(data)-100], 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t.Context(), m, tok, template, o, storage{}, nil); !errors.Is(err, artifact.ErrCheckNotMet) || !strings.Contains(err.Error(), "does not open again") {
		t.Errorf("a file that was cut off: %v", err)
	}
}

func TestAChatTemplateThatGotLostIsACheckNotMet(t *testing.T) {
	m, tok, from := source(t, model.Llama, "{% for m in messages %}[{{ m.role }}] {{ m.content }}<|im_end|>{% endfor %}")
	template, err := chat.For(tok)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Source: from, Format: HuggingFace, Type: "f32", Out: filepath.Join(t.TempDir(), "out")}
	r, err := Write(t.Context(), m, tok, o)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.Template, "left out: ") {
		t.Errorf("a template of no known form: TEMPLATE %s", r.Template)
	}
	if err := os.WriteFile(filepath.Join(o.Out, tokenizer.TemplateFile), []byte("{{ messages[0].content }}"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t.Context(), m, tok, template, o, storage{}, nil); !errors.Is(err, artifact.ErrCheckNotMet) || !strings.Contains(err.Error(), "conversation 1 is rendered") {
		t.Errorf("another template: %v", err)
	}
}

func TestOllamasTemplateRendersAsTheModels(t *testing.T) {
	const smol = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
	for name, c := range map[string]struct{ jinja, want string }{
		"ChatML":                     {"", "<|im_start|>{{ .Role }}"},
		"with a system prompt":       {smol, "system\nBe kind.<|im_end|>"},
		"spaces trimmed":             {strings.ReplaceAll(smol, "message['content']", "message['content'] | trim"), ""},
		"a template without a place": {"{{ messages[0].content }}", ""},
	} {
		m, tok, _ := source(t, model.Llama, c.jinja)
		template, err := chat.For(tok)
		if err != nil {
			t.Fatal(err)
		}
		m.Generation = model.Generation{Ends: []int{9}, Temperature: new(.6), TopK: new(20), TopP: new(.95), MinP: new(.05), RepetitionPenalty: new(1.1), StopStrings: []string{"User:"}}
		text, why := modelfile("./x.gguf", "f16", tok, template, m)
		for _, want := range []string{fmt.Sprintf("PARAMETER stop %q", tok.TokenBytes(9)), "PARAMETER temperature 0.6\n", "PARAMETER top_k 20\n", "PARAMETER top_p 0.95\n",
			"PARAMETER min_p 0.05\n", "PARAMETER repeat_penalty 1.1\nPARAMETER repeat_last_n -1\n", `PARAMETER stop "User:"`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: no %s in %s", name, want, text)
			}
		}
		if c.want == "" {
			if why == "" || strings.Contains(string(text), "TEMPLATE") {
				t.Errorf("%s: wrote %s", name, text)
			}
			continue
		}
		if why != "" || !strings.Contains(string(text), c.want) || !strings.Contains(string(text), `PARAMETER stop "<|im_end|>"`) || !strings.Contains(string(text), "FROM ./x.gguf\n") {
			t.Errorf("%s: wrote %s (%s)", name, text, why)
		}
	}
}

func TestTheCardTellsTheLineage(t *testing.T) {
	m, tok, from := source(t, model.Llama, "")
	o := Options{Source: from, Format: HuggingFace, Type: "bf16", Out: filepath.Join(t.TempDir(), "out")}
	if _, err := Write(t.Context(), m, tok, o); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(o.Out, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	card := string(data)
	if !strings.HasPrefix(card, "---\nlibrary_name: transformers\n") {
		t.Errorf("the front matter begins %.60q", card)
	}
	for _, want := range []string{"| pretrain | 1000 | 1e+09 |", "| sft | 1000 |", "validation/loss 1.25", "- dialogues: `text.jsonl`, no stage of alma's", "| model | sft | `sft` |", "| base | pretrain | `pretrain` |", `"steps":3`} {
		if !strings.Contains(card, want) {
			t.Errorf("the card does not say %q:\n%s", want, card)
		}
	}
	// What is not any more what was read is said to be so.
	text := filepath.Join(filepath.Dir(from), "text.jsonl")
	if err := os.WriteFile(text, []byte("{} "), 0o666); err != nil {
		t.Fatal(err)
	}
	if lines := lineage(from); lines[2].note != "changed since" {
		t.Errorf("a changed input is noted as %q", lines[2].note)
	}
	if err := os.Remove(text); err != nil {
		t.Fatal(err)
	}
	if lines := lineage(from); lines[2].note != "not there any more" {
		t.Errorf("a removed input is noted as %q", lines[2].note)
	}
}

func TestExportsThatCannotBeAreRefused(t *testing.T) {
	m, tok, from := source(t, model.Llama, "")
	out := filepath.Join(t.TempDir(), "out")
	for name, c := range map[string]struct {
		o    Options
		says string
	}{
		"format":   {Options{Source: from, Format: "onnx", Type: "f32", Out: out}, `format "onnx"`},
		"type":     {Options{Source: from, Format: HuggingFace, Type: "q8_0", Out: out}, `the format hf has no type "q8_0"; it has f32, f16, bf16`},
		"no path":  {Options{Source: from, Format: GGUF, Type: "f32"}, "no path"},
		"no model": {Options{Source: from + "x", Format: GGUF, Type: "f32", Out: out}, "no such file"},
	} {
		if _, err := Write(t.Context(), m, tok, c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error that says %q", name, err, c.says)
		}
	}
	p := m.Parameters()[0]
	values := make([]float32, p.Shape[0]*p.Shape[1])
	values[5] = 1e5
	if err := m.Store.Write(p.Name, values); err != nil {
		t.Fatal(err)
	}
	for format, says := range map[string]string{HuggingFace: "which F16 cannot", GGUF: "beyond the range of F16"} {
		if _, err := Write(t.Context(), m, tok, Options{Source: from, Format: format, Type: "f16", Out: out}); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: a weight beyond float16: %v", format, err)
		}
	}
	if _, err := gguf.Open(filepath.Join(out, modelFile)); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("a file that could not be written is there: %v", err)
	}
}

// Weights for which float16 has no scale become zeros, which is rounding too.
func TestWeightsBelowEveryScaleAreExported(t *testing.T) {
	m, tok, from := source(t, model.Llama, "")
	p := m.Parameters()[2]
	values := make([]float32, p.Shape[0]*p.Shape[1])
	for i := range values {
		values[i] = 1e-9
	}
	if err := m.Store.Write(p.Name, values); err != nil {
		t.Fatal(err)
	}
	for _, kind := range TypesOf(GGUF) {
		if _, err := Write(t.Context(), m, tok, Options{Source: from, Format: GGUF, Type: kind, Out: filepath.Join(t.TempDir(), "m.gguf")}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestTheStageOffersEveryType(t *testing.T) {
	field, _ := reflect.TypeFor[FileConfig]().FieldByName("Type")
	if got, want := field.Tag.Get("enum"), strings.Join(TypesOf(GGUF), ","); got != want {
		t.Errorf("dtype may be %s, want %s", got, want)
	}
	if err := (FileConfig{Format: HuggingFace, Type: "q4_k_m"}).Validate(); !errors.Is(err, artifact.ErrUsage) {
		t.Errorf("a folder of quantised weights: %v", err)
	}
}

func TestAnExportSaysWhatItsTypeCosts(t *testing.T) {
	m, tok, from := source(t, model.Llama, "")
	text := filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("The colour of the sky is blue; 1 + 1 = 2. ", 400)), 0o666); err != nil {
		t.Fatal(err)
	}
	for kind, least := range map[string]float64{"f32": 0, "q8_0": 1e-7, "q4_0": 1e-5} {
		o := Options{Source: from, Format: GGUF, Type: kind, Out: filepath.Join(t.TempDir(), "m.gguf"), Text: text, MaxTokens: 2000}
		r, err := Write(t.Context(), m, tok, o)
		if err != nil {
			t.Fatal(err)
		}
		cost := r.Check.Cost
		switch increase := cost.Increase; {
		case cost.Before.Windows != 2000/128 || cost.Before.Tokens != cost.After.Tokens:
			t.Errorf("%s: %+v", kind, cost)
		case kind == "f32" && (increase.Value != 0 || increase.Low != 0 || increase.High != 0 || cost.Before != cost.After):
			t.Errorf("%s costs %+v", kind, increase)
		case math.Abs(increase.Value) < least || !(increase.Low <= increase.Value && increase.Value <= increase.High):
			t.Errorf("%s costs %+v", kind, increase)
		case math.Abs(cost.After.Perplexity/cost.Before.Perplexity-1-increase.Value) > 1e-9:
			t.Errorf("%s: perplexity %g before and %g after is no increase by %g", kind, cost.Before.Perplexity, cost.After.Perplexity, increase.Value)
		}
		card, err := os.ReadFile(filepath.Join(filepath.Dir(r.Path), "README.md"))
		if err != nil || !strings.Contains(string(card), "as "+kind+": perplexity ") || !strings.Contains(string(card), "gguf, "+kind) {
			t.Errorf("the card does not say what %s costs (%v)", kind, err)
		}
		if file, err := os.ReadFile(filepath.Join(filepath.Dir(r.Path), "Modelfile")); err != nil || !strings.Contains(string(file), "weights "+kind) {
			t.Errorf("the Modelfile does not name %s (%v)", kind, err)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	for says, o := range map[string]Options{
		"no such file":       {Source: from, Format: GGUF, Type: "q4_0", Out: out, Text: text + "x"},
		"want 0":             {Source: from, Format: GGUF, Type: "q4_0", Out: out, Text: text, MaxTokens: -1},
		"give a longer text": {Source: from, Format: GGUF, Type: "q4_0", Out: out, Text: text, MaxTokens: 3},
	} {
		if _, err := Write(t.Context(), m, tok, o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error that says %q", err, says)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: something was written", says)
		}
	}
}

func TestWhatAFallbackWroteIsNoted(t *testing.T) {
	m, tok, from := source(t, model.Llama, "")
	r, err := Write(t.Context(), m, tok, Options{Source: from, Format: GGUF, Type: "q4_k_m", Out: filepath.Join(t.TempDir(), "m.gguf")})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{ // 2 layers, of which the last gets more bits; rows of 32 and 64
		"Q8_0 in place of Q6_K: 2 matrices, with rows of 32, no multiple of 256",
		"Q5_0 in place of Q4_K: 11 matrices, with rows of 32, no multiple of 256",
		"Q5_0 in place of Q4_K: 1 matrix, with rows of 64, no multiple of 256",
		"Q8_0 in place of Q6_K: 1 matrix, with rows of 64, no multiple of 256",
	}
	if !slices.Equal(r.Notes, want) || !maps.Equal(r.Matrices, map[string]int{"Q5_0": 12, "Q8_0": 3}) {
		t.Errorf("noted %q, matrices %v", r.Notes, r.Matrices)
	}
	again, tok, err := train.LoadModel(m.Engine, r.Path)
	if err != nil {
		t.Fatal(err)
	}
	r, err = Write(t.Context(), again, tok, Options{Source: r.Path, Format: GGUF, Type: "q4_k_m", Out: filepath.Join(t.TempDir(), "m.gguf")})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Check; c.Weights != "equal" || !c.LogitsEqual || c.WeightError != 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "blocks of m.gguf kept as they are: 15 matrices") {
		t.Errorf("exported again as the same type: %+v, %q", c, r.Notes)
	}
	r, err = Write(t.Context(), again, tok, Options{Source: filepath.Join(filepath.Dir(r.Path), "m.gguf"), Format: GGUF, Type: "q4_0", Out: filepath.Join(t.TempDir(), "m.gguf")})
	if err != nil || !strings.Contains(strings.Join(r.Notes, "\n"), "quantised a second time, as m.gguf holds them quantised: 12 matrices as Q5_0") {
		t.Errorf("quantised a second time: %+v, %v", r, err)
	}
}
