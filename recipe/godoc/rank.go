package godoc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/corpus/godoc"
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

// maxFile bounds the small files that are read whole.
const maxFile = 64 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("longer than %s", progress.Bytes(maxFile))
	}
	return data, err
}

// writer samples comments for functions.
type writer struct {
	tok       *tokenizer.Tokenizer
	model     *model.Model
	generator *generate.Generator
	maxTokens int
}

// newWriter opens a model to write comments with.
func newWriter(env stage.Environment, folder string, c Config, slots int) (*writer, error) {
	m, tok, err := train.LoadModel(env.Engine, folder)
	if err != nil {
		return nil, err
	}
	length := min(m.Context, c.Dialogues.MaxPrompt+c.Dialogues.MaxAnswer)
	g, err := generate.New(m, slots, length)
	if err != nil {
		return nil, err
	}
	return &writer{tok, m, g, c.Dialogues.MaxAnswer}, nil
}

// comment is a sampled answer.
type comment struct {
	Text   string // what follows the prefill
	Tokens []int32
	Ended  bool
}

// write samples k answers to each prompt at a temperature.
func (w *writer) write(ctx context.Context, env stage.Environment, label string, prompts []dataset.Prompt, k int, temperature float64, seed uint64) ([][]comment, error) {
	requests := make([]generate.Request, 0, len(prompts)*k)
	for i, p := range prompts {
		ids, err := w.tok.RenderPrompt(p.Messages, p.Prefill)
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
	err := w.generator.Run(ctx, requests, generate.Sampling{Temperature: temperature, Seed: seed, MaxTokens: w.maxTokens, Stop: chat.Ends(w.tok, nil)},
		func(i int, c generate.Completion) error {
			text, err := w.tok.Text(c.Tokens)
			if err != nil {
				return err
			}
			out[i/k][i%k] = comment{text, c.Tokens, c.Ended}
			n++
			env.Log.Progress.Show(progress.Line{Label: label, Done: n, Total: int64(len(requests))})
			return nil
		})
	env.Log.Progress.Done()
	return out, err
}

// rank samples K answers to each prompt from the SFT model and lets the
// simulated annotator order them.
func rank(ctx context.Context, env stage.Environment, c Config, dialogues, base, out string) (*artifact.Manifest, error) {
	r := c.Rankings
	stage, err := artifact.Begin(out, "rankings", r)
	if err != nil {
		return nil, err
	}
	if err := addInputs(stage, map[string]string{"dialogues": dialogues, "model": base}); err != nil {
		return nil, err
	}
	rule, err := loadRule(dialogues)
	if err != nil {
		return nil, err
	}
	w, err := newWriter(env, base, c, r.Slots)
	if err != nil {
		return nil, err
	}
	all, err := dataset.ReadPrompts(stagePath(dialogues, promptsFile))
	if err != nil {
		return nil, err
	}
	order := compute.Permutation(r.Seed, compute.Stream("ranked prompts"), len(all))
	training := make([]dataset.Prompt, min(r.Prompts, len(all)))
	for i := range training {
		training[i] = all[order[i]]
	}
	held, err := loadFunctions(stagePath(dialogues, heldOutFile(corpus.Validation)))
	if err != nil {
		return nil, err
	}
	validation := prompts(held[:min(r.Validation, len(held))])

	answers, err := w.write(ctx, env, "sampling answers to rank", training, r.K, r.Temperature, r.Seed)
	if err != nil {
		return nil, err
	}
	// The noise is chosen so that pairs agree with the rule as often as asked.
	functions := make([]godoc.Function, len(training))
	totals := make([][]float64, len(training))
	for i, p := range training {
		if functions[i], err = godoc.ParsePrompt(p.Text()); err != nil {
			return nil, err
		}
		for _, a := range answers[i] {
			totals[i] = append(totals[i], rule.Score(functions[i], p.Prefill+a.Text, a.Ended).Total())
		}
	}
	noise, err := godoc.NoiseFor(totals, r.Agreement)
	if err != nil {
		return nil, err
	}
	annotator := godoc.Annotator{Rule: rule, Noise: noise, Seed: r.Seed}
	rankings, agreed, err := annotate(annotator, training, answers)
	if err != nil {
		return nil, err
	}
	heldAnswers, err := w.write(ctx, env, "sampling answers for validation", validation, r.K, r.Temperature, r.Seed)
	if err != nil {
		return nil, err
	}
	heldRankings, _, err := annotate(annotator, validation, heldAnswers)
	if err != nil {
		return nil, err
	}
	annotator.Noise = 0
	trueRankings, _, err := annotate(annotator, validation, heldAnswers)
	if err != nil {
		return nil, err
	}
	for name, list := range map[string][]dataset.Ranking{rankingsFile: rankings, validationRankingsFile: heldRankings, trueRankingsFile: trueRankings} {
		if err := dataset.WriteRankings(stage.Path(name), list); err != nil {
			return nil, err
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
	env.Log.Printf("rankings: %s prompts × %d answers by the %s (not a person): noise %.3f, which agrees with its rule on %.1f%% of the pairs; mean of the rule %.3f",
		progress.Count(int64(len(rankings))), r.K, godoc.AnnotatorName, noise, 100*agreed, sum/float64(n))
	stage.Manifest.FLOPs = float64(w.generator.FLOPs)
	stage.Manifest.Metrics = artifact.Metrics{"prompts": float64(len(rankings)), "noise": noise, "agreement": agreed, "rule": sum / float64(n)}
	stage.Manifest.Notes = []string{"The rankings are a simulated annotator's: a documented rule plus noise, standing in for people."}
	return stage.Finish()
}

// annotate ranks the answers to each prompt. The share is that of the pairs
// that keep the rule's order.
func annotate(a godoc.Annotator, prompts []dataset.Prompt, answers [][]comment) ([]dataset.Ranking, float64, error) {
	out := make([]dataset.Ranking, len(prompts))
	totals, ranks := make([][]float64, len(prompts)), make([][]int, len(prompts))
	for i, p := range prompts {
		f, err := godoc.ParsePrompt(p.Text())
		if err != nil {
			return nil, 0, err
		}
		list := make([]godoc.Answer, len(answers[i]))
		ranking := dataset.Ranking{Prompt: p, Annotator: godoc.AnnotatorName}
		for j, c := range answers[i] {
			list[j] = godoc.Answer{Comment: p.Prefill + c.Text, Ended: c.Ended}
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
	share, pairs := godoc.Agreement(totals, ranks)
	if pairs == 0 {
		return nil, 0, errors.New("ranking answers: all answers to every prompt are equal, so there is nothing to rank; raise rankings.temperature")
	}
	return out, share, nil
}

func loadFunctions(path string) ([]godoc.Function, error) {
	return artifact.LoadJSONL[godoc.Function](path, 1<<20)
}
