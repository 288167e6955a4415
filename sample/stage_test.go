package sample

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// room is a model of random weights and a file of prompts.
type room struct {
	engine compute.Engine
	in     stage.Inputs
	said   strings.Builder
}

const contextLength = 48

func newRoom(t *testing.T) *room {
	t.Helper()
	texts := func(yield func(string, error) bool) { yield(strings.Repeat("user assistant name a colour ", 6), nil) }
	tok, _, err := tokenizer.Train(t.Context(), texts, tokenizer.Options{VocabSize: 270})
	if err != nil {
		t.Fatal(err)
	}
	engine := cpu.New(cpu.Options{Threads: 2})
	t.Cleanup(func() { engine.Close() })
	r := &room{engine: engine}
	m, err := model.New(r.engine, model.Config{
		Family: model.Llama, Head: model.LanguageModel, Vocabulary: 270, Context: contextLength, Width: 24, Layers: 1, Heads: 2, KVHeads: 2, HeadDim: 12,
		FeedForward: 32, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .1, BOS: -1, EOS: -1, Pad: -1,
	}, 1)
	folder := filepath.Join(t.TempDir(), "model")
	if err == nil {
		err = artifact.MakeFolder(folder)
	}
	if err == nil {
		err = train.SaveModel(folder, "", m, tok, 1, chat.Ends(tok, nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for i := range 9 {
		fmt.Fprintf(&lines, `{"prompt":"colour %d"}`+"\n", i)
	}
	lines.WriteString(`{"prompt":"colour 3"}` + "\n") // there twice
	lines.WriteString(`{"messages":[{"role":"user","content":"name"},{"role":"assistant","content":"a colour","prefill":"a"}]}` + "\n")
	lines.WriteString(`{"prompt":"` + strings.Repeat("name a colour ", 20) + `"}` + "\n") // no room
	prompts := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(prompts, []byte(lines.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	r.in = stage.Inputs{"model": {folder}, "prompts": {prompts}}
	return r
}

func (r *room) run(t *testing.T, c Config) (string, *artifact.Manifest, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "answers")
	env := stage.Environment{Engine: r.engine, Log: &progress.Log{Progress: progress.NewTo(progress.Options{Out: &r.said})}}
	m, err := (&stage.Job{Name: "answers", Stage: Stage, Config: &c, In: r.in, Out: out}).Run(t.Context(), env)
	return out, m, err
}

func small() Config {
	c := Defaults()
	c.K, c.MaxTokens, c.Slots, c.Seed = 3, 8, 4, 7
	return c
}

func read(t *testing.T, path string) (string, []dataset.Answers) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := dataset.ReadAnswers(path, dataset.Reading{BadRows: dataset.Stop})
	if err != nil {
		t.Fatal(err)
	}
	return string(text), list.Rows
}

func TestEveryPromptWithRoomIsAnsweredOnce(t *testing.T) {
	out, m, err := newRoom(t).run(t, small())
	if err != nil {
		t.Fatal(err)
	}
	_, list := read(t, filepath.Join(out, AnswersFile))
	var asked []string
	ended, n := 0., 0.
	for _, a := range list {
		asked = append(asked, a.Prompt.Text()+a.Prompt.Prefill)
		if len(a.Completions) != 3 {
			t.Errorf("%q has %d answers", a.Prompt.Text(), len(a.Completions))
		}
		for k := range a.Completions {
			n++
			if a.Ended[k] {
				ended++
			}
		}
	}
	want := []string{"colour 0", "colour 1", "colour 2", "colour 3", "colour 4", "colour 5", "colour 6", "colour 7", "colour 8", "namea"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	for name, want := range map[string]float64{"prompts": 10, "repeated": 1, "no_room": 1, "answers": 30, "ended": ended / n, "validation": 0} {
		if got := m.Metrics[name]; math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(out, ValidationFile)); err == nil {
		t.Error("there are held-out answers, and none were asked for")
	}
}

func TestSlotsAndCompanyChangeNoAnswer(t *testing.T) {
	r := newRoom(t)
	out, _, err := r.run(t, small())
	if err != nil {
		t.Fatal(err)
	}
	text, all := read(t, filepath.Join(out, AnswersFile))
	c := small()
	c.Slots = 1
	if out, _, err = r.run(t, c); err != nil {
		t.Fatal(err)
	}
	if other, _ := read(t, filepath.Join(out, AnswersFile)); other != text {
		t.Errorf("one slot wrote\n%sfour wrote\n%s", other, text)
	}
	// Fewer prompts: the same answers to each.
	c.Prompts, c.Validation = 4, 3
	if out, _, err = r.run(t, c); err != nil {
		t.Fatal(err)
	}
	_, some := read(t, filepath.Join(out, AnswersFile))
	_, held := read(t, filepath.Join(out, ValidationFile))
	if len(some) != 4 || len(held) != 3 {
		t.Fatalf("%d answered and %d held out, want 4 and 3", len(some), len(held))
	}
	by := map[string][]string{}
	for _, a := range all {
		by[a.Prompt.Text()] = a.Completions
	}
	seen := map[string]bool{}
	for _, a := range append(some, held...) {
		if !slices.Equal(a.Completions, by[a.Prompt.Text()]) || seen[a.Prompt.Text()] {
			t.Errorf("%q: %q (asked before: %v), want %q", a.Prompt.Text(), a.Completions, seen[a.Prompt.Text()], by[a.Prompt.Text()])
		}
		seen[a.Prompt.Text()] = true
	}
	c.Prompts = 2
	if out, _, err = r.run(t, c); err != nil {
		t.Fatal(err)
	}
	if _, again := read(t, filepath.Join(out, ValidationFile)); again[0].Prompt.Text() != held[0].Prompt.Text() {
		t.Error("fewer prompts hold other ones out")
	}
}

func TestWithoutRoomForAnAnswerTheRemedyIsNamed(t *testing.T) {
	r := newRoom(t)
	c := small()
	c.MaxTokens = contextLength
	if _, _, err := r.run(t, c); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "none of 11 prompts leaves room for 48 tokens") {
		t.Errorf("%v, want exit code 4 and what leaves no room", err)
	}
	c = small()
	c.Validation = 10
	if _, _, err := r.run(t, c); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "holds out 10 of 10") {
		t.Errorf("%v, want exit code 4 and the number of prompts", err)
	}
}

func TestTheReportShowsAnswers(t *testing.T) {
	r := newRoom(t)
	out, m, err := r.run(t, small())
	if err != nil {
		t.Fatal(err)
	}
	c := small()
	d, err := Stage.Describe(stage.Done{Folder: out, Manifest: m, In: r.in}, &c)
	if err != nil || len(d.Tables) != 1 || len(d.Tables[0].Rows) != 5 || len(d.Tables[0].Columns) != 4 {
		t.Errorf("%+v (%v), want a table of 5 prompts with 3 answers each", d, err)
	}
	if outputs := Stage.Outputs(&c); len(outputs) != 1 || outputs[0].Kind != stage.Answers {
		t.Errorf("outputs %+v", outputs)
	}
}

// Qwen's models have more rows than their tokenizer has tokens: what is sampled must
// be text all the same.
func TestAModelWithMoreRowsThanTokensAnswers(t *testing.T) {
	r := newRoom(t)
	folder := r.in.Path("model")
	whole, tok, err := train.LoadModel(r.engine, folder)
	if err != nil {
		t.Fatal(err)
	}
	c := whole.Config
	c.Vocabulary, c.InitRange = 900, 1 // most rows stand for no token
	m, err := model.New(r.engine, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := train.SaveModel(folder, "", m, tok, 1, chat.Ends(tok, nil)); err != nil {
		t.Fatal(err)
	}
	config := small()
	config.K, config.MaxTokens = 2, 12
	out, manifest, err := r.run(t, config)
	if err != nil {
		t.Fatal(err)
	}
	_, list := read(t, filepath.Join(out, AnswersFile))
	for _, a := range list {
		for _, text := range a.Completions {
			if text == "" {
				t.Errorf("an answer of 12 tokens has no text: %+v", a)
			}
		}
	}
	if manifest.Metrics["answers"] == 0 {
		t.Error("no answers")
	}
}
