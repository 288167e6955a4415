package sft

import (
	"context"
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
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// school is the artifacts of a small stage.
type school struct {
	t      testing.TB
	engine compute.Engine
	tok    *tokenizer.Tokenizer
	inputs Inputs
	log    strings.Builder
}

const (
	contextLength = 48
	baseFolder    = "base" // as the path of the base model ends
)

func newSchool(t testing.TB) *school {
	t.Helper()
	docs := func(yield func(string, error) bool) {
		yield(strings.Repeat("user assistant what comes after red blue green ", 6), nil)
	}
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 290})
	if err != nil {
		t.Fatal(err)
	}
	engine := cpu.New(cpu.Options{Threads: 1})
	t.Cleanup(func() { engine.Close() })
	s := &school{t: t, engine: engine, tok: tok}
	folder := t.TempDir()
	s.inputs = Inputs{Base: filepath.Join(folder, baseFolder), Train: filepath.Join(folder, "train.jsonl"), Validation: filepath.Join(folder, "validation.jsonl")}
	s.base(s.config(model.LanguageModel), tok)
	s.dialogues(s.inputs.Train, 20, 0)
	s.dialogues(s.inputs.Validation, 6, 3)
	return s
}

func (s *school) template() *chat.Template {
	s.t.Helper()
	template, err := chat.For(s.tok)
	if err != nil {
		s.t.Fatal(err)
	}
	return template
}

func (s *school) config(head model.Head) model.Config {
	return model.Config{
		Family: model.Llama, Head: head, Vocabulary: 290, Context: contextLength, Width: 24, Layers: 1, Heads: 2, KVHeads: 2, HeadDim: 12,
		FeedForward: 32, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .1, BOS: -1, EOS: -1, Pad: -1,
	}
}

