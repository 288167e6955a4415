package ppo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/train"
)

func TestPPO34ResumedRunEndsWithTheBitsOfAStraightOne(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	straight := filepath.Join(t.TempDir(), "straight")
	whole, err := w.run(t.Context(), c, straight, 0)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := train.ReadMetrics(filepath.Join(straight, train.MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	steps := c.Iterations * c.minibatches()
	if steps != 12 || len(lines) != steps {
		t.Fatalf("%d steps and %d lines of metrics, want 12", steps, len(lines))
	}
	for stop := 1; stop <= steps; stop++ {
		every := 1 + stop%3 // what is lost: 0 to 2 steps and the one that ran
		out := filepath.Join(t.TempDir(), "out")
		if err := artifact.ArmFailpoint(fmt.Sprintf("train.after_step:%d:error", stop)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.run(t.Context(), c, out, every); !errors.Is(err, artifact.ErrFailpoint) {
			t.Fatalf("%v, want the failpoint", err)
		}
		if err := artifact.ArmFailpoint(""); err != nil {
			t.Fatal(err)
		}
		m, err := w.run(t.Context(), c, out, every)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(m.Metrics, m.Notes) != fmt.Sprint(whole.Metrics, whole.Notes) {
			t.Errorf("stopped after step %d: the result is\n%v\n%q, want\n%v\n%q", stop, m.Metrics, m.Notes, whole.Metrics, whole.Notes)
		}
		if weightsOf(t, out) != weightsOf(t, straight) {
			t.Errorf("stopped after step %d, checkpoints every %d: other weights at the end", stop, every)
		}
		got, err := train.ReadMetrics(filepath.Join(out, train.MetricsName))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(lines) {
			t.Errorf("stopped after step %d: other metrics (%v)", stop, err)
		}
	}
}

// A run that is interrupted while it samples goes back to before the rollout.
func TestPPO34InterruptedRolloutIsMadeAnew(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	straight, out := filepath.Join(t.TempDir(), "straight"), filepath.Join(t.TempDir(), "out")
	if _, err := w.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reward, rollouts := w.inputs.Reward, 0
	w.inputs.Reward = func(ctx context.Context, texts []Text) ([]float32, error) {
		if rollouts++; rollouts == 2 {
			cancel(artifact.ErrInterrupted)
			return nil, ctx.Err() // as an HTTP request would
		}
		return reward(ctx, texts)
	}
	if _, err := w.run(ctx, c, out, 0); artifact.ExitCode(err) != 130 {
		t.Fatalf("%v, want exit code 130", err)
	}
	w.inputs.Reward = reward
	if _, err := w.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	if weightsOf(t, out) != weightsOf(t, straight) {
		t.Error("other weights at the end")
	}
}

// Promise 6 of the reliability list: which responses are sampled together, by
// how many threads, and which rows make a micro-batch, changes no bit.
func TestResultDoesNotDependOnThreadsSlotsOrMicroBatches(t *testing.T) {
	w := newWorkshop(t)
	want := ""
	for _, split := range [][3]int{{1, 1, 1}, {1, 5, 2}, {2, 4, 1}, {4, 32, 3}, {8, 3, 5}} {
		engine := cpu.New(cpu.Options{Threads: split[0]})
		defer engine.Close()
		w.engine = engine
		c := w.config()
		c.Slots, c.MicroRows = split[1], split[2]
		out := filepath.Join(t.TempDir(), "out")
		if _, err := w.run(t.Context(), c, out, 0); err != nil {
			t.Fatal(err)
		}
		got := weightsOf(t, out)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%d threads, %d slots, micro-batches of %d rows: other weights than with one of each", split[0], split[1], split[2])
		}
	}
}

// asked is a context that counts how often somebody asks whether it has ended, and ends
// at the last of so many times; 0: never.
type asked struct {
	context.Context
	times, last int
	end         context.CancelCauseFunc
}

func (a *asked) Err() error {
	if a.times++; a.times == a.last {
		a.end(artifact.ErrInterrupted)
	}
	return a.Context.Err()
}

func TestPPO34AnInterruptionAnywhereInAStepLosesNothing(t *testing.T) {
	w := newWorkshop(t)
	c := w.config()
	c.Iterations = 2
	run := func(last int, out string) (times int, err error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		a := &asked{ctx, 0, last, cancel}
		_, err = w.run(a, c, out, 0)
		return a.times, err
	}
	straight := filepath.Join(t.TempDir(), "straight")
	all, err := run(0, straight)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := train.ReadMetrics(filepath.Join(straight, train.MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	const places = 24
	for i := range places {
		last := 1 + (2*i+1)*all/(2*places)
		out := filepath.Join(t.TempDir(), "out")
		if _, err := run(last, out); artifact.ExitCode(err) != 130 {
			t.Fatalf("ended when it was asked for the %dth of %d times: %v, want exit code 130", last, all, err)
		}
		m, err := w.run(t.Context(), c, out, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := train.ReadMetrics(filepath.Join(out, train.MetricsName))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(lines) {
			t.Errorf("ended at %d of %d: other metrics (%v)", last, all, err)
		}
		if weightsOf(t, out) != weightsOf(t, straight) {
			t.Errorf("ended at %d of %d: other weights at the end", last, all)
		}
		whole, err := artifact.Open(straight, false)
		if err != nil {
			t.Fatal(err)
		}
		if m.Tokens != whole.Tokens || m.FLOPs != whole.FLOPs {
			t.Errorf("ended at %d of %d: %d tokens and %g FLOPs, want %d and %g", last, all, m.Tokens, m.FLOPs, whole.Tokens, whole.FLOPs)
		}
	}
}
