package train

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
)

const testVocabulary, testContext = 19, 12

func newEngine(t testing.TB, threads int) compute.Engine {
	engine := cpu.New(cpu.Options{Threads: threads})
	t.Cleanup(func() { engine.Close() })
	return engine
}

func newModel(t testing.TB, engine compute.Engine, family model.Family, tied bool) *model.Model {
	t.Helper()
	return newModelOf(t, engine, family, tied, testContext)
}

func newModelOf(t testing.TB, engine compute.Engine, family model.Family, tied bool, context int) *model.Model {
	t.Helper()
	c := model.Config{
		Family: family, Head: model.LanguageModel, Vocabulary: testVocabulary, Context: context, Width: 16, Layers: 2, Heads: 2, KVHeads: 2, HeadDim: 8,
		FeedForward: 24, Epsilon: 1e-5, RoPETheta: 10000, Tied: tied, InitRange: .1, BOS: -1, EOS: -1, Pad: -1,
	}
	m, err := model.New(engine, c.Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fillText draws the rows [first, first+B) of an endless text in which each
// token all but tells the next.
func fillText(rows *dataset.Packed, first int) {
	for b := range rows.B {
		token := int32(compute.Bits(1, uint64(first+b), 0) % testVocabulary)
		for i := range rows.T {
			rows.Tokens[b*rows.T+i] = token
			token = (token*3 + int32(compute.Bits(1, uint64(first+b), uint64(i+1))%4/3) + 1) % testVocabulary
			rows.Targets[b*rows.T+i] = token
		}
	}
}

func digest(t testing.TB, m *model.Model) [32]byte {
	t.Helper()
	sum, err := file.Digest(m)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// trial is a small run of a Loop: every step accumulates rows of fillText in
// micro-batches.
type trial struct {
	t         testing.TB
	folder    string
	engine    compute.Engine
	family    model.Family
	tied      bool
	steps     int
	rows      int // of a step
	length    int // of a row
	micro     int
	optimizer OptimizerConfig
	// sabotage may change the loss of a step, or the gradients in the model.
	sabotage func(step int, m *model.Model, loss *float64)
	// before is called before a step, with the model as it is.
	before   func(step int, m *model.Model)
	evaluate func(ctx context.Context, step int) ([]Metric, error)
	done     func() bool
	every    int           // CheckpointSteps
	interval time.Duration // CheckpointEvery
	memory   int64
	free     func(folder string) (int64, bool)
	result   int64
	more     []State // beside the model's
	frozen   []compute.Post
	state    *ModelState // of the run that began last
	config   map[string]any
	output   bytes.Buffer
	model    *model.Model
}

func newTrial(t testing.TB, folder string) *trial {
	r := &trial{t: t, folder: folder, engine: newEngine(t, 1), family: model.Llama, tied: true, steps: 20, rows: 4, length: testContext, micro: 2, optimizer: DefaultOptimizer(1e-2)}
	return r
}

func (r *trial) run(ctx context.Context) (Totals, error) {
	r.t.Helper()
	fail := func(err error) {
		if err != nil {
			r.t.Helper()
			r.t.Fatal(err)
		}
	}
	m := newModelOf(r.t, r.engine, r.family, r.tied, r.length)
	r.model = m
	lm, err := NewLanguageModel(m, r.micro, r.length)
	fail(err)
	o, err := NewOptimizer(m, r.optimizer.AdamW())
	fail(err)
	guard, schedule := r.optimizer.Guard(), r.optimizer.Schedule(r.steps)
	r.state = &ModelState{Model: m, Optimizer: o}
	rows := NewTextRows(r.micro, r.length)
	loop := &Loop{
		Stage: "trial", Folder: r.folder, Steps: r.steps, Guard: guard, CheckpointSteps: r.every, EvaluateEvery: 5, Evaluate: r.evaluate, Done: r.done,
		Config: map[string]any{"config": r.config},
		Log:    &progress.Log{Progress: progress.NewTo(progress.Options{Out: io.Writer(&r.output)})},
		States: append([]State{r.state}, r.more...), Frozen: r.frozen, CheckpointEvery: r.interval, Memory: r.memory, Free: r.free, Result: r.result,
		Step: func(_ context.Context, step int) (StepReport, error) {
			if r.before != nil {
				r.before(step, m)
			}
			var loss float64
			for at := 0; at < r.rows; at += r.micro {
				fillText(rows, step*r.rows+at)
				part, err := lm.Accumulate(context.Background(), rows, 1/float64(r.rows*r.length))
				if err != nil {
					return StepReport{}, err
				}
				loss += part
			}
			if r.sabotage != nil {
				r.sabotage(step, m, &loss)
			}
			lr := schedule.At(step)
			norm, err := guard.Apply(o, lr, loss, func() string { return fmt.Sprintf("rows %d to %d", step*r.rows, step*r.rows+r.rows-1) })
			return StepReport{Metrics: []Metric{{"loss", loss}, {"grad_norm", norm}, {"lr", lr}}, Tokens: int64(r.rows * r.length), FLOPs: lm.FLOPs()}, err
		},
	}
	return loop.Run(ctx)
}

// mustRun runs to the end and returns the digest of the weights.
func (r *trial) mustRun() [32]byte {
	r.t.Helper()
	if _, err := r.run(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return digest(r.t, r.model)
}

func readMetrics(t testing.TB, folder string) []MetricsLine {
	t.Helper()
	lines, err := ReadMetrics(filepath.Join(folder, MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// scaleGradients multiplies the accumulated gradients of every parameter.
func scaleGradients(t testing.TB, m *model.Model, by float32) {
	t.Helper()
	for _, p := range m.Parameters() {
		for j := 0; ; j++ {
			name := gradientName(p.Name, j)
			shape, ok := m.Store.Shape(name)
			if !ok {
				break
			}
			data := make([]float32, shape.Size())
			if err := m.Store.Read(name, data); err != nil {
				t.Fatal(err)
			}
			for i := range data {
				data[i] *= by
			}
			if err := m.Store.Write(name, data); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func poison(t testing.TB, m *model.Model, parameter string, value float64) {
	t.Helper()
	shape, _ := m.Store.Shape("grad/" + parameter)
	data := make([]float32, shape.Size())
	data[len(data)-1] = float32(value)
	if err := m.Store.Write("grad/"+parameter, data); err != nil {
		t.Fatal(err)
	}
}

func exitCode(err error) int { return artifact.ExitCode(err) }

func relative(a, b float64) float64 {
	return math.Abs(a-b) / max(math.Abs(a), math.Abs(b), 1e-30)
}
