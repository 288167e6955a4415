package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
)

func TestResumedRunEndsWithTheBitsOfAStraightOne(t *testing.T) {
	straight := newTrial(t, t.TempDir())
	want := straight.mustRun()
	for stop := range 20 {
		folder := t.TempDir()
		ctx, cancel := context.WithCancelCause(t.Context())
		first := newTrial(t, folder)
		first.before = func(step int, _ *model.Model) {
			if step == stop {
				cancel(artifact.ErrInterrupted)
			}
		}
		_, err := first.run(ctx)
		if stop < 19 && exitCode(err) != 130 { // after the last step there is nothing to interrupt
			t.Fatalf("interrupted in step %d: %v, want exit code 130", stop, err)
		}
		second := newTrial(t, folder)
		seen := -1
		second.before = func(step int, _ *model.Model) {
			if seen < 0 {
				seen = step
			}
		}
		if got := second.mustRun(); got != want {
			t.Errorf("stopped in step %d: other weights at the end", stop)
		}
		if stop < 19 && seen != stop+1 {
			t.Errorf("stopped in step %d: went on with step %d; the step that ran was to be finished", stop, seen)
		}
	}
}

func TestRunThatLosesItsWorkSinceTheCheckpointEndsWithTheSameBits(t *testing.T) {
	straight := newTrial(t, t.TempDir())
	want := straight.mustRun()
	reference := readMetrics(t, straight.folder)
	for stop := 1; stop <= 20; stop++ {
		folder := t.TempDir()
		first := newTrial(t, folder)
		first.every = 6
		if err := artifact.ArmFailpoint(fmt.Sprintf("train.after_step:%d:error", stop)); err != nil {
			t.Fatal(err)
		}
		_, err := first.run(t.Context())
		if !errors.Is(err, artifact.ErrFailpoint) {
			t.Fatalf("%v, want the failpoint", err)
		}
		if err := artifact.ArmFailpoint(""); err != nil {
			t.Fatal(err)
		}
		second := newTrial(t, folder)
		second.every = 6
		if got := second.mustRun(); got != want {
			t.Errorf("killed after step %d: other weights at the end", stop)
		}
		lines := readMetrics(t, folder)
		if len(lines) != len(reference) {
			t.Fatalf("killed after step %d: %d lines of metrics, want %d", stop, len(lines), len(reference))
		}
		for i := range lines {
			if fmt.Sprint(lines[i]) != fmt.Sprint(reference[i]) {
				t.Errorf("killed after step %d: line %d is %v, want %v", stop, i, lines[i], reference[i])
			}
		}
	}
}

func evaluation(_ context.Context, step int) ([]Metric, error) {
	return []Metric{{"validation/loss", float64(step)}}, nil
}

func TestEvaluationsComeBeforeTheFirstStepAndAfterTheLast(t *testing.T) {
	r := newTrial(t, t.TempDir())
	r.steps, r.evaluate = 12, evaluation
	totals, err := r.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	for _, line := range readMetrics(t, r.folder) {
		if v, ok := line.Value("validation/loss"); ok {
			at = append(at, line.Step)
			if int(v) != line.Step {
				t.Errorf("step %d has the evaluation of step %v", line.Step, v)
			}
		}
	}
	if want := []int{0, 5, 10, 12}; !slices.Equal(at, want) {
		t.Errorf("evaluated at %v, want %v", at, want)
	}
	if last := totals.Last[len(totals.Last)-1]; last != (Metric{"validation/loss", 12}) {
		t.Errorf("the last metric is %v", last)
	}
}

func TestARunThatIsDoneEarlyEndsThereWithItsCheckpoint(t *testing.T) {
	r := newTrial(t, t.TempDir())
	evaluations := 0
	r.steps, r.evaluate = 40, func(ctx context.Context, step int) ([]Metric, error) {
		evaluations++
		return evaluation(ctx, step)
	}
	r.done = func() bool { return evaluations == 3 } // before the first step, after 5 and 10
	totals, err := r.run(t.Context())
	if err != nil || totals.Steps != 10 {
		t.Fatalf("%d steps, %v; want 10", totals.Steps, err)
	}
	checkpoint, _, err := artifact.LatestCheckpoint(filepath.Join(r.folder, CheckpointFolder))
	if err != nil || checkpoint == nil || checkpoint.Step != 10 {
		t.Errorf("the checkpoint is %+v, %v", checkpoint, err)
	}
	if again, err := r.run(t.Context()); err != nil || again.Steps != 10 || evaluations != 3 {
		t.Errorf("run again: %d steps, %d evaluations, %v", again.Steps, evaluations, err)
	}
}

func TestEvaluationThatIsInterruptedIsDoneWhenTheRunGoesOn(t *testing.T) {
	straight := newTrial(t, t.TempDir())
	straight.evaluate = evaluation
	want := straight.mustRun()
	for _, at := range []int{0, 5, 20} {
		folder := t.TempDir()
		ctx, cancel := context.WithCancelCause(t.Context())
		first := newTrial(t, folder)
		first.evaluate = func(ctx context.Context, step int) ([]Metric, error) {
			if step == at {
				cancel(artifact.ErrTerminated)
				return nil, context.Cause(ctx)
			}
			return evaluation(ctx, step)
		}
		if _, err := first.run(ctx); exitCode(err) != 143 {
			t.Fatalf("interrupted in the evaluation at %d: %v, want exit code 143", at, err)
		}
		checkpoint, _, err := artifact.LatestCheckpoint(filepath.Join(folder, CheckpointFolder))
		if err != nil || checkpoint == nil || checkpoint.Step != at {
			t.Fatalf("interrupted in the evaluation at %d: checkpoint %v, %v", at, checkpoint, err)
		}
		for range 2 { // the second time there is nothing left to do
			second := newTrial(t, folder)
			second.evaluate = evaluation
			if got := second.mustRun(); got != want {
				t.Errorf("interrupted in the evaluation at %d: other weights", at)
			}
			if got, want := readMetrics(t, folder), readMetrics(t, straight.folder); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("interrupted in the evaluation at %d: metrics\n%v\nwant\n%v", at, got, want)
			}
		}
	}
}

