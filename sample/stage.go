// Package sample lets a model answer prompts several times each, as a stage: what
// people, or a rule, then put in order (package judge), and a reward model learns.
package sample

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/generate/answers"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// Files of the stage.
const (
	AnswersFile    = "answers.jsonl"
	ValidationFile = "validation.jsonl"
)

// Config configures the stage.
type Config struct {
	K           int     `yaml:"k" json:"k" doc:"answers to each prompt" min:"1"`
	Temperature float64 `yaml:"temperature" json:"temperature" doc:"of the sampling; 0 takes the most likely token, and then all answers to a prompt are one" min:"0"`
	TopP        float64 `yaml:"top_p" json:"top_p" doc:"sample from the most likely tokens that reach this probability" above:"0" max:"1"`
	MaxTokens   int     `yaml:"max_tokens" json:"max_tokens" doc:"longest answer; a prompt that leaves no room for it is left out" min:"1"`
	Prompts     int     `yaml:"max_prompts" json:"max_prompts" doc:"prompts, drawn by the seed; 0: all" min:"0"`
	Validation  int     `yaml:"validation" json:"validation" doc:"more prompts, drawn by the seed, whose answers are held out" min:"0"`
	Context     int     `yaml:"context" json:"context" doc:"tokens of a prompt with its answer; 0: the model's context" min:"0"`
	Slots       int     `yaml:"slots" json:"slots" doc:"answers that are written at one time; they change none" min:"1"`
	Seed        uint64  `yaml:"seed" json:"seed" doc:"of the choice of prompts and of the sampling"`

	dataset.Reading `yaml:",inline"`

	// Precision is that of the engine, empty for fp32; see train.OptimizerConfig.
	Precision string `yaml:"-" json:"precision,omitempty"`
}

// InPrecision records the precision of the engine that the stage runs on.
func (c *Config) InPrecision(precision string) { c.Precision = precision }

// Defaults are four answers to each prompt, as InstructGPT's annotators had from 4 on.
func Defaults() Config {
	return Config{K: 4, Temperature: 1, TopP: 1, MaxTokens: 128, Slots: 32, Reading: dataset.DefaultReading()}
}

// Stage is sampling as a stage.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "answers", Title: "Answers",
	Does:     "Lets a model answer prompts, several times each. A stage that was killed begins again, and writes the same answers.",
	Defaults: Defaults,
	Inputs: []stage.Input{
		{Name: "model", Kinds: stage.Of(stage.Model), Required: true, Doc: "the model that answers"},
		{Name: "prompts", Kinds: stage.Of(stage.Prompts, stage.Dialogues), Required: true, Doc: "prompts, or dialogues of whose last turn another is asked for"},
	},
	OutputsOf: func(c Config) []stage.Output {
		out := []stage.Output{{Path: AnswersFile, Kind: stage.Answers, Doc: "the answers, a line for each prompt"}}
		if c.Validation > 0 {
			out = append(out, stage.Output{Part: "validation", Path: ValidationFile, Kind: stage.Answers, Doc: "answers to other prompts, held out"})
		}
		return out
	},
	Check: func(_ context.Context, c Config, in stage.Inputs, tell stage.Tell) error {
		return stage.CheckFiles(in, tell, func(path string) (fmt.Stringer, error) { return dataset.Told(dataset.ReadAsked(path, c.Reading)) }, "prompts")
	},
	Run: run,
	Estimate: func(c Config, in stage.Known) (stage.Estimate, error) {
		n := in["prompts"].Rows
		held := min(int64(c.Validation), n)
		n -= held
		if c.Prompts > 0 {
			n = min(n, int64(c.Prompts))
		}
		answer := assumedAnswer * float64(c.MaxTokens)
		prompt := max(1, in["prompts"].RowTokens-answer)
		e, err := generate.Estimate(in["model"], c.Slots, prompt, answer, float64(n+held)*float64(c.K))
		facts := func(rows int64) stage.Facts { return stage.Facts{Rows: rows, Each: c.K, RowTokens: prompt + answer} }
		e.Leaves = map[string]stage.Facts{"": facts(n), "validation": facts(held)}
		return e, err
	},
	Describe: describe,
	Verb: &stage.Verb{
		Name:  "answers",
		Short: "Let a model answer many prompts, several times each",
		Long: `Let a model answer the prompts of a file, K times each, for people or a rule to put
in order. Prompts that are there twice are asked once; those that leave no room for an
answer are left out and counted. For a prompt or two, on the screen: alma sample.`,
		After: `The folder receives answers.jsonl and, with validation, validation.jsonl: lines
to which "ranks" can be added (docs/formats/rankings.md).`,
		Examples: []string{
			"alma answers --model model --prompts prompts.jsonl --out answers",
			"alma answers --model model --prompts prompts.jsonl --out answers --set k=6 --set max_prompts=200",
		},
	},
})

