package train

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func newExamples() []dataset.Example {
	var out []dataset.Example
	for i := range 9 {
		e := dataset.Example{}
		for j := range 2 + i%5 + i/3 {
			e.Tokens = append(e.Tokens, int32(compute.Bits(2, uint64(i), uint64(j))%testVocabulary))
			e.Trained = append(e.Trained, j > i%3)
		}
		out = append(out, e)
	}
	return out
}

func newLanguageModel(t testing.TB, m *model.Model, b, length int) *LanguageModel {
	t.Helper()
	lm, err := NewLanguageModel(m, b, length)
	if err != nil {
		t.Fatal(err)
	}
	return lm
}

func TestLogProbsAreSumsOverTrainedTokens(t *testing.T) {
	m := newModel(t, reference.New(), model.Llama, true)
	examples := newExamples()
	got, err := LogProbs(t.Context(), newLanguageModel(t, m, 2, testContext), examples)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range examples {
		p := compute.NewProgram("logits")
		p.Output("logits", m.Logits(p, m.Hidden(p, m.NewBatch(p, 1, len(e.Tokens)))))
		x, err := m.Engine.Compile(p, m.Store)
		if err != nil {
			t.Fatal(err)
		}
		copy(x.Ints("tokens"), e.Tokens)
		for j := range e.Tokens {
			x.Ints("positions")[j] = int32(j)
		}
		if err := x.Run(); err != nil {
			t.Fatal(err)
		}
		var want float64
		for j := 1; j < len(e.Tokens); j++ {
			if !e.Trained[j] {
				continue
			}
			row := x.Floats("logits")[(j-1)*testVocabulary : j*testVocabulary]
			var sum float64
			for _, l := range row {
				sum += math.Exp(float64(l))
			}
			want += float64(row[e.Tokens[j]]) - math.Log(sum)
		}
		if math.Abs(got[i]-want) > 1e-5 {
			t.Errorf("example %d has the log-probability %v, want %v", i, got[i], want)
		}
	}
}

// Promise 6 of the reliability list, for evaluation.
func TestLogProbsDoNotDependOnTheBatch(t *testing.T) {
	for _, family := range model.Decoders {
		examples := newExamples()
		var want []float64
		for _, threads := range []int{1, 3} {
			for _, size := range [][2]int{{1, testContext}, {2, testContext}, {5, testContext}, {1, 8}, {3, 9}} {
				m := newModel(t, newEngine(t, threads), family, true)
				got, err := LogProbs(t.Context(), newLanguageModel(t, m, size[0], size[1]), examples)
				if err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = got
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s, %d threads, %d rows of %d: %v, want the bits of %v", family, threads, size[0], size[1], got, want)
				}
			}
		}
	}
}

func TestLossAtAPositionDoesNotDependOnTheBatch(t *testing.T) {
	var want []float32
	for _, b := range []int{1, 2, 3, 6} {
		m := newModel(t, newEngine(t, 2), model.Llama, true)
		lm, rows := newLanguageModel(t, m, b, testContext), NewTextRows(b, testContext)
		var got []float32
		for first := 0; first < 6; first += b {
			fillText(rows, first)
			losses, err := lm.Losses(t.Context(), rows)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, losses...)
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("batches of %d rows give other losses", b)
		}
	}
}

func TestLogProbsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(artifact.ErrInterrupted)
	lm := newLanguageModel(t, newModel(t, newEngine(t, 1), model.Llama, true), 2, testContext)
	if _, err := LogProbs(ctx, lm, newExamples()); exitCode(err) != 130 {
		t.Errorf("%v, want the cause", err)
	}
	if _, err := LogProbs(t.Context(), lm, []dataset.Example{{Tokens: make([]int32, testContext+1), Trained: make([]bool, testContext+1)}}); err == nil {
		t.Error("an example longer than a row is no error")
	}
}

func newTokenizer(t testing.TB, size int) *tokenizer.Tokenizer {
	t.Helper()
	docs := func(yield func(string, error) bool) { yield(strings.Repeat("a man a plan a canal panama ", 4), nil) }
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: size})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestModelFolderIsSavedWithItsTokenizer(t *testing.T) {
	engine, tok := newEngine(t, 1), newTokenizer(t, 270)
	c := newModel(t, engine, model.Llama, true).Config
	c.Vocabulary = 270
	m, err := model.New(engine, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := SaveModel(folder, "", m, tok, .7, chat.Ends(tok, nil)); err != nil {
		t.Fatal(err)
	}
	got, gotTok, err := LoadModel(engine, folder)
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, got) != digest(t, m) || !slices.Equal(gotTok.Encode("a plan"), tok.Encode("a plan")) {
		t.Error("came back different")
	}
	if want := []int32{2, 0}; !slices.Equal(chat.Ends(gotTok, nil), want) {
		t.Errorf("texts end at %v, want the end of a turn and of a document, %v", chat.Ends(gotTok, nil), want)
	}

	if err := SaveModel(folder, "", m, newTokenizer(t, 272), .7, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadModel(engine, folder); exitCode(err) != 4 || !strings.Contains(err.Error(), "272 tokens") || !strings.Contains(err.Error(), "[270 16]") || !strings.Contains(err.Error(), folder) {
		t.Errorf("a larger tokenizer than the model's: %v, want exit code 4 with folder and both sizes", err)
	}
}

// What a model's makers recommend, and which tokens they say end a text, outlives
// that it is trained and saved.
func TestWhatAFolderSaysOfWritingTextsIsKept(t *testing.T) {
	engine, tok := newEngine(t, 1), newTokenizer(t, 270)
	c := newModel(t, engine, model.Llama, true).Config
	c.Vocabulary = 270
	m, err := model.New(engine, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	folder, out := t.TempDir(), t.TempDir()
	if err := SaveModel(folder, "", m, tok, 1, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, file.GenerationFile)
	if err := os.WriteFile(path, []byte(`{"eos_token_id": [0, 40], "temperature": 0.6, "top_p": 0.95, "do_sample": true, "max_new_tokens": 99}`), 0o666); err != nil {
		t.Fatal(err)
	}
	tr, err := Open(&stage.Work{Environment: stage.Environment{Engine: engine}}, "test", folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Converse(); err != nil {
		t.Fatal(err)
	}
	if want := []int32{2, 0, 40}; !slices.Equal(tr.Ends, want) {
		t.Errorf("texts end at %v, want %v", tr.Ends, want)
	}
	if tr.Model, err = tr.Model.Clone(); err != nil { // as what adds a head does
		t.Fatal(err)
	}
	if err := SaveModel(out, folder, tr.Model, tok, 1, tr.Ends); err != nil {
		t.Fatal(err)
	}
	g, err := file.ReadGeneration(out)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.Ends, []int{2, 0, 40}) || *g.Temperature != .6 || *g.TopP != .95 || string(g.Keys["max_new_tokens"]) != "99" {
		t.Errorf("saved were %+v", g)
	}
}
