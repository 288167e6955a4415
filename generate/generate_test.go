package generate

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
)

const vocabulary = 29

func newModel(t testing.TB, engine compute.Engine, family model.Family) *model.Model {
	t.Helper()
	c := model.Config{
		Family: family, Head: model.LanguageModel, Vocabulary: vocabulary, Context: 64, Width: 16, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 4,
		FeedForward: 24, Epsilon: 1e-5, RoPETheta: 10000, Tied: true, InitRange: .5, BOS: -1, EOS: -1, Pad: -1,
	}
	if family == model.GPT2 {
		c.KVHeads = 4
	}
	if family == model.Gemma3 {
		c.Window, c.Windowed = 9, []bool{true, false}
	}
	if family == model.Mistral {
		c.Window, c.Windowed = 7, []bool{true, true}
	}
	m, err := model.New(engine, c.Complete(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newCPU(t testing.TB, threads int) compute.Engine {
	engine := cpu.New(cpu.Options{Threads: threads})
	t.Cleanup(func() { engine.Close() })
	return engine
}

func newGenerator(t testing.TB, m *model.Model, slots, length int) *Generator {
	t.Helper()
	g, err := New(m, slots, length)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func all(t testing.TB, g *Generator, requests []Request, s Sampling) []Completion {
	t.Helper()
	out, err := g.All(t.Context(), requests, s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// requests of prompts of 1 to 40 tokens, longer than a chunk of the prefill.
func manyRequests(n int) []Request {
	out := make([]Request, n)
	for i := range out {
		out[i].Prompt = make([]int32, 1+i*39/n)
		for j := range out[i].Prompt {
			out[i].Prompt[j] = int32(compute.Bits(3, uint64(i), uint64(j)) % vocabulary)
		}
		out[i].Sample = i % 3
	}
	return out
}

func TestSamplesDoNotDependOnSlotsOrderCompanyOrThreads(t *testing.T) {
	s := Sampling{Temperature: .9, TopK: 20, TopP: .95, Seed: 5, MaxTokens: 12, Stop: []int32{7, 11}}
	for _, family := range []model.Family{model.GPT2, model.Qwen3} {
		requests := manyRequests(19)
		want := all(t, newGenerator(t, newModel(t, newCPU(t, 1), family), 1, 56), requests, s)
		ended := 0
		for _, c := range want {
			if c.Ended {
				ended++
			}
		}
		if ended == 0 || ended == len(want) {
			t.Fatalf("%d of %d texts end themselves: no slot changes hands at different times", ended, len(want))
		}
		backwards := slices.Clone(requests)
		slices.Reverse(backwards)
		for _, threads := range []int{1, 2} {
			for _, slots := range []int{2, 3, 8, 32} {
				g := newGenerator(t, newModel(t, newCPU(t, threads), family), slots, 56)
				if got := all(t, g, requests, s); !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %d threads, %d slots: other tokens than with one slot", family, threads, slots)
				}
				got := all(t, g, backwards, s)
				slices.Reverse(got)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %d threads, %d slots: other tokens in another order", family, threads, slots)
				}
				if got := all(t, g, requests[4:5], s); !reflect.DeepEqual(got, want[4:5]) {
					t.Errorf("%s, %d threads, %d slots: other tokens alone", family, threads, slots)
				}
			}
		}
	}
}

func TestStreamGivesTheTokensOfTheBatch(t *testing.T) {
	g := newGenerator(t, newModel(t, newCPU(t, 1), model.Llama), 4, 56)
	s := Sampling{Temperature: 1, Seed: 5, MaxTokens: 9, Stop: []int32{7, 11}}
	requests := manyRequests(6)
	for i, want := range all(t, g, requests, s) {
		var tokens []int32
		c, err := g.Stream(t.Context(), requests[i], s, func(token int32) error {
			tokens = append(tokens, token)
			return nil
		})
		if err != nil || !reflect.DeepEqual(c, want) || !slices.Equal(tokens, want.Tokens) {
			t.Errorf("request %d streams %v and ends with %v, %v; the batch has %v", i, tokens, c, err, want)
		}
	}
}

// forward gives the logits after the last token of a text, without a cache.
func forward(t testing.TB, m *model.Model, text []int32) []float32 {
	t.Helper()
	p := compute.NewProgram("forward")
	p.Output("logits", m.Logits(p, m.Hidden(p, m.NewBatch(p, 1, len(text)))))
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
	return x.Floats("logits")[(len(text)-1)*vocabulary:]
}

func TestGreedyIsTheMostLikelyTokenOfTheWholeForwardPass(t *testing.T) {
	for _, family := range model.Decoders {
		m := newModel(t, reference.New(), family)
		requests := manyRequests(5)
		for i, c := range all(t, newGenerator(t, m, 2, 48), requests, Sampling{MaxTokens: 6}) {
			text := slices.Clone(requests[i].Prompt)
			for at, got := range c.Tokens {
				logits := forward(t, m, text)
				best := 0
				for token := range logits {
					if logits[token] > logits[best] {
						best = token
					}
				}
				if int(got) != best {
					t.Errorf("%s, request %d, token %d is %d, want %d", family, i, at, got, best)
				}
				text = append(text, got)
			}
		}
	}
}

func TestSampleNumberAndSeedGiveOtherTexts(t *testing.T) {
	g := newGenerator(t, newModel(t, newCPU(t, 1), model.Llama), 4, 56)
	prompt := []int32{1, 2, 3}
	s := Sampling{Temperature: 1, Seed: 5, MaxTokens: 20}
	texts := all(t, g, []Request{{prompt, 0}, {prompt, 1}, {prompt, 0}}, s)
	if !reflect.DeepEqual(texts[0], texts[2]) {
		t.Error("one sample number gives two texts")
	}
	if reflect.DeepEqual(texts[0], texts[1]) {
		t.Error("two sample numbers give one text")
	}
	s.Seed++
	if reflect.DeepEqual(all(t, g, []Request{{prompt, 0}}, s)[0], texts[0]) {
		t.Error("two seeds give one text")
	}
}

func TestTextsEndWhereTheyMust(t *testing.T) {
	m := newModel(t, newCPU(t, 1), model.Llama)
	g := newGenerator(t, m, 2, 16)
	prompt := []int32{1, 2, 3}
	free := all(t, g, []Request{{Prompt: prompt}}, Sampling{MaxTokens: 100})[0]
	if free.Ended || len(free.Tokens) != 13 {
		t.Errorf("without a stop token: %d tokens, ended %v; want the 13 that fill the cache", len(free.Tokens), free.Ended)
	}
	short := all(t, g, []Request{{Prompt: prompt}}, Sampling{MaxTokens: 4})[0]
	if short.Ended || !slices.Equal(short.Tokens, free.Tokens[:4]) {
		t.Errorf("with 4 tokens at most: %v, want the beginning of %v", short, free.Tokens)
	}
	first := slices.Index(free.Tokens, free.Tokens[6]) // where the token that stands at 6 comes first
	stopped := all(t, g, []Request{{Prompt: prompt}}, Sampling{MaxTokens: 100, Stop: []int32{free.Tokens[6]}})[0]
	if !stopped.Ended || !slices.Equal(stopped.Tokens, free.Tokens[:first+1]) {
		t.Errorf("with a stop token: %v, want %v ended", stopped, free.Tokens[:first+1])
	}
	// A stop token that is the last one allowed still ends the text.
	last := all(t, g, []Request{{Prompt: prompt}}, Sampling{MaxTokens: first + 1, Stop: []int32{free.Tokens[6]}})[0]
	if !last.Ended {
		t.Error("a stop token at the last place did not end the text")
	}
	full := all(t, g, []Request{{Prompt: make([]int32, 15)}}, Sampling{MaxTokens: 100})[0]
	if len(full.Tokens) != 1 {
		t.Errorf("a prompt that leaves one place gives %d tokens", len(full.Tokens))
	}
}

// The text's own tokens count for the penalty, not only the prompt's: a very large
// one makes a greedy text name every token before any comes twice.
func TestAPenaltyMakesTokensOfThePromptAndTheTextRare(t *testing.T) {
	g := newGenerator(t, newModel(t, newCPU(t, 1), model.Llama), 2, 56)
	prompt := []int32{1, 2, 3}
	s := Sampling{RepetitionPenalty: 1e6, MaxTokens: 8}
	for _, s.Temperature = range []float64{0, .1} {
		c := all(t, g, []Request{{Prompt: prompt}}, s)[0]
		text := slices.Concat(prompt, c.Tokens)
		if slices.Sort(text); len(slices.Compact(text)) != 11 {
			t.Errorf("temperature %g: %v repeats a token of itself or of %v", s.Temperature, c.Tokens, prompt)
		}
	}
	plain := all(t, g, []Request{{Prompt: prompt}}, Sampling{Temperature: 1, Seed: 5, MaxTokens: 30})
	if got := all(t, g, []Request{{Prompt: prompt}}, Sampling{Temperature: 1, Seed: 5, MaxTokens: 30, RepetitionPenalty: 1}); !reflect.DeepEqual(got, plain) {
		t.Error("a penalty of 1 changes what is drawn")
	}
}

func TestATextEndsWhereItsOwnWatchSays(t *testing.T) {
	g := newGenerator(t, newModel(t, newCPU(t, 1), model.Llama), 3, 56)
	free := all(t, g, manyRequests(7), Sampling{MaxTokens: 12})
	s := Sampling{MaxTokens: 12, Until: func() func(int32) bool {
		n := 0
		return func(int32) bool { n++; return n == 5 }
	}}
	for i, c := range all(t, g, manyRequests(7), s) {
		if !c.Ended || !slices.Equal(c.Tokens, free[i].Tokens[:5]) {
			t.Errorf("text %d is %v, want the first five of %v, ended", i, c, free[i].Tokens)
		}
	}
}

func TestBannedTokensAreNeverDrawn(t *testing.T) {
	g := newGenerator(t, newModel(t, newCPU(t, 1), model.Llama), 4, 56)
	for _, temperature := range []float64{0, 2} {
		s := Sampling{Temperature: temperature, MaxTokens: 50}
		for token := int32(0); token < vocabulary-2; token++ {
			s.Banned = append(s.Banned, token)
		}
		for _, token := range all(t, g, []Request{{Prompt: []int32{4}}}, s)[0].Tokens {
			if token < vocabulary-2 {
				t.Fatalf("token %d was drawn at temperature %g", token, temperature)
			}
		}
	}
}

func TestGeneratorReadsTheWeightsOfTheMoment(t *testing.T) {
	m := newModel(t, newCPU(t, 1), model.Llama)
	g := newGenerator(t, m, 4, 56)
	requests, s := manyRequests(4), Sampling{Temperature: 1, MaxTokens: 8}
	before := all(t, g, requests, s)
	shape, _ := m.Store.Shape("model.norm.weight")
	if err := m.Store.Write("model.norm.weight", slices.Repeat([]float32{-1}, shape.Size())); err != nil {
		t.Fatal(err)
	}
	after := all(t, g, requests, s)
	clone, err := m.Clone()
	if err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(before, after) || !reflect.DeepEqual(after, all(t, newGenerator(t, clone, 4, 56), requests, s)) {
		t.Error("the texts are not those of the changed weights")
	}
}

func TestGeneratingRefusesWhatItCannotDo(t *testing.T) {
	m := newModel(t, newCPU(t, 1), model.Llama)
	g := newGenerator(t, m, 2, 16)
	ok := Sampling{MaxTokens: 4}
	for _, test := range []struct {
		name    string
		prompt  []int32
		s       Sampling
		message string
	}{
		{"empty prompt", nil, ok, "prompt 0 is empty"},
		{"prompt as long as the cache", make([]int32, 16), ok, "prompt 0 has 16 tokens"},
		{"temperature below 0", []int32{1}, Sampling{MaxTokens: 1, Temperature: -1}, "temperature is -1"},
		{"temperature NaN", []int32{1}, Sampling{MaxTokens: 1, Temperature: math.NaN()}, "temperature is NaN"},
		{"top-k below 0", []int32{1}, Sampling{MaxTokens: 1, TopK: -1}, "top-k is -1"},
		{"top-p above 1", []int32{1}, Sampling{MaxTokens: 1, TopP: 1.5}, "top-p is 1.5"},
		{"min-p above 1", []int32{1}, Sampling{MaxTokens: 1, MinP: 1.1}, "min-p is 1.1"},
		{"min-p NaN", []int32{1}, Sampling{MaxTokens: 1, MinP: math.NaN()}, "min-p is NaN"},
		{"penalty below 0", []int32{1}, Sampling{MaxTokens: 1, RepetitionPenalty: -1}, "repetition penalty is -1"},
		{"endless penalty", []int32{1}, Sampling{MaxTokens: 1, RepetitionPenalty: math.Inf(1)}, "repetition penalty is +Inf"},
		{"no tokens", []int32{1}, Sampling{}, "max tokens is 0"},
		{"banned token below 0", []int32{1}, Sampling{MaxTokens: 1, Banned: []int32{-1}}, "banned token -1"},
	} {
		_, err := g.All(t.Context(), []Request{{Prompt: test.prompt}}, test.s)
		if artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), test.message) {
			t.Errorf("%s: %v, want exit code 4 and %q", test.name, err, test.message)
		}
	}
	if _, err := g.All(t.Context(), []Request{{Prompt: []int32{vocabulary}}}, ok); err == nil {
		t.Error("a token outside the vocabulary is no error")
	}
	for _, test := range []struct{ slots, length int }{{0, 16}, {2, 1}, {2, 65}} {
		if _, err := New(m, test.slots, test.length); artifact.ExitCode(err) != 4 {
			t.Errorf("%d slots of %d tokens: %v, want exit code 4", test.slots, test.length, err)
		}
	}
	scalar, err := m.WithHead(model.Scalar, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(scalar, 2, 16); artifact.ExitCode(err) != 4 {
		t.Errorf("a reward model generates: %v", err)
	}
}

func TestOnlyALanguageModelGenerates(t *testing.T) {
	m, err := newModel(t, newCPU(t, 1), model.Llama).WithHead(model.Classes, 1, "no", "yes")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(m, 1, 8); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), `"classes" head`) || !strings.Contains(err.Error(), "give a language model") {
		t.Errorf("%v, want exit code 4, the head and the remedy", err)
	}
}

func TestLogitsThatAreNoNumbersEndTheWork(t *testing.T) {
	for _, temperature := range []float64{0, 1} {
		m := newModel(t, newCPU(t, 1), model.Llama)
		shape, _ := m.Store.Shape("model.norm.weight")
		if err := m.Store.Write("model.norm.weight", slices.Repeat([]float32{float32(math.NaN())}, shape.Size())); err != nil {
			t.Fatal(err)
		}
		_, err := newGenerator(t, m, 2, 16).All(t.Context(), manyRequests(1), Sampling{Temperature: temperature, MaxTokens: 2})
		if artifact.ExitCode(err) != 20 || !strings.Contains(err.Error(), "prompt 0") {
			t.Errorf("temperature %g: %v, want exit code 20 and the prompt", temperature, err)
		}
	}
}

func TestGeneratingEndsWithItsContext(t *testing.T) {
	g := newGenerator(t, newModel(t, newCPU(t, 1), model.Llama), 2, 56)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	err := g.Run(ctx, manyRequests(9), Sampling{MaxTokens: 3}, func(int, Completion) error {
		if n++; n == 2 {
			cancel(cause)
		}
		return nil
	})
	if !errors.Is(err, cause) || n >= 9 {
		t.Errorf("%v after %d texts, want the cause", err, n)
	}
	err = g.Run(t.Context(), manyRequests(9), Sampling{MaxTokens: 3}, func(int, Completion) error { return cause })
	if !errors.Is(err, cause) {
		t.Errorf("an error of the caller became %v", err)
	}
	if got := all(t, g, manyRequests(9), Sampling{MaxTokens: 3}); len(got[8].Tokens) != 3 {
		t.Errorf("after two runs that were cut off: %v", got)
	}
}

func TestGeneratorCountsItsFLOPs(t *testing.T) {
	g := newGenerator(t, newModel(t, newCPU(t, 1), model.Llama), 2, 56)
	all(t, g, manyRequests(1), Sampling{MaxTokens: 1})
	one := g.FLOPs
	all(t, g, manyRequests(1), Sampling{MaxTokens: 3})
	if one <= 0 || g.FLOPs <= 2*one {
		t.Errorf("%d FLOPs for one token, %d with three more", one, g.FLOPs)
	}
}
