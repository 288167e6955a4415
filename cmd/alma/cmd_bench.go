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

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
)

func newBenchCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "bench",
		GroupID: groupCheck,
		Short:   "Measure the speed of this machine",
		Long: `Measure how fast this machine trains and generates, on models of random weights,
so that nothing need be downloaded. docs/benchmarks.md holds results beside
those of other programs.`,
	})
	cmd.AddCommand(
		newBenchTrainCommand(c),
		newBenchDecodeCommand(c),
		newBenchPrefillCommand(c),
		newBenchPPOCommand(c),
		newBenchAttentionCommand(c),
		newBenchGEMMCommand(c),
		newBenchPeakCommand(c),
	)
	return cmd
}

// benchOptions are the sizes of what is timed.
type benchOptions struct {
	Model     string `json:"model"`
	Batch     int    `json:"batch"`
	Seq       int    `json:"seq"`
	New       int    `json:"new,omitempty"` // tokens that are generated after Seq of a prompt
	Vocab     int    `json:"vocab"`
	Precision string `json:"precision"`
	Steps     int    `json:"steps"`
}

// benchResult is what a benchmark measured. FLOPs are the Programs' own count.
type benchResult struct {
	Benchmark string `json:"benchmark"`
	benchOptions
	Parameters      int64           `json:"parameters"`
	Engine          string          `json:"engine"`
	Threads         int             `json:"threads"`
	MedianSeconds   float64         `json:"median_s"` // of a step
	BestSeconds     float64         `json:"best_s"`
	TokensPerSecond float64         `json:"tokens_per_s"`
	GFLOPS          float64         `json:"gflops"`      // FLOPs of a step ÷ median ÷ 10⁹
	PeakGFLOPS      float64         `json:"peak_gflops"` // measured multiply-adds
	Bandwidth       float64         `json:"bandwidth_gb_s"`
	PercentOfPeak   float64         `json:"percent_of_peak"`
	PeakRSSMB       float64         `json:"peak_rss_mb,omitempty"`
	Operators       []benchOperator `json:"operators"`
}

// benchOperator is what one kind of operator cost in the last of the steps.
type benchOperator struct {
	Kind    string  `json:"kind"`
	Count   int64   `json:"count"` // in a step
	Seconds float64 `json:"s"`
	Percent float64 `json:"percent"`
	GFLOPS  float64 `json:"gflops"`
}

// A benchmark is a model and what is done with it.
type benchmark struct {
	name   string
	tokens int // of a step
	// step does the i-th step and returns how long it took. It resets
	// the engine's profile after what is not timed.
	step func(i int) (time.Duration, error)
	// flops is the count of a step, read after the steps.
	flops func() int64
	// profiled is how many steps the engine's profile covers after a call of
	// step; 0 is one.
	profiled int
}

// modelFlags are those of every benchmark on a model. A vocabulary of 0 is the
// model's own.
func (c *call) modelFlags(cmd *cobra.Command, o *benchOptions) {
	cmd.Flags().StringVar(&o.Model, "model", o.Model, "what is timed: `MODEL` is gpt2-124m, LAYERSxWIDTH, FAMILY:LAYERSxWIDTH or a config.json; the family is gpt2, llama or qwen3")
	cmd.Flags().IntVar(&o.Batch, "batch", o.Batch, "sequences")
	cmd.Flags().IntVar(&o.Vocab, "vocab", o.Vocab, "tokens of the vocabulary; 0: the model's, for a shape 2048")
	cmd.Flags().IntVar(&o.Steps, "steps", o.Steps, "steps that are timed, after one to warm up")
	c.seedFlag(cmd, "seed of the weights and tokens")
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
}

// runBench times the steps of a benchmark on a model of the options and
// writes the result.
func (c *call) runBench(ctx context.Context, o benchOptions, prepare func(*cpu.Engine, *model.Model, benchOptions) (benchmark, error)) error {
	config, err := o.config()
	if err != nil {
		return err
	}
	engine, err := c.newEngineWith(cpu.Options{Profile: true})
	if err != nil {
		return err
	}
	defer engine.Close()
	o.Vocab, o.Precision = config.Vocabulary, string(engine.Precision())
	m, err := model.New(engine, config, c.seed)
	if err != nil {
		return err
	}
	b, err := prepare(engine, m, o)
	if err != nil {
		return err
	}
	times, err := timeSteps(ctx, o.Steps, func(i int) (time.Duration, error) {
		engine.ResetProfile()
		return b.step(i)
	})
	if err != nil {
		return err
	}
	r := summarize(times, b, engine)
	r.benchOptions, r.Parameters = o, config.ParameterCount()
	if c.json {
		return c.printJSON(r)
	}
	c.printBench(r)
	return nil
}

func randomToken(step, index uint64, vocab int) int32 {
	return int32(compute.Bits(step, compute.Stream("bench"), index) % uint64(vocab))
}

// timeSteps returns the times of n steps, after one more that warms up.
func timeSteps(ctx context.Context, n int, step func(i int) (time.Duration, error)) ([]time.Duration, error) {
	display := progress.New(os.Stderr)
	defer display.Done()
	var times []time.Duration
	for i := range n + 1 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		elapsed, err := step(i)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			continue
		}
		times = append(times, elapsed)
		display.Show(progress.Line{Label: "bench step", Done: int64(i), Total: int64(n), Fields: []string{elapsed.Round(time.Microsecond).String()}})
	}
	return times, nil
}

// median of one time or more.
func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func summarize(times []time.Duration, b benchmark, engine *cpu.Engine) benchResult {
	middle := median(times).Seconds()
	r := benchResult{
		Benchmark: b.name,
		Engine:    engine.Name(), Threads: engine.Threads(),
		MedianSeconds: middle, BestSeconds: slices.Min(times).Seconds(),
		TokensPerSecond: float64(b.tokens) / middle,
		GFLOPS:          float64(b.flops()) / middle / 1e9,
		Operators:       operators(engine.Profile(), max(1, b.profiled)),
		// Read before the bandwidth is measured, which takes memory too.
		PeakRSSMB: float64(peakMemory()) / (1 << 20),
	}
	r.PeakGFLOPS, r.Bandwidth = engine.MeasurePeak(), engine.MeasureBandwidth()
	r.PercentOfPeak = 100 * r.GFLOPS / r.PeakGFLOPS
	return r
}

// operators is a profile of so many steps.
func operators(profile []cpu.OperatorTime, steps int) []benchOperator {
	var total time.Duration
	for _, t := range profile {
		total += t.Time
	}
	var list []benchOperator
	for _, t := range profile {
		list = append(list, benchOperator{
			Kind: t.Kind, Count: t.Count / int64(steps),
			Seconds: t.Time.Seconds() / float64(steps),
			Percent: 100 * t.Time.Seconds() / total.Seconds(),
			GFLOPS:  float64(t.FLOPs) / t.Time.Seconds() / 1e9,
		})
	}
	return list
}

// shownOperators is how many of the dearest operators are printed.
const shownOperators = 8

func (c *call) printBench(r benchResult) {
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

// peakMemory is the largest resident memory of this process so far in bytes,
// 0 where the system does not tell it through /proc.
func peakMemory() int64 {
	return procBytes("/proc/self/status", "VmHWM:")
}

// machineMemory is the memory that this process may use in bytes: the machine's,
// or what its control group has; 0 where the system does not tell.
func machineMemory() int64 {
	memory := procBytes("/proc/meminfo", "MemTotal:")
	if data, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		// The file says "max" where there is no bound.
		if bound, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && (memory == 0 || bound < memory) {
			memory = bound
		}
	}
	return memory
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
