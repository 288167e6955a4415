package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
)

func newBenchDecodeCommand(c *call) *cobra.Command {
	o := benchOptions{Model: "llama:4x192", Batch: 1, Seq: 64, New: 64, Steps: 5}
	cmd := &cobra.Command{
		Use:   "decode",
		Short: "Time generation with a KV cache",
		Long: `Time generation: a batch of sequences grows side by side from prompts, and each
time the most likely token is taken. What is timed runs from the first new token
to the last; a step of the result is one token more for every sequence. Reading
the prompts is what prefill times.`,
		Example: examples("alma bench decode", "alma bench decode --model gpt2-124m --batch 16 --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runBench(cmd.Context(), o, func(e *cpu.Engine, m *model.Model, o benchOptions) (benchmark, error) {
				return benchDecode(cmd.Context(), e, m, o)
			})
		},
	}
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a prompt")
	cmd.Flags().IntVar(&o.New, "new", o.New, "tokens that are generated")
	c.modelFlags(cmd, &o)
	return cmd
}

func newBenchPrefillCommand(c *call) *cobra.Command {
	o := benchOptions{Model: "llama:4x192", Batch: 1, Seq: 512, New: 1, Steps: 5}
	cmd := &cobra.Command{
		Use:     "prefill",
		Short:   "Time reading prompts",
		Long:    `Time how long a batch of prompts takes until the first new token of the last.`,
		Example: examples("alma bench prefill", "alma bench prefill --model gpt2-124m --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runBench(cmd.Context(), o, func(e *cpu.Engine, m *model.Model, o benchOptions) (benchmark, error) {
				return benchPrefill(cmd.Context(), e, m, o)
			})
		},
	}
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a prompt")
	c.modelFlags(cmd, &o)
	return cmd
}

func benchDecode(ctx context.Context, engine *cpu.Engine, m *model.Model, o benchOptions) (benchmark, error) {
	if o.New < 2 {
		return benchmark{}, artifact.Errorf(artifact.ErrUsage, "choosing what to time: --new is %d, want 2 or more: the first new token belongs to the prompt", o.New)
	}
	w, err := newWriting(engine, m, o)
	if err != nil {
		return benchmark{}, err
	}
	tokens := o.New - 1 // after the one that the prompt gives
	step := func(i int) (time.Duration, error) {
		if err := w.write(ctx, i, o.New); err != nil {
			return 0, err
		}
		return w.ended.Sub(w.read) / time.Duration(tokens), nil
	}
	flops := func() int64 { return (w.generator.FLOPs - w.flopsRead) / int64(tokens) }
	return benchmark{name: "decode", tokens: o.Batch, step: step, flops: flops, profiled: tokens}, nil
}

func benchPrefill(ctx context.Context, engine *cpu.Engine, m *model.Model, o benchOptions) (benchmark, error) {
	w, err := newWriting(engine, m, o)
	if err != nil {
		return benchmark{}, err
	}
	step := func(i int) (time.Duration, error) {
		if err := w.write(ctx, i, o.New); err != nil {
			return 0, err
		}
		return w.ended.Sub(w.begun), nil
	}
	flops := func() int64 { return w.generator.FLOPs - w.flopsBegun }
	return benchmark{name: "prefill", tokens: o.Batch * o.Seq, step: step, flops: flops}, nil
}

// writing is a batch of prompts that a Generator continues, with the moments
// and counts of FLOPs of the latest time.
type writing struct {
	engine    *cpu.Engine
	generator *generate.Generator
	options   benchOptions
	requests  []generate.Request

	begun, read, ended    time.Time // read: every sequence has its first new token
	flopsBegun, flopsRead int64
}

func newWriting(engine *cpu.Engine, m *model.Model, o benchOptions) (*writing, error) {
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
