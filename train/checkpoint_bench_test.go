package train

import (
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
)

// gpt2 is a trial of GPT-2's smallest model (124M parameters), of which only the
// shape counts here, on all processors.
func gpt2(t testing.TB, rows, length int) (step func(), state *ModelState) {
	t.Helper()
	c := model.Config{
		Family: model.GPT2, Head: model.LanguageModel, Vocabulary: 50257, Context: 1024, Width: 768, Layers: 12, Heads: 12,
		FeedForward: 3072, Epsilon: 1e-5, Tied: true, InitRange: .02, BOS: -1, EOS: -1, Pad: -1,
	}
	m, err := model.New(newEngine(t, runtime.GOMAXPROCS(0)), c.Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	lm, err := NewLanguageModel(m, rows, length)
	if err != nil {
		t.Fatal(err)
	}
	constants := DefaultOptimizer(1e-4)
	o := newOptimizer(t, m, constants.AdamW())
	guard := constants.Guard()
	batch := NewTextRows(rows, length)
	fillText(batch, 0)
	return func() {
		loss, err := lm.Accumulate(t.Context(), batch, 1/float64(rows*length))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := guard.Apply(o, 1e-5, loss, func() string { return "the batch" }); err != nil {
			t.Fatal(err)
		}
	}, &ModelState{Model: m, Optimizer: o}
}

// RELIABILITY, row 7: what a checkpoint costs GPT-2 124M, one an iteration. The
// stall is what a step waits for the snapshot; the slowdown, what the steps
// beside the write take longer than the median of others.
//
//	go test -run xxx -bench CheckpointBesideTraining -benchtime 3x ./train
func BenchmarkCheckpointBesideTraining(b *testing.B) {
	step, state := gpt2(b, 1, 256)
	loop := &Loop{Stage: "bench", Folder: b.TempDir(), States: []State{state}, Guard: DefaultGuard(), CheckpointEvery: time.Minute,
		Log: &progress.Log{Progress: progress.NewTo(progress.Options{Out: io.Discard})}}
	log, err := beginLog(loop.Log, loop, 0, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer log.close()
	c := &checkpoints{Loop: loop, log: log, saved: -1}
	c.prepare() // half a minute before the first
	if err := c.wait(); err != nil {
		b.Fatal(err)
	}
	timed := func() float64 {
		start := time.Now()
		step()
		return time.Since(start).Seconds()
	}
	step()
	var alone, beside []float64
	var stall, most, write float64
	n := 0
	for b.Loop() {
		n++
		for range 6 {
			alone = append(alone, timed())
		}
		start := time.Now()
		if err := c.behind(&trainerState{Step: n}); err != nil {
			b.Fatal(err)
		}
		waited := time.Since(start).Seconds()
		stall, most = stall+waited, max(most, waited)
		for c.under != nil {
			beside = append(beside, timed())
			if err := c.ended(); err != nil {
				b.Fatal(err)
			}
		}
		write += time.Since(start).Seconds()
	}
	// Medians, because other work on the machine disturbs single steps.
	usual := median(alone)
	slower := (median(beside) - usual) * float64(len(beside))
	runs := float64(n)
	b.ReportMetric(usual*1e3, "ms/step")
	b.ReportMetric(stall/runs*1e3, "ms/stall")
	b.ReportMetric(most*1e3, "ms/longest-stall")
	b.ReportMetric(slower/runs*1e3, "ms/slowdown")
	b.ReportMetric(write/runs, "s/write")
	b.ReportMetric(100*(stall+slower)/runs/c.interval().Seconds(), "%-of-the-time")
	b.ReportMetric(c.interval().Seconds(), "s/interval")
}
