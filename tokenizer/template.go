package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// template is what a post-processor puts around a text, and around two.
type template struct{ single, pair []templatePart }

// templatePart is a special token, or the place of the first or second text.
type templatePart struct {
	name   string // of the special token, "" for a text
	id     int32
	second bool  // the place of the second text
	kind   int32 // token type id
}

// Wrap returns the ids of one text with the special tokens that the tokenizer's
// post-processor puts around it: [CLS] ids [SEP] for BERT, <s> ids for Llama,
// the ids alone for GPT-2. To fit a model's context, cut ids to the context less
// WrapSize first.
func (t *Tokenizer) Wrap(ids []int32) []int32 {
	wrapped, _ := t.pipeline.template.fill(t.pipeline.template.single, ids, nil)
	return wrapped
}

// WrapPair returns the ids of two texts with the special tokens around them, and
// the token type of each id: for BERT [CLS] a [SEP] b [SEP], with type 0 up to
// the first [SEP] and 1 after it.
func (t *Tokenizer) WrapPair(a, b []int32) (ids, types []int32) {
	return t.pipeline.template.fill(t.pipeline.template.pair, a, b)
}

// WrapSize returns how many ids Wrap adds to one text, and WrapPair to two.
func (t *Tokenizer) WrapSize() (single, pair int) {
	return len(t.Wrap(nil)), len(first(t.WrapPair(nil, nil)))
}

func first[A, B any](a A, _ B) A { return a }

func (*template) fill(parts []templatePart, a, b []int32) (ids, types []int32) {
	for _, part := range parts {
		switch {
		case part.name != "":
			ids = append(ids, part.id)
		case part.second:
			ids = append(ids, b...)
		default:
			ids = append(ids, a...)
		}
		for len(types) < len(ids) {
			types = append(types, part.kind)
		}
	}
	return ids, types
}

// check holds the ids of the template's tokens against the vocabulary.
func (m *template) check(t *Tokenizer) error {
	for _, part := range slices.Concat(m.single, m.pair) {
		if part.name == "" {
			continue
		}
		if part.id < 0 || int(part.id) >= t.VocabSize() || t.kinds[part.id] == hole {
			return fmt.Errorf("post_processor adds %q as id %d, which is outside the vocabulary of %d", part.name, part.id, t.VocabSize())
		}
	}
	return nil
}

func plainTemplate() template {
	return template{
		single: []templatePart{{}},
		pair:   []templatePart{{}, {second: true, kind: 1}},
	}
}

func compileTemplate(where string, object json.RawMessage) (template, error) {
	name, err := typeOf(where, object)
	if err != nil {
		return template{}, err
	}
	switch name {
	case "":
		return plainTemplate(), nil
	case "ByteLevel": // moves offsets only
		m := plainTemplate()
		m.pair[1].kind = 0
		return m, checkObject(where+".", object, map[string]rule{"type": ignored, "add_prefix_space": anyBool, "trim_offsets": anyBool, "use_regex": anyBool})
	case "TemplateProcessing":
		return readTemplate(where, object)
	case "BertProcessing", "RobertaProcessing":
		return pairTemplate(where, object, name)
	case "Sequence":
		return templateSequence(where, object)
	}
	return template{}, unsupported(where, name, `null, "ByteLevel", "TemplateProcessing", "BertProcessing", "RobertaProcessing" and "Sequence"`)
}

// templateSequence takes the one step of a sequence that adds tokens.
func templateSequence(where string, object json.RawMessage) (template, error) {
	var steps []json.RawMessage
	if err := checkObject(where+".", object, map[string]rule{"type": ignored, "processors": into(&steps)}); err != nil {
		return template{}, err
	}
	result, adding := plainTemplate(), 0
	for i, step := range steps {
		at := fmt.Sprintf("%s.processors[%d]", where, i)
		m, err := compileTemplate(at, step)
		if err != nil {
			return template{}, err
		}
		if name, _ := typeOf(at, step); name != "ByteLevel" {
			result = m
			adding++
		}
	}
	if adding > 1 {
		return template{}, fmt.Errorf("%s has %d processors that add tokens: only one is supported", where, adding)
	}
	return result, nil
}

