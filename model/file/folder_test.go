package file

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
)

// save writes a model folder with tensors changed.
func save(t testing.TB, m *model.Model, change func(tensors []artifact.Tensor) []artifact.Tensor) string {
	t.Helper()
	folder := t.TempDir()
	files, err := Files(m, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		weights := content(t, files[WeightsFile])
		file, err := artifact.ParseSafetensors("w", bytes.NewReader(weights), int64(len(weights)))
		if err != nil {
			t.Fatal(err)
		}
		var tensors []artifact.Tensor
		for _, name := range file.Names() {
			info, _ := file.Info(name)
			data, err := file.Float32(name)
			if err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, artifact.Tensor{Name: name, Shape: info.Shape, Data: data})
		}
		files[WeightsFile] = func(w io.Writer) error { return artifact.WriteSafetensors(w, change(tensors), nil) }
	}
	if err := artifact.WriteContents(folder, files); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestModelFolderComesBackWithTheSameWeights(t *testing.T) {
	engine := reference.New()
	for name, c := range variants() {
		m := newModel(t, engine, c, 7)
		got, err := Load(engine, save(t, m, nil))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got.Config, c) || !bytes.Equal(weights(t, got), weights(t, m)) {
			t.Errorf("%s came back different", name)
		}
	}
}

func TestLoadNamesTheTensorThatDoesNotFit(t *testing.T) {
	engine := reference.New()
	name := "model.layers.1.mlp.up_proj.weight"
	find := func(tensors []artifact.Tensor) int {
		return slices.IndexFunc(tensors, func(x artifact.Tensor) bool { return x.Name == name })
	}
	for _, test := range []struct {
		what   string
		change func([]artifact.Tensor) []artifact.Tensor
		want   []string
	}{
		{"missing", func(x []artifact.Tensor) []artifact.Tensor { i := find(x); return slices.Delete(x, i, i+1) }, []string{name, "missing", "[24 16]"}},
		{"misshapen", func(x []artifact.Tensor) []artifact.Tensor { x[find(x)].Shape = []int{16, 24}; return x }, []string{name, "[16 24]", "[24 16]"}},
		{"of another type", func(x []artifact.Tensor) []artifact.Tensor {
			x[find(x)] = artifact.Int32Tensor(name, []int{24, 16}, make([]int32, 24*16))
			return x
		}, []string{name, "I32", "F16"}},
		{"extra", func(x []artifact.Tensor) []artifact.Tensor {
			return append(x, artifact.Tensor{Name: "model.layers.2.extra", Shape: []int{1}, Data: []float32{1}})
		}, []string{"model.layers.2.extra", "not a parameter"}},
	} {
		folder := save(t, newModel(t, engine, tiny(model.Llama), 1), test.change)
		_, err := Load(engine, folder)
		if artifact.ExitCode(err) != 12 {
			t.Errorf("%s: exit code %d of %v, want 12", test.what, artifact.ExitCode(err), err)
			continue
		}
		for _, want := range append(test.want, filepath.Join(folder, "model.safetensors")) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not name %q", test.what, err, want)
			}
		}
	}
}

func TestConfigJSONThatAsksForFarMoreThanTheFileHoldsAllocatesNothing(t *testing.T) {
	m := newModel(t, reference.New(), tiny(model.Llama), 1)
	folder := save(t, m, nil)
	for _, keys := range []map[string]any{{"num_hidden_layers": model.MaxLayers}, {"hidden_size": 1 << 24, "vocab_size": 1 << 24}} {
		if err := os.WriteFile(filepath.Join(folder, "config.json"), edited(t, tiny(model.Llama), keys), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(reference.New(), folder); artifact.ExitCode(err) != 12 {
			t.Errorf("%v: %v, want exit code 12", keys, err)
		}
	}
}

func TestAnAdaptersFolderIsNoModelAndTheRemedyIsNamed(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, AdapterConfigFile), []byte(peftExample), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(reference.New(), folder); artifact.ExitCode(err) != 10 || !strings.Contains(err.Error(), "alma merge") {
		t.Errorf("%v, want exit code 10 and alma merge", err)
	}
}

