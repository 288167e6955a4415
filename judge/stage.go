// Package judge puts answers in order by a named rule, as a stage: a stand-in where
// no person has ranked them. What it writes says in every line which rule it was, so
// that nobody takes it for people's.
package judge

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// Files of the stage.
const (
	RankingsFile   = "rankings.jsonl"
	ValidationFile = "validation.jsonl"
)

// The rules.
const (
	ByLength  = "length"
	ByReward  = "reward"
	ByCommand = "command"
)

// Config configures the stage.
type Config struct {
	By      string  `yaml:"by" json:"by" doc:"the rule: an answer's length, a reward model, or a program" enum:"length,reward,command"`
	Words   int     `yaml:"words" json:"words" doc:"by length: the nearer to so many words, the better" min:"1"`
	Command string  `yaml:"command" json:"command,omitempty" doc:"by command: program that reads a line for each answer and writes a number for each, as PPO's reward_command"`
	Noise   float64 `yaml:"noise" json:"noise" doc:"scale of the noise on the rule's numbers: two that differ by d keep their order with probability σ(d/noise)" min:"0"`
	Seed    uint64  `yaml:"seed" json:"seed" doc:"of the noise"`

	dataset.Reading `yaml:",inline"`

	// Precision is that of the engine, empty for fp32; see train.OptimizerConfig.
	Precision string `yaml:"-" json:"precision,omitempty"`
}

// InPrecision records the precision of the engine that the stage runs on.
func (c *Config) InPrecision(precision string) { c.Precision = precision }

// Defaults rank by length, for want of anything better.
func Defaults() Config { return Config{By: ByLength, Words: 40, Reading: dataset.DefaultReading()} }

// Stage is ranking by a rule as a stage.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "rank", Title: "Rankings by a rule",
	Does:     "Puts sampled answers in order by a named rule, in place of people; every ranking names the rule.",
	Defaults: Defaults,
	Inputs: []stage.Input{
		{Name: "answers", Kinds: stage.Of(stage.Answers, stage.Rankings), Required: true, Doc: "answers to put in order"},
		{Name: "validation", Kinds: stage.Of(stage.Answers, stage.Rankings), Doc: "answers to put in order for validation"},
		{Name: "reward", Kinds: stage.Of(stage.RewardModel), Doc: "the reward model, where by is reward"},
	},
	Outputs: []stage.Output{
		{Path: RankingsFile, Kind: stage.Rankings, Doc: "the rankings"},
		{Part: "validation", Path: ValidationFile, Kind: stage.Rankings, Doc: "the rankings of the validation answers, if there are any"},
	},
	Check: func(_ context.Context, c Config, in stage.Inputs, tell stage.Tell) error {
		return errors.Join(c.check(in), stage.CheckFiles(in, tell, func(path string) (fmt.Stringer, error) { return dataset.Told(dataset.ReadAnswers(path, c.Reading)) }, "answers", "validation"))
	},
	Run: run,
	Estimate: func(_ Config, in stage.Known) (stage.Estimate, error) {
		return stage.Estimate{Leaves: map[string]stage.Facts{"": in["answers"], "validation": in["validation"]}}, nil
	},
	Describe: describe,
	Verb: &stage.Verb{
		Name:  "rank rule",
		Short: "Put answers in order by a rule, in place of people",
		Long: `Put sampled answers in order by a rule: their length, a reward model, or a program
that reads a line for each answer and writes a number for each. Every ranking names the
rule as its annotator, so that nobody takes it for people's.`,
		After: "The folder receives rankings.jsonl, and validation.jsonl for answers to validate on.",
		Examples: []string{
			"alma rank rule --answers answers/answers.jsonl --out rankings --set words=30",
			"alma rank rule --answers answers/answers.jsonl --reward reward --set by=reward --out rankings",
		},
	},
})

