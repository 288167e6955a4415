package dataset

import (
	"errors"
	"fmt"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// EncodeText returns a text as tokens, with the special tokens that the
// tokenizer puts around one ([CLS] and [SEP] for BERT), cut at the end to at
// most limit tokens, and tells whether it was cut. A text of which nothing is
// left, white space to a tokenizer that drops it, is an error.
func EncodeText(t *tokenizer.Tokenizer, text string, limit int) (ids []int32, cut bool, err error) {
	ids = t.Encode(text)
	if len(ids) == 0 {
		return nil, false, errors.New("the text has no tokens; leave it out")
	}
	around, _ := t.WrapSize()
	room := limit - around
	if room < 1 {
		return nil, false, fmt.Errorf("%d tokens leave no room for text beside the %d special ones around it; give a longer context", limit, around)
	}
	if len(ids) > room {
		ids, cut = ids[:room], true
	}
	return t.Wrap(ids), cut, nil
}
