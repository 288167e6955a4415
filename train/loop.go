package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
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

	// Step runs step number step and reports on it. Once ctx ends it may give up, with
	// ctx's error or cause, as long as it changed nothing; it is then done again when
	// the run goes on.
	Step func(ctx context.Context, step int) (StepReport, error)
	// Evaluate, if set, runs before the first step, after every EvaluateEvery
	// steps and after the last. Its metrics join those of the step.
	Evaluate      func(ctx context.Context, step int) ([]Metric, error)
	EvaluateEvery int
	// Held, if set, names the loss of Evaluate on what is not learned: it is told
	// before the first step, beside the steps and at the end, and a warning says if it
	// rose.
	Held string
	// Frozen are models that are not trained; they must stay as they are.
	Frozen []compute.Post
	// Done, if set, is asked after each step; true ends the run there, as Steps
	// does. It must be a function of the States.
	Done func() bool

	// CheckpointEvery is the time between checkpoints, 0 for a minute; longer where
	// writing one takes so long that it would cost more than 3.5 % of the time.
	CheckpointEvery time.Duration
	CheckpointSteps int // if set, also after every so many steps
	// Memory is how many bytes the process may take. A snapshot, from which a
	// checkpoint is written while the steps go on, takes as much as weights and
	// moments of what is trained; beyond the bound the steps wait instead. 0: there
	// is no bound.
	Memory int64
	// Begin, if set, is called once nothing hinders the run, before its first step.
	Begin func() error
	// Result is how many bytes the stage will write after its last step.
	Result int64
	// Free tells the bytes that are free where Folder lies, if that is known. nil:
	// artifact.FreeSpace.
	Free func(folder string) (bytes int64, known bool)
	Log  *progress.Log
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
	Before  []Metric `json:"before,omitempty"`  // of the evaluation before the first
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
const CheckpointFolder = artifact.CheckpointFolder

// keptCheckpoints is how many whole checkpoints stay: one to continue from
// and one for when it is damaged.
const keptCheckpoints = 2

// Run continues from the newest whole checkpoint, or begins, and runs to the
// last step. When ctx is cancelled it finishes the step, writes a checkpoint
// and returns the cause of the cancellation; an evaluation is cut short, and
// done when the run goes on. Other checkpoints are written while the next steps
// go on; what hinders one ends the run after the step in which that is known.
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
	r := &loopRun{Loop: l, state: trainerState{Config: config}, frozen: compute.NewPatrol(l.Frozen...)}
	resumed, err := l.resume(&r.state)
	if err != nil {
		return Totals{}, err
	}
	if err := l.room(r.state.Step); err != nil {
		return Totals{}, err
	}
	if l.Begin != nil {
		if err := l.Begin(); err != nil {
			return Totals{}, err
		}
	}
	if r.log, err = beginLog(l.Log, l, r.state.Step, r.state.recorded()); err != nil {
		return Totals{}, err
	}
	defer r.log.close()
	r.checkpoints = checkpoints{Loop: l, log: r.log, saved: -1, begun: time.Now()}
	if resumed {
		r.checkpoints.saved = r.state.Step
	}
	err = r.steps(ctx)
	if err == nil {
		r.sayHeld()
	}
	// A write that is under way when a step fails is not lost.
	if late := r.checkpoints.wait(); late != nil {
		err = errors.Join(err, late)
	}
	return r.state.Totals, err
}

// loopRun is a Loop under way.
type loopRun struct {
	*Loop
	state       trainerState
	log         *loopLog
	checkpoints checkpoints
	frozen      *compute.Patrol
}

func (r *loopRun) steps(ctx context.Context) error {
	for !r.ended() || r.state.Unevaluated {
		if err := r.checkpoints.ended(); err != nil {
			return err
		}
		err := context.Cause(ctx)
		if err == nil {
			err = r.next(ctx)
		}
		if r.interrupted(ctx, err) {
			if err := r.checkpoints.now(&r.state); err != nil {
				return err
			}
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *loopRun) ended() bool {
	return r.state.Step >= r.Steps || r.state.Step > 0 && r.Done != nil && r.Done()
}

// interrupted tells an error that the end of the context brought about.
func (r *loopRun) interrupted(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err()))
}