func TestLoadOfAFolderWithoutAModelIsNotFound(t *testing.T) {
	folder := save(t, newModel(t, reference.New(), tiny(model.GPT2), 1), nil)
	for _, name := range []string{"model.safetensors", "config.json"} {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(reference.New(), folder); artifact.ExitCode(err) != 10 || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v, want exit code 10", name, err)
		}
	}
}

func TestLoadReadsWhatGPT2WasPublishedAs(t *testing.T) {
	m := newModel(t, reference.New(), tiny(model.GPT2), 3)
	folder := save(t, m, func(tensors []artifact.Tensor) []artifact.Tensor {
		for i := range tensors {
			tensors[i].Name = strings.TrimPrefix(tensors[i].Name, "transformer.")
		}
		return append(tensors,
			artifact.Tensor{Name: "h.0.attn.bias", Shape: []int{1, 1, 2, 2}, Data: []float32{1, 0, 1, 1}},
			artifact.Tensor{Name: "h.0.attn.masked_bias", Shape: []int{1}, Data: []float32{-1e4}},
			artifact.Tensor{Name: "lm_head.weight", Shape: []int{23, 16}, Data: read(t, m, "transformer.wte.weight")})
	})
	got, err := Load(reference.New(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(weights(t, got), weights(t, m)) {
		t.Error("the weights came back different")
	}
}

func TestRewardModelWithoutABiasHasTheBiasZero(t *testing.T) {
	c := tiny(model.Llama)
	c.Head = model.Scalar
	m := newModel(t, reference.New(), c, 3)
	if err := m.Store.Write(model.ScoreBias, []float32{5}); err != nil {
		t.Fatal(err)
	}
	folder := save(t, m, func(x []artifact.Tensor) []artifact.Tensor {
		return slices.DeleteFunc(x, func(t artifact.Tensor) bool { return t.Name == model.ScoreBias })
	})
	got, err := Load(reference.New(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if bias := read(t, got, model.ScoreBias); bias[0] != 0 {
		t.Errorf("bias %v, want 0", bias)
	}
}

func TestWeightsThatAreNotFiniteAreNotSaved(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		m := newModel(t, reference.New(), tiny(model.Llama), 3)
		if err := m.Store.Write("model.norm.weight", slices.Repeat([]float32{bad}, 16)); err != nil {
			t.Fatal(err)
		}
		files, err := Files(m, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := files[WeightsFile](io.Discard); artifact.ExitCode(err) != 20 || !strings.Contains(err.Error(), "model.norm.weight") {
			t.Errorf("with %v: %v, want exit code 20 and the parameter's name", bad, err)
		}
	}
}

func TestWeightsAreWrittenInTheTypeThatIsAskedFor(t *testing.T) {
	engine := reference.New()
	m := newModel(t, engine, tiny(model.Llama), 3)
	for dtype, round := range map[string]func(float32) float32{
		"F32":  func(v float32) float32 { return v },
		"F16":  func(v float32) float32 { return artifact.Float16ToFloat32(artifact.Float32ToFloat16(v)) },
		"BF16": func(v float32) float32 { return artifact.BFloat16ToFloat32(artifact.Float32ToBFloat16(v)) },
	} {
		folder := t.TempDir()
		var b bytes.Buffer
		if err := WriteWeights(&b, m, dtype); err != nil {
			t.Fatal(err)
		}
		config, err := MarshalConfig(m.Config, dtype)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"model.safetensors": b.Bytes(), "config.json": config} {
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Load(engine, folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Parameters() {
			values := read(t, got, p.Name)
			for i, v := range read(t, m, p.Name) {
				if values[i] != round(v) {
					t.Fatalf("%s: %s[%d] is %v, want %v", dtype, p.Name, i, values[i], round(v))
				}
			}
		}
	}
	norm := read(t, m, "model.norm.weight")
	norm[3] = 1e5
	if err := m.Store.Write("model.norm.weight", norm); err != nil {
		t.Fatal(err)
	}
	if err := WriteWeights(&bytes.Buffer{}, m, "BF16"); err != nil {
		t.Error(err)
	}
	for dtype, want := range map[string]string{"F16": "model.norm.weight", "F64": "F64"} {
		if err := WriteWeights(&bytes.Buffer{}, m, dtype); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v", dtype, err)
		}
	}
}

func TestBodiesArePublishedWithoutTheirPrefix(t *testing.T) {
	engine := reference.New()
	for _, family := range model.Families {
		m := newModel(t, engine, tiny(family).WithHead(model.NoHead), 4)
		prefix := map[model.Family]string{model.GPT2: "transformer.", model.BERT: "bert."}[family]
		if prefix == "" {
			prefix = "model."
		}
		bare := save(t, m, func(tensors []artifact.Tensor) []artifact.Tensor {
			for _, x := range tensors {
				if strings.HasPrefix(x.Name, prefix) {
					t.Errorf("%s: a body's tensor is written as %q", family, x.Name)
				}
			}
			return tensors
		})
		full := save(t, m, func(tensors []artifact.Tensor) []artifact.Tensor {
			for i := range tensors {
				tensors[i].Name = prefix + tensors[i].Name
			}
			return tensors
		})
		for _, folder := range []string{bare, full} {
			got, err := Load(engine, folder)
			if err != nil {
				t.Errorf("%s: %v", family, err)
				continue
			}
			if !reflect.DeepEqual(got.Config, m.Config) || !bytes.Equal(weights(t, got), weights(t, m)) {
				t.Errorf("%s: a body came back different", family)
			}
		}
	}
}

// The first BERTs come with other names of norms, tensors that are no
// parameters, and the two heads that they were trained with.
func TestBERTsOldCheckpointsOpen(t *testing.T) {
	engine := reference.New()
	m := newModel(t, engine, tiny(model.BERT), 4)
	got, err := Load(engine, save(t, m, func(tensors []artifact.Tensor) []artifact.Tensor {
		for i := range tensors {
			name := strings.Replace(tensors[i].Name, "LayerNorm.weight", "LayerNorm.gamma", 1)
			tensors[i].Name = strings.Replace(name, "LayerNorm.bias", "LayerNorm.beta", 1)
		}
		return append(tensors,
			artifact.Tensor{Name: "bert.embeddings.position_ids", DType: "I64", Shape: []int{1, 2}, Raw: []byte{8: 1, 15: 0}},
			artifact.Tensor{Name: "bert.pooler.dense.weight", Shape: []int{16, 16}, Data: make([]float32, 256)},
			artifact.Tensor{Name: "bert.pooler.dense.bias", Shape: []int{16}, Data: make([]float32, 16)},
			artifact.Tensor{Name: "cls.predictions.decoder.weight", Shape: []int{23, 16}, Data: read(t, m, m.EmbeddingName())},
			artifact.Tensor{Name: "cls.seq_relationship.bias", Shape: []int{2}, Data: make([]float32, 2)})
	}))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Pooler {
		t.Error("the pooler was left out")
	}
	for _, p := range m.Parameters() {
		if !slices.Equal(read(t, got, p.Name), read(t, m, p.Name)) {
			t.Errorf("%s came back different", p.Name)
		}
	}
}

// A head that config.json ties to the embedding, and that holds other numbers, was
// trained by itself.
func TestAHeadThatDiffersFromItsEmbeddingIsKeptAndSaid(t *testing.T) {
	engine := reference.New()
	var told []string
	OnNote(func(line string) { told = append(told, line) })
	defer OnNote(nil)
	for family, name := range map[model.Family]string{model.Llama: "lm_head.weight", model.GPT2: "lm_head.weight", model.BERT: "cls.predictions.decoder.weight"} {
		c := tiny(family)
		c.Tied = true
		m := newModel(t, engine, c, 4)
		head := read(t, m, m.EmbeddingName())
		for _, differs := range []bool{false, true} {
			told = nil
			if differs {
				head[3]++
			}
			got, err := Load(engine, save(t, m, func(tensors []artifact.Tensor) []artifact.Tensor {
				return append(tensors, artifact.Tensor{Name: name, Shape: []int{c.Vocabulary, c.Width}, Data: head})
			}))
			if err != nil {
				t.Fatalf("%s: %v", family, err)
			}
			if got.Tied == differs || !slices.Equal(read(t, got, got.HeadName()), head) || len(told) > 0 != differs {
				t.Errorf("%s: tied %v, told %q, want a head of its own: %v", family, got.Tied, told, differs)
			}
			if differs && !strings.Contains(told[0], name) {
				t.Errorf("%s: told %q", family, told)
			}
		}
	}
}
