package preference

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func TestTheCompletionsOfARankingBeginWhereThePromptEnds(t *testing.T) {
	docs := func(yield func(string, error) bool) { yield(strings.Repeat("user assistant say it up down ", 4), nil) }
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 280})
	if err != nil {
		t.Fatal(err)
	}
	template, err := chat.For(tok)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rankings.jsonl")
	if err := dataset.WriteRankings(path, []dataset.Ranking{
		{Prompt: dataset.UserPrompt("say it", ""), Completions: []string{"up", "up down"}, Ranks: []int{1, 2}},
		{Prompt: dataset.UserPrompt("say it", "it"), Completions: []string{" up", " down", " it"}, Ranks: []int{2, 1, 2}},
	}); err != nil {
		t.Fatal(err)
	}
	file, err := Load(template, path, dataset.Reading{}, 4, 64)
	if err != nil || len(file.Rankings) != 2 {
		t.Fatalf("%d rankings, %v", len(file.Rankings), err)
	}
	end, _ := tok.TokenID(tokenizer.IMEnd)
	for i, words := range [][]string{{"up", "up down"}, {" up", " down", " it"}} {
		for k, text := range file.Rankings[i].Texts {
			if got, want := text[file.Rankings[i].Begin:], append(tok.Encode(words[k]), end); !slices.Equal(got, want) {
				t.Errorf("completion %d of ranking %d is %v, want %v", k, i, got, want)
			}
		}
	}
}
