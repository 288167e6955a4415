package godoc

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
	"github.com/seed-b72bdb6c/alma/train/pretrain"
	"github.com/seed-b72bdb6c/alma/train/reward"
)

// evaluationFile is the file of the evaluate stage.
const evaluationFile = "evaluation.json"

// Evaluation is what SFT and PPO do on held-out packages.
type Evaluation struct {
	Split     string         `json:"split"`
	Packages  []string       `json:"packages"`
	Functions int            `json:"functions"`
	Systems   []SystemResult `json:"systems"` // in the order of systemNames
	// Comparisons hold PPO against SFT, at each temperature.
	Comparisons []Comparison `json:"comparisons"`
	// KL is the mean of log π_PPO/π_SFT of PPO's samples at temperature 1, in
	// nats a response.
	KL stats.Estimate `json:"kl"`
	// Bits per byte of the validation text.
	BitsPerByteSFT float64 `json:"bits_per_byte_sft"`
	BitsPerBytePPO float64 `json:"bits_per_byte_ppo"`
	// RewardAccuracy is the reward model's on pairs of validation answers,
	// against the rule without noise; 0 where there are no pairs.
	RewardAccuracy     float64   `json:"reward_accuracy"`
	RewardAccuracyWide float64   `json:"reward_accuracy_wide"` // where the rule's gap is at least wideGap
	RewardPairs        int       `json:"reward_pairs"`
	RewardPairsWide    int       `json:"reward_pairs_wide"`
	Examples           []Example `json:"examples"`
}

// wideGap is the difference of the rule from which a pair counts as wide.
const wideGap = .3

// SystemResult is the means of one system over the held-out functions.
type SystemResult struct {
	Name     string             `json:"name"`
	Rule     stats.Estimate     `json:"rule"`
	Items    map[string]float64 `json:"items"`
	Ended    float64            `json:"ended"`
	Words    float64            `json:"words"`
	Openings float64            `json:"openings"` // distinct three-word openings by texts
	Reward   float64            `json:"reward"`   // of the reward model
	Scores   []float64          `json:"scores"`   // the rule of each function
}

// Comparison is PPO against SFT on the same functions.
type Comparison struct {
	Temperature float64          `json:"temperature"`
	Difference  stats.Estimate   `json:"difference"`
	Wins        stats.HeadToHead `json:"wins"`
}

// Example is a function with what each system wrote.
type Example struct {
	Declaration string          `json:"declaration"`
	Reference   string          `json:"reference"`
	Answers     []ExampleAnswer `json:"answers"`
}

// ExampleAnswer is one system's answer.
type ExampleAnswer struct {
	System string `json:"system"`
	Text   string `json:"text"`
	Score  Score  `json:"score"`
}

// systemNames are what is compared.
var systemNames = []string{"people", "SFT, temperature 1", "PPO, temperature 1", "SFT, temperature 0.7", "PPO, temperature 0.7", "SFT, best of N by the reward model"}

const (
	people = iota
	sftHot
	ppoHot
	sftCool
	ppoCool
	bestOf
)

// EvaluateConfig configures the evaluation.
type EvaluateConfig struct {
	Prompts int    `yaml:"prompts" json:"prompts" doc:"held-out functions; 0: all" min:"0"`
	BestOf  int    `yaml:"best_of" json:"best_of" doc:"samples of which the reward model picks one, beside PPO" min:"1"`
	Samples int    `yaml:"samples" json:"samples" doc:"pairs shown in the report" min:"0"`
	Split   string `yaml:"split" json:"split" doc:"which held-out packages: test, or validation while settings are chosen" enum:"test,validation"`
	Slots   int    `yaml:"slots" json:"slots" doc:"answers sampled at one time" min:"1"`
	Seed    uint64 `yaml:"seed" json:"seed" doc:"of the sampling"`
}

