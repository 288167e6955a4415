package dataset

import (
	"slices"
	"testing"
)

// TestDocumentsOfARowAreThoseItsTokensComeFrom gives every document a token of
// its own, so that a row tells where it was cut.
func TestDocumentsOfARowAreThoseItsTokensComeFrom(t *testing.T) {
	folder := t.TempDir()
	w, err := NewShardWriter(folder, ShardOptions{VocabSize: 64, EndToken: 0})
	if err != nil {
		t.Fatal(err)
	}
	for d, n := range []int{3, 9, 1, 14, 2, 5} {
		if err := w.Append(slices.Repeat([]int32{int32(d + 1)}, n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	shards, err := OpenShards(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer shards.Close()
	for _, shuffle := range []bool{false, true} {
		s, err := NewStream(shards, StreamOptions{T: 7, Seed: 3, Shuffle: shuffle})
		if err != nil {
			t.Fatal(err)
		}
		inputs, targets := make([]int32, 7), make([]int32, 7)
		for i := range uint64(2 * s.RowsPerEpoch()) {
			if err := s.Row(i, inputs, targets); err != nil {
				t.Fatal(err)
			}
			documents := s.Documents(i)
			for _, token := range inputs {
				if token != 0 && !slices.Contains(documents, int(token)-1) {
					t.Errorf("shuffle %v, row %d: %v, documents %v", shuffle, i, inputs, documents)
				}
			}
			for _, d := range documents {
				// A row may hold a document's end token alone, the token 0.
				if !slices.Contains(inputs, int32(d+1)) && !slices.Contains(inputs, 0) {
					t.Errorf("shuffle %v, row %d: %v has nothing of document %d", shuffle, i, inputs, d)
				}
			}
		}
	}
}