// readTemplate reads {"type": "TemplateProcessing"}.
func readTemplate(where string, object json.RawMessage) (template, error) {
	type part struct {
		SpecialToken *struct {
			ID     string `json:"id"`
			TypeID int32  `json:"type_id"`
		}
		Sequence *struct {
			ID     string `json:"id"`
			TypeID int32  `json:"type_id"`
		}
	}
	var m template
	var single, pair []part
	tokens := make(map[string][]int32)
	err := checkObject(where+".", object, map[string]rule{
		"type":   ignored,
		"single": into(&single),
		"pair":   into(&pair),
		"special_tokens": func(value json.RawMessage) error {
			var listed map[string]struct{ IDs []int32 }
			if err := json.Unmarshal(value, &listed); err != nil {
				return err
			}
			for name, token := range listed {
				tokens[name] = token.IDs
			}
			return nil
		},
	})
	if err != nil {
		return m, err
	}
	read := func(key string, parts []part, texts string) (filled []templatePart, err error) {
		for _, p := range parts {
			switch {
			case p.SpecialToken != nil && p.Sequence == nil:
				ids := tokens[p.SpecialToken.ID]
				if p.SpecialToken.ID == "" || len(ids) == 0 {
					return nil, fmt.Errorf("%s.%s adds %q, which has no ids in %s.special_tokens", where, key, p.SpecialToken.ID, where)
				}
				for _, id := range ids {
					filled = append(filled, templatePart{name: p.SpecialToken.ID, id: id, kind: p.SpecialToken.TypeID})
				}
			case p.Sequence != nil && p.SpecialToken == nil && texts != "" && p.Sequence.ID == texts[:1]:
				filled = append(filled, templatePart{second: p.Sequence.ID == "B", kind: p.Sequence.TypeID})
				texts = texts[1:]
			default:
				return nil, fmt.Errorf("%s.%s: only special tokens and each text once, in their order, are supported", where, key)
			}
		}
		if texts != "" {
			return nil, fmt.Errorf("%s.%s leaves out text %s", where, key, texts)
		}
		return filled, nil
	}
	if m.single, err = read("single", single, "A"); err != nil {
		return m, err
	}
	if len(pair) == 0 {
		return m, errors.New(where + ".pair is missing")
	}
	m.pair, err = read("pair", pair, "AB")
	return m, err
}

// pairTemplate reads the two fixed templates: BERT's, and RoBERTa's with two
// separators between texts and no token types.
func pairTemplate(where string, object json.RawMessage, name string) (template, error) {
	var sep, cls templatePart
	token := func(p *templatePart) rule {
		return func(value json.RawMessage) error {
			pair := []any{&p.name, &p.id}
			if err := json.Unmarshal(value, &pair); err != nil {
				return err
			}
			if len(pair) != 2 || p.name == "" {
				return errors.New("this is no token with its id")
			}
			return nil
		}
	}
	err := checkObject(where+".", object, map[string]rule{
		"type": ignored, "sep": token(&sep), "cls": token(&cls), "trim_offsets": anyBool, "add_prefix_space": anyBool,
	})
	if err != nil {
		return template{}, err
	}
	if sep.name == "" || cls.name == "" {
		return template{}, fmt.Errorf("%s: sep or cls is missing", where)
	}
	m := template{single: []templatePart{cls, {}, sep}}
	if name == "RobertaProcessing" {
		m.pair = []templatePart{cls, {}, sep, sep, {second: true}, sep}
		return m, nil
	}
	end := sep
	end.kind = 1
	m.pair = []templatePart{cls, {}, sep, {second: true, kind: 1}, end}
	return m, nil
}

// surround returns the TemplateProcessing that puts tokens before and after each
// text, nil where there are none. before and after are added tokens by name, ""
// for none; with types, the second text has token type 1.
func surround(before, after AddedToken, pairBefore bool) json.RawMessage {
	if before.Content == "" && after.Content == "" {
		return nil
	}
	special := func(a AddedToken, kind int) string {
		return fmt.Sprintf(`{"SpecialToken":{"id":%s,"type_id":%d}}`, quote(a.Content), kind)
	}
	text := func(name string, kind int) string {
		return fmt.Sprintf(`{"Sequence":{"id":"%s","type_id":%d}}`, name, kind)
	}
	list := func(parts ...string) string {
		s := ""
		for _, p := range parts {
			if p == "" {
				continue
			}
			if s != "" {
				s += ","
			}
			s += p
		}
		return s
	}
	opening := func(kind int) string {
		if before.Content == "" {
			return ""
		}
		return special(before, kind)
	}
	closing := func(kind int) string {
		if after.Content == "" {
			return ""
		}
		return special(after, kind)
	}
	again := ""
	if pairBefore {
		again = opening(1)
	}
	tokens := ""
	for _, a := range []AddedToken{before, after} {
		if a.Content == "" || tokens != "" && a.Content == before.Content {
			continue
		}
		tokens = list(tokens, fmt.Sprintf(`%s:{"id":%s,"ids":[%d],"tokens":[%s]}`, quote(a.Content), quote(a.Content), a.ID, quote(a.Content)))
	}
	return json.RawMessage(fmt.Sprintf(`{"type":"TemplateProcessing","single":[%s],"pair":[%s],"special_tokens":{%s}}`,
		list(opening(0), text("A", 0), closing(0)),
		list(opening(0), text("A", 0), closing(0), again, text("B", 1), closing(1)), tokens))
}
