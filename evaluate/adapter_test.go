package evaluate

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
)

// adapterModels are the folders of testdata/peft, adapters of the models of the
// same names in testdata/interop:
//
//	adapter.py make testdata/interop/gpt2 testdata/peft/gpt2 c_attn,c_proj
//	adapter.py make testdata/interop/llama testdata/peft/llama q_proj,v_proj,down_proj
//	adapter.py make testdata/interop/llama-reward testdata/peft/llama-reward o_proj,gate_proj
var adapterModels = []string{"gpt2", "llama", "llama-reward"}

// madeAdapters are what those folders' adapter_config.json say.
var madeAdapters = map[string]model.Adapter{
	"gpt2":         {Rank: 3, Alpha: 5, Targets: []string{"c_attn", "c_proj"}},
	"llama":        {Rank: 3, Alpha: 5, Targets: []string{"q_proj", "v_proj", "down_proj"}},
	"llama-reward": {Rank: 3, Alpha: 5, Targets: []string{"o_proj", "gate_proj"}},
}

// carry puts an adapter on a model, with the arrays of a folder.
func carry(t *testing.T, m *model.Model, a model.Adapter, folder string) {
	t.Helper()
	if err := m.AddAdapter(a, 0); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(folder, file.AdapterWeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.ReadAdapter(m, folder, bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

func openBase(t *testing.T, engine compute.Engine, name string) *model.Model {
	t.Helper()
	m, err := file.Load(engine, filepath.Join("testdata", "interop", name))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// adapted returns the logits [T, V] of the probe's tokens, or the score of the
// last one [1], and the gradients by the trained arrays.
func adapted(t *testing.T, m *model.Model) (logits []float32, gradients map[string][]float32) {
	t.Helper()
	ids := interopProbe.IDs
	p := compute.NewProgram("adapter")
	hidden := m.Hidden(p, m.NewBatch(p, 1, len(ids)))
	if m.Head == model.Scalar {
		scores := m.Score(p, hidden)
		p.Output("logits", compute.Slice(scores, 0, len(ids)-1, len(ids)))
	} else {
		p.Output("logits", m.Logits(p, hidden))
		losses := compute.LinearCrossEntropy(hidden, m.HeadWeight(p), p.Input("targets", compute.Int32, 1, len(ids)), true)
		if err := train.Backward(p, m, compute.Scale(compute.Sum(losses), 1/float32(len(ids)-1))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range m.Store.Names() { // what an earlier pass accumulated
		if shape, _ := m.Store.Shape(name); strings.HasPrefix(name, "grad/") {
			if err := m.Store.Write(name, make([]float32, shape.Size())); err != nil {
				t.Fatal(err)
			}
		}
	}
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		t.Fatal(err)
	}
	copy(x.Ints("tokens"), ids)
	for i := range ids {
		x.Ints("positions")[i] = int32(i)
	}
	if m.Head != model.Scalar {
		copy(x.Ints("targets"), ids[1:])
		x.Ints("targets")[len(ids)-1] = compute.IgnoreTarget
	}
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	gradients = make(map[string][]float32)
	if m.Head != model.Scalar {
		for _, p := range m.Trained() {
			if gradients[p.Name], err = train.Gradient(m, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	return slices.Clone(x.Floats("logits")), gradients
}

// comparePEFT compares a model that carries the adapter of a folder with what
// PEFT computed of it.
func comparePEFT(t *testing.T, m *model.Model, folder string) {
	t.Helper()
	want, err := artifact.ReadSafetensors(filepath.Join(folder, "peft.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	logits, gradients := adapted(t, m)
	values, err := want.Float32("logits")
	if err != nil {
		t.Fatal(err)
	}
	if d := relative(logits, values); !(d < 1e-5) {
		t.Errorf("logits differ from PEFT's by %.2g", d)
	}
	for name, got := range gradients {
		values, err := want.Float32("gradient/base_model.model." + name)
		if err != nil {
			t.Fatal(err)
		}
		if d := relative(got, values); !(d < 1e-4) {
			t.Errorf("gradient of %s differs from PEFT's by %.2g", name, d)
		}
	}
}

func TestAdapterOfPEFTGivesItsLogitsAndGradients(t *testing.T) {
	engine := cpu.New(cpu.Options{Threads: 1})
	defer engine.Close()
	for _, name := range adapterModels {
		t.Run(name, func(t *testing.T) {
			m := openBase(t, engine, name)
			before, _ := adapted(t, m)
			folder := filepath.Join("testdata", "peft", name)
			carry(t, m, madeAdapters[name], folder)
			comparePEFT(t, m, folder)
			with, _ := adapted(t, m)
			if d := relative(with, before); d < 1e-2 {
				t.Fatalf("the adapter changes the logits by %.2g only, which shows nothing", d)
			}
			if without, _ := adapted(t, m.WithoutAdapter()); relative(without, before) != 0 {
				t.Error("without the adapter the model computes something else than before")
			}
			if err := m.MergeAdapter(); err != nil {
				t.Fatal(err)
			}
			if merged, _ := adapted(t, m); relative(merged, with) > 1e-5 {
				t.Errorf("merged, the logits differ by %.2g", relative(merged, with))
			}
			door, err := file.MergeAdapter(openBase(t, engine, name), folder)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range m.Parameters() {
				if !compute.Same(m.Store, door.Store, p.Name) {
					t.Errorf("%s: merged from the folder it has other bits", p.Name)
				}
			}
		})
	}
}

// PEFT opens what alma writes where ALMA_INTEROP_PYTHON names a Python that has
// it; without it the files are read back by alma.
func TestInteropPEFTOpensWhatAlmaWrites(t *testing.T) {
	python := os.Getenv("ALMA_INTEROP_PYTHON")
	engine := cpu.New(cpu.Options{Threads: 1})
	defer engine.Close()
	targets := map[string][]string{"gpt2": {model.AllLinear}, "llama": {"k_proj", "o_proj", "up_proj"}, "llama-reward": {"q_proj"}}
	for _, name := range adapterModels {
		t.Run(name, func(t *testing.T) {
			m := openBase(t, engine, name)
			if err := m.AddAdapter(model.Adapter{Rank: 2, Alpha: 3, Targets: targets[name]}, 7); err != nil {
				t.Fatal(err)
			}
			for _, p := range m.AdapterParameters() { // B is not zero once it is trained
				data := make([]float32, compute.Shape(p.Shape).Size())
				for i := range data {
					data[i] = float32(.2 * compute.Normal(1, compute.Stream(p.Name), uint64(i)))
				}
				if err := m.Store.Write(p.Name, data); err != nil {
					t.Fatal(err)
				}
			}
			base, folder := filepath.Join("testdata", "interop", name), t.TempDir()
			files, err := file.AdapterFiles(m, base)
			if err != nil {
				t.Fatal(err)
			}
			if err := artifact.WriteContents(folder, files); err != nil {
				t.Fatal(err)
			}
			again := openBase(t, engine, name)
			carry(t, again, *m.Adapter, folder)
			want, _ := adapted(t, m)
			if got, _ := adapted(t, again); relative(got, want) != 0 {
				t.Error("an adapter that was written and read computes something else")
			}
			if python == "" {
				return
			}
			var out bytes.Buffer
			cmd := exec.Command(python, filepath.Join("..", "scripts", "adapter.py"), "open", base, folder)
			cmd.Stdout, cmd.Stderr = &out, &out
			cmd.Env = append(os.Environ(), "TRANSFORMERS_VERBOSITY=error", "HF_HUB_DISABLE_PROGRESS_BARS=1", "PYTHONWARNINGS=ignore")
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			t.Log(lines[len(lines)-1])
			comparePEFT(t, m, folder)
		})
	}
}
