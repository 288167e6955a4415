package stage_test

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
	"github.com/seed-b72bdb6c/alma/stage"
)

type config struct {
	Word      string `json:"word"`
	Precision string `json:"precision,omitempty"`
	// Broken configurations are refused.
	Broken bool `json:"broken"`
}

func (c *config) InPrecision(p string) { c.Precision = p }

func (c config) Validate() error {
	if c.Broken {
		return errors.New("broken")
	}
	return nil
}

// copying writes a word and what it read into a file.
func copying(version int, runs *int) *stage.Stage {
	return stage.Define(stage.Definition[config]{
		Kind: "copy", Title: "Copy", Does: "Copies.", Version: version,
		Defaults: func() config { return config{Word: "hello"} },
		Inputs:   []stage.Input{{Name: "from", Kinds: stage.Of(stage.PlainText), Required: true}, {Name: "more", Kinds: stage.Of(stage.PlainText), Many: true}},
		Outputs:  []stage.Output{{Path: "out.txt", Kind: stage.PlainText}},
		Complete: func(_ config, in stage.Inputs) (stage.Inputs, error) {
			if len(in["more"]) == 0 {
				in["more"] = in["from"]
			}
			return in, nil
		},
		Run: func(_ context.Context, w *stage.Work, c config) error {
			*runs++
			data, err := os.ReadFile(w.In.Path("from"))
			if err != nil {
				return err
			}
			w.Manifest.Metrics = artifact.Metrics{"bytes": float64(len(data))}
			return artifact.WriteFile(w.Path("out.txt"), []byte(c.Word+string(data)))
		},
	})
}

func TestAJobIsDoneAgainWhenItsConfigurationCodeOrInputsChangeAndOnlyThen(t *testing.T) {
	dir := t.TempDir()
	input := filepath.Join(dir, "in.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(input, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	runs := 0
	job := &stage.Job{Name: "mine", Stage: copying(1, &runs), Config: &config{Word: "hello"}, In: stage.Inputs{"from": {input}}, Out: filepath.Join(dir, "out")}
	standing := func() stage.Standing {
		t.Helper()
		s, err := job.Standing()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := standing(); s.Complete() || s.Unchanged() {
		t.Errorf("before it ran: %+v", s)
	}
	env := stage.Environment{Record: map[string]string{"engine": "none"}}
	m, err := job.Run(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	if m.Kind != "copy" || m.Version != 0 || m.Environment["engine"] != "none" || m.Inputs["more"].Path != input || m.Metrics["bytes"] != 3 {
		t.Errorf("the manifest is %+v", m)
	}
	if s := standing(); !s.Unchanged() {
		t.Errorf("after it ran: %v", s.Changed)
	}
	for name, c := range map[string]struct {
		change func()
		want   string
	}{
		"configuration": {func() { job.Config = &config{Word: "bye"} }, `word was "hello" and is "bye"`},
		"precision":     {func() { stage.InPrecision(job.Config, "bf16") }, `precision is new ("bf16")`},
		"code":          {func() { job.Stage = copying(2, &runs) }, "the code of the stage was version 1 and is 2"},
		"content":       {func() { write("two") }, "input from has other content"},
		"another input": {func() { job.In = stage.Inputs{"from": {input}, "more": {input, input}} }, "input more is gone"},
	} {
		before := *job
		before.Config = &config{Word: "hello"}
		c.change()
		if s := standing(); !s.Complete() || s.Unchanged() || !slices.ContainsFunc(s.Changed, func(x string) bool { return strings.Contains(x, c.want) }) {
			t.Errorf("%s: %v, want %q", name, s.Changed, c.want)
		}
		*job = before
		write("one")
	}
	if s := standing(); !s.Unchanged() || runs != 1 {
		t.Errorf("set back: %v after %d runs", s.Changed, runs)
	}

	job.Stage = copying(2, &runs)
	if m, err = job.Run(t.Context(), env); err != nil || m.Version != 2 || runs != 2 {
		t.Errorf("with newer code: %v, version %d", err, m.Version)
	}
	if s := standing(); !s.Unchanged() {
		t.Errorf("after it ran with newer code: %v", s.Changed)
	}
}

func TestWhatAJobCannotReadLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	job := &stage.Job{Name: "mine", Stage: copying(1, &runs), Config: &config{}, In: stage.Inputs{"from": {filepath.Join(dir, "none")}}, Out: filepath.Join(dir, "out")}
	if _, err := job.Run(t.Context(), stage.Environment{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "opening from") {
		t.Errorf("a missing input: %v", err)
	}
	job.Config = &config{Broken: true}
	if _, err := job.Run(t.Context(), stage.Environment{}); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a broken configuration: %v", err)
	}
	if _, err := os.Stat(job.Out); !errors.Is(err, os.ErrNotExist) || runs > 0 {
		t.Errorf("the folder is left: %v; %d runs", err, runs)
	}
	job.In["from"] = []string{dir}
	job.Out = dir
	if err := job.CheckInputs(); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "it is also the from") {
		t.Errorf("an input that is the output: %v", err)
	}
}

func TestARunWithAConfigurationOfAnotherTypeIsRefused(t *testing.T) {
	runs := 0
	if _, err := stage.Run(t.Context(), stage.Environment{}, copying(1, &runs), struct{ X int }{1}, nil, t.TempDir()); err == nil || runs > 0 {
		t.Errorf("got %v after %d runs", err, runs)
	}
}

type found string

func (f found) String() string { return string(f) }

func TestFilesOfAUsersAreReadBeforeAnythingRuns(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for _, path := range []string{good, bad} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) (fmt.Stringer, error) {
		if path == bad {
			return nil, errors.New("bad: line 3")
		}
		return found("3 rows"), nil
	}
	told := ""
	tell := func(found fmt.Stringer) { told += found.String() }
	in := stage.Inputs{"a": {good, filepath.Join(dir, "later")}, "b": {bad}, "c": {dir}}
	if err := stage.CheckFiles(in, tell, read, "a"); err != nil || told != "3 rows" {
		t.Errorf("told %q, %v", told, err)
	}
	if err := stage.CheckFiles(in, tell, read, "a", "b"); err == nil || !strings.Contains(err.Error(), "opening b: bad: line 3") {
		t.Errorf("got %v", err)
	}
	if err := stage.CheckFiles(in, tell, read, "b", "c"); err == nil || !strings.Contains(err.Error(), "bad: line 3\nopening c: ") {
		t.Errorf("of two bad files: %v", err)
	}
	if err := stage.CheckFiles(in, tell, read, "c"); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("got %v", err)
	}
}
