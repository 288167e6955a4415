package recipe

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/rows"
	"github.com/seed-b72bdb6c/alma/stage"
)

// Shares of the measured peak that work reaches.
const (
	shareWhileTraining = .56
	shareWhileWriting  = .35 // while sampling token by token
)

// Plan is what a recipe is expected to take.
type Plan struct {
	Peak   float64 // of the machine in FLOP/s, 0 if it was not measured
	Stages []PlannedStage
}

// PlannedStage is one stage of a Plan.
type PlannedStage struct {
	Name, Use string
	State     string // "unchanged", "to be continued", "" for what is to be done
	Known     bool   // the stage could be estimated
	stage.Estimate
	Total float64 // seconds, 0 without a peak
}

// Plan estimates the run of the recipe in a folder before anything runs: FLOPs are
// counts of the Programs that the stages run, times how often they run. peak is the
// machine's measured FLOP/s; 0 leaves the times out. What a stage refuses, such as
// a context longer than the model's, is an error. Values that nobody set are chosen by
// what is known (Step.Derive), for a process of so many bytes of memory.
func (r *Recipe) Plan(folder string, peak float64, memory int64, which Selection) (*Plan, error) {
	return r.plan(folder, peak, which, func(s *Step, known stage.Known) error {
		_, err := s.Derive(known, memory)
		return err
	})
}

func (r *Recipe) plan(folder string, peak float64, which Selection, choose func(s *Step, known stage.Known) error) (*Plan, error) {
	p := &Plan{Peak: peak}
	leaves := map[string]map[string]stage.Facts{} // by stage, then by part
	for i, s := range r.Steps {
		known := stage.Known{}
		for name, refs := range s.Inputs {
			for _, ref := range refs {
				var f stage.Facts
				if ref.Step != nil {
					f = leaves[ref.Step.Name][ref.Output.Part]
				} else {
					f = factsOf(ref.Path, reading(s.Config))
				}
				known.Add(name, ref.in(folder), f)
			}
		}
		if choose != nil {
			if err := choose(s, known); err != nil {
				return nil, r.fault(s.at, s.Name, err)
			}
		}
		job := r.Jobs(folder)[i]
		e, ok, err := job.Stage.Estimate(job.Config, known)
		if err != nil {
			return nil, r.fault(s.at, s.Name, err)
		}
		planned := PlannedStage{Name: s.Name, Use: s.Stage.Kind, Known: ok, Estimate: e}
		planned.Total = total(e, peak)
		leaves[s.Name] = e.Leaves
		if leaves[s.Name] == nil {
			leaves[s.Name] = map[string]stage.Facts{}
		}
		// What is there already is known better than it was foretold.
		if m, err := artifact.Open(job.Out, false); err == nil && m.Kind == s.Stage.Kind {
			for _, o := range s.Stage.Outputs(s.Config) {
				f := FactsOf(filepath.Join(job.Out, filepath.FromSlash(o.Path)))
				leaves[s.Name][o.Part] = better(f, leaves[s.Name][o.Part])
			}
		}
		if !which.takes(r, i) {
			planned.State = "left out"
		}
		p.Stages = append(p.Stages, planned)
	}
	r.resolve()
	return p, nil
}

// total is how many seconds a stage will take at a peak, 0 for one that is unknown.
func total(e stage.Estimate, peak float64) float64 {
	if peak == 0 {
		return 0
	}
	return e.Seconds + e.FLOPs/(peak*shareWhileTraining) + e.Sampled/(peak*shareWhileWriting)
}

// Foretell says what a stage will take: "will take about 4m10s and 1.2G of memory for 60
// steps"; "" where the stage, or a peak of 0, cannot say.
func Foretell(s *stage.Stage, config any, in stage.Known, peak float64) string {
	e, ok, err := s.Estimate(config, in)
	if !ok || err != nil { // it will be said when the stage runs
		return ""
	}
	seconds := total(e, peak)
	if seconds == 0 {
		return ""
	}
	text := "will take about " + span(seconds)
	if e.Memory > 0 {
		text += fmt.Sprintf(" and %s of memory", progress.Bytes(e.Memory))
	}
	if e.Steps > 0 {
		text += fmt.Sprintf(" for %s steps", progress.Count(e.Steps))
	}
	return text
}

// better joins what was read with what was foretold.
func better(read, foretold stage.Facts) stage.Facts {
	out := foretold
	if read.Bytes > 0 {
		out.Bytes = read.Bytes
	}
	if read.Rows > 0 {
		out.Rows, out.Each, out.RowTokens = read.Rows, max(read.Each, foretold.Each), read.RowTokens
		if read.RowTokens == 0 {
			out.RowTokens = foretold.RowTokens
		}
	}
	if read.Vocabulary > 0 {
		out.Vocabulary = read.Vocabulary
	}
	if len(read.Model) > 0 {
		out.Model, out.Published = read.Model, read.Published
	}
	return out
}

