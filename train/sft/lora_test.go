package sft

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
)

func read(t *testing.T, m *model.Model, p model.Parameter) []float32 {
	t.Helper()
	data := make([]float32, compute.Shape(p.Shape).Size())
	if err := m.Store.Read(p.Name, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// The model of the stage is the base with the adapter merged, and the adapter
// alone is beside it, in PEFT's layout.
func TestAdapterIsTrainedAndTheBodyStays(t *testing.T) {
	s := newSchool(t)
	c := tinySFT()
	c.LoRAConfig = train.LoRAConfig{Rank: 2, Alpha: 8, Targets: "q_proj, down_proj"}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := s.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	lines := readMetrics(t, out)
	first, _ := lines[0].Value("validation/loss")
	last, _ := lines[len(lines)-1].Value("validation/loss")
	if !(last < .95*first) {
		t.Errorf("the held-out loss went from %v to %v; an adapter of rank 2 should learn this", first, last)
	}
	load := func(folder string) *model.Model {
		m, err := file.Load(s.engine, folder)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	base, merged, again := load(s.inputs.Base), load(out), load(s.inputs.Base)
	again, err := file.MergeAdapter(again, filepath.Join(out, train.AdapterFolder))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range base.Parameters() {
		adapted := slices.Contains([]string{"model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.down_proj.weight"}, p.Name)
		if same := slices.Equal(read(t, base, p), read(t, merged, p)); same == adapted {
			t.Errorf("%s: adapted %v, kept its bits %v", p.Name, adapted, same)
		}
		if !slices.Equal(read(t, again, p), read(t, merged, p)) {
			t.Errorf("%s: the base with the adapter merged is not the stage's model", p.Name)
		}
	}
	// A checkpoint has what is trained and no body.
	checkpoint := filepath.Join(out, train.CheckpointFolder)
	folders, err := os.ReadDir(checkpoint)
	if err != nil || len(folders) == 0 {
		t.Fatalf("no checkpoint (%v)", err)
	}
	newest := filepath.Join(checkpoint, folders[len(folders)-1].Name())
	if _, err := os.Stat(filepath.Join(newest, file.AdapterWeightsFile)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(newest, "model.safetensors")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checkpoint holds the whole model (%v)", err)
	}
}

func TestResumedAdapterEndsWithTheBitsOfAStraightRun(t *testing.T) {
	s := newSchool(t)
	c := tinySFT()
	c.Rank = 2
	straight := filepath.Join(t.TempDir(), "straight")
	if _, err := s.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	for _, stop := range []string{"1", "4", "7"} {
		out := filepath.Join(t.TempDir(), "out")
		if err := artifact.ArmFailpoint("train.after_step:" + stop + ":error"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.run(t.Context(), c, out, 2); !errors.Is(err, artifact.ErrFailpoint) {
			t.Fatalf("%v, want the failpoint", err)
		}
		if err := artifact.ArmFailpoint(""); err != nil {
			t.Fatal(err)
		}
		if _, err := s.run(t.Context(), c, out, 2); err != nil {
			t.Fatal(err)
		}
		if weightsOf(t, out) != weightsOf(t, straight) {
			t.Errorf("stopped after step %s: other weights at the end", stop)
		}
	}
}

func TestAdapterOfUnknownLayersIsRefused(t *testing.T) {
	s := newSchool(t)
	c := tinySFT()
	c.Rank, c.Targets = 2, "q_proj,c_attn"
	_, err := s.run(t.Context(), c, filepath.Join(t.TempDir(), "out"), 0)
	const want = `configuring adapter: target "c_attn" is no linear layer of the llama model; it has q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj`
	if err == nil || err.Error() != want || artifact.ExitCode(err) != 4 {
		t.Errorf("%v, exit %d, want %s", err, artifact.ExitCode(err), want)
	}
}
