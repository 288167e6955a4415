package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

func newBenchCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "bench",
		GroupID: groupCheck,
		Short:   "Measure the speed of this machine",
		Long:    "Measure how fast this machine trains and generates, on a model of random weights.",
	})
	cmd.AddCommand(
		newBenchOneCommand(c, "train", "Time training steps",
			`Time steps of training: the forward and backward pass of a batch of random
tokens, the finite check, and AdamW.`, benchTrain),
		newBenchOneCommand(c, "decode", "Time generation with a KV cache",
			`Time generation: a batch of sequences grows side by side from a prompt of one
token to the full length, one token a step. A step of the result is one whole
generation.`, benchDecode),
	)
	return cmd
}

// benchOptions are the sizes of what is timed.
type benchOptions struct {
	Model  string `json:"model"` // LAYERSxWIDTH
	Family string `json:"family"`
	Batch  int    `json:"batch"`
	Seq    int    `json:"seq"`
	Vocab  int    `json:"vocab"`
	Steps  int    `json:"steps"`
}

// benchResult is what a benchmark measured. FLOPs are the Programs' own count.
type benchResult struct {
	Benchmark string `json:"benchmark"`
	benchOptions
	Parameters      int64   `json:"parameters"`
	Engine          string  `json:"engine"`
	Threads         int     `json:"threads"`
	MedianSeconds   float64 `json:"median_s"` // of a step
	BestSeconds     float64 `json:"best_s"`
	TokensPerSecond float64 `json:"tokens_per_s"`
	GFLOPS          float64 `json:"gflops"`      // FLOPs of a step ÷ median ÷ 10⁹
	PeakGFLOPS      float64 `json:"peak_gflops"` // measured multiply-adds
	PercentOfPeak   float64 `json:"percent_of_peak"`
	PeakRSSMB       float64 `json:"peak_rss_mb,omitempty"`
}

// benchmark prepares what is timed: a function that does a step, and the
// tokens of a step. flops is read after the steps.
type benchmark func(ctx context.Context, m *model.Model, o benchOptions) (step func(i int) error, tokens int, flops func() int64, err error)

