package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sort"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
)

// A Job is a stage that is ready to run.
type Job struct {
	Name   string // in messages; the stage's name in its recipe
	Stage  *Stage
	Config any // pointer to the stage's type of configuration
	In     Inputs
	Out    string // folder
}

// roles are what the job reads, by the role under which it is recorded. Inputs that
// were left out are filled in.
func (j *Job) roles() (map[string]string, error) {
	if j.Stage.complete != nil {
		in, err := j.Stage.complete(j.Config, maps.Clone(j.In))
		if err != nil {
			return nil, err
		}
		j.In = in
	}
	roles := j.In.Roles()
	if j.Stage.also != nil {
		maps.Copy(roles, j.Stage.also(j.Config))
	}
	return roles, nil
}

// HasCheck tells whether [Job.Check] reads anything.
func (s *Stage) HasCheck() bool { return s.check != nil }

// Check reads what the user brought before anything runs, and tells what it is; tell
// may be nil.
func (j *Job) Check(ctx context.Context, tell Tell) error {
	if j.Stage.check == nil {
		return nil
	}
	if tell == nil {
		tell = func(fmt.Stringer) {}
	}
	return j.Stage.check(ctx, j.Config, j.In, tell)
}

// Standing is how a job's folder stands to the job.
type Standing struct {
	// Manifest is that of the folder if it is complete, whatever it was made from.
	Manifest *artifact.Manifest
	// Changed says in what the folder was made from something else: "lr was 1e-3
	// and is 5e-4", "input base changed". Empty and complete: nothing to do.
	Changed []string
}

// Complete tells whether the folder holds something finished.
func (s Standing) Complete() bool { return s.Manifest != nil }

// Unchanged tells whether the folder holds just what the job would make.
func (s Standing) Unchanged() bool { return s.Manifest != nil && len(s.Changed) == 0 }

// Standing compares the folder with the job. A damaged folder is an
// artifact.ErrCorrupt.
func (j *Job) Standing() (Standing, error) {
	old, err := artifact.Open(j.Out, true)
	if errors.Is(err, artifact.ErrNotFound) {
		return Standing{}, nil
	}
	if err != nil {
		return Standing{}, fmt.Errorf("%w; delete %s to run the stage again", err, j.Out)
	}
	config, err := json.Marshal(j.Config)
	if err != nil {
		return Standing{}, fmt.Errorf("encoding the configuration of %s: %w", j.Name, err)
	}
	s := Standing{Manifest: old}
	if old.Kind != j.Stage.Kind {
		s.Changed = append(s.Changed, fmt.Sprintf("it was a stage %s and is %s", old.Kind, j.Stage.Kind))
		return s, nil
	}
	if was := max(1, old.Version); was != j.Stage.Version {
		s.Changed = append(s.Changed, fmt.Sprintf("the code of the stage was version %d and is %d", was, j.Stage.Version))
	}
	s.Changed = append(s.Changed, Differences(old.Config, config)...)
	roles, err := j.roles()
	if err != nil {
		return Standing{}, err
	}
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		sum, err := artifact.HashInput(roles[role])
		if err != nil {
			return Standing{}, err
		}
		was, ok := old.Inputs[role]
		switch {
		case !ok:
			s.Changed = append(s.Changed, fmt.Sprintf("input %s is new (%s)", role, roles[role]))
		case was.SHA256 != sum:
			s.Changed = append(s.Changed, fmt.Sprintf("input %s has other content (%s)", role, roles[role]))
		}
	}
	for _, role := range slices.Sorted(maps.Keys(old.Inputs)) {
		if _, ok := roles[role]; !ok {
			s.Changed = append(s.Changed, fmt.Sprintf("input %s is gone (%s)", role, old.Inputs[role].Path))
		}
	}
	return s, nil
}

// CheckPaths looks at the paths of what the job reads, which must exist, and lie
// elsewhere than the job's own folder.
func (j *Job) CheckPaths() error {
	roles, err := j.roles()
	if err != nil {
		return err
	}
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		path := roles[role]
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("opening %s: %w", role, err)
		}
		if target, err := os.Stat(j.Out); err == nil && os.SameFile(info, target) {
			return artifact.Errorf(artifact.ErrUsage, "choosing --out %s: it is also the %s that the stage reads; give another folder", j.Out, role)
		}
	}
	return nil
}

