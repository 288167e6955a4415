package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/stage"
)

// Derive lets the stage choose values that nobody set by what it will read, for a
// process that may take so many bytes of memory (0: unknown), and tells them as lines:
// "lr 5e-05 (a published model of 134,515,008 parameters)". What was chosen before is
// chosen again.
func (s *Step) Derive(in stage.Known, memory int64) (lines []string, err error) {
	for f, old := range s.before {
		f.value.Set(old)
		f.origin = Origin{}
	}
	s.before = map[*field]reflect.Value{}
	free := func(key string) bool {
		f := s.section.child(key)
		return f != nil && f.origin.Kind == Default
	}
	chosen, err := s.Stage.Derive(s.Config, stage.Basis{In: in, Memory: memory, Free: free})
	if err != nil {
		return nil, err
	}
	for _, c := range chosen {
		f := s.section.child(c.Key)
		s.before[f] = copyOf(f.value)
		if err := convertAny(c.Value, f.value, f.limits); err != nil {
			return nil, fmt.Errorf("choosing %s of stage %s: %w", c.Key, s.Name, err)
		}
		f.origin = Origin{Kind: Chosen, Reason: c.Why}
		lines = append(lines, fmt.Sprintf("%s %s (%s)", c.Key, valueText(f.value), c.Why))
	}
	return lines, nil
}

// copyOf is a value that stays as it is while the field's changes.
func copyOf(v reflect.Value) reflect.Value {
	old := reflect.New(v.Type()).Elem()
	old.Set(v)
	return old
}

// Known are the facts of paths that a stage is given, for its configuration, which
// says how their rows are read.
func Known(in stage.Inputs, config any) stage.Known {
	known := stage.Known{}
	for name, paths := range in {
		for _, path := range paths {
			if path != "" {
				known.Add(name, path, factsOf(path, reading(config)))
			}
		}
	}
	return known
}

// published tells of a model whether it, or what it was trained from, was made
// elsewhere: its lineage leads to an import, or to what no stage wrote.
func published(path string) bool {
	const longest = 64 // steps of a lineage; more are a circle
	for range longest {
		m, err := artifact.Open(path, false)
		if err != nil || m.Kind == "import" {
			return true
		}
		from := ""
		for _, role := range []string{"base", "policy", "model"} {
			if in, ok := m.Inputs[role]; ok {
				from = in.Path
			}
		}
		if from == "" {
			return false // it began with random weights
		}
		path = seenFrom(path, from)
	}
	return true
}

// seenFrom finds the path that a stage in a folder read. One that is relative was so to
// where alma was called then, which was most likely a folder above the stage's.
func seenFrom(folder, path string) string {
	if exists(path) || filepath.IsAbs(path) {
		return path
	}
	above, err := filepath.Abs(folder)
	if err != nil {
		return path
	}
	for next := filepath.Dir(above); next != above; next = filepath.Dir(above) {
		above = next
		if at := filepath.Join(above, path); exists(at) {
			return at
		}
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