// FactsOf reads what can be told of an artifact or a file of the user's in no time:
// a model's configuration, the rows of a file.
func FactsOf(path string) stage.Facts { return factsOf(path, rows.Options{}) }

// reading is how a stage reads its files of rows.
func reading(config any) rows.Options {
	if c, ok := config.(interface{ Options() (rows.Options, error) }); ok {
		if o, err := c.Options(); err == nil {
			return o
		}
	}
	return rows.Options{}
}

func factsOf(path string, how rows.Options) stage.Facts {
	f := stage.Facts{Paths: []string{path}}
	info, err := os.Stat(path)
	if err != nil {
		return f
	}
	if c, err := file.ReadConfig(path); err == nil {
		if f.Model, err = file.MarshalConfig(c, "F32"); err == nil {
			f.Vocabulary, f.Published = c.Vocabulary, published(path)
			return f
		}
	}
	if !info.IsDir() {
		f.Bytes = info.Size()
		f.Rows, f.Each = countRows(path, how)
		if f.Rows > 0 {
			const bytesPerToken = 4.5 // of JSON around people's words
			f.RowTokens = float64(f.Bytes) / float64(f.Rows) / bytesPerToken / float64(max(1, f.Each))
		}
		return f
	}
	if m, err := artifact.Open(path, false); err == nil {
		f.Bytes = int64(m.Metrics["train/bytes"])
		f.Documents = int64(m.Metrics["train/documents"])
		f.Vocabulary = int(m.Metrics["vocabulary"])
	}
	return f
}

// maxCounted is how many rows are read for a plan. Of a longer file the number of rows
// follows from the share of it that they are.
const maxCounted = 20_000

// countRows counts the rows of a file, and the completions of its first. A file that
// holds none has none.
func countRows(path string, how rows.Options) (count int64, each int) {
	r, err := rows.Open(path, how)
	if err != nil {
		return 0, 0
	}
	defer r.Close()
	for count < maxCounted {
		row, err := r.Next()
		var bad *rows.Bad
		if err != nil && !errors.As(err, &bad) {
			break
		}
		if count++; count == 1 {
			var completions []json.RawMessage
			if json.Unmarshal(row.Fields["completions"], &completions) == nil {
				each = len(completions)
			}
		}
	}
	if share := r.Share(); count == maxCounted && share > 0 {
		count = int64(float64(count) / share)
	}
	return count, each
}

// Print writes the plan as a table, and what it rests on.
func (p *Plan) Print(w io.Writer) error {
	out := bufio.NewWriter(w)
	name := len("stage")
	for _, s := range p.Stages {
		name = max(name, len(s.Name))
	}
	fmt.Fprintf(out, "%-*s  %-16s %11s %9s %14s %9s %9s %8s\n", name, "stage", "use", "parameters", "steps", "tokens", "FLOP", "memory", "time")
	row := func(s PlannedStage) {
		cells := []string{"–", "–", "–", "–", "–", "–"}
		set := func(i int, known bool, text string) {
			if known {
				cells[i] = text
			}
		}
		set(0, s.Parameters > 0, progress.Count(s.Parameters))
		set(1, s.Steps > 0, progress.Count(s.Steps))
		set(2, s.Tokens > 0, progress.Count(s.Tokens))
		set(3, s.FLOPs+s.Sampled > 0, progress.Scientific(s.FLOPs+s.Sampled))
		set(4, s.Memory > 0, progress.Bytes(s.Memory))
		set(5, s.Total > 0, span(s.Total))
		fmt.Fprintf(out, "%-*s  %-16s %11s %9s %14s %9s %9s %8s", name, s.Name, s.Use, cells[0], cells[1], cells[2], cells[3], cells[4], cells[5])
		if s.State != "" {
			fmt.Fprintf(out, "  %s", s.State)
		}
		fmt.Fprintln(out)
	}
	all := PlannedStage{Name: "all"}
	for _, s := range p.Stages {
		row(s)
		if s.State == "left out" {
			continue
		}
		all.Tokens += s.Tokens
		all.FLOPs += s.FLOPs
		all.Sampled += s.Sampled
		all.Total += s.Total
		all.Memory = max(all.Memory, s.Memory)
	}
	row(all)
	fmt.Fprintf(out, "\nFLOPs are counted from the programs that the stages run; how often they run follows\nfrom the configuration and, where it hangs on data, from files that are there or from\nwhat is assumed. Memory is that of weights, gradients, moments, caches and tensors;\nthe program itself and its text come on top.\n")
	if p.Peak > 0 {
		fmt.Fprintf(out, "Time assumes %.0f %% of this machine's measured peak of %.0f GFLOP/s while training\nand %.0f %% while sampling.\n",
			100*shareWhileTraining, p.Peak/1e9, 100*shareWhileWriting)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("printing the plan: %w", err)
	}
	return nil
}
