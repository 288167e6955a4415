package main

import (
	"context"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

// attentionResult is what bench attention measured.
type attentionResult struct {
	Benchmark string          `json:"benchmark"`
	Precision string          `json:"precision"`
	Engine    string          `json:"engine"`
	Heads     int             `json:"heads"`
	HeadDim   int             `json:"head_dim"`
	Steps     int             `json:"steps"`
	Rows      []attentionTime `json:"rows"`
}

// attentionTime is the cost of one sequence of T tokens.
type attentionTime struct {
	T               int     `json:"t"`
	Threads         int     `json:"threads"`
	ForwardSeconds  float64 `json:"forward_s"`
	BackwardSeconds float64 `json:"backward_s"`
	GFLOPS          float64 `json:"gflops"` // of both
	PeakRSSMB       float64 `json:"peak_rss_mb,omitempty"`
}

func newBenchAttentionCommand(c *call) *cobra.Command {
	const heads, dimension = 12, 64
	lengths := []int{256, 512, 1024, 2048, 4096, 8192}
	steps := 3
	cmd := &cobra.Command{
		Use:   "attention",
		Short: "Time attention by the length of the sequence",
		Long: `Time causal attention of one sequence with the heads of GPT-2 124M, its forward
and backward pass, for every number of threads up to --threads. The lengths
ascend, so that the peak of memory is that of the latest.`,
		Example: examples("alma bench attention", "alma bench attention --seq 256,512 --threads 1 --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if steps < 1 {
				return artifact.Errorf(artifact.ErrUsage, "choosing what to time: --steps is %d, want 1 or more", steps)
			}
			if len(lengths) == 0 || !slices.IsSorted(lengths) || lengths[0] < 1 {
				return artifact.Errorf(artifact.ErrUsage, "choosing what to time: --seq is %v, want lengths of 1 or more in ascending order", lengths)
			}
			most, err := c.newEngine()
			if err != nil {
				return err
			}
			r := attentionResult{Benchmark: "attention", Precision: string(most.Precision()), Engine: most.Name(), Heads: heads, HeadDim: dimension, Steps: steps}
			threads := most.Threads()
			if err := most.Close(); err != nil {
				return err
			}
			for _, length := range lengths {
				for c.threads = 1; c.threads <= threads; c.threads++ {
					row, err := c.timeAttention(cmd.Context(), length, heads, dimension, steps)
					if err != nil {
						return err
					}
					r.Rows = append(r.Rows, row)
				}
			}
			if c.json {
				return c.printJSON(r)
			}
			c.printf("causal attention %s, %d heads of %d; %s\n", r.Precision, heads, dimension, r.Engine)
			c.printf("  %6s %8s %11s %12s %9s %9s\n", "T", "threads", "forward ms", "backward ms", "GFLOP/s", "peak MB")
			for _, t := range r.Rows {
				c.printf("  %6d %8d %11.2f %12.2f %9.1f %9.0f\n", t.T, t.Threads, 1e3*t.ForwardSeconds, 1e3*t.BackwardSeconds, t.GFLOPS, t.PeakRSSMB)
			}
			return nil
		},
	}
	cmd.Flags().IntSliceVar(&lengths, "seq", lengths, "`T,T,…` tokens of the sequence")
	cmd.Flags().IntVar(&steps, "steps", steps, "times that each length is timed, after one to warm up")
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// timeAttention times one sequence of random queries, keys and values.
func (c *call) timeAttention(ctx context.Context, length, heads, dimension, steps int) (attentionTime, error) {
	engine, err := c.newEngineWith(cpu.Options{Profile: true})
	if err != nil {
		return attentionTime{}, err
	}
	defer engine.Close()
	store, p := engine.NewStore(), compute.NewProgram("attention")
	shape := []int{1, length, heads, dimension}
	variable := func(name string) *compute.Tensor {
		if err == nil {
			err = store.Define(name, shape...)
		}
		return p.Variable(name, shape...)
	}
	q, k, v, dOut := variable("q"), variable("k"), variable("v"), variable("do")
	out := compute.Attention(q, k, v, nil, compute.AttentionOp{Scale: 1 / float32(math.Sqrt(float64(dimension))), Causal: true})
	gradients := out.Node.Op.Gradient(out.Node, []*compute.Tensor{dOut, nil})
	for i, name := range []string{"dq", "dk", "dv"} {
		p.Update(variable(name), gradients[i])
	}
	if err != nil {
		return attentionTime{}, err
	}
	for _, name := range []string{"q", "k", "v", "do"} {
		if err := store.Write(name, randomFloats(name, compute.Shape(shape).Size())); err != nil {
			return attentionTime{}, err
		}
	}
	x, err := engine.Compile(p, store)
	if err != nil {
		return attentionTime{}, err
	}
	var forward []time.Duration
	both, err := timeSteps(ctx, steps, func(i int) (time.Duration, error) {
		engine.ResetProfile()
		if err := x.Run(); err != nil {
			return 0, err
		}
		var first, whole time.Duration
		for _, o := range engine.Profile() {
			whole += o.Time
			if o.Kind == (compute.AttentionOp{}).Kind() {
				first += o.Time
			}
		}
		if i > 0 { // the first warms up
			forward = append(forward, first)
		}
		return whole, nil
	})
	if err != nil {
		return attentionTime{}, err
	}
	all, first := median(both), median(forward)
	row := attentionTime{
		T: length, Threads: engine.Threads(),
		ForwardSeconds: first.Seconds(), BackwardSeconds: (all - first).Seconds(),
		GFLOPS:    float64(x.FLOPs()) / all.Seconds() / 1e9,
		PeakRSSMB: float64(peakMemory()) / (1 << 20),
	}
	// What this length took is not to be added to the next one's.
	store, x = nil, nil
	debug.FreeOSMemory()
	return row, nil
}
