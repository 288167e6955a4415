package godoc

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/corpus/godoc"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
)

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// systemsTable shows every system with every item of the rule.
func (r *records) systemsTable() stage.Table {
	t := stage.Table{Title: "Every system, every item of the rule", Columns: []string{"Item", "most"}}
	for i, s := range r.evaluation.Systems {
		name := s.Name
		if i == bestOf {
			name = fmt.Sprintf("SFT, best of %d by the reward model", r.config.Evaluate.BestOf)
		}
		t.Columns = append(t.Columns, name)
	}
	row := func(name, most string, value func(SystemResult) string) {
		cells := []string{name, most}
		for _, s := range r.evaluation.Systems {
			cells = append(cells, value(s))
		}
		t.Rows = append(t.Rows, cells)
	}
	for i, item := range godoc.ItemNames {
		row(item, fmt.Sprintf("%.2f", godoc.Weights.Items()[i]), func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Items[item]) })
	}
	row("the rule", "1.00", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Rule.Value) })
	row("95 % interval, low", "", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Rule.Low) })
	row("95 % interval, high", "", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Rule.High) })
	row("ended by itself", "1.00", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Ended) })
	row("words", "", func(s SystemResult) string { return fmt.Sprintf("%.1f", s.Words) })
	row("distinct openings", "1.00", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Openings) })
	row("reward model", "", func(s SystemResult) string { return fmt.Sprintf("%.3f", s.Reward) })
	t.Note = fmt.Sprintf("Means over %s functions of held-out packages (%s). Distinct openings: different first three words after the function's name, by the number of comments. The reward model's scores are relative: 0 is the mean of the demonstrations.",
		progress.Count(int64(r.evaluation.Functions)), r.evaluation.Split)
	return t
}

