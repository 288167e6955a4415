package dataset

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func encoderTokenizer(t *testing.T, special []string) *tokenizer.Tokenizer {
	t.Helper()
	docs := func(yield func(string, error) bool) { yield(strings.Repeat("hide and seek, hide and find. ", 20), nil) }
	tok, _, err := tokenizer.Train(t.Context(), docs, tokenizer.Options{VocabSize: 270, SpecialTokens: special})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func newMasking(t *testing.T, share float64, seed uint64) (*Masking, *tokenizer.Tokenizer) {
	t.Helper()
	tok := encoderTokenizer(t, tokenizer.EncoderSpecialTokens())
	m, err := NewMasking(tok, share, seed, "test")
	if err != nil {
		t.Fatal(err)
	}
	return m, tok
}

// textRow draws a row of tokens of which about one in eight is special.
func textRow(row uint64, n, vocabulary int) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = 5 + int32(compute.Bits(1, row, uint64(i))%uint64(vocabulary-5))
		if compute.Bits(2, row, uint64(i))%8 == 0 {
			tokens[i] = int32(compute.Bits(3, row, uint64(i)) % 5)
		}
	}
	return tokens
}

func TestMaskingChooses15PercentAndSplitsThem80To10To10(t *testing.T) {
	m, tok := newMasking(t, .15, 7)
	mask, _ := tok.Mask()
	var text, chosen, asMask, asOther, asItWas float64
	for row := range uint64(400) {
		before := textRow(row, 256, tok.VocabSize())
		after, targets := slices.Clone(before), make([]int32, 256)
		n := m.Apply(row, after, targets)
		for i, id := range before {
			if id >= 5 {
				text++
			}
			switch {
			case targets[i] == Ignored:
				if after[i] != id {
					t.Fatalf("row %d: token %d was changed and is no target", row, i)
				}
				continue
			case targets[i] != id:
				t.Fatalf("row %d: target %d of token %d is not what stood there, %d", row, targets[i], i, id)
			case id < 5:
				t.Fatalf("row %d: special token %d was chosen", row, id)
			}
			chosen++
			n--
			switch {
			case after[i] == mask:
				asMask++
			case after[i] < 5:
				t.Fatalf("row %d: special token %d was put in", row, after[i])
			case after[i] == id:
				asItWas++ // or a random token that happens to be it
			default:
				asOther++
			}
		}
		if n != 0 {
			t.Fatalf("row %d: the count is off by %d", row, n)
		}
	}
	again := .1 / float64(tok.VocabSize()-5) // a random token is the old one
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"chosen", chosen / text, .15}, {"mask", asMask / chosen, .8}, {"other", asOther / chosen, .1 - again}, {"as it was", asItWas / chosen, .1 + again},
	} {
		if math.Abs(c.got-c.want) > .01 {
			t.Errorf("%s: share %.4f, want %.4f", c.what, c.got, c.want)
		}
	}
}

func TestMaskingOfARowDependsOnItsNumberAlone(t *testing.T) {
	m, tok := newMasking(t, .3, 7)
	apply := func(m *Masking, row uint64) ([]int32, []int32) {
		tokens, targets := textRow(9, 64, tok.VocabSize()), make([]int32, 64)
		m.Apply(row, tokens, targets)
		return tokens, targets
	}
	tokens, targets := apply(m, 5)
	apply(m, 6)
	if again, targetsAgain := apply(m, 5); !slices.Equal(again, tokens) || !slices.Equal(targetsAgain, targets) {
		t.Error("the same row was masked in two ways")
	}
	if _, other := apply(m, 6); slices.Equal(other, targets) {
		t.Error("two rows were masked in one way")
	}
	seeded, _ := newMasking(t, .3, 8)
	if _, other := apply(seeded, 5); slices.Equal(other, targets) {
		t.Error("two seeds mask in one way")
	}
}

func TestRandomTokensAreDrawnFromTheWholeText(t *testing.T) {
	m, tok := newMasking(t, 1, 3)
	seen := make(map[int32]bool)
	for row := range uint64(200) {
		tokens, targets := make([]int32, 256), make([]int32, 256)
		for i := range tokens {
			tokens[i] = 10
		}
		if n := m.Apply(row, tokens, targets); n != 256 {
			t.Fatalf("share 1 chose %d of 256", n)
		}
		for _, id := range tokens {
			seen[id] = true
		}
	}
	if want := tok.VocabSize() - 5 + 1; len(seen) != want { // all text, and the mask
		t.Errorf("%d different tokens, want %d", len(seen), want)
	}
}

func TestATokenizerWithoutAMaskTokenIsRefusedWithTheRemedy(t *testing.T) {
	_, err := NewMasking(encoderTokenizer(t, nil), .15, 1, "test")
	if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "alma tokenizer train --encoder") {
		t.Errorf("got %v", err)
	}
}

func TestDocumentsOfARowAreSegmentsWithPositionsOfTheirOwn(t *testing.T) {
	p := NewPacked(2, 6)
	copy(p.Tokens, []int32{9, 9, 0, 9, 0, 0 /* next row */, 0, 9, 9, 9, 0, 9})
	p.SplitAt(0)
	if want := []int32{0, 0, 1, 1, 2, 3, 0, 0, 0, 0, 1, 1}; !slices.Equal(p.Segments, want) {
		t.Errorf("segments %v, want %v", p.Segments, want)
	}
	if want := []int32{0, 1, 0, 1, 0, 0, 0, 1, 2, 3, 0, 1}; !slices.Equal(p.Positions, want) {
		t.Errorf("positions %v, want %v", p.Positions, want)
	}
}
