package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What transformers takes from the files beside a vocabulary; testdata/folders/make.py
// wrote folders and values.
func TestFilesBesideTheVocabularyAreReadAsTransformersDoes(t *testing.T) {
	data, err := os.ReadFile("testdata/folders/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected struct {
		Texts   []string
		Folders map[string]struct {
			EOS  int32
			Size int
			IDs  [][]int32
		}
	}
	if err := json.Unmarshal(data, &expected); err != nil || len(expected.Folders) < 8 {
		t.Fatalf("%d folders, %v", len(expected.Folders), err)
	}
	for name, want := range expected.Folders {
		tok, err := Load(filepath.Join("testdata/folders", name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if eos, ok := tok.EOS(); !ok || eos != want.EOS || tok.VocabSize() != want.Size {
			t.Errorf("%s: texts end at %d (%v) of %d tokens, want %d of %d", name, eos, ok, tok.VocabSize(), want.EOS, want.Size)
		}
		for i, text := range expected.Texts {
			if got := tok.Wrap(tok.EncodeWithSpecial(text)); !slices.Equal(got, want.IDs[i]) {
				t.Errorf("%s: %q is %v, want %v", name, text, got, want.IDs[i])
			}
		}
		// What is written of it is the same tokenizer.
		files, err := tok.Files()
		if err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(folder, file), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Load(folder)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, text := range expected.Texts {
			if got, want := again.Wrap(again.EncodeWithSpecial(text)), tok.Wrap(tok.EncodeWithSpecial(text)); !slices.Equal(got, want) {
				t.Errorf("%s, written and read: %q is %v, want %v", name, text, got, want)
			}
		}
	}
}

// folderWith copies a folder of testdata/folders and puts files into it.
func folderWith(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(filepath.Join("testdata/folders", name))); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestFilesThatDisagreeAreRefusedByName(t *testing.T) {
	for says, files := range map[string]map[string]string{
		`added_tokens.json: id 5 is given to "<x>"`:               {"added_tokens.json": `{"<x>": 5}`},
		`added_tokens.json: the id of "<x>" is -1`:                {"added_tokens.json": `{"<x>": -1}`},
		"added_tokens.json: found":                                {"added_tokens.json": `[]`},
		"special_tokens_map.json: eos_token is 7":                 {"special_tokens_map.json": `{"eos_token": 7}`},
		`added_tokens_decoder.300.content is ""`:                  {"tokenizer_config.json": `{"added_tokens_decoder": {"300": {"content": ""}}}`},
		"added_tokens_decoder.300.colour is 1":                    {"tokenizer_config.json": `{"added_tokens_decoder": {"300": {"content": "<x>", "colour": 1}}}`},
		`added_tokens_decoder has the id "-3"`:                    {"tokenizer_config.json": `{"added_tokens_decoder": {"-3": {"content": "<x>"}}}`},
		"additional_chat_templates/tool_use.jinja: not valid UTF": {"additional_chat_templates/tool_use.jinja": "\xff"},
	} {
		if _, err := Load(folderWith(t, "map-only", files)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %s", err, says)
		}
	}
	other := map[string]string{"tokenizer_config.json": `{"tokenizer_class": "RobertaTokenizerFast"}`}
	if _, err := Load(folderWith(t, "gpt2-files", other)); err == nil || !strings.Contains(err.Error(), `tokenizer_class is "RobertaTokenizer"`) {
		t.Errorf("vocab.json of another class: %v", err)
	}
}

func TestAPartOfATokenThatIsNotThereIsLeftOutWithANote(t *testing.T) {
	tok, err := Load(folderWith(t, "map-only", map[string]string{"special_tokens_map.json": `{"eos_token": "<|eot_id|>", "mask_token": "<mask>"}`}))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := tok.Mask(); ok || len(tok.Notes()) != 1 || !strings.Contains(tok.Notes()[0], "mask_token") {
		t.Errorf("mask %v, notes %q", ok, tok.Notes())
	}
}

func TestChatTemplatesOfFilesGoBeforeThoseOfTheConfig(t *testing.T) {
	config := `{"chat_template": "config"}`
	for _, test := range []struct {
		files map[string]string
		want  string
		named []string
	}{
		{map[string]string{"chat_template.json": `{"chat_template": "json"}`}, "json", nil},
		{map[string]string{"chat_template.json": `{"chat_template": "json"}`, "tokenizer_config.json": config}, "config", nil},
		{map[string]string{"chat_template.jinja": "jinja", "tokenizer_config.json": config}, "jinja", nil},
		{map[string]string{"chat_template.jinja": "jinja", "additional_chat_templates/tool_use.jinja": "tools"}, "jinja", []string{"default", "tool_use"}},
		{map[string]string{"additional_chat_templates/tool_use.jinja": "tools", "tokenizer_config.json": config}, "config", []string{"default", "tool_use"}},
	} {
		tok, err := Load(folderWith(t, "map-only", test.files))
		if err != nil {
			t.Fatal(err)
		}
		var named []string
		for _, one := range tok.NamedTemplates() {
			named = append(named, one.Name)
		}
		if tok.ChatTemplate() != test.want || !slices.Equal(named, test.named) {
			t.Errorf("%v: template %q, named %q", test.files, tok.ChatTemplate(), named)
		}
	}
}

func TestClassesOfSentencePieceBeginATextUnlessToldOtherwise(t *testing.T) {
	for config, want := range map[string]bool{
		`{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}`:                         true,
		`{"tokenizer_class": "GemmaTokenizerFast", "bos_token": "<s>"}`:                     true,
		`{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "add_bos_token": false}`: false,
		`{"bos_token": "<s>"}`: false,
	} {
		tok, err := Load(folderWith(t, "spm-added", map[string]string{"tokenizer_config.json": config}))
		if err != nil {
			t.Fatal(err)
		}
		bos, _ := tok.BOS()
		if around := tok.Wrap([]int32{9}); (around[0] == bos) != want {
			t.Errorf("%s: around a text %v", config, around)
		}
	}
}

func TestTokensWithoutARowOfTheModelAreLeftOut(t *testing.T) {
	folder := folderWith(t, "spm-added", map[string]string{
		"added_tokens.json":       `{"<|im_end|>": 340, "[PAD]": 341}`,
		"tokenizer_config.json":   `{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "[PAD]"}`,
		"special_tokens_map.json": `{"eos_token": "<|im_end|>", "pad_token": "[PAD]"}`,
	})
	for rows, want := range map[int]int{0: 342, 400: 342, 341: 341} {
		tok, err := LoadFor(folder, rows)
		if err != nil {
			t.Fatal(err)
		}
		_, pads := tok.Pad()
		if tok.VocabSize() != want || pads != (want == 342) || len(tok.Notes()) != 342-want {
			t.Errorf("%d rows: %d tokens, pad %v, notes %q", rows, tok.VocabSize(), pads, tok.Notes())
		}
	}
}

// The same of tokenizer.json's own; ordinary tokens are never left out.
func TestAddedTokensOfTheVocabularyWithoutARowAreLeftOut(t *testing.T) {
	folder := folderWith(t, "map-only", nil)
	for rows, want := range map[int]int{277: 277, 270: 279} {
		tok, err := LoadFor(folder, rows)
		if err != nil {
			t.Fatal(err)
		}
		if tok.VocabSize() != want || len(tok.Notes()) != 279-want {
			t.Errorf("%d rows: %d tokens, notes %q", rows, tok.VocabSize(), tok.Notes())
		}
	}
}

func TestATokenThatEndsATextMustHaveARow(t *testing.T) {
	folder := folderWith(t, "map-only", map[string]string{"special_tokens_map.json": `{"eos_token": "<|end_header_id|>"}`})
	if _, err := LoadFor(folder, 277); err == nil || !strings.Contains(err.Error(), "eos_token") {
		t.Errorf("an end without a row: %v", err)
	}
}

// FuzzBeside holds the doors to the files beside a vocabulary to this: whatever they
// say, a tokenizer comes of it that encodes and decodes, or an error.
func FuzzBeside(f *testing.F) {
	vocabulary, err := os.ReadFile("testdata/folders/map-only/tokenizer.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"spm-decoder", "spm-added", "map-only", "gpt2-files"} {
		var seeds [3][]byte
		for i, file := range []string{ConfigFile, addedFile, specialFile} {
			seeds[i], _ = os.ReadFile(filepath.Join("testdata/folders", name, file)) // some are not there
		}
		f.Add(seeds[0], seeds[1], seeds[2], 279)
	}
	f.Fuzz(func(t *testing.T, config, added, special []byte, rows int) {
		folder := t.TempDir()
		for name, data := range map[string][]byte{TokenizerFile: vocabulary, ConfigFile: config, addedFile: added, specialFile: special} {
			if len(data) == 0 {
				continue
			}
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		tok, err := LoadFor(folder, max(rows, 0))
		if err != nil {
			return
		}
		ids := tok.Wrap(tok.EncodeWithSpecial("a <|eot_id|> hello"))
		if _, err := tok.Decode(ids); err != nil {
			t.Fatal(err)
		}
	})
}
