package preference

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
)

// Render returns the tokens of a prompt with one completion: what the reward
// model reads, and at whose last token it gives the reward. A completion that
// its writer ended is followed by the end token; one that was cut off is not.
// The prompt's tokens are those that a model completes
// (RenderPrompt).
func Render(template *chat.Template, prompt dataset.Prompt, completion string, ended bool) ([]int32, error) {
	ids, err := prompt.RenderAnswer(template, completion, ended)
	if err != nil {
		return nil, artifact.Mark(artifact.ErrUsage, fmt.Errorf("rendering a prompt for the reward model: %w", err))
	}
	return ids, nil
}

// Metrics of a reward model's manifest: its accuracy on held-out rankings, and the ends
// of its interval.
const (
	Accuracy     = "validation/accuracy"
	AccuracyLow  = "validation/accuracy/low"
	AccuracyHigh = "validation/accuracy/high"
)

// Ranking is one prompt's completions as tokens.
type Ranking struct {
	Line  int       // of the file, counted from 1
	Texts [][]int32 // [K], prompt and completion
	Begin int       // where the completion begins in each text: tokens of the prompt
	Ranks []int     // [K]
	Pairs [][2]int  // winner and loser, indices into Texts; at least one
}

// File is what a file of rankings gives.
type File struct {
	*dataset.Account
	Rankings   []Ranking
	Long       int      // prompts left out: a completion does not fit into a row, or all together not into a micro-batch
	Tied       int      // prompts left out: no completion is ranked above another
	Annotators []string // who ranked, by name
}

// Load reads the rankings of which every completion fits into a row of length
// tokens, and all of a prompt together into a micro-batch of so many rows.
func Load(template *chat.Template, path string, how dataset.Reading, rows, length int) (File, error) {
	all, err := dataset.ReadRankings(path, how)
	if err != nil {
		return File{}, err
	}
	f := File{Account: all.Account}
	err = all.Keep(func(i int, r dataset.Ranking) error {
		one, err := Tokenize(template, r)
		if err != nil {
			return err
		}
		one.Line = all.Lines[i]
		switch {
		case len(one.Pairs) == 0:
			f.Tied++
		case !dataset.FitTogether(one.Texts, rows, length):
			f.Long++
		default:
			f.Rankings = append(f.Rankings, one)
		}
		if r.Annotator != "" && !slices.Contains(f.Annotators, r.Annotator) {
			f.Annotators = append(f.Annotators, r.Annotator)
		}
		return nil
	})
	if err != nil {
		return f, err
	}
	slices.Sort(f.Annotators)
	if len(f.Rankings) == 0 {
		return f, artifact.Errorf(artifact.ErrUsage,
			"reading rankings %s: none of %d prompts can be used: %d do not fit into %d rows of %d tokens, %d have ties only; give a longer context or more micro_rows, or completions that differ in rank",
			path, len(all.Rows), f.Long, rows, length, f.Tied)
	}
	return f, nil
}

// Tokenize renders a ranking's prompt with each of its completions.
func Tokenize(template *chat.Template, r dataset.Ranking) (Ranking, error) {
	one := Ranking{Ranks: r.Ranks, Pairs: dataset.Pairs(r.Ranks)}
	prompt, err := r.Prompt.Render(template)
	if err != nil {
		return one, artifact.Mark(artifact.ErrUsage, fmt.Errorf("rendering a prompt for the reward model: %w", err))
	}
	one.Begin = len(prompt)
	for k, completion := range r.Completions {
		text, err := Render(template, r.Prompt, completion, r.EndedAt(k))
		if err != nil {
			return one, err
		}
		one.Texts = append(one.Texts, text)
	}
	return one, nil
}

func lengths(texts [][]int32) []int {
	out := make([]int, len(texts))
	for i, t := range texts {
		out[i] = len(t)
	}
	return out
}

// MicroBatch is a part of a step that goes through the engine at once: whole
// prompts, each with all its completions.
type MicroBatch struct {
	Prompts []int   // indices into the rankings
	Rows    [][]int // for each packed row the texts in it, numbered through all prompts
}

// Step is a step's prompts in its micro-batches.
type Step struct{ Micros []MicroBatch }

// Prompts counts the prompts of the step.
func (s Step) Prompts() int {
	n := 0
	for _, m := range s.Micros {
		n += len(m.Prompts)
	}
	return n
}

// Lines names the step's rankings by their place in the file.
func (s Step) Lines(rankings []Ranking) string {
	var names []string
	for _, m := range s.Micros {
		for _, x := range m.Prompts {
			names = append(names, strconv.Itoa(rankings[x].Line))
		}
	}
	return strings.Join(names, ", ")
}

// PlanOptions says how rankings are put into steps.
type PlanOptions struct {
	Epochs  float64
	Prompts int // of a step
	Rows    int // most packed rows of a micro-batch
	Length  int // tokens of a row
	Seed    uint64
}

// Plan lists the steps: whole epochs in orders of their own, one after the
// other, and the share of a last one.
func Plan(rankings []Ranking, o PlanOptions) ([]Step, error) {
	var steps []Step
	for epoch := 0; float64(epoch) < o.Epochs; epoch++ {
		order := compute.Permutation(o.Seed, compute.Stream("rankings")+uint64(epoch), len(rankings))
		if share := o.Epochs - float64(epoch); share < 1 {
			order = order[:max(1, int(share*float64(len(order))))]
		}
		for at := 0; at < len(order); at += o.Prompts {
			micros, err := split(rankings, order[at:min(at+o.Prompts, len(order))], o.Rows, o.Length)
			if err != nil {
				return nil, err
			}
			steps = append(steps, Step{micros})
		}
	}
	return steps, nil
}

// split puts prompts into micro-batches of at most so many rows, in order,
// each as full as it becomes without cutting a prompt apart.
func split(rankings []Ranking, prompts []int, rows, length int) ([]MicroBatch, error) {
	var micros []MicroBatch
	var open MicroBatch
	var texts [][]int32
	for _, x := range prompts {
		grown := append(texts[:len(texts):len(texts)], rankings[x].Texts...)
		packed, err := dataset.Pack(lengths(grown), length)
		if err != nil {
			return nil, err
		}
		if len(packed) > rows {
			micros = append(micros, open)
			open, grown = MicroBatch{}, rankings[x].Texts
			if packed, err = dataset.Pack(lengths(grown), length); err != nil {
				return nil, err
			}
		}
		open.Prompts, open.Rows, texts = append(open.Prompts, x), packed, grown
	}
	return append(micros, open), nil
}
