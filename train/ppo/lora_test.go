package ppo

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
)

// With adapters the policy and its reference are one body, which stays as it is.
func TestPolicyAndReferenceShareTheBodyUnderAnAdapter(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	c.LoRAConfig = train.LoRAConfig{Rank: 2, Alpha: 8, Targets: model.AllLinear}
	policy, err := file.Load(w.engine, w.inputs.Policy)
	if err != nil {
		t.Fatal(err)
	}
	critic, err := file.Load(w.engine, w.inputs.Critic)
	if err != nil {
		t.Fatal(err)
	}
	reference, err := c.addAdapters(policy, critic)
	if err != nil {
		t.Fatal(err)
	}
	if reference.Store != policy.Store || reference.Adapter != nil || policy.Adapter == nil || critic.Adapter == nil {
		t.Error("the reference is not the policy's body without its adapter")
	}
	straight := filepath.Join(t.TempDir(), "straight")
	if _, err := w.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	lines, err := train.ReadMetrics(filepath.Join(straight, train.MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	kl := 0.0 // of the last rollout
	for _, line := range lines {
		if v, ok := line.Value("objective/kl"); ok {
			kl = v
		}
	}
	if kl == 0 {
		t.Error("the adapter moved nothing: the KL from the reference is 0")
	}
	for _, stop := range []string{"1", "5", "8"} {
		out := filepath.Join(t.TempDir(), "out")
		if err := artifact.ArmFailpoint("train.after_step:" + stop + ":error"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.run(t.Context(), c, out, 2); !errors.Is(err, artifact.ErrFailpoint) {
			t.Fatalf("%v, want the failpoint", err)
		}
		if err := artifact.ArmFailpoint(""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.run(t.Context(), c, out, 2); err != nil {
			t.Fatal(err)
		}
		if weightsOf(t, out) != weightsOf(t, straight) {
			t.Errorf("stopped after step %s: other weights at the end", stop)
		}
	}
}
