package tokenizer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// encoding is what a tiktoken rank file does not say: how text is cut and which
// special tokens there are.
type encoding struct {
	pattern string
	special []AddedToken
}

func specials(tokens ...AddedToken) []AddedToken {
	for i := range tokens {
		tokens[i].Special = true
	}
	return tokens
}

// encodings are OpenAI's, by the names of their rank files (tiktoken,
// openai_public.py).
var encodings = map[string]encoding{
	"gpt2":      {patternGPT2, specials(AddedToken{ID: 50256, Content: EndOfText})},
	"r50k_base": {patternGPT2, specials(AddedToken{ID: 50256, Content: EndOfText})},
	"p50k_base": {patternGPT2, specials(AddedToken{ID: 50256, Content: EndOfText})},
	"cl100k_base": {patternCl100k, specials(AddedToken{ID: 100257, Content: EndOfText},
		AddedToken{ID: 100258, Content: "<|fim_prefix|>"}, AddedToken{ID: 100259, Content: "<|fim_middle|>"},
		AddedToken{ID: 100260, Content: "<|fim_suffix|>"}, AddedToken{ID: 100276, Content: "<|endofprompt|>"})},
	"o200k_base": {patternO200k, specials(AddedToken{ID: 199999, Content: EndOfText}, AddedToken{ID: 200018, Content: "<|endofprompt|>"})},
}

// ParseTiktoken makes a tokenizer of a tiktoken rank file: lines of a token in
// base64, a space, and its rank, which is its id. name is the encoding: gpt2 (or
// r50k_base), p50k_base, cl100k_base or o200k_base. Its ids are tiktoken's.
//
// Files writes it as a tokenizer.json with a merge for every pair of tokens that
// joins to a token. Such a list has an order among the pairs that join to one
// token, which ranks have not, so that at a place where two of them overlap a
// tokenizer read from there could choose the other.
func ParseTiktoken(ranks []byte, name string) (*Tokenizer, error) {
	v, err := parseTiktoken(ranks, name)
	if err != nil {
		return nil, fmt.Errorf("parsing tiktoken ranks: %w", err)
	}
	t, err := newTokenizer(v)
	if err != nil {
		return nil, fmt.Errorf("parsing tiktoken ranks: %w", err)
	}
	return t, nil
}

func parseTiktoken(data []byte, name string) (v vocabulary, err error) {
	e, ok := encodings[name]
	if !ok {
		return v, fmt.Errorf("encoding %q is not known, only gpt2, r50k_base, p50k_base, cl100k_base and o200k_base; a rank file has the name of its encoding", name)
	}
	if len(data) > maxFile {
		return v, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxFile)
	}
	ids := make(map[string]int32)
	var order []int32
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		token, id, err := parseRank(line)
		if err != nil {
			return v, fmt.Errorf("line %d is %.80q: %w", number, line, err)
		}
		if _, twice := ids[token]; twice {
			return v, fmt.Errorf("line %d is %.80q: the token comes a second time", number, line)
		}
		ids[token] = id
		order = append(order, id)
	}
	// The special tokens that the ranks leave room for.
	slices.Sort(order)
	size := 0
	if len(order) > 0 {
		size = int(order[len(order)-1]) + 1
	}
	for _, a := range e.special {
		size = max(size, int(a.ID)+1)
	}
	v.tokens, v.holes = make([]string, size), true
	for token, id := range ids {
		if v.tokens[id] != "" {
			return v, fmt.Errorf("rank %d is given to two tokens, %q and %q", id, min(token, v.tokens[id]), max(token, v.tokens[id]))
		}
		v.tokens[id] = token
	}
	if e.pattern == patternGPT2 {
		v.description = gpt2Description()
	} else {
		v.description = splitDescription(e.pattern)
	}
	v.setAdded(e.special)
	v.model.ignoreMerges = true
	v.merges = splits(order, func(id int32) string { return v.tokens[id] }, func(name string) (int32, bool) {
		id, ok := ids[name]
		return id, ok
	}, maxVocab)
	if len(v.merges) > maxVocab {
		return v, fmt.Errorf("the ranks make more than %d merges", maxVocab)
	}
	v.ranks = make([]uint32, len(v.merges))
	for i, m := range v.merges {
		v.ranks[i] = uint32(m.id)
	}
	return v, nil
}

func parseRank(line []byte) (token string, id int32, err error) {
	written, rank, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return "", 0, errors.New("a token in base64, a space and its rank should stand here")
	}
	n, err := strconv.ParseUint(string(rank), 10, 31)
	if err != nil || n >= maxVocab {
		return "", 0, fmt.Errorf("the rank is not a number below %d", maxVocab)
	}
	b, err := base64.StdEncoding.DecodeString(string(written))
	if err != nil || len(b) == 0 {
		return "", 0, errors.New("the token is not in base64")
	}
	return string(b), int32(n), nil
}
