package judge

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func rank(t *testing.T, c Config, in stage.Inputs) (string, *artifact.Manifest, error) {
	t.Helper()
	engine := cpu.New(cpu.Options{Threads: 1})
	defer engine.Close()
	out := filepath.Join(t.TempDir(), "rank")
	env := stage.Environment{Engine: engine, Log: &progress.Log{Progress: progress.NewTo(progress.Options{Out: &strings.Builder{}})}}
	m, err := (&stage.Job{Name: "rank", Stage: Stage, Config: &c, In: in, Out: out}).Run(t.Context(), env)
	return out, m, err
}

func rankings(t *testing.T, out, file string) []dataset.Ranking {
	t.Helper()
	list, err := dataset.ReadRankings(filepath.Join(out, file), dataset.Reading{BadRows: dataset.Stop})
	if err != nil {
		t.Fatal(err)
	}
	return list.Rows
}

const answers = `{"prompt":"A?","completions":["one two","one two three","a b c","one"],"ended":[true,true,true,true]}
{"prompt":"B?","completions":["","one two three","one two three"],"ended":[true,true,false]}
{"prompt":"C?","completions":["one two three four",""],"ended":[true,true]}
{"prompt":"D?","prefill":"one two","completions":[""," three"," 3 4 5"],"ended":[true,true,true]}
`

func TestTheNearerToTheAskedLengthTheBetterAndEqualScoresTie(t *testing.T) {
	c := Defaults()
	c.Words = 3
	out, m, err := rank(t, c, stage.Inputs{"answers": {write(t, "a.jsonl", answers)}, "validation": {write(t, "v.jsonl", `{"prompt":"V?","completions":["a b c","a"]}`)}})
	if err != nil {
		t.Fatal(err)
	}
	got := rankings(t, out, RankingsFile)
	for i, want := range [][]int{{3, 1, 1, 4}, {1, 1}, {2, 1, 3}} {
		if !slices.Equal(got[i].Ranks, want) {
			t.Errorf("ranks of %s are %v, want %v", got[i].Prompt.Text(), got[i].Ranks, want)
		}
		if got[i].Annotator != "rule: length near 3 words" {
			t.Errorf("%s was ranked by %q", got[i].Prompt.Text(), got[i].Annotator)
		}
	}
	if !slices.Equal(got[1].Ended, []bool{true, false}) {
		t.Errorf("the ends of B? are %v", got[1].Ended)
	}
	if v := rankings(t, out, ValidationFile); len(v) != 1 || !slices.Equal(v[0].Ranks, []int{1, 2}) {
		t.Errorf("validation: %+v", v)
	}
	// 0, 1 and 2 words off: A −1 0 0 −2, B 0 0 (one number for one text), D −1 0 −2.
	for name, want := range map[string]float64{"prompts": 3, "answers": 9, "score": -6. / 9, "tied": 1, "alone": 1, "empty": 2, "unjudged": 0, "agreement": 1, "validation/prompts": 1} {
		if math.Abs(m.Metrics[name]-want) > 1e-12 {
			t.Errorf("%s is %v, want %v", name, m.Metrics[name], want)
		}
	}
	if len(m.Notes) == 0 || !strings.Contains(m.Notes[0], "not people's") {
		t.Errorf("notes %q", m.Notes)
	}
}

