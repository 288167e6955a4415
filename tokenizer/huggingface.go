package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse makes a tokenizer of the text of a tokenizer.json. What the file asks
// for and this package does not have is an error that names the key and its
// value.
func Parse(tokenizerJSON []byte) (*Tokenizer, error) {
	v, err := parseTokenizer(tokenizerJSON)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", TokenizerFile, err)
	}
	t, err := newTokenizer(v)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", TokenizerFile, err)
	}
	return t, nil
}

func parseTokenizer(data []byte) (vocabulary, error) {
	root, err := validJSON(data)
	if err != nil {
		return vocabulary{}, err
	}
	var v vocabulary
	var added []AddedToken
	var object json.RawMessage
	keep := func(p *json.RawMessage) rule {
		return nullOr(func(value json.RawMessage) error { *p = value; return nil })
	}
	err = checkObject("", root, map[string]rule{
		"version":    oneOf(`"1.0"`),
		"truncation": keep(&v.description.truncation),
		"padding":    keep(&v.description.padding),
		"normalizer": keep(&v.description.normalizer),
		"added_tokens": nullOr(func(value json.RawMessage) (err error) {
			added, err = parseAdded(value)
			return err
		}),
		"pre_tokenizer":  keep(&v.description.preTokenizer),
		"post_processor": keep(&v.description.postProcessor),
		"decoder":        keep(&v.description.decoder),
		"model":          func(value json.RawMessage) error { object = value; return nil },
	})
	switch {
	case err != nil:
		return vocabulary{}, err
	case object == nil:
		return vocabulary{}, errors.New("model is missing")
	}
	parts, err := v.readModel(object)
	if err != nil {
		return vocabulary{}, err
	}
	if _, err := v.description.compile(v.kind); err != nil {
		return vocabulary{}, err // before a large vocabulary is read
	}
	if v.kind == Unigram {
		return v, v.readScored(parts.vocab, parts.unkID, added)
	}
	written, err := parseVocab(parts.vocab)
	if err != nil {
		return vocabulary{}, fmt.Errorf("model.vocab: %w", err)
	}
	if err := v.setTokens(written, added); err != nil {
		return vocabulary{}, fmt.Errorf("model.vocab: %w", err)
	}
	if v.kind == WordPiece {
		return v, nil
	}
	if v.merges, err = parseMerges(parts.merges, written.ids); err != nil {
		return vocabulary{}, fmt.Errorf("model.merges: %w", err)
	}
	return v, nil
}

// validJSON checks the size and the form of a file and returns its one value.
func validJSON(data []byte) (json.RawMessage, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxFile)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	if !json.Valid(data) {
		// Only Unmarshal says what is wrong, and at which byte.
		var value json.RawMessage
		err := json.Unmarshal(data, &value)
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			return nil, fmt.Errorf("byte %d: %w", syntax.Offset, err)
		}
		return nil, err
	}
	return json.RawMessage(bytes.TrimSpace(data)), nil
}

func parseAdded(list json.RawMessage) ([]AddedToken, error) {
	if !begins(list, '[') {
		return nil, errors.New("a list should stand here")
	}
	var added []AddedToken
	for _, object := range elements(list, '[') {
		where := fmt.Sprintf("added_tokens[%d].", len(added))
		a := AddedToken{ID: -1}
		normalized := false
		err := checkObject(where, object, map[string]rule{
			"id":          into(&a.ID),
			"content":     into(&a.Content),
			"special":     into(&a.Special),
			"single_word": into(&a.SingleWord),
			"lstrip":      into(&a.LStrip),
			"rstrip":      into(&a.RStrip),
			"normalized": func(value json.RawMessage) error {
				normalized = true
				return json.Unmarshal(value, &a.Normalized)
			},
		})
		if err != nil {
			return nil, err
		}
		if a.ID < 0 || a.Content == "" {
			return nil, fmt.Errorf("%sid or %scontent is missing", where, where)
		}
		if strings.ContainsRune(a.Content, utf8.RuneError) {
			return nil, fmt.Errorf("%scontent is %q: a name with U+FFFD or a lone surrogate is not supported", where, a.Content)
		}
		if !normalized {
			a.Normalized = !a.Special
		}
		added = append(added, a)
	}
	return added, nil
}

