package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/token"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/report"
	"github.com/seed-b72bdb6c/alma/stage"
)

// Selection says which stages of a recipe are run; the zero value all.
type Selection struct {
	Only  []string // these alone
	From  string   // this one and those after it
	Until string   // this one and those before it
}

// check refuses names of stages that are not there.
func (s Selection) check(r *Recipe) error {
	for _, name := range append(slices.Clone(s.Only), s.From, s.Until) {
		if name == "" || r.Step(name) != nil {
			continue
		}
		return artifact.Errorf(artifact.ErrUsage, "choosing stages: %s has no stage %q%s it has %s", r.File, name, didYouMean(nearest(name, r.names())), strings.Join(r.names(), ", "))
	}
	if len(s.Only) > 0 && (s.From != "" || s.Until != "") {
		return artifact.Errorf(artifact.ErrUsage, "choosing stages: --only goes with neither --from nor --until")
	}
	if s.From != "" && s.Until != "" && r.index(s.From) > r.index(s.Until) {
		return artifact.Errorf(artifact.ErrUsage, "choosing stages: %s comes after %s", s.From, s.Until)
	}
	return nil
}

func (r *Recipe) index(name string) int {
	return slices.IndexFunc(r.Steps, func(s *Step) bool { return s.Name == name })
}

// takes tells whether stage number i is run.
func (s Selection) takes(r *Recipe, i int) bool {
	if len(s.Only) > 0 {
		return slices.Contains(s.Only, r.Steps[i].Name)
	}
	return (s.From == "" || i >= r.index(s.From)) && (s.Until == "" || i <= r.index(s.Until))
}

// Check opens what the recipe reads from outside before anything runs: paths that
// must be there and be of a kind that the input takes, and files that each stage
// must be able to read. Stages that are not selected are left out.
func (r *Recipe) Check(ctx context.Context, folder string, which Selection) error {
	if err := which.check(r); err != nil {
		return err
	}
	var all []error
	for i, job := range r.Jobs(folder) {
		if !which.takes(r, i) {
			continue
		}
		s := r.Steps[i]
		for _, in := range s.Stage.Inputs {
			for _, ref := range s.Inputs[in.Name] {
				if ref.Step != nil {
					continue
				}
				if err := r.checkPath(s, in, ref.Path); err != nil {
					all = append(all, err)
				}
			}
		}
		if err := job.Check(ctx, nil); err != nil {
			all = append(all, fmt.Errorf("stage %s: %w", s.Name, err))
		}
	}
	return errors.Join(all...)
}

// checkPath opens a path that an input names.
func (r *Recipe) checkPath(s *Step, in stage.Input, path string) error {
	f := s.section.child(in.Name)
	fault := func(kind *artifact.Kind, format string, args ...any) error {
		e := r.fault(f.at, f.key, artifact.Mark(kind, fmt.Errorf(format, args...)))
		e.missing = kind == artifact.ErrNotFound
		return e
	}
	if _, err := os.Stat(path); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return fault(artifact.ErrUsage, "opening %s: %w", path, err)
		}
		hint := ""
		if near := nearest(path, r.names()); near != "" {
			hint = fmt.Sprintf("; did you mean the stage %s?", near)
		}
		return fault(artifact.ErrNotFound, "found %q, which is neither a stage of the recipe nor a file or folder%s", path, hint)
	}
	kinds, made := KindsOf(path)
	if made == "" || slices.ContainsFunc(kinds, in.Accepts) {
		return nil
	}
	var names []string
	for _, k := range kinds {
		names = append(names, article(k))
	}
	return fault(artifact.ErrUsage, "%s was made by a stage %s and is %s, needs %s", path, made, strings.Join(names, ", "), kindNames(in.Kinds))
}

// fault is an error at a place of the recipe, nil for none in particular.
func (r *Recipe) fault(at *token.Token, key string, err error) *Error {
	e := &Error{File: r.File, Key: key, Err: err}
	if at != nil && at.Position != nil {
		e.Line, e.Column = at.Position.Line, at.Position.Column
		if e.Line <= len(r.lines) {
			e.Source = strings.TrimRight(r.lines[e.Line-1], "\r")
		}
	}
	return e
}

// KindsOf says what a folder that a stage made is good for, and which kind of
// stage that was; "" for anything else.
func KindsOf(path string) (kinds []stage.Kind, made string) {
	m, err := artifact.Open(path, false)
	if err != nil {
		return nil, ""
	}
	s := StageOf(m.Kind)
	if s == nil {
		return nil, ""
	}
	config := s.Config()
	if err := json.Unmarshal(m.Config, config); err != nil {
		return nil, ""
	}
	for _, o := range s.Outputs(config) {
		if o.Path == "" {
			kinds = append(kinds, o.Kind)
		}
	}
	return kinds, m.Kind
}

