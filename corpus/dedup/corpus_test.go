package dedup_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/corpus/dedup"
)

// texts is a source of documents.
type texts []string

func (texts) Name() string { return "texts" }

func (s texts) Read(_ context.Context, accept func(corpus.Document) error, _ func(corpus.Refusal)) error {
	for i, text := range s {
		if err := accept(corpus.Document{ID: fmt.Sprint(i), Text: text}); err != nil {
			return err
		}
	}
	return nil
}

func TestAKeyTellsTheDuplicatesThatACorpusDrops(t *testing.T) {
	source := texts(slices.DeleteFunc(slices.Clone(dedup.KeyTexts), func(text string) bool { return strings.TrimSpace(text) == "" }))
	report, err := corpus.Build(t.Context(), []corpus.Source{source}, corpus.Options{Out: t.TempDir(), Shares: &corpus.Shares{}})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[dedup.Key]bool{}
	for _, text := range source {
		keys[dedup.KeyOf(text)] = true
	}
	if got, want := report.Of(corpus.Train).Documents, len(keys); got != want {
		t.Errorf("the corpus keeps %d of %d documents, and they have %d keys", got, len(source), want)
	}
}
