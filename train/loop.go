package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
)

// Loop takes a stage through its steps: checkpoints, resume, metrics,
// progress, and the policy for bad updates.
//
// What a step does must be a function of the state and of the step number, so
// that a resumed run gives the same bits as one that was never interrupted.
type Loop struct {
	Stage  string // name in progress and errors
	Folder string // the stage's folder: checkpoints, metrics.jsonl, events
	Steps  int
	Config any // the resolved configuration, as JSON; a run that is resumed must have the same
	States []State
	Guard  *Guard

	// Step runs step number step and reports on it.
	Step func(ctx context.Context, step int) (StepReport, error)
	// Evaluate, if set, runs before the first step, after every EvaluateEvery
	// steps and after the last. Its metrics join those of the step.
	Evaluate      func(ctx context.Context, step int) ([]Metric, error)
	EvaluateEvery int
	// Done, if set, is asked after each step; true ends the run there, as Steps
	// does. It must be a function of the States.
	Done func() bool

	CheckpointEvery time.Duration // 0: a minute
	CheckpointSteps int           // if set, also after every so many steps
	Log             *progress.Log
}

// StepReport is what a step tells.
type StepReport struct {
	Metrics []Metric // in the order of metrics.jsonl
	Tokens  int64    // that went through the model
	FLOPs   int64
	Fields  []string // more for the progress line
}

// Totals is the work of a stage, over all of its runs.
type Totals struct {
	Steps   int      `json:"steps"`
	Tokens  int64    `json:"tokens"`
	FLOPs   int64    `json:"flops"`
	Seconds float64  `json:"seconds"`
	Skipped []int    `json:"skipped,omitempty"` // steps whose update was bad
	Last    []Metric `json:"last,omitempty"`    // metrics of the last step
}

// trainerState is trainer.json: where the loop stands.
type trainerState struct {
	Step   int             `json:"step"` // the next one
	Config json.RawMessage `json:"config"`
	Norms  []float64       `json:"gradient_norms"`
	Totals Totals          `json:"totals"`
	// Unevaluated: the run was interrupted in the evaluation after the last
	// step, whose metrics (Totals.Last) are not recorded yet.
	Unevaluated bool `json:"unevaluated,omitempty"`
}

// recorded is the last step whose line metrics.jsonl has, −1 before the first.
func (s *trainerState) recorded() int {
	if s.Step == 0 || s.Unevaluated {
		return s.Step - 1
	}
	return s.Step
}

// CheckpointFolder is the folder of a stage that holds its checkpoints.
const CheckpointFolder = "checkpoints"

// keptCheckpoints is how many whole checkpoints stay: one to continue from
// and one for when it is damaged.
const keptCheckpoints = 2

// Failpoints of every training stage, for the tests that kill it.
var (
	failAfterStep        = artifact.NewFailpoint("train.after_step")
	failBeforeCheckpoint = artifact.NewFailpoint("train.before_checkpoint")
	failAfterCheckpoint  = artifact.NewFailpoint("train.after_checkpoint")
)

