package dataset

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func TestATextIsCutInsideItsSpecialTokens(t *testing.T) {
	tok := encoderTokenizer(t, tokenizer.EncoderSpecialTokens())
	whole := tok.Encode("hide and seek")
	for _, c := range []struct {
		limit int
		cut   bool
	}{{len(whole) + 5, false}, {len(whole) + 1, false}, {len(whole), true}, {2, true}} {
		ids, cut, err := EncodeText(tok, "hide and seek", c.limit)
		want := append([]int32{0}, whole[:min(len(whole), c.limit-1)]...)
		if err != nil || cut != c.cut || !slices.Equal(ids, want) {
			t.Errorf("limit %d: %v, cut %v, %v; want %v", c.limit, ids, cut, err, want)
		}
	}
	for _, c := range []struct {
		text, want string
		limit      int
	}{{"", "no tokens", 10}, {"hide", "no room for text beside the 1 special", 1}} {
		if ids, _, err := EncodeText(tok, c.text, c.limit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q in %d tokens: %v, %v; want %s", c.text, c.limit, ids, err, c.want)
		}
	}
}

func TestTextsAreLaidOutAsExamplesWithoutTargets(t *testing.T) {
	texts := [][]int32{{5, 6, 7}, {8}, {9, 10}}
	var examples []Example
	for _, x := range texts {
		examples = append(examples, Example{Tokens: x, Trained: make([]bool, len(x))})
	}
	rows := [][]int{{0, 2}, {1}}
	got, want := NewPacked(3, 6), NewPacked(3, 6)
	if err := want.Fill(rows, examples, 3); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time over what the first left
		if err := got.FillTexts(rows, texts, 3); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got.Tokens, want.Tokens) || !slices.Equal(got.Positions, want.Positions) || !slices.Equal(got.Segments, want.Segments) || !slices.Equal(got.Targets, want.Targets) {
		t.Errorf("laid out as %+v, want %+v", got, want)
	}
	if err := got.FillTexts([][]int{{0, 0, 0}}, texts, 3); err == nil {
		t.Error("nine tokens fit into a row of six")
	}
	if err := got.FillTexts([][]int{{0}, {1}, {2}, {0}}, texts, 3); err == nil {
		t.Error("four rows fit into three")
	}
}
