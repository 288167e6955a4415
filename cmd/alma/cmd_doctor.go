package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	xcpu "golang.org/x/sys/cpu"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/train"
)

// diagnosis is what alma doctor finds.
type diagnosis struct {
	Versions    versions    `json:"versions"`
	Features    []string    `json:"cpu_features"` // those that kernels could use
	Kernels     string      `json:"kernels"`      // those that run
	KernelsBF16 string      `json:"kernels_bf16"` // what multiplies bfloat16
	Available   []string    `json:"available_kernels"`
	Variable    string      `json:"alma_cpu"` // the environment variable, "" if unset
	Threads     int         `json:"threads"`
	Processors  int         `json:"processors"`
	Memory      int64       `json:"memory_bytes"`           // 0: unknown
	MemoryFree  int64       `json:"memory_available_bytes"` // 0: unknown
	DiskFree    int64       `json:"disk_free_bytes"`        // of the working folder; 0: unknown
	PeakGFLOPS  float64     `json:"peak_gflops"`
	SelfTest    []selfCheck `json:"self_test"`
	SelfSeconds float64     `json:"self_test_seconds"`
}

// selfCheck compares a model on one set of kernels with the reference.
type selfCheck struct {
	Model         string  `json:"model"`
	Kernels       string  `json:"kernels"`
	LossError     float64 `json:"loss_error"`     // relative
	GradientError float64 `json:"gradient_error"` // the worst parameter's ‖a−b‖/‖b‖
	Worst         string  `json:"worst"`          // that parameter
	SameBits      bool    `json:"same_bits"`      // for 1, 2 and all threads
	OK            bool    `json:"ok"`
}

// What the self-test allows: single precision against double.
const (
	lossTolerance     = 1e-5
	gradientTolerance = 1e-4
)

func newDoctorCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: groupCheck,
		Short:   "Check this machine and the engine",
		Long: `Print what alma finds on this machine: CPU features, which kernels run (the
environment variable ALMA_CPU can choose others), threads, memory, free disk,
versions, and the measured peak.

Then test the engine: a small GPT-2 and a small Llama, loss and the gradient by
every parameter, on every set of kernels that this machine has, against plain
loops in double precision, and bit for bit between numbers of threads. The exit
code is 5 if that fails: do not train on such a machine.`,
		Example: examples("alma doctor", "ALMA_CPU=portable alma doctor", "alma doctor --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			d := diagnosis{
				Versions: readVersions(), Features: cpuFeatures(),
				Kernels: kernel.Name(), KernelsBF16: kernel.NameBF16(), Available: kernel.Names(), Variable: os.Getenv(kernel.EnvName),
				Threads: engine.Threads(), Processors: runtime.NumCPU(),
				Memory: procBytes("/proc/meminfo", "MemTotal:"), MemoryFree: procBytes("/proc/meminfo", "MemAvailable:"),
				DiskFree: diskFree("."), PeakGFLOPS: engine.MeasurePeak(),
			}
			engine.Close()
			if !c.json {
				c.printDiagnosis(d)
			}
			start := time.Now()
			for _, config := range selfTestModels() {
				checks, err := selfTest(cmd.Context(), config, d.Threads)
				if err != nil {
					return fmt.Errorf("testing the engine: %w", err)
				}
				for _, check := range checks {
					d.SelfTest = append(d.SelfTest, check)
					if !c.json {
						c.printCheck(check)
					}
				}
			}
			d.SelfSeconds = time.Since(start).Seconds()
			if c.json {
				if err := c.printJSON(d); err != nil {
					return err
				}
			}
			if slices.ContainsFunc(d.SelfTest, func(s selfCheck) bool { return !s.OK }) {
				return artifact.Errorf(artifact.ErrCheckNotMet, "testing the engine: it differs from the reference by more than %.0e (loss) or %.0e (gradients), or between threads; try ALMA_CPU=portable, and check the machine's memory", lossTolerance, gradientTolerance)
			}
			if !c.json {
				c.printf("self-test passed in %.1f s\n", d.SelfSeconds)
			}
			return nil
		},
	}
	c.machineFlags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

func (c *call) printDiagnosis(d diagnosis) {
	unknown := func(n int64) string {
		if n == 0 {
			return "unknown"
		}
		return progress.Bytes(n)
	}
	variable := d.Variable
	if variable == "" {
		variable = "not set"
	}
	c.printf("%s\n", d.Versions)
	c.printf("  processors    %d, %s; %d threads\n", d.Processors, strings.Join(d.Features, " "), d.Threads)
	c.printf("  kernels       %s, bfloat16 products by %s (available: %s; %s is %s)\n", d.Kernels, d.KernelsBF16, strings.Join(d.Available, ", "), kernel.EnvName, variable)
	c.printf("  peak          %.1f GFLOP/s\n", d.PeakGFLOPS)
	c.printf("  memory        %s, %s available\n", unknown(d.Memory), unknown(d.MemoryFree))
	c.printf("  disk          %s free here\n", unknown(d.DiskFree))
}

