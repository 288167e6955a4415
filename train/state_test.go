package train

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
)

// exactState is a state whose numbers are fractions that every machine has.
func exactState(t testing.TB, engine compute.Engine, family model.Family, adapter *model.Adapter) *ModelState {
	t.Helper()
	m := newModel(t, engine, family, true)
	if adapter != nil {
		if err := m.AddAdapter(*adapter, 1); err != nil {
			t.Fatal(err)
		}
	}
	o := newOptimizer(t, m, AdamW{})
	for _, name := range m.Store.Names() {
		shape, _ := m.Store.Shape(name)
		data := make([]float32, shape.Size())
		for i := range data {
			data[i] = float32((i+7*len(name))%97-48) / 32
		}
		if err := m.Store.Write(name, data); err != nil {
			t.Fatal(err)
		}
	}
	o.steps = 3
	return &ModelState{Prefix: "p-", Base: "base", Model: m, Optimizer: o, Extra: map[string][]byte{"tokenizer.json": []byte("{}")}, Ends: []int32{2}}
}

// The sums are those of files that were made in memory as a whole, before they
// were written piece by piece.
func TestWeightsAndMomentsHaveTheBytesThatTheyHad(t *testing.T) {
	for _, test := range []struct {
		family  model.Family
		adapter *model.Adapter
		want    map[string]string
	}{
		{model.Llama, nil, map[string]string{
			"p-model.safetensors":     "ca9dbd69d3b9bd9f93b3387236347858ebdd12754006c64d9d133c846e44671d",
			"p-optimizer.safetensors": "325e97daafcb2ddc8f9064c5f5eae904da97098b4de699e5bd3016af7de9f03a",
		}},
		{model.GPT2, nil, map[string]string{
			"p-model.safetensors":     "dc0d96a5d7af534c858ae9e7cd6ca8efa02da94cd8096b3ae4c8433601195621",
			"p-optimizer.safetensors": "d4c189aa852036215bb283dbedfcd975d0b5b5dcbae4e22d4c048a1e8bd9216d",
		}},
		{model.Qwen3, &model.Adapter{Rank: 2, Alpha: 4, Targets: []string{model.AllLinear}}, map[string]string{
			"p-adapter_model.safetensors": "84b745d8f676f729c9159b11118c99a4d740b8f123f7e69ba1653bc832e29ec5",
			"p-optimizer.safetensors":     "5c7acf462d773d4b57fe11ce6eaeab2b9c6641020fce46f7a79b3e9295b098b2",
		}},
	} {
		for _, engine := range []compute.Engine{reference.New(), newEngine(t, 1)} {
			files, err := exactState(t, engine, test.family, test.adapter).Save()
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range test.want {
				hash := sha256.New()
				if err := files[name](hash); err != nil {
					t.Fatal(err)
				}
				if got := hex.EncodeToString(hash.Sum(nil)); got != want {
					t.Errorf("%s on %s: %s has SHA-256 %s, want %s", test.family, engine.Name(), name, got, want)
				}
			}
		}
	}
}

