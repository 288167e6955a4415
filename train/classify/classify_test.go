package classify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// workplace is a base model and texts to classify.
type workplace struct {
	engine *cpu.Engine
	folder string
	inputs Inputs
}

const modelContext = 48 // of the models

var bodies = map[string]model.Config{
	"decoder": {Family: model.Llama, Head: model.LanguageModel, Layers: 2, Heads: 2, Width: 32, FeedForward: 48, RoPETheta: 10000, Tied: true},
	"encoder": {Family: model.BERT, Head: model.MaskedLanguageModel, Layers: 2, Heads: 2, Width: 32, FeedForward: 64, Tied: true},
}

func newWorkplace(t testing.TB, body string, texts int) workplace {
	t.Helper()
	w := workplace{newCPU(t, 2), t.TempDir(), Inputs{}}
	tok := newTokenizer(t)
	pad, _ := tok.Pad()
	c := bodies[body]
	c.Vocabulary, c.Context, c.Epsilon, c.InitRange, c.BOS, c.EOS, c.Pad = tok.VocabSize(), modelContext, 1e-6, .08, -1, -1, int(pad)
	m, err := model.New(w.engine, c.Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	w.inputs.Base, w.inputs.Texts = filepath.Join(w.folder, "base"), filepath.Join(w.folder, "texts.jsonl")
	if err := artifact.MakeFolder(w.inputs.Base); err != nil {
		t.Fatal(err)
	}
	if err := train.SaveModel(w.inputs.Base, "", m, tok, 1, chat.Ends(tok, nil)); err != nil {
		t.Fatal(err)
	}
	w.write(t, w.inputs.Texts, texts, 0)
	return w
}

func newCPU(t testing.TB, threads int) *cpu.Engine {
	engine := cpu.New(cpu.Options{Threads: threads})
	t.Cleanup(func() { engine.Close() })
	return engine
}

func newTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	docs := func(yield func(string, error) bool) {
		yield(strings.Repeat("the sun is warm and the rain is cold today ", 3), nil)
	}
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 275, SpecialTokens: tokenizer.EncoderSpecialTokens()})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// sentence draws a text whose class can be seen from one word.
func sentence(i uint64) (text, label string) {
	label = []string{"cold", "warm", "none"}[compute.Bits(5, 0, i)%3]
	words := []string{"the sun is", "today and", "the rain", "is and the", "sun"}
	var b strings.Builder
	n := compute.Bits(5, 1, i) % 4
	for j := range n + 1 {
		b.WriteString(words[compute.Bits(5, 2+j, i)%uint64(len(words))] + " ")
	}
	if label != "none" {
		b.WriteString(label + " ")
	}
	fmt.Fprintf(&b, "%d", i)
	return b.String(), label
}

