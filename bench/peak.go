package bench

import "github.com/seed-b72bdb6c/alma/compute/cpu"

// PeakResult is what the machine can do at most, by the number of threads.
type PeakResult struct {
	Benchmark string       `json:"benchmark"`
	Engine    string       `json:"engine"`
	Threads   []ThreadPeak `json:"threads"`
}

// ThreadPeak is what so many threads can do.
type ThreadPeak struct {
	Threads    int     `json:"threads"`
	PeakGFLOPS float64 `json:"peak_gflops"`
	Bandwidth  float64 `json:"bandwidth_gb_s"`
}

// Peak measures multiply-adds of float32 on registers and reading memory, for every
// number of threads up to the setup's.
func Peak(s Setup) (PeakResult, error) {
	all := s.engine(false)
	r := PeakResult{Benchmark: "peak", Engine: all.Name()}
	most := all.Threads()
	if err := all.Close(); err != nil {
		return r, err
	}
	for n := 1; n <= most; n++ {
		engine := cpu.New(cpu.Options{Threads: n})
		r.Threads = append(r.Threads, ThreadPeak{n, engine.MeasurePeak(), engine.MeasureBandwidth()})
		if err := engine.Close(); err != nil {
			return r, err
		}
	}
	return r, nil
}