// check refuses a rule without what it judges by.
func (c Config) check(in stage.Inputs) error {
	switch {
	case (c.By == ByReward) != (in.Path("reward") != ""):
		return artifact.Errorf(artifact.ErrUsage, "configuring rank: a reward model is judged by where by is reward, and by is %s; give both or neither", c.By)
	case (c.By == ByCommand) != (c.Command != ""):
		return artifact.Errorf(artifact.ErrUsage, "configuring rank: a program is judged by where by is command, and by is %s; give both or neither", c.By)
	}
	return nil
}

// judged is a file of answers in order.
type judged struct {
	rankings []dataset.Ranking
	sum      float64 // of the rule's numbers
	answers  int     // in the rankings
	empty    int     // answers left out: they have no text
	unjudged int     // answers left out: the rule has no number for them
	alone    int     // prompts left out: fewer than two answers are left
	tied     int     // prompts all of whose answers tie
	kept     float64 // pairs that keep the rule's order; a tie counts half
	pairs    int     // of different numbers
}

func run(ctx context.Context, w *stage.Work, c Config) error {
	if err := c.check(w.In); err != nil {
		return err
	}
	var rule preference.Rule
	var model *preference.RewardModel
	var err error
	switch c.By {
	case ByReward:
		model, err = preference.OpenRewardModel(w.Engine, w.In.Path("reward"))
		rule = model
	case ByCommand:
		rule, err = preference.NewProgram(c.Command)
	default:
		rule = preference.Length(c.Words)
	}
	if err != nil {
		return err
	}
	w.Manifest.Metrics = artifact.Metrics{}
	for _, f := range []struct{ input, prefix, file string }{{"answers", "", RankingsFile}, {"validation", "validation/", ValidationFile}} {
		path := w.In.Path(f.input)
		if path == "" {
			continue
		}
		file, err := dataset.ReadAnswers(path, c.Reading)
		if err != nil {
			return err
		}
		file.Record(w.Log, &w.Manifest)
		answers := file.Rows
		j, err := c.judge(ctx, rule, f.input, answers)
		if err != nil {
			return fmt.Errorf("judging %s: %w", path, err)
		}
		if len(j.rankings) == j.tied {
			return artifact.Errorf(artifact.ErrUsage, "judging %s: of %d prompts %d have fewer than two answers that the rule can judge, and the answers to the others all tie, so there is nothing to learn; sample more answers, at a higher temperature, or judge by another rule", path, len(answers), j.alone)
		}
		if err := dataset.WriteRankings(w.Path(f.file), j.rankings); err != nil {
			return err
		}
		for name, value := range map[string]float64{
			"prompts": float64(len(j.rankings)), "answers": float64(j.answers), "score": j.sum / float64(j.answers), "agreement": j.kept / float64(max(1, j.pairs)),
			"tied": float64(j.tied), "alone": float64(j.alone), "empty": float64(j.empty), "unjudged": float64(j.unjudged),
		} {
			w.Manifest.Metrics[f.prefix+name] = value
		}
		w.Log.Printf("rank: %s: %s prompts, %s answers by the %s (not by people), mean %.3f; %.1f%% of the pairs keep its order; %s prompts tie; left out: %s prompts with fewer than two answers, %s empty answers, %s that the rule cannot judge",
			f.input, progress.Count(int64(len(j.rankings))), progress.Count(int64(j.answers)), c.annotator(rule), j.sum/float64(j.answers), 100*j.kept/float64(max(1, j.pairs)),
			progress.Count(int64(j.tied)), progress.Count(int64(j.alone)), progress.Count(int64(j.empty)), progress.Count(int64(j.unjudged)))
	}
	if model != nil {
		w.Manifest.FLOPs = float64(model.FLOPs())
	}
	w.Manifest.Extra = map[string]string{"annotator": c.annotator(rule)}
	w.Manifest.Notes = []string{"The rankings are not people's: they were made by the " + c.annotator(rule) + "."}
	return nil
}

// annotator is what the rankings say of who made them.
func (c Config) annotator(rule preference.Rule) string {
	name := "rule: " + rule.Name()
	if c.Noise > 0 {
		name += fmt.Sprintf(", noise %g", c.Noise)
	}
	return name
}

