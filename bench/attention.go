package bench

import (
	"context"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/seed-b72bdb6c/alma/compute"
)

// The heads of GPT-2 124M.
const (
	attentionHeads   = 12
	attentionHeadDim = 64
)

// AttentionResult is what [Attention] measured.
type AttentionResult struct {
	Benchmark string          `json:"benchmark"`
	Precision string          `json:"precision"`
	Engine    string          `json:"engine"`
	Heads     int             `json:"heads"`
	HeadDim   int             `json:"head_dim"`
	Steps     int             `json:"steps"`
	Rows      []AttentionTime `json:"rows"`
}

// AttentionTime is the cost of one sequence of T tokens.
type AttentionTime struct {
	T               int     `json:"t"`
	Threads         int     `json:"threads"`
	ForwardSeconds  float64 `json:"forward_s"`
	BackwardSeconds float64 `json:"backward_s"`
	GFLOPS          float64 `json:"gflops"` // of both
	PeakRSSMB       float64 `json:"peak_rss_mb,omitempty"`
}

// Attention times causal attention of one sequence with the heads of GPT-2 124M,
// its forward and backward pass, for every length and every number of threads up
// to the setup's. The lengths ascend, so that the peak of memory is that of the
// latest.
func Attention(ctx context.Context, s Setup, lengths []int, steps int) (AttentionResult, error) {
	if steps < 1 {
		return AttentionResult{}, refuse("--steps is %d, want 1 or more", steps)
	}
	if len(lengths) == 0 || !slices.IsSorted(lengths) || lengths[0] < 1 {
		return AttentionResult{}, refuse("--seq is %v, want lengths of 1 or more in ascending order", lengths)
	}
	most := s.engine(false)
	threads := most.Threads()
	r := AttentionResult{
		Benchmark: "attention", Precision: string(most.Precision()), Engine: most.Name(),
		Heads: attentionHeads, HeadDim: attentionHeadDim, Steps: steps,
	}
	if err := most.Close(); err != nil {
		return r, err
	}
	for _, length := range lengths {
		for s.Engine.Threads = 1; s.Engine.Threads <= threads; s.Engine.Threads++ {
			row, err := s.timeAttention(ctx, length, steps)
			if err != nil {
				return r, err
			}
			r.Rows = append(r.Rows, row)
		}
	}
	return r, nil
}

// timeAttention times one sequence of random queries, keys and values.
func (s Setup) timeAttention(ctx context.Context, length, steps int) (AttentionTime, error) {
	engine := s.engine(true)
	defer engine.Close()
	store, p := engine.NewStore(), compute.NewProgram("attention")
	shape := []int{1, length, attentionHeads, attentionHeadDim}
	var err error
	variable := func(name string) *compute.Tensor {
		if err == nil {
			err = store.Define(name, shape...)
		}
		return p.Variable(name, shape...)
	}
	q, k, v, dOut := variable("q"), variable("k"), variable("v"), variable("do")
	out := compute.Attention(q, k, v, nil, compute.AttentionOp{Scale: 1 / float32(math.Sqrt(float64(attentionHeadDim))), Causal: true})
	gradients := out.Node.Op.Gradient(out.Node, []*compute.Tensor{dOut, nil})
	for i, name := range []string{"dq", "dk", "dv"} {
		p.Update(variable(name), gradients[i])
	}
	if err != nil {
		return AttentionTime{}, err
	}
	for _, name := range []string{"q", "k", "v", "do"} {
		if err := store.Write(name, randomFloats(name, compute.Shape(shape).Size())); err != nil {
			return AttentionTime{}, err
		}
	}
	x, err := engine.Compile(p, store)
	if err != nil {
		return AttentionTime{}, err
	}
	var forward []time.Duration
	both, err := s.time(ctx, steps, func(i int) (time.Duration, error) {
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
		return AttentionTime{}, err
	}
	all, first := median(both), median(forward)
	row := AttentionTime{
		T: length, Threads: engine.Threads(),
		ForwardSeconds: first.Seconds(), BackwardSeconds: (all - first).Seconds(),
		GFLOPS:    float64(x.FLOPs()) / all.Seconds() / 1e9,
		PeakRSSMB: peakMB(),
	}
	// What this length took is not to be added to the next one's.
	store, x = nil, nil
	debug.FreeOSMemory()
	return row, nil
}
