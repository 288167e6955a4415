package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/bench"
)

func newBenchAttentionCommand(c *call) *cobra.Command {
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
			setup, err := c.benchSetup()
			if err != nil {
				return err
			}
			r, err := bench.Attention(cmd.Context(), setup, lengths, steps)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(r)
			}
			c.printf("causal attention %s, %d heads of %d; %s\n", r.Precision, r.Heads, r.HeadDim, r.Engine)
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
			shapes := bench.GPT2Products()
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
			setup, err := c.benchSetup()
			if err != nil {
				return err
			}
			r, err := bench.Products(cmd.Context(), setup, shapes, steps)
			if err != nil {
				return err
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

func parseProductShape(text string) (bench.ProductShape, error) {
	var sizes []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return bench.ProductShape{}, artifact.Errorf(artifact.ErrUsage, "choosing what to time: --shape is %q, want M,N,K such as 256,3072,768", text)
		}
		sizes = append(sizes, n)
	}
	if len(sizes) != 3 {
		return bench.ProductShape{}, artifact.Errorf(artifact.ErrUsage, "choosing what to time: --shape is %q, want three sizes M,N,K such as 256,3072,768", text)
	}
	return bench.ProductShape{M: sizes[0], N: sizes[1], K: sizes[2]}, nil
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
			setup, err := c.benchSetup()
			if err != nil {
				return err
			}
			r, err := bench.Peak(setup)
			if err != nil {
				return err
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