func TestNoiseKeepsTheOrderAsOftenAsItSays(t *testing.T) {
	const n = 4000
	in := stage.Inputs{"answers": {write(t, "a.jsonl", strings.Repeat(`{"prompt":"A?","completions":["a b c","a b"]}`+"\n", n))}}
	c := Defaults()
	c.Words, c.Noise = 3, .5
	out, m, err := rank(t, c, in)
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, r := range rankings(t, out, RankingsFile) {
		if r.Ranks[0] < r.Ranks[1] {
			kept++
		}
		if r.Annotator != "rule: length near 3 words, noise 0.5" {
			t.Fatalf("ranked by %q", r.Annotator)
		}
	}
	share := float64(kept) / n
	// σ(1/.5) = .8808; four standard deviations of 4,000 draws are .0205.
	if math.Abs(share-.8808) > .0205 || m.Metrics["agreement"] != share {
		t.Errorf("%v of the pairs keep their order (recorded: %v), want .8808", share, m.Metrics["agreement"])
	}
	again, _, err := rank(t, c, in)
	if err != nil {
		t.Fatal(err)
	}
	c.Seed = 1
	other, _, err := rank(t, c, in)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(out string) string {
		_, sum, err := artifact.HashFile(filepath.Join(out, RankingsFile))
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	if sum(out) != sum(again) || sum(out) == sum(other) {
		t.Error("the noise is not a function of the seed")
	}
}

func TestAProgramJudges(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to write a program with")
	}
	script := write(t, "judge.sh", `while read line; do case $line in *three*) echo 1;; *) echo -1.5;; esac; done`)
	c := Defaults()
	c.By, c.Command = ByCommand, "sh '"+script+"'"
	out, _, err := rank(t, c, stage.Inputs{"answers": {write(t, "a.jsonl", answers)}})
	if err != nil {
		t.Fatal(err)
	}
	got := rankings(t, out, RankingsFile)
	if !slices.Equal(got[0].Ranks, []int{2, 1, 2, 2}) || got[0].Annotator != "rule: program" {
		t.Errorf("ranks %v by %q", got[0].Ranks, got[0].Annotator)
	}
}

// rewardModel makes a reward model of random weights.
func rewardModel(t *testing.T) string {
	t.Helper()
	texts := func(yield func(string, error) bool) { yield("one two three four one two three four", nil) }
	tok, _, err := tokenizer.Train(t.Context(), texts, tokenizer.Options{VocabSize: 262})
	if err != nil {
		t.Fatal(err)
	}
	engine := cpu.New(cpu.Options{Threads: 1})
	defer engine.Close()
	m, err := model.New(engine, model.Config{
		Family: model.Llama, Head: model.Scalar, Vocabulary: 262, Context: 64, Width: 24, Layers: 1, Heads: 2, KVHeads: 2, HeadDim: 12,
		FeedForward: 32, Epsilon: 1e-5, RoPETheta: 10000, InitRange: .3, BOS: -1, EOS: -1, Pad: -1,
	}, 1)
	folder := filepath.Join(t.TempDir(), "reward")
	if err == nil {
		err = artifact.MakeFolder(folder)
	}
	if err == nil {
		err = train.SaveModel(folder, "", m, tok, 1, chat.Ends(tok, nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestARewardModelJudgesWhatFitsIntoItsContext(t *testing.T) {
	c := Defaults()
	c.By = ByReward
	long := `{"prompt":"L?","completions":["` + strings.Repeat("one ", 40) + `","one two","two"]}` + "\n"
	out, m, err := rank(t, c, stage.Inputs{"answers": {write(t, "a.jsonl", answers+long)}, "reward": {rewardModel(t)}})
	if err != nil {
		t.Fatal(err)
	}
	got := rankings(t, out, RankingsFile)
	last := got[len(got)-1]
	if len(last.Completions) != 2 || m.Metrics["unjudged"] != 1 || last.Annotator != "rule: reward model" {
		t.Errorf("%+v, and %v answers not judged", last, m.Metrics["unjudged"])
	}
	if slices.Equal(got[0].Ranks, []int{1, 1, 1, 1}) {
		t.Error("the reward model finds all answers equal")
	}
}

func TestRulesWithoutWhatTheyJudgeByAreRefused(t *testing.T) {
	file := write(t, "a.jsonl", answers)
	for _, tt := range []struct {
		c    Config
		in   stage.Inputs
		says string
	}{
		{Config{By: ByReward}, stage.Inputs{"answers": {file}}, "by is reward"},
		{Config{By: ByLength, Words: 3}, stage.Inputs{"answers": {file}, "reward": {t.TempDir()}}, "by is length"},
		{Config{By: ByCommand}, stage.Inputs{"answers": {file}}, "by is command"},
		{Config{By: ByLength, Words: 3}, stage.Inputs{"answers": {write(t, "b.jsonl", `{"prompt":"A?","completions":["a","b"]}`)}}, "all tie"},
	} {
		if _, _, err := rank(t, tt.c, tt.in); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v, want exit code 4 and %q", tt.c, err, tt.says)
		}
	}
}
