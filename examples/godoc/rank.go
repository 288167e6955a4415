package godoc

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// Files of the rankings stage. True ranks are those of the rule without noise.
const (
	rankingsFile           = "rankings.jsonl"
	validationRankingsFile = "validation.jsonl"
	trueRankingsFile       = "validation-true.jsonl"
)

// RankingsConfig configures the rankings.
type RankingsConfig struct {
	Prompts     int     `yaml:"prompts" json:"prompts" doc:"prompts that are ranked" min:"1"`
	Validation  int     `yaml:"validation" json:"validation" doc:"prompts that the reward model is measured on" min:"1"`
	K           int     `yaml:"k" json:"k" doc:"answers to each prompt" min:"2"`
	Temperature float64 `yaml:"temperature" json:"temperature" doc:"at which the answers are sampled" above:"0"`
	Agreement   float64 `yaml:"agreement" json:"agreement" doc:"share of pairs on which the simulated annotator agrees with its rule" above:"0.5" max:"0.999"`
	Slots       int     `yaml:"slots" json:"slots" doc:"answers sampled at one time" min:"1"`
	Seed        uint64  `yaml:"seed" json:"seed" doc:"of the sampling and the annotator's noise"`
}

// RankingsStage samples answers and has the simulated annotator order them.
var RankingsStage = stage.Define(stage.Definition[RankingsConfig]{
	Kind: "godoc-rankings", Title: "Rankings",
	Does: "Samples several comments for each of some thousand declarations and has a simulated annotator order them: a written rule plus noise, standing in for people.",
	Defaults: func() RankingsConfig {
		return RankingsConfig{Prompts: 2500, Validation: 270, K: 4, Temperature: 1, Agreement: .835, Slots: 64}
	},
	Inputs: []stage.Input{
		{Name: "functions", Kinds: stage.Of(FunctionsKind), Required: true, Doc: "what godoc-dialogues made"},
		{Name: "model", Kinds: stage.Of(stage.Model), Required: true, Doc: "the model that answers"},
	},
	Outputs: []stage.Output{
		{Part: "train", Path: rankingsFile, Kind: stage.Rankings, Doc: "rankings by the simulated annotator"},
		{Part: "validation", Path: validationRankingsFile, Kind: stage.Rankings, Doc: "the same for validation functions"},
		{Part: "true", Path: trueRankingsFile, Kind: stage.Rankings, Doc: "the validation rankings by the rule without noise"},
	},
	Run: rank,
	Estimate: func(c RankingsConfig, in stage.Known) (stage.Estimate, error) {
		e, err := generate.Estimate(in["model"], c.Slots, assumedPrompt, assumedAnswer, float64((c.Prompts+c.Validation)*c.K))
		facts := func(n int) stage.Facts {
			return stage.Facts{Rows: int64(n), RowTokens: assumedPrompt + assumedAnswer, Each: c.K}
		}
		e.Leaves = map[string]stage.Facts{"train": facts(c.Prompts), "validation": facts(c.Validation), "true": facts(c.Validation)}
		return e, err
	},
	Describe: func(d stage.Done, c RankingsConfig) (stage.Description, error) {
		return stage.Description{Notes: []string{fmt.Sprintf("%s prompts × %d answers. Noise %.3f makes the simulated annotator agree with its rule on %.1f %% of the pairs, which no model of its rankings can be expected to pass. The answers' mean of the rule is %.3f.",
			progress.Count(int64(d.Metric("prompts"))), c.K, d.Metric("noise"), 100*d.Metric("agreement"), d.Metric("rule"))}}, nil
	},
})

// writer samples comments for functions.
type writer struct {
	tok       *tokenizer.Tokenizer
	template  *chat.Template
	model     *model.Model
	generator *generate.Generator
	maxTokens int
}

// newWriter opens a model to write comments with, as long as those of the dialogues
// in a folder.
func newWriter(env stage.Environment, folder, functions string, slots int) (*writer, error) {
	c, err := ofStage[DialoguesConfig](functions, DialoguesStage.Kind)
	if err != nil {
		return nil, err
	}
	m, tok, err := train.LoadModel(env.Engine, folder)
	if err != nil {
		return nil, err
	}
	template, err := chat.For(tok)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	length := min(m.Context, c.MaxPrompt+c.MaxAnswer)
	g, err := generate.New(m, slots, length)
	if err != nil {
		return nil, err
	}
	return &writer{tok, template, m, g, c.MaxAnswer}, nil
}

// comment is a sampled answer.
type comment struct {
	Text   string // what follows the prefill
	Tokens []int32
	Ended  bool
}

// write samples k answers to each prompt at a temperature.
func (w *writer) write(ctx context.Context, log *progress.Log, label string, prompts []dataset.Prompt, k int, temperature float64, seed uint64) ([][]comment, error) {
	requests := make([]generate.Request, 0, len(prompts)*k)
	for i, p := range prompts {
		ids, err := p.Render(w.template)
		if err != nil {
			return nil, fmt.Errorf("%s: prompt %d: %w", label, i, err)
		}
		for j := range k {
			requests = append(requests, generate.Request{Prompt: ids, Sample: j})
		}
	}
	out := make([][]comment, len(prompts))
	for i := range out {
		out[i] = make([]comment, k)
	}
	var n int64
	err := w.generator.Run(ctx, requests, generate.Sampling{Temperature: temperature, Seed: seed, MaxTokens: w.maxTokens, Stop: chat.Ends(w.tok, w.template, w.model.EndTokens()...)},
		func(i int, c generate.Completion) error {
			text, err := w.tok.Text(c.Tokens)
			if err != nil {
				return err
			}
			out[i/k][i%k] = comment{text, c.Tokens, c.Ended}
			n++
			log.Progress.Show(progress.Line{Label: label, Done: n, Total: int64(len(requests))})
			return nil
		})
	log.Progress.Done()
	return out, err
}

