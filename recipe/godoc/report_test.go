package godoc

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/corpus/godoc"
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/report"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/reward"
)

// items are an item's means in the order of godoc.ItemNames.
func items(points ...float64) map[string]float64 {
	m := map[string]float64{}
	for i, name := range godoc.ItemNames {
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
			x.Answers = append(x.Answers, ExampleAnswer{systemNames[s], text, godoc.Score{Sentence: .25, Length: .15}})
		}
		e.Examples = append(e.Examples, x)
	}
	return e
}

// runFolder writes what the stages of a run would leave.
func runFolder(t *testing.T, c Config, e Evaluation) string {
	t.Helper()
	folder := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	asJSON := func(v any) []byte {
		t.Helper()
		data, err := json.Marshal(v)
		check(err)
		return data
	}
	metrics := map[string][]train.Metric{
		"pretrain": {{Name: "loss", Value: 3}, {Name: "bits_per_byte", Value: 1.9}, {Name: "validation/bits_per_byte", Value: 1.83}, {Name: "grad_norm", Value: 0}, {Name: "lr", Value: 1e-3}},
		"sft":      {{Name: "loss", Value: 2}, {Name: "validation/loss", Value: 2.1}},
		"reward":   {{Name: "loss", Value: .6}, {Name: "accuracy", Value: .7}},
		"ppo":      {{Name: "objective/scores", Value: 1}, {Name: "objective/kl", Value: 2}, {Name: "policy/entropy_avg", Value: 3}, {Name: "response_length/mean", Value: 20}, {Name: "loss/policy_avg", Value: -.01}, {Name: "loss/value_avg", Value: .2}, {Name: "policy/clipfrac_avg", Value: .1}, {Name: "vf_explained_var", Value: .4}},
	}
	numbers := map[string]artifact.Metrics{
		"pretrain":  {"parameters": 2164416, "validation/bits_per_byte": 1.83},
		"dialogues": {"train/documented": 13296, "validation/documented": 278, "test/documented": 451, "train/undocumented": 14286},
		"rankings":  {"prompts": 2500, "agreement": .835, "noise": .09, "rule": .62},
	}
	for i, s := range stageTexts {
		stage, err := artifact.Begin(stagePath(folder, s.name), s.name, map[string]int{"n": i})
		check(err)
		switch s.name {
		case "corpus":
			check(artifact.WriteFile(stage.Path("report.json"), asJSON(corpus.Report{Splits: []corpus.SplitReport{
				{Split: corpus.Train, Documents: 1800, Bytes: 15 << 20, Groups: 437},
				{Split: corpus.Validation, Documents: 29, Bytes: 262595, Groups: 1, HeldOut: []string{"encoding/middle"}},
				{Split: corpus.Test, Documents: 41, Bytes: 629977, Groups: 2, HeldOut: []string{"go/held", "net/apart"}},
			}})))
			stage.Manifest.Extra = map[string]string{"go": "go1.26.0"}
		case "reward":
			v := reward.Measure([]reward.Scored{{Rewards: []float32{1, .2, -1}, Ranks: []int{1, 2, 3}}})
			check(artifact.WriteFile(stage.Path(reward.ValidationFile), asJSON(v)))
		case "evaluate":
			check(artifact.WriteFile(stage.Path(evaluationFile), asJSON(e)))
		}
		if list := metrics[s.name]; list != nil {
			m, err := train.OpenMetrics(stage.Path(train.MetricsName), -1)
			check(err)
			check(m.Write(1, list))
			check(m.Write(2, list))
			check(m.Close())
		}
		stage.Manifest.FLOPs, stage.Manifest.WallSeconds, stage.Manifest.Metrics = float64(i)*1e12, float64(10+i), numbers[s.name]
		_, err = stage.Finish()
		check(err)
	}
	resolved, err := recipe.Parse("recipes/godoc.yaml", []byte("seed: 7\n"), &c, recipe.Options{Set: []string{"ppo.beta=0.05"}, Derive: Derive})
	check(err)
	check(SaveRecipe(folder, c, resolved))
	return folder
}

// written builds the report of a run and returns its files.
func written(t *testing.T, folder string) (outcomes []report.Outcome, html, text string) {
	t.Helper()
	outcomes, err := WriteReport(folder)
	if err != nil {
		t.Fatal(err)
	}
	for name, into := range map[string]*string{report.HTMLFile: &html, report.MarkdownFile: &text} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		*into = string(data)
	}
	return outcomes, html, text
}

