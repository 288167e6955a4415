package evaluate

import (
	"bytes"
	"encoding/json"
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

// range of models whose probabilities are known: every token has the same
// embedding and the blocks add nothing, so that the logits are the head's first
// column, whatever stands before.
type lab struct {
	t      *testing.T
	engine *cpu.Engine
	tok    *tokenizer.Tokenizer
	ends   []int32
}

const (
	labVocabulary = 269
	labContext    = 96
	labWidth      = 8
)

func newLab(t *testing.T) *lab {
	t.Helper()
	texts := func(yield func(string, error) bool) {
		yield(strings.Repeat(" one", 20)+strings.Repeat(" two three four", 4), nil)
	}
	tok, _, err := tokenizer.Train(t.Context(), texts, tokenizer.Options{VocabSize: labVocabulary})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, engine: cpu.New(cpu.Options{Threads: 2}), tok: tok, ends: chat.Ends(tok, nil)}
	t.Cleanup(func() { l.engine.Close() })
	if len(l.ends) != 2 {
		t.Fatalf("%d tokens end a text, and the tests reckon with 2", len(l.ends))
	}
	return l
}

// save writes a model whose parameters are set by name; others are 0, norms stay.
func (l *lab) save(name string, head model.Head, set func(parameter string, values []float32)) string {
	l.t.Helper()
	m, err := model.New(l.engine, model.Config{
		Family: model.Llama, Head: head, Vocabulary: labVocabulary, Context: labContext, Width: labWidth, Layers: 1, Heads: 2, KVHeads: 2, HeadDim: 4,
		FeedForward: 8, Epsilon: 1e-12, RoPETheta: 10000, InitRange: .3, BOS: -1, EOS: -1, Pad: -1,
	}, 1)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, p := range m.Parameters() {
		values := make([]float32, compute.Shape(p.Shape).Size())
		if err := m.Store.Read(p.Name, values); err != nil {
			l.t.Fatal(err)
		}
		if set != nil {
			if !strings.Contains(p.Name, "norm") {
				clear(values)
			}
			set(p.Name, values)
		}
		if err := m.Store.Write(p.Name, values); err != nil {
			l.t.Fatal(err)
		}
	}
	folder := filepath.Join(l.t.TempDir(), name)
	if err := artifact.MakeFolder(folder); err != nil {
		l.t.Fatal(err)
	}
	if err := train.SaveModel(folder, "", m, l.tok, 1, l.ends); err != nil {
		l.t.Fatal(err)
	}
	return folder
}

// unigram writes a model that gives each token a logit, in every place.
func (l *lab) unigram(name string, logit func(id int32) float64) string {
	return l.save(name, model.LanguageModel, func(parameter string, values []float32) {
		switch {
		case strings.Contains(parameter, "embed_tokens"):
			for i := range values {
				values[i] = 1
			}
		case parameter == "lm_head.weight":
			for id := range int32(labVocabulary) {
				values[int(id)*labWidth] = float32(logit(id))
			}
		}
	})
}

// ending writes a model that ends with probability q at every token, and gives all
// others the same.
func (l *lab) ending(name string, q float64) string {
	odds := math.Log(q / 2 / ((1 - q) / (labVocabulary - 2)))
	return l.unigram(name, func(id int32) float64 {
		if slices.Contains(l.ends, id) {
			return odds
		}
		return 0
	})
}

