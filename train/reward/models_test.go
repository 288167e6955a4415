package reward

import (
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

func newTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	docs := func(yield func(string, error) bool) {
		yield(strings.Repeat("say it up say it down say it up and say it down user assistant ", 3), nil)
	}
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 280})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func newTemplate(t testing.TB, tok *tokenizer.Tokenizer) *chat.Template {
	t.Helper()
	template, err := chat.For(tok)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func tinyConfig(tok *tokenizer.Tokenizer) model.Config {
	pad, _ := tok.Pad()
	return model.Config{
		Family: model.Llama, Head: model.LanguageModel, Vocabulary: tok.VocabSize(), Context: 64,
		Width: 32, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 16, FeedForward: 48,
		Epsilon: 1e-6, RoPETheta: 10000, Tied: true, InitRange: .08, BOS: -1, EOS: -1, Pad: int(pad),
	}
}

func newModel(t testing.TB, engine compute.Engine, c model.Config) *model.Model {
	t.Helper()
	m, err := model.New(engine, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newRewardModel(t testing.TB, engine compute.Engine, tok *tokenizer.Tokenizer) *model.Model {
	t.Helper()
	c := tinyConfig(tok)
	c.Head = model.Scalar
	return newModel(t, engine, c)
}

func newScorer(t testing.TB, m *model.Model, rows, length int) *preference.Scorer {
	t.Helper()
	s, err := preference.NewScorer(m, rows, length)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t testing.TB, m *model.Model, name string) []float32 {
	t.Helper()
	shape, ok := m.Store.Shape(name)
	if !ok {
		t.Fatalf("the model has no %s", name)
	}
	data := make([]float32, shape.Size())
	if err := m.Store.Read(name, data); err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, m *model.Model, name string, data ...float32) {
	t.Helper()
	if err := m.Store.Write(name, data); err != nil {
		t.Fatal(err)
	}
}

// randomTexts draws token sequences that hold no pad token.
func randomTexts(n, least, most, vocabulary int, seed uint64) [][]int32 {
	texts := make([][]int32, n)
	for i := range texts {
		texts[i] = make([]int32, least+int(compute.Bits(seed, 1, uint64(i))%uint64(most-least+1)))
		for j := range texts[i] {
			texts[i][j] = 4 + int32(compute.Bits(seed, 2, uint64(i*1000+j))%uint64(vocabulary-4))
		}
	}
	return texts
}

// randomRankings makes a ranking of random texts of each list of ranks.
func randomRankings(vocabulary int, ranks ...[]int) []preference.Ranking {
	var list []preference.Ranking
	for i, r := range ranks {
		list = append(list, preference.Ranking{Line: i, Texts: randomTexts(len(r), 3, 14, vocabulary, uint64(i+1)), Ranks: r, Pairs: dataset.Pairs(r)})
	}
	return list
}

func gradients(t testing.TB, m *model.Model) map[string][]float32 {
	t.Helper()
	out := make(map[string][]float32)
	for _, p := range m.Parameters() {
		g, err := train.Gradient(m, p)
		if err != nil {
			t.Fatal(err)
		}
		out[p.Name] = g
	}
	return out
}
