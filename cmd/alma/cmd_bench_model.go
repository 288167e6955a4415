package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/bench"
	"github.com/seed-b72bdb6c/alma/progress"
)

func newBenchTrainCommand(c *call) *cobra.Command {
	o := bench.Options{Model: "llama:4x192", Batch: 8, Seq: 256, Steps: 10}
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Time training steps",
		Long: `Time steps of training on batches of random tokens: the forward and backward
pass, the gradients' norm and their clipping, and AdamW.`,
		Example: examples("alma bench train", "alma bench train --model gpt2-124m --batch 4 --seq 256 --json"),
		Args:    arguments(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.benchModel(cmd.Context(), o, bench.Train) },
	}
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a sequence")
	cmd.Flags().IntVar(&o.LoRA, "lora-rank", 0, "rank of an adapter on all linear layers, which is trained in place of the weights; 0: none")
	cmd.Flags().Float64Var(&o.Targets, "targets", 0, "share of the tokens that have a loss, as in fine-tuning; 0: all")
	c.benchModelFlags(cmd, &o)
	return cmd
}

func newBenchRewardCommand(c *call) *cobra.Command {
	o := bench.Options{Model: "llama:4x192", Batch: 4, Seq: 256, Steps: 10}
	cmd := &cobra.Command{
		Use:   "reward",
		Short: "Time steps of a reward model",
		Long: `Time steps of a reward model on pairs of random texts: the forward and backward
pass of both, the loss of the pair, the gradients' norm and their clipping, and AdamW.`,
		Example: examples("alma bench reward", "alma bench reward --model smollm2/config.json --batch 1 --seq 512 --lora-rank 8 --json"),
		Args:    arguments(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.benchModel(cmd.Context(), o, bench.Reward) },
	}
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a text")
	cmd.Flags().IntVar(&o.LoRA, "lora-rank", 0, "rank of an adapter on all linear layers, which is trained in place of the weights; 0: none")
	c.benchModelFlags(cmd, &o)
	return cmd
}

func newBenchDecodeCommand(c *call) *cobra.Command {
	o := bench.Options{Model: "llama:4x192", Batch: 1, Seq: 64, New: 64, Steps: 5}
	cmd := &cobra.Command{
		Use:   "decode",
		Short: "Time generation with a KV cache",
		Long: `Time generation: a batch of sequences grows side by side from prompts, and each
time the most likely token is taken. What is timed runs from the first new token
to the last; a step of the result is one token more for every sequence. Reading
the prompts is what prefill times.`,
		Example: examples("alma bench decode", "alma bench decode --model gpt2-124m --batch 16 --json"),
		Args:    arguments(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.benchModel(cmd.Context(), o, bench.Decode) },
	}
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a prompt")
	cmd.Flags().IntVar(&o.New, "new", o.New, "tokens that are generated")
	c.benchModelFlags(cmd, &o)
	return cmd
}

func newBenchPrefillCommand(c *call) *cobra.Command {
	o := bench.Options{Model: "llama:4x192", Batch: 1, Seq: 512, New: 1, Steps: 5}
	cmd := &cobra.Command{
		Use:     "prefill",
		Short:   "Time reading prompts",
		Long:    `Time how long a batch of prompts takes until the first new token of the last.`,
		Example: examples("alma bench prefill", "alma bench prefill --model gpt2-124m --json"),
		Args:    arguments(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.benchModel(cmd.Context(), o, bench.Prefill) },
	}
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a prompt")
	c.benchModelFlags(cmd, &o)
	return cmd
}

func newBenchPPOCommand(c *call) *cobra.Command {
	o := bench.Options{Model: "6x384", Batch: 32, Seq: 16, New: 48, Vocab: 4096, Steps: 3}
	epochs := 4
	cmd := &cobra.Command{
		Use:   "ppo",
		Short: "Time iterations of PPO",
		Long: `Time iterations of PPO: the policy samples a response to each prompt of a batch,
a reward model scores them, the frozen reference and the critic read them, and
policy and critic are updated, the whole batch in one optimizer step an epoch.
Reward model and critic are as large as the policy. A step of the result is an
iteration; its FLOPs are without the reward model's.`,
		Example: examples("alma bench ppo", "alma bench ppo --model 4x192 --batch 64 --epochs 1 --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.benchModel(cmd.Context(), o, func(ctx context.Context, s bench.Setup, o bench.Options) (bench.Result, error) {
				return bench.PPO(ctx, s, o, epochs)
			})
		},
	}
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a prompt")
	cmd.Flags().IntVar(&o.New, "new", o.New, "tokens of a response")
	cmd.Flags().IntVar(&epochs, "epochs", epochs, "times that the update sees a rollout")
	c.benchModelFlags(cmd, &o)
	return cmd
}

// benchModelFlags are those of every benchmark on a model. A vocabulary of 0 is the
// model's own.
func (c *call) benchModelFlags(cmd *cobra.Command, o *bench.Options) {
	cmd.Flags().StringVar(&o.Model, "model", o.Model, "what is timed: `MODEL` is gpt2-124m, LAYERSxWIDTH, FAMILY:LAYERSxWIDTH or a config.json; the family is gpt2, llama or qwen3")
	cmd.Flags().IntVar(&o.Batch, "batch", o.Batch, "sequences, or pairs of texts")
	cmd.Flags().IntVar(&o.Vocab, "vocab", o.Vocab, "tokens of the vocabulary; 0: the model's, for a shape 2048")
	cmd.Flags().IntVar(&o.Steps, "steps", o.Steps, "steps that are timed, after one to warm up")
	c.seedFlag(cmd, "seed of the weights and tokens")
	acceptFlag(cmd)
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
}

// benchModel writes what a benchmark measures.
func (c *call) benchModel(ctx context.Context, o bench.Options, benchmark func(context.Context, bench.Setup, bench.Options) (bench.Result, error)) error {
	setup, err := c.benchSetup()
	if err != nil {
		return err
	}
	r, err := benchmark(ctx, setup, o)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(r)
	}
	c.printBench(r)
	return nil
}

// shownOperators is how many of the dearest operators are printed.
const shownOperators = 8

func (c *call) printBench(r bench.Result) {
	length := strconv.Itoa(r.Seq)
	if r.New > 0 {
		length += fmt.Sprintf(" + %d", r.New)
	}
	c.printf("%s %s %s, %s parameters, %d × %s tokens, vocabulary %d; %s, %d threads\n",
		r.Benchmark, r.Model, r.Precision, progress.Count(r.Parameters), r.Batch, length, r.Vocab, r.Engine, r.Threads)
	c.printf("  median %.4f s a step, best %.4f s\n", r.MedianSeconds, r.BestSeconds)
	c.printf("  %s tokens/s, %.1f GFLOP/s, %.0f%% of the peak of %.1f; memory reads %.1f GB/s\n",
		progress.Count(int64(r.TokensPerSecond)), r.GFLOPS, r.PercentOfPeak, r.PeakGFLOPS, r.Bandwidth)
	if r.PeakRSSMB > 0 {
		c.printf("  %.0f MB of memory at most\n", r.PeakRSSMB)
	}
	for _, o := range r.Operators[:min(shownOperators, len(r.Operators))] {
		c.printf("  %5.1f%%  %9.3f ms  %5d × %-28s %6.1f GFLOP/s\n", o.Percent, 1e3*o.Seconds, o.Count, o.Kind, o.GFLOPS)
	}
}
