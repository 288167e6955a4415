package dataset

import (
	"errors"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// EncodeText returns a text as tokens, with the special tokens that the
// tokenizer puts around one ([CLS] and [SEP] for BERT), cut at the end to at
// most limit tokens, and tells whether it was cut. A text of which nothing is
// left, white space to a tokenizer that drops it, is an error.
func EncodeText(t *tokenizer.Tokenizer, text string, limit int) (ids []int32, cut bool, err error) {
	ids = t.Encode(text)
	around, _ := t.WrapSize()
	if room := max(0, limit-around); len(ids) > room {
		ids, cut = ids[:room], true
	}
	if len(ids) == 0 {
		return nil, cut, errors.New("the text has no tokens; leave it out")
	}
	return t.Wrap(ids), cut, nil
}
