package recipe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
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

// WriteReport builds report.html and report.md of what stands in a folder and writes
// them into a folder, which is made if missing. It is the page of a run, with its
// thresholds held against what was recorded, of one stage, or of all stages below the
// folder in the order in which one was made from another; finished or under way. Where
// there is nothing to report it is an artifact.ErrNotFound.
func WriteReport(folder, to string) (*report.Report, error) {
	page, err := Report(folder)
	if err == nil {
		err = artifact.MakeFolder(to)
	}
	if err == nil {
		err = page.Save(to)
	}
	if err != nil {
		return nil, fmt.Errorf("building the report of %s: %w", folder, err)
	}
	return page, nil
}

// Report is the page of what stands in a folder: see [WriteReport].
func Report(folder string) (*report.Report, error) {
	if IsRun(folder) {
		saved, err := ReadSaved(folder)
		if err != nil {
			return nil, err
		}
		return saved.page(folder)
	}
	folder = filepath.Clean(folder)
	if base := filepath.Base(folder); base == "." || base == ".." { // it has a name all the same
		full, err := filepath.Abs(folder)
		if err != nil {
			return nil, err
		}
		folder = full
	}
	m, _, err := open(folder)
	if err == nil {
		saved := &Saved{Head: Head{Title: m.Kind, Name: m.Kind}, Stages: []SavedStage{{Name: filepath.Base(folder), Use: m.Kind}}}
		if s := StageOf(m.Kind); s != nil {
			saved.Title, saved.About = s.Title, s.Does
		}
		return saved.page(filepath.Dir(folder))
	}
	if !errors.Is(err, artifact.ErrNotFound) {
		return nil, err
	}
	stages, err := stagesBelow(folder)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(folder, "config.json")); err == nil && len(stages) == 0 {
		return nil, artifact.Errorf(artifact.ErrNotFound, "it is a model that no stage left there: exported, or of others; give the stage's folder that it was exported from (alma lineage %s may know it)", shellWord(filepath.ToSlash(folder)))
	}
	if len(stages) == 0 {
		return nil, artifact.Errorf(artifact.ErrNotFound, "it is no run's folder, which holds %s, and no stage's, finished or under way, nor do such lie below it; give the folder of a run (runs/NAME) or what --out of a stage's verb named", File)
	}
	return (&Saved{Head: Head{Title: filepath.Base(folder), About: "The stages that lie in this folder, each after what it was made from."}, Stages: stages}).page(folder)
}

// open opens the manifest of a stage's folder: of a finished one, or of one that is
// under way what it has so far.
func open(dir string) (m *artifact.Manifest, finished bool, err error) {
	m, err = artifact.Open(dir, false)
	if !errors.Is(err, artifact.ErrNotFound) {
		return m, err == nil, err
	}
	if begun, late := artifact.OpenBegun(dir); !errors.Is(late, artifact.ErrNotFound) {
		return begun, false, late
	}
	return nil, false, err
}

// deepest is how far below a folder stages are looked for: runs/NAME/STAGE.
const deepest = 3

// stagesBelow lists the stages that lie below a folder by their paths from there: each
// after those that it was made from, the older first where that leaves it open, and
// those under way last.
func stagesBelow(folder string) ([]SavedStage, error) {
	type found struct {
		name, path, sum string
		manifest        *artifact.Manifest
		finished        bool
	}
	var all []*found
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == folder {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		f := &found{name: filepath.ToSlash(name)}
		f.manifest, f.finished, err = open(path)
		switch {
		case errors.Is(err, artifact.ErrNotFound):
			if strings.HasPrefix(d.Name(), ".") || strings.Count(f.name, "/")+1 >= deepest {
				return filepath.SkipDir
			}
			return nil
		case err != nil:
			return err
		}
		if f.path, err = filepath.Abs(path); err != nil {
			return err
		}
		if f.finished {
			if f.sum, err = artifact.HashInput(path); err != nil {
				return err
			}
		}
		all = append(all, f)
		return filepath.SkipDir
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b *found) int {
		if a.finished != b.finished {
			return map[bool]int{true: -1, false: 1}[a.finished]
		}
		return a.manifest.Created.Compare(b.manifest.Created)
	})
	// A manifest has its time in whole seconds, in which several stages may have ended.
	from := func(in artifact.Input, f *found) bool {
		path, err := filepath.Abs(in.Path)
		return err == nil && strings.HasPrefix(path+string(filepath.Separator), f.path+string(filepath.Separator)) || in.SHA256 == f.sum
	}
	var stages []SavedStage
	listed := map[*found]bool{}
	var list func(f *found)
	list = func(f *found) {
		if listed[f] {
			return
		}
		listed[f] = true
		for _, role := range slices.Sorted(maps.Keys(f.manifest.Inputs)) {
			for _, other := range all {
				if from(f.manifest.Inputs[role], other) {
					list(other)
				}
			}
		}
		stages = append(stages, SavedStage{Name: f.name, Use: f.manifest.Kind})
	}
	for _, f := range all {
		list(f)
	}
	return stages, nil
}