// judge puts the answers to each prompt in order. part tells the noise of several
// files apart.
func (c Config) judge(ctx context.Context, rule preference.Rule, part string, answers []dataset.Answers) (j judged, err error) {
	var all []dataset.Completion
	for _, a := range answers {
		all = append(all, a.All()...)
	}
	scores, err := rule.Judge(ctx, all)
	if err != nil {
		return j, err
	}
	stream := compute.Stream("rule's noise: " + part)
	for i, a := range answers {
		own := scores[:len(a.Completions)]
		scores = scores[len(a.Completions):]
		r := dataset.Ranking{Prompt: a.Prompt, Annotator: c.annotator(rule)}
		var numbers, noisy []float64
		first := map[string]int{}
		for k, text := range a.Completions {
			switch {
			case text == "" && a.Prompt.Prefill == "":
				j.empty++
				continue
			case math.IsNaN(own[k]):
				j.unjudged++
				continue
			}
			// The same text has one rank, and so one number: that of the first.
			x := own[k]
			// The counter leaves room for 2^20 answers a prompt.
			y := x + c.Noise*gumbel(compute.Uniform(c.Seed, stream, uint64(i)<<20|uint64(k)))
			if at, ok := first[text]; ok {
				x, y = numbers[at], noisy[at]
			} else {
				first[text] = len(numbers)
			}
			numbers, noisy = append(numbers, x), append(noisy, y)
			r.Completions, r.Ended = append(r.Completions, text), append(r.Ended, a.EndedAt(k))
		}
		if len(noisy) < 2 {
			j.alone++
			continue
		}
		r.Ranks = ranks(noisy)
		for k, x := range numbers {
			j.sum += x
			j.answers++
			for l := range k {
				d, e := x-numbers[l], noisy[k]-noisy[l]
				switch {
				case d == 0:
					continue
				case e == 0:
					j.kept += .5
				case (d > 0) == (e > 0):
					j.kept++
				}
				j.pairs++
			}
		}
		if len(dataset.Pairs(r.Ranks)) == 0 {
			j.tied++
		}
		j.rankings = append(j.rankings, r)
	}
	return j, nil
}

// ranks are 1 and one for each larger number: equal ones tie.
func ranks(scores []float64) []int {
	out := make([]int, len(scores))
	for i, x := range scores {
		out[i] = 1
		for _, y := range scores {
			if y > x {
				out[i]++
			}
		}
	}
	return out
}

// gumbel turns a uniform number in [0, 1) into one with the standard Gumbel
// distribution, with which two scores that differ by d keep their order with
// probability σ(d/noise) (Luce 1959; Yellott 1977), as a reward model's loss has it.
// The shift by half a step keeps both logarithms finite.
func gumbel(u float64) float64 { return -math.Log(-math.Log(u + 0x1p-54)) }

func describe(d stage.Done, _ Config) (out stage.Description, err error) {
	t := stage.Table{Title: "Ranked by the " + d.Manifest.Extra["annotator"], Columns: []string{"Answers", "prompts", "answers", "mean of the rule", "pairs in its order", "prompts that tie"}}
	for _, f := range []struct{ name, prefix string }{{"for training", ""}, {"for validation", "validation/"}} {
		if d.Metric(f.prefix+"prompts") == 0 {
			continue
		}
		count := func(name string) string { return progress.Count(int64(d.Metric(f.prefix + name))) }
		t.Rows = append(t.Rows, []string{f.name, count("prompts"), count("answers"), fmt.Sprintf("%.3f", d.Metric(f.prefix+"score")), fmt.Sprintf("%.1f%%", 100*d.Metric(f.prefix+"agreement")), count("tied")})
		if left := d.Metric(f.prefix+"alone") + d.Metric(f.prefix+"empty") + d.Metric(f.prefix+"unjudged"); left > 0 {
			out.Notes = append(out.Notes, fmt.Sprintf("Left out %s: %s prompts with fewer than two answers, %s empty answers, %s that the rule cannot judge.", f.name, count("alone"), count("empty"), count("unjudged")))
		}
	}
	out.Tables = []stage.Table{t}
	return out, nil
}
