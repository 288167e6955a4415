package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
	"github.com/seed-b72bdb6c/alma/diagnose"
	"github.com/seed-b72bdb6c/alma/progress"
)

// diagnosis is what alma doctor finds.
type diagnosis struct {
	Versions versions `json:"versions"`
	diagnose.Machine
	SelfTest    []diagnose.Check `json:"self_test"`
	SelfSeconds float64          `json:"self_test_seconds"`
}

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
			options, err := c.engineOptions()
			if err != nil {
				return err
			}
			d := diagnosis{Versions: readVersions(), Machine: diagnose.Inspect(options)}
			if !c.json {
				c.printDiagnosis(d)
			}
			start := time.Now()
			if err := diagnose.SelfTest(cmd.Context(), d.Threads, func(check diagnose.Check) {
				d.SelfTest = append(d.SelfTest, check)
				if !c.json {
					c.printCheck(check)
				}
			}); err != nil {
				return fmt.Errorf("testing the engine: %w", err)
			}
			d.SelfSeconds = time.Since(start).Seconds()
			if c.json {
				if err := c.printJSON(d); err != nil {
					return err
				}
			}
			if slices.ContainsFunc(d.SelfTest, func(s diagnose.Check) bool { return !s.OK }) {
				return artifact.Errorf(artifact.ErrCheckNotMet, "testing the engine: it differs from the reference by more than %.0e (loss) or %.0e (gradients), or between threads; try ALMA_CPU=portable, and check the machine's memory", diagnose.LossTolerance, diagnose.GradientTolerance)
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

func (c *call) printCheck(s diagnose.Check) {
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