func TestTheReportTellsWhatARunDid(t *testing.T) {
	folder := runFolder(t, Defaults(), goodEvaluation())
	outcomes, html, text := written(t, folder)
	for _, o := range outcomes {
		if o.Status == report.Failed {
			t.Errorf("%s: %s is not met with %s", o.Name, o.Threshold, o.Measured)
		}
	}
	sum, err := artifact.HashInput(stagePath(folder, "ppo"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fact := range []string{
		"All 12 thresholds are met",
		"measurably enforces a written style", "does not show that a model of this size writes true documentation", "annotator is simulated",
		"go/held, net/apart", "encoding/middle", // held out
		"2,164,416", "go1.26.0", sum,
		"13,296 documented functions", "83.5 %",
		"best of 8 by the reward model", "distinct openings", "ended by itself",
		"recipes/godoc.yaml:1", "derived from budget 15m", "ppo.beta",
		"go run ./cmd/alma chat", "tensorboard --logdir", "rankings.file=rankings.jsonl",
		"Explained variance", "Entropy", "Clipped", "Calibration",
	} {
		for name, page := range map[string]string{report.HTMLFile: html, report.MarkdownFile: text} {
			// Both escape some characters, which no fact here depends on.
			plain := strings.NewReplacer("\\", "", "&#43;", "+").Replace(page)
			if !strings.Contains(plain, fact) {
				t.Errorf("%s does not say %q", name, fact)
			}
		}
	}
}

func TestTheReportLoadsNothingFromOutside(t *testing.T) {
	_, html, _ := written(t, runFolder(t, Defaults(), goodEvaluation()))
	if found := regexp.MustCompile(`(?i)<[^>]*(src|href|action)\s*=\s*["']?(https?:)?//[^>]*>|url\(\s*["']?(https?:)?//|@import`).FindString(html); found != "" {
		t.Errorf("the page refers to the outside: %s", found)
	}
	if strings.Contains(html, `<script src`) {
		t.Error("what a model wrote became a script")
	}
}

func TestOutcomesAreHeldAgainstTheirThresholds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Evaluation)
		failed string // the only outcome that is not met
	}{
		{"nothing changed", func(*Evaluation) {}, ""},
		{"few samples end", func(e *Evaluation) { e.Systems[sftHot].Ended = .75 }, "SFT answers that end by themselves"},
		{"blind reward model", func(e *Evaluation) { e.RewardAccuracy = .69 }, "Reward model against the rule without noise"},
		{"blind where it is easy", func(e *Evaluation) { e.RewardAccuracyWide = .84 }, "The same where the rule's gap is wide"},
		{"small gain", func(e *Evaluation) { e.Comparisons[0].Difference.Value = .09 }, "PPO over SFT, temperature 1"},
		{"gain within chance", func(e *Evaluation) { e.Comparisons[1].Difference.Low = -.001 }, "PPO over SFT, temperature 0.7"},
		{"few wins", func(e *Evaluation) { e.Comparisons[1].Wins.Rate.Value = .54 }, "Head-to-head wins of PPO, temperature 0.7"},
		{"far from SFT", func(e *Evaluation) { e.KL.Value = 6.1 }, "KL of PPO from SFT"},
		{"short when sharpened", func(e *Evaluation) { e.Systems[ppoCool].Words = 9.9 }, "Mean length of PPO's comments"},
		{"an item gave way when sharpened", func(e *Evaluation) { e.Systems[ppoCool].Items = items(.2, .1, .2, .019, .03, .09) }, "Largest fall of an item of the rule"},
		{"forgot its language", func(e *Evaluation) { e.BitsPerBytePPO = 2 }, "Rise of the bits per byte from SFT to PPO"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := goodEvaluation()
			tt.change(&e)
			r := &records{config: Defaults(), evaluation: e, manifests: map[string]*artifact.Manifest{"pretrain": {Metrics: artifact.Metrics{"validation/bits_per_byte": 1.9}}}}
			var failed []string
			for _, o := range r.outcomes() {
				if o.Status == report.Failed {
					failed = append(failed, o.Name)
				}
			}
			if got := strings.Join(failed, ", "); got != tt.failed {
				t.Errorf("not met: %q, want %q", got, tt.failed)
			}
		})
	}
}

func TestTheReportDoesNotClaimWhatARunDidNotShow(t *testing.T) {
	e := goodEvaluation()
	e.Comparisons[1].Difference.Low = -.01
	_, _, text := written(t, runFolder(t, Defaults(), e))
	if !strings.Contains(text, "This run does not show that reinforcement learning") || strings.Contains(text, "measurably enforces") {
		t.Error("the report claims a gain whose interval includes 0")
	}
}

func TestAUsersOwnRankingsAreNotCalledSimulated(t *testing.T) {
	c := Defaults()
	c.Rankings.File = "people.jsonl"
	folder := runFolder(t, c, goodEvaluation())
	_, _, text := written(t, folder)
	if !strings.Contains(text, "trained on the rankings in people.jsonl") || strings.Contains(text, "No person ranked anything here") {
		t.Error("the report does not say whose rankings were learned")
	}
}

func TestAReportOfAnUnfinishedRunNamesTheStage(t *testing.T) {
	for _, s := range stageTexts {
		folder := runFolder(t, Defaults(), goodEvaluation())
		if err := os.Remove(filepath.Join(folder, s.name, "artifact.json")); err != nil {
			t.Fatal(err)
		}
		_, err := WriteReport(folder)
		if !errors.Is(err, artifact.ErrNotFound) || !strings.Contains(err.Error(), stagePath(folder, s.name)) {
			t.Errorf("without %s: %v", s.name, err)
		}
	}
	folder := runFolder(t, Defaults(), goodEvaluation())
	if err := os.Remove(filepath.Join(folder, "evaluate", evaluationFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteReport(folder); !errors.Is(err, artifact.ErrCorrupt) || !strings.Contains(err.Error(), evaluationFile) {
		t.Errorf("without %s: %v", evaluationFile, err)
	}
	if _, err := WriteReport(t.TempDir()); artifact.ExitCode(err) != artifact.ErrNotFound.Code() || !strings.Contains(err.Error(), recipeFile) {
		t.Errorf("of an empty folder: %v", err)
	}
}
