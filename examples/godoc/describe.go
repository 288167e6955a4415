package godoc

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
)

// metrics are the figures that a recipe holds thresholds against. Those of an
// interval have its ends beside them, NAME/low and NAME/high.
func (r *Evaluation) metrics() artifact.Metrics {
	m := artifact.Metrics{}
	add := func(name string, e stats.Estimate) { m[name], m[name+"/low"], m[name+"/high"] = e.Value, e.Low, e.High }
	n := len(r.Systems[sftHot].Scores)
	add("sft_ended", stats.ProportionInterval(math.Round(r.Systems[sftHot].Ended*float64(n)), n))
	for _, c := range r.Comparisons {
		at := fmt.Sprintf("_t%g", c.Temperature)
		add("gain"+at, c.Difference)
		add("wins"+at, c.Wins.Rate)
	}
	add("kl", r.KL)
	m["words"] = min(r.Systems[ppoHot].Words, r.Systems[ppoCool].Words)
	m["largest_item_fall"] = max(0, r.largestFall().fall)
	m["bits_per_byte_sft"], m["bits_per_byte_ppo"] = r.BitsPerByteSFT, r.BitsPerBytePPO
	m["bits_per_byte_rise"] = r.BitsPerBytePPO/r.BitsPerByteSFT - 1
	m["reward_accuracy"], m["reward_accuracy_wide"] = r.RewardAccuracy, r.RewardAccuracyWide
	for i, s := range r.Systems {
		m["rule/"+systemNames[i]] = s.Rule.Value
	}
	return m
}

// readEvaluation reads what the stage left.
func readEvaluation(folder string) (*Evaluation, error) {
	path := filepath.Join(folder, evaluationFile)
	r := new(Evaluation)
	if err := artifact.ReadJSON(path, r); err != nil {
		return nil, err
	}
	if len(r.Systems) != len(systemNames) || len(r.Comparisons) != 2 {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: it holds %d systems and %d comparisons, want %d and 2; delete the folder of the stage and run the recipe again", path, len(r.Systems), len(r.Comparisons), len(systemNames))
	}
	return r, nil
}

// describe tells what the evaluation shows, and what it does not.
func describe(d stage.Done, c EvaluateConfig) (stage.Description, error) {
	r, err := readEvaluation(d.Folder)
	if err != nil {
		return stage.Description{}, err
	}
	fall := r.largestFall()
	return stage.Description{
		Statement: r.statement(annotatorsOf(d)),
		Tables:    []stage.Table{r.systemsTable(c), r.changeTable()},
		Samples:   r.samples(),
		Notes: []string{
			fmt.Sprintf("Largest fall of an item of the rule from SFT to PPO, over both temperatures: %s.", fall),
			fmt.Sprintf("What is left of PPO's gain where SFT alone is sharpened: PPO at temperature 1 is %+.3f of the rule from SFT at 0.7.", r.Systems[ppoHot].Rule.Value-r.Systems[sftCool].Rule.Value),
			fmt.Sprintf("Distinct openings (different first three words after the name, by comments), SFT → PPO at temperature 1: %.2f → %.2f, what PPO cost in variety.", r.Systems[sftHot].Openings, r.Systems[ppoHot].Openings),
			fmt.Sprintf("The reward model orders %d pairs of answers to validation functions as the rule does in %.3f of the cases; %d of them are at least %g of the rule apart: %.3f.", r.RewardPairs, r.RewardAccuracy, r.RewardPairsWide, wideGap, r.RewardAccuracyWide),
		},
	}, nil
}

// annotatorsOf reads who ranked the answers that the reward model learned from.
func annotatorsOf(d stage.Done) string {
	path := d.Manifest.Inputs["reward"].Path
	for _, folder := range []string{path, filepath.Join(filepath.Dir(d.Folder), filepath.Base(path))} {
		if m, err := artifact.Open(folder, false); err == nil {
			return m.Extra["annotators"]
		}
	}
	return ""
}

// statement says what the figures show. annotators are those of the reward model's
// rankings, "" if they are not known.
func (r *Evaluation) statement(annotators string) []string {
	ranked := "The rule is a written one: every figure that is called a score of the rule measures that rule and nothing else."
	switch annotators {
	case "":
	case AnnotatorName:
		ranked = "The annotator is simulated. No person ranked anything here: a written rule with noise stands in for people, and every figure that is called a score of the rule measures that rule and nothing else."
	default:
		ranked = fmt.Sprintf("The reward model was trained on rankings by %s. The scores of the rule below are those of this recipe's written rule, which those annotators may never have heard of.", annotators)
	}
	packages := fmt.Sprintf("The evaluation is on %s functions of %s packages that no stage has read.", progress.Count(int64(r.Functions)), progress.Count(int64(len(r.Packages))))
	if r.Split == string(corpus.Validation) {
		packages = fmt.Sprintf("The evaluation is on %s functions of the %s validation packages, on which settings are chosen and the reward model is measured: figures for a publication need evaluate.split: test.", progress.Count(int64(r.Functions)), progress.Count(int64(len(r.Packages))))
	}
	shown := "What this run shows is that reinforcement learning from ranked answers measurably enforces a written style: what the style asks of a comment is met more often after PPO than after supervised fine-tuning, also where the sampling is sharpened for both."
	if !r.improved() {
		shown = "This run does not show that reinforcement learning from ranked answers enforces a written style: at one temperature or both, the interval of PPO's gain over supervised fine-tuning includes 0. A larger budget, or other settings of ppo, may show it."
	}
	return []string{
		shown,
		"It does not show that a model of this size writes true documentation. The model does not understand the functions that it describes, and the rule looks at the form of a comment: one that is well formed and false scores as high as a true one.",
		ranked, packages,
	}
}