func newBenchOneCommand(c *call, name, short, long string, prepare benchmark) *cobra.Command {
	o := benchOptions{Model: "4x192", Family: "llama", Batch: 8, Seq: 256, Vocab: 2048, Steps: 10}
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long: long + `

The median and the best time of a step are given after one step of warming up,
beside the machine's measured peak of multiply-adds. The FLOPs are the Programs'
own count.`,
		Example: examples("alma bench "+name, "alma bench "+name+" --model 12x768 --vocab 50257 --batch 4 --seq 1024 --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := o.config()
			if err != nil {
				return err
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			m, err := model.New(engine, config, c.seed)
			if err != nil {
				return err
			}
			step, tokens, flops, err := prepare(cmd.Context(), m, o)
			if err != nil {
				return err
			}
			times, err := timeSteps(cmd.Context(), o.Steps, step)
			if err != nil {
				return err
			}
			r := summarize(times, tokens, flops(), engine)
			r.Benchmark, r.benchOptions, r.Parameters = name, o, config.ParameterCount()
			if c.json {
				return c.printJSON(r)
			}
			c.printBench(r)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Model, "model", o.Model, "`LAYERSxWIDTH` of the model; heads have 64 dimensions, or 32 up to a width of 256")
	cmd.Flags().StringVar(&o.Family, "family", o.Family, "kind of the blocks: gpt2, llama, qwen3")
	cmd.Flags().IntVar(&o.Batch, "batch", o.Batch, "sequences")
	cmd.Flags().IntVar(&o.Seq, "seq", o.Seq, "tokens of a sequence")
	cmd.Flags().IntVar(&o.Vocab, "vocab", o.Vocab, "tokens of the vocabulary")
	cmd.Flags().IntVar(&o.Steps, "steps", o.Steps, "steps that are timed")
	c.seedFlag(cmd, "seed of the weights and tokens")
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// config is the model that is timed.
func (o benchOptions) config() (model.Config, error) {
	refuse := func(format string, args ...any) (model.Config, error) {
		return model.Config{}, artifact.Errorf(artifact.ErrUsage, "choosing what to time: "+format, args...)
	}
	for _, size := range []struct {
		flag  string
		value int
		least int
	}{{"--batch", o.Batch, 1}, {"--seq", o.Seq, 2}, {"--vocab", o.Vocab, 2}, {"--steps", o.Steps, 1}} {
		if size.value < size.least {
			return refuse("%s is %d, want %d or more", size.flag, size.value, size.least)
		}
	}
	l, w, _ := strings.Cut(o.Model, "x")
	layers, err1 := strconv.Atoi(l)
	width, err2 := strconv.Atoi(w)
	if err1 != nil || err2 != nil {
		return refuse("--model is %q, want LAYERSxWIDTH such as 12x768", o.Model)
	}
	head := 64
	if width <= 256 {
		head = 32
	}
	if width < head || width%head != 0 {
		return refuse("--model has width %d, want a multiple of the head's %d", width, head)
	}
	c := model.Config{
		Family: model.Family(o.Family), Head: model.LanguageModel, Vocabulary: o.Vocab, Context: o.Seq,
		Width: width, Layers: layers, Heads: width / head, KVHeads: width / head, HeadDim: head,
		FeedForward: 4 * width, Epsilon: 1e-5, Tied: true, InitRange: .02, BOS: -1, EOS: -1, Pad: -1,
	}
	if c.Family != model.GPT2 {
		// As many weights in three matrices as GPT-2 has in two.
		c.RoPETheta, c.FeedForward = 10000, (8*width/3+63)/64*64
	}
	return c, c.Validate()
}

func benchTrain(_ context.Context, m *model.Model, o benchOptions) (func(int) error, int, func() int64, error) {
	lm, err := train.NewLanguageModel(m, o.Batch, o.Seq)
	if err != nil {
		return nil, 0, nil, err
	}
	optimizer, err := train.NewOptimizer(m, train.DefaultOptimizer(1e-3).AdamW())
	if err != nil {
		return nil, 0, nil, err
	}
	rows := train.NewTextRows(o.Batch, o.Seq)
	step := func(i int) error {
		for j := range rows.Tokens {
			rows.Tokens[j] = randomToken(uint64(i), 2*uint64(j), o.Vocab)
			rows.Targets[j] = randomToken(uint64(i), 2*uint64(j)+1, o.Vocab)
		}
		if _, err := lm.Accumulate(rows, 1/float64(len(rows.Tokens))); err != nil {
			return err
		}
		norm, err := optimizer.Norm()
		if err != nil {
			return err
		}
		return optimizer.Step(1e-3, norm)
	}
	return step, o.Batch * o.Seq, func() int64 { return lm.FLOPs() + optimizer.FLOPs() }, nil
}

func benchDecode(ctx context.Context, m *model.Model, o benchOptions) (func(int) error, int, func() int64, error) {
	g, err := generate.New(m, o.Batch, o.Seq)
	if err != nil {
		return nil, 0, nil, err
	}
	requests := make([]generate.Request, o.Batch)
	var last int64 // FLOPs of the last step
	step := func(i int) error {
		for b := range requests {
			requests[b] = generate.Request{Prompt: []int32{randomToken(uint64(i), uint64(b), o.Vocab)}, Sample: b}
		}
		before := g.FLOPs
		_, err := g.All(ctx, requests, generate.Sampling{Temperature: 1, MaxTokens: o.Seq - 1})
		last = g.FLOPs - before
		return err
	}
	return step, o.Batch * (o.Seq - 1), func() int64 { return last }, nil
}

func randomToken(step, index uint64, vocab int) int32 {
	return int32(compute.Bits(step, compute.Stream("bench"), index) % uint64(vocab))
}

// timeSteps returns the times of n steps, after one more that warms up.
func timeSteps(ctx context.Context, n int, step func(i int) error) ([]time.Duration, error) {
	progress := train.NewProgress(os.Stderr)
	defer progress.Done()
	var times []time.Duration
	for i := range n + 1 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		start := time.Now()
		if err := step(i); err != nil {
			return nil, err
		}
		if i > 0 {
			times = append(times, time.Since(start))
			progress.Show(train.ProgressLine{Label: "bench step", Done: int64(i), Total: int64(n), Fields: []string{times[i-1].Round(time.Microsecond).String()}})
		}
	}
	return times, nil
}

func summarize(times []time.Duration, tokens int, flops int64, engine *cpu.Engine) benchResult {
	sorted := slices.Sorted(slices.Values(times))
	median := sorted[len(sorted)/2]
	if n := len(sorted); n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	r := benchResult{
		Engine: engine.Name(), Threads: engine.Threads(),
		MedianSeconds: median.Seconds(), BestSeconds: sorted[0].Seconds(),
		TokensPerSecond: float64(tokens) / median.Seconds(),
		GFLOPS:          float64(flops) / median.Seconds() / 1e9,
		PeakGFLOPS:      engine.MeasurePeak(),
		PeakRSSMB:       float64(peakMemory()) / (1 << 20),
	}
	r.PercentOfPeak = 100 * r.GFLOPS / r.PeakGFLOPS
	return r
}

func (c *call) printBench(r benchResult) {
	c.printf("%s %s %s, %s parameters, %d × %d tokens, vocabulary %d; %s, %d threads\n",
		r.Benchmark, r.Family, r.Model, train.FormatCount(r.Parameters), r.Batch, r.Seq, r.Vocab, r.Engine, r.Threads)
	c.printf("  median %.4f s a step, best %.4f s\n", r.MedianSeconds, r.BestSeconds)
	c.printf("  %s tokens/s, %.1f GFLOP/s, %.0f%% of the peak of %.1f\n", train.FormatCount(int64(r.TokensPerSecond)), r.GFLOPS, r.PercentOfPeak, r.PeakGFLOPS)
	if r.PeakRSSMB > 0 {
		c.printf("  %.0f MB of memory at most\n", r.PeakRSSMB)
	}
}

// peakMemory is the largest resident memory of this process so far in bytes,
// 0 where the system does not tell it through /proc.
func peakMemory() int64 {
	return procBytes("/proc/self/status", "VmHWM:")
}

// procBytes reads a size of a file of /proc, such as "VmHWM:  1234 kB", in
// bytes; 0 where it cannot.
func procBytes(file, key string) int64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var n int64
		rest, ok := strings.CutPrefix(line, key)
		if !ok {
			continue
		}
		if _, err := fmt.Sscanf(rest, "%d kB", &n); err != nil {
			return 0
		}
		return n << 10
	}
	return 0
}
