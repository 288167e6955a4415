package generate

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
)

// Request is a prompt to continue.
type Request struct {
	Prompt []int32
	Sample int // tells several continuations of one prompt apart
}

// Completion is a continuation.
type Completion struct {
	Tokens []int32 // the new tokens, the stop token included
	Ended  bool    // it ended by a stop token or by Until, not by MaxTokens or the length of the cache
	Kept   int     // tokens of the prompt that were not read again: 0 unless [Generator.Keep] was called
}

// Generator continues prompts with one model. It is not safe for concurrent
// use. The weights are read at each step, so a Generator stays right while
// the model is trained between its calls, unless it keeps its cache ([Generator.Keep]).
type Generator struct {
	model   *model.Model
	slots   int
	length  int
	kept    [][]int32                    // of each slot, the tokens whose keys and values its cache holds; nil: nothing is kept
	prefill map[shape]compute.Executable // made when first used
	decode  []compute.Executable         // by rows: slots, slots/2, … 1
	rows    []int                        // rows of each decode program
	FLOPs   int64                        // of all runs so far
}

// shape is the size of a prefill: prompts that are run through the model at one
// time, and tokens of each.
type shape struct{ rows, chunk int }

// prefillShapes are the sizes to choose from.
var prefillShapes = []shape{{16, 16}, {8, 32}, {4, 64}, {2, 128}, {1, 256}, {4, 16}, {1, 64}, {1, 16}}

const (
	// prefillRows is the most prompts of a prefill.
	prefillRows = 16
	// prefillCost is what a run costs beside its tokens, in tokens: reading the
	// weights takes as long as multiplying so many rows with them.
	prefillCost = 24
)

// prefillShape returns the size that brings the most tokens of the prompts into
// the cache for what it costs.
func (g *Generator) prefillShape(batch []*text) shape {
	var best shape
	bestRate := 0.0
	for _, s := range prefillShapes {
		if s.rows > g.slots {
			continue
		}
		tokens := 0
		for _, t := range batch[:min(len(batch), s.rows)] {
			tokens += min(len(t.prompt)-t.prefixed, s.chunk)
		}
		if rate := float64(tokens) / float64(prefillCost+s.rows*s.chunk); rate > bestRate {
			best, bestRate = s, rate
		}
	}
	return best
}

// New prepares a generator with the given number of slots for texts of up to
// length tokens, prompt included. The cache lies in the model's Store; a
// second generator on the same model must have the same sizes.
func New(m *model.Model, slots, length int) (*Generator, error) {
	if m.Head != model.LanguageModel {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to generate: the %s model has a %q head, not a language model's, so it writes no text; give a language model", m.Family, m.Head)
	}
	if slots < 1 || length < 2 {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to generate: %d slots for texts of %d tokens; give at least one slot and two tokens, one of a prompt and one to write", slots, length)
	}
	if length > m.Context {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to generate: %d tokens are longer than the model's context of %d", length, m.Context)
	}
	if err := m.DefineCache(m.Store, slots, length); err != nil {
		return nil, fmt.Errorf("preparing to generate: %w", err)
	}
	g := &Generator{model: m, slots: slots, length: length, prefill: map[shape]compute.Executable{}}
	for rows := slots; rows >= 1; rows /= 2 {
		x, err := g.compile("decode", rows, 1, true)
		if err != nil {
			return nil, err
		}
		g.decode, g.rows = append(g.decode, x), append(g.rows, rows)
	}
	return g, nil
}

// Keep makes the Generator go on, from now on, from what its slots hold: of a prompt,
// the longest beginning that is the beginning of a text in a free slot is not read
// again. What is sampled stays the same, bit for bit. It holds as long as neither the
// weights change nor another Generator of the model runs, since both would make the
// cache wrong without a sign of it: call [Generator.Forget] after either.
func (g *Generator) Keep() {
	if g.kept == nil {
		g.kept = make([][]int32, g.slots)
	}
}

// Forget makes the next prompts be read from their beginning. What is kept after them
// is not changed by it.
func (g *Generator) Forget() {
	for slot := range g.kept {
		g.kept[slot] = nil
	}
}

// take removes from the free slots that whose cache holds most of a prompt's
// beginning, of equal ones that with least to lose. It returns how many of the
// prompt's tokens the cache holds. At least the last one is left to be read, since its
// logits are needed.
func (g *Generator) take(free []int, prompt []int32) (slot, held int, rest []int) {
	at := len(free) - 1
	if g.kept == nil {
		return free[at], 0, free[:at]
	}
	held = -1
	for i := len(free) - 1; i >= 0; i-- {
		kept := g.kept[free[i]]
		n := 0
		for n < min(len(kept), len(prompt)-1) && kept[n] == prompt[n] {
			n++
		}
		if n > held || n == held && len(kept) < len(g.kept[free[at]]) {
			at, held = i, n
		}
	}
	slot = free[at]
	return slot, held, slices.Delete(free, at, at+1)
}