// Run continues from the newest whole checkpoint, or begins, and runs to the
// last step. When ctx is cancelled it finishes the step, writes a checkpoint
// and returns the cause of the cancellation; an evaluation is cut short, and
// done when the run goes on.
func (l *Loop) Run(ctx context.Context) (Totals, error) {
	config, err := json.Marshal(l.Config)
	if err != nil {
		return Totals{}, fmt.Errorf("encoding configuration of %s: %w", l.Stage, err)
	}
	if l.CheckpointEvery == 0 {
		l.CheckpointEvery = time.Minute
	}
	if l.Guard == nil {
		l.Guard = DefaultGuard()
	}
	state := trainerState{Config: config}
	resumed, err := l.resume(&state)
	if err != nil {
		return Totals{}, err
	}
	run, err := beginLog(l.Log, l, state.Step, state.recorded())
	if err != nil {
		return Totals{}, err
	}
	defer run.close()

	lastCheckpoint, saved := time.Now(), state.Step
	checkpoint := func() error {
		if saved == state.Step && resumed {
			return nil
		}
		if err := run.sync(); err != nil {
			return err
		}
		if err := l.save(&state); err != nil {
			return err
		}
		resumed, saved, lastCheckpoint = true, state.Step, time.Now()
		return nil
	}
	interrupted := func(err error) bool {
		return err != nil && ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err()))
	}
	interrupt := func() (Totals, error) {
		if err := checkpoint(); err != nil {
			return state.Totals, err
		}
		return state.Totals, context.Cause(ctx)
	}
	// finish evaluates after a step if that is due, and records the step.
	finish := func(report StepReport, started time.Time) error {
		if l.Evaluate != nil && (state.Step == l.Steps || l.EvaluateEvery > 0 && state.Step%l.EvaluateEvery == 0) {
			state.Unevaluated = true
			more, err := l.Evaluate(ctx, state.Step)
			if err != nil {
				return fmt.Errorf("evaluating %s after step %d: %w", l.Stage, state.Step, err)
			}
			state.Unevaluated = false
			state.Totals.Last = append(slices.Clip(state.Totals.Last), more...)
		}
		elapsed := time.Since(started)
		state.Totals.Seconds += elapsed.Seconds()
		return run.step(state.Step, report, state.Totals.Last, elapsed)
	}
	ended := func() bool { return state.Step >= l.Steps || state.Step > 0 && l.Done != nil && l.Done() }
	for !ended() || state.Unevaluated {
		step, started := state.Step, time.Now()
		if ctx.Err() != nil {
			return interrupt()
		}
		if state.Unevaluated {
			if err := finish(StepReport{}, started); interrupted(err) {
				return interrupt()
			} else if err != nil {
				return state.Totals, err
			}
			continue
		}
		if step == 0 && l.Evaluate != nil {
			metrics, err := l.Evaluate(ctx, 0)
			if interrupted(err) {
				return interrupt()
			}
			if err != nil {
				return state.Totals, fmt.Errorf("evaluating %s before step 0: %w", l.Stage, err)
			}
			if err := run.record(0, metrics); err != nil {
				return state.Totals, err
			}
		}
		report, err := l.runStep(ctx, step, &state)
		var bad *badUpdateError
		switch {
		case interrupted(err):
			// The step gave up before it changed anything.
			return interrupt()
		case errors.As(err, &bad):
			err = fmt.Errorf("%s step %d: %w", l.Stage, step, err)
			if bad.policy == StopBad {
				return state.Totals, fmt.Errorf("%w; lower lr, or continue with on_bad_batch skip or rollback", err)
			}
			run.Warn(err)
			if bad.policy == RollBackBad {
				if err := l.rollBack(&state, step); err != nil {
					return state.Totals, err
				}
				if err := run.rewind(state.recorded()); err != nil {
					return state.Totals, err
				}
				saved = state.Step
				continue
			}
			state.Totals.Skipped = append(state.Totals.Skipped, step)
		case err != nil:
			return state.Totals, fmt.Errorf("%s step %d: %w", l.Stage, step, err)
		}
		state.Step++
		state.Totals.Steps = state.Step
		state.Totals.Tokens += report.Tokens
		state.Totals.FLOPs += report.FLOPs
		state.Totals.Last = report.Metrics
		if err := finish(report, started); interrupted(err) {
			return interrupt()
		} else if err != nil {
			return state.Totals, err
		}
		if err := failAfterStep.Hit(); err != nil {
			return state.Totals, err
		}
		due := time.Since(lastCheckpoint) >= l.CheckpointEvery || l.CheckpointSteps > 0 && state.Step%l.CheckpointSteps == 0
		if due || ended() {
			if err := checkpoint(); err != nil {
				return state.Totals, err
			}
		}
	}
	return state.Totals, nil
}

// runStep leaves out a step that an earlier rollback named.
func (l *Loop) runStep(ctx context.Context, step int, state *trainerState) (StepReport, error) {
	if slices.Contains(state.Totals.Skipped, step) {
		return StepReport{}, nil
	}
	return l.Step(ctx, step)
}

