package ppo

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
)

func TestPPO26CriticMayStartAsALanguageModel(t *testing.T) {
	w := newWorkshop(t)
	w.inputs.Critic = w.inputs.Policy
	if _, err := w.run(t.Context(), w.config(), filepath.Join(t.TempDir(), "out"), 0); err != nil {
		t.Fatal(err)
	}
}

func TestPPO26CriticStartsAsTheRewardModel(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	c.Iterations = 1
	out := filepath.Join(t.TempDir(), "out")
	if err := artifact.ArmFailpoint("train.after_checkpoint:1:error"); err != nil {
		t.Fatal(err)
	}
	_, err := w.run(t.Context(), c, out, 1)
	if disarm := artifact.ArmFailpoint(""); disarm != nil {
		t.Fatal(disarm)
	}
	if !errors.Is(err, artifact.ErrFailpoint) {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(out, train.CheckpointFolder, artifact.CheckpointName(1), "rollout.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r iteration
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	m, err := file.Load(w.engine, w.inputs.Critic)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range r.Sequences {
		text := append(slices.Clone(s.Prompt), s.Response...)
		p := compute.NewProgram("scores")
		p.Output("scores", m.Score(p, m.Hidden(p, m.NewBatch(p, 1, len(text)))))
		x, err := m.Engine.Compile(p, m.Store)
		if err != nil {
			t.Fatal(err)
		}
		copy(x.Ints("tokens"), text)
		for j := range text {
			x.Ints("positions")[j] = int32(j)
		}
		if err := x.Run(); err != nil {
			t.Fatal(err)
		}
		for at, got := range s.OldValues {
			// The value of a token is read where it is about to be written.
			if want := x.Floats("scores")[len(s.Prompt)+at-1]; math.Abs(float64(got-want)) > 1e-5 {
				t.Errorf("response %d, token %d: the critic's value is %v, the reward model's %v", i, at, got, want)
			}
		}
	}
}