// EvaluateStage holds SFT against PPO.
var EvaluateStage = stage.Define(stage.Definition[EvaluateConfig]{
	Kind: "godoc-evaluate", Title: "Evaluation",
	Does:     "Lets SFT and PPO write comments for documented functions of packages that no stage has read, and scores them by the rule without noise.",
	Defaults: func() EvaluateConfig { return EvaluateConfig{BestOf: 8, Samples: 24, Split: "test", Slots: 64} },
	Inputs: []stage.Input{
		{Name: "functions", Kinds: stage.Of(FunctionsKind), Required: true, Doc: "what godoc-dialogues made"},
		{Name: "sft", Kinds: stage.Of(stage.Model), Required: true, Doc: "the fine-tuned model"},
		{Name: "ppo", Kinds: stage.Of(stage.Model), Required: true, Doc: "the same after PPO"},
		{Name: "reward", Kinds: stage.Of(stage.RewardModel), Required: true, Doc: "the reward model"},
		{Name: "rankings", Kinds: stage.Of(stage.Rankings), Required: true, Doc: "rankings of validation functions, which hold the reward model against the rule"},
		{Name: "text", Kinds: stage.Of(stage.Shards), Required: true, Doc: "validation text, for what tuning cost on it"},
	},
	Outputs: []stage.Output{{Kind: stage.Evaluation, Doc: "evaluation.json"}},
	Run:     evaluateModels,
	Estimate: func(c EvaluateConfig, in stage.Known) (stage.Estimate, error) {
		n := float64(assumedHeldOut)
		if c.Prompts > 0 {
			n = min(n, float64(c.Prompts))
		}
		return generate.Estimate(in["ppo"], c.Slots, assumedPrompt, assumedAnswer, n*float64(4+c.BestOf))
	},
	Describe: describe,
})

// rows is how many packed rows are measured at one time. It changes no result.
const rows = 8

// answer is a system's comment on a function.
type answer struct {
	text   string // with the prefill
	tokens []int32
	ended  bool
}

func evaluateModels(ctx context.Context, w *stage.Work, e EvaluateConfig) error {
	from := w.In.Path("functions")
	rule, err := loadRule(from)
	if err != nil {
		return err
	}
	functions, err := loadFunctions(filepath.Join(from, heldOutFile(corpus.Split(e.Split))))
	if err != nil {
		return err
	}
	if e.Prompts > 0 {
		functions = functions[:min(e.Prompts, len(functions))]
	}
	asked := prompts(functions)
	before, err := newWriter(w.Environment, w.In.Path("sft"), from, e.Slots)
	if err != nil {
		return err
	}
	after, err := newWriter(w.Environment, w.In.Path("ppo"), from, e.Slots)
	if err != nil {
		return err
	}
	judge, _, err := train.LoadModel(w.Engine, w.In.Path("reward"))
	if err != nil {
		return err
	}
	scorer, err := preference.NewScorer(judge, rows, judge.Context)
	if err != nil {
		return err
	}
	rewards := func(answers []answer) ([]float64, error) {
		texts := make([][]int32, len(answers))
		for i, a := range answers {
			ids, err := asked[i%len(asked)].Render(before.template)
			if err != nil {
				return nil, err
			}
			texts[i] = append(ids, a.tokens...)
		}
		scores, err := scorer.Scores(ctx, texts)
		out := make([]float64, len(scores))
		for i, s := range scores {
			out[i] = float64(s)
		}
		return out, err
	}

	systems := make([][]answer, len(systemNames))
	ends := chat.Ends(before.tok, nil)
	for _, f := range functions {
		tokens := append(before.tok.Encode(f.Answer()), ends[0])
		systems[people] = append(systems[people], answer{f.Prefill() + f.Answer(), tokens, true})
	}
	for _, s := range []struct {
		system      int
		w           *writer
		temperature float64
	}{{sftHot, before, 1}, {ppoHot, after, 1}, {sftCool, before, .7}, {ppoCool, after, .7}} {
		written, err := s.w.write(ctx, w.Log, "writing with "+systemNames[s.system], asked, 1, s.temperature, e.Seed)
		if err != nil {
			return err
		}
		for i := range written {
			systems[s.system] = append(systems[s.system], answer{asked[i].Prefill + written[i][0].Text, written[i][0].Tokens, written[i][0].Ended})
		}
	}
	if systems[bestOf], err = best(ctx, w.Log, before, asked, e, rewards); err != nil {
		return err
	}

	result := Evaluation{Split: e.Split, Packages: Packages(functions), Functions: len(functions)}
	scores := make([][]Score, len(systems))
	for i, answers := range systems {
		r, each, err := measure(rule, functions, answers, rewards)
		if err != nil {
			return err
		}
		r.Name, scores[i] = systemNames[i], each
		result.Systems = append(result.Systems, r)
	}
	for _, pair := range []struct {
		temperature float64
		sft, ppo    int
	}{{1, sftHot, ppoHot}, {.7, sftCool, ppoCool}} {
		a, b := result.Systems[pair.ppo].Scores, result.Systems[pair.sft].Scores
		result.Comparisons = append(result.Comparisons, Comparison{pair.temperature, stats.BootstrapPairedDifference(a, b, 2000, e.Seed), stats.WinRate(a, b)})
	}
	if err := result.languageModels(ctx, before, after, asked, systems[ppoHot], w.In.Path("text")); err != nil {
		return err
	}
	if err := result.rewardModel(ctx, rule, before, scorer, w.In.Path("rankings")); err != nil {
		return err
	}
	for i := 0; i < min(e.Samples, len(functions)); i++ {
		at := i * len(functions) / min(e.Samples, len(functions))
		example := Example{Declaration: functions[at].Decl, Reference: "// " + functions[at].Doc}
		for _, s := range []int{sftHot, ppoHot, sftCool, ppoCool} {
			example.Answers = append(example.Answers, ExampleAnswer{systemNames[s], systems[s][at].text, scores[s][at]})
		}
		result.Examples = append(result.Examples, example)
	}
	data, err := json.MarshalIndent(result, "", " ")
	if err != nil {
		return fmt.Errorf("encoding the evaluation: %w", err)
	}
	if err := artifact.WriteFile(w.Path(evaluationFile), data); err != nil {
		return err
	}
	w.Manifest.FLOPs = float64(before.generator.FLOPs + after.generator.FLOPs + scorer.FLOPs())
	w.Manifest.Metrics = result.metrics()
	for _, s := range result.Systems {
		w.Log.Printf("%-36s rule %.3f (%.3f to %.3f), ended %.2f, words %.1f, openings %.2f, reward %.2f", s.Name, s.Rule.Value, s.Rule.Low, s.Rule.High, s.Ended, s.Words, s.Openings, s.Reward)
	}
	for _, x := range result.Comparisons {
		w.Log.Printf("PPO over SFT at temperature %g: %+.3f of the rule (%.3f to %.3f), %.1f%% wins", x.Temperature, x.Difference.Value, x.Difference.Low, x.Difference.High, 100*x.Wins.Rate.Value)
	}
	w.Log.Printf("KL %.2f nats a response; bits per byte %.4f → %.4f (%+.2f%%); reward model right on %.3f of the pairs, %.3f where the gap is wide",
		result.KL.Value, result.BitsPerByteSFT, result.BitsPerBytePPO, 100*(result.BitsPerBytePPO/result.BitsPerByteSFT-1), result.RewardAccuracy, result.RewardAccuracyWide)
	return nil
}

