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
	var v vocabulary
	if len(data) > maxFile {
		return v, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxFile)
	}
	if !utf8.Valid(data) {
		return v, errors.New("not valid UTF-8")
	}
	if !json.Valid(data) {
		// Only Unmarshal's error says at which byte.
		var any json.RawMessage
		return v, json.Unmarshal(data, &any)
	}
	var added []AddedToken
	var model modelFile
	preTokenizer := false
	err := checkObject("", data, map[string]rule{
		"version":    oneOf(`"1.0"`),
		"truncation": oneOf("null"),
		"padding":    oneOf("null"),
		"normalizer": oneOf("null"),
		"added_tokens": nullOr(func(value json.RawMessage) (err error) {
			added, err = parseAdded(value)
			return err
		}),
		"pre_tokenizer": func(value json.RawMessage) error {
			preTokenizer = true
			return checkByteLevel("pre_tokenizer", value, oneOf("false"))
		},
		// As a post-processor ByteLevel moves the offsets that Hugging Face
		// reports; ids stay as they are.
		"post_processor": nullOr(func(value json.RawMessage) error {
			return checkByteLevel("post_processor", value, anyBool)
		}),
		"decoder": func(value json.RawMessage) error {
			return checkByteLevel("decoder", value, anyBool)
		},
		"model": model.parse,
	})
	if err != nil {
		return v, err
	}
	if !preTokenizer {
		return v, errors.New(`pre_tokenizer is missing: only {"type": "ByteLevel"} is supported`)
	}
	if model.vocab == nil {
		return v, errors.New("model.vocab is missing")
	}
	return model.vocabulary(added)
}

func checkByteLevel(where string, value json.RawMessage, addPrefixSpace rule) error {
	var typ string
	sawPrefix := false
	// The type comes first in what is reported: the other keys of another type
	// would be beside the point.
	all, err := members(value)
	if err != nil {
		return fmt.Errorf("only ByteLevel is supported: %w", err)
	}
	for _, m := range all {
		if m.key == "type" {
			typ = string(m.value)
		}
	}
	if typ != `"ByteLevel"` {
		return fmt.Errorf("type %s is not supported, only ByteLevel", typ)
	}
	err = checkObject(where, value, map[string]rule{
		"type": oneOf(`"ByteLevel"`),
		"add_prefix_space": func(value json.RawMessage) error {
			sawPrefix = true
			return addPrefixSpace(value)
		},
		"trim_offsets": anyBool,
		"use_regex":    useRegex(where),
	})
	if err != nil {
		return err
	}
	// Absent, Hugging Face refuses the file.
	if !sawPrefix {
		return fmt.Errorf("%s.add_prefix_space is missing", where)
	}
	return nil
}

// useRegex: without its regex, the pre-tokenizer does not cut at all.
func useRegex(where string) rule {
	if where == "pre_tokenizer" {
		return oneOf("true")
	}
	return anyBool
}

func parseAdded(value json.RawMessage) ([]AddedToken, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return nil, err
	}
	added := make([]AddedToken, 0, len(list))
	for i, raw := range list {
		a := AddedToken{ID: -1}
		normalized := -1
		err := checkObject(fmt.Sprintf("added_tokens[%d]", i), raw, map[string]rule{
			"id":          into(&a.ID),
			"content":     into(&a.Content),
			"special":     into(&a.Special),
			"single_word": oneOf("false"),
			"lstrip":      oneOf("false"),
			"rstrip":      oneOf("false"),
			"normalized": func(value json.RawMessage) error {
				var b bool
				if err := json.Unmarshal(value, &b); err != nil {
					return err
				}
				normalized = 0
				if b {
					normalized = 1
				}
				return nil
			},
		})
		if err != nil {
			return nil, err
		}
		if a.ID < 0 || a.Content == "" {
			return nil, fmt.Errorf("added_tokens[%d]: id or content is missing", i)
		}
		if strings.ContainsRune(a.Content, utf8.RuneError) {
			return nil, fmt.Errorf("added_tokens[%d].content is %q: a name with U+FFFD or a lone surrogate is not supported", i, a.Content)
		}
		a.Normalized = normalized == 1 || normalized < 0 && !a.Special
		added = append(added, a)
	}
	return added, nil
}

// modelFile is the model of a tokenizer.json, or GPT-2's two files.
type modelFile struct {
	vocab  map[string]int32 // as written
	merges [][2]string      // as written
}

func (m *modelFile) parse(value json.RawMessage) error {
	all, err := members(value)
	if err != nil {
		return err
	}
	for _, member := range all {
		if member.key == "type" && string(member.value) != `"BPE"` {
			return fmt.Errorf("type %s is not supported, only BPE", member.value)
		}
	}
	return checkObject("model", value, map[string]rule{
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
		"vocab": func(value json.RawMessage) (err error) {
			m.vocab, err = parseVocab(value)
			return err
		},
		"merges": func(value json.RawMessage) (err error) {
			m.merges, err = parseMerges(value)
			return err
		},
	})
}

func parseVocab(object []byte) (map[string]int32, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	if err := openDelim(d, '{'); err != nil {
		return nil, err
	}
	vocab := make(map[string]int32)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		written := key.(string)
		var id int32
		if err := d.Decode(&id); err != nil {
			return nil, fmt.Errorf("id of %q: %w", written, err)
		}
		if _, twice := vocab[written]; twice {
			return nil, fmt.Errorf("token %q comes twice", written)
		}
		if len(vocab) == maxVocab {
			return nil, fmt.Errorf("more than %d tokens", maxVocab)
		}
		vocab[written] = id
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	return vocab, atEnd(d)
}

