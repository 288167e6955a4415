package chat

import (
	"slices"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Ends lists the tokens that end a generated text: the end of a turn in ChatML
// and the end of a document, what the tokenizer calls its eos_token, the end of a
// turn in the model's own chat template (nil: it has none, or is not asked), and
// more, those that the model's files name beside the tokenizer's
// (model.Config.EndTokens).
func Ends(tok *tokenizer.Tokenizer, template *Template, more ...int32) []int32 {
	var ids []int32
	add := func(id int32) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, name := range []string{tokenizer.IMEnd, tokenizer.EndOfText} {
		if id, ok := tok.TokenID(name); ok {
			add(id)
		}
	}
	if id, ok := tok.EOS(); ok {
		add(id)
	}
	if template != nil {
		for _, id := range template.EndTokens() {
			add(id)
		}
	}
	for _, id := range more {
		add(id)
	}
	return ids
}

// Banned lists the tokens that have no place in a text that is written for
// people: the padding and, in a dialogue (template is not nil), the beginning of
// a turn. A token that has another office as well is not banned: padding is often
// one of ends, as in SmolLM2, or the unknown token, as in Mistral, and an answer
// whose end is banned never ends.
//
// PPO and rankings ban nothing: what they sample must be what the model writes.
func Banned(tok *tokenizer.Tokenizer, template *Template, ends []int32) []int32 {
	var ids []int32
	ban := func(id int32, ok bool) {
		unknown, known := tok.Unknown()
		if ok && !slices.Contains(ends, id) && !(known && id == unknown) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	ban(tok.Pad())
	if template != nil {
		ban(tok.TokenID(tokenizer.IMStart))
	}
	return ids
}
