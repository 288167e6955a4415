package generate

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model"
)

// Prompts that begin as earlier texts did, wholly, in part or not at all, in the
// families' caches, with windows shorter than the texts (Mistral, Gemma 3).
func TestWhatIsKeptChangesNoToken(t *testing.T) {
	for _, family := range model.Decoders {
		for _, precision := range []cpu.Precision{cpu.FP32, cpu.BF16} {
			for _, slots := range []int{1, 3} {
				t.Run(fmt.Sprintf("%s %s %d", family, precision, slots), func(t *testing.T) {
					engine := func() compute.Engine {
						e := cpu.New(cpu.Options{Threads: 2, Precision: precision})
						t.Cleanup(func() { e.Close() })
						return e
					}
					g, fresh := newGenerator(t, newModel(t, engine(), family), slots, 60), newGenerator(t, newModel(t, engine(), family), 1, 60)
					g.Keep()
					texts := [][]int32{{1}}
					kept := 0
					for turn := range uint64(30) {
						s := Sampling{MaxTokens: 6, Seed: turn, Stop: []int32{7}}
						if turn%3 > 0 {
							s.Temperature, s.RepetitionPenalty, s.MinP = 1, 1.1, .01
						}
						requests := make([]Request, 1+turn%2)
						for i := range requests {
							draw := func(n, below int) int { return int(compute.Bits(turn, uint64(i), uint64(n)) % uint64(below)) }
							from := texts[len(texts)-1-draw(0, min(4, len(texts)))]
							prompt := slices.Clone(from[:1+draw(1, len(from))])
							for n := range draw(2, 20) {
								prompt = append(prompt, int32(draw(3+n, vocabulary)))
							}
							requests[i] = Request{Prompt: prompt[:min(len(prompt), 50)], Sample: i}
						}
						want := all(t, fresh, requests, s)
						for i, c := range all(t, g, requests, s) {
							if c.Kept >= len(requests[i].Prompt) {
								t.Fatalf("turn %d: %d of %d tokens are kept, and the logits of the last are needed", turn, c.Kept, len(requests[i].Prompt))
							}
							kept += c.Kept
							if c.Kept = 0; !reflect.DeepEqual(c, want[i]) {
								t.Fatalf("turn %d writes %v, and %v where nothing is kept", turn, c, want[i])
							}
							texts = append(texts, slices.Concat(requests[i].Prompt, c.Tokens))
						}
					}
					if kept < 200 {
						t.Errorf("%d tokens were kept in all", kept)
					}
				})
			}
		}
	}
}

// A conversation: each prompt is the text before with some more tokens. All but the
// last token that was sampled, which was never fed, is kept.
func TestOfAConversationOnlyWhatIsNewIsRead(t *testing.T) {
	g := newGenerator(t, newModel(t, newCPU(t, 1), model.Llama), 1, 64)
	g.Keep()
	prompt := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	s := Sampling{MaxTokens: 5}
	first := all(t, g, []Request{{Prompt: prompt}}, s)[0]
	text := slices.Concat(prompt, first.Tokens)
	second := all(t, g, []Request{{Prompt: append(text, 11, 12)}}, s)[0]
	if first.Kept != 0 || second.Kept != len(text)-1 {
		t.Errorf("kept %d, then %d; want none, then %d", first.Kept, second.Kept, len(text)-1)
	}
	before := g.FLOPs
	again := all(t, g, []Request{{Prompt: append(text, 11, 12), Sample: 1}}, s)[0]
	if again.Kept != len(text)+1 {
		t.Errorf("of the same prompt %d tokens are kept, want all %d but the last", again.Kept, len(text)+2)
	}
	keeping := g.FLOPs - before
	g.Forget()
	before = g.FLOPs
	if c := all(t, g, []Request{{Prompt: append(text, 11, 12), Sample: 1}}, s)[0]; c.Kept != 0 || g.FLOPs-before <= keeping {
		t.Errorf("after forgetting, %d tokens are kept, and it took %d FLOPs after %d", c.Kept, g.FLOPs-before, keeping)
	}
}

// What breaks off leaves in the cache what it had read and written by then.
func TestATextThatBreaksOffIsKeptAsFarAsItCame(t *testing.T) {
	g, fresh := newGenerator(t, newModel(t, newCPU(t, 1), model.Gemma3), 1, 64), newGenerator(t, newModel(t, newCPU(t, 1), model.Gemma3), 1, 64)
	g.Keep()
	enough := errors.New("enough")
	prompt := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	text := slices.Clone(prompt)
	_, err := g.Stream(t.Context(), Request{Prompt: prompt}, Sampling{MaxTokens: 20}, func(token int32) error {
		if text = append(text, token); len(text) == len(prompt)+4 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	requests := []Request{{Prompt: append(text, 3, 1)}}
	got, want := all(t, g, requests, Sampling{MaxTokens: 9})[0], all(t, fresh, requests, Sampling{MaxTokens: 9})[0]
	if got.Kept != len(prompt)+3 || !slices.Equal(got.Tokens, want.Tokens) {
		t.Errorf("goes on with %v after %d kept tokens; want %v after %d", got.Tokens, got.Kept, want.Tokens, len(prompt)+3)
	}
}

// A slot is chosen by what it holds, and one that holds nothing of the prompt by what
// is lost with it.
func TestAPromptTakesTheSlotThatHoldsMostOfIt(t *testing.T) {
	g := newGenerator(t, newModel(t, newCPU(t, 1), model.Llama), 3, 64)
	g.Keep()
	s := Sampling{MaxTokens: 1}
	long, short := []int32{1, 2, 3, 4, 5, 6, 7, 8}, []int32{9, 9, 9}
	for _, prompt := range [][]int32{long, short, {5, 5, 5, 5}} {
		all(t, g, []Request{{Prompt: prompt}}, s)
	}
	for _, test := range []struct {
		prompt []int32
		kept   int
	}{
		{append(slices.Clone(long), 1), 8},
		{[]int32{9, 9, 9, 9}, 3},
		{[]int32{20, 21}, 0}, // takes the place of 9, 9, 9, 9 or 5, 5, 5, 5
		{append(slices.Clone(long), 2), 8},
	} {
		if c := all(t, g, []Request{{Prompt: test.prompt}}, s)[0]; c.Kept != test.kept {
			t.Errorf("of %v, %d tokens were kept, want %d", test.prompt, c.Kept, test.kept)
		}
	}
}
