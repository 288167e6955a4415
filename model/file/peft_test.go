package file

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
)

const peftExample = `{"peft_type":"LORA","base_model_name_or_path":"base","r":4,"lora_alpha":8,"target_modules":["q_proj"],"bias":"none","lora_dropout":0.1,"use_dora":false,"rank_pattern":{}}`

func TestAdapterConfigIsRefusedByTheKeyThatAlmaDoesNotHave(t *testing.T) {
	if c, err := ParseAdapterConfig("adapter_config.json", []byte(peftExample)); err != nil || c.rank != 4 || c.alpha != 8 || c.Base != "base" {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"use_dora":false`, `"use_dora":true`, `key "use_dora" asks for something that alma does not have (its value is true)`},
		{`"use_dora":false`, `"use_qalora":true`, `key "use_qalora"`},
		{`"use_dora":false`, `"lora_bias":true`, `key "lora_bias"`},
		{`"use_dora":false`, `"kasa_config":{"beta":0.0001}`, `key "kasa_config"`},
		{`"use_dora":false`, `"layer_replication":[[0,2],[1,2]]`, `key "layer_replication"`},
		{`"use_dora":false`, `"target_parameters":["mlp.experts.up"]`, `key "target_parameters"`},
		{`"use_dora":false`, `"alora_invocation_tokens":[1]`, `key "alora_invocation_tokens"`},
		{`"use_dora":false`, `"init_lora_weights":"pissa"`, `key "init_lora_weights" is "pissa", after which the adapter belongs to changed weights`},
		{`"use_dora":false`, `"init_lora_weights":"pissa_niter_4"`, `key "init_lora_weights" is "pissa_niter_4"`},
		{`"use_dora":false`, `"init_lora_weights":"olora"`, `path_initial_model_for_weight_conversion`},
		{`"use_dora":false`, `"init_lora_weights":"corda"`, `key "init_lora_weights"`},
		{`"use_dora":false`, `"init_lora_weights":"lora_ga"`, `key "init_lora_weights"`},
		{`"use_dora":false`, `"init_lora_weights":"loftq","loftq_config":{"loftq_bits":4}`, `key "init_lora_weights"`},
		{`"LORA"`, `"IA3"`, `peft_type is "IA3"; alma has LORA: merge it with PEFT (merge_and_unload)`},
		{`"LORA"`, `"ADALORA","target_r":8`, `peft_type is "ADALORA"; alma has LORA`},
		{`"bias":"none"`, `"bias":"some"`, `key "bias" is "some"; want none, all or lora_only`},
		{`"r":4`, `"r":0`, `key "r" is 0; want a rank of 1 to`},
		{`"rank_pattern":{}`, `"rank_pattern":{"q_proj":0}`, `key "rank_pattern" gives 0; want ranks`},
		{`"rank_pattern":{}`, `"rank_pattern":{"q_proj":"2"}`, `key "rank_pattern" is {"q_proj":"2"}; want numbers`},
		{`"rank_pattern":{}`, `"rank_pattern":{"(?<!k)_proj":2}`, `key "rank_pattern" has the expression "(?<!k)_proj", which alma cannot follow`},
		{`"rank_pattern":{}`, `"rank_pattern":{")|(":2}`, `key "rank_pattern" has the expression`},
		{`["q_proj"]`, `".*\\.(?!lm_head)[a-z_]+"`, `key "target_modules" has the expression`},
		{`["q_proj"]`, `"[[:alpha:]_]*"`, `[: within a class means other things`},
		{`["q_proj"]`, `"*.q_proj"`, `name the modules in a list`},
		{`["q_proj"]`, `".*q_proj","layers_to_transform":[0]`, `key "layers_to_transform" limits a list of target_modules, and these are ".*q_proj"`},
		{`"use_dora":false`, `"layers_to_transform":"all"`, `key "layers_to_transform" is "all"; want numbers of layers`},
		{`"use_dora":false`, `"exclude_modules":"all-linear"`, `key "exclude_modules"`},
		{`"use_dora":false`, `"trainable_token_indices":"all"`, `key "trainable_token_indices" is "all"`},
		{`["q_proj"]`, `7`, `target_modules is 7`},
		{`"use_dora":false`, `"new_thing":[1]`, `key "new_thing"`},
	} {
		_, err := ParseAdapterConfig("adapter_config.json", []byte(strings.Replace(peftExample, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) || artifact.ExitCode(err) != 4 {
			t.Errorf("%s: %v, want %s and exit code 4", c.new, err, c.want)
		}
	}
	if _, err := ParseAdapterConfig("adapter_config.json", []byte("{")); artifact.ExitCode(err) != 12 {
		t.Errorf("%v, want exit code 12", err)
	}
}

func TestAnAdapterOfALanguageModelIsNotPutOnAnotherHead(t *testing.T) {
	engine, folder := reference.New(), t.TempDir()
	lm := newModel(t, engine, tiny(model.Llama), 1)
	if err := lm.AddAdapter(model.Adapter{Rank: 2, Alpha: 4, Targets: []string{"q_proj"}}, 1); err != nil {
		t.Fatal(err)
	}
	files, err := AdapterFiles(lm, "base")
	if err != nil {
		t.Fatal(err)
	}
	if err := artifact.WriteContents(folder, files); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		c    model.Config
		code int
	}{{tiny(model.Llama), 0}, {tiny(model.Llama).WithHead(model.NoHead), 0}, {tiny(model.Llama).WithHead(model.Scalar), 4}, {tiny(model.Llama).WithHead(model.Classes, "no", "yes"), 4}} {
		_, err := MergeAdapter(newModel(t, engine, test.c, 1), folder)
		if artifact.ExitCode(err) != test.code || err != nil && !strings.Contains(err.Error(), string(test.c.Head)) {
			t.Errorf("head %q: %v, want exit code %d", test.c.Head, err, test.code)
		}
	}
}

func TestAnAdapterWithAHeadIsNotPutOnAModelWithoutIt(t *testing.T) {
	folder := t.TempDir()
	config := strings.Replace(peftExample, `"bias"`, `"task_type":"SEQ_CLS","modules_to_save":["score"],"bias"`, 1)
	if err := os.WriteFile(filepath.Join(folder, AdapterConfigFile), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, AdapterWeightsFile), content(t, func(w io.Writer) error { return artifact.WriteSafetensors(w, nil, nil) }), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := MergeAdapter(newModel(t, reference.New(), tiny(model.Llama), 1), folder)
	if artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), `of ["score"] one was trained whole`) {
		t.Errorf("%v, want exit code 4 and the module", err)
	}
}

// Which modules are adapted, and how, is what PEFT's own functions say; testdata/peft is
// made by scripts/peft_merge.py.
func TestAdapterMatchesTheModulesThatPEFTMatches(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "peft", "matches.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Base    string
		Config  json.RawMessage
		Adapted map[string][2]float64 // rank and alpha by module
	}
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	engine := reference.New()
	for _, row := range rows {
		c, err := ParseAdapterConfig("adapter_config.json", row.Config)
		if err != nil {
			t.Error(err)
			continue
		}
		m := openModel(t, engine, filepath.Join("testdata", "peft", row.Base))
		g := &merge{m: m, c: c}
		parts := g.modules()
		if head := g.tiedHead(); head != "" {
			parts = append(parts, module{name: head, head: true})
		}
		got := make(map[string][2]float64)
		for _, part := range parts {
			if c.adapts(m.Family, part.name, !part.embedding, part.head) {
				rank, scale := c.of(part.name)
				got[part.name] = [2]float64{float64(rank), scale * float64(rank)}
			}
		}
		if !maps.EqualFunc(got, row.Adapted, func(a, b [2]float64) bool { return a[0] == b[0] && math.Abs(a[1]-b[1]) < 1e-12 }) {
			t.Errorf("%s of %s:\n got %v\nPEFT %v", row.Config, row.Base, got, row.Adapted)
		}
	}
}

func openModel(t testing.TB, engine compute.Engine, folder string) *model.Model {
	t.Helper()
	m, err := Load(engine, folder)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// adapters lists the folders of testdata/peft that are adapters.
func adapters(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join("testdata", "peft", "*", AdapterConfigFile))
	if err != nil || len(list) < 20 {
		t.Fatalf("%d adapters (%v)", len(list), err)
	}
	for i := range list {
		list[i] = filepath.Dir(list[i])
	}
	return list
}

// baseOf opens the model that an adapter of testdata/peft is of.
func baseOf(t testing.TB, engine compute.Engine, folder string) *model.Model {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, AdapterConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseAdapterConfig(folder, data)
	if err != nil {
		t.Fatal(err)
	}
	return openModel(t, engine, filepath.Join("testdata", "peft", c.Base))
}

func TestMergedAdapterIsWhatPEFTMerges(t *testing.T) {
	engine := reference.New()
	for _, folder := range adapters(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			m, err := MergeAdapter(baseOf(t, engine, folder), folder)
			if err != nil {
				t.Fatal(err)
			}
			want, err := artifact.ReadSafetensors(filepath.Join(folder, "merged.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			defer want.Close()
			var names []string
			for _, p := range m.Parameters() {
				names = append(names, p.Name)
				info, _ := want.Info(p.Name)
				if !slices.Equal(info.Shape, p.Shape) {
					t.Fatalf("%s has shape %v, want %v", p.Name, p.Shape, info.Shape)
				}
				values, err := want.Float32(p.Name)
				if err != nil {
					t.Fatal(err)
				}
				got, err := compute.Values(m.Store, p.Name)
				if err != nil {
					t.Fatal(err)
				}
				for i := range got {
					if math.Abs(float64(got[i]-values[i])) > 1e-6 {
						t.Errorf("%s[%d] is %v, want %v", p.Name, i, got[i], values[i])
						break
					}
				}
			}
			if got, want := len(names), len(want.Names()); got != want {
				t.Errorf("%d parameters, want %d: %q", got, want, names)
			}
			// What was merged is a model like any other: written and opened again it is the same.
			files, err := Files(m, nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			out := t.TempDir()
			if err := artifact.WriteContents(out, files); err != nil {
				t.Fatal(err)
			}
			again := openModel(t, engine, out)
			for _, p := range m.Parameters() {
				if !compute.Same(m.Store, again.Store, p.Name) {
					t.Errorf("%s: written and read again it has other bits", p.Name)
				}
			}
		})
	}
}

// rewrite copies an adapter's folder with other tensors: change gets them by name.
func rewrite(t *testing.T, folder string, change func(map[string]artifact.Tensor)) string {
	t.Helper()
	file, err := artifact.ReadSafetensors(filepath.Join(folder, AdapterWeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tensors := make(map[string]artifact.Tensor)
	for _, info := range file.Infos() {
		values, err := file.Float32(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		tensors[info.Name] = artifact.Tensor{Name: info.Name, DType: "F32", Shape: info.Shape, Read: func() ([]float32, error) { return values, nil }}
	}
	change(tensors)
	out := t.TempDir()
	config, err := os.ReadFile(filepath.Join(folder, AdapterConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	list := slices.Collect(maps.Values(tensors))
	data := content(t, func(w io.Writer) error { return artifact.WriteSafetensors(w, list, nil) })
	for name, data := range map[string][]byte{AdapterConfigFile: config, AdapterWeightsFile: data} {
		if err := os.WriteFile(filepath.Join(out, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestAnAdapterThatIsNotWholeIsRefusedByTheTensor(t *testing.T) {
	engine := reference.New()
	zeros := func(name string, shape ...int) artifact.Tensor {
		return artifact.Tensor{Name: name, DType: "F32", Shape: shape, Read: func() ([]float32, error) { return make([]float32, compute.Shape(shape).Size()), nil }}
	}
	const q = "base_model.model.model.layers.1.self_attn.q_proj.lora_"
	for _, c := range []struct {
		adapter string
		change  func(map[string]artifact.Tensor)
		want    string
		code    int
	}{
		{"rslora", func(m map[string]artifact.Tensor) { delete(m, q+"B.weight") }, `tensor "` + q + `B.weight" is missing; adapter_config.json asks for it with shape [8 2]`, 12},
		{"rslora", func(m map[string]artifact.Tensor) { delete(m, q+"A.weight"); delete(m, q+"B.weight") }, `tensor "` + q + `A.weight" is missing`, 12},
		{"rslora", func(m map[string]artifact.Tensor) { m[q+"A.weight"] = zeros(q+"A.weight", 3, 8) }, `tensor "` + q + `A.weight" has shape [3 8], the model and adapter_config.json ask for [2 8]`, 12},
		{"rslora", func(m map[string]artifact.Tensor) {
			const name = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"
			m[name] = zeros(name, 2, 8)
		}, `up_proj.lora_A.weight" belongs to no layer that adapter_config.json adapts`, 12},
		{"rslora", func(m map[string]artifact.Tensor) {
			const name = "base_model.model.model.norm.weight"
			m[name] = zeros(name, 8)
		}, `norm.weight" belongs to no layer`, 12},
		{"whole", func(m map[string]artifact.Tensor) { delete(m, "base_model.model.lm_head.weight") }, `tensor "base_model.model.lm_head.weight" is missing`, 12},
		{"whole", func(m map[string]artifact.Tensor) { delete(m, "base_model.model.model.norm.weight") }, `tensor "base_model.model.model.norm.weight" is missing`, 12},
		{"grown", func(m map[string]artifact.Tensor) { delete(m, "base_model.model.lm_head.weight") }, `it has 13 rows for model.embed_tokens, and 11 for lm_head; save both with the adapter`, 4},
		{"rows", func(m map[string]artifact.Tensor) {
			const name = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"
			m[name] = zeros(name, 3, 8)
		}, `has shape [3 8], the model and adapter_config.json ask for [2 8]`, 12},
		{"qwen2", func(m map[string]artifact.Tensor) {
			delete(m, "base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias")
		}, `q_proj.base_layer.bias" is missing`, 12},
	} {
		folder := filepath.Join("testdata", "peft", c.adapter)
		_, err := MergeAdapter(baseOf(t, engine, folder), rewrite(t, folder, c.change))
		if err == nil || !strings.Contains(err.Error(), c.want) || artifact.ExitCode(err) != c.code {
			t.Errorf("%s: %v, exit code %d; want %s and %d", c.adapter, err, artifact.ExitCode(err), c.want, c.code)
		}
	}
}

func TestAnAdapterOfPickledWeightsIsRefusedWithTheRemedy(t *testing.T) {
	folder := t.TempDir()
	for name, data := range map[string]string{AdapterConfigFile: peftExample, "adapter_model.bin": "\x80\x02."} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	_, err := MergeAdapter(newModel(t, reference.New(), tiny(model.Llama), 1), folder)
	if artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "adapter_model.bin, which is a program; save it as adapter_model.safetensors") {
		t.Errorf("%v, want exit code 4 and the remedy", err)
	}
}

