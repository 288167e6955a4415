package godoc

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/corpus/godoc"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/report"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/reward"
)

// The file of a run folder beside its stages and the report.
const recipeFile = "recipe.json" // the resolved configuration

// stageText is what people are told of a stage.
type stageText struct {
	name, title string
	aim         string // beside the name, while the stage begins
	does        string // a sentence for the report
}

// stageTexts are in the order of the stages.
var stageTexts = []stageText{
	{"corpus", "Corpus", "the Go files of this Go installation",
		"Reads the Go files of a Go installation without tests, testdata and generated files, drops exact duplicates, keeps the files richest in comments, and holds packages out by a hash of their import path."},
	{"tokenizer", "Tokenizer", "a byte-level BPE vocabulary, learned from the corpus",
		"Learns a byte-level BPE vocabulary from the training files, with GPT-2's pre-tokenisation."},
	{"pretrain", "Pretraining", "a language model of Go source text, from random weights",
		"Trains a decoder from random weights to foretell the next token of the training files."},
	{"dialogues", "Dialogues", "declarations and the comments that people wrote for them",
		"Turns the documented functions of the training packages into dialogues: a declaration, and as many whole sentences of its comment's first paragraph as fit."},
	{"sft", "Supervised fine-tuning", "the language model learns to answer with a comment",
		"Fine-tunes the language model on the dialogues; only the assistant's tokens and the end token count in the loss."},
	{"rankings", "Rankings", "comments sampled from the SFT model, ordered by a simulated annotator",
		"Samples several comments for each of some thousand declarations and has a simulated annotator order them: a written rule plus noise, standing in for people."},
	{"reward", "Reward model", "a model that foretells the annotator's order",
		"Replaces the SFT model's head by one number and trains it on the rankings with a loss over all pairs of a prompt's comments; demonstrations score 0 on average."},
	{"ppo", "PPO", "the SFT model learns to write what the reward model prefers",
		"Trains the SFT model against the reward model minus β times the KL divergence from where it began, with a critic made from the reward model and a share of pretraining loss in every step."},
	{"evaluate", "Evaluation", "SFT beside PPO on packages that no stage has seen",
		"Lets SFT and PPO write comments for documented functions of packages that no stage has read, and scores them by the rule without noise."},
}

// savedRecipe is recipe.json.
type savedRecipe struct {
	Config   Config           `json:"config"`
	Settings []report.Setting `json:"settings"`
}

// SaveRecipe writes the resolved configuration into a run folder, durably.
func SaveRecipe(folder string, c Config, resolved *recipe.Resolved) error {
	saved := savedRecipe{Config: c}
	for _, v := range resolved.Values {
		saved.Settings = append(saved.Settings, report.Setting{Key: v.Key, Value: v.Text, Origin: v.Origin.String()})
	}
	data, err := json.MarshalIndent(saved, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the resolved recipe: %w", err)
	}
	return artifact.WriteFile(filepath.Join(folder, recipeFile), append(data, '\n'))
}

// WriteReport builds report.html and report.md in a run folder whose stages
// are all complete and in which SaveRecipe left the configuration, and returns
// the outcomes. A stage that is not complete is an artifact.ErrNotFound that
// names it.
func WriteReport(folder string) ([]report.Outcome, error) {
	path := filepath.Join(folder, recipeFile)
	var saved savedRecipe
	if err := readJSON(path, &saved); err != nil {
		return nil, fmt.Errorf("building the report of %s: %w; a folder that alma run has filled is needed, such as runs/godoc", folder, err)
	}
	r, err := gather(folder, saved)
	if err != nil {
		return nil, fmt.Errorf("building the report of %s: %w", folder, err)
	}
	return r.Outcomes, r.Save(folder)
}

// readJSON reads a small file of a stage. What cannot be decoded is an
// artifact.ErrCorrupt.
func readJSON(path string, into any) error {
	data, err := readFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	return nil
}

