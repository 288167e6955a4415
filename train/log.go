package train

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-b72bdb6c/alma/progress"
)

// loopLog is the record of one run of a Loop.
type loopLog struct {
	*progress.Log
	label   string
	total   int
	metrics *MetricsFile
	events  *EventFile
	names   map[string]float64 // of the last step, for the progress line
	held    string             // the loss on what is not learned, as it was measured last

	// Sums since the last line shown, for its rates.
	tokens, flops int64
	elapsed       time.Duration
}

// MetricsName is the file of a stage's metrics.
const MetricsName = "metrics.jsonl"

// beginLog opens the record of a run at a step, with the lines up to recorded.
func beginLog(l *progress.Log, loop *Loop, step, recorded int) (*loopLog, error) {
	if err := os.MkdirAll(loop.Folder, 0o777); err != nil {
		return nil, fmt.Errorf("making folder of %s: %w", loop.Stage, err)
	}
	metrics, err := OpenMetrics(filepath.Join(loop.Folder, MetricsName), recorded)
	if err != nil {
		return nil, err
	}
	events, err := CreateEvents(loop.Folder, step+1, time.Now())
	if err != nil {
		metrics.Close()
		return nil, err
	}
	if step > 0 {
		l.Printf("%s: continuing from step %s of %s", loop.Stage, progress.Count(int64(step)), progress.Count(int64(loop.Steps)))
	}
	return &loopLog{Log: l, label: loop.Stage + " step", total: loop.Steps, metrics: metrics, events: events, names: make(map[string]float64)}, nil
}

// record writes the metrics of a step.
func (l *loopLog) record(step int, metrics []Metric) error {
	for _, m := range metrics {
		l.names[m.Name] = m.Value
	}
	if len(metrics) == 0 {
		return nil
	}
	if err := l.metrics.Write(step, metrics); err != nil {
		return err
	}
	return l.events.Write(step, metrics, time.Now())
}

func (l *loopLog) step(step int, report StepReport, metrics []Metric, elapsed time.Duration) error {
	if err := l.record(step, metrics); err != nil {
		return err
	}
	// Rates over about the last seconds: older steps count ever less.
	const memory = 0.9
	l.tokens = int64(memory*float64(l.tokens)) + report.Tokens
	l.flops = int64(memory*float64(l.flops)) + report.FLOPs
	l.elapsed = time.Duration(memory*float64(l.elapsed)) + elapsed
	seconds := l.elapsed.Seconds()
	share := 0.0
	if l.PeakFLOPS > 0 {
		share = float64(l.flops) / seconds / l.PeakFLOPS
	}
	fields := progress.TrainingFields(l.names["loss"], l.names["grad_norm"], l.names["lr"], float64(l.tokens)/seconds, share, progress.ResidentMemory())
	for _, extra := range report.Fields {
		fields = append(fields, extra)
	}
	if l.held != "" {
		fields = append(fields, l.held)
	}
	l.Progress.Show(progress.Line{Label: l.label, Done: int64(step), Total: int64(l.total), Fields: fields})
	return nil
}

// rewind takes the record back to where the checkpoint that a run returned to
// has it.
func (l *loopLog) rewind(recorded int) error { return l.metrics.Rewind(recorded) }

func (l *loopLog) sync() error { return l.metrics.Sync() }

func (l *loopLog) close() {
	l.metrics.Close()
	l.events.Close()
	l.Progress.Done()
}
