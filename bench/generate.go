package bench

import (
	"context"
	"time"

	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
)

// Decode times generation with a KV cache: a batch of sequences grows side by side
// from prompts, and each time the most likely token is taken. A step is one token
// more for every sequence; what is timed runs from the first new token to the last.
func Decode(ctx context.Context, s Setup, o Options) (Result, error) {
	return run(ctx, s, o, func(e *cpu.Engine, m *model.Model, o Options) (work, error) {
		return decoding(ctx, e, m, o)
	})
}

// Prefill times how long a batch of prompts takes until the first new token of the
// last.
func Prefill(ctx context.Context, s Setup, o Options) (Result, error) {
	return run(ctx, s, o, func(e *cpu.Engine, m *model.Model, o Options) (work, error) {
		return prefilling(ctx, e, m, o)
	})
}

func decoding(ctx context.Context, engine *cpu.Engine, m *model.Model, o Options) (work, error) {
	if o.New < 2 {
		return work{}, refuse("--new is %d, want 2 or more: the first new token belongs to the prompt", o.New)
	}
	w, err := newWriting(engine, m, o)
	if err != nil {
		return work{}, err
	}
	tokens := o.New - 1 // after the one that the prompt gives
	step := func(i int) (time.Duration, error) {
		if err := w.write(ctx, i, o.New); err != nil {
			return 0, err
		}
		return w.ended.Sub(w.read) / time.Duration(tokens), nil
	}
	flops := func() int64 { return (w.generator.FLOPs - w.flopsRead) / int64(tokens) }
	return work{name: "decode", tokens: o.Batch, step: step, flops: flops, profiled: tokens}, nil
}

func prefilling(ctx context.Context, engine *cpu.Engine, m *model.Model, o Options) (work, error) {
	w, err := newWriting(engine, m, o)
	if err != nil {
		return work{}, err
	}
	step := func(i int) (time.Duration, error) {
		if err := w.write(ctx, i, o.New); err != nil {
			return 0, err
		}
		return w.ended.Sub(w.begun), nil
	}
	flops := func() int64 { return w.generator.FLOPs - w.flopsBegun }
	return work{name: "prefill", tokens: o.Batch * o.Seq, step: step, flops: flops}, nil
}

// writing is a batch of prompts that a Generator continues, with the moments
// and counts of FLOPs of the latest time.
type writing struct {
	engine    *cpu.Engine
	generator *generate.Generator
	options   Options
	requests  []generate.Request

	begun, read, ended    time.Time // read: every sequence has its first new token
	flopsBegun, flopsRead int64
}

func newWriting(engine *cpu.Engine, m *model.Model, o Options) (*writing, error) {
	g, err := generate.New(m, o.Batch, o.Seq+o.New)
	if err != nil {
		return nil, err
	}
	return &writing{engine: engine, generator: g, options: o, requests: make([]generate.Request, o.Batch)}, nil
}

// write continues random prompts by so many tokens. The engine's profile
// begins again once all the prompts are read and more tokens follow.
func (w *writing) write(ctx context.Context, step, tokens int) error {
	for b := range w.requests {
		prompt := make([]int32, w.options.Seq)
		for j := range prompt {
			prompt[j] = randomToken(uint64(step), uint64(b*len(prompt)+j), w.options.Vocab)
		}
		w.requests[b] = generate.Request{Prompt: prompt, Sample: b}
	}
	begun := make([]bool, len(w.requests))
	waiting := len(begun)
	w.begun, w.flopsBegun = time.Now(), w.generator.FLOPs
	_, err := w.generator.StreamAll(ctx, w.requests, generate.Sampling{MaxTokens: tokens}, func(i int, _ int32) error {
		if !begun[i] {
			begun[i] = true
			waiting--
			if waiting == 0 && tokens > 1 {
				w.read, w.flopsRead = time.Now(), w.generator.FLOPs
				w.engine.ResetProfile()
			}
		}
		return nil
	})
	w.ended = time.Now()
	return err
}
