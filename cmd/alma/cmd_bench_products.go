package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

// productShape is M rows that a linear layer takes from K features to N.
type productShape struct{ M, N, K int }

// gpt2Shapes are the linear layers of GPT-2 124M at 256 and 1024 rows, and its
// vocabulary head at 256.
func gpt2Shapes() []productShape {
	const width, vocabulary = 768, 50257
	var shapes []productShape
	for _, rows := range []int{256, 1024} {
		shapes = append(shapes,
			productShape{rows, 3 * width, width}, // queries, keys and values
			productShape{rows, width, width},     // what attention found
			productShape{rows, 4 * width, width}, // feed-forward
			productShape{rows, width, 4 * width})
	}
	return append(shapes, productShape{256, vocabulary, width})
}

func parseProductShape(text string) (productShape, error) {
	var sizes []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return productShape{}, artifact.Errorf(artifact.ErrUsage, "choosing what to time: --shape is %q, want M,N,K such as 256,3072,768", text)
		}
		sizes = append(sizes, n)
	}
	if len(sizes) != 3 {
		return productShape{}, artifact.Errorf(artifact.ErrUsage, "choosing what to time: --shape is %q, want three sizes M,N,K such as 256,3072,768", text)
	}
	return productShape{sizes[0], sizes[1], sizes[2]}, nil
}

// productResult is the time of one matrix product.
type productResult struct {
	Product       string  `json:"product"`
	M             int     `json:"m"`
	N             int     `json:"n"`
	K             int     `json:"k"`
	MedianSeconds float64 `json:"median_s"`
	BestSeconds   float64 `json:"best_s"`
	GFLOPS        float64 `json:"gflops"`
	PercentOfPeak float64 `json:"percent_of_peak"`
}

// gemmResult is what bench gemm measured.
type gemmResult struct {
	Benchmark  string          `json:"benchmark"`
	Precision  string          `json:"precision"`
	Engine     string          `json:"engine"`
	Threads    int             `json:"threads"`
	Steps      int             `json:"steps"`
	PeakGFLOPS float64         `json:"peak_gflops"`
	Bandwidth  float64         `json:"bandwidth_gb_s"`
	Products   []productResult `json:"products"`
}

