package cpu

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// Options choose how an Engine runs.
type Options struct {
	// Threads is the number of workers, 0 for as many as Go may use
	// processors (GOMAXPROCS). It changes no result.
	Threads int
	// Precision is that of matrix products and attention, FP32 if empty.
	Precision Precision
	// Memory is how many bytes the values between operators may take, of all
	// executables together; 0 sets no bound. A Program that needs more does not
	// compile: [ErrMemory].
	Memory int64
	// Profile keeps the time of every operator, see [Engine.Profile].
	Profile bool
}

// ErrMemory is why a Program that needs more than [Options.Memory] does not
// compile.
var ErrMemory = errors.New("too little memory")

// Engine compiles Programs for the processors of this machine. Runs of all its
// executables follow one another: each of them has all the workers.
type Engine struct {
	pool      *pool
	precision Precision
	products  products
	memory    int64 // bytes; 0: no bound

	mu sync.Mutex // held by Compile and Run
	// arena is shared by the executables; generation changes when it moves.
	arena      []float32
	generation int
	scratch    [][]float32 // of each worker
	rotations  []*rotation
	keptLogits int // floats

	profile map[string]*OperatorTime // nil unless asked for
}

// OperatorTime is what one kind of operator cost, over all executables.
type OperatorTime struct {
	Kind  string
	Count int64
	Time  time.Duration
	FLOPs int64 // by the operators' own count
}

// New starts an engine. Close ends its workers. It panics if the precision is
// none of this package's (see [ParsePrecision]).
func New(options Options) *Engine {
	threads := options.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	precision, err := ParsePrecision(string(options.Precision))
	if err != nil {
		panic(fmt.Sprintf("cpu: %v", err))
	}
	e := &Engine{
		pool: newPool(threads), scratch: make([][]float32, threads),
		precision: precision, products: productsOf(precision), memory: options.Memory, keptLogits: keptLogits,
	}
	if options.Profile {
		e.profile = map[string]*OperatorTime{}
	}
	return e
}

// Close ends the workers and returns nil. The engine and its executables must
// not be used afterwards; its stores may be.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pool.close()
	return nil
}

// Name is "cpu" and the instruction set of the kernels that run, followed by
// "bf16" in that precision.
func (e *Engine) Name() string {
	name := "cpu " + kernel.Name()
	if e.precision == BF16 {
		name += " bf16"
	}
	return name
}

// Precision is that of matrix products and attention.
func (e *Engine) Precision() Precision { return e.precision }

// Threads is the number of workers.
func (e *Engine) Threads() int { return e.pool.workers }

// NewStore returns an empty Store.
func (e *Engine) NewStore() compute.Store { return &Store{arrays: map[string]*array{}} }

// ResetProfile forgets what was measured so far.
func (e *Engine) ResetProfile() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.profile)
}

// Profile lists what each kind of operator cost since the engine was made or
// the profile reset, the dearest first. It is empty without [Options.Profile].
func (e *Engine) Profile() []OperatorTime {
	e.mu.Lock()
	defer e.mu.Unlock()
	var times []OperatorTime
	for _, t := range e.profile {
		times = append(times, *t)
	}
	slices.SortFunc(times, func(a, b OperatorTime) int {
		if a.Time != b.Time {
			return int(b.Time - a.Time)
		}
		if a.Kind < b.Kind {
			return -1
		}
		return 1
	})
	return times
}

// MeasurePeak returns the multiply-adds that the workers can do at most, in
// 10⁹ floating-point operations a second: what kernels are compared with. It
// takes about a tenth of a second.
func (e *Engine) MeasurePeak() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	const steps, tasks = 1 << 14, 64
	flops := make([]int, e.pool.workers)
	j := &job{tasks, func(_, worker int) { flops[worker] += kernel.Peak(steps) }}
	best := 0.0
	for start := time.Now(); time.Since(start) < 100*time.Millisecond; {
		clear(flops)
		begin := time.Now()
		e.pool.do(j)
		total := 0
		for _, n := range flops {
			total += n
		}
		best = max(best, float64(total)/float64(time.Since(begin).Nanoseconds()))
	}
	return best
}

// Release gives the arena back. An executable that runs later takes another; between
// two stages this keeps what the one needed from standing beside what the next needs.
func (e *Engine) Release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.arena = nil
	e.generation++
	e.pool.forget()
}

// reserve makes the arena and the workers' scratch at least this large, in
// floats, unless that is beyond the bound on memory.
func (e *Engine) reserve(arena, scratch int) error {
	if need := 4 * (int64(arena) + int64(scratch)*int64(len(e.scratch))); e.memory > 0 && need > e.memory {
		const giga = 1 << 30
		return fmt.Errorf("%w: it needs %.1f GiB at one time and there are %.1f GiB; take fewer rows at one time (micro_rows), a shorter context, or recompute activations", ErrMemory, float64(need)/giga, float64(e.memory)/giga)
	}
	if len(e.arena) < arena {
		if e.arena = nil; arena >= 64<<20 {
			runtime.GC() // the old one goes before the new one comes
		}
		e.arena = aligned(arena)
		e.generation++
	}
	for i := range e.scratch {
		if len(e.scratch[i]) < scratch {
			e.scratch[i] = aligned(scratch)
		}
	}
	return nil
}