// page gathers what the stages left.
func (saved *Saved) page(folder string) (*report.Report, error) {
	out := &report.Report{Title: saved.Title, Intro: saved.About, Settings: saved.Settings}
	if out.Title == "" {
		out.Title = saved.Name
	}
	manifests := map[string]*artifact.Manifest{}
	var flops, seconds float64
	var missing, underway []string
	var last string // folder of the last model that writes text
	for _, s := range saved.Stages {
		dir := filepath.Join(folder, s.Name)
		m, finished, err := open(dir)
		if errors.Is(err, artifact.ErrNotFound) {
			missing = append(missing, s.Name)
			continue
		}
		if err != nil {
			return nil, err
		}
		if !finished {
			section, err := underWay(s, dir, m)
			if err != nil {
				return nil, err
			}
			out.Stages = append(out.Stages, section)
			underway = append(underway, fmt.Sprintf("%s (%s)", s.Name, section.State))
			continue
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
	if len(out.Stages) == 0 {
		return nil, artifact.Errorf(artifact.ErrNotFound, "no stage is complete or under way; run alma run first")
	}
	if len(underway) > 0 {
		out.Statement = append(out.Statement, "Not finished yet: "+strings.Join(underway, ", ")+".")
	}
	if len(missing) > 0 {
		out.Statement = append(out.Statement, "Not every stage is complete: "+strings.Join(missing, ", ")+" are missing, and with them what they would show.")
	}
	if len(manifests) > 0 {
		out.Facts = append(out.Facts,
			report.Fact{Name: "compute", Value: progress.Scientific(flops) + " FLOP"},
			report.Fact{Name: "time of all stages", Value: span(seconds)})
	}
	if saved.Alma != "" { // of a run, whose stages have one seed
		out.Facts = append(out.Facts, report.Fact{Name: "seed", Value: strconv.FormatUint(saved.Seed, 10)})
	}
	out.Facts = append(out.Facts, report.Fact{Name: "written by", Value: "alma " + artifact.Version()})
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

// sectionOf is the section of a stage without what it made.
func sectionOf(s SavedStage, m *artifact.Manifest) report.Stage {
	section := report.Stage{Name: s.Name, Title: s.Name, Config: m.Config, Notes: m.Notes}
	for _, role := range slices.Sorted(maps.Keys(m.Inputs)) {
		section.Inputs = append(section.Inputs, report.Artifact{Name: role, Path: filepath.ToSlash(m.Inputs[role].Path), SHA256: m.Inputs[role].SHA256})
	}
	if kind := StageOf(m.Kind); kind != nil { // nil: of another version of the program
		section.Title, section.Description = kind.Title, kind.Does
	}
	return section
}

// underWay is the section of a stage that is not finished: what it learned so far.
func underWay(s SavedStage, dir string, m *artifact.Manifest) (report.Stage, error) {
	section := sectionOf(s, m)
	lines, err := train.ReadMetrics(filepath.Join(dir, train.MetricsName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return section, err
	}
	section.State = "under way"
	if len(lines) > 0 {
		section.State += fmt.Sprintf(", %s steps so far", progress.Count(int64(lines[len(lines)-1].Step)))
	}
	if kind := StageOf(m.Kind); kind != nil {
		section.Charts = report.Charts(kind.Charts, lines)
	}
	return section, nil
}

// stagePage is the section of a finished stage.
func stagePage(s SavedStage, dir string, m *artifact.Manifest) (report.Stage, stage.Description, error) {
	section := sectionOf(s, m)
	sum, err := artifact.HashInput(dir)
	if err != nil {
		return section, stage.Description{}, err
	}
	section.Artifact = report.Artifact{Name: s.Name, Path: filepath.ToSlash(dir), SHA256: sum}
	kind := StageOf(m.Kind)
	if kind == nil {
		return section, stage.Description{}, nil
	}
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
