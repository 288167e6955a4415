package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestBytesThatAreNoUTF8AreCutLikePunctuation(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"\xff", []string{"\xff"}},
		{"a\xffb", []string{"a", "\xff", "b"}},
		{"a \xff\xfe!b", []string{"a", " \xff\xfe!", "b"}},
		{"\xe4\xb8", []string{"\xe4\xb8"}},
		{"\xe4\xb8中", []string{"\xe4\xb8", "中"}},
		{" \xed\xa0\x80 x", []string{" \xed\xa0\x80", " x"}}, // a surrogate
		{"  \x80", []string{" ", " \x80"}},
		{"\u00a0\xc2", []string{"\u00a0", "\xc2"}},
	} {
		if got := slices.Collect(Pieces(test.text)); !slices.Equal(got, test.want) {
			t.Errorf("Pieces(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}

func TestPiecesStopsWhenTheLoopDoes(t *testing.T) {
	for piece := range Pieces("one two three") {
		if piece != "one" {
			t.Fatalf("first piece is %q", piece)
		}
		break
	}
}

// The tables are those of Unicode 18; what Go's own tables classify must agree,
// apart from what later editions add.
func TestClassesAgreeWithUnicode(t *testing.T) {
	var counts [4]int
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		got, size := classAt(string(r), 0)
		if size != utf8.RuneLen(r) {
			t.Fatalf("%U: size %d", r, size)
		}
		counts[got]++
		want := other
		switch {
		case unicode.IsLetter(r):
			want = letter
		case unicode.IsNumber(r):
			want = number
		case unicode.Is(unicode.White_Space, r):
			want = space
		}
		unassigned := unicode.Is(unicode.Cn, r)
		if got != want && !(want == other && unassigned) && !(got == other && unicode.Version > "18") {
			t.Errorf("%U is of class %d, want %d", r, got, want)
		}
	}
	// What Python's regex 2026.11 counts.
	if want := [4]int{counts[other], 158172, 2247, 25}; counts != want {
		t.Errorf("letters, numbers and white space: %v, want %v", counts[1:], want[1:])
	}
}

func FuzzPiecesJoinToTheText(f *testing.F) {
	for _, text := range oracleTexts()[:60] {
		f.Add(text)
	}
	f.Add("\xff\xfe a\xe4\xb8 '\x80s")
	f.Fuzz(func(t *testing.T, text string) {
		var b strings.Builder
		for piece := range Pieces(text) {
			if piece == "" {
				t.Fatal("empty piece")
			}
			b.WriteString(piece)
		}
		if b.String() != text {
			t.Errorf("the pieces of %q join to %q", text, b.String())
		}
	})
}