func newBenchGEMMCommand(c *call) *cobra.Command {
	var texts []string
	steps := 10
	cmd := &cobra.Command{
		Use:   "gemm",
		Short: "Time matrix products",
		Long: `Time the products of linear layers: y = x·W with W as [K, N] and as [N, K], the
gradients dX = dY·Wᵀ and dW = Xᵀ·dY. The weights are written before each time,
so that it includes bringing them into the order of the kernels, as in training.
Without --shape these are the layers of GPT-2 124M at 256 and 1024 rows and its
vocabulary head.`,
		Example: examples("alma bench gemm", "alma bench gemm --shape 256,3072,768 --shape 16,3072,768 --threads 1 --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			shapes := gpt2Shapes()
			if len(texts) > 0 {
				shapes = nil
			}
			for _, text := range texts {
				shape, err := parseProductShape(text)
				if err != nil {
					return err
				}
				shapes = append(shapes, shape)
			}
			if steps < 1 {
				return artifact.Errorf(artifact.ErrUsage, "choosing what to time: --steps is %d, want 1 or more", steps)
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			r := gemmResult{
				Benchmark: "gemm", Precision: string(engine.Precision()), Engine: engine.Name(), Threads: engine.Threads(), Steps: steps,
				PeakGFLOPS: engine.MeasurePeak(), Bandwidth: engine.MeasureBandwidth(),
			}
			for _, shape := range shapes {
				for _, product := range products {
					p, err := timeProduct(cmd.Context(), engine, product, shape, steps)
					if err != nil {
						return err
					}
					p.PercentOfPeak = 100 * p.GFLOPS / r.PeakGFLOPS
					r.Products = append(r.Products, p)
				}
			}
			if c.json {
				return c.printJSON(r)
			}
			c.printf("gemm %s; %s, %d threads; peak %.1f GFLOP/s, memory reads %.1f GB/s\n", r.Precision, r.Engine, r.Threads, r.PeakGFLOPS, r.Bandwidth)
			c.printf("  %6s %6s %6s  %-18s %10s %10s %8s\n", "M", "N", "K", "product", "median ms", "GFLOP/s", "of peak")
			for _, p := range r.Products {
				c.printf("  %6d %6d %6d  %-18s %10.3f %10.1f %7.0f%%\n", p.M, p.N, p.K, p.Product, 1e3*p.MedianSeconds, p.GFLOPS, p.PercentOfPeak)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&texts, "shape", nil, "`M,N,K` of a layer from K features to N at M rows; may be repeated")
	cmd.Flags().IntVar(&steps, "steps", steps, "times that each product is timed, after one to warm up")
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// product is one of the products of a linear layer.
type product struct {
	name string
	// of builds it of the layer's input x [M, K], weight and dY [M, N].
	of func(x, weight, dy *compute.Tensor) *compute.Tensor
	// outIn: the weight is [N, K].
	outIn bool
}

var products = []product{
	{name: "x·W, W [K, N]", of: func(x, w, _ *compute.Tensor) *compute.Tensor { return compute.Linear(x, w, nil, false) }},
	{name: "x·W, W [N, K]", of: func(x, w, _ *compute.Tensor) *compute.Tensor { return compute.Linear(x, w, nil, true) }, outIn: true},
	{name: "dX, W [K, N]", of: func(x, w, dy *compute.Tensor) *compute.Tensor { return layerGradient(x, w, dy)[0] }},
	{name: "dW [K, N]", of: func(x, w, dy *compute.Tensor) *compute.Tensor { return layerGradient(x, w, dy)[1] }},
}

// layerGradient is dX and dW of y = x·W.
func layerGradient(x, w, dy *compute.Tensor) []*compute.Tensor {
	y := compute.Linear(x, w, nil, false)
	return y.Node.Op.Gradient(y.Node, []*compute.Tensor{dy})
}

// timeProduct times a product of random numbers so many times.
func timeProduct(ctx context.Context, engine *cpu.Engine, product product, s productShape, steps int) (productResult, error) {
	weight := []int{s.K, s.N}
	if product.outIn {
		weight = []int{s.N, s.K}
	}
	store, p := engine.NewStore(), compute.NewProgram(fmt.Sprintf("%s %v", product.name, s))
	var operands []*compute.Tensor
	values := map[string][]float32{}
	for _, v := range []struct {
		name  string
		shape []int
	}{{"x", []int{s.M, s.K}}, {"weight", weight}, {"dy", []int{s.M, s.N}}} {
		values[v.name] = randomFloats(v.name, compute.Shape(v.shape).Size())
		if err := store.Define(v.name, v.shape...); err != nil {
			return productResult{}, err
		}
		if err := store.Write(v.name, values[v.name]); err != nil {
			return productResult{}, err
		}
		operands = append(operands, p.Variable(v.name, v.shape...))
	}
	y := product.of(operands[0], operands[1], operands[2])
	if err := store.Define("y", y.Shape...); err != nil {
		return productResult{}, err
	}
	// A result that becomes a variable is computed in its place.
	p.Update(p.Variable("y", y.Shape...), y)
	x, err := engine.Compile(p, store)
	if err != nil {
		return productResult{}, err
	}
	times, err := timeSteps(ctx, steps, func(int) (time.Duration, error) {
		if err := store.Write("weight", values["weight"]); err != nil {
			return 0, err
		}
		start := time.Now()
		err := x.Run()
		return time.Since(start), err
	})
	if err != nil {
		return productResult{}, err
	}
	middle := median(times).Seconds()
	return productResult{
		Product: product.name, M: s.M, N: s.N, K: s.K,
		MedianSeconds: middle, BestSeconds: slices.Min(times).Seconds(),
		GFLOPS: float64(x.FLOPs()) / middle / 1e9,
	}, nil
}

// randomFloats are uniform in [−1, 1).
func randomFloats(name string, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(2*compute.Uniform(0, compute.Stream(name), uint64(i)) - 1)
	}
	return out
}

// peakResult is what the machine can do, at numbers of threads.
type peakResult struct {
	Benchmark string       `json:"benchmark"`
	Engine    string       `json:"engine"`
	Threads   []threadPeak `json:"threads"`
}

type threadPeak struct {
	Threads    int     `json:"threads"`
	PeakGFLOPS float64 `json:"peak_gflops"`
	Bandwidth  float64 `json:"bandwidth_gb_s"`
}

func newBenchPeakCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peak",
		Short: "Measure what the machine can do at most",
		Long: `Measure multiply-adds of float32 on registers and reading memory, for every number
of threads up to --threads: the limits that other benchmarks are held against, those
in bf16 too.`,
		Example: examples("alma bench peak", "alma bench peak --threads 4 --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := c.newEngine()
			if err != nil {
				return err
			}
			r := peakResult{Benchmark: "peak", Engine: all.Name()}
			most := all.Threads()
			if err := all.Close(); err != nil {
				return err
			}
			for n := 1; n <= most; n++ {
				engine := cpu.New(cpu.Options{Threads: n})
				r.Threads = append(r.Threads, threadPeak{n, engine.MeasurePeak(), engine.MeasureBandwidth()})
				if err := engine.Close(); err != nil {
					return err
				}
			}
			if c.json {
				return c.printJSON(r)
			}
			c.printf("%s\n", r.Engine)
			for _, t := range r.Threads {
				c.printf("  %3d threads  %8.1f GFLOP/s  %7.1f GB/s read\n", t.Threads, t.PeakGFLOPS, t.Bandwidth)
			}
			return nil
		},
	}
	c.machineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}