// rank samples K answers to each prompt from the SFT model and lets the
// simulated annotator order them.
func rank(ctx context.Context, w *stage.Work, r RankingsConfig) error {
	functions := w.In.Path("functions")
	rule, err := loadRule(functions)
	if err != nil {
		return err
	}
	writer, err := newWriter(w.Environment, w.In.Path("model"), functions, r.Slots)
	if err != nil {
		return err
	}
	f, err := dataset.ReadPrompts(filepath.Join(functions, promptsFile), dataset.Reading{BadRows: dataset.Stop})
	if err != nil {
		return err
	}
	all := f.Rows
	order := compute.Permutation(r.Seed, compute.Stream("ranked prompts"), len(all))
	training := make([]dataset.Prompt, min(r.Prompts, len(all)))
	for i := range training {
		training[i] = all[order[i]]
	}
	held, err := loadFunctions(filepath.Join(functions, heldOutFile(corpus.Validation)))
	if err != nil {
		return err
	}
	validation := prompts(held[:min(r.Validation, len(held))])

	answers, err := writer.write(ctx, w.Log, "sampling answers to rank", training, r.K, r.Temperature, r.Seed)
	if err != nil {
		return err
	}
	// The noise is chosen so that pairs agree with the rule as often as asked.
	declared := make([]Function, len(training))
	totals := make([][]float64, len(training))
	for i, p := range training {
		if declared[i], err = ParsePrompt(p.Text()); err != nil {
			return err
		}
		for _, a := range answers[i] {
			totals[i] = append(totals[i], rule.Score(declared[i], p.Prefill+a.Text, a.Ended).Total())
		}
	}
	noise, err := NoiseFor(totals, r.Agreement)
	if err != nil {
		return err
	}
	annotator := Annotator{Rule: rule, Noise: noise, Seed: r.Seed}
	rankings, agreed, err := annotate(annotator, training, answers)
	if err != nil {
		return err
	}
	heldAnswers, err := writer.write(ctx, w.Log, "sampling answers for validation", validation, r.K, r.Temperature, r.Seed)
	if err != nil {
		return err
	}
	heldRankings, _, err := annotate(annotator, validation, heldAnswers)
	if err != nil {
		return err
	}
	annotator.Noise = 0
	trueRankings, _, err := annotate(annotator, validation, heldAnswers)
	if err != nil {
		return err
	}
	for name, list := range map[string][]dataset.Ranking{rankingsFile: rankings, validationRankingsFile: heldRankings, trueRankingsFile: trueRankings} {
		if err := dataset.WriteRankings(w.Path(name), list); err != nil {
			return err
		}
	}
	var sum float64
	var n int
	for _, t := range totals {
		for _, x := range t {
			sum += x
			n++
		}
	}
	w.Log.Printf("rankings: %s prompts × %d answers by the %s (not a person): noise %.3f, which agrees with its rule on %.1f%% of the pairs; mean of the rule %.3f",
		progress.Count(int64(len(rankings))), r.K, AnnotatorName, noise, 100*agreed, sum/float64(n))
	w.Manifest.FLOPs = float64(writer.generator.FLOPs)
	w.Manifest.Metrics = artifact.Metrics{"prompts": float64(len(rankings)), "noise": noise, "agreement": agreed, "rule": sum / float64(n)}
	w.Manifest.Notes = []string{"The rankings are a simulated annotator's: a documented rule plus noise, standing in for people."}
	return nil
}

// annotate ranks the answers to each prompt. The share is that of the pairs
// that keep the rule's order.
func annotate(a Annotator, prompts []dataset.Prompt, answers [][]comment) ([]dataset.Ranking, float64, error) {
	out := make([]dataset.Ranking, len(prompts))
	totals, ranks := make([][]float64, len(prompts)), make([][]int, len(prompts))
	for i, p := range prompts {
		f, err := ParsePrompt(p.Text())
		if err != nil {
			return nil, 0, err
		}
		list := make([]Answer, len(answers[i]))
		ranking := dataset.Ranking{Prompt: p, Annotator: AnnotatorName}
		for j, c := range answers[i] {
			list[j] = Answer{Comment: p.Prefill + c.Text, Ended: c.Ended}
			ranking.Completions = append(ranking.Completions, c.Text)
			ranking.Ended = append(ranking.Ended, c.Ended)
		}
		rank, scores := a.Rank(f, list, uint64(i))
		for _, s := range scores {
			totals[i] = append(totals[i], s.Total())
		}
		ranking.Ranks, ranks[i] = rank, rank
		out[i] = ranking
	}
	share, pairs := Agreement(totals, ranks)
	if pairs == 0 {
		return nil, 0, errors.New("ranking answers: all answers to every prompt are equal, so there is nothing to rank; raise rankings.temperature")
	}
	return out, share, nil
}

func loadFunctions(path string) ([]Function, error) {
	return dataset.ReadLines[Function](path)
}
