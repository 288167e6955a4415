package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Files returns the tokenizer as files by name, to be written side by side into
// a model's folder: tokenizer.json, tokenizer_config.json and, where there is a
// chat template and not several, chat_template.jinja. The bytes depend on the vocabulary alone.
// Load and Hugging Face's transformers read them.
func (t *Tokenizer) Files() (map[string][]byte, error) {
	files := map[string][]byte{TokenizerFile: t.tokenizerJSON()}
	config, err := t.configJSON()
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", ConfigFile, err)
	}
	files[ConfigFile] = config
	if t.chatTemplate != "" && len(t.templates) == 0 {
		files[TemplateFile] = []byte(t.chatTemplate)
	}
	return files, nil
}

// tokenizerJSON writes tokenizer.json as tokenizers does (keys in its order, two
// spaces of indent), with merges as strings where no token holds a space, which
// all its versions read.
func (t *Tokenizer) tokenizerJSON() []byte {
	d := &t.description
	b := []byte("{\n  \"version\": \"1.0\"")
	b = appendSection(b, "truncation", d.truncation)
	b = appendSection(b, "padding", d.padding)
	b = append(b, ",\n  \"added_tokens\": ["...)
	for i, a := range t.added {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "\n    {\n      \"id\": %d,\n      \"content\": %s,\n      \"single_word\": %t,\n      \"lstrip\": %t,\n      \"rstrip\": %t,\n      \"normalized\": %t,\n      \"special\": %t\n    }",
			a.ID, quote(a.Content), a.SingleWord, a.LStrip, a.RStrip, a.Normalized, a.Special)
	}
	if len(t.added) > 0 {
		b = append(b, "\n  "...)
	}
	b = append(b, ']')
	b = appendSection(b, "normalizer", d.normalizer)
	b = appendSection(b, "pre_tokenizer", d.preTokenizer)
	b = appendSection(b, "post_processor", d.postProcessor)
	b = appendSection(b, "decoder", d.decoder)
	b = append(b, ",\n  \"model\": {\n    \"type\": "...)
	switch t.kind {
	case Unigram:
		b = t.appendUnigram(b)
	case WordPiece:
		b = fmt.Appendf(b, "\"WordPiece\",\n    \"unk_token\": %s,\n    \"continuing_subword_prefix\": %s,\n    \"max_input_chars_per_word\": %d",
			quote(t.model.unk), quote(t.model.prefix), t.model.maxWord)
		b = t.appendVocab(b)
	default:
		b = fmt.Appendf(b, "\"BPE\",\n    \"dropout\": null,\n    \"unk_token\": %s,\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": %t,\n    \"byte_fallback\": %t,\n    \"ignore_merges\": %t",
			quoteOrNull(t.model.unk), t.model.fuseUnk, t.model.byteFallback, t.model.ignoreMerges)
		b = t.appendVocab(b)
		b = t.appendMerges(b)
	}
	return append(b, "\n  }\n}\n"...)
}

// appendSection writes a key of the file with its value, indented.
func appendSection(b []byte, key string, value json.RawMessage) []byte {
	b = fmt.Appendf(b, ",\n  %q: ", key)
	if value == nil {
		return append(b, "null"...)
	}
	out := bytes.NewBuffer(b)
	if err := json.Indent(out, value, "  ", "  "); err != nil {
		panic(err) // descriptions are valid JSON
	}
	return out.Bytes()
}

func (t *Tokenizer) appendVocab(b []byte) []byte {
	b = append(b, ",\n    \"vocab\": {"...)
	comma := ""
	for id := range int32(t.VocabSize()) {
		if t.kinds[id] != hole {
			b = fmt.Appendf(b, "%s\n      %s: %d", comma, quote(t.written(id)), id)
			comma = ","
		}
	}
	return append(b, "\n    }"...)
}

func (t *Tokenizer) appendMerges(b []byte) []byte {
	spaces := false
	if t.kind == CharacterBPE {
		for _, m := range t.merges {
			spaces = spaces || strings.Contains(t.token(m.left)+t.token(m.right), " ")
		}
	}
	b = append(b, ",\n    \"merges\": ["...)
	for i, m := range t.merges {
		if i > 0 {
			b = append(b, ',')
		}
		if spaces {
			b = fmt.Appendf(b, "\n      [%s, %s]", quote(t.written(m.left)), quote(t.written(m.right)))
		} else {
			b = fmt.Appendf(b, "\n      %s", quote(t.written(m.left)+" "+t.written(m.right)))
		}
	}
	if len(t.merges) > 0 {
		b = append(b, "\n    "...)
	}
	return append(b, ']')
}

func (t *Tokenizer) appendUnigram(b []byte) []byte {
	unk := "null"
	if t.unk >= 0 {
		unk = strconv.Itoa(int(t.unk))
	}
	b = fmt.Appendf(b, "\"Unigram\",\n    \"unk_id\": %s,\n    \"vocab\": [", unk)
	comma := ""
	for id := range int32(t.VocabSize()) {
		if t.kinds[id] == hole {
			break // holes lie behind the vocabulary, before added tokens
		}
		b = fmt.Appendf(b, "%s\n      [%s, %s]", comma, quote(t.token(id)), strconv.FormatFloat(t.scores[id], 'g', -1, 64))
		comma = ","
	}
	return fmt.Appendf(b, "\n    ],\n    \"byte_fallback\": %t", t.model.byteFallback)
}

// written is how vocabulary files write token id.
func (t *Tokenizer) written(id int32) string {
	if t.kinds[id] != ordinary || t.kind != ByteLevelBPE {
		return t.token(id)
	}
	return string(appendWritten(nil, t.token(id)))
}

// quote is s as a JSON string that keeps '<' and '>' readable.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // no string fails to encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func quoteOrNull(s string) string {
	if s == "" {
		return "null"
	}
	return quote(s)
}

func (t *Tokenizer) configJSON() ([]byte, error) {
	var template any // a text, or a list of named ones
	switch {
	case len(t.templates) > 0:
		template = t.templates
	case t.chatTemplate != "":
		template = t.chatTemplate
	}
	config := struct {
		AddPrefixSpace bool   `json:"add_prefix_space"`
		BOS            string `json:"bos_token,omitempty"`
		ChatTemplate   any    `json:"chat_template,omitempty"`
		CleanUp        bool   `json:"clean_up_tokenization_spaces"`
		CLS            string `json:"cls_token,omitempty"`
		EOS            string `json:"eos_token,omitempty"`
		Mask           string `json:"mask_token,omitempty"`
		Pad            string `json:"pad_token,omitempty"`
		SEP            string `json:"sep_token,omitempty"`
		Class          string `json:"tokenizer_class"`
		Unk            string `json:"unk_token,omitempty"`
	}{t.kind == ByteLevelBPE && t.pipeline.prepare != nil, t.roles.bos, template, false, t.roles.cls, t.roles.eos, t.roles.mask, t.roles.pad, t.roles.sep, "PreTrainedTokenizerFast", t.roles.unk}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(config); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
