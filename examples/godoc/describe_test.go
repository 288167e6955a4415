package godoc

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
)

// items are an item's means in the order of ItemNames.
func items(points ...float64) map[string]float64 {
	m := map[string]float64{}
	for i, name := range ItemNames {
		m[name] = points[i]
	}
	return m
}

// goodEvaluation meets every threshold.
func goodEvaluation() Evaluation {
	e := Evaluation{
		Split: "test", Packages: []string{"go/held", "net/apart"}, Functions: 4,
		KL: stats.Estimate{Value: 3.4, Low: 3.1, High: 3.7, N: 4}, BitsPerByteSFT: 1.9, BitsPerBytePPO: 1.938,
		RewardAccuracy: .76, RewardAccuracyWide: .91, RewardPairs: 1200, RewardPairsWide: 300,
	}
	scores := []float64{.5, .6, .7, .8}
	for i, name := range systemNames {
		s := SystemResult{Name: name, Rule: stats.Estimate{Value: .6 + float64(i)/100, Low: .5, High: .7, N: 4}, Ended: 1, Words: 14, Openings: .9, Reward: .1, Scores: scores,
			Items: items(.2, .1, .2, .1, .03, .09)}
		e.Systems = append(e.Systems, s)
	}
	e.Systems[ppoHot].Items = items(.24, .14, .24, .05, .04, .1)
	better := func(by float64) stats.Estimate {
		return stats.Estimate{Value: by, Low: by - .02, High: by + .02, N: 4}
	}
	e.Comparisons = []Comparison{
		{1, better(.17), stats.HeadToHead{Wins: 3, Losses: 1, Rate: stats.Estimate{Value: .75, Low: .7, High: .8, N: 4}}},
		{.7, better(.08), stats.HeadToHead{Wins: 2, Ties: 1, Losses: 1, Rate: stats.Estimate{Value: .625, Low: .5, High: .7, N: 4}}},
	}
	for _, text := range []string{"// Len returns the length of <b>.", "// Len </script><script src=\"https://example.com/x.js\">"} {
		x := Example{Declaration: "func Len(b []byte) int", Reference: "// Len returns the number of bytes in b."}
		for _, s := range []int{sftHot, ppoHot, sftCool, ppoCool} {
			x.Answers = append(x.Answers, ExampleAnswer{systemNames[s], text, Score{Sentence: .25, Length: .15}})
		}
		e.Examples = append(e.Examples, x)
	}
	return e
}

// described is what the stage tells of an evaluation, after a reward model that
// learned from these annotators.
func described(t *testing.T, e Evaluation, annotators string) stage.Description {
	t.Helper()
	run := t.TempDir()
	reward, err := artifact.Begin(filepath.Join(run, "reward"), "reward", nil)
	if err != nil {
		t.Fatal(err)
	}
	reward.Manifest.Extra = map[string]string{"annotators": annotators}
	if _, err := reward.Finish(); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(run, "evaluate")
	s, err := artifact.Begin(folder, EvaluateStage.Kind, EvaluateConfig{BestOf: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddInput("reward", filepath.Join(run, "reward")); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := artifact.WriteFile(s.Path(evaluationFile), data); err != nil {
		t.Fatal(err)
	}
	m, err := s.Finish()
	if err != nil {
		t.Fatal(err)
	}
	d, err := EvaluateStage.Describe(stage.Done{Folder: folder, Manifest: m}, &EvaluateConfig{BestOf: 8})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheEvaluationSaysWhatItShowsAndWhatNot(t *testing.T) {
	d := described(t, goodEvaluation(), AnnotatorName)
	text := strings.Join(d.Statement, "\n")
	for _, want := range []string{"measurably enforces a written style", "does not show that a model of this size writes true documentation", "annotator is simulated", "4 functions of 2 packages"} {
		if !strings.Contains(text, want) {
			t.Errorf("the statement does not say %q", want)
		}
	}
	if len(d.Tables) != 2 || !strings.Contains(strings.Join(d.Tables[0].Columns, " "), "best of 8 by the reward model") || len(d.Samples.Pairs) != 2 {
		t.Errorf("tables %v, %d samples", d.Tables, len(d.Samples.Pairs))
	}

	e := goodEvaluation()
	e.Comparisons[1].Difference.Low = -.01
	text = strings.Join(described(t, e, AnnotatorName).Statement, "\n")
	if !strings.Contains(text, "This run does not show that reinforcement learning") || strings.Contains(text, "measurably enforces") {
		t.Error("the statement claims a gain whose interval includes 0")
	}
	text = strings.Join(described(t, goodEvaluation(), "ann, bo").Statement, "\n")
	if !strings.Contains(text, "rankings by ann, bo") || strings.Contains(text, "No person ranked anything here") {
		t.Error("the statement does not say whose rankings were learned")
	}
}

func TestMetricsOfTheEvaluationHaveTheirIntervals(t *testing.T) {
	e := goodEvaluation()
	e.Systems[ppoCool].Words = 9.9
	e.Systems[ppoCool].Items = items(.2, .1, .2, .019, .03, .09)
	m := e.metrics()
	for name, want := range map[string]float64{
		"gain_t1": .17, "gain_t1/low": .15, "gain_t1/high": .19, "gain_t0.7/low": .06, "wins_t0.7": .625, "kl": 3.4, "kl/high": 3.7,
		"words": 9.9, "largest_item_fall": .081, "bits_per_byte_rise": .02, "sft_ended": 1, "reward_accuracy": .76, "reward_accuracy_wide": .91,
	} {
		if got, ok := m[name]; !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
		}
	}
}