// assumedAnswer is the share of max_tokens that an answer takes.
const assumedAnswer = .6

func run(ctx context.Context, w *stage.Work, c Config) error {
	path := w.In.Path("prompts")
	all, err := dataset.ReadAsked(path, c.Reading)
	if err != nil {
		return err
	}
	m, tok, err := train.LoadModel(w.Engine, w.In.Path("model"))
	if err != nil {
		return err
	}
	train.WarnAssumed(w, w.In.Path("model"), tok)
	template, err := chat.For(tok)
	if err != nil {
		return err
	}
	if err := dataset.Renderable(template, all); err != nil {
		return err
	}
	all.Record(w.Log, &w.Manifest)
	asked, repeated := answers.Distinct(all.Rows)
	prompts := make([]dataset.Prompt, len(asked))
	for i, a := range asked {
		prompts[i] = a.Prompt
	}
	// Those without room are left out before any is drawn, so that as many answer
	// as were asked for.
	writer, err := answers.NewWriter(m, tok, prompts, answers.Options{Slots: c.Slots, Context: c.Context, MaxTokens: c.MaxTokens})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	room := len(writer.Prompts)
	if c.Validation >= room {
		return artifact.Errorf(artifact.ErrUsage, "configuring answers: validation holds out %d of %d prompts that leave room for an answer (%s), which leaves none; give fewer, or more prompts", c.Validation, room, path)
	}
	drawn, held := answers.Draw(c.Seed, room, c.Prompts, c.Validation)
	lists := []struct {
		file, label string
		places      []int
	}{{AnswersFile, "answering", drawn}, {ValidationFile, "answering held-out prompts", held}}
	var ended, written, empty float64
	for _, l := range lists {
		if len(l.places) == 0 {
			continue
		}
		part := writer.Of(l.places)
		texts, err := part.Write(ctx, w.Log, l.label, c.K, answers.Sampling{Temperature: c.Temperature, TopP: c.TopP, Seed: c.Seed})
		if err != nil {
			return err
		}
		lines := make([]dataset.Answers, len(texts))
		for i, list := range texts {
			lines[i].Prompt = part.Prompts[i]
			for _, a := range list {
				lines[i].Completions = append(lines[i].Completions, a.Text)
				lines[i].Ended = append(lines[i].Ended, a.Ended)
				written++
				if a.Ended {
					ended++
				}
				if a.Text == "" {
					empty++
				}
			}
		}
		if err := dataset.WriteAnswers(w.Path(l.file), lines); err != nil {
			return err
		}
	}
	w.Log.Printf("answers: %s prompts × %d answers, %s held out; %.1f%% end by themselves; %s prompts leave no room for %d tokens, %s are there twice",
		progress.Count(int64(len(drawn))), c.K, progress.Count(int64(len(held))), 100*ended/written, progress.Count(int64(len(asked)-room)), c.MaxTokens, progress.Count(int64(repeated)))
	w.Manifest.FLOPs = float64(writer.FLOPs())
	w.Manifest.Metrics = artifact.Metrics{
		"prompts": float64(len(drawn)), "validation": float64(len(held)), "answers": written,
		"ended": ended / written, "empty": empty / written, "no_room": float64(len(asked) - room), "repeated": float64(repeated),
	}
	return nil
}

func describe(d stage.Done, c Config) (out stage.Description, err error) {
	count := func(name string) string { return progress.Count(int64(d.Metric(name))) }
	out.Notes = []string{fmt.Sprintf("%d answers to each of %s prompts, and to %s more that are held out; %.1f%% end by themselves, %.1f%% are empty. %s prompts left no room for %d tokens, %s were there twice.",
		c.K, count("prompts"), count("validation"), 100*d.Metric("ended"), 100*d.Metric("empty"), count("no_room"), c.MaxTokens, count("repeated"))}
	const shown = 5
	file, err := dataset.ReadAnswers(filepath.Join(d.Folder, AnswersFile), dataset.Reading{BadRows: dataset.Stop})
	if err != nil {
		return out, err
	}
	list := file.Rows
	t := stage.Table{Title: "Some answers", Columns: []string{"Prompt"}, Note: "[…] marks an answer that was cut off."}
	for k := range c.K {
		t.Columns = append(t.Columns, fmt.Sprint("answer ", k+1))
	}
	for i := range min(shown, len(list)) {
		a := list[i*len(list)/min(shown, len(list))]
		row := []string{a.Prompt.Text()}
		for k, text := range a.Completions {
			if text = a.Prompt.Prefill + text; !a.EndedAt(k) {
				text += " […]"
			}
			row = append(row, text)
		}
		t.Rows = append(t.Rows, row)
	}
	out.Tables = append(out.Tables, t)
	return out, nil
}