func (w workplace) write(t testing.TB, path string, n, from int) {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		text, label := sentence(uint64(from + i))
		fmt.Fprintf(&b, "{\"text\":%q,\"label\":%q}\n", text, label)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

func small() Config {
	c := Defaults()
	c.Epochs, c.BatchTexts, c.MicroRows, c.LR, c.EvalEvery, c.Validation = 4, 16, 2, 5e-3, 8, .2
	return c
}

func environment(engine compute.Engine) stage.Environment {
	return stage.Environment{Engine: engine, Log: &progress.Log{Progress: progress.NewTo(progress.Options{Out: new(strings.Builder)})}}
}

func (w workplace) run(t testing.TB, c Config, name string) (*artifact.Manifest, string) {
	t.Helper()
	out := filepath.Join(w.folder, name)
	manifest, err := Run(t.Context(), environment(w.engine), c, w.inputs, out)
	if err != nil {
		t.Fatal(err)
	}
	return manifest, out
}

func weights(t testing.TB, folder string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAnyBodyLearnsClassesThatCanBeSeen(t *testing.T) {
	for body := range bodies {
		w := newWorkplace(t, body, 240)
		c := small()
		c.Epochs, c.LR = 10, 3e-3
		manifest, out := w.run(t, c, "out")
		m, _, err := train.LoadModel(w.engine, out)
		if err != nil {
			t.Fatal(err)
		}
		if m.Head != model.Classes || !slices.Equal(m.Labels, []string{"cold", "none", "warm"}) {
			t.Errorf("%s: the folder holds head %q with labels %q", body, m.Head, m.Labels)
		}
		if got := manifest.Metrics["validation/macro_f1"]; got < .9 {
			t.Errorf("%s: macro-F1 %.3f of classes that a word tells", body, got)
		}
		if padding := manifest.Metrics["padding"]; padding <= 0 || padding > .25 {
			t.Errorf("%s: %.2f of the rows is padding", body, padding)
		}
		if manifest.Metrics["texts"]+manifest.Metrics["held_out"] != 240 || manifest.Metrics["classes"] != 3 || manifest.Tokens == 0 || manifest.FLOPs == 0 {
			t.Errorf("%s: the manifest says %d tokens, %g FLOPs, %v", body, manifest.Tokens, manifest.FLOPs, manifest.Metrics)
		}
		var measures stats.Classification
		data, err := os.ReadFile(filepath.Join(out, ValidationFile))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &measures); err != nil {
			t.Fatal(err)
		}
		if measures.MacroF1 != manifest.Metrics["validation/macro_f1"] || float64(measures.N) != manifest.Metrics["held_out"] {
			t.Errorf("%s: %s says %+v, the manifest %v", body, ValidationFile, measures, manifest.Metrics)
		}
	}
}

func TestAFrozenBodyKeepsItsBits(t *testing.T) {
	for body := range bodies {
		w := newWorkplace(t, body, 60)
		c := small()
		c.FreezeBody, c.Epochs = true, 1
		_, out := w.run(t, c, "out")
		base, _, err := train.LoadModel(w.engine, w.inputs.Base)
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := train.LoadModel(w.engine, out)
		if err != nil {
			t.Fatal(err)
		}
		start, err := base.WithHead(model.Classes, c.Seed, m.Labels...)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Parameters() {
			before, after := read(t, start, p), read(t, m, p)
			if same := slices.Equal(before, after); same != m.InBody(p) {
				t.Errorf("%s: %s kept its bits: %v", body, p.Name, same)
			}
		}
	}
}

func read(t testing.TB, m *model.Model, p model.Parameter) []float32 {
	t.Helper()
	data := make([]float32, compute.Shape(p.Shape).Size())
	if err := m.Store.Read(p.Name, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// A frozen body runs once over the texts; the steps are those of a run in which
// it takes part in each.
func TestStatesOfAFrozenBodyGiveTheGradientsOfTheWholeModel(t *testing.T) {
	for body := range bodies {
		m, e := newLab(t, newCPU(t, 2), body, 9)
		m.Freeze(m.InBody)
		c := small()
		c.BatchTexts, c.Epochs = 9, 1
		steps, err := plan(e, c, modelContext)
		if err != nil {
			t.Fatal(err)
		}
		classifier, err := NewClassifier(m, 2, modelContext)
		if err != nil {
			t.Fatal(err)
		}
		states, err := classifier.body.states(t.Context(), e.Tokens)
		if err != nil {
			t.Fatal(err)
		}
		gradients := func(states [][]float32) (loss float64, g [][]float32) {
			l, err := newLoss(m, steps, e, states, c, modelContext)
			if err != nil {
				t.Fatal(err)
			}
			o, err := train.NewOptimizer(m, c.AdamW())
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Zero(); err != nil {
				t.Fatal(err)
			}
			for rows := range slices.Chunk(steps[0].rows, c.MicroRows) {
				part, _, _, err := l.accumulate(t.Context(), rows, l.weight(steps[0]))
				if err != nil {
					t.Fatal(err)
				}
				loss += part
			}
			for _, p := range m.Trained() {
				values, err := train.Gradient(m, p)
				if err != nil {
					t.Fatal(err)
				}
				g = append(g, values)
			}
			return loss, g
		}
		loss, want := gradients(nil)
		again, got := gradients(states)
		if loss != again || !slices.EqualFunc(got, want, func(a, b []float32) bool { return slices.Equal(a, b) }) {
			t.Errorf("%s: losses %v and %v, same gradients: %v", body, again, loss, slices.EqualFunc(got, want, func(a, b []float32) bool { return slices.Equal(a, b) }))
		}
	}
}

// newLab is a model with classes and encoded texts.
func newLab(t testing.TB, engine compute.Engine, body string, texts int) (*model.Model, Examples) {
	t.Helper()
	tok := newTokenizer(t)
	c := bodies[body]
	c.Vocabulary, c.Context, c.Epsilon, c.InitRange, c.BOS, c.EOS, c.Pad = tok.VocabSize(), modelContext, 1e-6, .3, -1, -1, 3
	m, err := model.New(engine, c.WithHead(model.Classes, "cold", "none", "warm").Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var all []dataset.Text
	for i := range texts {
		text, label := sentence(uint64(i))
		all = append(all, dataset.Text{Text: text, Label: label, Line: i + 1})
	}
	e, err := Encode(tok, "f", all, m.Labels, false, modelContext)
	if err != nil {
		t.Fatal(err)
	}
	return m, e
}

// The loss of a step is that of a plain loop over its texts, one at a time.
func TestLossIsTheWeightedMeanOverTheTexts(t *testing.T) {
	for body := range bodies {
		m, e := newLab(t, reference.New(), body, 7)
		c := small()
		c.ClassWeights, c.BatchTexts, c.Epochs = "balanced", 7, 1
		steps, err := plan(e, c, modelContext)
		if err != nil || len(steps) != 1 {
			t.Fatalf("%d steps, %v", len(steps), err)
		}
		loss, err := newLoss(m, steps, e, nil, c, modelContext)
		if err != nil {
			t.Fatal(err)
		}
		got := 0.0
		for rows := range slices.Chunk(steps[0].rows, c.MicroRows) {
			part, _, _, err := loss.accumulate(t.Context(), rows, loss.weight(steps[0]))
			if err != nil {
				t.Fatal(err)
			}
			got += part
		}
		classifier, err := NewClassifier(m, 1, modelContext)
		if err != nil {
			t.Fatal(err)
		}
		weight := stats.BalancedWeights(e.counts(3))
		sum, total := 0.0, 0.0
		for i, text := range e.Tokens {
			p, err := classifier.Probabilities(t.Context(), [][]int32{text})
			if err != nil {
				t.Fatal(err)
			}
			w := weight[e.Classes[i]]
			sum -= w * math.Log(p[0][e.Classes[i]])
			total += w
		}
		if math.Abs(got-sum/total) > 1e-5 {
			t.Errorf("%s: loss %v, want %v", body, got, sum/total)
		}
	}
}

func TestProbabilitiesDoNotDependOnTheTextsBeside(t *testing.T) {
	for body := range bodies {
		m, e := newLab(t, newCPU(t, 2), body, 40)
		alone, err := NewClassifier(m, 1, modelContext)
		if err != nil {
			t.Fatal(err)
		}
		for _, rows := range []int{1, 3, 16} {
			c, err := NewClassifier(m, rows, modelContext)
			if err != nil {
				t.Fatal(err)
			}
			together, err := c.Probabilities(t.Context(), e.Tokens)
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range e.Tokens {
				p, err := alone.Probabilities(t.Context(), [][]int32{text})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(p[0], together[i]) {
					t.Fatalf("%s: text %d gets %v alone and %v among others in batches of %d rows", body, i, p[0], together[i], rows)
				}
				if s := p[0][0] + p[0][1] + p[0][2]; math.Abs(s-1) > 1e-12 {
					t.Fatalf("%s: probabilities sum to %v", body, s)
				}
			}
		}
	}
}

func TestWeightsDoNotDependOnThreadsOrMicroBatches(t *testing.T) {
	for body := range bodies {
		w := newWorkplace(t, body, 60)
		var want []byte
		for _, split := range []struct{ threads, rows int }{{1, 1}, {2, 3}, {3, 8}} {
			w.engine = newCPU(t, split.threads)
			c := small()
			c.Epochs, c.MicroRows = 2, split.rows
			_, out := w.run(t, c, fmt.Sprint("rows", split.rows))
			if got := weights(t, out); want == nil {
				want = got
			} else if !bytes.Equal(got, want) {
				t.Errorf("%s: %d threads and %d rows at one time give other weights", body, split.threads, split.rows)
			}
		}
	}
}

func TestAStageStoppedAndResumedGivesTheSameBits(t *testing.T) {
	t.Cleanup(func() { artifact.ArmFailpoint("") })
	for _, patience := range []int{0, 2} {
		w := newWorkplace(t, "encoder", 120)
		c := small()
		c.EvalEvery, c.Patience = 3, patience
		manifest, straight := w.run(t, c, "straight")
		want := weights(t, straight)
		env := environment(w.engine)
		env.CheckpointSteps = 2
		out := filepath.Join(w.folder, "stopped")
		stops := 0
		for _, failpoint := range []string{
			"train.after_step:1:error", "train.after_step:4:error", "train.before_checkpoint:1:error",
			"train.after_checkpoint:2:error", "train.after_step:3:error", "stage.finish.before:1:error",
		} {
			if err := artifact.ArmFailpoint(failpoint); err != nil {
				t.Fatal(err)
			}
			if _, err := Run(t.Context(), env, c, w.inputs, out); errors.Is(err, artifact.ErrFailpoint) {
				stops++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if err := artifact.ArmFailpoint(""); err != nil {
			t.Fatal(err)
		}
		again, err := Run(t.Context(), env, c, w.inputs, out)
		if err != nil {
			t.Fatal(err)
		}
		if stops < 5 || !bytes.Equal(weights(t, out), want) {
			t.Errorf("patience %d: stopped %d times, same weights: %v", patience, stops, bytes.Equal(weights(t, out), want))
		}
		for name, value := range manifest.Metrics {
			if again.Metrics[name] != value {
				t.Errorf("patience %d: %s is %v, straight %v", patience, name, again.Metrics[name], value)
			}
		}
	}
}

func TestPatienceEndsTheRunWithTheBestWeights(t *testing.T) {
	w := newWorkplace(t, "encoder", 160)
	c := small()
	c.Epochs, c.EvalEvery, c.Patience = 12, 4, 3
	manifest, out := w.run(t, c, "out")
	lines, err := train.ReadMetrics(filepath.Join(out, train.MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	best, bestStep := -1.0, 0
	for _, line := range lines {
		if f1, ok := line.Value("validation/macro_f1"); ok && f1 > best {
			best, bestStep = f1, line.Step
		}
	}
	last := lines[len(lines)-1].Step
	if total := 12 * (int(manifest.Metrics["texts"]) + 15) / 16; last >= total || last != bestStep+c.Patience*c.EvalEvery {
		t.Errorf("the best of %d steps is %d, the run ended after %d", total, bestStep, last)
	}
	if manifest.Metrics["validation/macro_f1"] != best || int(manifest.Metrics["best_step"]) != bestStep {
		t.Errorf("the model has macro-F1 %v of step %v, the best was %v after %d", manifest.Metrics["validation/macro_f1"], manifest.Metrics["best_step"], best, bestStep)
	}
}

func TestTextsHeldOutDependOnTheTextAlone(t *testing.T) {
	var all []dataset.Text
	for i := range 4000 {
		text, label := sentence(uint64(i))
		all = append(all, dataset.Text{Text: text, Label: label}, dataset.Text{Text: text, Label: label})
	}
	learned, held := holdOut(all, .2)
	if len(learned)+len(held) != len(all) || math.Abs(float64(len(held))/float64(len(all))-.2) > .02 {
		t.Errorf("%d of %d texts are held out", len(held), len(all))
	}
	in := make(map[string]bool)
	for _, x := range held {
		in[x.Text] = true
	}
	for _, x := range learned {
		if in[x.Text] {
			t.Fatalf("%q is learned and held out", x.Text)
		}
	}
	if more, _ := holdOut(all, .1); !slices.ContainsFunc(more, func(x dataset.Text) bool { return in[x.Text] }) || len(more) < len(learned) {
		t.Error("a smaller share holds other texts out")
	}
}

func TestLabelsAreInTheOrderOfNumbersOrText(t *testing.T) {
	for _, c := range [][2][]string{{{"10", "9", "-1", "9"}, {"-1", "9", "10"}}, {{"b", "10", "a"}, {"10", "a", "b"}}} {
		var texts []dataset.Text
		for _, label := range c[0] {
			texts = append(texts, dataset.Text{Label: label})
		}
		if got := Labels(texts); !slices.Equal(got, c[1]) {
			t.Errorf("labels %q, want %q", got, c[1])
		}
	}
}

func TestLongTextsAreCutAtTheirEndAndCounted(t *testing.T) {
	tok := newTokenizer(t)
	long := strings.Repeat("the sun is warm ", 40)
	e, err := Encode(tok, "f", []dataset.Text{{Text: long, Label: "a"}, {Text: "warm", Label: "b"}}, []string{"a", "b"}, false, 10)
	if err != nil {
		t.Fatal(err)
	}
	whole := tok.Wrap(tok.Encode(long))
	if e.Cut != 1 || !slices.Equal(e.Tokens[0], whole[:10]) || len(e.Tokens[1]) >= 10 {
		t.Errorf("%d cut, to %v and %v", e.Cut, e.Tokens[0], e.Tokens[1])
	}
}

func TestEveryTextIsSeenOnceAnEpochInAnOrderOfItsOwn(t *testing.T) {
	_, e := newLab(t, reference.New(), "decoder", 50)
	c := small()
	c.Epochs, c.BatchTexts = 2.5, 8
	steps, err := plan(e, c, modelContext)
	if err != nil {
		t.Fatal(err)
	}
	var order []int
	for _, s := range steps {
		for _, row := range s.rows {
			length := 0
			for _, i := range row {
				length += len(e.Tokens[i])
			}
			if length > modelContext {
				t.Errorf("a row of %d tokens", length)
			}
			order = append(order, row...)
		}
	}
	if len(order) != 125 {
		t.Fatalf("%d texts in two and a half epochs of 50", len(order))
	}
	for epoch := range 2 {
		part := slices.Sorted(slices.Values(order[epoch*50 : epoch*50+50]))
		for i, x := range part {
			if x != i {
				t.Fatalf("epoch %d sees %v", epoch, part)
			}
		}
	}
	if slices.Equal(order[:50], order[50:100]) {
		t.Error("both epochs have one order")
	}
}

func TestWhatCannotBeLearnedIsRefusedWithPlaceAndRemedy(t *testing.T) {
	w := newWorkplace(t, "encoder", 30)
	file := func(name, text string) string {
		path := filepath.Join(w.folder, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := file("one.jsonl", `{"text":"a","label":"x"}`+"\n"+`{"text":"b","label":"x"}`)
	other := file("other.jsonl", `{"text":"warm","label":"hot"}`)
	for name, c := range map[string]struct {
		change func(*Config, *Inputs)
		code   int
		says   string
	}{
		"one label only":                     {func(_ *Config, in *Inputs) { in.Texts = one }, 4, `all 2 texts have the label "x"`},
		"a label that is not learned":        {func(_ *Config, in *Inputs) { in.Validation = other }, 4, `other.jsonl:1: label "hot"`},
		"a context longer than the model's":  {func(c *Config, _ *Inputs) { c.Context = 49 }, 4, "context 49"},
		"patience without held-out texts":    {func(c *Config, _ *Inputs) { c.Patience, c.Validation = 1, 0 }, 4, "patience 1 wants measurements"},
		"a format without labels":            {func(c *Config, _ *Inputs) { c.Format = "lines" }, 4, "plain lines have no labels"},
		"a missing file":                     {func(_ *Config, in *Inputs) { in.Texts = "nowhere.jsonl" }, 10, "nowhere.jsonl"},
		"a missing base":                     {func(_ *Config, in *Inputs) { in.Base = "nowhere" }, 10, "nowhere"},
		"a column that the file has not got": {func(c *Config, _ *Inputs) { c.LabelColumn = "mood" }, 4, `"mood"`},
	} {
		config, inputs := small(), w.inputs
		c.change(&config, &inputs)
		_, err := Run(t.Context(), environment(reference.New()), config, inputs, filepath.Join(w.folder, "out"))
		if err == nil || artifact.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAClassOfWhichAllTextsAreHeldOutIsRefused(t *testing.T) {
	w := newWorkplace(t, "decoder", 10)
	texts := []dataset.Text{{Text: "the sun", Label: "warm"}, {Text: "the rain", Label: "cold"}}
	c := small()
	for c.Validation = .05; c.Validation < 1; c.Validation += .05 {
		if learned, _ := holdOut(texts, c.Validation); len(learned) == 1 {
			break
		}
	}
	path := filepath.Join(w.folder, "two.jsonl")
	data := []byte(`{"text":"the sun","label":"warm"}` + "\n" + `{"text":"the rain","label":"cold"}` + "\n")
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	w.inputs.Texts = path
	_, err := Run(t.Context(), environment(w.engine), c, w.inputs, filepath.Join(w.folder, "out"))
	if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "the 1 texts that are not held out all have the label") {
		t.Errorf("share %.2f: %v", c.Validation, err)
	}
}

func TestABadBatchNamesTheLinesOfItsTexts(t *testing.T) {
	w := newWorkplace(t, "decoder", 30)
	c := small()
	c.LR, c.Warmup, c.Decay, c.Clip, c.Epochs, c.OnBadBatch = 1e30, 0, "constant", 0, 6, "stop"
	_, err := Run(t.Context(), environment(w.engine), c, w.inputs, filepath.Join(w.folder, "out"))
	if artifact.ExitCode(err) != 20 || !strings.Contains(err.Error(), "the texts of lines [") || !strings.Contains(err.Error(), w.inputs.Texts) {
		t.Errorf("got %v", err)
	}
}

func TestClassifierRefusesWhatItCannotClassify(t *testing.T) {
	w := newWorkplace(t, "encoder", 10)
	base, _, err := train.LoadModel(w.engine, w.inputs.Base)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewClassifier(base, 1, 8); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "alma classify train") {
		t.Errorf("a model without classes: %v", err)
	}
	for want, labels := range map[string][]string{"one output": {"a"}, `the classes 0 and 2 one name, "a"`: {"a", "b", "a"}} {
		m, err := base.WithHead(model.Classes, 1, labels...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewClassifier(m, 1, 8); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("labels %q: %v, want %s", labels, err, want)
		}
	}
	m, _ := newLab(t, w.engine, "encoder", 1)
	m.Problem = "regression"
	if _, err := NewClassifier(m, 1, 8); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), m.Problem) {
		t.Errorf("several labels of a text: %v", err)
	}
	m.Problem = ""
	if _, err := NewClassifier(m, 1, modelContext+1); !errors.Is(err, artifact.ErrUsage) {
		t.Errorf("rows longer than the context: %v", err)
	}
	c, err := NewClassifier(m, 1, 8)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Probabilities(t.Context(), [][]int32{make([]int32, 9)}); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "text 0") {
		t.Errorf("a text that is too long: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(artifact.ErrInterrupted)
	if _, err := c.Probabilities(ctx, [][]int32{{1}}); !errors.Is(err, artifact.ErrInterrupted) {
		t.Errorf("cancelled: %v", err)
	}
}
