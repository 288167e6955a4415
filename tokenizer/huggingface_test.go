package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func writeFiles(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustFiles(t testing.TB, tok *Tokenizer) map[string][]byte {
	t.Helper()
	files, err := tok.Files()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFilesLoadAsTheSameTokenizer(t *testing.T) {
	tok := goldenTokenizer(t)
	tok.chatTemplate = "{{ messages }}"
	files := mustFiles(t, tok)
	got, err := Load(writeFiles(t, files))
	if err != nil {
		t.Fatal(err)
	}
	again := mustFiles(t, got)
	for _, name := range []string{TokenizerFile, ConfigFile, TemplateFile} {
		if len(files[name]) == 0 || !bytes.Equal(files[name], again[name]) {
			t.Errorf("%s is not what it was", name)
		}
	}
	if len(files) != 3 {
		t.Errorf("%d files, want 3", len(files))
	}
	if !slices.Equal(got.AddedTokens(), tok.AddedTokens()) {
		t.Errorf("added tokens %v, want %v", got.AddedTokens(), tok.AddedTokens())
	}
}

func TestConfigIsAsTransformersReadsIt(t *testing.T) {
	tok := goldenTokenizer(t)
	tok.chatTemplate = "{{ messages }}"
	var config map[string]any
	if err := json.Unmarshal(mustFiles(t, tok)[ConfigFile], &config); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>",
		"add_prefix_space": false, "clean_up_tokenization_spaces": false, "chat_template": "{{ messages }}",
	} {
		if config[key] != want {
			t.Errorf("%s is %v, want %v", key, config[key], want)
		}
	}
}

func TestMergesAreReadAsStringsAndAsPairs(t *testing.T) {
	pairs := readTestdata(t, "huggingface.json")
	if !bytes.Contains(pairs, []byte("[\n        \"Ġ\"")) && !bytes.Contains(pairs, []byte("[\n        \"")) {
		t.Fatal("testdata/huggingface.json does not have merges as pairs")
	}
	strs := mustFiles(t, goldenTokenizer(t))[TokenizerFile]
	tok, err := Parse(strs)
	if err != nil {
		t.Fatal(err)
	}
	sameTokenizer(t, tok, goldenTokenizer(t))
}

// gpt2Files writes a tokenizer as GPT-2 was published.
func gpt2Files(tok *Tokenizer) map[string][]byte {
	vocab := make(map[string]int32)
	merges := "#version: 0.2\n"
	for id := range int32(tok.VocabSize()) {
		vocab[tok.written(id)] = id
	}
	for _, m := range tok.merges {
		merges += tok.written(m.left) + " " + tok.written(m.right) + "\n"
	}
	data, err := json.Marshal(vocab)
	if err != nil {
		panic(err)
	}
	return map[string][]byte{vocabFile: data, mergesFile: []byte(merges)}
}

func TestGPT2sOwnFilesAreRead(t *testing.T) {
	want := goldenTokenizer(t)
	// GPT-2 has one special token; the others would be text.
	want.added = want.added[:1]
	files := gpt2Files(want)
	for _, name := range []string{IMStart, IMEnd, Pad} {
		// Bytes that no text has, so that they are ordinary tokens.
		files[vocabFile] = bytes.Replace(files[vocabFile], quoted(name), quoted(strings.Repeat("À", len(name))), 1)
	}
	tok, err := Load(writeFiles(t, files))
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range goldenDocs(t) {
		if got := tok.Encode(doc); !slices.Equal(got, want.Encode(doc)) {
			t.Fatalf("Encode(%q) = %v", doc, got)
		}
	}
	if id, ok := tok.EOS(); !ok || id != 0 {
		t.Errorf("EOS() = %d, %v", id, ok)
	}
}

func quoted(s string) []byte {
	data, err := json.Marshal(s) // with '<' escaped, as in gpt2Files
	if err != nil {
		panic(err)
	}
	return data
}

func TestWhatTheFileAsksAndIsNotHereIsRefusedByName(t *testing.T) {
	whole := string(mustFiles(t, goldenTokenizer(t))[TokenizerFile])
	for _, test := range []struct{ old, new, want string }{
		{`"version": "1.0"`, `"version": "2.0"`, `version is "2.0"`},
		{`"version": "1.0"`, `"version": "1.0", "extra": [1]`, `extra is [1]: this key is not supported`},
		{`"version": "1.0"`, `"version": "1.0", "version": "1.0"`, `"version" comes twice`},
		{`"normalizer": null`, `"normalizer": {"type": "Nmt"}`, `normalizer is of type "Nmt", which is not supported`},
		{`"post_processor": null`, `"post_processor": {"type": "BertProcessing"}`, `post_processor: sep or cls is missing`},
		{`"post_processor": null`, `"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]}`, `post_processor.single adds "<s>", which has no ids in post_processor.special_tokens`},
		{`"post_processor": null`, `"post_processor": {"type": "TemplateProcessing", "single": []}`, `post_processor.single leaves out text A`},
		{`"type": "ByteLevel"`, `"type": "Metaspace"`, `pre_tokenizer is of type "Metaspace", which is not supported, only "ByteLevel"`},
		{`"type": "ByteLevel"`, `"type": "ByteLevel", "new": 1`, `pre_tokenizer.new is 1`},
		{`"add_prefix_space": false,`, ``, `pre_tokenizer.add_prefix_space is missing`},
		{`"use_regex": true`, `"use_regex": false`, `pre_tokenizer.use_regex is false`},
		{`"type": "BPE"`, `"type": "WordLevel"`, `model is of type "WordLevel", which is not supported`},
		{`"normalizer": null`, `"normalizer": {"type": "Replace", "pattern": {"Regex": "(?<=a)b"}, "content": "b"}`, `normalizer.pattern is "(?<=a)b", which alma cannot follow: "(?<=" begins a group`},
		{`"normalizer": null`, `"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "ByteLevel"}]}`, `normalizer.normalizers[1] is of type "ByteLevel"`},
		{`"dropout": null`, `"dropout": 0.1`, `model.dropout is 0.1`},
		{`"continuing_subword_prefix": null`, `"continuing_subword_prefix": "##"`, `model.continuing_subword_prefix is "##"`},
		{`"byte_fallback": false`, `"byte_fallback": true`, `model.byte_fallback is true: for a byte-level vocabulary only false is supported`},
		{`"lstrip": false`, `"lstrip": 1`, `added_tokens[0].lstrip is 1`},
		{`"single_word": false`, `"single_word": "no"`, `added_tokens[0].single_word is "no"`},
		{`"special": true`, `"special": 1`, `added_tokens[0].special is 1`},
		{`"id": 0,`, ``, `added_tokens[0].id or added_tokens[0].content is missing`},
		{`"id": 0,`, `"id": 1,`, `has id 0 here and 1 in added_tokens`},
		{`"!": 4`, `"!": 5`, `"\"" has id 5, which another token has already`},
		{`"!": 4`, `"!": 1048576`, `a token has id 1048576, more than the limit of 1048575`},
		{`"!": 4`, `"!": -4`, `"!" has id -4, which is no id`},
		{`"!": 4`, `"!": -1`, `"!" has id -1`},
		{`"!": 4`, `"!": 4.5`, `the id of "!" is 4.5`},
		{`"!": 4`, `"!": 4, "!": 4`, `token "!" comes twice`},
		{`"!": 4`, `"日": 4`, `character '日' (U+65E5) stands for no byte`},
		{`"!": 4`, `"": 4`, `the token of id 4 is empty`},
		{`"merges": [`, `"merges": ["! \""`, `byte`},
		{`"merges": [`, `"merges": ["! \"",`, `"!\"" is not in the vocabulary`},
		{`"merges": [`, `"merges": ["!",`, `not two tokens with a space between`},
		{`"merges": [`, `"merges": ["a b c",`, `not two tokens with a space between`},
		{`"merges": [`, `"merges": [["!"],`, `no pair of tokens`},
		{`"merges": [`, `"merges": [["!","a","b"],`, `no pair of tokens`},
		{`"merges": [`, `"merges": [7,`, `merge 0 is 7`},
		{`"merges": [`, `"merges": ["Ġ t",`, `a second time`},
		{`"merges": [`, `"merge": [`, `model.merge is`},
		{`"vocab": {`, `"vocab": {}, "vocab": {`, `"vocab" comes twice`},
		{`"content": "<|pad|>"`, `"content": "<|\ud800|>"`, `lone surrogate`},
		{`"content": "<|pad|>"`, "\"content\": \"\xff\"", `not valid UTF-8`},
	} {
		if !strings.Contains(whole, test.old) {
			t.Fatalf("the file has no %s", test.old)
		}
		_, err := Parse([]byte(strings.Replace(whole, test.old, test.new, 1)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s in place of %s: error %v, want one with %s", test.new, test.old, err, test.want)
		}
	}
	for _, text := range []string{"", "null", "[]", "{}", "{", `{"model": {}}`, whole + "x", whole[:len(whole)/2]} {
		if _, err := Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "parsing tokenizer.json: ") {
			t.Errorf("%.30q: error %v", text, err)
		}
	}
}

func TestOptionalKeysMayBeAbsent(t *testing.T) {
	whole := string(mustFiles(t, goldenTokenizer(t))[TokenizerFile])
	for _, key := range []string{
		`"truncation": null,`, `"padding": null,`, `"normalizer": null,`, `"post_processor": null,`,
		`"type": "BPE",`, `"dropout": null,`, `"ignore_merges": false,`, `"byte_fallback": false,`, `"normalized": false,`,
	} {
		if !strings.Contains(whole, key) {
			t.Fatalf("the file has no %s", key)
		}
		tok, err := Parse([]byte(strings.ReplaceAll(whole, key, "")))
		if err != nil {
			t.Errorf("without %s: %v", key, err)
			continue
		}
		sameTokenizer(t, tok, goldenTokenizer(t))
	}
}

func TestPostProcessorsThatLeaveIDsAloneAreRead(t *testing.T) {
	whole := string(mustFiles(t, goldenTokenizer(t))[TokenizerFile])
	for _, value := range []string{
		`{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}`,
		`{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}],
			"pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {}}`,
	} {
		tok, err := Parse([]byte(strings.Replace(whole, `"post_processor": null`, `"post_processor": `+value, 1)))
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		sameTokenizer(t, tok, goldenTokenizer(t))
	}
}

func TestLoadTakesTheConfigIntoAccount(t *testing.T) {
	for _, test := range []struct {
		name, config, want string // want "" for no error
		eos, pad           string
		template           string
	}{
		{name: "empty", config: `{}`, eos: EndOfText, pad: Pad},
		{name: "names", config: `{"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}`, eos: IMEnd, pad: EndOfText},
		{name: "objects", config: `{"eos_token": {"content": "<|im_end|>", "lstrip": false}}`, eos: IMEnd, pad: Pad},
		{name: "null", config: `{"eos_token": null, "model_max_length": 1024}`, eos: EndOfText, pad: Pad},
		{name: "template", config: `{"chat_template": "{{ x }}"}`, eos: EndOfText, pad: Pad, template: "{{ x }}"},
		{name: "unknown name", config: `{"eos_token": "</s>"}`, want: `tokenizer_config.json: eos_token is "</s>": no token of the vocabulary has this name`},
		{name: "wrong type", config: `{"pad_token": 3}`, want: `pad_token is 3`},
		{name: "prefix space", config: `{"add_prefix_space": true}`, want: `add_prefix_space is true`},
		{name: "bos", config: `{"add_bos_token": true}`, want: `add_bos_token is true`},
		{name: "templates", config: `{"chat_template": [{"name": "default", "template": "{{ d }}"}, {"name": "tool_use", "template": "{{ t }}"}]}`, eos: EndOfText, pad: Pad, template: "{{ d }}"},
		{name: "a template without text", config: `{"chat_template": [{"name": "a"}]}`, want: `chat_template is [{"name": "a"}]: template 0 has no name or no text`},
		{name: "one name twice", config: `{"chat_template": [{"name": "a", "template": "x"}, {"name": "a", "template": "y"}]}`, want: `two templates are called "a"`},
		{name: "broken", config: `{`, want: `tokenizer_config.json: byte 1`},
		{name: "no object", config: `[]`, want: `where an object should stand`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := writeFiles(t, map[string][]byte{TokenizerFile: readTestdata(t, "huggingface.json"), ConfigFile: []byte(test.config)})
			tok, err := Load(dir)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("error %v, want one with %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tok.roles.eos != test.eos || tok.roles.pad != test.pad || tok.ChatTemplate() != test.template {
				t.Errorf("eos %q, pad %q, template %q", tok.roles.eos, tok.roles.pad, tok.ChatTemplate())
			}
		})
	}
}

