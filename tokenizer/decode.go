package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Decode returns the bytes that ids, from the beginning of a text on, stand for,
// exactly: half a character stays half a character, so the string need not be
// valid UTF-8. An added token gives its name. An id outside the vocabulary is an
// error.
func (t *Tokenizer) Decode(ids []int32) (string, error) {
	var b strings.Builder
	for i, id := range ids {
		if id < 0 || int(id) >= t.VocabSize() {
			return "", t.outsideError(i, id)
		}
		b.WriteString(t.texts.of(t, id, i == 0))
	}
	return b.String(), nil
}

// Text returns what ids say to a reader: valid UTF-8 (what cannot become a
// character is U+FFFD, as in Decoder) without the special tokens. An id beyond the
// vocabulary says nothing, as with Hugging Face: a model may have more rows than its
// tokenizer has tokens (Qwen's have 151,936 for 151,669). A negative id is an error.
func (t *Tokenizer) Text(ids []int32) (string, error) {
	var b strings.Builder
	d := t.NewDecoder()
	for i, id := range ids {
		s, err := d.Next(id)
		if err != nil {
			return "", t.outsideError(i, id)
		}
		b.WriteString(s)
	}
	b.WriteString(d.Flush())
	return b.String(), nil
}

func (t *Tokenizer) outsideError(i int, id int32) error {
	return fmt.Errorf("decoding token %d: id %d is outside the vocabulary of %d; is this the model's own tokenizer?", i, id, t.VocabSize())
}

// Decoder turns ids into text as they come, for streaming: what it returns is
// always whole UTF-8, and the bytes of a character that later tokens may
// complete are held back (at most three). Special tokens give no text. Bytes
// that can no longer become a character are replaced by U+FFFD, one for each
// maximal part that could have begun one (The Unicode Standard, 3.9, "U+FFFD
// Substitution of Maximal Subparts"), as Hugging Face and browsers do.
//
// A Decoder is for one stream; it is not for use by many goroutines at once.
type Decoder struct {
	t       *Tokenizer
	pending []byte
	begun   bool // the text has begun
}

// NewDecoder returns a Decoder at the beginning of a text.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Next returns the text that id completes, "" while it completes none. An id
// without a token completes none; a negative one is an error and changes nothing.
func (d *Decoder) Next(id int32) (string, error) {
	if id < 0 {
		return "", fmt.Errorf("decoding a token: id %d is no token", id)
	}
	if !d.t.HasToken(id) || d.t.kinds[id] == special {
		return "", nil
	}
	d.pending = append(d.pending, d.t.texts.of(d.t, id, !d.begun)...)
	d.begun = true
	return d.take(false), nil
}

// Flush returns what is left at the end of a text: "" or one U+FFFD for a
// character that was never completed. The Decoder is then at the beginning of a
// new text.
func (d *Decoder) Flush() string {
	d.begun = false
	return d.take(true)
}

func (d *Decoder) take(final bool) string {
	var out []byte
	b := d.pending
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			if !final && !utf8.FullRune(b) {
				break
			}
			size = maximalSubpart(b)
		}
		if r == utf8.RuneError {
			out = append(out, "\uFFFD"...)
		} else {
			out = append(out, b[:size]...)
		}
		b = b[size:]
	}
	d.pending = append(d.pending[:0], b...)
	return string(out)
}

// maximalSubpart returns how many bytes at the start of b, at least one, could
// have begun a character had others followed.
func maximalSubpart(b []byte) int {
	n := 1
	for n < len(b) && n < utf8.UTFMax-1 && !utf8.FullRune(b[:n]) {
		// b[:n] wants more; does b[n] continue it?
		if utf8.FullRune(b[:n+1]) {
			if r, size := utf8.DecodeRune(b[:n+1]); r == utf8.RuneError && size == 1 {
				return n
			}
		}
		n++
	}
	return n
}

// tokenTexts are the texts of tokens, where those are not their names: text[id]
// within a text, and first[id] at its beginning where that differs.
type tokenTexts struct {
	text  []string // nil: every token's text is its name
	first map[int32]string
}

func (x *tokenTexts) of(t *Tokenizer, id int32, first bool) string {
	if x.text == nil {
		return t.token(id)
	}
	if first {
		if s, ok := x.first[id]; ok {
			return s
		}
	}
	return x.text[id]
}

// wordEndings is what WordPiece's decoder does to the end of an English word.
var wordEndings = strings.NewReplacer(" .", ".", " ?", "?", " !", "!", " ,", ",", " ' ", "'", " n't", "n't", " 'm", "'m", " do not", " don't", " 's", "'s", " 've", "'ve", " 're", "'re")

// makeTexts works out the text of every token, as the decoder says.
func (t *Tokenizer) makeTexts() {
	rules := &t.pipeline.decoder
	if !rules.pieces && !rules.words {
		return
	}
	t.texts = tokenTexts{make([]string, t.VocabSize()), make(map[int32]string)}
	for id := range int32(t.VocabSize()) {
		name := t.token(id)
		text := name
		if rules.words {
			first := name
			if rest, ok := strings.CutPrefix(name, rules.prefix); ok && rules.prefix != "" {
				text = rest
			} else if name != "" {
				text = " " + name
			}
			if rules.cleanup {
				text, first = wordEndings.Replace(text), wordEndings.Replace(first)
			}
			if first != text {
				t.texts.first[id] = first
			}
		} else if b, ok := byteToken(name); ok && t.kinds[id] == ordinary {
			text = string([]byte{b})
		} else {
			text = strings.ReplaceAll(name, spaceMark, " ")
			if rest, ok := strings.CutPrefix(text, " "); ok && rules.strip {
				t.texts.first[id] = rest
			}
		}
		t.texts.text[id] = text
	}
}

// TokenBytes returns the bytes that token id stands for within a text, nil for an
// id outside the vocabulary. An added token stands for the bytes of its name. The
// result is the caller's.
func (t *Tokenizer) TokenBytes(id int32) []byte {
	if id < 0 || int(id) >= t.VocabSize() {
		return nil
	}
	return []byte(t.texts.of(t, id, false))
}

// ByteLengths returns, for each token id [V], how many bytes of text the token
// stands for: what bits per byte are counted in. Special tokens stand for none.
func (t *Tokenizer) ByteLengths() []int32 {
	lengths := make([]int32, t.VocabSize())
	for id := range lengths {
		if t.kinds[id] != special {
			lengths[id] = int32(len(t.texts.of(t, int32(id), false)))
		}
	}
	return lengths
}