// hold notes what a slot's cache holds: the tokens of a text up to a position, behind
// which it is not known while a Program runs and after one that failed.
func (g *Generator) hold(t *text, position int, more ...int32) {
	if g.kept != nil {
		g.kept[t.slot] = append(g.kept[t.slot][:position], more...)
	}
}

// compile makes a Program of rows × chunk tokens, with the logits of all of
// them or of the last one of each row.
func (g *Generator) compile(name string, rows, chunk int, logits bool) (compute.Executable, error) {
	m := g.model
	p := compute.NewProgram(fmt.Sprintf("%s %d×%d", name, rows, chunk))
	hidden := m.CachedHidden(p, model.NewStep(p, rows, chunk), g.slots, g.length)
	if !logits {
		hidden = compute.GatherRows(hidden, p.Input("last", compute.Int32, rows))
	}
	p.Output("logits", m.Logits(p, hidden))
	return m.Engine.Compile(p, m.Store)
}

// text is a request that holds a slot.
type text struct {
	request  int
	slot     int
	stream   uint64
	prompt   []int32
	tokens   []int32 // sampled so far
	prefixed int     // prompt tokens in the cache
	kept     int     // of them, those that were there before
	ended    bool
	until    func(token int32) bool // nil: Stop alone ends it
	seen     seen                   // of prompt and tokens, where they are penalized
}

// next is the position of the token that is sampled next.
func (t *text) next() int { return len(t.prompt) + len(t.tokens) }

// Run continues every request and calls done once for each, in the order in
// which they finish. Texts end at a stop token, at MaxTokens, or when prompt
// and continuation fill the cache.
func (g *Generator) Run(ctx context.Context, requests []Request, s Sampling, done func(i int, c Completion) error) error {
	return g.run(ctx, requests, s, nil, done)
}

// All continues every request and returns the completions in the order of the
// requests.
func (g *Generator) All(ctx context.Context, requests []Request, s Sampling) ([]Completion, error) {
	return g.StreamAll(ctx, requests, s, nil)
}

// Stream continues one prompt and calls token for each new token.
func (g *Generator) Stream(ctx context.Context, r Request, s Sampling, token func(int32) error) (Completion, error) {
	out, err := g.StreamAll(ctx, []Request{r}, s, func(_ int, t int32) error { return token(t) })
	return out[0], err
}

// StreamAll is All that calls token for each new token of request i as it is
// drawn.
func (g *Generator) StreamAll(ctx context.Context, requests []Request, s Sampling, token func(i int, t int32) error) ([]Completion, error) {
	out := make([]Completion, len(requests))
	err := g.run(ctx, requests, s, token, func(i int, c Completion) error {
		out[i] = c
		return nil
	})
	return out, err
}

func (g *Generator) run(ctx context.Context, requests []Request, s Sampling, onToken func(i int, token int32) error, done func(i int, c Completion) error) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := g.checkPrompts(requests); err != nil {
		return err
	}
	samplers := make([]sampler, runtime.GOMAXPROCS(0))
	for i := range samplers {
		samplers[i].Sampling = s
	}
	free := make([]int, 0, g.slots)
	for slot := g.slots - 1; slot >= 0; slot-- {
		free = append(free, slot)
	}
	waiting := 0        // the next request to start
	var reading []*text // being prefilled
	var writing []*text // being decoded
	drawn := make([]int32, g.slots)
	for waiting < len(requests) || len(reading) > 0 || len(writing) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// Slots are filled in groups: prompts that are read together cost less.
		fill := len(writing) == 0 || len(free) >= g.prefillRows()
		for fill && waiting < len(requests) && len(free) > 0 {
			r := requests[waiting]
			t := &text{request: waiting, stream: stream(r.Prompt, r.Sample), prompt: r.Prompt}
			t.slot, t.kept, free = g.take(free, r.Prompt)
			t.prefixed = t.kept
			g.hold(t, t.kept)
			if s.Until != nil {
				t.until = s.Until()
			}
			if s.penalizes() {
				t.seen.add(r.Prompt...)
			}
			reading = append(reading, t)
			waiting++
		}
		step, texts := g.runDecode, writing
		if len(reading) > 0 {
			step, texts = g.runPrefill, reading
		}
		x, fresh, err := step(texts) // fresh: those whose logits were just computed
		if err != nil {
			return err
		}
		if err := g.sample(samplers, fresh, x.Floats("logits"), drawn); err != nil {
			return err
		}
		for i, t := range fresh {
			if t.prefixed < len(t.prompt) {
				continue // more of the prompt to read
			}
			t.tokens = append(t.tokens, drawn[i])
			t.ended = slices.Contains(s.Stop, drawn[i]) || t.until != nil && t.until(drawn[i])
			if s.penalizes() {
				t.seen.add(drawn[i])
			}
			if onToken != nil {
				if err := onToken(t.request, drawn[i]); err != nil {
					return err
				}
			}
		}
		all := slices.Concat(writing, reading)
		writing, reading = nil, nil
		for _, t := range all {
			switch {
			case t.prefixed < len(t.prompt):
				reading = append(reading, t)
			case t.ended || len(t.tokens) >= s.MaxTokens || t.next() >= g.length:
				free = append(free, t.slot)
				if err := done(t.request, Completion{t.tokens, t.ended, t.kept}); err != nil {
					return err
				}
			default:
				writing = append(writing, t)
			}
		}
	}
	return nil
}

