package dedup

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// wantKey says the key in other words: fields, joined, hashed.
func wantKey(text string) Key {
	sum := sha256.Sum256([]byte(strings.Join(strings.Fields(text), " ")))
	return Key(sum[:KeyBytes])
}

var keyTexts = []string{
	"", " ", "one two", " one\r\n\ttwo\n", "one  two", "onetwo", "one\u00a0two", "one\u3000two\u2028", "one\u200btwo",
	"日本 語", "日本語", "\u0085x", "x\u1680\u2003y", strings.Repeat("long words and ", 3000), strings.Repeat("é ", 9000),
	strings.Repeat("x", 8191) + " y", strings.Repeat("x", 8192) + " y", strings.Repeat("x", 8183) + "é\u00a0é",
	"  one two three four", "one two  three four five", "abcdefg  h", "abcdefgh  i", "abcdefg h", "abcdefg \th", "abcd\x7f\x01\x1f\x1cefgh ijklmnop",
	"a " + strings.Repeat("b ", 5000), strings.Repeat("seven77 ", 3000) + "\t", strings.Repeat("sevens7  ", 3000),
}

func TestAKeyIsTheSameForOtherWhiteSpaceOnly(t *testing.T) {
	for _, text := range keyTexts {
		if got, want := KeyOf(text), wantKey(text); got != want {
			t.Errorf("%.40q: key %x, want %x", text, got, want)
		}
	}
}

func FuzzKeyOf(f *testing.F) {
	for _, text := range keyTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if utf8.ValidString(text) && KeyOf(text) != wantKey(text) {
			t.Errorf("%q: key %x, want %x", text, KeyOf(text), wantKey(text))
		}
	})
}

func TestParagraphsAreRunsOfLinesThatAreNotBlank(t *testing.T) {
	for text, want := range map[string][]string{
		"":                           nil,
		" \n\t\n":                    nil,
		"one":                        {"0 one"},
		"one\ntwo\n":                 {"0 one\ntwo"},
		"\n one\r\n\r\n \u3000\ntwo": {"1  one\r", "14 two"},
		"a\n\nb\n\n\nc\n\n":          {"0 a", "3 b", "7 c"},
	} {
		var got []string
		for at, paragraph := range Paragraphs(text) {
			got = append(got, fmt.Sprint(at, " ", paragraph))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: paragraphs %q, want %q", text, got, want)
		}
	}
}

func TestWithoutLeavesTheOtherParagraphsAsTheyAre(t *testing.T) {
	for _, c := range []struct {
		text  string
		parts []uint32
		want  string
	}{
		{"a\n\nb\n\n\nc\n", nil, "a\n\nb\n\n\nc\n"},
		{"a\n\nb\n\n\nc\n", []uint32{0}, "b\n\n\nc\n"},
		{"a\n\nb\n\n\nc\n", []uint32{1}, "a\n\nc\n"},
		{"a\n\nb\n\n\nc\n", []uint32{2}, "a\n\nb\n\n\n"},
		{"a\n\nb\n\n\nc\n", []uint32{0, 2}, "b\n\n\n"},
		{"\n\na\n\nb", []uint32{0}, "\n\nb"},
		{"a\n\nb\n\n\nc\n", []uint32{0, 1, 2}, ""},
		{"a\n\nb", []uint32{7}, "a\n\nb"},
	} {
		if got := Without(c.text, c.parts); got != c.want {
			t.Errorf("%q without %v: %q, want %q", c.text, c.parts, got, c.want)
		}
	}
}

// prose is about n bytes of English of some thousand different words.
func prose(n int, seed uint64) string {
	random := newRandom(seed)
	var b strings.Builder
	for b.Len() < n {
		for range 8 + random.IntN(12) {
			fmt.Fprintf(&b, "%s ", wordOf(int(random.ExpFloat64()*900)))
		}
		b.WriteString("and so on.\n")
		if random.IntN(4) == 0 {
			b.WriteString("\n")
		}
	}
	return b.String()
}

func BenchmarkKeyOf(b *testing.B) {
	for name, text := range map[string]string{"english": prose(1<<20, 1), "chinese": strings.Repeat("天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。\n", 20000)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				KeyOf(text)
			}
		})
	}
}
