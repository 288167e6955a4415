package pretrain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// press is the artifacts of a small stage.
type press struct {
	t      testing.TB
	engine compute.Engine
	inputs Inputs
	text   string // folder that the corpus is built from
	log    strings.Builder
}

func newPress(t testing.TB) *press {
	t.Helper()
	engine := cpu.New(cpu.Options{Threads: 1})
	t.Cleanup(func() { engine.Close() })
	folder := t.TempDir()
	p := &press{t: t, engine: engine, text: filepath.Join(folder, "text")}
	p.inputs = Inputs{Corpus: filepath.Join(folder, "corpus"), Tokenizer: filepath.Join(folder, "tokenizer")}
	if err := os.Mkdir(p.text, 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		p.write(fmt.Sprintf("%02d.txt", i), strings.Repeat(fmt.Sprintf("%d sheep went up the hill and %d came down. ", i, i+1), 5))
	}
	p.corpus()
	p.tokenizer(280)
	return p
}

func (p *press) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.text, name), []byte(text), 0o666); err != nil {
		p.t.Fatal(err)
	}
}

// corpus builds the corpus anew from the text.
func (p *press) corpus() {
	p.t.Helper()
	shares := corpus.Shares{Validation: .2}
	if _, err := corpus.Build(p.t.Context(), []corpus.Source{corpus.Folder{Root: p.text}}, corpus.Options{Out: p.inputs.Corpus, Shares: &shares}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *press) tokenizer(size int) *tokenizer.Tokenizer {
	p.t.Helper()
	docs := func(yield func(string, error) bool) {
		yield(strings.Repeat("sheep went up the hill and came down", 5), nil)
	}
	tok, _, err := tokenizer.Train(p.t.Context(), docs, tokenizer.Options{VocabSize: size})
	if err != nil {
		p.t.Fatal(err)
	}
	files, err := tok.Files()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := artifact.MakeFolder(p.inputs.Tokenizer); err != nil {
		p.t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(p.inputs.Tokenizer, name), data, 0o666); err != nil {
			p.t.Fatal(err)
		}
	}
	return tok
}

func (p *press) run(ctx context.Context, c Config, out string, every int) (*artifact.Manifest, error) {
	log := &progress.Log{Progress: progress.NewTo(progress.Options{Out: &p.log})}
	return Run(ctx, stage.Environment{Engine: p.engine, Log: log, CheckpointSteps: every}, c, p.inputs, out)
}