// checkpoint writes the state as a checkpoint and opens it.
func (s *ModelState) checkpoint(t testing.TB, folder string) *artifact.Checkpoint {
	t.Helper()
	files, err := s.Save()
	if err != nil {
		t.Fatal(err)
	}
	if err := artifact.WriteCheckpoint(folder, 1, files, 2); err != nil {
		t.Fatal(err)
	}
	c, _, err := artifact.LatestCheckpoint(folder)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestModelStateComesBackFromACheckpoint(t *testing.T) {
	for _, adapter := range []*model.Adapter{nil, {Rank: 2, Alpha: 4, Targets: []string{model.AllLinear}}} {
		for _, engine := range []compute.Engine{reference.New(), newEngine(t, 1)} {
			want := exactState(t, engine, model.Llama, adapter)
			c := want.checkpoint(t, t.TempDir())
			got := exactState(t, engine, model.Llama, adapter)
			got.Optimizer.steps = 0
			for _, p := range got.Model.Trained() {
				for _, name := range []string{p.Name, momentName(1, p.Name), momentName(2, p.Name)} {
					if err := got.Model.Store.Write(name, make([]float32, compute.Shape(p.Shape).Size())); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := got.Load(c); err != nil {
				t.Fatal(err)
			}
			if got.Optimizer.steps != 3 {
				t.Errorf("%d updates were made, want 3", got.Optimizer.steps)
			}
			for _, p := range got.Model.Trained() {
				for _, name := range []string{p.Name, momentName(1, p.Name), momentName(2, p.Name)} {
					if !slices.Equal(readStore(t, got.Model, name), readStore(t, want.Model, name)) {
						t.Errorf("%s on %s came back changed", name, engine.Name())
					}
				}
				for _, v := range readStore(t, got.Model, gradientName(p.Name, 0)) {
					if v != 0 {
						t.Fatalf("the gradient of %s is not cleared", p.Name)
					}
				}
			}
		}
	}
}

func TestModelStateOfAnotherModelIsRefused(t *testing.T) {
	s := exactState(t, newEngine(t, 1), model.Llama, nil)
	c := s.checkpoint(t, t.TempDir())
	config := s.Model.Config
	config.FeedForward = 12
	other, err := model.New(s.Model.Engine, config, 1)
	if err != nil {
		t.Fatal(err)
	}
	err = (&ModelState{Prefix: "p-", Model: other, Optimizer: newOptimizer(t, other, AdamW{})}).Load(c)
	if artifact.ExitCode(err) != 12 || !strings.Contains(err.Error(), "p-model.safetensors") || !strings.Contains(err.Error(), "mlp.down_proj") {
		t.Errorf("%v, want exit code 12 with file and tensor", err)
	}
}

// A file that changes after the checkpoint was verified is noticed while it is
// read, wherever the change lies.
func TestModelStateOfAFileThatChangesIsRefused(t *testing.T) {
	s := exactState(t, newEngine(t, 1), model.Llama, nil)
	for _, name := range []string{"p-model.safetensors", "p-optimizer.safetensors"} {
		c := s.checkpoint(t, t.TempDir())
		whole, err := os.ReadFile(c.File(name))
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(whole); at += 499 {
			changed := slices.Clone(whole)
			changed[at] ^= 1
			if err := os.WriteFile(c.File(name), changed, 0o666); err != nil {
				t.Fatal(err)
			}
			if err := s.Load(c); artifact.ExitCode(err) != 12 || !strings.Contains(err.Error(), name+": checksum differs") {
				t.Fatalf("byte %d of %s: %v, want exit code 12 and the file", at, name, err)
			}
		}
	}
}

// Of a model in main memory nothing is copied as a whole: what saving allocates
// is a small part of the model, and loading one array of it.
func TestSavingAndLoadingTakeLittleMemory(t *testing.T) {
	c := model.Config{
		Family: model.Llama, Head: model.LanguageModel, Vocabulary: 4096, Context: testContext, Width: 128, Layers: 8, Heads: 2, KVHeads: 2, HeadDim: 64,
		FeedForward: 512, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .1, BOS: -1, EOS: -1, Pad: -1,
	}
	m, err := model.New(newEngine(t, 1), c.Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	s := &ModelState{Model: m, Optimizer: newOptimizer(t, m, AdamW{})}
	folder := t.TempDir()
	s.checkpoint(t, folder) // makes the arrays that lie nowhere yet
	size, largest := uint64(0), uint64(0)
	for _, p := range m.Parameters() {
		bytes := 4 * uint64(compute.Shape(p.Shape).Size())
		size, largest = size+3*bytes, max(largest, bytes)
	}
	var checkpoint *artifact.Checkpoint
	for _, part := range []struct {
		name string
		most uint64
		do   func()
	}{
		{"saving", size / 4, func() { checkpoint = s.checkpoint(t, folder) }},
		{"loading", size/8 + 2*largest, func() {
			if err := s.Load(checkpoint); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		part.do()
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > part.most {
			t.Errorf("%s weights and moments of %d bytes allocates %d, want at most %d", part.name, size, got, part.most)
		}
	}
}
