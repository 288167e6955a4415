package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a folder says of a vocabulary in files of their own: tokens that were added
// to it, the parts that tokens have, chat templates. transformers has kept the first
// two in tokenizer_config.json since 4.34 (added_tokens_decoder); where that key is
// there, the older added_tokens.json and special_tokens_map.json are not read, here
// as there (PreTrainedTokenizerBase._from_pretrained).

// beside are these files.
type beside struct {
	config    json.RawMessage // tokenizer_config.json, nil for none
	class     string          // tokenizer_class, without "Fast"
	decoder   json.RawMessage // added_tokens_decoder
	added     json.RawMessage // added_tokens.json, nil where it does not count
	special   json.RawMessage // special_tokens_map.json, nil where it does not count
	templates []NamedTemplate // of files: "default" and those of a folder
	fallback  string          // the template of chat_template.json
}

// readBeside reads them from a folder's files.
func readBeside(files map[string][]byte, root *os.Root) (b beside, err error) {
	object := func(name string) json.RawMessage {
		if files[name] == nil || err != nil {
			return nil
		}
		value, e := validJSON(files[name])
		if e == nil && !begins(value, '{') {
			e = fmt.Errorf("found %s where an object should stand", shortValue(value))
		}
		if e != nil {
			err = fmt.Errorf("%s: %w", name, e)
		}
		return value
	}
	b.config, b.added, b.special = object(ConfigFile), object(addedFile), object(specialFile)
	template := object(oldTemplateFile)
	if err != nil {
		return b, err
	}
	for key, value := range elements(b.config, '{') {
		switch string(unquote(key)) {
		case "tokenizer_class":
			if begins(value, '"') {
				b.class = strings.TrimSuffix(string(unquote(value)), "Fast")
			}
		case "added_tokens_decoder":
			if string(value) != "null" {
				b.decoder, b.added, b.special = value, nil, nil
			}
		}
	}
	for key, value := range elements(template, '{') {
		if string(unquote(key)) == "chat_template" && begins(value, '"') {
			b.fallback = string(unquote(value))
		}
	}
	return b, b.readTemplates(files, root)
}

