package diagnose

import (
	"os"
	"runtime"

	xcpu "golang.org/x/sys/cpu"

	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// Machine is what alma finds on a machine.
type Machine struct {
	Features    []string `json:"cpu_features"` // those that kernels could use
	Kernels     string   `json:"kernels"`      // those that run
	KernelsBF16 string   `json:"kernels_bf16"` // what multiplies bfloat16
	Available   []string `json:"available_kernels"`
	Variable    string   `json:"alma_cpu"` // the environment variable, "" if unset
	Threads     int      `json:"threads"`
	Processors  int      `json:"processors"`
	Memory      int64    `json:"memory_bytes"`           // 0: unknown
	MemoryFree  int64    `json:"memory_available_bytes"` // 0: unknown
	DiskFree    int64    `json:"disk_free_bytes"`        // of the working folder; 0: unknown
	PeakGFLOPS  float64  `json:"peak_gflops"`
}

// Inspect looks at this machine, whose peak it measures with the threads of an
// engine of the options.
func Inspect(options cpu.Options) Machine {
	engine := cpu.New(options)
	defer engine.Close()
	m := Machine{
		Features: features(),
		Kernels:  kernel.Name(), KernelsBF16: kernel.NameBF16(), Available: kernel.Names(), Variable: os.Getenv(kernel.EnvName),
		Threads: engine.Threads(), Processors: runtime.NumCPU(),
		DiskFree: diskFree("."), PeakGFLOPS: engine.MeasurePeak(),
	}
	m.Memory, m.MemoryFree = cpu.Memory()
	return m
}

// features lists the processor's features that kernels could use.
func features() []string {
	list := []string{runtime.GOARCH}
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx2", xcpu.X86.HasAVX2}, {"fma", xcpu.X86.HasFMA}, {"avx512f", xcpu.X86.HasAVX512F}, {"avx512bw", xcpu.X86.HasAVX512BW},
		{"avx512dq", xcpu.X86.HasAVX512DQ}, {"avx512vl", xcpu.X86.HasAVX512VL}, {"avx512bf16", xcpu.X86.HasAVX512BF16},
		{"asimd", xcpu.ARM64.HasASIMD}, {"sve", xcpu.ARM64.HasSVE},
	} {
		if f.has {
			list = append(list, f.name)
		}
	}
	return list
}