// best lets the reward model pick one of several samples of the SFT model.
func best(ctx context.Context, log *progress.Log, w *writer, asked []dataset.Prompt, e EvaluateConfig, rewards func([]answer) ([]float64, error)) ([]answer, error) {
	written, err := w.write(ctx, log, fmt.Sprintf("writing %d each to pick from", e.BestOf), asked, e.BestOf, 1, e.Seed+1)
	if err != nil {
		return nil, err
	}
	out := make([]answer, len(asked))
	top := make([]float64, len(asked))
	for j := range e.BestOf {
		candidates := make([]answer, len(asked))
		for i := range asked {
			candidates[i] = answer{asked[i].Prefill + written[i][j].Text, written[i][j].Tokens, written[i][j].Ended}
		}
		scores, err := rewards(candidates)
		if err != nil {
			return nil, err
		}
		for i, s := range scores {
			if j == 0 || s > top[i] {
				out[i], top[i] = candidates[i], s
			}
		}
	}
	return out, nil
}

func measure(rule *Rule, functions []Function, answers []answer, rewards func([]answer) ([]float64, error)) (SystemResult, []Score, error) {
	r := SystemResult{Items: make(map[string]float64)}
	var each []Score
	var openings []string
	n := float64(len(answers))
	for i, a := range answers {
		s := rule.Score(functions[i], a.text, a.ended)
		each = append(each, s)
		r.Scores = append(r.Scores, s.Total())
		for j, points := range s.Items() {
			r.Items[ItemNames[j]] += points / n
		}
		if a.ended {
			r.Ended += 1 / n
		}
		r.Words += float64(len(strings.Fields(strings.TrimPrefix(a.text, "//")))) / n
		openings = append(openings, strings.TrimPrefix(a.text, functions[i].Prefill()))
	}
	r.Rule = stats.MeanInterval(r.Scores)
	r.Openings = stats.DistinctOpenings(openings, 3).Ratio
	scores, err := rewards(answers)
	for _, s := range scores {
		r.Reward += s / n
	}
	return r, each, err
}

