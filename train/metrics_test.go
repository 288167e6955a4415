package train

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

func TestMetricsLineHasItsFieldsInTheOrderGiven(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	m, err := OpenMetrics(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	err = m.Write(3, []Metric{{"loss", 3.25}, {"lr", 2.9e-4}, {"objective/kl", math.NaN()}, {"a<b", math.Inf(1)}, {"c", math.Inf(-1)}, {"big", 9.6e23}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	want := `{"step":3,"loss":3.25,"lr":0.00029,"objective/kl":"NaN","a<b":"Infinity","c":"-Infinity","big":9.6e+23}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("the file is\n%swant\n%s%v", got, want, err)
	}
	lines, err := ReadMetrics(path)
	if err != nil || len(lines) != 1 || lines[0].Step != 3 {
		t.Fatalf("read %v, %v", lines, err)
	}
	var names []string
	for _, metric := range lines[0].Metrics {
		names = append(names, metric.Name)
	}
	if want := []string{"loss", "lr", "objective/kl", "a<b", "c", "big"}; !reflect.DeepEqual(names, want) {
		t.Errorf("names %v, want %v", names, want)
	}
	if v, ok := lines[0].Value("objective/kl"); !ok || !math.IsNaN(v) {
		t.Errorf("NaN came back as %v", v)
	}
	if v, _ := lines[0].Value("c"); !math.IsInf(v, -1) {
		t.Errorf("-Infinity came back as %v", v)
	}
	if _, ok := lines[0].Value("absent"); ok {
		t.Error("an absent metric is there")
	}
}

func TestMetricsWriterRefusesNamesThatWouldClash(t *testing.T) {
	m, err := OpenMetrics(filepath.Join(t.TempDir(), "m"), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, metrics := range [][]Metric{{{"", 1}}, {{"step", 1}}, {{"a", 1}, {"a", 2}}, {{"\xff", 1}}} {
		if err := m.Write(1, metrics); err == nil {
			t.Errorf("%v was taken", metrics)
		}
	}
}

func TestMetricsOfAResumedRunHaveEveryStepOnce(t *testing.T) {
	const two = "{\"step\":0,\"loss\":5}\n{\"step\":1,\"loss\":4}\n{\"step\":2,\"loss\":3}\n"
	for _, test := range []struct {
		name   string
		before string
		step   int
		want   string // "": an error
	}{
		{"nothing later", two, 2, two},
		{"later lines go", two + "{\"step\":3,\"loss\":2}\n{\"step\":4}\n", 2, two},
		{"a cut line goes", two + "{\"step\":3,\"lo", 2, two},
		{"a cut line of this step goes", two + "{\"step\":2,\"x\":1}", 2, two},
		{"zeros from a power loss go", two + "{\"step\":3}\n\x00\x00\x00\n\x00", 2, two},
		{"two lines of one step stay", two + "{\"step\":2,\"eval/loss\":3}\n", 2, two + "{\"step\":2,\"eval/loss\":3}\n"},
		{"from the beginning", two, -1, "-"},
		{"damage before the step", "{\"step\":0}\n{\"st}\n{\"step\":2}\n", 2, ""},
		{"steps out of order", "{\"step\":3}\n{\"step\":1}\n", 2, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "metrics.jsonl")
			if err := os.WriteFile(path, []byte(test.before), 0o666); err != nil {
				t.Fatal(err)
			}
			m, err := OpenMetrics(path, test.step)
			if test.want == "" {
				if artifact.ExitCode(err) != 12 {
					t.Fatalf("got %v, want a corrupt artifact", err)
				}
				if got, _ := os.ReadFile(path); string(got) != test.before {
					t.Error("the file was changed all the same")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Write(test.step+1, []Metric{{"loss", 1}}); err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			kept, isLast := strings.CutSuffix(string(got), `,"loss":1}`+"\n")
			kept = kept[:strings.LastIndexByte(kept, '{')]
			if err != nil || !isLast || kept != strings.TrimPrefix(test.want, "-") {
				t.Errorf("the file is\n%s", got)
			}
		})
	}
}

func TestMetricsRewindGoesOnFromTheStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	m, err := OpenMetrics(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for step := range 5 {
		if err := m.Write(step, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Rewind(1); err != nil {
		t.Fatal(err)
	}
	if err := m.Write(2, []Metric{{"again", 1}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := "{\"step\":0}\n{\"step\":1}\n{\"step\":2,\"again\":1}\n"; err != nil || string(got) != want {
		t.Errorf("the file is\n%swant\n%s", got, want)
	}
}

func TestReadMetricsNamesTheLineThatIsDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	for text, want := range map[string]string{
		"{\"step\":1}\n[]\n":                        ":2: not a JSON object",
		"{\"step\":1}\n{\"step\"\n":                 ":2: not a JSON value",
		"{\"loss\":1}\n":                            ":1: no step",
		"{\"step\":1.5}\n":                          ":1: step",
		"{\"step\":\"1\"}\n":                        ":1: step",
		"{\"step\":1,\"a\":null}\n":                 ":1: a:",
		"{\"step\":1,\"a\":\"nan\"}\n":              ":1: a:",
		"{\"step\":1,\"a\":[1]}\n":                  ":1: a:",
		"{\"step\":1,\"a\":1,\"a\":2}\n":            ":1: a is there twice",
		"{\"step\":1,\"step\":2}\n":                 ":1: step is",
		"{\"step\":1}\n{\"step\":2,\"a\":1e999}\n":  ":2: a:",
		"{\"step\":1}\n\n":                          ":2: not a JSON value",
		"{\"step\":1}\n{\"step\":2}\x00\n{\"a\":1}": ":2: not a JSON value",
	} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadMetrics(path); artifact.ExitCode(err) != 12 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q", text, err, want)
		}
	}
	if _, err := ReadMetrics(path + "x"); artifact.ExitCode(err) != 10 {
		t.Errorf("an absent file gives %v", err)
	}
}

func TestMetricKeepsItsValueInJSON(t *testing.T) {
	for _, v := range []float64{0, -1.5, 0.1, 5e-324, math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1)} {
		encoded, err := json.Marshal([]Metric{{"a/b", v}})
		if err != nil {
			t.Fatal(err)
		}
		var back []Metric
		if err := json.Unmarshal(encoded, &back); err != nil {
			t.Fatal(err)
		}
		if back[0].Name != "a/b" || back[0].Value != v && !(math.IsNaN(v) && math.IsNaN(back[0].Value)) {
			t.Errorf("%v came back as %v by %s", v, back, encoded)
		}
	}
	var m Metric
	if err := json.Unmarshal([]byte(`{"name":"a","value":true}`), &m); err == nil {
		t.Error("true was taken for a number")
	}
}

// FuzzMetricsLine holds the reader to this: it does not crash, and a line that
// it accepts is written back with the same content.
func FuzzMetricsLine(f *testing.F) {
	f.Add([]byte(`{"step":1,"loss":3.5,"kl":"NaN"}`))
	f.Add([]byte(`{"loss":1e-300,"step":-2}`))
	f.Add([]byte(`{"step":1,"a":{"step":2}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		line, err := parseMetricsLine(text)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "m")
		m, err := OpenMetrics(path, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.Write(line.Step, line.Metrics); err != nil {
			if _, empty := line.Value(""); empty {
				return // readable, but not written by us
			}
			t.Fatal(err)
		}
		lines, err := ReadMetrics(path)
		if err != nil || len(lines) != 1 || lines[0].Step != line.Step || len(lines[0].Metrics) != len(line.Metrics) {
			t.Fatalf("%v came back as %v, %v", line, lines, err)
		}
		for i, metric := range line.Metrics {
			got := lines[0].Metrics[i]
			if got.Name != metric.Name || math.Float64bits(got.Value) != math.Float64bits(metric.Value) {
				t.Fatalf("%v came back as %v", metric, got)
			}
		}
	})
}