// writtenTokens are a vocabulary file's ids by how their tokens are written, and
// the object that they stand in.
type writtenTokens struct {
	object json.RawMessage
	ids    map[string]int32
}

func parseVocab(object json.RawMessage) (*writtenTokens, error) {
	if !begins(object, '{') {
		return nil, fmt.Errorf("found %s where an object should stand", shortValue(object))
	}
	n := count(object, '{')
	if n > maxVocab {
		return nil, fmt.Errorf("%d tokens are more than the limit of %d", n, maxVocab)
	}
	w := &writtenTokens{object: object, ids: make(map[string]int32, n)}
	for key, value := range elements(object, '{') {
		written := string(unquote(key))
		id, err := strconv.ParseInt(string(value), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the id of %q is %s, which is no id", written, shortValue(value))
		}
		if other, twice := w.ids[written]; twice {
			return nil, fmt.Errorf("token %q comes twice, as %d and %d", written, other, id)
		}
		w.ids[written] = int32(id)
	}
	return w, nil
}

// parseMerges reads merges in either form: "a b", or since tokenizers 0.20
// ["a", "b"].
func parseMerges(list json.RawMessage, ids map[string]int32) ([]merge, error) {
	if !begins(list, '[') {
		return nil, fmt.Errorf("found %s where a list should stand", shortValue(list))
	}
	n := count(list, '[')
	if n > maxVocab {
		return nil, fmt.Errorf("%d merges are more than the limit of %d", n, maxVocab)
	}
	merges := make([]merge, 0, n)
	for _, value := range elements(list, '[') {
		m, err := parseMerge(value, ids)
		if err != nil {
			return nil, fmt.Errorf("merge %d is %s: %w", len(merges), shortValue(value), err)
		}
		merges = append(merges, m)
	}
	return merges, nil
}

func parseMerge(value json.RawMessage, ids map[string]int32) (merge, error) {
	if begins(value, '"') {
		return lineMerge(unquote(value), ids)
	}
	var parts [2][]byte
	n := 0
	for _, part := range elements(value, '[') {
		if n == 2 || !begins(part, '"') {
			return merge{}, errors.New("this is no pair of tokens")
		}
		parts[n] = unquote(part)
		n++
	}
	if n != 2 {
		return merge{}, errors.New("this is no pair of tokens")
	}
	return newMerge(parts[0], parts[1], ids)
}

// lineMerge makes a merge of two written tokens with a space between.
func lineMerge(line []byte, ids map[string]int32) (merge, error) {
	left, right, ok := bytes.Cut(line, []byte(" "))
	if !ok || bytes.IndexByte(right, ' ') >= 0 {
		return merge{}, errors.New("these are not two tokens with a space between")
	}
	return newMerge(left, right, ids)
}

func newMerge(left, right []byte, ids map[string]int32) (m merge, err error) {
	var joined [64]byte
	find := func(written []byte) int32 {
		id, ok := ids[string(written)]
		if !ok && err == nil {
			err = fmt.Errorf("%q is not in the vocabulary", string(written)) // a copy, so that joined stays on the stack
		}
		return id
	}
	m.left, m.right = find(left), find(right)
	m.id = find(append(append(joined[:0], left...), right...))
	return m, err
}