// readTemplates reads chat_template.jinja and the templates for other purposes
// beside it.
func (b *beside) readTemplates(files map[string][]byte, root *os.Root) error {
	add := func(name, file string, data []byte) error {
		if !utf8.Valid(data) {
			return fmt.Errorf("%s: not valid UTF-8", file)
		}
		b.templates = append(b.templates, NamedTemplate{name, string(data)})
		return nil
	}
	if data := files[TemplateFile]; data != nil {
		if err := add("default", TemplateFile, data); err != nil {
			return err
		}
	}
	list, err := fs.ReadDir(root.FS(), templateFolder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range list {
		name, ok := strings.CutSuffix(entry.Name(), ".jinja")
		if !ok || name == "" || name == "default" {
			continue
		}
		path := templateFolder + "/" + entry.Name()
		data, err := readLimited(root, path)
		if err != nil {
			return err
		}
		if err := add(name, path, data); err != nil {
			return err
		}
	}
	return nil
}

// tokens lists the tokens that were added, by id, and the file that says so.
func (b *beside) tokens() (list []AddedToken, from string, err error) {
	if b.decoder != nil {
		list, err = parseDecoder(b.decoder)
		return list, ConfigFile, err
	}
	if b.added == nil {
		return nil, "", nil
	}
	parts, err := b.specialNames()
	if err != nil {
		return nil, "", err
	}
	for key, value := range elements(b.added, '{') {
		name := string(unquote(key))
		id, err := strconv.ParseInt(string(value), 10, 32)
		if err != nil || id < 0 || id >= maxVocab || name == "" {
			return nil, "", fmt.Errorf("%s: the id of %q is %s, want 0 to %d", addedFile, name, shortValue(value), maxVocab-1)
		}
		special := slices.Contains(parts, name)
		list = append(list, AddedToken{ID: int32(id), Content: name, Special: special, Normalized: !special})
	}
	slices.SortFunc(list, func(x, y AddedToken) int { return int(x.ID) - int(y.ID) })
	return list, addedFile, nil
}

// parseDecoder reads added_tokens_decoder: an object of tokens by their ids.
func parseDecoder(object json.RawMessage) (list []AddedToken, err error) {
	if !begins(object, '{') {
		return nil, fmt.Errorf("%s: added_tokens_decoder is %s: an object should stand here", ConfigFile, shortValue(object))
	}
	for key, value := range elements(object, '{') {
		id, err := strconv.ParseInt(string(unquote(key)), 10, 32)
		if err != nil || id < 0 || id >= maxVocab {
			return nil, fmt.Errorf("%s: added_tokens_decoder has the id %s, want 0 to %d", ConfigFile, shortValue(key), maxVocab-1)
		}
		a := AddedToken{ID: int32(id)}
		normalized := false
		if err := checkObject(fmt.Sprintf("added_tokens_decoder.%d.", id), value, map[string]rule{
			"content":     into(&a.Content),
			"special":     into(&a.Special),
			"single_word": into(&a.SingleWord),
			"lstrip":      into(&a.LStrip),
			"rstrip":      into(&a.RStrip),
			"normalized": func(value json.RawMessage) error {
				normalized = true
				return json.Unmarshal(value, &a.Normalized)
			},
			"__type": ignored,
		}); err != nil {
			return nil, fmt.Errorf("%s: %w", ConfigFile, err)
		}
		if a.Content == "" || strings.ContainsRune(a.Content, utf8.RuneError) {
			return nil, fmt.Errorf("%s: added_tokens_decoder.%d.content is %q: a name of valid UTF-8 should stand here", ConfigFile, id, a.Content)
		}
		if !normalized {
			a.Normalized = !a.Special
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(x, y AddedToken) int { return int(x.ID) - int(y.ID) })
	return list, nil
}

// partKeys are the keys of the tokens that have a part, in tokenizer_config.json
// and special_tokens_map.json.
var partKeys = []string{"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"}

// specialNames lists the names of the tokens that the files give a part or call
// special.
func (b *beside) specialNames() (names []string, err error) {
	for _, file := range []struct {
		name   string
		object json.RawMessage
	}{{ConfigFile, b.config}, {specialFile, b.special}} {
		for key, value := range elements(file.object, '{') {
			key := string(unquote(key))
			if string(value) == "null" {
				continue
			}
			switch {
			case slices.Contains(partKeys, key):
				name, err := writtenName(value)
				if err != nil {
					return nil, fmt.Errorf("%s: %s is %s: %w", file.name, key, shortValue(value), err)
				}
				names = append(names, name)
			case (key == "additional_special_tokens" || key == "extra_special_tokens") && begins(value, '['):
				for _, one := range elements(value, '[') {
					if name, err := writtenName(one); err == nil {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names, nil
}

// writtenName reads a token's name: text, or an object with the name as its content.
func writtenName(value json.RawMessage) (string, error) {
	var name string
	if err := json.Unmarshal(value, &name); err == nil {
		return name, nil
	}
	var object struct{ Content *string }
	if err := json.Unmarshal(value, &object); err != nil || object.Content == nil {
		return "", errors.New("only a token's name, or an object with its name as content, is supported")
	}
	return *object.Content, nil
}

// join puts the tokens that were added into a vocabulary. Where the vocabulary has
// a token already, its own id counts and, if it is an added one, its own flags.
// Those without a row of the model, of rows, are left out; 0 rows: none is.
func (v *vocabulary) join(list []AddedToken, from string, rows int) error {
	for _, a := range list {
		if slices.ContainsFunc(v.added, func(other AddedToken) bool { return other.Content == a.Content }) {
			continue
		}
		if v.promote(a) {
			continue
		}
		if rows > 0 && int(a.ID) >= rows {
			v.leaveOut(a, from, rows)
			continue
		}
		if other := slices.IndexFunc(v.added, func(other AddedToken) bool { return other.ID == a.ID }); other >= 0 {
			return fmt.Errorf("%s: id %d is given to %q, and the vocabulary has %q there; take the files of one tokenizer", from, a.ID, a.Content, v.added[other].Content)
		}
		if int(a.ID) < len(v.tokens) && v.tokens[a.ID] != "" {
			return fmt.Errorf("%s: id %d is given to %q, and the vocabulary has %q there; take the files of one tokenizer", from, a.ID, a.Content, v.tokens[a.ID])
		}
		v.holes = v.holes || int(a.ID) > len(v.tokens)
		for len(v.tokens) <= int(a.ID) {
			v.tokens = append(v.tokens, "")
			if v.scores != nil {
				v.scores = append(v.scores, 0)
			}
		}
		v.added = append(v.added, a)
	}
	return nil
}

// cut leaves out the added tokens of a vocabulary's own file for which the model has
// no row, if all ids beyond are theirs and none begins or ends a text.
func (v *vocabulary) cut(file string, rows int) {
	ends := func(a AddedToken) bool {
		return int(a.ID) >= rows && (a.Content == v.roles.bos || a.Content == v.roles.eos)
	}
	if len(v.tokens) <= rows || slices.ContainsFunc(v.added, ends) || slices.ContainsFunc(v.tokens[rows:], func(token string) bool { return token != "" }) {
		return
	}
	v.tokens = v.tokens[:rows]
	if v.scores != nil {
		v.scores = v.scores[:rows]
	}
	v.added = slices.DeleteFunc(slices.Clone(v.added), func(a AddedToken) bool {
		if int(a.ID) < rows {
			return false
		}
		v.leaveOut(a, file, rows)
		return true
	})
}

// leaveOut notes a token for which the model has no row, and takes its part.
func (v *vocabulary) leaveOut(a AddedToken, file string, rows int) {
	v.left = append(v.left, a.Content)
	v.notes = append(v.notes, fmt.Sprintf("%s: %q has id %d, and the model has %d rows; left out", file, a.Content, a.ID, rows))
	for _, key := range partKeys {
		if role := v.roles.of(key); *role == a.Content {
			*role = ""
		}
	}
}

// promote makes an ordinary token an added one, and tells whether there is one of
// that name. The merges that made it go: text must not become a special token.
func (v *vocabulary) promote(a AddedToken) bool {
	id := int32(slices.Index(v.tokens, a.Content))
	if id < 0 || a.Content == "" {
		return false
	}
	a.ID = id
	v.added, v.tokens[id] = append(v.added, a), ""
	delete(v.unused, id)
	merges, ranks := v.merges[:0:0], v.ranks[:0:0]
	for i, m := range v.merges {
		if m.left == id || m.right == id || m.id == id {
			continue
		}
		merges = append(merges, m)
		if v.ranks != nil {
			ranks = append(ranks, v.ranks[i])
		}
	}
	if v.merges = merges; v.ranks != nil {
		v.ranks = ranks
	}
	return true
}

// parts gives tokens their parts: of tokenizer_config.json, and then of
// special_tokens_map.json where that counts.
func (b *beside) parts(v *vocabulary) error {
	for _, file := range []struct {
		name   string
		object json.RawMessage
	}{{ConfigFile, b.config}, {specialFile, b.special}} {
		all, err := members(file.object)
		if file.object != nil && err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		for _, m := range all {
			role := v.roles.of(m.key)
			if role == nil || string(m.value) == "null" {
				continue
			}
			err := v.tokenName(m.value, role)
			name, _ := writtenName(m.value)
			if errors.Is(err, errNoToken) && slices.Contains(v.left, name) && role != &v.roles.bos && role != &v.roles.eos {
				continue // noted already; what begins or ends a text must be there
			}
			if errors.Is(err, errNoToken) && file.name == specialFile && !slices.Contains(v.left, name) {
				v.notes = append(v.notes, fmt.Sprintf("%s: %s is %s, which the vocabulary does not have; left out", file.name, m.key, shortValue(m.value)))
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %s is %s: %w", file.name, m.key, shortValue(m.value), err)
			}
		}
	}
	return nil
}

// of is the part that a key of partKeys names, nil for another key.
func (r *roles) of(key string) *string {
	return map[string]*string{
		"bos_token": &r.bos, "eos_token": &r.eos, "unk_token": &r.unk, "pad_token": &r.pad,
		"sep_token": &r.sep, "cls_token": &r.cls, "mask_token": &r.mask,
	}[key]
}

// chat takes the templates of files of their own, which go before those of
// tokenizer_config.json; chat_template.json is read where there is no other.
func (b *beside) chat(v *vocabulary) {
	switch {
	case len(b.templates) == 1 && b.templates[0].Name == "default":
		v.chatTemplate, v.templates = b.templates[0].Template, nil
	case len(b.templates) > 0:
		if b.templates[0].Name == "default" {
			v.chatTemplate = b.templates[0].Template
		} else if v.chatTemplate != "" {
			b.templates = append([]NamedTemplate{{"default", v.chatTemplate}}, b.templates...)
		}
		v.templates = b.templates
	case v.chatTemplate == "" && len(v.templates) == 0:
		v.chatTemplate = b.fallback
	}
}

// The classes of the Python library that a vocabulary without tokenizer.json says
// its rules by, without "Fast". The others' rules are not known here.
var (
	byteClasses  = []string{"", "GPT2Tokenizer", "Qwen2Tokenizer", "PreTrainedTokenizer", "TokenizersBackend"}
	pieceClasses = []string{"LlamaTokenizer", "CodeLlamaTokenizer"}
	beginClasses = []string{"LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer"} // that begin a text with bos_token unless told otherwise
)

// rules applies what the class says of a vocabulary that was read from a file which
// does not say it itself.
func (b *beside) rules(v *vocabulary, file string) error {
	switch {
	case file == vocabFile && !slices.Contains(byteClasses, b.class):
		return fmt.Errorf("%s: tokenizer_class is %q; of %s with %s alma has %q: save the tokenizer as %s (save_pretrained of transformers)",
			ConfigFile, b.class, vocabFile, mergesFile, byteClasses[1:3], TokenizerFile)
	case file == vocabFile && b.class == "Qwen2Tokenizer":
		v.description = qwen2Description()
	case file == vocabFile:
		prefix, err := b.flag("add_prefix_space", false)
		if err != nil {
			return err
		}
		if prefix {
			v.description.preTokenizer = json.RawMessage(strings.Replace(byteLevelJSON, `"add_prefix_space":false`, `"add_prefix_space":true`, 1))
		}
	case file == pieceFile && slices.Contains(pieceClasses, b.class):
		return b.metaspace(v)
	}
	return nil
}

// flag reads a key of tokenizer_config.json that is true or false.
func (b *beside) flag(name string, otherwise bool) (bool, error) {
	for key, value := range elements(b.config, '{') {
		if string(unquote(key)) != name || string(value) == "null" {
			continue
		}
		if err := json.Unmarshal(value, &otherwise); err != nil {
			return false, fmt.Errorf("%s: %s is %s: %w", ConfigFile, name, shortValue(value), err)
		}
	}
	return otherwise, nil
}

// metaspace gives a SentencePiece vocabulary the rules of the Python library's
// LlamaTokenizer, which does not ask SentencePiece: ▁ stands before the text alone,
// before each part between added tokens with legacy, and nowhere without
// add_prefix_space.
func (b *beside) metaspace(v *vocabulary) error {
	legacy, err := b.flag("legacy", false)
	if err != nil {
		return err
	}
	prefix, err := b.flag("add_prefix_space", true)
	if err != nil {
		return err
	}
	scheme := "first"
	switch {
	case !prefix:
		scheme = "never"
	case legacy:
		scheme = "always"
	}
	v.description = sentencePieceDescription(prefix)
	v.description.normalizer = nil
	v.description.preTokenizer = json.RawMessage(`{"type":"Metaspace","replacement":"▁","prepend_scheme":"` + scheme + `","split":false}`)
	return nil
}

// begins tells whether the class begins a text with its bos_token where
// tokenizer_config.json does not say: as documented, and as transformers did up to
// version 4 and llama.cpp does. (Version 5 adds none then; the models learned with it.)
func (b *beside) begins(file string) bool {
	return file == pieceFile && slices.Contains(beginClasses, b.class)
}

// UsedFiles lists the names of the files that Load looks for in a folder, and of a
// folder in it.
func UsedFiles() []string {
	return append(slices.Clone(folderFiles), templateFolder)
}
