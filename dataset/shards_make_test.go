package dataset_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func TestShardsAreMadeOnceOfATextAndATokenizer(t *testing.T) {
	texts := []string{"it is blue", "it is red and blue"}
	docs := func(yield func(string, error) bool) { yield(strings.Repeat("it is red, it is blue and ", 9), nil) }
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 270})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "shards")
	reads, damaged := 0, 0
	unreadable := errors.New("unreadable")
	source := func(id string, fault error) dataset.Source {
		return dataset.Source{
			Name: "a text", ID: id, Tokenizer: tok, Damaged: func(error) { damaged++ },
			Documents: func(yield func(string, error) bool) {
				reads++
				if fault != nil {
					yield("", fault)
					return
				}
				for _, text := range texts {
					if !yield(text, nil) {
						return
					}
				}
			},
		}
	}
	if _, err := dataset.MakeShards(t.Context(), folder, source("first", unreadable)); !errors.Is(err, unreadable) {
		t.Errorf("%v, want that of the text", err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a text that cannot be read leaves a folder (%v)", err)
	}
	for i, step := range []struct {
		id            string
		reads, damage int
	}{{"first", 2, 0}, {"first", 2, 0}, {"second", 3, 0}, {"second", 4, 1}} {
		if i == 3 {
			files, err := filepath.Glob(filepath.Join(folder, "*.bin"))
			if err != nil || len(files) == 0 {
				t.Fatalf("shards are %v, %v", files, err)
			}
			if err := os.Truncate(files[0], 4); err != nil {
				t.Fatal(err)
			}
		}
		shards, err := dataset.MakeShards(t.Context(), folder, source(step.id, nil))
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(len(slices.Concat(tok.Encode(texts[0]), tok.Encode(texts[1]))) + 2); shards.Tokens() != want {
			t.Errorf("%d tokens, want %d", shards.Tokens(), want)
		}
		if reads != step.reads || damaged != step.damage {
			t.Errorf("round %d: read %d times and %d damaged, want %d and %d", i, reads, damaged, step.reads, step.damage)
		}
		if err := shards.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dataset.MakeShards(t.Context(), folder, dataset.Source{Tokenizer: &tokenizer.Tokenizer{}, Name: "a text"}); artifact.ExitCode(err) != 4 {
		t.Errorf("a tokenizer without an end token: %v, want exit code 4", err)
	}
}