// setTokens puts tokens in the order of their ids: of byte-level BPE as the bytes
// that they stand for, of other kinds as they are written.
func (v *vocabulary) setTokens(w *writtenTokens, added []AddedToken) error {
	names := make(map[string]bool, len(added))
	size, highest := len(w.ids), int32(-1)
	for _, a := range added {
		names[a.Content] = true
		highest = max(highest, a.ID)
		if id, ok := w.ids[a.Content]; !ok {
			size++
		} else if id != a.ID {
			return fmt.Errorf("%q has id %d here and %d in added_tokens", a.Content, id, a.ID)
		}
	}
	v.setAdded(added)
	for written, id := range w.ids {
		if id < 0 {
			return fmt.Errorf("%q has id %d, which is no id", written, id)
		}
		highest = max(highest, id)
	}
	// Ids that are left out are holes: published vocabularies have some.
	if int(highest) >= size {
		if highest >= maxVocab {
			return fmt.Errorf("a token has id %d, more than the limit of %d", highest, maxVocab-1)
		}
		size, v.holes = int(highest)+1, true
	}
	v.tokens = make([]string, size)
	var buf []byte
	for key := range elements(w.object, '{') {
		written := unquote(key)
		id := w.ids[string(written)]
		if names[string(written)] {
			continue
		}
		if v.kind == ByteLevelBPE {
			var err error
			if buf, err = appendUnwritten(buf[:0], written); err != nil {
				return fmt.Errorf("%q (id %d): %w; a special token would have to be in added_tokens", written, id, err)
			}
			written = buf
		}
		if len(written) == 0 {
			return fmt.Errorf("the token of id %d is empty", id)
		}
		if v.tokens[id] != "" {
			return fmt.Errorf("%q has id %d, which another token has already", unquote(key), id)
		}
		v.tokens[id] = string(written)
	}
	return nil
}

// setAdded takes the added tokens, and gives those with well-known names the
// parts that tokenizer_config.json gives where it is there.
func (v *vocabulary) setAdded(added []AddedToken) {
	v.added = added
	for _, a := range added {
		for _, known := range []struct {
			name string
			role *string
		}{
			{EndOfText, &v.roles.eos}, {"</s>", &v.roles.eos}, {"<eos>", &v.roles.eos},
			{Pad, &v.roles.pad}, {"[PAD]", &v.roles.pad}, {"<pad>", &v.roles.pad},
			{"<s>", &v.roles.bos}, {"<bos>", &v.roles.bos}, {"<unk>", &v.roles.unk}, {"[UNK]", &v.roles.unk},
			{"[CLS]", &v.roles.cls}, {"[SEP]", &v.roles.sep}, {"[MASK]", &v.roles.mask}, {MaskToken, &v.roles.mask},
		} {
			if a.Content == known.name && a.Special {
				*known.role = a.Content
			}
		}
	}
}

// parseGPT2 reads the files that GPT-2 was published with: vocab.json, token to
// id, and merges.txt, a merge a line after a line that begins with "#version".
// GPT-2's special token is "<|endoftext|>"; more are those of other files, of which
// the vocabulary may hold some.
func parseGPT2(vocab, merges []byte, more []AddedToken) (vocabulary, error) {
	root, err := validJSON(vocab)
	if err != nil {
		return vocabulary{}, fmt.Errorf("%s: %w", vocabFile, err)
	}
	written, err := parseVocab(root)
	if err != nil {
		return vocabulary{}, fmt.Errorf("%s: %w", vocabFile, err)
	}
	var added []AddedToken
	if id, ok := written.ids[EndOfText]; ok {
		added = []AddedToken{{ID: id, Content: EndOfText, Special: true}}
	}
	for _, a := range more {
		if id, ok := written.ids[a.Content]; ok && a.Content != EndOfText {
			a.ID = id
			added = append(added, a)
		}
	}
	v := vocabulary{description: gpt2Description()}
	if err := v.setTokens(written, added); err != nil {
		return vocabulary{}, fmt.Errorf("%s: %w", vocabFile, err)
	}
	n := 0
	for line := range strings.Lines(string(merges)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || n == 1 && strings.HasPrefix(line, "#version") {
			continue
		}
		m, err := lineMerge([]byte(line), written.ids)
		if err != nil {
			return vocabulary{}, fmt.Errorf("%s: line %d is %q: %w", mergesFile, n, line, err)
		}
		v.merges = append(v.merges, m)
	}
	return v, nil
}