// records is everything that the stages of a run left for the report.
type records struct {
	folder     string
	config     Config
	manifests  map[string]*artifact.Manifest
	metrics    map[string][]train.MetricsLine // of the training stages
	corpus     *corpus.Report
	validation *reward.Validation // nil where a user's rankings have none
	evaluation Evaluation
}

func readRecords(folder string, c Config) (*records, error) {
	r := &records{folder: folder, config: c, manifests: map[string]*artifact.Manifest{}, metrics: map[string][]train.MetricsLine{}}
	for _, s := range stageTexts {
		dir := stagePath(folder, s.name)
		m, err := artifact.Open(dir, false)
		if err != nil {
			return nil, err
		}
		r.manifests[s.name] = m
		if _, trained := stageCharts[s.name]; !trained {
			continue
		}
		if r.metrics[s.name], err = train.ReadMetrics(stagePath(dir, train.MetricsName)); err != nil {
			return nil, err
		}
	}
	var err error
	if r.corpus, err = corpus.ReadReport(stagePath(folder, "corpus")); err != nil {
		return nil, err
	}
	if c.Rankings.File == "" {
		r.validation = new(reward.Validation)
		if err := readJSON(filepath.Join(folder, "reward", reward.ValidationFile), r.validation); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(folder, "evaluate", evaluationFile)
	if err := readJSON(path, &r.evaluation); err != nil {
		return nil, err
	}
	if e := r.evaluation; len(e.Systems) != len(systemNames) || len(e.Comparisons) != 2 {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: it holds %d systems and %d comparisons, want %d and 2; delete the folder of the stage and run the recipe again", path, len(e.Systems), len(e.Comparisons), len(systemNames))
	}
	return r, nil
}

// gather builds the report.
func gather(folder string, saved savedRecipe) (*report.Report, error) {
	r, err := readRecords(folder, saved.Config)
	if err != nil {
		return nil, err
	}
	out := &report.Report{
		Title:     saved.Config.Name + ": a model that writes Go doc comments",
		Intro:     fmt.Sprintf("A language model of %s parameters, taken through its whole life on what every Go installation carries: from the source text of Go to a policy trained on ranked answers.", progress.Count(int64(r.metric("pretrain", "parameters")))),
		Facts:     r.facts(),
		Statement: r.statement(),
		Outcomes:  r.outcomes(),
		Tables:    []stage.Table{r.systemsTable(), r.changeTable()},
		Samples:   r.samples(),
		Settings:  saved.Settings,
		Commands:  r.commands(),
	}
	for _, s := range stageTexts {
		m := r.manifests[s.name]
		dir := stagePath(folder, s.name)
		sum, err := artifact.HashInput(dir)
		if err != nil {
			return nil, err
		}
		wrote := report.Artifact{Name: s.name, Path: filepath.ToSlash(dir), SHA256: sum}
		stage := report.Stage{
			Name: s.name, Title: s.title, Description: s.does, Artifact: wrote, Config: m.Config,
			Charts: report.Charts(stageCharts[s.name], r.metrics[s.name]), Tables: r.stageTables(s.name), Notes: append(r.stageNotes(s.name), m.Notes...),
		}
		for _, role := range slices.Sorted(maps.Keys(m.Inputs)) {
			stage.Inputs = append(stage.Inputs, report.Artifact{Name: role, Path: filepath.ToSlash(m.Inputs[role].Path), SHA256: m.Inputs[role].SHA256})
		}
		out.Stages = append(out.Stages, stage)
		out.Artifacts = append(out.Artifacts, wrote)
		out.Compute = append(out.Compute, report.StageCompute{
			Stage: s.name, FLOPs: m.FLOPs, Seconds: m.WallSeconds, Tokens: m.Tokens, Pretraining: s.name == "pretrain",
		})
	}
	return out, nil
}

func (r *records) metric(stage, name string) float64 { return r.manifests[stage].Metrics[name] }

func (r *records) facts() []report.Fact {
	var flops, seconds float64
	for _, s := range stageTexts {
		flops += r.manifests[s.name].FLOPs
		seconds += r.manifests[s.name].WallSeconds
	}
	return []report.Fact{
		{Name: "parameters", Value: progress.Count(int64(r.metric("pretrain", "parameters")))},
		{Name: "training text", Value: progress.Bytes(r.corpus.Of(corpus.Train).Bytes)},
		{Name: "tokens of pretraining", Value: progress.Count(r.manifests["pretrain"].Tokens)},
		{Name: "compute", Value: progress.Scientific(flops) + " FLOP"},
		{Name: "time of all stages", Value: span(seconds)},
		{Name: "budget", Value: span(r.config.Budget.Seconds())},
		{Name: "seed", Value: strconv.FormatUint(r.config.Seed, 10)},
		{Name: "text from", Value: r.manifests["corpus"].Extra["go"]},
		{Name: "written by", Value: "alma " + r.manifests["evaluate"].Alma},
	}
}

func (r *records) statement() []string {
	ranked := "The annotator is simulated. No person ranked anything here: a written rule with noise stands in for people, and every figure that is called a score of the rule measures that rule and nothing else."
	if r.config.Rankings.File != "" {
		ranked = fmt.Sprintf("The reward model was trained on the rankings in %s. The scores of the rule below are those of this recipe's written rule, which the annotators of those rankings may never have heard of.", r.config.Rankings.File)
	}
	packages := fmt.Sprintf("The evaluation is on %s functions of %s packages that no stage has read.", progress.Count(int64(r.evaluation.Functions)), progress.Count(int64(len(r.evaluation.Packages))))
	if r.evaluation.Split == string(corpus.Validation) {
		packages = fmt.Sprintf("The evaluation is on %s functions of the %s validation packages, on which settings are chosen and the reward model is measured: figures for a publication need evaluate.split: test.", progress.Count(int64(r.evaluation.Functions)), progress.Count(int64(len(r.evaluation.Packages))))
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
func (r *records) improved() bool {
	for _, c := range r.evaluation.Comparisons {
		if !c.Difference.Above(0) {
			return false
		}
	}
	return true
}

func (r *records) commands() []report.Command {
	model := shellWord(filepath.ToSlash(stagePath(r.folder, "ppo")))
	return []report.Command{
		{Does: "Chat with the model (ask as the dialogues do: Write the doc comment for: func Reverse(s string) string):", Line: "go run ./cmd/alma chat " + model},
		{Does: "Sample four comments for a declaration:", Line: "go run ./cmd/alma sample " + model + ` -n 4 --temp 0.7 --prefill '// Reverse' --prompt 'Write the doc comment for: func Reverse(s string) string'`},
		{Does: "Look at the curves in TensorBoard:", Line: "tensorboard --logdir " + shellWord(filepath.ToSlash(r.folder))},
		{Does: "Train on your own dialogues and rankings (docs/formats/dialogues.md, docs/formats/rankings.md):", Line: "go run ./cmd/alma run recipes/godoc.yaml --out runs/mine --set dialogues.train=dialogues.jsonl --set rankings.file=rankings.jsonl"},
		{Does: "Give the same recipe a night:", Line: "go run ./cmd/alma run recipes/godoc.yaml --budget 12h --out runs/night"},
	}
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

func (r *records) samples() report.Samples {
	s := report.Samples{Note: fmt.Sprintf("%d of the held-out functions, evenly spaced through the list and not chosen by what was written. Each system wrote one comment for each; the rule scores it item by item.", len(r.evaluation.Examples))}
	most := godoc.Weights.Items()
	for _, e := range r.evaluation.Examples {
		sample := report.Sample{Prompt: godoc.PromptHeader + " " + e.Declaration, Reference: e.Reference}
		for _, a := range e.Answers {
			answer := report.Answer{Model: a.System, Text: a.Text, Score: a.Score.Total()}
			for i, points := range a.Score.Items() {
				answer.Items = append(answer.Items, report.Item{Name: godoc.ItemNames[i], Score: points, Max: most[i]})
			}
			sample.Answers = append(sample.Answers, answer)
		}
		s.Pairs = append(s.Pairs, sample)
	}
	return s
}

func span(seconds float64) string { return progress.Duration(duration(seconds)) }