func (c *call) printCheck(s selfCheck) {
	verdict := "ok  "
	if !s.OK {
		verdict = "FAIL"
	}
	bits := "the same bits for any threads"
	if !s.SameBits {
		bits = "other bits for other threads"
	}
	c.printf("  %s %-5s %-9s loss %.1e, gradients %.1e (%s), %s\n", verdict, s.Model, s.Kernels, s.LossError, s.GradientError, s.Worst, bits)
}

// cpuFeatures lists the processor's features that kernels could use.
func cpuFeatures() []string {
	features := []string{runtime.GOARCH}
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx2", xcpu.X86.HasAVX2}, {"fma", xcpu.X86.HasFMA}, {"avx512f", xcpu.X86.HasAVX512F}, {"avx512bw", xcpu.X86.HasAVX512BW},
		{"avx512dq", xcpu.X86.HasAVX512DQ}, {"avx512vl", xcpu.X86.HasAVX512VL}, {"avx512bf16", xcpu.X86.HasAVX512BF16},
		{"asimd", xcpu.ARM64.HasASIMD}, {"sve", xcpu.ARM64.HasSVE},
	} {
		if f.has {
			features = append(features, f.name)
		}
	}
	return features
}

// selfTestModels are small models whose sizes fill no tile of a kernel
// evenly.
func selfTestModels() []model.Config {
	gpt2 := model.Config{
		Family: model.GPT2, Head: model.LanguageModel, Vocabulary: 301, Context: 40, Width: 60, Layers: 2, Heads: 3, KVHeads: 3, HeadDim: 20,
		FeedForward: 244, Epsilon: 1e-5, Tied: true, InitRange: .05, BOS: -1, EOS: -1, Pad: -1,
	}
	llama := gpt2
	llama.Family, llama.RoPETheta = model.Llama, 10000
	llama.Heads, llama.KVHeads, llama.HeadDim, llama.FeedForward = 6, 2, 10, 164
	return []model.Config{gpt2, llama}
}

// computed is what an engine makes of a model: its loss, and the gradients of
// its parameters in order.
type computed struct {
	loss      float64
	gradients [][]float32
}

// selfTest compares every set of kernels with the reference.
func selfTest(ctx context.Context, config model.Config, threads int) ([]selfCheck, error) {
	want, err := lossAndGradients(reference.New(), config)
	if err != nil {
		return nil, err
	}
	selected := kernel.Name()
	defer kernel.Select(selected)
	var checks []selfCheck
	for _, kernels := range kernel.Names() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := kernel.Select(kernels); err != nil {
			return nil, err
		}
		check := selfCheck{Model: string(config.Family), Kernels: kernels, SameBits: true}
		var first computed
		for i, n := range []int{1, 2, threads} {
			engine := cpu.New(cpu.Options{Threads: n})
			got, err := lossAndGradients(engine, config)
			engine.Close()
			if err != nil {
				return nil, err
			}
			if i == 0 {
				first = got
			} else if !got.equals(first) {
				check.SameBits = false
			}
		}
		check.compare(first, want, config.Parameters())
		checks = append(checks, check)
	}
	return checks, nil
}

func lossAndGradients(engine compute.Engine, config model.Config) (computed, error) {
	m, err := model.New(engine, config, 1)
	if err != nil {
		return computed{}, err
	}
	rows := train.NewTextRows(3, config.Context)
	for i := range rows.Tokens {
		rows.Tokens[i] = randomToken(1, 2*uint64(i), config.Vocabulary)
		rows.Targets[i] = randomToken(1, 2*uint64(i)+1, config.Vocabulary)
	}
	lm, err := train.NewLanguageModel(m, rows.B, rows.T)
	if err != nil {
		return computed{}, err
	}
	var c computed
	if c.loss, err = lm.Accumulate(rows, 1/float64(len(rows.Tokens))); err != nil {
		return computed{}, err
	}
	for _, p := range config.Parameters() {
		g, err := train.Gradient(m, p)
		if err != nil {
			return computed{}, err
		}
		c.gradients = append(c.gradients, g)
	}
	return c, nil
}

// equals compares bit for bit.
func (c computed) equals(other computed) bool {
	if math.Float64bits(c.loss) != math.Float64bits(other.loss) {
		return false
	}
	for i, g := range c.gradients {
		for j, v := range g {
			if math.Float32bits(v) != math.Float32bits(other.gradients[i][j]) {
				return false
			}
		}
	}
	return true
}

func (s *selfCheck) compare(got, want computed, parameters []model.Parameter) {
	s.LossError = orLargest(math.Abs(got.loss-want.loss) / math.Abs(want.loss))
	for i, p := range parameters {
		var difference, norm float64
		for j, v := range want.gradients[i] {
			d := float64(got.gradients[i][j]) - float64(v)
			difference += d * d
			norm += float64(v) * float64(v)
		}
		if e := orLargest(math.Sqrt(difference) / math.Sqrt(norm)); e > s.GradientError {
			s.GradientError, s.Worst = e, p.Name
		}
	}
	s.OK = s.LossError <= lossTolerance && s.GradientError <= gradientTolerance && s.SameBits
}

// orLargest makes an error that is not finite the largest number: it must not
// pass for small, and JSON must hold it.
func orLargest(e float64) float64 {
	if math.IsNaN(e) || math.IsInf(e, 0) {
		return math.MaxFloat64
	}
	return e
}