// What a step calls may return the error of the context rather than the cause
// of its end.
func TestStepThatGivesUpIsAnInterruption(t *testing.T) {
	folder := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	loop := &Loop{
		Stage: "waiting", Folder: folder, Steps: 3, Log: &progress.Log{Progress: progress.NewTo(progress.Options{Out: &strings.Builder{}})},
		Step: func(ctx context.Context, step int) (StepReport, error) {
			if step == 1 {
				cancel(artifact.ErrInterrupted)
				return StepReport{}, fmt.Errorf("asking a server: %w", ctx.Err())
			}
			return StepReport{}, nil
		},
	}
	if _, err := loop.Run(ctx); exitCode(err) != 130 {
		t.Errorf("%v, want exit code 130", err)
	}
	checkpoint, _, err := artifact.LatestCheckpoint(filepath.Join(folder, CheckpointFolder))
	if err != nil || checkpoint == nil || checkpoint.Step != 1 {
		t.Errorf("checkpoint %v, %v; want one of step 1", checkpoint, err)
	}
}

func TestChangedKeyIsRefusedByNameAtResume(t *testing.T) {
	folder := t.TempDir()
	first := newTrial(t, folder)
	first.config = map[string]any{"lr": 1e-2, "optimizer": map[string]any{"beta1": .9}, "gone": 1}
	first.mustRun()
	second := newTrial(t, folder)
	second.config = map[string]any{"lr": 2e-2, "optimizer": map[string]any{"beta1": .95}, "fresh": true}
	_, err := second.run(t.Context())
	if exitCode(err) != 4 {
		t.Fatalf("%v, want exit code 4", err)
	}
	for _, want := range []string{"config.lr was 0.01 and is 0.02", "config.optimizer.beta1 was 0.9 and is 0.95", "config.gone was 1 and is gone", "config.fresh is new (true)", folder} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestDamagedCheckpointIsNamedAndPassedOver(t *testing.T) {
	for _, name := range []string{"model.safetensors", "optimizer.safetensors", "trainer.json", "checkpoint.json"} {
		folder := t.TempDir()
		first := newTrial(t, folder)
		first.every = 8 // checkpoints after 8, 16 and 20
		want := first.mustRun()
		damaged := filepath.Join(folder, CheckpointFolder, artifact.CheckpointName(20), name)
		data, err := os.ReadFile(damaged)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 4
		if err := os.WriteFile(damaged, data, 0o666); err != nil {
			t.Fatal(err)
		}
		second := newTrial(t, folder)
		if got := second.mustRun(); got != want {
			t.Errorf("with %s damaged: other weights at the end", name)
		}
		log := second.output.String()
		if !strings.Contains(log, "warning") || !strings.Contains(log, artifact.CheckpointName(20)) || !strings.Contains(log, name) || !strings.Contains(log, "continuing from step 16") {
			t.Errorf("with %s damaged the log is\n%s", name, log)
		}
		steps := readMetrics(t, folder)
		if len(steps) != 20 || steps[19].Step != 20 {
			t.Errorf("with %s damaged: %d lines of metrics", name, len(steps))
		}
	}
}

func TestFinishedLoopDoesNothingMore(t *testing.T) {
	folder := t.TempDir()
	want := newTrial(t, folder).mustRun()
	again := newTrial(t, folder)
	again.before = func(step int, _ *model.Model) { t.Errorf("step %d ran again", step) }
	if got := again.mustRun(); got != want {
		t.Error("other weights")
	}
}

func TestCheckpointOpensAsAModel(t *testing.T) {
	folder := t.TempDir()
	r := newTrial(t, folder)
	want := r.mustRun()
	m, err := file.Load(r.engine, filepath.Join(folder, CheckpointFolder, artifact.CheckpointName(20)))
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, m) != want {
		t.Error("other weights than at the end of the run")
	}
}

func TestTotalsAreThoseOfAllRuns(t *testing.T) {
	straight := newTrial(t, t.TempDir())
	want, err := straight.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	first := newTrial(t, folder)
	first.before = func(step int, _ *model.Model) {
		if step == 7 {
			cancel(artifact.ErrInterrupted)
		}
	}
	if _, err := first.run(ctx); err == nil {
		t.Fatal("not interrupted")
	}
	got, err := newTrial(t, folder).run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want.Seconds, got.Seconds = 0, 0
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("totals %+v, want %+v", got, want)
	}
	var m artifact.Manifest
	got.Fill(&m)
	if m.Tokens != 20*4*testContext || m.FLOPs <= 0 || m.Metrics["loss"] == 0 {
		t.Errorf("the manifest has %d tokens, %g FLOPs, loss %v", m.Tokens, m.FLOPs, m.Metrics["loss"])
	}
}
