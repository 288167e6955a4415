package bench

import (
	"context"
	"slices"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
)

// Setup is what a benchmark runs on.
type Setup struct {
	Engine   cpu.Options        // a benchmark that needs the engine's profile asks for it itself
	Seed     uint64             // of a model's weights
	Progress *progress.Progress // is shown each step; nil: nobody is
}

// Options are the sizes of what is timed on a model.
type Options struct {
	// Model is gpt2-124m, LAYERSxWIDTH with or without FAMILY: before it, a
	// config.json, or a folder that holds one.
	Model string `json:"model"`
	Batch int    `json:"batch"`               // sequences
	Seq   int    `json:"seq"`                 // tokens of one, or of its prompt
	New   int    `json:"new,omitempty"`       // tokens that are generated after Seq of a prompt
	LoRA  int    `json:"lora_rank,omitempty"` // of an adapter on all linear layers that is trained in place of the weights; 0: none
	Vocab int    `json:"vocab"`               // tokens of the vocabulary; 0: the model's own
	// Targets is the share of the positions that have a loss, the last of each row: of
	// fine-tuning what the assistant says. 0: all.
	Targets float64 `json:"targets,omitempty"`
	// Precision is filled in by the benchmark: the engine's.
	Precision string `json:"precision"`
	Steps     int    `json:"steps"`
}

// Result is what a benchmark on a model measured.
type Result struct {
	Benchmark string `json:"benchmark"`
	Options
	Parameters      int64      `json:"parameters"`
	Engine          string     `json:"engine"`
	Threads         int        `json:"threads"`
	MedianSeconds   float64    `json:"median_s"` // of a step
	BestSeconds     float64    `json:"best_s"`
	TokensPerSecond float64    `json:"tokens_per_s"`
	GFLOPS          float64    `json:"gflops"`      // FLOPs of a step ÷ median ÷ 10⁹
	PeakGFLOPS      float64    `json:"peak_gflops"` // measured multiply-adds
	Bandwidth       float64    `json:"bandwidth_gb_s"`
	PercentOfPeak   float64    `json:"percent_of_peak"`
	PeakRSSMB       float64    `json:"peak_rss_mb,omitempty"`
	Operators       []Operator `json:"operators"` // the dearest first
}

// Operator is what one kind of operator cost in the last of the steps.
type Operator struct {
	Kind    string  `json:"kind"`
	Count   int64   `json:"count"` // in a step
	Seconds float64 `json:"s"`
	Percent float64 `json:"percent"`
	GFLOPS  float64 `json:"gflops"`
}

// work is what is done with a model.
type work struct {
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

// run times the steps of work on a model of the options.
func run(ctx context.Context, s Setup, o Options, prepare func(*cpu.Engine, *model.Model, Options) (work, error)) (Result, error) {
	config, err := o.config()
	if err != nil {
		return Result{}, err
	}
	engine := s.engine(true)
	defer engine.Close()
	o.Vocab, o.Precision = config.Vocabulary, string(engine.Precision())
	m, err := model.New(engine, config, s.Seed)
	if err != nil {
		return Result{}, err
	}
	w, err := prepare(engine, m, o)
	if err != nil {
		return Result{}, err
	}
	times, err := s.time(ctx, o.Steps, func(i int) (time.Duration, error) {
		engine.ResetProfile()
		return w.step(i)
	})
	if err != nil {
		return Result{}, err
	}
	r := summarize(times, w, engine)
	r.Options, r.Parameters = o, config.ParameterCount()
	return r, nil
}

func (s Setup) engine(profile bool) *cpu.Engine {
	options := s.Engine
	options.Profile = profile
	return cpu.New(options)
}

// refuse is the error of options that nothing can be timed with.
func refuse(format string, args ...any) error {
	return artifact.Errorf(artifact.ErrUsage, "choosing what to time: "+format, args...)
}

func randomToken(step, index uint64, vocab int) int32 {
	return int32(compute.Bits(step, compute.Stream("bench"), index) % uint64(vocab))
}

// randomFloats are uniform in [−1, 1).
func randomFloats(name string, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(2*compute.Uniform(0, compute.Stream(name), uint64(i)) - 1)
	}
	return out
}

// time returns the times of n steps, after one more that warms up.
func (s Setup) time(ctx context.Context, n int, step func(i int) (time.Duration, error)) ([]time.Duration, error) {
	if s.Progress != nil {
		defer s.Progress.Done()
	}
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
		if s.Progress != nil {
			s.Progress.Show(progress.Line{Label: "bench step", Done: int64(i), Total: int64(n), Fields: []string{elapsed.Round(time.Microsecond).String()}})
		}
	}
	return times, nil
}

// median of one time or more.
func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func summarize(times []time.Duration, w work, engine *cpu.Engine) Result {
	middle := median(times).Seconds()
	r := Result{
		Benchmark: w.name,
		Engine:    engine.Name(), Threads: engine.Threads(),
		MedianSeconds: middle, BestSeconds: slices.Min(times).Seconds(),
		TokensPerSecond: float64(w.tokens) / middle,
		GFLOPS:          float64(w.flops()) / middle / 1e9,
		Operators:       operators(engine.Profile(), max(1, w.profiled)),
		// Read before the bandwidth is measured, which takes memory too.
		PeakRSSMB: peakMB(),
	}
	r.PeakGFLOPS, r.Bandwidth = engine.MeasurePeak(), engine.MeasureBandwidth()
	r.PercentOfPeak = 100 * r.GFLOPS / r.PeakGFLOPS
	return r
}

// peakMB is the largest resident memory of this process so far in MiB.
func peakMB() float64 { return float64(cpu.PeakMemory()) / (1 << 20) }

// operators is a profile of so many steps.
func operators(profile []cpu.OperatorTime, steps int) []Operator {
	var total time.Duration
	for _, t := range profile {
		total += t.Time
	}
	var list []Operator
	for _, t := range profile {
		list = append(list, Operator{
			Kind: t.Kind, Count: t.Count / int64(steps),
			Seconds: t.Time.Seconds() / float64(steps),
			Percent: 100 * t.Time.Seconds() / total.Seconds(),
			GFLOPS:  float64(t.FLOPs) / t.Time.Seconds() / 1e9,
		})
	}
	return list
}
