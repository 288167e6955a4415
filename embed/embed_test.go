package embed

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
)

func newModel(t *testing.T, family model.Family) *model.Model {
	t.Helper()
	engine := cpu.New(cpu.Options{Threads: 2})
	t.Cleanup(func() { engine.Close() })
	c := model.Config{
		Family: family, Head: model.LanguageModel, Vocabulary: 60, Context: 40, Width: 32, Layers: 2, Heads: 2, FeedForward: 48,
		RoPETheta: 10000, Epsilon: 1e-6, Tied: true, InitRange: .3, BOS: -1, EOS: -1, Pad: -1,
	}
	if family.Encoder() {
		c.Head, c.RoPETheta = model.MaskedLanguageModel, 0
	}
	m, err := model.New(engine, c.Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// pooled are settings of one pooling.
func pooled(p Pooling, normalize bool, context int) Settings {
	s := Settings{Poolings: []Pooling{p}, Context: context}
	s.Normalize(normalize)
	return s
}

func newEmbedder(t *testing.T, m *model.Model, rows int, s Settings) *Embedder {
	t.Helper()
	e, err := New(m, nil, rows, s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func texts(n int) [][]int32 {
	out := make([][]int32, n)
	for i := range out {
		out[i] = make([]int32, 1+compute.Bits(1, 1, uint64(i))%20)
		for j := range out[i] {
			out[i][j] = int32(compute.Bits(2, uint64(i), uint64(j)) % 60)
		}
	}
	return out
}

func embedAll(t *testing.T, e *Embedder, texts [][]int32) [][]float32 {
	t.Helper()
	vectors, err := e.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	return vectors
}

func TestAVectorDoesNotDependOnTheTextsBeside(t *testing.T) {
	for _, family := range []model.Family{model.BERT, model.Llama} {
		for _, pooling := range Poolings {
			m := newModel(t, family)
			s := pooled(pooling, true, 40)
			all := texts(30)
			alone := newEmbedder(t, m, 1, s)
			for _, rows := range []int{1, 2, 8} {
				together := embedAll(t, newEmbedder(t, m, rows, s), all)
				for i, text := range all {
					if !slices.Equal(embedAll(t, alone, [][]int32{text})[0], together[i]) {
						t.Fatalf("%s, %s: text %d differs among others in batches of %d rows", family, pooling, i, rows)
					}
				}
			}
		}
	}
}

func TestNormalisedVectorsHaveLengthOneAndTheDirectionOfTheOthers(t *testing.T) {
	m := newModel(t, model.BERT)
	raw := embedAll(t, newEmbedder(t, m, 2, pooled(Mean, false, 40)), texts(5))
	unit := embedAll(t, newEmbedder(t, m, 2, pooled(Mean, true, 40)), texts(5))
	for i := range raw {
		length, squares := 0.0, 0.0
		for d := range raw[i] {
			length += float64(raw[i][d]) * float64(raw[i][d])
			squares += float64(unit[i][d]) * float64(unit[i][d])
		}
		length = math.Sqrt(length)
		if math.Abs(squares-1) > 1e-6 || math.Abs(length-1) < .01 {
			t.Errorf("lengths %v and %v", length, squares)
		}
		for d := range raw[i] {
			if math.Abs(float64(raw[i][d])/length-float64(unit[i][d])) > 1e-6 {
				t.Errorf("text %d: another direction", i)
				break
			}
		}
	}
}

// The oracle is the hidden states of a Program over one text without padding.
func TestPoolingIsThatOfSentenceTransformers(t *testing.T) {
	m := newModel(t, model.BERT)
	text := []int32{3, 14, 15, 9, 26}
	p := compute.NewProgram("one text")
	p.Output("hidden", m.Hidden(p, m.NewBatch(p, 1, len(text))))
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		t.Fatal(err)
	}
	copy(x.Ints("tokens"), text)
	for i := range text {
		x.Ints("positions")[i] = int32(i)
	}
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	hidden := x.Floats("hidden")
	// As sentence-transformers' Pooling says them, written out for five tokens.
	ways := map[Pooling]func(h []float64) float64{
		Mean:         func(h []float64) float64 { return (h[0] + h[1] + h[2] + h[3] + h[4]) / 5 },
		MeanSqrtLen:  func(h []float64) float64 { return (h[0] + h[1] + h[2] + h[3] + h[4]) / math.Sqrt(5) },
		WeightedMean: func(h []float64) float64 { return (h[0] + 2*h[1] + 3*h[2] + 4*h[3] + 5*h[4]) / 15 },
		CLS:          func(h []float64) float64 { return h[0] },
		LastToken:    func(h []float64) float64 { return h[4] },
		Max:          func(h []float64) float64 { return slices.Max(h) },
	}
	all := Settings{Context: 16}
	var wants []float64
	for _, way := range Poolings {
		all.Poolings = append(all.Poolings, way)
		got := embedAll(t, newEmbedder(t, m, 3, pooled(way, false, 16)), [][]int32{text})[0]
		for d := range m.Width {
			h := make([]float64, len(text))
			for i := range text {
				h[i] = float64(hidden[i*m.Width+d])
			}
			want := ways[way](h)
			wants = append(wants, want)
			if math.Abs(want-float64(got[d])) > 1e-5 {
				t.Fatalf("%s, dimension %d: %v, want %v", way, d, got[d], want)
			}
		}
	}
	for d, got := range embedAll(t, newEmbedder(t, m, 3, all), [][]int32{text})[0] {
		if math.Abs(wants[d]-float64(got)) > 1e-5 {
			t.Fatalf("all of them, number %d: %v, want %v", d, got, wants[d])
		}
	}
}

func TestWhatCannotBeEmbeddedIsRefused(t *testing.T) {
	m := newModel(t, model.BERT)
	for name, s := range map[string]Settings{"pooling": pooled("sum", true, 8), "no pooling": {Context: 8}, "context": pooled(Mean, true, 41), "no context": pooled(Mean, true, 0)} {
		if _, err := New(m, nil, 1, s); !errors.Is(err, artifact.ErrUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e := newEmbedder(t, m, 1, pooled(Mean, true, 8))
	for _, text := range [][]int32{{}, make([]int32, 9)} {
		if _, err := e.Embed(t.Context(), [][]int32{{1}, text}); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "text 1") {
			t.Errorf("a text of %d tokens: %v", len(text), err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(artifact.ErrInterrupted)
	if _, err := e.Embed(ctx, [][]int32{{1}}); !errors.Is(err, artifact.ErrInterrupted) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSettingsAreThoseOfTheFolder(t *testing.T) {
	for _, c := range []struct {
		pooling, limit string
		want           Settings
		says           string
	}{
		{"", "", pooled(Mean, true, 512), ""},
		{`{"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":false,"word_embedding_dimension":4}`, `{"max_seq_length":256}`, pooled(Mean, true, 256), ""},
		{`{"pooling_mode_mean_tokens":false,"pooling_mode_cls_token":true}`, `{"max_seq_length":9999}`, pooled(CLS, true, 512), ""},
		{`{"pooling_mode_max_tokens":true}`, "", pooled(Max, true, 512), ""},
		{`{"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":true}`, "", Settings{Poolings: []Pooling{CLS, Mean}, Steps: []Step{{}}, Context: 512}, ""},
		{`{"pooling_mode_mean_tokens":false}`, "", pooled(Mean, true, 512), ""},
		{`{"embedding_dimension":4,"pooling_mode":"lasttoken","include_prompt":true}`, "", pooled(LastToken, true, 512), ""},
		{`{"pooling_mode":["max","weightedmean"],"pooling_mode_cls_token":true}`, "", Settings{Poolings: []Pooling{Max, WeightedMean}, Steps: []Step{{}}, Context: 512}, ""},
		{`{"pooling_mode":"sum"}`, "", Settings{}, `pools by "sum"`},
		{`{"pooling_mode":7}`, "", Settings{}, "pooling_mode"},
		{`{"pooling_mode":"mean","pooling_colour":"red"}`, "", Settings{}, "pooling_colour"},
		{`{"pooling_mode_cls_token":"yes"}`, "", Settings{}, "pooling_mode_cls_token"},
		{"", `{"max_seq_length":8,"do_lower_case":true}`, Settings{Poolings: []Pooling{Mean}, Steps: []Step{{}}, Context: 8, LowerCase: true}, ""},
		{"", `{"transformer_task":"fill-mask"}`, Settings{}, "transformer_task"},
		{`[]`, "", Settings{}, "1_Pooling"},
	} {
		folder := t.TempDir()
		for name, text := range map[string]string{"1_Pooling/config.json": c.pooling, "sentence_bert_config.json": c.limit} {
			if text == "" {
				continue
			}
			path := filepath.Join(folder, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, err := ReadSettings(folder, 512, "")
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.pooling, err)
			}
		} else if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.pooling, got, err, c.want)
		}
	}
}

func TestAModelInOneFileHasTheUsualSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(file, []byte("GGUF"), 0o666); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadSettings(file, 512, ""); err != nil || !reflect.DeepEqual(s, pooled(Mean, true, 512)) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSettingsGoWithTheModel(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"1_Pooling/config.json": `{"pooling_mode_cls_token": true}`, "sentence_bert_config.json": `{"max_seq_length": 99}`, "other.json": `{}`} {
		path := filepath.Join(from, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := CopySettings(from, to); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadSettings(to, 512, ""); err != nil || !reflect.DeepEqual(s, pooled(CLS, true, 99)) {
		t.Errorf("settings %+v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Join(to, "other.json")); err == nil {
		t.Error("a file of no known meaning was copied")
	}
	if err := CopySettings(filepath.Join(from, "other.json"), to); err != nil {
		t.Errorf("a model in one file: %v", err)
	}
}

// The pooling that the folder asks for and the caller does not is no obstacle,
// and what else the folder says still counts.
func TestAPoolingThatIsGivenLeavesTheFoldersOtherSettings(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "1_Pooling"), 0o777); err != nil {
		t.Fatal(err)
	}
	limits := filepath.Join(folder, "sentence_bert_config.json")
	for path, text := range map[string]string{filepath.Join(folder, "1_Pooling", "config.json"): `{"pooling_mode_max_tokens":true}`, limits: `{"max_seq_length":256}`} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadSettings(folder, 512, CLS); err != nil || !reflect.DeepEqual(got, pooled(CLS, true, 256)) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := os.WriteFile(limits, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSettings(folder, 512, CLS); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("damaged limits: %v", err)
	}
}
