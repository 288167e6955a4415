package reward

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
)

// Stage is reward modelling as a stage.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "reward", Title: "Reward model",
	Does:     "Replaces a fine-tuned model's head by one number and trains it on rankings, with a loss over all pairs of a prompt's answers; demonstrations, if given, score 0 on average.",
	Defaults: Defaults,
	Inputs: []stage.Input{
		{Name: "base", Kinds: stage.Of(stage.Model, stage.RewardModel), Required: true, Doc: "the fine-tuned model to start from"},
		{Name: "rankings", Kinds: stage.Of(stage.Rankings), Required: true, Doc: "rankings or pairs to learn"},
		{Name: "validation", Kinds: stage.Of(stage.Rankings), Doc: "rankings or pairs to measure on"},
		{Name: "demonstrations", Kinds: stage.Of(stage.Dialogues), Doc: "dialogues whose rewards shall be 0 on average"},
	},
	Outputs: []stage.Output{{Kind: stage.RewardModel, Doc: "the reward model"}},
	Check: func(_ context.Context, c Config, in stage.Inputs, tell stage.Tell) error {
		return errors.Join(
			stage.CheckFiles(in, tell, func(path string) (fmt.Stringer, error) { return dataset.Told(dataset.ReadRankings(path, c.Reading)) }, "rankings", "validation"),
			stage.CheckFiles(in, tell, func(path string) (fmt.Stringer, error) { return dataset.Told(dataset.ReadDialogues(path, c.Reading)) }, "demonstrations"),
		)
	},
	Run: func(ctx context.Context, w *stage.Work, c Config) error {
		return run(ctx, w, c, Inputs{Base: w.In.Path("base"), Rankings: w.In.Path("rankings"), Validation: w.In.Path("validation"), Demonstrations: w.In.Path("demonstrations")})
	},
	Derive:   derive,
	Estimate: estimate,
	Charts: []stage.Chart{
		{Title: "Loss", Unit: "nats a pair", Curves: [][2]string{{"loss", "training"}, {"validation/nll", "validation"}}},
		{Title: "Accuracy", Unit: "share of pairs", Curves: [][2]string{{"accuracy", "training"}, {"validation/accuracy", "validation"}}},
		{Title: "Calibration error", Unit: "share", Curves: [][2]string{{"validation/ece", "validation"}}},
		train.GradientChart, train.RateChart,
	},
	Describe: describe,
	Verb: &stage.Verb{
		Name:  "reward",
		Short: "Train a reward model from rankings, and ask it for rewards",
		Long: `Train a reward model from people's rankings: the fine-tuned model with one
number in place of its softmax, a loss over all pairs of a prompt's completions.
Rankings are JSON Lines (docs/formats/rankings.md), rank 1 is the best:

  {"prompt":"…","completions":["…","…","…"],"ranks":[2,1,3]}
  {"prompt":"…","chosen":"…","rejected":"…"}

With demonstrations, dialogues that people wrote, the rewards are moved so that
theirs are 0 on average. Without, only differences of rewards mean something.`,
		After: `The folder receives the model, validation.json if there are validation rankings,
metrics.jsonl, TensorBoard events and checkpoints; given again, an interrupted
command goes on from the last checkpoint with the same bits.`,
		Examples: []string{
			"alma reward --base model --rankings rankings.jsonl --validation held-out.jsonl --out reward",
			"alma reward --base model --rankings pairs.jsonl --demonstrations dialogues.jsonl --out reward --set lr=2e-4",
		},
	},
})

func (in Inputs) paths() stage.Inputs {
	paths := stage.Inputs{"base": {in.Base}, "rankings": {in.Rankings}}
	for name, path := range map[string]string{"validation": in.Validation, "demonstrations": in.Demonstrations} {
		if path != "" {
			paths[name] = []string{path}
		}
	}
	return paths
}

// describe tells what the rankings were and how far the model foretells them.
func describe(d stage.Done, _ Config) (out stage.Description, err error) {
	count := func(name string) string { return progress.Count(int64(d.Metric(name))) }
	out.Notes = []string{fmt.Sprintf("%s ranked prompts; %s were too long and %s had ties only.", count("rankings"), count("dropped_long"), count("dropped_tied"))}
	if who := d.Manifest.Extra["annotators"]; who != "" {
		out.Notes = append(out.Notes, "Ranked by: "+who+".")
	}
	v, err := ReadValidation(d.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		out.Tables = v.tables()
	}
	return out, err
}

// ReadValidation reads what the stage measured on its validation rankings;
// fs.ErrNotExist where there were none.
func ReadValidation(folder string) (v Validation, err error) {
	err = artifact.ReadJSON(filepath.Join(folder, ValidationFile), &v)
	return v, err
}

// interval writes the interval of the accuracy, "–" where a stage measured none.
func (v Validation) interval() string {
	if v.Interval.N < 2 {
		return "–"
	}
	return fmt.Sprintf("%.3f to %.3f", v.Interval.Low, v.Interval.High)
}

func (v Validation) tables() []stage.Table {
	bins := func(title, column, note string, bins stats.Bins, label func(low, high float64) string) stage.Table {
		t := stage.Table{Title: title, Columns: []string{column, "pairs", "claimed", "right"}, Note: note}
		for i, b := range bins {
			high := math.Inf(1)
			if i+1 < len(bins) {
				high = bins[i+1].Low
			}
			cells := []string{label(b.Low, high), progress.Count(int64(b.N)), "–", "–"}
			if b.N > 0 {
				cells[2], cells[3] = fmt.Sprintf("%.3f", b.Confidence), fmt.Sprintf("%.3f", b.Accuracy)
			}
			t.Rows = append(t.Rows, cells)
		}
		return t
	}
	interval := func(unbounded string) func(low, high float64) string {
		return func(low, high float64) string {
			if math.IsInf(high, 1) {
				return fmt.Sprintf("%g %s", low, unbounded)
			}
			return fmt.Sprintf("%g to %g", low, high)
		}
	}
	return []stage.Table{
		{Title: "On the validation rankings", Columns: []string{"Prompts", "pairs", "accuracy", "95 % interval", "−log likelihood", "calibration error"},
			Rows: [][]string{{progress.Count(int64(v.Prompts)), progress.Count(int64(v.Pairs)), fmt.Sprintf("%.3f", v.Accuracy), v.interval(), fmt.Sprintf("%.3f", v.NLL), fmt.Sprintf("%.3f", v.ECE)}},
			Note: "Chance is .500. Annotators who disagree with themselves set a bound that no model can be expected to pass."},
		bins("Calibration", "Confidence", "Pairs by the probability σ(|lead|) that the model gives its own order: claimed and right should be alike.", v.Reliability, interval("to 1")),
		bins("By the model's lead", "Lead, nats", "", v.ByMargin, interval("and more")),
		bins("By the annotator's ranks", "Ranks apart", "", v.ByRankGap, func(low, _ float64) string { return fmt.Sprintf("%g", low) }),
	}
}
