// Package answers lets a language model answer people's prompts: prompts become
// tokens in the model's chat form, package generate continues them, and what was
// sampled becomes text.
//
//	w, err := answers.NewWriter(m, tok, prompts, answers.Options{Slots: 32, MaxTokens: 128})
//	four, err := w.Write(ctx, log, "answering", 4, answers.Sampling{Temperature: 1, Seed: 1})
//
// Of what chat.Banned lists only rows without a token are left out: what is sampled to
// be ranked, rewarded or measured is what the model writes, and they say nothing.
package answers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Options size a Writer.
type Options struct {
	Slots     int // answers that are written at one time; they change none
	Context   int // tokens of a prompt with its answer; 0: the model's context
	MaxTokens int // longest answer
}

// Writer answers a list of prompts with one model. It is not safe for concurrent use.
type Writer struct {
	// Prompts are those that leave room for an answer of MaxTokens tokens, Kept
	// their indices among those that were given.
	Prompts []dataset.Prompt
	Kept    []int
	// IDs are the tokens of each kept prompt.
	IDs [][]int32

	tok       *tokenizer.Tokenizer
	generator *generate.Generator
	maxTokens int
	ends      []int32
	banned    []int32
}

// NewWriter prepares a model to answer prompts. Those that leave no room are left
// out; that none is left is an error.
func NewWriter(m *model.Model, tok *tokenizer.Tokenizer, prompts []dataset.Prompt, o Options) (*Writer, error) {
	length := o.Context
	if length == 0 {
		length = m.Context
	}
	if length > m.Context {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to answer: context %d is longer than the model's, which is %d", length, m.Context)
	}
	template, err := chat.For(tok)
	if err != nil {
		return nil, err
	}
	w := &Writer{tok: tok, maxTokens: o.MaxTokens, ends: chat.Ends(tok, template, m.EndTokens()...)}
	w.banned = slices.DeleteFunc(chat.WithoutTokens(tok, m.Vocabulary), func(id int32) bool { return slices.Contains(w.ends, id) })
	if w.IDs, w.Kept, err = dataset.TokenizePrompts(template, prompts, length-o.MaxTokens); err != nil {
		return nil, err
	}
	if len(w.IDs) == 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to answer: none of %d prompts leaves room for %d tokens of an answer in a context of %d; give a smaller max_tokens or shorter prompts", len(prompts), o.MaxTokens, length)
	}
	longest := 0
	for i, ids := range w.IDs {
		w.Prompts = append(w.Prompts, prompts[w.Kept[i]])
		longest = max(longest, len(ids))
	}
	w.generator, err = generate.New(m, o.Slots, longest+o.MaxTokens)
	return w, err
}

// Of returns a Writer of some of the prompts, by their places in Prompts. It works
// with the same cache, so only one of both writes at a time, and counts together.
func (w *Writer) Of(places []int) *Writer {
	part := *w
	part.Prompts, part.Kept, part.IDs = nil, nil, nil
	for _, i := range places {
		part.Prompts = append(part.Prompts, w.Prompts[i])
		part.Kept = append(part.Kept, w.Kept[i])
		part.IDs = append(part.IDs, w.IDs[i])
	}
	return &part
}

// Sampling says how answers are drawn; see generate.Sampling.
type Sampling struct {
	Temperature, TopP float64
	Seed              uint64
}

// An Answer is one answer to a prompt.
type Answer struct {
	Text   string  // what follows the prefill
	Tokens []int32 // of the text, with the end token if it ended
	Ended  bool    // by itself
}

// Write samples k answers to each of the Writer's prompts. They depend on the
// model, the sampling, the prompt and the number of the answer alone.
func (w *Writer) Write(ctx context.Context, log *progress.Log, label string, k int, s Sampling) ([][]Answer, error) {
	requests := make([]generate.Request, 0, len(w.IDs)*k)
	for _, ids := range w.IDs {
		for j := range k {
			requests = append(requests, generate.Request{Prompt: ids, Sample: j})
		}
	}
	out := make([][]Answer, len(w.IDs))
	for i := range out {
		out[i] = make([]Answer, k)
	}
	var done int64
	err := w.generator.Run(ctx, requests, generate.Sampling{Temperature: s.Temperature, TopP: s.TopP, Seed: s.Seed, MaxTokens: w.maxTokens, Stop: w.ends, Banned: w.banned},
		func(i int, c generate.Completion) error {
			text, err := w.tok.Text(c.Tokens)
			if err != nil {
				return fmt.Errorf("%s: prompt %d: %w", label, w.Kept[i/k], err)
			}
			out[i/k][i%k] = Answer{text, c.Tokens, c.Ended}
			done++
			log.Progress.Show(progress.Line{Label: label, Done: done, Total: int64(len(requests))})
			return nil
		})
	log.Progress.Done()
	return out, err
}

// FLOPs is the count of all work so far.
func (w *Writer) FLOPs() int64 { return w.generator.FLOPs }

// Distinct returns the prompts without those that were there before, and how many
// those were: equal prompts have equal answers.
func Distinct(prompts []dataset.Asked) (distinct []dataset.Asked, repeated int) {
	seen := map[string]bool{}
	for _, a := range prompts {
		key := Key(a.Prompt)
		if seen[key] {
			repeated++
			continue
		}
		seen[key] = true
		distinct = append(distinct, a)
	}
	return distinct, repeated
}

// Key tells prompts apart: it is equal for equal messages and prefills.
func Key(p dataset.Prompt) string {
	var b strings.Builder
	for _, m := range p.Messages {
		fmt.Fprintf(&b, "%#v\n", m)
	}
	fmt.Fprintf(&b, "%q %s", p.Prefill, p.Tools)
	return b.String()
}

// Draw picks n of all places by the seed, in order of place, and then more of those
// that are left; n of 0 stands for all that more leaves. The latter do not depend on n.
func Draw(seed uint64, all, n, more int) (drawn, held []int) {
	order := compute.Permutation(seed, compute.Stream("answered prompts"), all)
	more = min(more, all)
	rest := order[:all-more]
	if n > 0 {
		rest = rest[:min(n, len(rest))]
	}
	return sorted(rest), sorted(order[all-more:])
}

func sorted(places []int) []int { return slices.Sorted(slices.Values(places)) }