// changeTable shows what PPO did to every item.
func (r *records) changeTable() stage.Table {
	t := stage.Table{
		Title:   "What PPO changed",
		Columns: []string{"Item", "asks for", "change, temperature 1", "of the item, %", "change, temperature 0.7", "of the item, %"},
		Note:    "PPO minus SFT in points of the rule, and as a share of what the item can give at most.",
	}
	for i, item := range godoc.ItemNames {
		cells := []string{item, itemAsks[i]}
		for _, pair := range [][2]int{{sftHot, ppoHot}, {sftCool, ppoCool}} {
			change := r.evaluation.Systems[pair[1]].Items[item] - r.evaluation.Systems[pair[0]].Items[item]
			cells = append(cells, fmt.Sprintf("%+.3f", change), fmt.Sprintf("%+.1f", 100*change/godoc.Weights.Items()[i]))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// itemAsks says what each item of the rule asks of a comment, in the order of
// godoc.ItemNames. Rule.Score has the whole text.
var itemAsks = [...]string{
	"exactly one sentence, ended by a period and by the writer",
	fmt.Sprintf("%d to %d words", godoc.MinWords, godoc.MaxWords),
	fmt.Sprintf("every word in at least %d training comments, or in the declaration", godoc.MinComments),
	"a parameter, a type, or a stem of the name, after the name",
	"a verb after the name that fits the results",
	"nothing said twice",
}

// stageTables are the tables below a stage's curves.
func (r *records) stageTables(stage string) []stage.Table {
	switch stage {
	case "corpus":
		return r.corpusTables()
	case "reward":
		return r.validationTables()
	}
	return nil
}

func (r *records) corpusTables() []stage.Table {
	sizes := stage.Table{Title: "What was read", Columns: []string{"Split", "files", "bytes", "packages"}}
	held := stage.Table{Title: "Packages that were held out", Columns: []string{"Split", "packages"},
		Note: "Validation packages are for choosing settings; only the evaluation reads the test packages."}
	for _, s := range r.corpus.Splits {
		sizes.Rows = append(sizes.Rows, []string{string(s.Split), progress.Count(int64(s.Documents)), progress.Count(s.Bytes), progress.Count(int64(s.Groups))})
		if s.Split != corpus.Train {
			held.Rows = append(held.Rows, []string{string(s.Split), strings.Join(s.HeldOut, ", ")})
		}
	}
	refused := stage.Table{Title: "What was left out", Columns: []string{"Reason", "files", "bytes"}}
	for _, x := range r.corpus.Refused {
		refused.Rows = append(refused.Rows, []string{string(x.Reason), progress.Count(int64(x.Refused)), progress.Count(x.Bytes)})
	}
	tables := []stage.Table{sizes, held}
	if len(refused.Rows) > 0 {
		tables = append(tables, refused)
	}
	return tables
}

func (r *records) validationTables() []stage.Table {
	v := r.validation
	if v == nil {
		return nil
	}
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
	whole := stage.Table{Title: "On the validation rankings", Columns: []string{"Prompts", "pairs", "accuracy", "−log likelihood", "calibration error"},
		Rows: [][]string{{progress.Count(int64(v.Prompts)), progress.Count(int64(v.Pairs)), fmt.Sprintf("%.3f", v.Accuracy), fmt.Sprintf("%.3f", v.NLL), fmt.Sprintf("%.3f", v.ECE)}},
		Note: fmt.Sprintf("Against the annotator with its noise, who agrees with its own rule on %.1f %% of the pairs: no model can be expected to do better than that. Against the rule without noise: %.3f of %s pairs, %.3f where the gap is wide.",
			100*r.metric("rankings", "agreement"), r.evaluation.RewardAccuracy, progress.Count(int64(r.evaluation.RewardPairs)), r.evaluation.RewardAccuracyWide)}
	return []stage.Table{
		whole,
		bins("Calibration", "Confidence", "Pairs by the probability σ(|lead|) that the model gives its own order: claimed and right should be alike.", v.Reliability, interval("to 1")),
		bins("By the model's lead", "Lead, nats", "", v.ByMargin, interval("and more")),
		bins("By the annotator's ranks", "Ranks apart", "", v.ByRankGap, func(low, _ float64) string { return fmt.Sprintf("%g", low) }),
	}
}

// stageNotes are facts in sentences.
func (r *records) stageNotes(stage string) []string {
	count := func(name string) string { return progress.Count(int64(r.metric(stage, name))) }
	switch stage {
	case "pretrain":
		return []string{fmt.Sprintf("%s parameters; %s tokens in %s steps of %s.", count("parameters"), progress.Count(r.manifests[stage].Tokens),
			progress.Count(int64(r.config.Pretrain.Steps)), progress.Count(int64(r.config.Pretrain.BatchTokens)))}
	case "dialogues":
		return []string{fmt.Sprintf("%s documented functions for training, %s for validation, %s held out for the test; %s undocumented ones serve as prompts too.",
			count("train/documented"), count("validation/documented"), count("test/documented"), count("train/undocumented")),
			fmt.Sprintf("Left out of training: %s prompts of documented functions and %s of undocumented ones that are longer than %d tokens, %s answers without a whole sentence in %d tokens.",
				count("train/documented_prompts_too_long"), count("train/undocumented_prompts_too_long"), r.config.Dialogues.MaxPrompt, count("train/answers_too_long"), r.config.Dialogues.MaxAnswer)}
	case "sft":
		notes := []string{fmt.Sprintf("%s dialogues; %s did not fit and were left out.", count("dialogues"), count("dropped"))}
		if r.config.Dialogues.Train != "" {
			notes = append(notes, "The dialogues are your own: "+r.config.Dialogues.Train+".")
		}
		return notes
	case "rankings":
		notes := []string{fmt.Sprintf("%s prompts × %d answers. Noise %.3f makes the simulated annotator agree with its rule on %.1f %% of the pairs. The answers' mean of the rule is %.3f.",
			count("prompts"), r.config.Rankings.K, r.metric(stage, "noise"), 100*r.metric(stage, "agreement"), r.metric(stage, "rule"))}
		if r.config.Rankings.File != "" {
			notes = append(notes, "These rankings trained nothing: the reward model was trained on "+r.config.Rankings.File+".")
		}
		return notes
	case "reward":
		notes := []string{fmt.Sprintf("%s ranked prompts; %s were too long and %s had ties only.", count("rankings"), count("dropped_long"), count("dropped_tied"))}
		if who := r.manifests[stage].Extra["annotators"]; who != "" {
			notes = append(notes, "Ranked by: "+who+".")
		}
		if r.validation == nil {
			notes = append(notes, "Your rankings came without validation rankings, so there is no accuracy on them.")
		}
		return notes
	case "ppo":
		c := r.config.PPO
		return []string{fmt.Sprintf("%s iterations of %s responses, β %g, γ %g on pretraining text.", progress.Count(int64(c.Iterations)), progress.Count(int64(c.Prompts)), c.Beta, c.PretrainCoef)}
	}
	return nil
}

// stageCharts are the charts of the stages that write metrics.jsonl.
var stageCharts = map[string][]stage.Chart{
	"pretrain": {
		{Title: "Loss", Unit: "nats a token", Curves: [][2]string{{"loss", "training"}, {"validation/loss", "validation"}}},
		{Title: "Bits per byte", Unit: "bits per byte", Curves: [][2]string{{"bits_per_byte", "training"}, {"validation/bits_per_byte", "validation"}}},
		gradientChart, rateChart,
	},
	"sft": {
		{Title: "Loss", Unit: "nats a token of the assistant", Curves: [][2]string{{"loss", "training"}, {"validation/loss", "validation"}}},
		gradientChart, rateChart,
	},
	"reward": {
		{Title: "Loss", Unit: "nats a pair", Curves: [][2]string{{"loss", "training"}, {"validation/nll", "validation"}}},
		{Title: "Accuracy", Unit: "share of pairs", Curves: [][2]string{{"accuracy", "training"}, {"validation/accuracy", "validation"}}},
		{Title: "Calibration error", Unit: "share", Curves: [][2]string{{"validation/ece", "validation"}}},
		gradientChart, rateChart,
	},
	"ppo": {
		{Title: "Score of the reward model", Unit: "score", Curves: [][2]string{{"objective/scores", "score"}, {"objective/rlhf_reward", "score − β·KL"}}},
		{Title: "KL from SFT", Unit: "nats a response", Curves: [][2]string{{"objective/kl", "KL"}}},
		{Title: "Entropy", Unit: "nats", Curves: [][2]string{{"policy/entropy_avg", "a token"}}},
		{Title: "Length", Unit: "tokens", Curves: [][2]string{{"response_length/mean", "response"}}},
		{Title: "Not ended", Unit: "share of responses", Curves: [][2]string{{"response_length/clip_ratio", "cut off"}}},
		{Title: "Policy loss", Unit: "loss", Curves: [][2]string{{"loss/policy_avg", "policy"}}},
		{Title: "Value loss", Unit: "loss", Curves: [][2]string{{"loss/value_avg", "value"}}},
		{Title: "Loss on pretraining text", Unit: "nats a token", Curves: [][2]string{{"loss/pretrain_avg", "pretraining"}}},
		{Title: "Clipped", Unit: "share of tokens", Curves: [][2]string{{"policy/clipfrac_avg", "policy"}, {"val/clipfrac_avg", "value"}}},
		{Title: "KL of an update", Unit: "nats a token", Curves: [][2]string{{"policy/approxkl_avg", "approximate KL"}}},
		{Title: "Explained variance of the returns", Unit: "share", Curves: [][2]string{{"vf_explained_var", "critic"}}},
		{Title: "Norm of the gradient", Unit: "norm before clipping", LogY: true, Curves: [][2]string{{"grad_norm", "policy"}, {"critic_grad_norm", "critic"}}},
		rateChart,
	},
}

var (
	gradientChart = stage.Chart{Title: "Norm of the gradient", Unit: "norm before clipping", LogY: true, Curves: [][2]string{{"grad_norm", "norm"}}}
	rateChart     = stage.Chart{Title: "Learning rate", Unit: "learning rate", Curves: [][2]string{{"lr", "rate"}}}
)
