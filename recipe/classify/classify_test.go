package classify

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
)

func TestTheRecipesLoad(t *testing.T) {
	paths, err := filepath.Glob("../../recipes/classify-*.yaml")
	if err != nil || len(paths) < 3 {
		t.Fatalf("found %v, %v", paths, err)
	}
	for _, path := range paths {
		c := Defaults()
		if _, err := recipe.Load(path, &c, recipe.Options{}); err != nil {
			t.Error(err)
		}
		if c.Classify == Defaults().Classify {
			t.Errorf("%s changes nothing", path)
		}
	}
}

// finished makes a folder as the stage leaves it.
func finished(t *testing.T, held bool) string {
	t.Helper()
	folder := t.TempDir()
	s, err := artifact.Begin(folder, "classify", Defaults().Classify)
	if err != nil {
		t.Fatal(err)
	}
	m, err := train.OpenMetrics(s.Path(train.MetricsName), -1)
	if err != nil {
		t.Fatal(err)
	}
	for step := range 3 {
		if err := m.Write(step, []train.Metric{{Name: "loss", Value: 1 / float64(step+1)}, {Name: "validation/macro_f1", Value: .5}}); err != nil {
			t.Fatal(err)
		}
	}
	m.Close()
	if held {
		c := stats.Classify([]string{"ham", "<spam>"}, [][]float64{{.9, .1}, {.3, .7}, {.6, .4}}, []int{0, 1, 1})
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := artifact.WriteFile(s.Path("validation.json"), data); err != nil {
			t.Fatal(err)
		}
	}
	s.Manifest.Metrics = artifact.Metrics{"classes": 2, "texts": 30, "held_out": 3, "cut": 1}
	if _, err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestTheReportShowsTheMeasures(t *testing.T) {
	folder := finished(t, true)
	if !IsRun(folder) || IsRun(t.TempDir()) {
		t.Error("a classifier's folder is not told from another")
	}
	if err := WriteReport(folder); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Confusion matrix", "0.667", "Calibration", "0.6 to 0.7", "Macro-F1", "1 of both were longer"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	page, err := os.ReadFile(filepath.Join(folder, "report.html"))
	if err != nil || strings.Contains(string(page), "<spam>") {
		t.Errorf("a label is not text in the page: %v", err)
	}
}

func TestTheReportDoesWithoutMeasures(t *testing.T) {
	folder := finished(t, false)
	if err := WriteReport(folder); err != nil {
		t.Fatal(err)
	}
	if err := WriteReport(t.TempDir()); artifact.ExitCode(err) != artifact.ErrNotFound.Code() {
		t.Errorf("a folder without a classifier: %v", err)
	}
}
