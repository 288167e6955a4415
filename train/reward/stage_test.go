package reward

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

func TestARewardModelLearnsAVisibleRule(t *testing.T) {
	w := newWorkplace(t, 500)
	c := small()
	c.BatchPrompts, c.MicroRows = 8, 8
	engine := newCPU(t, 2)
	untrained := c
	untrained.LR = 1e-30
	before, _ := runIn(t, engine, untrained, w, "untrained")
	if got := before.Metrics["validation/accuracy"]; got > .6 {
		t.Fatalf("accuracy on held-out rankings %.3f without training: nothing to learn", got)
	}
	manifest, out := runIn(t, engine, c, w, "out")
	if got := manifest.Metrics["validation/accuracy"]; !(got >= .9) {
		t.Errorf("accuracy on held-out rankings %.3f, want at least .9", got)
	}
	if manifest.Kind != "reward" || manifest.Extra["annotators"] != "simulated annotator" {
		t.Errorf("kind %q, annotators %q", manifest.Kind, manifest.Extra["annotators"])
	}
	if _, err := artifact.Open(out, true); err != nil {
		t.Error(err)
	}

	var v Validation
	data, err := os.ReadFile(filepath.Join(out, ValidationFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	// TestReward15: what is reported.
	if v.Accuracy != manifest.Metrics["validation/accuracy"] || v.NLL != manifest.Metrics["validation/nll"] || v.ECE != manifest.Metrics["validation/ece"] || len(v.Reliability) != reliabilityBins {
		t.Errorf("%s says %+v, the manifest %v", ValidationFile, v, manifest.Metrics)
	}

	// TestReward13, on the model as it lies in the folder.
	m, tok, err := train.LoadModel(engine, out)
	if err != nil {
		t.Fatal(err)
	}
	texts, _, err := loadDemonstrations(newTemplate(t, tok), w.inputs.Demonstrations, c, 48)
	if err != nil {
		t.Fatal(err)
	}
	rewards, err := newScorer(t, m, 3, 64).Scores(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	if got := mean(rewards); len(rewards) != 30 || math.Abs(got) > 1e-3 {
		t.Errorf("mean reward of %d demonstrations %g, want 0 within 1e-3", len(rewards), got)
	}
}

func TestBadInputsAreRefusedWithTheirPlace(t *testing.T) {
	w := newWorkplace(t, 10)
	lonely := filepath.Join(w.folder, "lonely.jsonl")
	if err := os.WriteFile(lonely, []byte(`{"prompt":"say it","completions":["up"],"ranks":[1]}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	encoder := filepath.Join(w.folder, "encoder")
	if err := artifact.MakeFolder(encoder); err != nil {
		t.Fatal(err)
	}
	base, tok, err := train.LoadModel(reference.New(), w.inputs.Base)
	if err != nil {
		t.Fatal(err)
	}
	bert := model.Config{
		Family: model.BERT, Head: model.NoHead, Vocabulary: base.Vocabulary, Context: base.Context, Width: 8, Layers: 1, Heads: 2, FeedForward: 8,
		Epsilon: 1e-6, InitRange: .1, BOS: -1, EOS: -1, Pad: -1,
	}
	m, err := model.New(reference.New(), bert.Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := train.SaveModel(encoder, "", m, tok, 1, chat.Ends(tok, nil)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config, *Inputs)
		code   int
		says   string
	}{
		"a context longer than the model's": {func(c *Config, _ *Inputs) { c.Context = 65 }, 4, "context 65"},
		"an unknown decay":                  {func(c *Config, _ *Inputs) { c.Decay = "steps" }, 4, `"steps"`},
		"a missing file of rankings":        {func(_ *Config, in *Inputs) { in.Rankings = "nowhere.jsonl" }, 10, "nowhere.jsonl"},
		"a missing base model":              {func(_ *Config, in *Inputs) { in.Base = "nowhere" }, 10, "nowhere"},
		"an encoder":                        {func(_ *Config, in *Inputs) { in.Base = encoder }, 4, "is an encoder"},
		"one answer for a prompt":           {func(_ *Config, in *Inputs) { in.Rankings = lonely }, 4, lonely + ":1"},
		"rankings as demonstrations":        {func(_ *Config, in *Inputs) { in.Demonstrations = lonely }, 4, lonely + ":1"},
	} {
		config, inputs := small(), w.inputs
		c.change(&config, &inputs)
		_, err := Run(t.Context(), environment(reference.New()), config, inputs, filepath.Join(w.folder, "out"))
		if err == nil || artifact.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAStageStoppedAndResumedGivesTheSameBits(t *testing.T) {
	w := newWorkplace(t, 40) // 10 steps
	c := small()
	c.EvalEvery = 4
	engine := newCPU(t, 2)
	_, straight := runIn(t, engine, c, w, "straight")
	want := weights(t, straight)

	env := environment(engine)
	env.CheckpointSteps = 3
	out := filepath.Join(w.folder, "stopped")
	stops := 0
	t.Cleanup(func() { artifact.ArmFailpoint("") })
	for _, failpoint := range []string{
		"train.after_step:1:error", "train.after_step:4:error", "train.before_checkpoint:1:error",
		"train.after_checkpoint:2:error", "train.after_step:3:error", "stage.finish.before:1:error",
	} {
		if err := artifact.ArmFailpoint(failpoint); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), env, c, w.inputs, out); errors.Is(err, artifact.ErrFailpoint) {
			stops++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := artifact.ArmFailpoint(""); err != nil {
		t.Fatal(err)
	}
	if stops < 5 {
		t.Errorf("stopped %d times, want at least 5", stops)
	}
	manifest, err := Run(t.Context(), env, c, w.inputs, out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(weights(t, out), want) {
		t.Error("the weights differ from those of the straight run")
	}
	if manifest.Metrics["bias"] == 0 || manifest.Metrics["validation/accuracy"] == 0 {
		t.Errorf("a finished run that is run again reports %v", manifest.Metrics)
	}
}

func TestThreadsChangeNoBit(t *testing.T) {
	w := newWorkplace(t, 20)
	var want []byte
	for _, threads := range []int{1, 2, 4} {
		_, out := runIn(t, newCPU(t, threads), small(), w, fmt.Sprint("threads", threads))
		if got := weights(t, out); want == nil {
			want = got
		} else if !bytes.Equal(got, want) {
			t.Errorf("the weights with %d threads differ from those with 1", threads)
		}
	}
}
