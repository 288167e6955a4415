package recipe

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/report"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// WriteReport builds report.html and report.md in a run folder, of the stages
// that are complete, and returns the outcomes: the thresholds held against what
// was recorded. Without a complete stage there is nothing to report, an
// artifact.ErrNotFound.
func WriteReport(folder string) ([]report.Outcome, error) {
	saved, err := ReadSaved(folder)
	if err != nil {
		return nil, fmt.Errorf("building the report of %s: %w", folder, err)
	}
	page, err := saved.page(folder)
	if err == nil {
		err = page.Save(folder)
	}
	if err != nil {
		return nil, fmt.Errorf("building the report of %s: %w", folder, err)
	}
	return page.Outcomes, nil
}

// StageReport builds report.html and report.md in the folder of one finished
// stage.
func StageReport(folder string) error {
	m, err := artifact.Open(folder, false)
	if errors.Is(err, artifact.ErrNotFound) {
		err = artifact.Errorf(artifact.ErrNotFound, "it is neither a run's folder, which holds %s, nor a finished stage's", File)
	}
	if err == nil {
		saved := &Saved{Head: Head{Title: m.Kind, Name: m.Kind}, Stages: []SavedStage{{Name: filepath.Base(folder), Use: m.Kind, Config: m.Config}}}
		if s := StageOf(m.Kind); s != nil {
			saved.Title, saved.About = s.Title, s.Does
		}
		var page *report.Report
		if page, err = saved.page(filepath.Dir(filepath.Clean(folder))); err == nil {
			err = page.Save(folder)
		}
	}
	if err != nil {
		return fmt.Errorf("building the report of %s: %w", folder, err)
	}
	return nil
}

// page gathers what the stages left.
func (saved *Saved) page(folder string) (*report.Report, error) {
	out := &report.Report{Title: saved.Title, Intro: saved.About, Settings: saved.Settings}
	if out.Title == "" {
		out.Title = saved.Name
	}
	manifests := map[string]*artifact.Manifest{}
	var flops, seconds float64
	var missing []string
	var last string // folder of the last model that writes text
	for _, s := range saved.Stages {
		dir := filepath.Join(folder, s.Name)
		m, err := artifact.Open(dir, false)
		if errors.Is(err, artifact.ErrNotFound) {
			missing = append(missing, s.Name)
			continue
		}
		if err != nil {
			return nil, err
		}
		manifests[s.Name] = m
		section, about, err := stagePage(s, dir, m)
		if err != nil {
			return nil, err
		}
		out.Stages = append(out.Stages, section)
		out.Artifacts = append(out.Artifacts, section.Artifact)
		out.Compute = append(out.Compute, report.StageCompute{
			Stage: s.Name, FLOPs: m.FLOPs, Seconds: m.WallSeconds, Tokens: m.Tokens, Pretraining: m.Kind == "pretrain",
		})
		out.Statement = append(out.Statement, about.Statement...)
		if len(about.Samples.Pairs) > 0 {
			out.Samples = about.Samples
		}
		flops += m.FLOPs
		seconds += m.WallSeconds
		if kinds, _ := KindsOf(dir); slices.Contains(kinds, stage.Model) {
			last = dir
		}
		out.Facts = append(out.Facts, facts(s.Name, m)...)
	}
	if len(manifests) == 0 {
		return nil, artifact.Errorf(artifact.ErrNotFound, "no stage is complete; run alma run first")
	}
	if len(missing) > 0 {
		out.Statement = append(out.Statement, "Not every stage is complete: "+strings.Join(missing, ", ")+" are missing, and with them what they would show.")
	}
	out.Facts = append(out.Facts,
		report.Fact{Name: "compute", Value: progress.Scientific(flops) + " FLOP"},
		report.Fact{Name: "time of all stages", Value: span(seconds)},
		report.Fact{Name: "seed", Value: strconv.FormatUint(saved.Seed, 10)},
		report.Fact{Name: "written by", Value: "alma " + artifact.Version()},
	)
	r := &Recipe{Head: saved.Head}
	var err error
	if out.Outcomes, err = r.Outcomes(manifests); err != nil {
		return nil, err
	}
	out.Commands = commands(folder, last)
	return out, nil
}