// Run takes a run folder through the stages, leaving out those whose
// configuration, code and inputs did not change, and continuing one that was
// interrupted. The caller holds the folder's lock.
func (r *Recipe) Run(ctx context.Context, env stage.Environment, folder string, which Selection) error {
	for i, step := range r.Steps {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !which.takes(r, i) {
			continue
		}
		say := func(format string, args ...any) {
			env.Log.Printf("[%d/%d] %s: %s", i+1, len(r.Steps), step.Name, fmt.Sprintf(format, args...))
		}
		if err := r.missingInput(i, folder, which); err != nil {
			return err
		}
		// What the stage reads is there now.
		jobs := r.Jobs(folder)
		known := Known(jobs[i].In, jobs[i].Config)
		chosen, err := step.Derive(known, env.Memory)
		if err != nil {
			return err
		}
		jobs = r.Jobs(folder)
		job := jobs[i]
		standing, err := job.Standing()
		if err != nil {
			return err
		}
		if standing.Unchanged() {
			say("unchanged")
			job.Tidy(standing.Manifest, env)
			continue
		}
		if standing.Complete() {
			say("is done again: %s", strings.Join(standing.Changed, "; "))
			// What was made from something else must not be continued: the stages that
			// read from this one go first, so that an interruption leaves none behind that
			// looks as if it belonged to this one.
			stale := append(r.after(i), i)
			slices.Sort(stale)
			for _, j := range slices.Backward(stale) {
				if err := removeStage(jobs[j].Out); err != nil {
					return fmt.Errorf("removing the stale stage %s of %s: %w", jobs[j].Name, folder, err)
				}
			}
		}
		say("%s", lowerFirst(job.Stage.Does))
		for _, line := range chosen {
			say("%s", line)
		}
		if text := Foretell(job.Stage, job.Config, known, env.Log.PeakFLOPS); text != "" {
			say("%s", text)
		}
		if len(chosen) > 0 {
			r.resolve()
			if err := r.Save(folder); err != nil {
				return err
			}
		}
		m, err := job.Run(ctx, env)
		// What the stage held goes back before the next one asks for as much: without
		// this the heap may grow to twice what one stage needs.
		if e, ok := env.Engine.(interface{ Release() }); ok {
			e.Release()
		}
		debug.FreeOSMemory()
		if err != nil {
			return fmt.Errorf("stage %s: %w", job.Name, err)
		}
		say("done in %s", span(m.WallSeconds))
	}
	return nil
}

// missingInput refuses a stage that reads from one that is left out and was never
// finished.
func (r *Recipe) missingInput(i int, folder string, which Selection) error {
	for _, refs := range r.Steps[i].Inputs {
		for _, ref := range refs {
			if ref.Step == nil || which.takes(r, r.index(ref.Step.Name)) {
				continue
			}
			if _, err := artifact.Open(filepath.Join(folder, ref.Step.Name), false); err != nil {
				return fmt.Errorf("stage %s reads from %s, which is not selected: %w", r.Steps[i].Name, ref.Step.Name, err)
			}
		}
	}
	return nil
}

// after lists the stages that read from stage number i, directly or by way of
// others.
func (r *Recipe) after(i int) []int {
	reached := map[*Step]bool{r.Steps[i]: true}
	var list []int
	for j := i + 1; j < len(r.Steps); j++ { // they come after what they read
		for _, refs := range r.Steps[j].Inputs {
			for _, ref := range refs {
				if reached[ref.Step] && !reached[r.Steps[j]] {
					reached[r.Steps[j]] = true
					list = append(list, j)
				}
			}
		}
	}
	return list
}

// lowerFirst writes a sentence as what a stage does: without its capital and its
// period.
func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.TrimSuffix(strings.ToLower(s[:1])+s[1:], ".")
}

// removeStage removes a stage's folder unless a process works in it.
func removeStage(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := artifact.Lock(path)
	if err != nil {
		return err
	}
	if err := lock.Unlock(); err != nil { // some systems rename no folder with an open file
		return err
	}
	return artifact.RemoveFolder(path)
}

func span(seconds float64) string {
	return progress.Duration(time.Duration(seconds * float64(time.Second)))
}

// File is the file of a run folder beside its stages and the report: the resolved
// recipe.
const File = "recipe.json"

// Saved is recipe.json.
type Saved struct {
	Alma string `json:"alma"`
	Head
	Stages   []SavedStage     `json:"stages"`
	Settings []report.Setting `json:"settings"` // every value and where it comes from
	Derived  map[string]any   `json:"derived,omitempty"`
}

// SavedStage is a stage of a saved recipe.
type SavedStage struct {
	Name   string              `json:"name"`
	Use    string              `json:"use"`
	Inputs map[string][]string `json:"inputs"` // paths, as the stage reads them
	Config json.RawMessage     `json:"config"`
}

// Save writes the resolved recipe into a run folder, durably.
func (r *Recipe) Save(folder string) error {
	saved := Saved{Alma: artifact.Version(), Head: r.Head}
	for _, job := range r.Jobs(folder) {
		config, err := json.Marshal(job.Config)
		if err != nil {
			return fmt.Errorf("encoding the configuration of stage %s: %w", job.Name, err)
		}
		saved.Stages = append(saved.Stages, SavedStage{job.Name, job.Stage.Kind, job.In, config})
	}
	for _, v := range r.Resolved.Values {
		saved.Settings = append(saved.Settings, report.Setting{Key: v.Key, Value: v.Text, Origin: v.Origin.String()})
		if v.Origin.Kind == Derived {
			if saved.Derived == nil {
				saved.Derived = map[string]any{}
			}
			saved.Derived[v.Key] = v.Value
		}
	}
	data, err := json.MarshalIndent(saved, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the resolved recipe: %w", err)
	}
	return artifact.WriteFile(filepath.Join(folder, File), append(data, '\n'))
}

// IsRun reports whether a folder is that of a run ([Recipe.Save]).
func IsRun(folder string) bool {
	info, err := os.Stat(filepath.Join(folder, File))
	return err == nil && info.Mode().IsRegular()
}

// ReadSaved reads the resolved recipe of a run folder.
func ReadSaved(folder string) (*Saved, error) {
	s := new(Saved)
	if err := artifact.ReadJSON(filepath.Join(folder, File), s); err != nil {
		return nil, fmt.Errorf("%w; a folder that alma run has filled is needed, such as runs/godoc", err)
	}
	return s, nil
}
