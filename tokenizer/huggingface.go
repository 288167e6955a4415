package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The files of a Hugging Face tokenizer.
const (
	TokenizerFile = "tokenizer.json"
	ConfigFile    = "tokenizer_config.json"
	TemplateFile  = "chat_template.jinja"
	vocabFile     = "vocab.json" // GPT-2's own two files
	mergesFile    = "merges.txt"
)

// maxFile bounds each file that is read, in bytes. The largest tokenizer.json in
// use is about 35 MB.
const maxFile = 128 << 20

// Load reads the tokenizer in a folder: tokenizer.json, or GPT-2's vocab.json
// and merges.txt where there is none, and with either tokenizer_config.json and
// chat_template.jinja where they are there. What the files ask for and this
// package does not have is an error that names the key and its value.
func Load(dir string) (*Tokenizer, error) {
	t, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("reading tokenizer %s: %w", dir, err)
	}
	return t, nil
}

func load(dir string) (*Tokenizer, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()

	files := make(map[string][]byte)
	for _, name := range []string{TokenizerFile, ConfigFile, TemplateFile, vocabFile, mergesFile} {
		data, err := readLimited(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[name] = data
	}

	var v vocabulary
	switch {
	case files[TokenizerFile] != nil:
		if v, err = parseTokenizer(files[TokenizerFile]); err != nil {
			return nil, fmt.Errorf("%s: %w", TokenizerFile, err)
		}
	case files[vocabFile] != nil && files[mergesFile] != nil:
		if v, err = parseGPT2(files[vocabFile], files[mergesFile]); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("neither %s nor %s with %s is there: %w", TokenizerFile, vocabFile, mergesFile, fs.ErrNotExist)
	}
	if data := files[ConfigFile]; data != nil {
		if err := v.parseConfig(data); err != nil {
			return nil, fmt.Errorf("%s: %w", ConfigFile, err)
		}
	}
	if data := files[TemplateFile]; data != nil {
		if !utf8.Valid(data) {
			return nil, fmt.Errorf("%s: not valid UTF-8", TemplateFile)
		}
		v.chatTemplate = string(data)
	}
	return newTokenizer(v)
}

func readLimited(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are more than the limit of %d", name, info.Size(), maxFile)
	}
	data := make([]byte, 0, info.Size()+1)
	b := bytes.NewBuffer(data)
	if _, err := io.Copy(b, io.LimitReader(f, maxFile+1)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if b.Len() > maxFile {
		return nil, fmt.Errorf("%s: more than %d bytes", name, maxFile)
	}
	return b.Bytes(), nil
}

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
	var added []AddedToken
	var model, preTokenizer json.RawMessage
	err = checkObject("", root, map[string]rule{
		"version":    oneOf(`"1.0"`),
		"truncation": oneOf("null"),
		"padding":    oneOf("null"),
		"normalizer": oneOf("null"),
		"added_tokens": nullOr(func(value json.RawMessage) (err error) {
			added, err = parseAdded(value)
			return err
		}),
		"pre_tokenizer": func(value json.RawMessage) error {
			preTokenizer = value
			return checkByteLevel("pre_tokenizer.", value, oneOf("false"), oneOf("true"))
		},
		"post_processor": nullOr(checkPostProcessor),
		"decoder": func(value json.RawMessage) error {
			return checkByteLevel("decoder.", value, anyBool, anyBool)
		},
		"model": func(value json.RawMessage) error {
			model = value
			return checkModel(value)
		},
	})
	switch {
	case err != nil:
		return vocabulary{}, err
	case preTokenizer == nil:
		return vocabulary{}, errors.New(`pre_tokenizer is missing: only {"type": "ByteLevel"} is supported`)
	case model == nil:
		return vocabulary{}, errors.New("model is missing")
	}
	var vocab, merges json.RawMessage
	for key, value := range elements(model, '{') {
		switch string(unquote(key)) {
		case "vocab":
			vocab = value
		case "merges":
			merges = value
		}
	}
	written, err := parseVocab(vocab)
	if err != nil {
		return vocabulary{}, fmt.Errorf("model.vocab: %w", err)
	}
	v, err := newVocabulary(written, added)
	if err != nil {
		return vocabulary{}, fmt.Errorf("model.vocab: %w", err)
	}
	if v.merges, err = parseMerges(merges, written.ids); err != nil {
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

// checkByteLevel accepts an object of type ByteLevel whose add_prefix_space and
// use_regex obey these rules.
func checkByteLevel(where string, value json.RawMessage, addPrefixSpace, useRegex rule) error {
	if err := checkType(value, `"ByteLevel"`); err != nil {
		return err
	}
	prefixSpace := false
	err := checkObject(where, value, map[string]rule{
		"type": oneOf(`"ByteLevel"`),
		"add_prefix_space": func(value json.RawMessage) error {
			prefixSpace = true
			return addPrefixSpace(value)
		},
		"trim_offsets": anyBool,
		"use_regex":    useRegex, // absent is true
	})
	if err == nil && !prefixSpace {
		err = fmt.Errorf("%sadd_prefix_space is missing", where)
	}
	return err
}

// checkPostProcessor accepts the post-processors that leave the ids of a single
// text as they are: ByteLevel, which moves the offsets that Hugging Face reports,
// and the template that consists of the text alone, which transformers 5 writes
// into every file.
func checkPostProcessor(value json.RawMessage) error {
	if checkType(value, `"TemplateProcessing"`) != nil {
		return checkByteLevel("post_processor.", value, anyBool, anyBool)
	}
	unused := func(json.RawMessage) error { return nil }
	return checkObject("post_processor.", value, map[string]rule{
		"type": oneOf(`"TemplateProcessing"`),
		"single": func(value json.RawMessage) error {
			type part struct{ Sequence *struct{ ID string } }
			var parts []part
			if err := json.Unmarshal(value, &parts); err != nil {
				return err
			}
			if len(parts) != 1 || parts[0].Sequence == nil || parts[0].Sequence.ID != "A" {
				return errors.New("a template that adds tokens is not supported, only the text alone")
			}
			return nil
		},
		"pair":           unused, // of two texts encoded together
		"special_tokens": unused, // of single and pair
	})
}

// checkType looks at an object's type before its other keys, which for another
// type mean something else.
func checkType(object json.RawMessage, want string) error {
	all, err := members(object)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.key == "type" && string(m.value) != want {
			return fmt.Errorf("type %s is not supported, only %s", shortValue(m.value), want)
		}
	}
	return nil
}

// checkModel accepts a BPE model, apart from its vocab and merges.
func checkModel(value json.RawMessage) error {
	if err := checkType(value, `"BPE"`); err != nil {
		return err
	}
	vocab, merges := false, false
	err := checkObject("model.", value, map[string]rule{
		"type":    oneOf(`"BPE"`),
		"dropout": oneOf("null"),
		// Every byte has a token, so that the unknown token never comes up,
		// whichever it is.
		"unk_token":                 func(json.RawMessage) error { return nil },
		"fuse_unk":                  anyBool,
		"continuing_subword_prefix": oneOf("null", `""`),
		"end_of_word_suffix":        oneOf("null", `""`),
		"byte_fallback":             oneOf("false"),
		"ignore_merges":             oneOf("false"),
		"vocab":                     func(json.RawMessage) error { vocab = true; return nil },
		"merges":                    func(json.RawMessage) error { merges = true; return nil },
	})
	switch {
	case err != nil:
		return err
	case !vocab:
		return errors.New("model.vocab is missing")
	case !merges:
		return errors.New("model.merges is missing")
	}
	return nil
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
			"single_word": oneOf("false"),
			"lstrip":      oneOf("false"),
			"rstrip":      oneOf("false"),
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

// newVocabulary puts tokens in the order of their ids, as the bytes that they
// stand for.
func newVocabulary(w *writtenTokens, added []AddedToken) (vocabulary, error) {
	v := vocabulary{added: added}
	names := make(map[string]bool, len(added))
	size := len(w.ids)
	for _, a := range added {
		names[a.Content] = true
		switch a.Content {
		case EndOfText:
			v.eos = a.Content
		case Pad:
			v.pad = a.Content
		}
		if id, ok := w.ids[a.Content]; !ok {
			size++
		} else if id != a.ID {
			return v, fmt.Errorf("%q has id %d here and %d in added_tokens", a.Content, id, a.ID)
		}
	}
	v.tokens = make([]string, size)
	var buf []byte
	for key := range elements(w.object, '{') {
		written := unquote(key)
		id := w.ids[string(written)]
		if id < 0 || int(id) >= size {
			return v, fmt.Errorf("%q has id %d, outside 0 … %d; ids must have no holes", written, id, size-1)
		}
		if names[string(written)] {
			continue
		}
		var err error
		if buf, err = appendUnwritten(buf[:0], written); err != nil {
			return v, fmt.Errorf("%q (id %d): %w; a special token would have to be in added_tokens", written, id, err)
		}
		if len(buf) == 0 {
			return v, fmt.Errorf("the token of id %d is empty", id)
		}
		if v.tokens[id] != "" {
			return v, fmt.Errorf("%q has id %d, which another token has already", written, id)
		}
		v.tokens[id] = string(buf)
	}
	return v, nil
}

// parseGPT2 reads the files that GPT-2 was published with: vocab.json, token to
// id, and merges.txt, a merge a line after a line that begins with "#version".
// GPT-2's special token is "<|endoftext|>".
func parseGPT2(vocab, merges []byte) (vocabulary, error) {
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
	v, err := newVocabulary(written, added)
	if err != nil {
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

// parseConfig takes from tokenizer_config.json what this package uses, and
// refuses the keys that would change ids in a way it does not have. The many
// other keys of such files concern the Python library's classes.
func (v *vocabulary) parseConfig(data []byte) error {
	root, err := validJSON(data)
	if err != nil {
		return err
	}
	all, err := members(root)
	if err != nil {
		return err
	}
	off := oneOf("null", "false")
	rules := map[string]rule{
		"add_prefix_space": off,
		"add_bos_token":    off,
		"add_eos_token":    off,
		"eos_token":        nullOr(func(value json.RawMessage) error { return v.tokenName(value, &v.eos) }),
		"pad_token":        nullOr(func(value json.RawMessage) error { return v.tokenName(value, &v.pad) }),
		"chat_template":    nullOr(into(&v.chatTemplate)),
	}
	for _, m := range all {
		if r, ok := rules[m.key]; ok {
			if err := r(m.value); err != nil {
				return fmt.Errorf("%s is %s: %w", m.key, shortValue(m.value), err)
			}
		}
	}
	return nil
}

// tokenName reads the name of an added token: a string, or an object with the
// name as its content.
func (v *vocabulary) tokenName(value json.RawMessage, name *string) error {
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		var object struct{ Content *string }
		if err := json.Unmarshal(value, &object); err != nil || object.Content == nil {
			return errors.New("only a token's name, or an object with its name as content, is supported")
		}
		s = *object.Content
	}
	if !slices.ContainsFunc(v.added, func(a AddedToken) bool { return a.Content == s }) {
		return errors.New("no added token has this name")
	}
	*name = s
	return nil
}

// Files returns the tokenizer as files by name, to be written side by side into
// a model's folder: tokenizer.json, tokenizer_config.json and, where there is a
// chat template, chat_template.jinja. The bytes depend on the vocabulary alone.
// Load and Hugging Face's transformers read them.
func (t *Tokenizer) Files() (map[string][]byte, error) {
	files := map[string][]byte{TokenizerFile: t.tokenizerJSON()}
	config, err := t.configJSON()
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", ConfigFile, err)
	}
	files[ConfigFile] = config
	if t.chatTemplate != "" {
		files[TemplateFile] = []byte(t.chatTemplate)
	}
	return files, nil
}

// tokenizerJSON writes tokenizer.json as tokenizers does (keys in its order, two
// spaces of indent), with merges as strings, which all its versions read.
func (t *Tokenizer) tokenizerJSON() []byte {
	var b []byte
	b = append(b, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": ["...)
	for i, a := range t.added {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "\n    {\n      \"id\": %d,\n      \"content\": %s,\n      \"single_word\": false,\n      \"lstrip\": false,\n      \"rstrip\": false,\n      \"normalized\": %t,\n      \"special\": %t\n    }",
			a.ID, quote(a.Content), a.Normalized, a.Special)
	}
	if len(t.added) > 0 {
		b = append(b, "\n  "...)
	}
	const byteLevel = `{
    "type": "ByteLevel",
    "add_prefix_space": false,
    "trim_offsets": true,
    "use_regex": true
  }`
	b = append(b, "],\n  \"normalizer\": null,\n  \"pre_tokenizer\": "+byteLevel+",\n  \"post_processor\": null,\n  \"decoder\": "+byteLevel...)
	b = append(b, `,
  "model": {
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": false,
    "vocab": {`...)
	for id := range int32(t.VocabSize()) {
		if id > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "\n      %s: %d", quote(t.written(id)), id)
	}
	b = append(b, "\n    },\n    \"merges\": ["...)
	for rank, m := range t.merges {
		if rank > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "\n      %s", quote(t.written(m.left)+" "+t.written(m.right)))
	}
	if len(t.merges) > 0 {
		b = append(b, "\n    "...)
	}
	return append(b, "]\n  }\n}\n"...)
}

// written is how vocabulary files write token id.
func (t *Tokenizer) written(id int32) string {
	if t.kinds[id] != ordinary {
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

func (t *Tokenizer) configJSON() ([]byte, error) {
	config := struct {
		AddPrefixSpace bool   `json:"add_prefix_space"`
		ChatTemplate   string `json:"chat_template,omitempty"`
		CleanUp        bool   `json:"clean_up_tokenization_spaces"`
		EOS            string `json:"eos_token,omitempty"`
		Pad            string `json:"pad_token,omitempty"`
		Class          string `json:"tokenizer_class"`
	}{false, t.chatTemplate, false, t.eos, t.pad, "PreTrainedTokenizerFast"}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(config); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
