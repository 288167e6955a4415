package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

func TestModelsByNameShapeAndFile(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "config.json")
	if err := os.WriteFile(file, []byte(`{"model_type":"gpt2","vocab_size":300,"n_positions":64,"n_embd":48,"n_layer":3,"n_head":4}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		model  string
		layers int
		width  int
		heads  int
		count  int64
	}{
		{"gpt2-124m", 12, 768, 12, 124439808}, // as in Hugging Face's checkpoint
		{"6x384", 6, 384, 6, 0},
		{"4x128", 4, 128, 4, 0},
		{"llama:12x768", 12, 768, 12, 0},
		{folder, 3, 48, 4, 0},
		{file, 3, 48, 4, 0},
	} {
		o := Options{Model: c.model, Batch: 1, Seq: 8, Steps: 1}
		got, err := o.config()
		if err != nil {
			t.Errorf("%s: %v", c.model, err)
			continue
		}
		if got.Layers != c.layers || got.Width != c.width || got.Heads != c.heads {
			t.Errorf("%s: %d layers of width %d with %d heads", c.model, got.Layers, got.Width, got.Heads)
		}
		if c.count > 0 && got.ParameterCount() != c.count {
			t.Errorf("%s: %d parameters, want %d", c.model, got.ParameterCount(), c.count)
		}
	}
}

func TestWhatCannotBeTimedIsRefused(t *testing.T) {
	ctx, on := context.Background(), Setup{Engine: cpu.Options{Threads: 1}}
	whole := Options{Model: "1x32", Batch: 1, Seq: 8, Steps: 1}
	for _, change := range []func(*Options){
		func(o *Options) { o.Model = "none" },
		func(o *Options) { o.Model = "1x33" },
		func(o *Options) { o.Batch = 0 },
		func(o *Options) { o.Seq = 1 },
		func(o *Options) { o.New = -1 },
		func(o *Options) { o.Vocab = -1 },
		func(o *Options) { o.Steps = 0 },
	} {
		o := whole
		change(&o)
		if _, err := Train(ctx, on, o); !errors.Is(err, artifact.ErrUsage) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Decode(ctx, on, whole); !errors.Is(err, artifact.ErrUsage) {
		t.Errorf("decoding no token after the prompt's: %v", err)
	}
	for _, lengths := range [][]int{nil, {0}, {16, 8}} {
		if _, err := Attention(ctx, on, lengths, 1); !errors.Is(err, artifact.ErrUsage) {
			t.Errorf("attention of lengths %v: %v", lengths, err)
		}
	}
	if _, err := Products(ctx, on, GPT2Products(), 0); !errors.Is(err, artifact.ErrUsage) {
		t.Errorf("no product: %v", err)
	}
}

func TestTheMedianIsBetweenTheMiddleTimes(t *testing.T) {
	for _, c := range []struct {
		times []time.Duration
		want  time.Duration
	}{
		{[]time.Duration{7}, 7},
		{[]time.Duration{9, 1, 4}, 4},
		{[]time.Duration{10, 2, 4, 100}, 7},
	} {
		if got := median(c.times); got != c.want {
			t.Errorf("of %v: %v, want %v", c.times, got, c.want)
		}
	}
}

func TestAnEndedContextStopsABenchmark(t *testing.T) {
	ctx, stop := context.WithCancelCause(context.Background())
	cause := errors.New("stopped")
	stop(cause)
	if _, err := Train(ctx, Setup{Engine: cpu.Options{Threads: 1}}, Options{Model: "1x32", Batch: 1, Seq: 8, Steps: 1}); !errors.Is(err, cause) {
		t.Errorf("%v, want %v", err, cause)
	}
}
