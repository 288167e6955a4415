package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// modelParts are the values of tokenizer.json's model that readModel does not
// read itself.
type modelParts struct {
	vocab, merges json.RawMessage
	unkID         int // of Unigram, -1 for none
}

// readModel reads the settings of a model and returns its vocabulary and merges.
func (v *vocabulary) readModel(object json.RawMessage) (parts modelParts, err error) {
	all, err := members(object)
	if err != nil {
		return parts, fmt.Errorf("model: %w", err)
	}
	name := `"BPE"` // old files of BPE do not say
	for _, m := range all {
		if m.key == "type" {
			name = string(m.value)
		}
	}
	keep := func(p *json.RawMessage) rule {
		return func(value json.RawMessage) error { *p = value; return nil }
	}
	parts.unkID = -1
	rules := map[string]rule{"type": ignored, "vocab": keep(&parts.vocab)}
	switch name {
	case `"BPE"`:
		v.kind = ByteLevelBPE
		rules["merges"] = keep(&parts.merges)
		rules["dropout"] = oneOf("null", "0.0", "0")
		rules["unk_token"] = nullOr(into(&v.model.unk))
		rules["fuse_unk"] = into(&v.model.fuseUnk)
		rules["continuing_subword_prefix"] = oneOf("null", `""`)
		rules["end_of_word_suffix"] = oneOf("null", `""`)
		rules["byte_fallback"] = into(&v.model.byteFallback)
		rules["ignore_merges"] = into(&v.model.ignoreMerges)
	case `"Unigram"`:
		v.kind = Unigram
		rules["unk_id"] = nullOr(into(&parts.unkID))
		rules["byte_fallback"] = into(&v.model.byteFallback)
	case `"WordPiece"`:
		v.kind = WordPiece
		v.model.unk, v.model.prefix, v.model.maxWord = "[UNK]", "##", 100
		rules["unk_token"] = into(&v.model.unk)
		rules["continuing_subword_prefix"] = into(&v.model.prefix)
		rules["max_input_chars_per_word"] = func(value json.RawMessage) error {
			if err := json.Unmarshal(value, &v.model.maxWord); err != nil {
				return err
			}
			if v.model.maxWord < 1 || v.model.maxWord > math.MaxInt32 {
				return errors.New("only a positive number is supported")
			}
			return nil
		}
	default:
		return parts, fmt.Errorf(`model is of type %s, which is not supported, only "BPE", "Unigram" and "WordPiece"`, name)
	}
	if err := checkObject("model.", object, rules); err != nil {
		return parts, err
	}
	switch {
	case parts.vocab == nil:
		return parts, errors.New("model.vocab is missing")
	case name == `"BPE"` && parts.merges == nil:
		return parts, errors.New("model.merges is missing")
	}
	if name == `"BPE"` && !v.description.hasByteLevel() {
		v.kind = CharacterBPE
	}
	if v.kind == ByteLevelBPE && v.model.byteFallback {
		return parts, errors.New("model.byte_fallback is true: for a byte-level vocabulary only false is supported")
	}
	return parts, nil
}

// hasByteLevel reports whether the pre-tokenizer turns bytes into GPT-2's
// characters: whether the vocabulary is of bytes.
func (d *description) hasByteLevel() bool {
	name, err := typeOf("", d.preTokenizer)
	if err != nil {
		return true // compile says what is wrong
	}
	if name == "Sequence" {
		return true // known only with ByteLevel at the end
	}
	if name == "ByteLevel" {
		return true
	}
	decoder, err := typeOf("", d.decoder)
	return err == nil && decoder == "ByteLevel"
}

// readScored reads Unigram's vocabulary: a list of tokens with their scores, in
// the order of their ids.
func (v *vocabulary) readScored(list json.RawMessage, unkID int, added []AddedToken) error {
	if !begins(list, '[') {
		return fmt.Errorf("model.vocab: found %s where a list should stand", shortValue(list))
	}
	n := count(list, '[')
	if n > maxVocab {
		return fmt.Errorf("model.vocab: %d tokens are more than the limit of %d", n, maxVocab)
	}
	size := n
	for _, a := range added {
		if int(a.ID) >= maxVocab {
			return fmt.Errorf("an added token has id %d, more than the limit of %d", a.ID, maxVocab-1)
		}
		size = max(size, int(a.ID)+1)
	}
	v.holes = size > n
	v.tokens, v.scores = make([]string, size), make([]float64, size)
	ids := make(map[string]int32, n)
	id := int32(0)
	for _, value := range elements(list, '[') {
		token, score, err := scoredToken(value)
		if err != nil {
			return fmt.Errorf("model.vocab: token %d is %s: %w", id, shortValue(value), err)
		}
		if other, twice := ids[token]; twice {
			return fmt.Errorf("model.vocab: token %q has two ids, %d and %d", token, other, id)
		}
		ids[token] = id
		v.tokens[id], v.scores[id] = token, score
		id++
	}
	for _, a := range added {
		if id, ok := ids[a.Content]; ok && id != a.ID {
			return fmt.Errorf("model.vocab: %q has id %d here and %d in added_tokens", a.Content, id, a.ID)
		} else if ok {
			v.tokens[id] = "" // newTokenizer puts the name there
		}
	}
	v.setAdded(added)
	if unkID >= 0 {
		if unkID >= n {
			return fmt.Errorf("model.unk_id is %d, outside the vocabulary of %d", unkID, n)
		}
		v.model.unk = v.tokens[unkID]
		for _, a := range added {
			if int(a.ID) == unkID {
				v.model.unk = a.Content
			}
		}
	}
	return nil
}

func scoredToken(value json.RawMessage) (token string, score float64, err error) {
	n := 0
	for _, part := range elements(value, '[') {
		switch n {
		case 0:
			if !begins(part, '"') {
				return "", 0, errors.New("this is no token with its score")
			}
			token = string(unquote(part))
		case 1:
			if score, err = strconv.ParseFloat(string(part), 64); err != nil {
				return "", 0, errors.New("its score is no number")
			}
		}
		n++
	}
	if n != 2 || token == "" {
		return "", 0, errors.New("this is no token with its score")
	}
	return token, score, nil
}
