package diagnose

import (
	"context"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

// What the self-test allows: single precision against double.
const (
	LossTolerance     = 1e-5
	GradientTolerance = 1e-4
)

// Check compares a model on one set of kernels with the reference.
type Check struct {
	Model         string  `json:"model"`
	Kernels       string  `json:"kernels"`
	LossError     float64 `json:"loss_error"`     // relative
	GradientError float64 `json:"gradient_error"` // the worst parameter's ‖a−b‖/‖b‖
	Worst         string  `json:"worst"`          // that parameter
	SameBits      bool    `json:"same_bits"`      // for 1, 2 and all threads
	OK            bool    `json:"ok"`
}

// SelfTest computes the loss and the gradient by every parameter of small models, on
// every set of kernels that this machine has and on 1, 2 and so many threads, and
// compares them with plain loops in double precision. It tells each model's checks
// as soon as they are done. Meanwhile it selects the kernels of the whole process.
func SelfTest(ctx context.Context, threads int, tell func(Check)) error {
	for _, config := range selfTestModels() {
		checks, err := compareKernels(ctx, config, threads)
		if err != nil {
			return err
		}
		for _, check := range checks {
			tell(check)
		}
	}
	return nil
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

// compareKernels compares every set of kernels with the reference.
func compareKernels(ctx context.Context, config model.Config, threads int) ([]Check, error) {
	want, err := lossAndGradients(reference.New(), config)
	if err != nil {
		return nil, err
	}
	selected := kernel.Name()
	defer kernel.Select(selected)
	var checks []Check
	for _, kernels := range kernel.Names() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := kernel.Select(kernels); err != nil {
			return nil, err
		}
		check := Check{Model: string(config.Family), Kernels: kernels, SameBits: true}
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
	token := func(index int) int32 {
		return int32(compute.Bits(1, compute.Stream("bench"), uint64(index)) % uint64(config.Vocabulary))
	}
	rows := train.NewTextRows(3, config.Context)
	for i := range rows.Tokens {
		rows.Tokens[i] = token(2 * i)
		rows.Targets[i] = token(2*i + 1)
	}
	lm, err := train.NewLanguageModel(m, rows.B, rows.T)
	if err != nil {
		return computed{}, err
	}
	var c computed
	if c.loss, err = lm.Accumulate(context.Background(), rows, 1/float64(len(rows.Tokens))); err != nil {
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

func (s *Check) compare(got, want computed, parameters []model.Parameter) {
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
	s.OK = s.LossError <= LossTolerance && s.GradientError <= GradientTolerance && s.SameBits
}

// orLargest makes an error that is not finite the largest number: it must not
// pass for small, and JSON must hold it.
func orLargest(e float64) float64 {
	if math.IsNaN(e) || math.IsInf(e, 0) {
		return math.MaxFloat64
	}
	return e
}