// Python's expressions differ from Go's in a few places; Python's answers are from
// re.fullmatch of Python 3.11.
func TestExpressionsMeanWhatPythonMeans(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{`a{,2}`, "aa", true}, {`a{,2}`, "a{,2}", false}, {`a{,}b`, "aaaab", true}, {`[{,2}]+`, "{,2}", true},
		{`\{,2}`, "{,2}", true}, {`a\Z`, "a", true}, {`[\]a]+`, "]a", true}, {`[]a]+`, "]a", true}, {`[^]]`, "a", true},
		{`a|b`, "ab", false}, {`(?P<x>a)(?:b|c)`, "ac", true}, {`a.c`, "abc", true}, {`\w+\.\d`, "h.0", true},
		{`a{`, "a{", true}, {`a{,b}`, "a{,b}", true},
	} {
		e, err := pythonExpression("target_modules", "^", c.pattern, "$")
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := e.MatchString(c.text); got != c.want {
			t.Errorf("%s on %q: %v, Python says %v", c.pattern, c.text, got, c.want)
		}
	}
}

// Whatever a configuration says, it is put on a model or refused.
func FuzzParseAdapterConfig(f *testing.F) {
	f.Add([]byte(peftExample))
	f.Add([]byte(`{"peft_type":"LORA","r":1,"lora_alpha":2,"target_modules":"all-linear","exclude_modules":["x"]}`))
	f.Add([]byte(`{"peft_type":"LORA","r":1,"lora_alpha":2,"use_rslora":true,"target_modules":".*\\.(q|v)_proj{,1}"}`))
	f.Add([]byte(`{"peft_type":"LORA","r":2,"lora_alpha":2,"target_modules":["h"],"layers_to_transform":[0],"layers_pattern":"h"}`))
	f.Add([]byte(`{"peft_type":"LORA","r":2,"lora_alpha":2,"rank_pattern":{"a.*":3},"alpha_pattern":{"^b|c":1.5},"modules_to_save":["[x]"],"bias":"all"}`))
	f.Add([]byte(`{"peft_type":"LORA","r":2,"lora_alpha":2,"trainable_token_indices":{"embed_tokens":[1,2]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseAdapterConfig("adapter_config.json", data)
		if err != nil {
			return
		}
		for _, name := range []string{"model.layers.0.self_attn.q_proj", "lm_head", "h.1.mlp", ""} {
			if c.adapts(model.Llama, name, true, false); c.trainsWhole(name) {
				continue
			}
			if rank, scale := c.of(name); rank < 1 || math.IsNaN(scale) {
				t.Fatalf("%s: rank %d, scale %v", name, rank, scale)
			}
		}
	})
}

// Python writes what alma reads: an expression means the same with our part around it
// as alone.
func FuzzPythonExpression(f *testing.F) {
	for _, pattern := range []string{`a{,2}`, `[]a-c]`, `(?P<n>x)|y`, `\.\d+`, `)(`, `[[:alpha:]]`, `(?i)A`, `a{2,}`} {
		f.Add(pattern, "aab")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		e, err := pythonExpression("target_modules", "^", pattern, "$")
		if err != nil || strings.Contains(pattern, "{,") || strings.Contains(pattern, `\Z`) {
			return // Go reads the last two otherwise, or not
		}
		if alone := regexp.MustCompile(pattern); e.MatchString(text) && !alone.MatchString(text) {
			t.Fatalf("%q matches %q whole, and %q has it nowhere", e, text, pattern)
		}
	})
}

// An adapter's tensors are taken or refused; a model without one has what it had.
func FuzzMergeAdapter(f *testing.F) {
	engine := reference.New()
	for _, name := range []string{"rslora", "ends", "grown", "rows", "tied-embedding"} {
		folder := filepath.Join("testdata", "peft", name)
		config, err := os.ReadFile(filepath.Join(folder, AdapterConfigFile))
		if err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(folder, AdapterWeightsFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(config, data)
	}
	base := openModel(f, engine, filepath.Join("testdata", "peft", "base-llama-tied"))
	f.Fuzz(func(t *testing.T, config, data []byte) {
		c, err := ParseAdapterConfig("adapter_config.json", config)
		if err != nil {
			return
		}
		file, err := artifact.ParseSafetensors(AdapterWeightsFile, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		m, err := base.Clone()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := newMerge(m, c, "adapter_config.json", file).run(); err == nil {
			if err := out.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