// parseMerges reads merges in either form: "a b", or since tokenizers 0.20
// ["a", "b"].
func parseMerges(value json.RawMessage) ([][2]string, error) {
	d := json.NewDecoder(bytes.NewReader(value))
	if err := openDelim(d, '['); err != nil {
		return nil, err
	}
	var merges [][2]string
	for d.More() {
		if len(merges) == maxVocab {
			return nil, fmt.Errorf("more than %d merges", maxVocab)
		}
		first, err := d.Token()
		if err != nil {
			return nil, err
		}
		var pair [2]string
		switch first := first.(type) {
		case string:
			if pair, err = splitMerge(first); err != nil {
				return nil, fmt.Errorf("merge %d: %w", len(merges), err)
			}
		case json.Delim:
			for i := range pair {
				part, err := d.Token()
				if err != nil {
					return nil, err
				}
				s, ok := part.(string)
				if !ok {
					return nil, fmt.Errorf("merge %d: found %s where a token should stand", len(merges), shortValue(part))
				}
				pair[i] = s
			}
			if end, err := d.Token(); err != nil || end != json.Delim(']') {
				return nil, fmt.Errorf("merge %d: not a pair", len(merges))
			}
		default:
			return nil, fmt.Errorf("merge %d: found %s where a pair should stand", len(merges), shortValue(first))
		}
		merges = append(merges, pair)
	}
	_, err := d.Token()
	return merges, err
}

func splitMerge(line string) ([2]string, error) {
	left, right, ok := strings.Cut(line, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return [2]string{}, fmt.Errorf("%q is not two tokens with a space between", line)
	}
	return [2]string{left, right}, nil
}

// vocabulary puts the ids of tokens in place of their written forms.
func (m *modelFile) vocabulary(added []AddedToken) (vocabulary, error) {
	v := vocabulary{added: added}
	names := make(map[string]int32, len(added))
	size := len(m.vocab)
	for _, a := range added {
		names[a.Content] = a.ID
		switch a.Content {
		case EndOfText:
			v.eos = a.Content
		case Pad:
			v.pad = a.Content
		}
		if id, ok := m.vocab[a.Content]; !ok {
			size++
		} else if id != a.ID {
			return v, fmt.Errorf("%q has id %d in model.vocab and %d in added_tokens", a.Content, id, a.ID)
		}
	}
	v.tokens = make([]string, size)
	var buf []byte
	for written, id := range m.vocab {
		if id < 0 || int(id) >= size {
			return v, fmt.Errorf("model.vocab: %q has id %d, outside 0 … %d; ids must have no holes", written, id, size-1)
		}
		if _, ok := names[written]; ok {
			continue
		}
		var err error
		if buf, err = appendUnwritten(buf[:0], written); err != nil {
			return v, fmt.Errorf("model.vocab: %q (id %d): %w; if it is a special token, it is missing from added_tokens", written, id, err)
		}
		if len(buf) == 0 {
			return v, fmt.Errorf("model.vocab: token %d is empty", id)
		}
		if v.tokens[id] != "" {
			return v, fmt.Errorf("model.vocab: id %d is given to two tokens, one of them %q", id, written)
		}
		v.tokens[id] = string(buf)
	}
	v.merges = make([]merge, 0, len(m.merges))
	for rank, pair := range m.merges {
		left, ok1 := m.vocab[pair[0]]
		right, ok2 := m.vocab[pair[1]]
		id, ok3 := m.vocab[pair[0]+pair[1]]
		if !ok1 || !ok2 || !ok3 {
			return v, fmt.Errorf("model.merges: merge %d, %q with %q: the two and what they become must all be in model.vocab", rank, pair[0], pair[1])
		}
		v.merges = append(v.merges, merge{left, right, id})
	}
	return v, nil
}

// parseGPT2 reads the files that GPT-2 was published with: vocab.json, token to
// id, and merges.txt, a merge a line after a line that begins with "#version".
// GPT-2's special token is "<|endoftext|>".
func parseGPT2(vocab, merges []byte) (vocabulary, error) {
	var m modelFile
	var err error
	if !utf8.Valid(vocab) {
		return vocabulary{}, fmt.Errorf("%s: not valid UTF-8", vocabFile)
	}
	if m.vocab, err = parseVocab(vocab); err != nil {
		return vocabulary{}, fmt.Errorf("%s: %w", vocabFile, err)
	}
	n := 0
	for line := range strings.Lines(string(merges)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || n == 1 && strings.HasPrefix(line, "#version") {
			continue
		}
		pair, err := splitMerge(line)
		if err != nil {
			return vocabulary{}, fmt.Errorf("%s: line %d: %w", mergesFile, n, err)
		}
		m.merges = append(m.merges, pair)
	}
	var added []AddedToken
	if id, ok := m.vocab[EndOfText]; ok {
		added = []AddedToken{{ID: id, Content: EndOfText, Special: true}}
	}
	return m.vocabulary(added)
}

// parseConfig takes from tokenizer_config.json what this package uses, and
// refuses the keys that would change ids in a way it does not have. The many
// other keys of such files concern the Python library's classes.
func (v *vocabulary) parseConfig(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("not valid UTF-8")
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	all, err := members(raw)
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
