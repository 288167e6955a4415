package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// byteIDs are the tokens of single bytes, so that a test decides what a token
// holds.
func byteIDs(tok *Tokenizer, s string) []int32 {
	var ids []int32
	for i := range len(s) {
		ids = append(ids, tok.byteID[s[i]])
	}
	return ids
}

func TestDecoderGivesWholeCharactersOnly(t *testing.T) {
	tok := goldenTokenizer(t)
	for _, test := range []struct {
		name, in string
		want     []string // after each byte, then the flush
	}{
		{"ascii", "ab", []string{"a", "b", ""}},
		{"a character of three bytes", "中", []string{"", "", "中", ""}},
		{"of four", "🚢!", []string{"", "", "", "🚢", "!", ""}},
		{"one that never comes to its end", "a\xe4\xb8", []string{"a", "", "", "\ufffd"}},
		{"one that is broken off", "\xe4\xb8a", []string{"", "", "\ufffda", ""}},
		{"broken off by another", "\xf0\x9f\xe4\xb8\xad", []string{"", "", "\ufffd", "", "中", ""}},
		{"a byte that begins nothing", "\xffa", []string{"\ufffd", "a", ""}},
		{"an overlong form", "\xe0\x80\x80", []string{"", "\ufffd\ufffd", "\ufffd", ""}},
		{"a surrogate", "\xed\xa0\x80", []string{"", "\ufffd\ufffd", "\ufffd", ""}},
		{"U+FFFD itself", "\ufffd", []string{"", "", "\ufffd", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := tok.NewDecoder()
			var got []string
			for _, id := range byteIDs(tok, test.in) {
				s, err := d.Next(id)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, s)
			}
			got = append(got, d.Flush())
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDecoderLeavesSpecialTokensOut(t *testing.T) {
	tok := goldenTokenizer(t)
	ids := tok.EncodeWithSpecial("<|im_start|>a<|im_end|>\n")
	if got, err := tok.Text(ids); err != nil || got != "a\n" {
		t.Errorf("Text = %q, %v", got, err)
	}
	if got, err := tok.Decode(ids); err != nil || got != "<|im_start|>a<|im_end|>\n" {
		t.Errorf("Decode = %q, %v", got, err)
	}
}

func TestIDsOutsideTheVocabularyAreErrorsOrSayNothing(t *testing.T) {
	tok := goldenTokenizer(t)
	for _, id := range []int32{-1, int32(tok.VocabSize()), 1 << 30} {
		if _, err := tok.Decode([]int32{5, id}); err == nil || !strings.Contains(err.Error(), "decoding token 1") {
			t.Errorf("Decode of id %d: error %v", id, err)
		}
		// A model's rows beyond the tokenizer's say nothing to a reader.
		if text, err := tok.Text([]int32{5, id}); (err != nil) != (id < 0) || err == nil && text != string(tok.TokenBytes(5)) {
			t.Errorf("Text of id %d: %q, %v", id, text, err)
		}
		if text, err := tok.NewDecoder().Next(id); (err != nil) != (id < 0) || text != "" {
			t.Errorf("Next of id %d: %q, %v", id, text, err)
		}
		if b := tok.TokenBytes(id); b != nil {
			t.Errorf("TokenBytes of id %d is %q", id, b)
		}
	}
}

func TestByteLengthsAddUpToTheText(t *testing.T) {
	tok := goldenTokenizer(t)
	lengths := tok.ByteLengths()
	text := strings.Join(goldenDocs(t), "")
	n := 0
	for _, id := range append(tok.Encode(text), 0, 3) { // special tokens add none
		n += int(lengths[id])
	}
	if n != len(text) {
		t.Errorf("%d bytes, want %d", n, len(text))
	}
	if got := string(tok.TokenBytes(0)); got != EndOfText {
		t.Errorf("TokenBytes(0) = %q", got)
	}
}

func FuzzDecoderStreamsValidUTF8(f *testing.F) {
	tok := goldenTokenizer(f)
	f.Add("中\xe4\xb8a\xf0\x9f\x9a")
	f.Fuzz(func(t *testing.T, s string) {
		d := tok.NewDecoder()
		var b strings.Builder
		for _, id := range byteIDs(tok, s) {
			part, err := d.Next(id)
			if err != nil || !utf8.ValidString(part) {
				t.Fatalf("Next: %q, %v", part, err)
			}
			b.WriteString(part)
			if len(d.pending) > 3 {
				t.Fatalf("%d bytes held back", len(d.pending))
			}
		}
		b.WriteString(d.Flush())
		if utf8.ValidString(s) && b.String() != s {
			t.Errorf("streamed %q, want %q", b.String(), s)
		}
		whole, err := tok.Text(tok.Encode(s))
		if err != nil || whole != b.String() {
			t.Errorf("Text gives %q, %v, the stream of bytes %q", whole, err, b.String())
		}
	})
}
