package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ParseVocab makes a tokenizer of BERT's vocab.txt: a token a line, whose number
// from 0 on is its id. [PAD], [UNK], [CLS], [SEP] and [MASK] are its special
// tokens. lower makes text lower-case and takes accents away, as the uncased
// models do; the file does not say.
func ParseVocab(vocab []byte, lower bool) (*Tokenizer, error) {
	v, err := parseWords(vocab)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", wordsFile, err)
	}
	keep := v.description.postProcessor
	v.description = bertDescription(lower)
	v.description.postProcessor = keep
	t, err := newTokenizer(v)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", wordsFile, err)
	}
	return t, nil
}

func parseWords(data []byte) (v vocabulary, err error) {
	v = vocabulary{kind: WordPiece, model: model{unk: "[UNK]", prefix: "##", maxWord: 100}, description: bertDescription(true)}
	if len(data) > maxFile {
		return v, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxFile)
	}
	if !utf8.Valid(data) {
		return v, fmt.Errorf("not valid UTF-8")
	}
	var added []AddedToken
	byName := make(map[string]AddedToken)
	for line := range strings.Lines(string(data)) {
		token := strings.TrimRight(line, "\r\n")
		id := int32(len(v.tokens))
		if id >= maxVocab {
			return v, fmt.Errorf("more than %d lines", maxVocab)
		}
		if token == "" {
			return v, fmt.Errorf("line %d is empty", id+1)
		}
		switch token {
		case "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]":
			a := AddedToken{ID: id, Content: token, Special: true}
			if other, twice := byName[token]; twice {
				return v, fmt.Errorf("token %q has two ids, %d and %d", token, other.ID, id)
			}
			added, byName[token], token = append(added, a), a, ""
		}
		v.tokens = append(v.tokens, token)
	}
	v.setAdded(added)
	for _, name := range []string{"[UNK]", "[CLS]", "[SEP]"} {
		if byName[name].Content == "" {
			return v, fmt.Errorf("%s is not in the vocabulary", name)
		}
	}
	v.description.postProcessor = surround(byName["[CLS]"], byName["[SEP]"], false)
	return v, nil
}

// bertConfig takes the settings of BERT's normalizer from tokenizer_config.json,
// where they go before those of tokenizer.json, as in the Python library.
func (v *vocabulary) bertConfig(all []member) error {
	if name, err := typeOf("normalizer", v.description.normalizer); err != nil || name != "BertNormalizer" {
		return err
	}
	b := struct {
		Type    string `json:"type"`
		Clean   bool   `json:"clean_text"`
		Chinese bool   `json:"handle_chinese_chars"`
		Accents *bool  `json:"strip_accents"`
		Lower   bool   `json:"lowercase"`
	}{Clean: true, Chinese: true, Lower: true}
	if err := json.Unmarshal(v.description.normalizer, &b); err != nil {
		return err
	}
	changed := false
	rules := map[string]rule{
		"do_lower_case":          nullOr(into(&b.Lower)),
		"tokenize_chinese_chars": nullOr(into(&b.Chinese)),
		"strip_accents":          nullOr(into(&b.Accents)),
	}
	for _, m := range all {
		if r, ok := rules[m.key]; ok {
			if err := r(m.value); err != nil {
				return fmt.Errorf("%s is %s: %w", m.key, shortValue(m.value), err)
			}
			changed = true
		}
	}
	if !changed {
		return nil
	}
	normalizer, err := json.Marshal(b)
	v.description.normalizer = normalizer
	return err
}
