package reward

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
)

// Render returns the tokens of a prompt with one completion: what the reward
// model reads, and at whose last token it gives the reward. A completion that
// its writer ended is followed by the end token; one that was cut off is not.
// The prompt's tokens are those that a model completes
// (RenderPrompt).
func Render(r dataset.Renderer, prompt dataset.Prompt, completion string, ended bool) ([]int32, error) {
	ids, err := r.RenderAnswer(prompt.Messages, prompt.Prefill, completion, ended)
	if err != nil {
		return nil, artifact.Mark(artifact.ErrUsage, fmt.Errorf("rendering a prompt for the reward model: %w", err))
	}
	return ids, nil
}

// ranking is one prompt's completions as tokens.
type ranking struct {
	index int       // in the file, counted from 0
	texts [][]int32 // [K]
	ranks []int     // [K]
	pairs [][2]int  // winner and loser, indices into texts; at least one
}

// rankingFile is what a file of rankings gives.
type rankingFile struct {
	rankings   []ranking
	long       int      // prompts left out: a completion does not fit into a row, or all together not into a micro-batch
	tied       int      // prompts left out: no completion is ranked above another
	annotators []string // who ranked, by name
}

func load(renderer dataset.Renderer, path string, rows, length int) (rankingFile, error) {
	all, err := dataset.ReadRankings(path)
	if err != nil {
		return rankingFile{}, err
	}
	var f rankingFile
	for i, r := range all {
		one := ranking{index: i, ranks: r.Ranks, pairs: dataset.Pairs(r.Ranks)}
		for k, completion := range r.Completions {
			text, err := Render(renderer, r.Prompt, completion, r.EndedAt(k))
			if err != nil {
				return rankingFile{}, fmt.Errorf("reading rankings %s: ranking %d: %w", path, i, err)
			}
			one.texts = append(one.texts, text)
		}
		switch {
		case len(one.pairs) == 0:
			f.tied++
		case !fits(one.texts, rows, length):
			f.long++
		default:
			f.rankings = append(f.rankings, one)
		}
		if r.Annotator != "" && !slices.Contains(f.annotators, r.Annotator) {
			f.annotators = append(f.annotators, r.Annotator)
		}
	}
	slices.Sort(f.annotators)
	if len(f.rankings) == 0 {
		return rankingFile{}, artifact.Errorf(artifact.ErrUsage,
			"reading rankings %s: none of %d prompts can be used: %d do not fit into %d rows of %d tokens, %d have ties only; give a longer context or more micro_rows, or completions that differ in rank",
			path, len(all), f.long, rows, length, f.tied)
	}
	return f, nil
}

func fits(texts [][]int32, rows, length int) bool {
	for _, t := range texts {
		if len(t) > length {
			return false
		}
	}
	packed, err := dataset.Pack(lengths(texts), length)
	return err == nil && len(packed) <= rows
}

func lengths(texts [][]int32) []int {
	out := make([]int, len(texts))
	for i, t := range texts {
		out[i] = len(t)
	}
	return out
}

// loadDemonstrations returns dialogues up to the end of the assistant's last
// turn, at most c.Demonstrations of them.
func loadDemonstrations(r dataset.Renderer, path string, c Config, length int) ([][]int32, error) {
	chats, err := dataset.ReadDialogues(path)
	if err != nil {
		return nil, err
	}
	var texts [][]int32
	for i, dialogue := range chats {
		ids, mask, err := r.RenderChat(dialogue.Messages, false)
		if err != nil {
			return nil, fmt.Errorf("reading demonstrations %s: dialogue %d: %w", path, i, err)
		}
		end := len(ids)
		for end > 0 && !mask[end-1] {
			end--
		}
		if end <= length {
			texts = append(texts, ids[:end])
		}
	}
	if len(texts) == 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading demonstrations %s: none of %d fits into %d tokens; give a longer context or shorter dialogues", path, len(chats), length)
	}
	if c.Demonstrations == 0 || c.Demonstrations >= len(texts) {
		return texts, nil
	}
	drawn := make([][]int32, c.Demonstrations)
	order := compute.Permutation(c.Seed, compute.Stream("demonstrations"), len(texts))
	for i := range drawn {
		drawn[i] = texts[order[i]]
	}
	return drawn, nil
}

// microBatch is a part of a step that goes through the engine at once: whole
// prompts, each with all its completions.
type microBatch struct {
	prompts []int   // indices into the rankings
	rows    [][]int // for each packed row the texts in it, numbered through all prompts
}

// stepPlan is a step's prompts in its micro-batches.
type stepPlan struct{ micros []microBatch }

// prompts counts the prompts of the step.
func (s stepPlan) prompts() int {
	n := 0
	for _, m := range s.micros {
		n += len(m.prompts)
	}
	return n
}

// lines names the step's rankings by their place in the file.
func (s stepPlan) lines(rankings []ranking) string {
	var names []string
	for _, m := range s.micros {
		for _, x := range m.prompts {
			names = append(names, strconv.Itoa(rankings[x].index))
		}
	}
	return strings.Join(names, ", ")
}

// plan lists the steps: whole epochs in orders of their own, one after the
// other, and the share of a last one.
func plan(rankings []ranking, c Config, length int) ([]stepPlan, error) {
	var steps []stepPlan
	for epoch := 0; float64(epoch) < c.Epochs; epoch++ {
		order := compute.Permutation(c.Seed, compute.Stream("rankings")+uint64(epoch), len(rankings))
		if share := c.Epochs - float64(epoch); share < 1 {
			order = order[:max(1, int(share*float64(len(order))))]
		}
		for at := 0; at < len(order); at += c.BatchPrompts {
			micros, err := split(rankings, order[at:min(at+c.BatchPrompts, len(order))], c.MicroRows, length)
			if err != nil {
				return nil, err
			}
			steps = append(steps, stepPlan{micros})
		}
	}
	return steps, nil
}

// split puts prompts into micro-batches of at most so many rows, in order,
// each as full as it becomes without cutting a prompt apart.
func split(rankings []ranking, prompts []int, rows, length int) ([]microBatch, error) {
	var micros []microBatch
	var open microBatch
	var texts [][]int32
	for _, x := range prompts {
		grown := append(texts[:len(texts):len(texts)], rankings[x].texts...)
		packed, err := dataset.Pack(lengths(grown), length)
		if err != nil {
			return nil, err
		}
		if len(packed) > rows {
			micros = append(micros, open)
			open, grown = microBatch{}, rankings[x].texts
			if packed, err = dataset.Pack(lengths(grown), length); err != nil {
				return nil, err
			}
		}
		open.prompts, open.rows, texts = append(open.prompts, x), packed, grown
	}
	return append(micros, open), nil
}
