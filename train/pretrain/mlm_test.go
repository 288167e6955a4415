package pretrain

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// newEncoderPress is a press whose tokenizer has a mask token.
func newEncoderPress(t testing.TB) *press {
	p := newPress(t)
	docs := func(yield func(string, error) bool) {
		yield(strings.Repeat("sheep went up the hill and came down", 5), nil)
	}
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 280, SpecialTokens: tokenizer.EncoderSpecialTokens()})
	if err != nil {
		t.Fatal(err)
	}
	files, err := tok.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := artifact.WriteFile(filepath.Join(p.inputs.Tokenizer, name), data); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func tinyEncoder() Config {
	c := tinyPretraining()
	c.Objective, c.Family = MLM, string(model.BERT)
	return c
}

func TestAnEncoderLearnsToGuessHiddenTokens(t *testing.T) {
	p := newEncoderPress(t)
	c := tinyEncoder()
	c.Steps, c.BatchTokens, c.MicroRows = 150, 128, 8
	out := filepath.Join(t.TempDir(), "out")
	if _, err := p.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	lines := readMetrics(t, out)
	first, _ := lines[0].Value("validation/loss")
	last, _ := lines[len(lines)-1].Value("validation/loss")
	if math.Abs(first-math.Log(280)) > .5 || last > first/2 {
		t.Errorf("the loss on held-out text goes from %v to %v", first, last)
	}
	if _, ok := lines[1].Value("bits_per_byte"); ok {
		t.Error("a guess from both sides has no bits per byte")
	}
	masked := 0.0
	for _, line := range lines[1:] {
		n, _ := line.Value("masked_tokens")
		masked += n
	}
	// About one in a hundred tokens stands between documents.
	if share := masked / float64(c.Steps*c.BatchTokens); math.Abs(share-.15) > .01 {
		t.Errorf("%.4f of the tokens were masked", share)
	}
	m, _, err := train.LoadModel(p.engine, out)
	if err != nil || m.Family != model.BERT || m.Head != model.MaskedLanguageModel {
		t.Errorf("opens as %+v, %v", m, err)
	}
}

func TestAnEncodersResumedRunEndsWithTheBitsOfAStraightOne(t *testing.T) {
	p := newEncoderPress(t)
	c := tinyEncoder()
	c.Steps = 9
	straight := filepath.Join(t.TempDir(), "straight")
	if _, err := p.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	for _, stop := range []int{1, 4, 8} {
		out := filepath.Join(t.TempDir(), "out")
		if err := artifact.ArmFailpoint(fmt.Sprintf("train.after_step:%d:error", stop)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.run(t.Context(), c, out, 3); !errors.Is(err, artifact.ErrFailpoint) {
			t.Fatalf("%v, want the failpoint", err)
		}
		if err := artifact.ArmFailpoint(""); err != nil {
			t.Fatal(err)
		}
		if _, err := p.run(t.Context(), c, out, 3); err != nil {
			t.Fatal(err)
		}
		if weightsOf(t, out) != weightsOf(t, straight) || fmt.Sprint(readMetrics(t, out)) != fmt.Sprint(readMetrics(t, straight)) {
			t.Errorf("stopped after step %d: other weights or metrics at the end", stop)
		}
	}
}

// Promise 6 of the reliability list.
func TestAnEncodersWeightsDoNotDependOnThreadsOrMicroBatches(t *testing.T) {
	p := newEncoderPress(t)
	c := tinyEncoder()
	c.Steps = 12
	want := ""
	for _, split := range []struct{ threads, rows int }{{1, 1}, {1, 4}, {2, 2}, {3, 4}} {
		p.engine = cpu.New(cpu.Options{Threads: split.threads})
		defer p.engine.(*cpu.Engine).Close()
		c.MicroRows = split.rows
		out := filepath.Join(t.TempDir(), "out")
		if _, err := p.run(t.Context(), c, out, 0); err != nil {
			t.Fatal(err)
		}
		if got := weightsOf(t, out); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%d threads, %d rows at one time: other weights", split.threads, split.rows)
		}
	}
}

// The text of one document does not reach the guesses in another.
func TestDocumentsOfARowDoNotSeeEachOther(t *testing.T) {
	p := newEncoderPress(t)
	tok, err := tokenizer.Load(p.inputs.Tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := tinyEncoder().Model(tok)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.New(p.engine, config, 1)
	if err != nil {
		t.Fatal(err)
	}
	lm, err := train.NewEvaluation(m, 1, 16)
	if err != nil {
		t.Fatal(err)
	}
	begin, _ := tok.CLS()
	losses := func(first int32) []float32 {
		rows := dataset.NewPacked(1, 16)
		for i := range rows.Tokens {
			rows.Tokens[i], rows.Targets[i] = int32(20+i), int32(40+i)
		}
		rows.Tokens[0], rows.Tokens[7] = first, begin
		rows.SplitAt(begin)
		got, err := lm.Losses(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(got)
	}
	a, b := losses(50), losses(60)
	if slices.Equal(a[1:7], b[1:7]) {
		t.Error("a token does not reach its own document")
	}
	if !slices.Equal(a[7:], b[7:]) {
		t.Error("a token reaches the next document")
	}
}

func TestWhatAnEncoderCannotBePretrainedWithIsRefusedWithTheRemedy(t *testing.T) {
	p := newPress(t) // whose tokenizer has no mask token
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"a tokenizer without a mask token": {func(*Config) {}, "alma tokenizer train --encoder"},
		"a decoder":                        {func(c *Config) { c.Family = "llama" }, "mlm wants the encoder bert"},
		"an encoder that foretells":        {func(c *Config) { c.Objective = Causal }, "objective causal does not go with family bert"},
	} {
		config := tinyEncoder()
		c.change(&config)
		out := filepath.Join(t.TempDir(), "out")
		_, err := p.run(t.Context(), config, out, 0)
		if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(out, "shards")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the corpus was tokenised before the refusal (%v)", name, err)
		}
	}
}