func (s *school) base(c model.Config, tok *tokenizer.Tokenizer) {
	s.t.Helper()
	m, err := model.New(s.engine, c, 1)
	if err == nil {
		err = artifact.MakeFolder(s.inputs.Base)
	}
	if err == nil {
		err = train.SaveModel(s.inputs.Base, "", m, tok, 1, chat.Ends(tok, nil))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

var colors = []string{"red", "blue", "green"}

// dialogues ask for the color that follows in a fixed order.
func (s *school) dialogues(path string, n, from int) {
	s.t.Helper()
	var chats []chat.Dialogue
	for i := from; i < from+n; i++ {
		chats = append(chats, chat.Dialogue{Messages: []chat.Message{
			{Role: chat.User, Content: fmt.Sprintf("what comes %d after %s", i%4, colors[i%3])},
			{Role: chat.Assistant, Content: colors[(i+1)%3]},
		}})
	}
	if err := dataset.WriteDialogues(path, chats); err != nil {
		s.t.Fatal(err)
	}
}

func (s *school) run(ctx context.Context, c Config, out string, every int) (*artifact.Manifest, error) {
	log := &progress.Log{Progress: progress.NewTo(progress.Options{Out: &s.log})}
	return Run(ctx, stage.Environment{Engine: s.engine, Log: log, CheckpointSteps: every, KeepCheckpoints: true}, c, s.inputs, out)
}

func tinySFT() Config {
	c := Defaults()
	c.Epochs, c.BatchRows, c.MicroRows, c.LR, c.EvalEvery = 6, 4, 2, 1e-2, 4
	return c
}

func readMetrics(t testing.TB, out string) []train.MetricsLine {
	t.Helper()
	lines, err := train.ReadMetrics(filepath.Join(out, train.MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func weightsOf(t testing.TB, folder string) string {
	t.Helper()
	_, sum, err := artifact.HashFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestHeldOutLossFalls(t *testing.T) {
	s := newSchool(t)
	out := filepath.Join(t.TempDir(), "out")
	c := tinySFT()
	c.Epochs = 16
	manifest, err := s.run(t.Context(), c, out, 0)
	if err != nil {
		t.Fatal(err)
	}
	var held []float64
	for _, line := range readMetrics(t, out) {
		if v, ok := line.Value("validation/loss"); ok {
			held = append(held, v)
		}
	}
	if len(held) < 3 || held[0] < 4 || held[len(held)-1] > 1.2 {
		t.Errorf("the loss on held-out dialogues goes as %.3f", held)
	}
	if m := manifest.Metrics; !(m["validation/loss/low"] < m["validation/loss"] && m["validation/loss"] < m["validation/loss/high"]) {
		t.Errorf("the interval of the held-out loss %v is %v to %v", m["validation/loss"], m["validation/loss/low"], m["validation/loss/high"])
	}
	if manifest.Metrics["validation/loss"] != held[len(held)-1] || manifest.Metrics["dialogues"] != 20 || manifest.Metrics["dropped"] != 0 {
		t.Errorf("the manifest has %v", manifest.Metrics)
	}
	if _, _, err := train.LoadModel(s.engine, out); err != nil {
		t.Error(err)
	}
}

func TestPPO1PadIsNotTheEndAndTheEndIsLearned(t *testing.T) {
	s := newSchool(t)
	pad, ok := s.tok.Pad()
	if !ok || slices.Contains(chat.Ends(s.tok, nil), pad) {
		t.Fatalf("pad %d (%v), end tokens %v", pad, ok, chat.Ends(s.tok, nil))
	}
	learned, err := load(s.template(), s.inputs.Train, dataset.Reading{}, contextLength)
	if err != nil {
		t.Fatal(err)
	}
	examples := learned.examples
	end, _ := s.tok.TokenID(tokenizer.IMEnd)
	packed := dataset.NewPacked(1, contextLength)
	if err := packed.Fill([][]int{{0}}, examples, pad); err != nil {
		t.Fatal(err)
	}
	ends := 0
	for i, target := range packed.Targets {
		if target == end {
			ends++
		}
		if target == pad {
			t.Errorf("the pad at %d is a target", i)
		}
		if packed.Segments[i] < 0 && (packed.Tokens[i] != pad || target != dataset.Ignored) {
			t.Errorf("padding at %d is token %d with target %d", i, packed.Tokens[i], target)
		}
	}
	if ends != 1 {
		t.Errorf("the end of a turn is a target %d times, want once, for the assistant", ends)
	}
}

// The loss on a row with several dialogues and padding is that of each
// dialogue alone.
func TestPPO2LossIsUnchangedByPackingAndPadding(t *testing.T) {
	s := newSchool(t)
	m, err := file.Load(s.engine, s.inputs.Base)
	if err != nil {
		t.Fatal(err)
	}
	learned, err := load(s.template(), s.inputs.Train, dataset.Reading{}, contextLength)
	if err != nil {
		t.Fatal(err)
	}
	examples := learned.examples
	loss := func(b, length int, examples []dataset.Example) float64 {
		lm, err := train.NewLanguageModel(m, b, length)
		if err != nil {
			t.Fatal(err)
		}
		l := loss(t, lm, examples)
		return l
	}
	var sum float64
	targets := 0
	for _, e := range examples {
		sum += float64(e.Learned()) * loss(1, len(e.Tokens), []dataset.Example{e})
		targets += e.Learned()
	}
	for _, size := range [][2]int{{1, contextLength}, {3, 40}, {8, contextLength}} {
		if got := loss(size[0], size[1], examples); math.Abs(got-sum/float64(targets)) > 1e-5 {
			t.Errorf("in rows %d × %d the loss is %v, alone %v", size[0], size[1], got, sum/float64(targets))
		}
	}
}

// Promise 6 of the reliability list, for evaluation: in rows of one length
// the number of rows changes no bit.
func TestLossDoesNotDependOnTheBatch(t *testing.T) {
	s := newSchool(t)
	learned, err := load(s.template(), s.inputs.Train, dataset.Reading{}, contextLength)
	if err != nil {
		t.Fatal(err)
	}
	examples := learned.examples
	var want float64
	for _, threads := range []int{1, 2} {
		engine := cpu.New(cpu.Options{Threads: threads})
		defer engine.Close()
		m, err := file.Load(engine, s.inputs.Base)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []int{1, 2, 5, 16} {
			lm, err := train.NewLanguageModel(m, b, contextLength)
			if err != nil {
				t.Fatal(err)
			}
			got := loss(t, lm, examples)
			if want == 0 {
				want = got
			}
			if got != want {
				t.Errorf("%d threads, %d rows: loss %v, want the bits of %v", threads, b, got, want)
			}
		}
	}
}

func TestPPO7TargetsAreTheAssistantsTokensAndTheEnd(t *testing.T) {
	s := newSchool(t)
	out := filepath.Join(t.TempDir(), "out")
	c := tinySFT()
	c.Epochs = 1
	if _, err := s.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	chats, err := dataset.ReadDialogues(s.inputs.Train, dataset.Reading{})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, chat := range chats.Rows {
		want += len(s.tok.Encode(chat.Messages[1].Content)) + 1
	}
	var got float64
	for _, line := range readMetrics(t, out) {
		v, _ := line.Value("learned_tokens")
		got += v
	}
	if int(got) != want {
		t.Errorf("an epoch has %v targets, want %d: the answers and one end each", got, want)
	}
}

func TestTrainingLossIsTheMeanOverTheTargets(t *testing.T) {
	s := newSchool(t)
	out := filepath.Join(t.TempDir(), "out")
	c := tinySFT()
	c.Epochs, c.BatchRows, c.MicroRows, c.LR = 1, 64, 2, 1e-30
	if _, err := s.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	m, err := file.Load(s.engine, s.inputs.Base)
	if err != nil {
		t.Fatal(err)
	}
	learned, err := load(s.template(), s.inputs.Train, dataset.Reading{}, contextLength)
	if err != nil {
		t.Fatal(err)
	}
	examples := learned.examples
	lm, err := train.NewLanguageModel(m, 2, contextLength)
	if err != nil {
		t.Fatal(err)
	}
	want := loss(t, lm, examples)
	lines := readMetrics(t, out)
	last := lines[len(lines)-1]
	if got, _ := last.Value("loss"); last.Step != 1 || math.Abs(got-want) > 1e-5 {
		t.Errorf("after %d steps the loss is %v, want %v after one", last.Step, got, want)
	}
}

func TestDialoguesThatDoNotFitAreLeftOutAndCounted(t *testing.T) {
	s := newSchool(t)
	chats, err := dataset.ReadDialogues(s.inputs.Train, dataset.Reading{})
	if err != nil {
		t.Fatal(err)
	}
	long := chat.Dialogue{Messages: []chat.Message{{Role: chat.User, Content: strings.Repeat("z", 100)}, {Role: chat.Assistant, Content: "red"}}}
	if err := dataset.WriteDialogues(s.inputs.Train, append([]chat.Dialogue{long}, append(chats.Rows, long)...)); err != nil {
		t.Fatal(err)
	}
	l, err := load(s.template(), s.inputs.Train, dataset.Reading{}, contextLength)
	if err != nil || len(l.examples) != 20 || len(l.long) != 2 || l.lines[0] != 2 || l.lines[19] != 21 {
		t.Errorf("%d examples, %d left out, lines %v, %v", len(l.examples), len(l.long), l.lines, err)
	}
	manifest, err := s.run(t.Context(), tinySFT(), filepath.Join(t.TempDir(), "out"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Metrics["dialogues"] != 20 || manifest.Metrics["dropped"] != 2 || !strings.Contains(s.log.String(), "20 dialogues (2 do not fit in 48 tokens)") {
		t.Errorf("the manifest has %v, the log\n%s", manifest.Metrics, s.log.String())
	}
}

func TestPlanSeesEachDialogueOnceAnEpochInAnOrderOfItsOwn(t *testing.T) {
	var examples []dataset.Example
	for i := range 30 {
		examples = append(examples, dataset.Example{Tokens: make([]int32, 3+i%9), Trained: make([]bool, 3+i%9)})
	}
	c := Config{Epochs: 2.5, BatchRows: 4, Seed: 5}
	steps, err := plan(examples, c, 16)
	if err != nil {
		t.Fatal(err)
	}
	var order []int
	for _, rows := range steps {
		if len(rows) == 0 || len(rows) > 4 {
			t.Errorf("a step has %d rows", len(rows))
		}
		for _, row := range rows {
			length := 0
			for _, x := range row {
				length += len(examples[x].Tokens)
			}
			if length > 16 {
				t.Errorf("row %v has %d tokens", row, length)
			}
			order = append(order, row...)
		}
	}
	first, second, rest := slices.Clone(order[:30]), slices.Clone(order[30:60]), order[60:]
	if slices.Equal(first, second) {
		t.Error("two epochs have one order")
	}
	for _, epoch := range [][]int{first, second} {
		slices.Sort(epoch)
		for i, x := range epoch {
			if i != x {
				t.Fatalf("an epoch holds %v", epoch)
			}
		}
	}
	if len(rest) < 8 || len(rest) > 22 {
		t.Errorf("half an epoch holds %d of 30 dialogues", len(rest))
	}
}

func TestResumedRunEndsWithTheBitsOfAStraightOne(t *testing.T) {
	s := newSchool(t)
	c := tinySFT()
	c.Epochs, c.BatchRows = 4, 2
	straight := filepath.Join(t.TempDir(), "straight")
	if _, err := s.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	lines := readMetrics(t, straight)
	steps := lines[len(lines)-1].Step
	if steps < 8 {
		t.Fatalf("%d steps show too little", steps)
	}
	for stop := 1; stop <= min(steps, 20); stop++ {
		out := filepath.Join(t.TempDir(), "out")
		if err := artifact.ArmFailpoint(fmt.Sprintf("train.after_step:%d:error", stop)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.run(t.Context(), c, out, 3); !errors.Is(err, artifact.ErrFailpoint) {
			t.Fatalf("%v, want the failpoint", err)
		}
		if err := artifact.ArmFailpoint(""); err != nil {
			t.Fatal(err)
		}
		if _, err := s.run(t.Context(), c, out, 3); err != nil {
			t.Fatal(err)
		}
		if weightsOf(t, out) != weightsOf(t, straight) {
			t.Errorf("stopped after step %d: other weights at the end", stop)
		}
		if got := readMetrics(t, out); fmt.Sprint(got) != fmt.Sprint(lines) {
			t.Errorf("stopped after step %d: other metrics", stop)
		}
	}
}

func TestBadBatchNamesItsDialogues(t *testing.T) {
	s := newSchool(t)
	m, err := file.Load(s.engine, s.inputs.Base)
	if err != nil {
		t.Fatal(err)
	}
	shape, _ := m.Store.Shape("model.norm.weight")
	if err := m.Store.Write("model.norm.weight", slices.Repeat([]float32{3e38}, shape.Size())); err != nil {
		t.Fatal(err)
	}
	if err := train.SaveModel(s.inputs.Base, "", m, s.tok, 1, chat.Ends(s.tok, nil)); err != nil {
		t.Fatal(err)
	}
	_, err = s.run(t.Context(), tinySFT(), filepath.Join(t.TempDir(), "out"), 0)
	if artifact.ExitCode(err) != 20 || !strings.Contains(err.Error(), "dialogues on lines [") || !strings.Contains(err.Error(), s.inputs.Train) {
		t.Errorf("%v, want exit code 20, the dialogues and their file", err)
	}
}

func TestInputsThatCannotBeUsedAreRefusedWithPlaceAndRemedy(t *testing.T) {
	write := func(s *school, path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		change func(s *school, c *Config)
		code   int
		want   []string
	}{
		{"a dialogue without an assistant's turn", func(s *school, c *Config) {
			c.BadRows = dataset.Stop
			write(s, s.inputs.Train, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`+"\n"+`{"messages":[{"role":"user","content":"a"}]}`+"\n")
		}, 4, []string{"train.jsonl:2", `"assistant"`, "add the answer"}},
		{"a line that is no JSON", func(s *school, c *Config) { write(s, s.inputs.Validation, "{\n") }, 4, []string{"validation.jsonl:1"}},
		{"an empty file", func(s *school, c *Config) { write(s, s.inputs.Train, "") }, 4, []string{"train.jsonl"}},
		{"no dialogue that fits", func(s *school, c *Config) { c.Context = 5 }, 4, []string{"train.jsonl", "none of 20 fits into 5 tokens", "longer context"}},
		{"a context longer than the model's", func(s *school, c *Config) { c.Context = 49 }, 4, []string{"context 49", "which is 48"}},
		{"a tokenizer larger than the model", func(s *school, c *Config) {
			config := s.config(model.LanguageModel)
			config.Vocabulary = 280
			s.base(config, s.tok)
		}, 4, []string{"290 tokens", "each of 280 tokens", baseFolder, "take the tokenizer"}},
		{"a reward model as the base", func(s *school, c *Config) { s.base(s.config(model.Scalar), s.tok) }, 4, []string{baseFolder, `"score" head`, "language model"}},
		{"rows that are no multiple", func(s *school, c *Config) { c.BatchRows, c.MicroRows = 5, 2 }, 4, []string{"batch_rows 5", "micro_rows 2"}},
		{"a decay that does not exist", func(s *school, c *Config) { c.Decay = "staircase" }, 4, []string{`"staircase"`, "cosine"}},
		{"a missing file", func(s *school, c *Config) { s.inputs.Train += "x" }, 10, []string{"train.jsonlx"}},
		{"a missing model", func(s *school, c *Config) { s.inputs.Base += "x" }, 10, []string{"opening base", "basex"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSchool(t)
			c := tinySFT()
			test.change(s, &c)
			out := filepath.Join(t.TempDir(), "out")
			_, err := s.run(t.Context(), c, out, 0)
			if artifact.ExitCode(err) != test.code {
				t.Fatalf("exit code %d of %v, want %d", artifact.ExitCode(err), err, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
			if _, err := os.Stat(filepath.Join(out, "model.safetensors")); err == nil {
				t.Error("there is a model all the same")
			}
		})
	}
}

func TestARateThatSuitsSmallModelsIsWarnedOfForLargeOnes(t *testing.T) {
	for _, test := range []struct {
		parameters int64
		rank       int
		lr         float64
		warns      bool
	}{
		{2_000_000, 0, 1.5e-3, false},
		{135_000_000, 0, 1.5e-3, true},
		{135_000_000, 0, 5e-5, false},
		{135_000_000, 8, 2e-4, false},
		{135_000_000, 8, 1e-2, true},
	} {
		c := Defaults()
		c.Rank, c.LR = test.rank, test.lr
		if say := c.tooFast(test.parameters); (say != "") != test.warns || test.warns && !strings.Contains(say, "set lr") {
			t.Errorf("%+v: %q", test, say)
		}
	}
}

// loss is the mean loss of the assistant's tokens in nats.
func loss(t *testing.T, lm *train.LanguageModel, examples []dataset.Example) float64 {
	t.Helper()
	logProbs, err := train.LogProbs(t.Context(), lm, examples)
	if err != nil {
		t.Fatal(err)
	}
	return lossOf(logProbs, examples, nil)
}