func tinyPretraining() Config {
	c := Defaults()
	c.Layers, c.Width, c.Heads, c.Context, c.InitRange, c.FeedForward = 1, 16, 2, 16, .1, 24
	c.Steps, c.BatchTokens, c.MicroRows, c.LR, c.EvalEvery, c.EvalRows = 20, 64, 2, 1e-2, 8, 6
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

func TestPretrainingLowersTheLossOnHeldOutText(t *testing.T) {
	for _, family := range []model.Family{model.GPT2, model.Llama, model.Gemma3} {
		p := newPress(t)
		c := tinyPretraining()
		c.Family, c.Steps = string(family), 100
		out := filepath.Join(t.TempDir(), "out")
		manifest, err := p.run(t.Context(), c, out, 0)
		if err != nil {
			t.Fatal(err)
		}
		lines := readMetrics(t, out)
		first, _ := lines[0].Value("validation/loss")
		last, _ := lines[len(lines)-1].Value("validation/loss")
		if lines[0].Step != 0 || math.Abs(first-math.Log(280)) > .5 || last > first/2 {
			t.Errorf("%s: the loss on held-out text goes from %v to %v", family, first, last)
		}
		if manifest.Tokens != 100*64 || manifest.FLOPs <= 0 || manifest.Metrics["validation/bits_per_byte"] <= 0 || manifest.Metrics["parameters"] <= 0 {
			t.Errorf("%s: the manifest has %d tokens, %g FLOPs, %v", family, manifest.Tokens, manifest.FLOPs, manifest.Metrics)
		}
		m, tok, err := train.LoadModel(p.engine, out)
		if err != nil || m.Family != family || tok.VocabSize() != 280 || m.EOS < 0 || m.Pad < 0 {
			t.Errorf("%s: opens as %+v, %v", family, m, err)
		}
	}
}

// Promise 5 of the reliability list.
func TestResumedRunEndsWithTheBitsOfAStraightOne(t *testing.T) {
	p := newPress(t)
	c := tinyPretraining()
	straight := filepath.Join(t.TempDir(), "straight")
	if _, err := p.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	lines := readMetrics(t, straight)
	for stop := 1; stop <= 20; stop++ {
		out := filepath.Join(t.TempDir(), "out")
		if err := artifact.ArmFailpoint(fmt.Sprintf("train.after_step:%d:error", stop)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.run(t.Context(), c, out, 7); !errors.Is(err, artifact.ErrFailpoint) {
			t.Fatalf("%v, want the failpoint", err)
		}
		if err := artifact.ArmFailpoint(""); err != nil {
			t.Fatal(err)
		}
		if _, err := p.run(t.Context(), c, out, 7); err != nil {
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

// cancelled is a context that ends when it has been asked so often.
type cancelled struct {
	context.Context
	cancel context.CancelCauseFunc
	left   int
}

func (c *cancelled) Err() error {
	if c.left--; c.left <= 0 {
		c.cancel(artifact.ErrInterrupted)
	}
	return c.Context.Err()
}

func TestInterruptedRunEndsWithTheBitsOfAStraightOneWhereverItIsInterrupted(t *testing.T) {
	p := newPress(t)
	c := tinyPretraining()
	c.Steps, c.EvalEvery = 6, 3
	straight := filepath.Join(t.TempDir(), "straight")
	if _, err := p.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	interrupted := 0
	for asked := 1; ; asked += 7 {
		out := filepath.Join(t.TempDir(), "out")
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := p.run(&cancelled{ctx, cancel, asked}, c, out, 0)
		if err == nil {
			cancel(nil)
			break // it was never asked so often
		}
		if artifact.ExitCode(err) != 130 {
			t.Fatalf("interrupted when asked %d times: %v, want exit code 130", asked, err)
		}
		interrupted++
		if _, err := p.run(t.Context(), c, out, 0); err != nil {
			t.Fatal(err)
		}
		if weightsOf(t, out) != weightsOf(t, straight) || fmt.Sprint(readMetrics(t, out)) != fmt.Sprint(readMetrics(t, straight)) {
			t.Errorf("interrupted when asked %d times: other weights or metrics at the end", asked)
		}
	}
	if interrupted < 8 {
		t.Errorf("interrupted %d times only", interrupted)
	}
}

// Promise 6 of the reliability list, for evaluation.
func TestEvaluationDoesNotDependOnTheBatch(t *testing.T) {
	p := newPress(t)
	c := tinyPretraining()
	out := filepath.Join(t.TempDir(), "out")
	if _, err := p.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	shards, err := dataset.OpenShards(filepath.Join(out, "shards/validation"))
	if err != nil {
		t.Fatal(err)
	}
	defer shards.Close()
	for _, limit := range []int{0, 1, 7} {
		var want [2]float64
		for _, split := range [][2]int{{1, 1}, {1, 2}, {1, 5}, {2, 3}, {3, 16}} {
			engine := cpu.New(cpu.Options{Threads: split[0]})
			defer engine.Close()
			m, tok, err := train.LoadModel(engine, out)
			if err != nil {
				t.Fatal(err)
			}
			lm, err := train.NewLanguageModel(m, split[1], 16)
			if err != nil {
				t.Fatal(err)
			}
			e, err := NewEvaluation(lm, shards, tok)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time over what the first left in its rows
				loss, bits, err := e.Run(t.Context(), limit)
				if err != nil {
					t.Fatal(err)
				}
				got := [2]float64{loss, bits}
				if want == [2]float64{} {
					want = got
				}
				if got != want {
					t.Errorf("%d rows at most, %d threads, batches of %d: %v, want the bits of %v", limit, split[0], split[1], got, want)
				}
			}
		}
	}
}

func TestBitsPerByteAreTheLossOverTheBytesOfTheText(t *testing.T) {
	p := newPress(t)
	out := filepath.Join(t.TempDir(), "out")
	if _, err := p.run(t.Context(), tinyPretraining(), out, 0); err != nil {
		t.Fatal(err)
	}
	m, tok, err := train.LoadModel(reference.New(), out)
	if err != nil {
		t.Fatal(err)
	}
	shards, err := dataset.OpenShards(filepath.Join(out, "shards/validation"))
	if err != nil {
		t.Fatal(err)
	}
	defer shards.Close()
	lm, err := train.NewLanguageModel(m, 1, 16)
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEvaluation(lm, shards, tok)
	if err != nil {
		t.Fatal(err)
	}
	loss, got, err := e.Run(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int32, 3*16+1)
	if err := shards.Read(ids, 0); err != nil {
		t.Fatal(err)
	}
	var nats float64
	bytes := 0
	end, _ := tok.TokenID(tokenizer.EndOfText)
	for row := range 3 {
		rows := train.NewTextRows(1, 16)
		copy(rows.Tokens, ids[row*16:])
		copy(rows.Targets, ids[row*16+1:])
		losses, err := lm.Losses(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range losses {
			nats += float64(l)
			if rows.Targets[i] != end {
				bytes += len(tok.TokenBytes(rows.Targets[i]))
			}
		}
	}
	if want := nats / math.Ln2 / float64(bytes); math.Abs(got-want) > 1e-6 {
		t.Errorf("%v bits per byte, want %v", got, want)
	}
	if math.Abs(loss-nats/48) > 1e-6 {
		t.Errorf("a loss of %v nats per token, want %v", loss, nats/48)
	}
}

func TestRowsEndWithTheDocumentsEnd(t *testing.T) {
	p := newPress(t)
	out := filepath.Join(t.TempDir(), "out")
	if _, err := p.run(t.Context(), tinyPretraining(), out, 0); err != nil {
		t.Fatal(err)
	}
	report, err := corpus.ReadReport(p.inputs.Corpus)
	if err != nil {
		t.Fatal(err)
	}
	for _, split := range []corpus.Split{corpus.Train, corpus.Validation} {
		shards, err := dataset.OpenShards(filepath.Join(out, "shards", string(split)))
		if err != nil {
			t.Fatal(err)
		}
		defer shards.Close()
		ids := make([]int32, shards.Tokens())
		if err := shards.Read(ids, 0); err != nil {
			t.Fatal(err)
		}
		ends := 0
		for _, id := range ids {
			if id == 0 {
				ends++
			}
		}
		if want := report.Of(split).Documents; int64(ends) != int64(want) || want == 0 || ids[len(ids)-1] != 0 {
			t.Errorf("%s: %d ends for %d documents, the last token is %d", split, ends, want, ids[len(ids)-1])
		}
	}
}

func TestStepsTakeTheRowsOfTheTextOneAfterTheOther(t *testing.T) {
	p := newPress(t)
	c := tinyPretraining()
	c.Steps, c.LR, c.Seed = 3, 1e-30, 4 // the weights stay as they are
	out := filepath.Join(t.TempDir(), "out")
	if _, err := p.run(t.Context(), c, out, 0); err != nil {
		t.Fatal(err)
	}
	m, _, err := train.LoadModel(p.engine, out)
	if err != nil {
		t.Fatal(err)
	}
	shards, err := dataset.OpenShards(filepath.Join(out, "shards/train"))
	if err != nil {
		t.Fatal(err)
	}
	defer shards.Close()
	stream, err := dataset.NewStream(shards, dataset.StreamOptions{T: 16, Seed: 4, Shuffle: true})
	if err != nil {
		t.Fatal(err)
	}
	lm, err := train.NewLanguageModel(m, 4, 16)
	if err != nil {
		t.Fatal(err)
	}
	rows := train.NewTextRows(4, 16)
	for _, line := range readMetrics(t, out)[1:] {
		if err := stream.Batch(uint64(line.Step-1)*4, rows.Tokens, rows.Targets); err != nil {
			t.Fatal(err)
		}
		losses, err := lm.Losses(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		var want float64
		for _, l := range losses {
			want += float64(l) / 64
		}
		if got, _ := line.Value("loss"); math.Abs(got-want) > 1e-5 {
			t.Errorf("step %d has the loss %v, the rows that are its turn %v", line.Step, got, want)
		}
	}
}

// Shards that an interrupted run left are not those of another corpus.
func TestChangedCorpusIsTokenisedAgain(t *testing.T) {
	p := newPress(t)
	c := tinyPretraining()
	out, fresh := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "fresh")
	if err := artifact.ArmFailpoint("train.after_step:1:error"); err != nil {
		t.Fatal(err)
	}
	_, err := p.run(t.Context(), c, out, 0)
	if disarm := artifact.ArmFailpoint(""); disarm != nil {
		t.Fatal(disarm)
	}
	if !errors.Is(err, artifact.ErrFailpoint) {
		t.Fatal(err)
	}
	for i := range 40 {
		p.write(fmt.Sprintf("%02d.txt", i), strings.Repeat(fmt.Sprintf("the hill had %d sheep. ", i), 9))
	}
	p.corpus()
	for _, folder := range []string{out, fresh} {
		if _, err := p.run(t.Context(), c, folder, 0); err != nil {
			t.Fatal(err)
		}
	}
	if weightsOf(t, out) != weightsOf(t, fresh) {
		t.Error("the weights are not those of the corpus as it is")
	}
}

func TestChangedConfigurationOrInputIsRefusedByName(t *testing.T) {
	p := newPress(t)
	out := filepath.Join(t.TempDir(), "out")
	c := tinyPretraining()
	if err := artifact.ArmFailpoint("train.after_checkpoint:1:error"); err != nil {
		t.Fatal(err)
	}
	_, err := p.run(t.Context(), c, out, 5)
	if disarm := artifact.ArmFailpoint(""); disarm != nil {
		t.Fatal(disarm)
	}
	if !errors.Is(err, artifact.ErrFailpoint) {
		t.Fatal(err)
	}
	c.LR = .5
	if _, err := p.run(t.Context(), c, out, 5); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "config.lr was 0.01 and is 0.5") {
		t.Errorf("%v, want exit code 4 and the key", err)
	}
	c = tinyPretraining()
	p.write("00.txt", "another text")
	p.corpus()
	if _, err := p.run(t.Context(), c, out, 5); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "inputs.corpus") {
		t.Errorf("%v, want exit code 4 and the input", err)
	}
}

func TestModelFollowsTheConfiguration(t *testing.T) {
	tok := newPress(t).tokenizer(280)
	for _, test := range []struct {
		change func(*Config)
		check  func(model.Config) bool
	}{
		{func(*Config) {}, func(m model.Config) bool {
			return m.Vocabulary == 280 && m.HeadDim == 8 && m.KVHeads == 2 && m.RoPETheta == 10000 && m.Tied
		}},
		{func(c *Config) { c.KVHeads = 1 }, func(m model.Config) bool { return m.KVHeads == 1 }},
		{func(c *Config) { c.FeedForward, c.Width, c.Heads = 0, 192, 6 }, func(m model.Config) bool { return m.FeedForward == 512 && m.HeadDim == 32 }},
		{func(c *Config) { c.FeedForward, c.Family = 0, "gpt2" }, func(m model.Config) bool { return m.FeedForward == 64 && m.RoPETheta == 0 }},
		{func(c *Config) { c.Family = "gpt2" }, func(m model.Config) bool { return m.FeedForward == 24 }},
	} {
		c := tinyPretraining()
		test.change(&c)
		m, err := c.Model(tok)
		if err != nil || !test.check(m) {
			t.Errorf("%+v gives %+v, %v", c, m, err)
		}
	}
}

func TestWhatCannotBeTrainedIsRefusedWithTheRemedy(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(p *press, c *Config)
		code   int
		want   []string
	}{
		{"width and heads", func(p *press, c *Config) { c.Heads = 3 }, 4, []string{"width 16", "3 heads"}},
		{"batch and context", func(p *press, c *Config) { c.BatchTokens = 65 }, 4, []string{"batch_tokens 65", "context 16"}},
		{"batch and micro-batch", func(p *press, c *Config) { c.MicroRows = 3 }, 4, []string{"4 rows", "micro_rows 3"}},
		{"an unknown family", func(p *press, c *Config) { c.Family = "mamba" }, 4, []string{`"mamba"`}},
		{"an unknown decay", func(p *press, c *Config) { c.Decay = "staircase" }, 4, []string{`"staircase"`}},
		{"text too short for a row", func(p *press, c *Config) { c.Context, c.BatchTokens = 1<<16, 2<<16 }, 4, []string{"65536"}},
		{"an empty split", func(p *press, c *Config) {
			files, _ := filepath.Glob(filepath.Join(p.text, "*.txt"))
			for _, name := range files[1:] {
				os.Remove(name)
			}
			p.corpus()
		}, 4, []string{"split is empty", "with more documents"}},
		{"no corpus", func(p *press, c *Config) { p.inputs.Corpus += "x" }, 10, []string{"corpusx"}},
		{"no tokenizer", func(p *press, c *Config) { p.inputs.Tokenizer += "x" }, 10, []string{"tokenizerx"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPress(t)
			c := tinyPretraining()
			test.change(p, &c)
			_, err := p.run(t.Context(), c, filepath.Join(t.TempDir(), "out"), 0)
			if artifact.ExitCode(err) != test.code {
				t.Fatalf("exit code %d of %v, want %d", artifact.ExitCode(err), err, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
		})
	}
}

func TestOrderOfTheTextDependsOnTheSeed(t *testing.T) {
	p := newPress(t)
	var sums []string
	for _, seed := range []uint64{1, 2, 1} {
		c := tinyPretraining()
		c.Seed, c.Steps = seed, 3
		out := filepath.Join(t.TempDir(), "out")
		if _, err := p.run(t.Context(), c, out, 0); err != nil {
			t.Fatal(err)
		}
		sums = append(sums, weightsOf(t, out))
	}
	if sums[0] == sums[1] || sums[0] != sums[2] {
		t.Errorf("weights %.8s for the seeds 1, 2, 1", sums)
	}
}
