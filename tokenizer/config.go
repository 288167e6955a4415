package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// parseConfig takes from tokenizer_config.json what this package uses beside the
// tokens that have a part (beside.parts), and refuses the keys that would change ids
// in a way it does not have. The many other keys of such files concern the Python
// library's classes. begins is what holds where add_bos_token is not there; nil: what
// the post-processor says.
func (v *vocabulary) parseConfig(root json.RawMessage, begins *bool) error {
	all, err := members(root)
	if err != nil {
		return err
	}
	addBOS, addEOS := begins, (*bool)(nil)
	rules := map[string]rule{
		"add_prefix_space": v.prefixSpace,
		"add_bos_token":    nullOr(into(&addBOS)),
		"add_eos_token":    nullOr(into(&addEOS)),
		"chat_template":    nullOr(v.chatTemplates),
	}
	for _, m := range all {
		if r, ok := rules[m.key]; ok {
			if err := r(m.value); err != nil {
				return fmt.Errorf("%s is %s: %w", m.key, shortValue(m.value), err)
			}
		}
	}
	if v.kind == WordPiece {
		return v.bertConfig(all)
	}
	return v.addEnds(addBOS, addEOS)
}

// chatTemplates reads one chat template, or a list of named ones.
func (v *vocabulary) chatTemplates(value json.RawMessage) error {
	if !begins(value, '[') {
		return json.Unmarshal(value, &v.chatTemplate)
	}
	var list []NamedTemplate
	if err := json.Unmarshal(value, &list); err != nil {
		return err
	}
	for i, one := range list {
		if one.Name == "" || one.Template == "" {
			return fmt.Errorf("template %d has no name or no text", i)
		}
		if slices.ContainsFunc(list[:i], func(other NamedTemplate) bool { return other.Name == one.Name }) {
			return fmt.Errorf("two templates are called %q", one.Name)
		}
		if one.Name == "default" {
			v.chatTemplate = one.Template
		}
	}
	v.templates = list
	return nil
}

// prefixSpace holds add_prefix_space against the pre-tokenizer. SentencePiece's
// vocabularies say it in their normalizer or pre-tokenizer, and the Python
// library does not look at the key.
func (v *vocabulary) prefixSpace(value json.RawMessage) error {
	if v.kind != ByteLevelBPE {
		return nullOr(anyBool)(value)
	}
	p, err := v.description.compile(v.kind)
	if err != nil {
		return err
	}
	if p.prepare != nil {
		return oneOf("null", "true")(value)
	}
	return oneOf("null", "false")(value)
}

// addEnds makes the post-processor add the token that begins a text, or the one
// that ends it, or not: add_bos_token and add_eos_token, nil where the file does
// not say, as the Python library's Llama classes take them.
func (v *vocabulary) addEnds(bos, eos *bool) error {
	if bos == nil && eos == nil {
		return nil
	}
	now, err := compileTemplate("post_processor", v.description.postProcessor)
	if err != nil {
		return err
	}
	hasBOS := v.roles.bos != "" && now.single[0].name == v.roles.bos
	hasEOS := v.roles.eos != "" && now.single[len(now.single)-1].name == v.roles.eos
	want := func(flag *bool, has bool) bool { return flag == nil && has || flag != nil && *flag }
	wantBOS, wantEOS := want(bos, hasBOS), want(eos, hasEOS)
	if wantBOS == hasBOS && wantEOS == hasEOS {
		return nil
	}
	var before, after AddedToken
	find := func(key, name string, token *AddedToken) error {
		for _, a := range v.added {
			if a.Content == name && name != "" {
				*token = a
				return nil
			}
		}
		return fmt.Errorf("%s is true and no token has that part", key)
	}
	if wantBOS {
		if err := find("add_bos_token", v.roles.bos, &before); err != nil {
			return err
		}
	}
	if wantEOS {
		if err := find("add_eos_token", v.roles.eos, &after); err != nil {
			return err
		}
	}
	v.description.postProcessor = surround(before, after, true)
	return nil
}

// errNoToken: a file gives a part to a token that the vocabulary does not have.
var errNoToken = errors.New("no token of the vocabulary has this name")

// tokenName reads the name of a token that has a part: a string, or an object with
// the name as its content. An ordinary token becomes an added one, as in the Python
// library.
func (v *vocabulary) tokenName(value json.RawMessage, name *string) error {
	s, err := writtenName(value)
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(v.added, func(a AddedToken) bool { return a.Content == s })
	if !known && !v.promote(AddedToken{Content: s, Special: true}) {
		return errNoToken
	}
	*name = s
	return nil
}