// next takes the step that is due, or the evaluation that an earlier run left
// out.
func (r *loopRun) next(ctx context.Context) error {
	step, started := r.state.Step, time.Now()
	if r.state.Unevaluated {
		return r.finish(ctx, StepReport{}, started)
	}
	if step == 0 && r.Evaluate != nil {
		metrics, err := r.Evaluate(ctx, 0)
		if err != nil {
			return fmt.Errorf("evaluating %s before step 0: %w", r.Stage, err)
		}
		if err := r.log.record(0, metrics); err != nil {
			return err
		}
		r.state.Totals.Before = metrics
		if loss, ok := find(metrics, r.Held); ok {
			r.log.Printf("%s: held-out loss %.3f before the first step", r.Stage, loss)
		}
	}
	report, err := r.step(ctx)
	var bad *badUpdateError
	switch {
	case r.interrupted(ctx, err):
		return err // the step gave up before it changed anything
	case errors.As(err, &bad):
		if back, err := r.bad(bad.policy, fmt.Errorf("%s step %d: %w", r.Stage, step, err)); back || err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("%s step %d: %w", r.Stage, step, err)
	}
	r.state.Step++
	r.state.Totals.Steps = r.state.Step
	r.state.Totals.Tokens += report.Tokens
	r.state.Totals.FLOPs += report.FLOPs
	r.state.Totals.Last = report.Metrics
	if err := r.finish(ctx, report, started); err != nil {
		return err
	}
	if err := r.patrol(time.Since(started)); err != nil {
		return err
	}
	if err := failAfterStep.Hit(); err != nil {
		return err
	}
	switch {
	case r.ended():
		return r.checkpoints.now(&r.state)
	case r.checkpoints.due(r.state.Step):
		return r.checkpoints.behind(&r.state)
	}
	r.checkpoints.prepare()
	return nil
}

// step leaves out a step that an earlier rollback named.
func (r *loopRun) step(ctx context.Context) (StepReport, error) {
	if slices.Contains(r.state.Totals.Skipped, r.state.Step) {
		return StepReport{}, nil
	}
	return r.Step(ctx, r.state.Step)
}

// bad does with an update that was not applied as the policy says, and reports
// whether the run went back to a checkpoint.
func (r *loopRun) bad(policy BadUpdate, err error) (back bool, _ error) {
	if policy == StopBad {
		return false, fmt.Errorf("%w; lower lr, or continue with on_bad_batch skip or rollback", err)
	}
	r.log.Warn(err)
	if policy != RollBackBad {
		r.state.Totals.Skipped = append(r.state.Totals.Skipped, r.state.Step)
		return false, nil
	}
	if err := r.checkpoints.wait(); err != nil {
		return true, err
	}
	if err := r.rollBack(&r.state, r.state.Step); err != nil {
		return true, err
	}
	r.checkpoints.saved = r.state.Step
	return true, r.log.rewind(r.state.recorded())
}

// finish evaluates after a step if that is due, and records the step.
func (r *loopRun) finish(ctx context.Context, report StepReport, started time.Time) error {
	step := r.state.Step
	if r.Evaluate != nil && (step == r.Steps || r.EvaluateEvery > 0 && step%r.EvaluateEvery == 0) {
		r.state.Unevaluated = true
		more, err := r.Evaluate(ctx, step)
		if err != nil {
			return fmt.Errorf("evaluating %s after step %d: %w", r.Stage, step, err)
		}
		r.state.Unevaluated = false
		r.state.Totals.Last = append(slices.Clip(r.state.Totals.Last), more...)
		if loss, ok := find(more, r.Held); ok {
			r.log.held = fmt.Sprintf("held out %.3f", loss)
		}
	}
	elapsed := time.Since(started)
	r.state.Totals.Seconds += elapsed.Seconds()
	return r.log.step(step, report, r.state.Totals.Last, elapsed)
}

// sayHeld tells how the loss on what is not learned came out.
func (r *loopRun) sayHeld() {
	before, known := find(r.state.Totals.Before, r.Held)
	after, measured := find(r.state.Totals.Last, r.Held)
	switch {
	case !known || !measured:
	case after > before:
		r.log.Warn(fmt.Errorf("%s: held-out loss rose from %.3f to %.3f: on what it did not learn the model is worse than before; lower lr, take fewer epochs, or more to learn", r.Stage, before, after))
	default:
		r.log.Printf("%s: held-out loss %.3f → %.3f", r.Stage, before, after)
	}
}

// find returns the value of a metric.
func find(metrics []Metric, name string) (float64, bool) {
	for _, m := range metrics {
		if m.Name == name && name != "" {
			return m.Value, true
		}
	}
	return 0, false
}

func (l *Loop) folder() string { return filepath.Join(l.Folder, CheckpointFolder) }

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
	for _, metric := range t.Before {
		m.Metrics[metric.Name+"_before"] = metric.Value
	}
}
