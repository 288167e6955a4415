package main

import (
	"encoding/json"
	"runtime"
	"testing"
)

// brief are the flags of a model that is timed in milliseconds.
var brief = []string{"--model", "1x32", "--batch", "2", "--seq", "16", "--vocab", "64", "--steps", "2", "--threads", "1", "--json"}

func TestBenchmarksReportTheirMeasures(t *testing.T) {
	for _, name := range []string{"train", "reward", "decode", "prefill"} {
		t.Run(name, func(t *testing.T) {
			var r map[string]any
			out := succeed(t, append([]string{"bench", name}, brief...)...)
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			positive(t, r, append(measures(), "parameters")...)
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

// measures are the keys of --json that scripts read.
func measures() []string {
	keys := []string{"median_s", "best_s", "tokens_per_s", "gflops", "peak_gflops", "bandwidth_gb_s", "percent_of_peak"}
	if runtime.GOOS == "linux" {
		keys = append(keys, "peak_rss_mb")
	}
	return keys
}

// positive reports the keys that are not numbers above 0.
func positive(t *testing.T, row any, keys ...string) {
	t.Helper()
	values, ok := row.(map[string]any)
	if !ok {
		t.Fatalf("%v is no object", row)
	}
	for _, key := range keys {
		if v, ok := values[key].(float64); !ok || v <= 0 {
			t.Errorf("%s is %v", key, values[key])
		}
	}
}

func benchJSON(t *testing.T, args ...string) map[string]any {
	t.Helper()
	var r map[string]any
	if err := json.Unmarshal([]byte(succeed(t, append([]string{"bench"}, append(args, "--json")...)...)), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBenchPPOTakesAnIteration(t *testing.T) {
	r := benchJSON(t, "ppo", "--model", "1x32", "--batch", "2", "--seq", "4", "--new", "4", "--vocab", "64", "--steps", "1", "--epochs", "1", "--threads", "1")
	positive(t, r, measures()...)
	if operators, ok := r["operators"].([]any); !ok || len(operators) == 0 {
		t.Errorf("operators are %v", r["operators"])
	}
}

func TestBenchGEMMTimesTheFourProducts(t *testing.T) {
	r := benchJSON(t, "gemm", "--shape", "8,16,24", "--shape", "3,5,7", "--steps", "2", "--threads", "1", "--precision", "bf16")
	positive(t, r, "peak_gflops", "bandwidth_gb_s")
	rows := r["products"].([]any)
	if len(rows) != 8 || r["precision"] != "bf16" {
		t.Fatalf("%d products in %v", len(rows), r["precision"])
	}
	for _, row := range rows {
		positive(t, row, "m", "n", "k", "median_s", "best_s", "gflops", "percent_of_peak")
	}
}

func TestBenchAttentionTimesEveryLengthAndNumberOfThreads(t *testing.T) {
	rows := benchJSON(t, "attention", "--seq", "8,16", "--steps", "1", "--threads", "2")["rows"].([]any)
	if len(rows) != 4 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows {
		positive(t, row, "t", "threads", "forward_s", "backward_s", "gflops")
		if r := row.(map[string]any); r["t"] != float64(8+8*(i/2)) || r["threads"] != float64(1+i%2) {
			t.Errorf("row %d is %v", i, row)
		}
	}
}

func TestBenchPeakMeasuresEveryNumberOfThreads(t *testing.T) {
	rows := benchJSON(t, "peak", "--threads", "2")["threads"].([]any)
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		positive(t, row, "threads", "peak_gflops", "bandwidth_gb_s")
	}
}
