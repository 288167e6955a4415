package cpu

import (
	"time"

	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// MeasureBandwidth returns how fast the workers read memory that is in no
// cache, in 10⁹ bytes a second: the limit of decoding, which reads every weight
// for each token. It takes 256 MiB and some tenths of a second.
func (e *Engine) MeasureBandwidth() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	const floats, piece, rounds = 1 << 26, 1 << 16, 5
	data := aligned(floats)
	for i := 0; i < floats; i += 1 << 10 {
		data[i] = 1 // pages that nobody wrote are one page of zeros
	}
	// Each task writes to a cache line of its own.
	sums := make([]float32, floats/piece*alignment)
	j := &job{floats / piece, func(task, _ int) {
		sums[task*alignment] = kernel.Sum(data[task*piece : (task+1)*piece])
	}}
	best := 0.0
	for range rounds {
		begin := time.Now()
		e.pool.do(j)
		best = max(best, 4*floats/float64(time.Since(begin).Nanoseconds()))
	}
	return best
}
