package train

import (
	"context"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
)

// held runs three steps whose evaluations give these losses, the last twice to be
// interrupted behind the first step.
func held(t *testing.T, losses ...float64) (Totals, string) {
	t.Helper()
	var out strings.Builder
	folder := t.TempDir()
	run := func(interrupt bool) (Totals, error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		loop := &Loop{
			Stage: "trial", Folder: folder, Steps: len(losses) - 1, EvaluateEvery: 1, Held: "validation/loss",
			Log: &progress.Log{Progress: progress.NewTo(progress.Options{Out: &out})},
			Evaluate: func(_ context.Context, step int) ([]Metric, error) {
				return []Metric{{"validation/accuracy", 0}, {"validation/loss", losses[step]}}, nil
			},
			Step: func(context.Context, int) (StepReport, error) {
				if interrupt {
					cancel(artifact.ErrInterrupted)
				}
				return StepReport{Metrics: []Metric{{"loss", 1}}}, nil
			},
		}
		return loop.Run(ctx)
	}
	if _, err := run(true); exitCode(err) != 130 {
		t.Fatalf("%v, want exit code 130", err)
	}
	totals, err := run(false)
	if err != nil {
		t.Fatal(err)
	}
	return totals, out.String()
}

func TestTheHeldOutLossIsToldBeforeBesideAndAfterTheSteps(t *testing.T) {
	totals, said := held(t, 2.58, 2.5, 2.41)
	for _, want := range []string{"trial: held-out loss 2.580 before the first step\n", "held out 2.410", "trial: held-out loss 2.580 → 2.410\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in\n%s", want, said)
		}
	}
	var m artifact.Manifest
	totals.Fill(&m)
	if m.Metrics["validation/loss_before"] != 2.58 || m.Metrics["validation/loss"] != 2.41 {
		t.Errorf("recorded %v", m.Metrics)
	}
}

func TestARunThatMakesTheModelWorseSaysSoWithTheRemedy(t *testing.T) {
	_, said := held(t, 2.53, 2.6, 2.7)
	if want := "warning: trial: held-out loss rose from 2.530 to 2.700: on what it did not learn the model is worse than before; lower lr"; !strings.Contains(said, want) {
		t.Errorf("%q is missing in\n%s", want, said)
	}
}