// CheckInputs is CheckPaths, and hashes what a stage wrote, which must be what it wrote.
func (j *Job) CheckInputs() error {
	if err := j.CheckPaths(); err != nil {
		return err
	}
	roles, err := j.roles()
	if err != nil {
		return err
	}
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		info, err := os.Stat(roles[role])
		if err != nil {
			return fmt.Errorf("opening %s: %w", role, err)
		}
		if !info.IsDir() {
			continue
		}
		if _, err := artifact.Open(roles[role], true); err != nil && !errors.Is(err, artifact.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Run runs the job while the process holds the lock of its folder, going on
// where an earlier run was interrupted, and completes the folder.
func (j *Job) Run(ctx context.Context, env Environment) (m *artifact.Manifest, err error) {
	claim, err := artifact.MakeAndLock(j.Out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, claim.End(err)) }()
	return j.RunLocked(ctx, env)
}

// RunLocked is [Job.Run] for a caller that holds the lock.
func (j *Job) RunLocked(ctx context.Context, env Environment) (*artifact.Manifest, error) {
	if v, ok := j.Config.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	roles, err := j.roles()
	if err != nil {
		return nil, err
	}
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		if _, err := os.Stat(roles[role]); err != nil {
			return nil, fmt.Errorf("opening %s of stage %s: %w", role, j.Name, err)
		}
	}
	begun, err := artifact.Begin(j.Out, j.Stage.Kind, j.Config)
	if err != nil {
		return nil, err
	}
	if j.Stage.Version > 1 {
		begun.Manifest.Version = j.Stage.Version
	}
	begun.Manifest.Environment = env.Record
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		if err := begun.AddInput(role, roles[role]); err != nil {
			return nil, err
		}
	}
	if err := j.Stage.run(ctx, &Work{env, begun, j.In}, j.Config); err != nil {
		return nil, err
	}
	if env.KeepCheckpoints {
		if begun.Manifest.Extra == nil {
			begun.Manifest.Extra = map[string]string{}
		}
		begun.Manifest.Extra[keptCheckpoints] = "kept"
	}
	m, err := begun.Finish()
	if err == nil {
		j.Tidy(m, env)
	}
	return m, err
}

// keptCheckpoints is the fact of a manifest that the checkpoints were asked to stay.
const keptCheckpoints = "checkpoints"

// Tidy removes from a finished job's folder the checkpoints, which hold weights and
// the optimizer's state several times over, unless they were asked to stay: now, or when
// it was made. What hinders it is a warning: the next run does it.
func (j *Job) Tidy(m *artifact.Manifest, env Environment) {
	if env.KeepCheckpoints || m.Extra[keptCheckpoints] != "" {
		return
	}
	bytes, err := artifact.RemoveCheckpoints(j.Out)
	switch {
	case err != nil:
		env.Log.Warn(fmt.Errorf("%s: its checkpoints stay: %w", j.Name, err))
	case bytes > 0:
		env.Log.Printf("%s: finished, so its checkpoints are removed (%s)", j.Name, progress.Bytes(bytes))
	}
}

// Run runs a stage in a folder with a configuration of its type, for callers
// that hold the folder's lock and know which stage it is.
func Run[C any](ctx context.Context, env Environment, s *Stage, c C, in Inputs, out string) (*artifact.Manifest, error) {
	if _, ok := s.Config().(*C); !ok {
		return nil, fmt.Errorf("running stage %s: its configuration is a %T, not a %T", s.Kind, s.Config(), &c)
	}
	return (&Job{Name: s.Kind, Stage: s, Config: &c, In: in, Out: out}).RunLocked(ctx, env)
}

// Differences names the keys in which two JSON objects differ, with both values,
// in the order of the keys. The excepted keys are left out.
func Differences(old, new json.RawMessage, except ...string) []string {
	a, b := make(map[string]string), make(map[string]string)
	flatten("", old, a)
	flatten("", new, b)
	for _, key := range except {
		delete(a, key)
		delete(b, key)
	}
	var out []string
	// A text that is empty is one that was not set.
	for key, value := range a {
		if other, ok := b[key]; !ok && value == `""` {
			continue
		} else if !ok {
			out = append(out, fmt.Sprintf("%s was %s and is gone", key, value))
		} else if other != value {
			out = append(out, fmt.Sprintf("%s was %s and is %s", key, value, other))
		}
	}
	for key, value := range b {
		if _, ok := a[key]; !ok && value != `""` {
			out = append(out, fmt.Sprintf("%s is new (%s)", key, value))
		}
	}
	sort.Strings(out)
	return out
}

func flatten(prefix string, value json.RawMessage, into map[string]string) {
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) == nil && object != nil {
		for key, v := range object {
			name := key
			if prefix != "" {
				name = prefix + "." + key
			}
			flatten(name, v, into)
		}
		return
	}
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		compact.Write(value)
	}
	into[prefix] = compact.String()
}

// CheckFiles reads the files of inputs that the user brought, before anything
// runs, and tells what they hold; a file that is not there yet will be made by a stage.
// What is wrong with each is in the error.
func CheckFiles(in Inputs, tell Tell, read func(path string) (fmt.Stringer, error), names ...string) error {
	var all []error
	for _, name := range names {
		for _, path := range in[name] {
			info, err := os.Stat(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue
			case err != nil:
			case info.IsDir():
				err = artifact.Errorf(artifact.ErrUsage, "%s: it is a folder; give a file", path)
			default:
				var found fmt.Stringer
				if found, err = read(path); err == nil {
					tell(found)
				}
			}
			if err != nil {
				all = append(all, fmt.Errorf("opening %s: %w", name, err))
			}
		}
	}
	return errors.Join(all...)
}