func (l *Loop) folder() string { return filepath.Join(l.Folder, CheckpointFolder) }

func (l *Loop) save(state *trainerState) error {
	if err := failBeforeCheckpoint.Hit(); err != nil {
		return err
	}
	state.Norms = l.Guard.norms
	files := make(artifact.Contents)
	for _, s := range l.States {
		more, err := s.Save()
		if err != nil {
			return fmt.Errorf("saving %s at step %d: %w", l.Stage, state.Step, err)
		}
		maps.Copy(files, more)
	}
	trainer, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding trainer.json: %w", err)
	}
	files["trainer.json"] = artifact.Bytes(append(trainer, '\n'))
	if err := artifact.WriteCheckpoint(l.folder(), state.Step, files, keptCheckpoints); err != nil {
		return fmt.Errorf("writing checkpoint of %s at step %d: %w", l.Stage, state.Step, err)
	}
	return failAfterCheckpoint.Hit()
}

// resume loads the newest whole checkpoint into the states, if there is one.
func (l *Loop) resume(state *trainerState) (found bool, err error) {
	checkpoint, damaged, err := artifact.LatestCheckpoint(l.folder())
	if err != nil {
		return false, err
	}
	for _, d := range damaged {
		l.Log.Warn(fmt.Errorf("%w; passed over", d))
	}
	if checkpoint == nil {
		return false, nil
	}
	data, err := checkpoint.ReadFile("trainer.json")
	if err != nil {
		return false, err
	}
	config := state.Config
	var loaded trainerState
	if err := json.Unmarshal(data, &loaded); err != nil {
		return false, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading trainer.json of %s: %w", checkpoint.Path(), err))
	}
	// A run that stopped at a bad update may go on by another policy, and what is
	// computed again changes no bit.
	if changed := stage.Differences(loaded.Config, config, "config.on_bad_batch", "config.recompute"); len(changed) > 0 {
		return false, artifact.Errorf(artifact.ErrUsage,
			"resuming %s from %s: the configuration differs from that of the run: %s; set it back, or give another --out, or delete %s to begin again",
			l.Stage, checkpoint.Path(), strings.Join(changed, ", "), l.Folder)
	}
	for _, s := range l.States {
		if err := s.Load(checkpoint); err != nil {
			return false, fmt.Errorf("resuming %s from %s: %w", l.Stage, checkpoint.Path(), err)
		}
	}
	*state = loaded
	state.Config = config
	l.Guard.norms = loaded.Norms
	return true, nil
}

// rollBack returns to the newest checkpoint with the bad step marked.
func (l *Loop) rollBack(state *trainerState, step int) error {
	skipped := append(state.Totals.Skipped, step)
	if found, err := l.resume(state); err != nil {
		return err
	} else if !found {
		return artifact.Errorf(artifact.ErrDiverged, "%s step %d: the update was bad, and there is no checkpoint yet to roll back to", l.Stage, step)
	}
	for _, s := range skipped {
		if !slices.Contains(state.Totals.Skipped, s) {
			state.Totals.Skipped = append(state.Totals.Skipped, s)
		}
	}
	return nil
}

// Identity is what a run that is resumed must agree in: the configuration and
// what the stage reads.
func Identity(config any, stage *artifact.Stage) any {
	inputs := make(map[string]string, len(stage.Manifest.Inputs))
	for name, input := range stage.Manifest.Inputs {
		inputs[name] = input.SHA256
	}
	return map[string]any{"config": config, "inputs": inputs}
}

// Fill writes the work and the last metrics of a stage into its manifest.
func (t Totals) Fill(m *artifact.Manifest) {
	m.Tokens, m.FLOPs, m.WallSeconds = t.Tokens, float64(t.FLOPs), t.Seconds
	if m.Metrics == nil {
		m.Metrics = make(artifact.Metrics)
	}
	for _, metric := range t.Last {
		m.Metrics[metric.Name] = metric.Value
	}
}