// checkPrompts refuses prompts that are empty or fill the cache.
func (g *Generator) checkPrompts(requests []Request) error {
	for i, r := range requests {
		if len(r.Prompt) == 0 {
			return artifact.Errorf(artifact.ErrUsage, "generating: prompt %d is empty", i)
		}
		if len(r.Prompt) >= g.length {
			return artifact.Errorf(artifact.ErrUsage, "generating: prompt %d has %d tokens, which leaves no room in a context of %d", i, len(r.Prompt), g.length)
		}
	}
	return nil
}

func (g *Generator) prefillRows() int { return min(prefillRows, g.slots) }

// runPrefill brings the next chunk of the first texts' prompts into the cache,
// and returns these texts.
func (g *Generator) runPrefill(reading []*text) (compute.Executable, []*text, error) {
	s := g.prefillShape(reading)
	x, ok := g.prefill[s]
	if !ok {
		var err error
		if x, err = g.compile("prefill", s.rows, s.chunk, false); err != nil {
			return nil, nil, err
		}
		g.prefill[s] = x
	}
	batch := reading[:min(len(reading), s.rows)]
	tokens, positions := x.Ints("tokens"), x.Ints("positions")
	slots, starts, counts, last := x.Ints("slots"), x.Ints("starts"), x.Ints("counts"), x.Ints("last")
	clear(tokens)
	clear(positions)
	for r := range slots {
		slots[r], starts[r], counts[r], last[r] = 0, 0, 0, -1
		if r >= len(batch) {
			continue
		}
		t := batch[r]
		chunk := t.prompt[t.prefixed:min(len(t.prompt), t.prefixed+s.chunk)]
		for i, token := range chunk {
			tokens[r*s.chunk+i] = token
			positions[r*s.chunk+i] = int32(t.prefixed + i)
		}
		slots[r], starts[r], counts[r] = int32(t.slot), int32(t.prefixed), int32(len(chunk))
		last[r] = int32(r*s.chunk + len(chunk) - 1)
		t.prefixed += len(chunk)
	}
	g.FLOPs += x.FLOPs()
	if err := x.Run(); err != nil {
		return x, batch, err
	}
	for r, t := range batch {
		g.hold(t, int(starts[r]), t.prompt[starts[r]:t.prefixed]...)
	}
	return x, batch, nil
}

// runDecode brings the last sampled token of each text into the cache. It
// uses the smallest Program that holds them all.
func (g *Generator) runDecode(batch []*text) (compute.Executable, []*text, error) {
	i := 0
	for i+1 < len(g.rows) && g.rows[i+1] >= len(batch) {
		i++
	}
	x := g.decode[i]
	tokens, positions := x.Ints("tokens"), x.Ints("positions")
	slots, starts, counts := x.Ints("slots"), x.Ints("starts"), x.Ints("counts")
	for r := range slots {
		tokens[r], positions[r], slots[r], starts[r], counts[r] = 0, 0, 0, 0, 0
		if r < len(batch) {
			t := batch[r]
			at := int32(t.next() - 1)
			tokens[r], positions[r], slots[r], starts[r], counts[r] = t.tokens[len(t.tokens)-1], at, int32(t.slot), at, 1
		}
	}
	g.FLOPs += x.FLOPs()
	if err := x.Run(); err != nil {
		return x, batch, err
	}
	for r, t := range batch {
		g.hold(t, int(starts[r]), tokens[r])
	}
	return x, batch, nil
}

// sample draws a token for each text from its row of logits, in parallel.
func (g *Generator) sample(samplers []sampler, batch []*text, logits []float32, drawn []int32) error {
	v := g.model.Vocabulary
	failed := make([]*text, len(samplers))
	draw := func(worker, from, to int) {
		for i := from; i < to; i++ {
			if t := batch[i]; t.prefixed == len(t.prompt) {
				row := logits[i*v : (i+1)*v]
				samplers[worker].penalize(row, t.seen.list)
				var ok bool
				if drawn[i], ok = samplers[worker].draw(row, t.stream, t.next()); !ok && failed[worker] == nil {
					failed[worker] = t
				}
			}
		}
	}
	n := min(len(samplers), max(1, len(batch)/4))
	var wg sync.WaitGroup
	for w := 1; w < n; w++ {
		wg.Go(func() { draw(w, w*len(batch)/n, (w+1)*len(batch)/n) })
	}
	draw(0, 0, len(batch)/n)
	wg.Wait()
	for _, t := range failed {
		if t != nil {
			return artifact.Errorf(artifact.ErrDiverged, "generating: prompt %d at position %d: no token has a probability: the logits are not finite, or every token is banned; take weights from before the training diverged", t.request, t.next())
		}
	}
	return nil
}
