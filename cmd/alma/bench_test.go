package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// brief are the flags of a model that is timed in milliseconds.
var brief = []string{"--model", "1x32", "--batch", "2", "--seq", "16", "--vocab", "64", "--steps", "2", "--threads", "1", "--json"}

func TestBenchmarksReportTheirMeasures(t *testing.T) {
	for _, name := range []string{"train", "decode", "prefill"} {
		t.Run(name, func(t *testing.T) {
			var r map[string]any
			out := succeed(t, append([]string{"bench", name}, brief...)...)
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"median_s", "best_s", "tokens_per_s", "gflops", "peak_gflops", "bandwidth_gb_s", "percent_of_peak", "parameters"} {
				if v, ok := r[key].(float64); !ok || v <= 0 {
					t.Errorf("%s is %v", key, r[key])
				}
			}
			if r["best_s"].(float64) > r["median_s"].(float64) {
				t.Errorf("the best step took %v, the median one %v", r["best_s"], r["median_s"])
			}
			if r["threads"] != 1.0 || r["precision"] != "fp32" {
				t.Errorf("threads %v, precision %v", r["threads"], r["precision"])
			}
			percent, spent := 0.0, 0.0
			for _, o := range r["operators"].([]any) {
				o := o.(map[string]any)
				percent += o["percent"].(float64)
				spent += o["s"].(float64)
			}
			if percent < 99.9 || percent > 100.1 {
				t.Errorf("the operators' shares add up to %v %%", percent)
			}
			if spent <= 0 {
				t.Errorf("the operators took %v s of a step", spent)
			}
		})
	}
}

func TestBenchmarkedModels(t *testing.T) {
	f := fixtures(t)
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
		{f.base, 0, 0, 0, 0},
		{filepath.Join(f.base, "config.json"), 0, 0, 0, 0},
	} {
		o := benchOptions{Model: c.model, Batch: 1, Seq: 8, Steps: 1}
		got, err := o.config()
		if err != nil {
			t.Errorf("%s: %v", c.model, err)
			continue
		}
		if c.layers > 0 && (got.Layers != c.layers || got.Width != c.width || got.Heads != c.heads) {
			t.Errorf("%s: %d layers of width %d with %d heads", c.model, got.Layers, got.Width, got.Heads)
		}
		if c.count > 0 && got.ParameterCount() != c.count {
			t.Errorf("%s: %d parameters, want %d", c.model, got.ParameterCount(), c.count)
		}
	}
}