// improved reports whether PPO wrote better by the rule than SFT at both
// temperatures, as far as chance can be told apart.
func (r *Evaluation) improved() bool {
	for _, c := range r.Comparisons {
		if !c.Difference.Above(0) {
			return false
		}
	}
	return true
}

// samples are what each system wrote for some functions.
func (r *Evaluation) samples() stage.Samples {
	s := stage.Samples{Note: fmt.Sprintf("%d of the held-out functions, evenly spaced through the list and not chosen by what was written. Each system wrote one comment for each; the rule scores it item by item.", len(r.Examples))}
	most := Weights.Items()
	for _, e := range r.Examples {
		sample := stage.Sample{Prompt: PromptHeader + " " + e.Declaration, Reference: e.Reference}
		for _, a := range e.Answers {
			answer := stage.Answer{Model: a.System, Text: a.Text, Score: a.Score.Total()}
			for i, points := range a.Score.Items() {
				answer.Items = append(answer.Items, stage.Item{Name: ItemNames[i], Score: points, Max: most[i]})
			}
			sample.Answers = append(sample.Answers, answer)
		}
		s.Pairs = append(s.Pairs, sample)
	}
	return s
}

// systemsTable shows every system with every item of the rule.
func (r *Evaluation) systemsTable(c EvaluateConfig) stage.Table {
	t := stage.Table{Title: "Every system, every item of the rule", Columns: []string{"Item", "most"}}
	for i, s := range r.Systems {
		name := s.Name
		if i == bestOf {
			name = fmt.Sprintf("SFT, best of %d by the reward model", c.BestOf)
		}
		t.Columns = append(t.Columns, name)
	}
	row := func(name, most string, value func(SystemResult) string) {
		cells := []string{name, most}
		for _, s := range r.Systems {
			cells = append(cells, value(s))
		}
		t.Rows = append(t.Rows, cells)
	}
	for i, item := range ItemNames {
		row(item, fmt.Sprintf("%.2f", Weights.Items()[i]), func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Items[item]) })
	}
	row("the rule", "1.00", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Rule.Value) })
	row("95 % interval, low", "", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Rule.Low) })
	row("95 % interval, high", "", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Rule.High) })
	row("ended by itself", "1.00", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Ended) })
	row("words", "", func(s SystemResult) string { return fmt.Sprintf("%.1f", s.Words) })
	row("distinct openings", "1.00", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Openings) })
	row("reward model", "", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Reward) })
	t.Note = fmt.Sprintf("Means over %s functions of held-out packages (%s). Distinct openings: different first three words after the function's name, by the number of comments. The reward model's scores are relative: 0 is the mean of the demonstrations.",
		progress.Count(int64(r.Functions)), r.Split)
	return t
}

// changeTable shows what PPO did to every item.
func (r *Evaluation) changeTable() stage.Table {
	t := stage.Table{
		Title:   "What PPO changed",
		Columns: []string{"Item", "asks for", "change, temperature 1", "of the item, %", "change, temperature 0.7", "of the item, %"},
		Note:    "PPO minus SFT in points of the rule, and as a share of what the item can give at most.",
	}
	for i, item := range ItemNames {
		cells := []string{item, itemAsks[i]}
		for _, pair := range [][2]int{{sftHot, ppoHot}, {sftCool, ppoCool}} {
			change := r.Systems[pair[1]].Items[item] - r.Systems[pair[0]].Items[item]
			cells = append(cells, fmt.Sprintf("%+.3f", change), fmt.Sprintf("%+.1f", 100*change/Weights.Items()[i]))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// itemAsks says what each item of the rule asks of a comment, in the order of
// ItemNames. Rule.Score has the whole text.
var itemAsks = [...]string{
	"exactly one sentence, ended by a period and by the writer",
	fmt.Sprintf("%d to %d words", MinWords, MaxWords),
	fmt.Sprintf("every word in at least %d training comments, or in the declaration", MinComments),
	"a parameter, a type, or a stem of the name, after the name",
	"a verb after the name that fits the results",
	"nothing said twice",
}

// itemFall is how far an item fell from SFT to PPO; below 0 it rose.
type itemFall struct {
	item        string
	temperature float64
	fall        float64
}

// String writes `0.012 (about, temperature 1)`, and that none fell where none
// did.
func (f itemFall) String() string {
	if f.fall <= 0 {
		return "none fell"
	}
	return fmt.Sprintf("%.3f (%s, temperature %g)", f.fall, f.item, f.temperature)
}

// largestFall is in points of the rule.
func (r *Evaluation) largestFall() itemFall {
	return r.worst(func(float64) float64 { return 1 })
}

func (r *Evaluation) worst(unit func(most float64) float64) itemFall {
	worst := itemFall{fall: math.Inf(-1)}
	for i, pair := range [][2]int{{sftHot, ppoHot}, {sftCool, ppoCool}} {
		before, after := r.Systems[pair[0]].Items, r.Systems[pair[1]].Items
		for j, item := range ItemNames {
			fall := (before[item] - after[item]) / unit(Weights.Items()[j])
			if fall > worst.fall {
				worst = itemFall{item, r.Comparisons[i].Temperature, fall}
			}
		}
	}
	return worst
}
