package chat

import (
	"slices"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// An End is a token that ends a text, with what says so.
type End struct {
	ID   int32    `json:"id"`
	From []string `json:"from"`
}

// Named are tokens that a model's file says end a text.
type Named struct {
	From string // the file, and its key
	IDs  []int32
}

// FindEnds lists the tokens that end a generated text, and where each is said: the
// end of a turn in ChatML and the end of a document, what the tokenizer calls its
// eos_token, the end of a turn in the model's own chat template (nil: it has none, or
// is not asked), and those that the model's files name beside the tokenizer's.
func FindEnds(tok *tokenizer.Tokenizer, template *Template, files ...Named) (ends []End) {
	add := func(id int32, from string) {
		i := slices.IndexFunc(ends, func(e End) bool { return e.ID == id })
		if i < 0 {
			ends, i = append(ends, End{ID: id}), len(ends)
		}
		if !slices.Contains(ends[i].From, from) {
			ends[i].From = append(ends[i].From, from)
		}
	}
	for _, name := range []string{tokenizer.IMEnd, tokenizer.EndOfText} {
		if id, ok := tok.TokenID(name); ok {
			add(id, "its name")
		}
	}
	if id, ok := tok.EOS(); ok {
		add(id, "the tokenizer's eos_token")
	}
	if template != nil {
		for _, id := range template.EndTokens() {
			add(id, "the chat template")
		}
	}
	for _, file := range files {
		for _, id := range file.IDs {
			add(id, file.From)
		}
	}
	return ends
}

// Ends lists the tokens that end a generated text, as FindEnds; more are those that
// the model's files name (model.Model.EndTokens).
func Ends(tok *tokenizer.Tokenizer, template *Template, more ...int32) []int32 {
	var ids []int32
	for _, end := range FindEnds(tok, template, Named{IDs: more}) {
		ids = append(ids, end.ID)
	}
	return ids
}

// Begin lists the tokens that the tokenizer puts before a text, none if it puts
// none there: a model that continues a text has learned to see them first.
func Begin(tok *tokenizer.Tokenizer) []int32 {
	const text = -1 // stands for the text
	around := tok.Wrap([]int32{text})
	return around[:slices.Index(around, text)]
}

// WithoutTokens lists the rows of a model's vocabulary that stand for no token: a
// model may have more than its tokenizer has tokens (Qwen's have 151,936 for
// 151,669). They say nothing, and what is written for people leaves them out.
func WithoutTokens(tok *tokenizer.Tokenizer, vocabulary int) (ids []int32) {
	for id := range int32(vocabulary) {
		if !tok.HasToken(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Banned lists the tokens that have no place in a text that is written for
// people by a model of so many rows: the padding, rows without a token and, in a
// dialogue (template is not nil), the beginning of a turn. A token that has another office as well is not banned: padding is often
// one of ends, as in SmolLM2, or the unknown token, as in Mistral, and an answer
// whose end is banned never ends.
//
// PPO bans nothing, rows without a token neither: its log-probabilities are over all
// rows, and what it samples must be what the model writes.
func Banned(tok *tokenizer.Tokenizer, template *Template, ends []int32, vocabulary int) []int32 {
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
	for _, id := range WithoutTokens(tok, vocabulary) {
		if !slices.Contains(ends, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