// languageModels measures the KL of PPO's samples, and what PPO cost on plain
// text.
func (r *Evaluation) languageModels(ctx context.Context, before, after *writer, asked []dataset.Prompt, answers []answer, text string) error {
	var examples []dataset.Example
	for i, a := range answers {
		ids, err := asked[i].Render(after.template)
		if err != nil {
			return err
		}
		e := dataset.Example{Tokens: append(ids, a.tokens...), Trained: make([]bool, len(ids)+len(a.tokens))}
		for t := len(ids); t < len(e.Tokens); t++ {
			e.Trained[t] = true
		}
		examples = append(examples, e)
	}
	shards, err := dataset.OpenShards(text)
	if err != nil {
		return err
	}
	defer shards.Close()
	var logProbs [2][]float64
	for i, w := range []*writer{before, after} {
		lm, err := train.NewEvaluation(w.model, rows, w.model.Context)
		if err != nil {
			return err
		}
		if logProbs[i], err = train.LogProbs(ctx, lm, examples); err != nil {
			return err
		}
		evaluation, err := pretrain.NewEvaluation(lm, shards, w.tok)
		if err != nil {
			return err
		}
		_, bpb, err := evaluation.Run(ctx, 0)
		if err != nil {
			return err
		}
		if i == 0 {
			r.BitsPerByteSFT = bpb
		} else {
			r.BitsPerBytePPO = bpb
		}
	}
	kl := make([]float64, len(examples))
	for i := range kl {
		kl[i] = logProbs[1][i] - logProbs[0][i]
	}
	r.KL = stats.MeanInterval(kl)
	return nil
}

// rewardModel holds the reward model against the rule without noise, on
// answers to held-out functions that it was not trained on.
func (r *Evaluation) rewardModel(ctx context.Context, rule *Rule, w *writer, scorer *preference.Scorer, path string) error {
	rankings, err := dataset.ReadRankings(path, dataset.Reading{BadRows: dataset.Stop})
	if err != nil {
		return err
	}
	var pairs []stats.Pair
	for _, ranking := range rankings.Rows {
		f, err := ParsePrompt(ranking.Prompt.Text())
		if err != nil {
			return err
		}
		texts := make([][]int32, len(ranking.Completions))
		truth := make([]float64, len(texts))
		for k, completion := range ranking.Completions {
			if texts[k], err = reward.Render(w.template, ranking.Prompt, completion, ranking.EndedAt(k)); err != nil {
				return err
			}
			truth[k] = rule.Score(f, ranking.Prompt.Prefill+completion, ranking.EndedAt(k)).Total()
		}
		// A sampled answer can be longer as text than it was as tokens: broken
		// bytes become characters of several. The reward stage leaves such
		// prompts out too.
		if slices.ContainsFunc(texts, func(text []int32) bool { return len(text) > w.model.Context }) {
			continue
		}
		scores, err := scorer.Scores(ctx, texts)
		if err != nil {
			return err
		}
		judged := make([]float64, len(scores))
		for k, score := range scores {
			judged[k] = float64(score)
		}
		pairs = append(pairs, stats.Pairs(judged, truth)...)
	}
	// Gaps of less than roundingGap are ties whose points were added in another
	// order.
	const roundingGap = 1e-9
	pairs = slices.DeleteFunc(pairs, func(p stats.Pair) bool { return p.Gap < roundingGap })
	wide := slices.DeleteFunc(slices.Clone(pairs), func(p stats.Pair) bool { return p.Gap < wideGap-roundingGap })
	r.RewardPairs, r.RewardPairsWide = len(pairs), len(wide)
	if len(pairs) > 0 {
		r.RewardAccuracy = stats.PairwiseAccuracy(pairs).Value
	}
	if len(wide) > 0 {
		r.RewardAccuracyWide = stats.PairwiseAccuracy(wide).Value
	}
	return nil
}