func (l *lab) file(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func (l *lab) prompts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"prompt":"count %d"}`+"\n", i)
	}
	return l.file("prompts.jsonl", b.String())
}

func (l *lab) env() stage.Environment {
	return stage.Environment{Engine: l.engine, Log: &progress.Log{Progress: progress.NewTo(progress.Options{Out: &strings.Builder{}})}}
}

func (l *lab) measure(c Config, in stage.Inputs) Evaluation {
	l.t.Helper()
	e, _, err := Models(l.t.Context(), l.env(), c, in)
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

func (l *lab) near(what string, got, want, tolerance float64) {
	l.t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		l.t.Errorf("%s is %v, want %v ± %v", what, got, want, tolerance)
	}
}

func TestBitsPerByteAreThoseOfKnownProbabilities(t *testing.T) {
	l := newLab(t)
	uniform := l.unigram("uniform", func(int32) float64 { return 0 })
	skewed := l.unigram("skewed", func(id int32) float64 {
		if id == l.tok.Encode("one")[0] {
			return 2
		}
		return 0
	})
	text := strings.Repeat("one two three four ", 20)
	ids := l.tok.Encode(text)
	total := math.Log(labVocabulary - 1 + math.Exp(2)) // of the skewed model's e^logits
	nats := 0.
	for _, id := range ids[1:] {
		nats += total
		if id == l.tok.Encode("one")[0] {
			nats -= 2
		}
	}
	bytes := float64(len(text) - len(l.tok.TokenBytes(ids[0])))
	in := stage.Inputs{"models": {uniform, skewed}, "text": {l.file("text.txt", text)}}
	for _, stride := range []int{1, 5, 16} {
		c := Defaults()
		c.Context, c.Stride = 16, stride
		e := l.measure(c, in)
		a, b := e.Models[0].Text, e.Models[1].Text
		if n := int64(len(ids) - 1); a.Tokens != n || b.Tokens != n {
			t.Fatalf("stride %d scores %d and %d of %d tokens", stride, a.Tokens, b.Tokens, n)
		}
		l.near("perplexity of the uniform model", a.Perplexity.Value, labVocabulary, .01)
		l.near("loss of the uniform model", a.Loss.Value, math.Log(labVocabulary), 1e-5)
		l.near("bits per byte", b.BitsPerByte.Value, nats/math.Ln2/bytes, 1e-5)
		if !(b.BitsPerByte.Low <= b.BitsPerByte.Value && b.BitsPerByte.Value <= b.BitsPerByte.High && b.BitsPerByte.High < 2*b.BitsPerByte.Value) {
			t.Errorf("interval %v", b.BitsPerByte)
		}
		l.near("the metric", e.Metrics()["skewed/bits_per_byte"], b.BitsPerByte.Value, 0)
	}
}

func TestStridesScoreEveryTokenOnceWithWhatStandsBefore(t *testing.T) {
	for _, tt := range []struct {
		n, context, stride int
		want               []window
	}{
		{8, 4, 2, []window{{0, 1, 3}, {0, 3, 5}, {2, 5, 7}, {3, 7, 8}}},
		{5, 4, 4, []window{{0, 1, 5}}},
		{9, 4, 4, []window{{0, 1, 5}, {4, 5, 9}}},
		{3, 4, 1, []window{{0, 1, 2}, {0, 2, 3}}},
		{1, 4, 2, nil},
	} {
		if got := strides(tt.n, tt.context, tt.stride); !slices.Equal(got, tt.want) {
			t.Errorf("%d tokens in windows of %d by %d: %v, want %v", tt.n, tt.context, tt.stride, got, tt.want)
		}
	}
	if got, want := halves(13, 6), []window{{0, 4, 6}, {6, 10, 12}}; !slices.Equal(got, want) {
		t.Errorf("halves %v, want %v", got, want)
	}
}

// Each token's loss with stride 1 is that of the last token of its window alone.
func TestAWindowSeesJustTheTokensBefore(t *testing.T) {
	l := newLab(t)
	folder := l.save("random", model.LanguageModel, nil)
	m, tok, err := train.LoadModel(l.engine, folder)
	if err != nil {
		t.Fatal(err)
	}
	const context = 8
	ids := tok.Encode("one four two three two two one three four one")
	scores, _, err := scoreWindows(t.Context(), m, ids, strides(len(ids), context, 1), context, -1, tok.ByteLengths(), nil)
	if err != nil {
		t.Fatal(err)
	}
	lm, err := train.NewEvaluation(m, 1, context+1)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(ids); i++ {
		seen := ids[max(0, i-context) : i+1]
		e := dataset.Example{Tokens: seen, Trained: make([]bool, len(seen))}
		e.Trained[len(seen)-1] = true
		alone, err := train.LogProbs(t.Context(), lm, []dataset.Example{e})
		if err != nil {
			t.Fatal(err)
		}
		l.near(fmt.Sprintf("loss of token %d", i), scores[i-1].nats, -alone[0], 1e-5)
	}
}

func TestKLLengthAndEndsAreThoseOfKnownProbabilities(t *testing.T) {
	l := newLab(t)
	const q0, q, most = .1, .3, 12
	c := Defaults()
	c.MaxTokens, c.Prompts, c.Temperatures = most, 0, []float64{1}
	e := l.measure(c, stage.Inputs{"models": {l.ending("seldom", q0), l.ending("often", q)}, "prompts": {l.prompts(400)}})
	if e.Prompts != 400 {
		t.Fatalf("%d prompts", e.Prompts)
	}
	for i, p := range []float64{q0, q} {
		a := e.Models[i].Answers[0]
		n := (1 - math.Pow(1-p, most)) / p // tokens, of a geometric distribution that is cut
		l.near("tokens", a.Tokens.Value, n, 4*n/20)
		l.near("share that ends", a.Ended.Value, 1-math.Pow(1-p, most), .1)
	}
	if e.Models[0].KL != nil {
		t.Error("the first model has a KL from itself")
	}
	// log π/π₀ of a token is one number where it ends and another where it goes on.
	a, kl := e.Models[1].Answers[0], e.Models[1].KL
	want := (a.Tokens.Value-a.Ended.Value)*math.Log((1-q)/(1-q0)) + a.Ended.Value*math.Log(q/q0)
	l.near("KL", kl.Value, want, 1e-4)
	if !(kl.Low < want && want < kl.High) || e.Metrics()["often/kl"] != kl.Value || e.Metrics()["often/kl/low"] != kl.Low {
		t.Errorf("KL %v and metrics %v", kl, e.Metrics())
	}
}

// At temperature 0 one model ends at once and the other repeats a word.
func TestWinsAreCountedByTheRule(t *testing.T) {
	l := newLab(t)
	talker := l.unigram("talker", func(id int32) float64 {
		if id == l.tok.Encode(" one")[0] {
			return 5
		}
		return 0
	})
	if n := len(l.tok.Encode(" one")); n != 1 {
		t.Fatalf("the tests' word has %d tokens", n)
	}
	silent := l.unigram("silent", func(id int32) float64 {
		if id == l.ends[0] {
			return 5
		}
		return 0
	})
	dialogues := l.file("dialogues.jsonl", `{"messages":[{"role":"user","content":"count"},{"role":"assistant","content":"one two three"}]}
{"messages":[{"role":"user","content":"count more"},{"role":"assistant","content":"one two"}]}
{"prompt":"and more"}
`)
	c := Defaults()
	c.Temperatures, c.MaxTokens, c.Rule, c.Words = []float64{0}, 8, ByLength, 3
	e := l.measure(c, stage.Inputs{"models": {talker, silent}, "prompts": {dialogues}})
	a, b := e.Models[0].Answers[0], e.Models[1].Answers[0]
	if a.Words.Value != 8 || a.Ended.Value != 0 || a.Tokens.Value != 8 || b.Words.Value != 0 || b.Ended.Value != 1 || b.Tokens.Value != 1 {
		t.Errorf("the talker %+v, the silent one %+v", a, b)
	}
	// 5 words off; 3 words off; people 0 and 1.
	if a.Judged[byRule].Score.Value != -5 || b.Judged[byRule].Score.Value != -3 || e.People.Judged[byRule].Score.Value != -.5 {
		t.Errorf("scores %v, %v and %v", a.Judged[byRule].Score, b.Judged[byRule].Score, e.People.Judged[byRule].Score)
	}
	first, people := b.Judged[byRule].First, b.Judged[byRule].People
	if first.Wins.Wins != 3 || first.Wins.Rate.Value != 1 || first.Difference.Value != 2 {
		t.Errorf("against the first %+v", first)
	}
	if people.Wins.Losses != 2 || people.Wins.Wins != 0 || people.Difference.Value != -2.5 {
		t.Errorf("against people %+v", people)
	}
	m := e.Metrics()
	for name, want := range map[string]float64{
		"silent/rule_win_rate": 1, "silent/rule_gain": 2, "silent/rule_win_rate_people": 0, "talker/rule": -5, "people/words": 2.5, "talker/openings": 1. / 3, "prompts": 3,
	} {
		l.near(name, m[name], want, 1e-12)
	}
	if len(e.Samples) != 3 || e.Samples[0].Reference != "one two three" || e.Samples[2].Reference != "" || e.Samples[1].Answers[0].Text != strings.Repeat(" one", 8) {
		t.Errorf("samples %+v", e.Samples)
	}
}

func TestPeoplesAnswersMayStandInAFileOfTheirOwn(t *testing.T) {
	l := newLab(t)
	c := Defaults()
	c.Temperatures, c.MaxTokens, c.Rule, c.Words = []float64{0}, 8, ByLength, 3
	in := stage.Inputs{
		"models": {l.ending("a", .3)}, "prompts": {l.prompts(3)},
		"answers": {l.file("people.jsonl", `{"messages":[{"role":"user","content":"count 1"},{"role":"assistant","content":"one two three four"}]}
{"messages":[{"role":"user","content":"another"},{"role":"assistant","content":"one"}]}
`)},
	}
	e := l.measure(c, in)
	if e.People == nil || e.People.Prompts != 1 || e.People.Words.Value != 4 || e.Models[0].Answers[0].Judged[byRule].People.Wins.Rate.N != 1 {
		t.Errorf("people %+v", e.People)
	}
	if !strings.Contains(strings.Join(e.Notes, "\n"), "People answered 1 of the 3 prompts") {
		t.Errorf("notes %q", e.Notes)
	}
}

func TestModelsOfOtherVocabulariesHaveNoKLAndNoShards(t *testing.T) {
	l := newLab(t)
	other := newLab(t)
	texts := func(yield func(string, error) bool) { yield(strings.Repeat(" zwei drei vier", 20), nil) }
	var err error
	if other.tok, _, err = tokenizer.Train(t.Context(), texts, tokenizer.Options{VocabSize: labVocabulary}); err != nil {
		t.Fatal(err)
	}
	c := Defaults()
	c.MaxTokens = 6
	in := stage.Inputs{"models": {l.ending("a", .3), other.ending("b", .3)}, "prompts": {l.prompts(5)}}
	e := l.measure(c, in)
	if e.Models[1].KL != nil || !strings.Contains(strings.Join(e.Notes, "\n"), "b has another vocabulary than a") {
		t.Errorf("KL %v, notes %q", e.Models[1].KL, e.Notes)
	}
	folder := filepath.Join(t.TempDir(), "shards")
	w, err := dataset.NewShardWriter(folder, dataset.ShardOptions{VocabSize: labVocabulary - 1, EndToken: 0})
	if err == nil {
		err = w.Append(make([]int32, 40))
	}
	if err == nil {
		_, err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	e = l.measure(c, stage.Inputs{"models": {l.ending("a", .3)}, "text": {folder}})
	if e.Models[0].Text != nil || !strings.Contains(strings.Join(e.Notes, "\n"), "made with another vocabulary") {
		t.Errorf("text %v, notes %q", e.Models[0].Text, e.Notes)
	}
}

// The reward of a text is √D where its last token ends it, and −√D elsewhere.
func (l *lab) rewardOfEnding() string {
	return l.save("reward", model.Scalar, func(parameter string, values []float32) {
		switch {
		case strings.Contains(parameter, "embed_tokens"):
			for id := range int32(labVocabulary) {
				values[int(id)*labWidth] = -1
				if slices.Contains(l.ends, id) {
					values[int(id)*labWidth] = 1
				}
			}
		case parameter == model.ScoreWeight:
			values[0] = 1
		}
	})
}

func TestTheRewardModelJudgesAnswersAndRankings(t *testing.T) {
	l := newLab(t)
	c := Defaults()
	c.MaxTokens, c.Temperatures, c.Prompts = 6, []float64{1, .5}, 60
	in := stage.Inputs{
		"models": {l.ending("seldom", .05), l.ending("often", .4)}, "prompts": {l.prompts(80)}, "reward": {l.rewardOfEnding()},
		"rankings": {l.file("rankings.jsonl", `{"prompt":"a","completions":["one","one two"],"ranks":[1,2],"ended":[true,false]}
{"prompt":"b","completions":["one two three","one"],"ranks":[1,2],"ended":[false,true]}
{"prompt":"c","completions":["one","two"],"ranks":[1,2]}
{"prompt":"d","completions":["one","two"],"ranks":[1,1]}
`)},
	}
	e := l.measure(c, in)
	root := math.Sqrt(labWidth)
	for _, m := range e.Models {
		for _, a := range m.Answers {
			l.near(m.Name+"'s reward", a.Judged[byReward].Score.Value, root*(2*a.Ended.Value-1), 1e-5)
		}
	}
	// Right, wrong, and a tie of rewards; the tie of ranks is no pair.
	if r := e.RewardRankings; r.Pairs != 3 || r.Accuracy.Value != .5 || e.Metrics()["reward_model/rankings"] != .5 {
		t.Errorf("the reward model on rankings: %+v", r)
	}
	first := e.Models[1].Answers[1].Judged[byReward].First
	gain := root * 2 * (e.Models[1].Answers[1].Ended.Value - e.Models[0].Answers[1].Ended.Value)
	l.near("gain at the second temperature", e.Metrics()["often/reward_gain_t0.5"], gain, 1e-5)
	n := first.Wins.Wins + first.Wins.Losses + first.Wins.Ties
	l.near("gain by wins", gain, 2*root*float64(first.Wins.Wins-first.Wins.Losses)/float64(n), 1e-5)
	if e.Prompts != 60 || n != 60 {
		t.Errorf("%d prompts, %d compared", e.Prompts, n)
	}
	// Of texts that are as likely by the token the shorter one is likelier: right in
	// the first ranking, wrong in the second.
	right := 1.
	switch one, two := len(l.tok.Encode("one")), len(l.tok.Encode("two")); {
	case one < two:
		right++
	case one == two:
		right += .5
	}
	for i, m := range e.Models {
		if m.Rankings.Pairs != 3 || (m.Rankings.Implicit == nil) != (i == 0) {
			t.Errorf("%s on rankings: %+v", m.Name, m.Rankings)
		}
		l.near(m.Name+" on rankings", m.Rankings.Accuracy.Value, right/3, 1e-12)
	}
}

func TestNothingDependsOnSlotsAndEverythingOnTheSeed(t *testing.T) {
	l := newLab(t)
	in := stage.Inputs{"models": {l.save("a", model.LanguageModel, nil), l.ending("b", .2)}, "prompts": {l.prompts(20)}, "text": {l.file("t.txt", strings.Repeat("one two ", 40))}}
	bits := func(slots int, seed uint64) []byte {
		c := Defaults()
		c.MaxTokens, c.Slots, c.Seed, c.Prompts, c.Rule = 6, slots, seed, 12, ByLength
		out := filepath.Join(t.TempDir(), "evaluation")
		if _, err := (&stage.Job{Name: "evaluate", Stage: Stage, Config: &c, In: in, Out: out}).Run(t.Context(), l.env()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(out, EvaluationFile))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	one := bits(1, 3)
	if !bytes.Equal(one, bits(7, 3)) {
		t.Error("seven slots give another evaluation than one")
	}
	if bytes.Equal(one, bits(1, 4)) {
		t.Error("another seed gives the same evaluation")
	}
}

func TestOneModelAndATextAreEnoughAndTheReportSaysWhatIsMissing(t *testing.T) {
	l := newLab(t)
	c := Defaults()
	c.Perplexity, c.Context = Halves, 16
	text := strings.Repeat("one two three four ", 30)
	in := stage.Inputs{"models": {l.save("random", model.LanguageModel, nil)}, "text": {l.file("text.txt", text)}}
	out := filepath.Join(t.TempDir(), "evaluation")
	m, err := (&stage.Job{Name: "evaluate", Stage: Stage, Config: &c, In: in, Out: out}).Run(t.Context(), l.env())
	if err != nil {
		t.Fatal(err)
	}
	if m.Metrics["random/bits_per_byte"] <= 0 || m.Metrics["prompts"] != 0 {
		t.Errorf("metrics %v", m.Metrics)
	}
	d, err := Stage.Describe(stage.Done{Folder: out, Manifest: m, In: in}, &c)
	if err != nil || len(d.Tables) != 1 || d.Tables[0].Title != "On the text" || !strings.Contains(d.Tables[0].Note, "llama.cpp") {
		t.Errorf("%+v (%v)", d, err)
	}
	notes := strings.Join(d.Notes, "\n")
	for _, want := range []string{"Without prompts", "Without rankings"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes %q, want %q", notes, want)
		}
	}
	// It is the same measurement as eval perplexity's.
	lm, tok, err := train.LoadModel(l.engine, in.Path("models"))
	if err != nil {
		t.Fatal(err)
	}
	tokens, _, err := ReadText(t.Context(), tok, in.Path("text"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := MeasurePerplexity(t.Context(), lm, tokens, 16, -1, tok.ByteLengths(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l.near("perplexity", m.Metrics["random/perplexity"], p.Perplexity, 1e-9)
}

func TestAllTablesAreWellFormedAndReadBack(t *testing.T) {
	l := newLab(t)
	c := Defaults()
	c.MaxTokens, c.Rule = 6, ByLength
	e := l.measure(c, stage.Inputs{
		"models": {l.ending("same/model", .2), l.ending("other/model", .4)}, "prompts": {l.file("p.jsonl", `{"messages":[{"role":"user","content":"count"},{"role":"assistant","content":"one"}]}`)},
		"text": {l.file("t.txt", strings.Repeat("one two ", 40))}, "reward": {l.rewardOfEnding()}, "rankings": {l.file("r.jsonl", `{"prompt":"a","chosen":"one","rejected":"two"}`)},
	})
	if e.Models[0].Name != "model" || e.Models[1].Name != "model-2" {
		t.Errorf("names %q and %q", e.Models[0].Name, e.Models[1].Name)
	}
	if shown := e.Shown(); len(shown.Pairs) != 1 || len(shown.Pairs[0].Answers) != 2*len(c.Temperatures) || shown.Pairs[0].Answers[0].Unscored || shown.Pairs[0].Reference != "one" {
		t.Errorf("shown %+v", shown)
	}
	tables := e.Tables()
	if len(tables) != 7 {
		t.Errorf("%d tables", len(tables))
	}
	for _, table := range tables {
		for _, row := range table.Rows {
			if len(row) != len(table.Columns) {
				t.Errorf("%s: %d cells in a row for %d columns", table.Title, len(row), len(table.Columns))
			}
		}
	}
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back Evaluation
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("read back\n%s\nwant\n%s(%v)", again, data, err)
	}
}

func TestEvaluationsThatCannotBeAreRefused(t *testing.T) {
	l := newLab(t)
	a := l.ending("a", .2)
	text := l.file("t.txt", "one two three four one two")
	for _, tt := range []struct {
		change func(*Config)
		in     stage.Inputs
		says   string
	}{
		{func(*Config) {}, stage.Inputs{"models": {a}}, "nothing to measure on"},
		{func(c *Config) { c.Names = []string{"x", "y"} }, stage.Inputs{"models": {a}, "text": {text}}, "2 names for 1 models"},
		{func(c *Config) { c.Names = []string{"people"} }, stage.Inputs{"models": {a}, "text": {text}}, `"people" cannot be the name`},
		{func(c *Config) { c.Temperatures = []float64{1, 1} }, stage.Inputs{"models": {a}, "text": {text}}, "temperature 1 is there twice"},
		{func(c *Config) { c.Temperatures = nil }, stage.Inputs{"models": {a}, "text": {text}}, "no temperatures"},
		{func(c *Config) { c.Context, c.Stride = 8, 9 }, stage.Inputs{"models": {a}, "text": {text}}, "stride 9 is longer"},
		{func(c *Config) { c.Context = labContext + 1 }, stage.Inputs{"models": {a}, "text": {text}}, "outside 4 to 96"},
		{func(c *Config) { c.Command = "x" }, stage.Inputs{"models": {a}, "text": {text}}, "rule is none"},
		{func(c *Config) { c.MaxTokens = labContext }, stage.Inputs{"models": {a}, "prompts": {l.prompts(2)}}, "none of 2 prompts leaves room"},
		{func(*Config) {}, stage.Inputs{"models": {l.rewardOfEnding()}, "text": {text}}, "give a language model"},
	} {
		c := Defaults()
		tt.change(&c)
		if _, _, err := Models(t.Context(), l.env(), c, tt.in); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v, want exit code 4 and %q", err, tt.says)
		}
	}
}