// facts are figures of a stage for the top of the page.
func facts(name string, m *artifact.Manifest) []report.Fact {
	switch m.Kind {
	case "pretrain":
		return []report.Fact{
			{Name: "parameters", Value: progress.Count(int64(m.Metrics["parameters"]))},
			{Name: "tokens of " + name, Value: progress.Count(m.Tokens)},
		}
	case "import":
		return []report.Fact{{Name: "parameters", Value: progress.Count(int64(m.Metrics["parameters"]))}}
	case "corpus", "godoc-corpus":
		return []report.Fact{{Name: "training text", Value: progress.Bytes(int64(m.Metrics["train/bytes"]))}}
	}
	return nil
}

// stagePage is the section of a stage.
func stagePage(s SavedStage, dir string, m *artifact.Manifest) (report.Stage, stage.Description, error) {
	sum, err := artifact.HashInput(dir)
	if err != nil {
		return report.Stage{}, stage.Description{}, err
	}
	section := report.Stage{
		Name: s.Name, Title: s.Name, Artifact: report.Artifact{Name: s.Name, Path: filepath.ToSlash(dir), SHA256: sum}, Config: m.Config, Notes: m.Notes,
	}
	for _, role := range slices.Sorted(maps.Keys(m.Inputs)) {
		section.Inputs = append(section.Inputs, report.Artifact{Name: role, Path: filepath.ToSlash(m.Inputs[role].Path), SHA256: m.Inputs[role].SHA256})
	}
	kind := StageOf(m.Kind)
	if kind == nil { // of another version of the program
		return section, stage.Description{}, nil
	}
	section.Title, section.Description = kind.Title, kind.Does
	config := kind.Config()
	if err := json.Unmarshal(m.Config, config); err != nil {
		return section, stage.Description{}, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading the configuration of %s: %w", dir, err))
	}
	about, err := kind.Describe(stage.Done{Folder: dir, Manifest: m}, config)
	if err != nil {
		return section, about, err
	}
	section.Tables, section.Notes = about.Tables, about.Notes
	for _, note := range m.Notes {
		if !slices.Contains(section.Notes, note) {
			section.Notes = append(section.Notes, note)
		}
	}
	if len(kind.Charts) > 0 {
		lines, err := train.ReadMetrics(filepath.Join(dir, train.MetricsName))
		if err != nil {
			return section, about, err
		}
		section.Charts = report.Charts(kind.Charts, lines)
	}
	return section, about, nil
}

// commands are what to type next.
func commands(folder, model string) []report.Command {
	list := []report.Command{{Does: "Look at the curves in TensorBoard:", Line: "tensorboard --logdir " + shellWord(filepath.ToSlash(folder))}}
	if model == "" {
		return list
	}
	word := shellWord(filepath.ToSlash(model))
	return append([]report.Command{
		{Does: "Chat with the model:", Line: "go run ./cmd/alma chat " + word},
		{Does: "Sample four answers to a prompt:", Line: "go run ./cmd/alma sample " + word + " -n 4 --temp 0.7 --prompt 'Hello.'"},
		{Does: "See what it was made from:", Line: "go run ./cmd/alma lineage " + word},
	}, list...)
}

// shellWord quotes a path for a shell where it must be quoted.
func shellWord(path string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._-", c)
	}
	if path != "" && !strings.ContainsFunc(path, func(c rune) bool { return !plain(c) }) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// LastModel is the folder of the last stage of a run that leaves a language model,
// "" if none is complete.
func LastModel(folder string) string {
	saved, err := ReadSaved(folder)
	if err != nil {
		return ""
	}
	last := ""
	for _, s := range saved.Stages {
		dir := filepath.Join(folder, s.Name)
		if kinds, _ := KindsOf(dir); slices.Contains(kinds, stage.Model) {
			last = dir
		}
	}
	return last
}

// Rejected lists the rows that the complete stages of a run left out of what they read.
func Rejected(folder string) ([]artifact.Rejected, error) {
	saved, err := ReadSaved(folder)
	if err != nil {
		return nil, err
	}
	var all []artifact.Rejected
	for _, s := range saved.Stages {
		m, err := artifact.Open(filepath.Join(folder, s.Name), true)
		if errors.Is(err, artifact.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m.Rejected...)
	}
	return all, nil
}