func TestNamedTemplatesAreWrittenAsTheyWereRead(t *testing.T) {
	const config = `{"chat_template": [{"name": "default", "template": "{{ d }}"}, {"name": "tool_use", "template": "{{ t }}"}]}`
	dir := writeFiles(t, map[string][]byte{TokenizerFile: readTestdata(t, "huggingface.json"), ConfigFile: []byte(config)})
	want := []NamedTemplate{{"default", "{{ d }}"}, {"tool_use", "{{ t }}"}}
	for range 2 {
		tok, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.NamedTemplates(); !slices.Equal(got, want) {
			t.Errorf("templates %v, want %v", got, want)
		}
		files, err := tok.Files()
		if err != nil {
			t.Fatal(err)
		}
		if files[TemplateFile] != nil {
			t.Error("chat_template.jinja would hide the named templates")
		}
		dir = writeFiles(t, files)
	}
}

func TestLoadNamesTheFolderAndWhatItMisses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("empty folder: error %v", err)
	}
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: error %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, TokenizerFile), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder for a file: error %v", err)
	}
}

func TestParseAllocatesInProportionToTheFile(t *testing.T) {
	// 30,000 tokens of two characters, as dense as JSON allows: the worst case for
	// the tables. The limit is on all that is ever allocated; what is held at one
	// time is less than four times the file and 1 MiB.
	var vocab, merges []string
	for id, b := range byteOrder {
		vocab = append(vocab, fmt.Sprintf("%s:%d", quote(string(byteRune[b])), id))
	}
	for i := range 30000 {
		a, b := quote(string(byteRune[byteOrder[i%170]])), quote(string(byteRune[byteOrder[i/170]]))
		joined := a[:len(a)-1] + b[1:]
		vocab = append(vocab, fmt.Sprintf("%s:%d", joined, 256+i))
		merges = append(merges, a[:len(a)-1]+" "+b[1:])
	}
	data := []byte(`{"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"model":{"vocab":{` +
		strings.Join(vocab, ",") + `},"merges":[` + strings.Join(merges, ",") + `]}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Parse(data); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	n := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d bytes allocated for %d", n, len(data))
	if limit := 7*uint64(len(data)) + 1<<20; n > limit {
		t.Errorf("%d bytes allocated for %d, more than %d", n, len(data), limit)
	}
}

func FuzzParse(f *testing.F) {
	small := mustFiles(f, goldenTokenizer(f))[TokenizerFile]
	f.Add(small)
	f.Add([]byte(`{"version":"1.0","pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`))
	f.Add([]byte(`{"added_tokens":[{"id":0,"content":"<s>","special":true}],"model":{"vocab":{"\u0120":0},"merges":[["a","b"]]}}`))
	f.Add([]byte(`{"a":{"b":[1,2,{"c":"\"}]"}],"d":-1.5e3},"a":1}`))
	f.Add([]byte(`[[[[`))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse(data)
		if err != nil {
			return
		}
		again, err := Parse(mustFiles(t, tok)[TokenizerFile])
		if err != nil {
			t.Fatalf("what Files wrote of an accepted file: %v", err)
		}
		sameTokenizer(t, again, tok)
		if tok.kind == ByteLevelBPE && len(tok.MissingBytes()) == 0 && tok.pipeline.normalize == nil && tok.pipeline.prepare == nil && !tok.matcher.raw.text && !tok.matcher.normalized.text {
			roundTrip(t, tok, "ab <|im_end|> 船\xff")
		} else {
			tok.EncodeWithSpecial("ab <|im_end|> 船\xff")
		}
	})
}

// FuzzJSON holds the copy-free reader against encoding/json.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a": [1, "x\"y", {"b": null}], "\u00e9" : -1.5e3 ,"c":{}, "d":[], "e":""}`))
	f.Add([]byte(` { } `))
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := validJSON(data)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if json.Unmarshal(root, &want) != nil || want == nil {
			return
		}
		got, err := members(root)
		if err != nil {
			return // a key twice
		}
		if len(got) != len(want) {
			t.Fatalf("%d members, want %d", len(got), len(want))
		}
		for _, m := range got {
			if !bytes.Equal(bytes.TrimSpace(m.value), bytes.TrimSpace(want[m.key])) {
				t.Errorf("%q is %s, want %s", m.key, m.value, want[m.key])
			}
		}
	})
}
