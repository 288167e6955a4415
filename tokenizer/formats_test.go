package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rankFile writes the ranks of the 256 bytes and then of tokens.
func rankFile(tokens ...string) []byte {
	var b []byte
	n := 0
	add := func(token string) {
		b = fmt.Appendf(b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(token)), n)
		n++
	}
	for _, c := range byteOrder {
		add(string([]byte{c}))
	}
	for _, token := range tokens {
		add(token)
	}
	return b
}

func TestTiktokenRanksMergeTheLowestRankFirst(t *testing.T) {
	tok, err := ParseTiktoken(rankFile("bc", "ab", "abc", " a", "xyz"), "cl100k_base")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ text, want string }{
		{"abc", "abc"}, // a bc, then abc
		{"abcb", "abc b"},
		{"ab ab", "ab   ab"},
		{"xyz", "xyz"}, // a token that no two tokens join to is found as a whole piece
		{"xyzx", "x y z x"},
		{"1234", "1 2 3 4"},
		{"<|endoftext|>", "< | e n d o f t e x t | >"},
	} {
		for _, tok := range []*Tokenizer{tok, reread(t, tok)} {
			if got := names(tok, tok.Encode(test.text)); got != test.want {
				t.Errorf("Encode(%q) = %q, want %q", test.text, got, test.want)
			}
		}
	}
	if tok.VocabSize() != 100277 {
		t.Errorf("VocabSize() = %d, want 100277", tok.VocabSize())
	}
	if ids := tok.EncodeAllowing("a<|endoftext|><|fim_prefix|>", EndOfText); ids[1] != 100257 || slices.Contains(ids, 100258) {
		t.Errorf("EncodeAllowing gives %v", ids)
	}
}

func TestTiktokenFilesThatMakeNoSenseAreRefusedByLine(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"r50k_base", "IQ==", "line 1 is \"IQ==\": a token in base64"},
		{"r50k_base", "IQ== x", "the rank is not a number"},
		{"r50k_base", "IQ== 99999999999", "the rank is not a number below"},
		{"r50k_base", "IQ== 2000000", "the rank is not a number below"},
		{"r50k_base", "!!! 1", "not in base64"},
		{"r50k_base", "IQ== 0\nIQ== 1", "line 2"},
		{"r50k_base", "IQ== 0\nIg== 0", "rank 0 is given to two tokens"},
		{"r50k_base", "IQ== 50256", `id 50256 is given to the added token "<|endoftext|>"`},
		{"x100k", "IQ== 0", `encoding "x100k" is not known`},
	} {
		if _, err := ParseTiktoken([]byte(test.file), test.name); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %s", test.file, err, test.want)
		}
	}
}

// message writes a protocol buffer: pairs of a field's number and its value, a
// number (varint), a float32 or bytes.
func message(pairs ...any) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		number := uint64(pairs[i].(int)) << 3
		switch v := pairs[i+1].(type) {
		case int:
			b = binary.AppendUvarint(b, number|wireVarint)
			b = binary.AppendUvarint(b, uint64(v))
		case float32:
			b = binary.AppendUvarint(b, number|wire32)
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		case string:
			b = binary.AppendUvarint(b, number|wireBytes)
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
		case []byte:
			b = binary.AppendUvarint(b, number|wireBytes)
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
		}
	}
	return b
}

// pieceModel is a SentencePiece model of these tokens, the earlier the better,
// after <unk>, <s> and </s>.
func pieceModel(kind int, tokens ...string) []byte {
	b := message(1, message(1, "<unk>", 3, 2), 1, message(1, "<s>", 3, 3), 1, message(1, "</s>", 3, 3))
	for i, token := range tokens {
		b = append(b, message(1, message(1, token, 2, float32(-1-i)))...)
	}
	return append(b, message(2, message(3, kind), 3, message(1, "identity", 3, 1, 4, 1))...)
}

func TestSentencePieceModelsAreReadByType(t *testing.T) {
	tokens := []string{"▁a", "ab", "▁", "a", "b", "▁ab", "c"}
	for _, test := range []struct {
		kind       int
		text, want string
	}{
		{2, "ab", "▁ab"},  // ▁a goes first, and joins b
		{1, "ab", "▁ ab"}, // −3 −2 is more than −1 −5, and than −6
		{1, "  ab   a ", "▁ ab ▁a"},
		{1, "abab", "▁ ab ab"},
		{1, "aéèc", "▁a <unk> c"},
		{2, "aéc", "▁a <unk> c"},
		{1, "", ""},
		{1, "   ", ""},
	} {
		tok, err := ParseSentencePiece(pieceModel(test.kind, tokens...))
		if err != nil {
			t.Fatal(err)
		}
		for _, tok := range []*Tokenizer{tok, reread(t, tok)} {
			if got := names(tok, tok.Encode(test.text)); got != test.want {
				t.Errorf("type %d: Encode(%q) = %s, want %s", test.kind, test.text, got, test.want)
			}
		}
		if bos, ok := tok.BOS(); !ok || bos != 1 {
			t.Errorf("BOS() = %d, %v", bos, ok)
		}
	}
}

func TestSentencePieceModelsThatMakeNoSenseAreRefused(t *testing.T) {
	good := pieceModel(2, "▁", "a")
	for _, test := range []struct {
		name  string
		model []byte
		want  string
	}{
		{"empty", nil, "it has no pieces"},
		{"text", []byte("hello"), "byte"},
		{"cut off", good[:len(good)-3], "longer than what is left"},
		{"words", pieceModel(3, "▁", "a"), "trainer_spec.model_type is 3, which is not supported"},
		{"suffix", append(slices.Clone(good), message(2, message(24, 1))...), "treat_whitespace_as_suffix is true"},
		{"charsmap", append(slices.Clone(good), message(3, message(2, "\xff\xff\xff\xff1234"))...), "its trie has 4294967295 bytes of 4 left"},
		{"twice", pieceModel(2, "▁", "▁"), `piece "▁" comes twice`},
		{"twice, unigram", pieceModel(1, "a", "b", "a"), `piece "a" comes twice`},
		{"empty piece", pieceModel(2, "▁", ""), `is "": a token is text`},
	} {
		if _, err := ParseSentencePiece(test.model); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %s", test.name, err, test.want)
		}
	}
}

func TestVocabFilesOfBERTAreLines(t *testing.T) {
	file := "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\nThe\n##s\ncafe\n"
	for _, test := range []struct {
		lower bool
		want  string
	}{{true, "the ##s cafe"}, {false, "The ##s [UNK]"}} {
		tok, err := ParseVocab([]byte(file), test.lower)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(tok, tok.Encode("Thes CAFÉ")); got != test.want {
			t.Errorf("lower %v: %s, want %s", test.lower, got, test.want)
		}
		if single, pair := tok.WrapSize(); single != 2 || pair != 3 {
			t.Errorf("WrapSize() = %d, %d", single, pair)
		}
	}
	for _, test := range []struct{ file, want string }{
		{"", "[UNK] is not in the vocabulary"},
		{"[UNK]\n\n[CLS]", "line 2 is empty"},
		{"[UNK]\n[UNK]\n", `token "[UNK]" has two ids`},
		{file + "the\n", `token "the" has two ids, 4 and 8`},
		{"\xff\n", "not valid UTF-8"},
	} {
		if _, err := ParseVocab([]byte(test.file), true); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want one with %s", test.file, err, test.want)
		}
	}
}

func TestLoadReadsEachFileByItsName(t *testing.T) {
	dir := writeFiles(t, map[string][]byte{
		"r50k_base.tiktoken": rankFile("ab"), "a.model": pieceModel(2, "▁", "a"), "a.txt": []byte("[UNK]\n[CLS]\n[SEP]\na\n"),
		"a.json": readTestdata(t, "huggingface.json"), "a.bin": nil,
	})
	for name, want := range map[string]Kind{"r50k_base.tiktoken": ByteLevelBPE, "a.model": CharacterBPE, "a.txt": WordPiece, "a.json": ByteLevelBPE} {
		tok, err := Load(dir + "/" + name)
		if err != nil || tok.Kind() != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if _, err := Load(dir + "/a.bin"); err == nil || !strings.Contains(err.Error(), ".tiktoken") {
		t.Errorf("a.bin: error %v", err)
	}
	llama := writeFiles(t, map[string][]byte{pieceFile: pieceModel(2, "▁", "a"), ConfigFile: []byte(`{"add_bos_token": true, "add_eos_token": false}`)})
	tok, err := Load(llama)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(tok, tok.Wrap(tok.Encode("a"))); got != "<s> ▁ a" {
		t.Errorf("with add_bos_token: %s", got)
	}
	bert := writeFiles(t, map[string][]byte{wordsFile: []byte("[UNK]\n[CLS]\n[SEP]\nA\n"), ConfigFile: []byte(`{"do_lower_case": false}`)})
	if tok, err = Load(bert); err != nil {
		t.Fatal(err)
	}
	if got := names(tok, tok.Encode("A a")); got != "A [UNK]" {
		t.Errorf("with do_lower_case false: %s", got)
	}
}

func FuzzParseTiktoken(f *testing.F) {
	// Short seeds: the fuzzer takes a minute to make a long one shorter.
	f.Add([]byte("YQ== 0\nYg== 1\nIA== 2\nYWI= 3\nIGE= 4\n"))
	f.Add([]byte("IQ== 0\r\n\nIg== 3\n"))
	// OpenAI's encodings have 50,257 ids and more, which take longer than all else.
	encodings["fuzz"] = encoding{patternGPT2, specials(AddedToken{ID: 300, Content: EndOfText})}
	f.Cleanup(func() { delete(encodings, "fuzz") })
	high := regexp.MustCompile(`\d{4}`)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 || high.Match(data) {
			return // so do many ids, and show no more
		}
		tok, err := ParseTiktoken(data, "fuzz")
		if err != nil {
			return
		}
		text := "ab <|endoftext|> 船\xff"
		ids := tok.Encode(text)
		if back, err := tok.Decode(ids); len(tok.MissingBytes()) == 0 && (err != nil || back != text) {
			t.Errorf("Decode(Encode(%q)) = %q, %v", text, back, err)
		}
	})
}

func FuzzParseSentencePiece(f *testing.F) {
	f.Add(pieceModel(1, "▁", "a", "▁a"))
	f.Add(pieceModel(2, "▁", "a", "▁a"))
	f.Add(append(pieceModel(1, "▁", "a"), message(3, message(2, "\x04\x00\x00\x00\x00\x00\x00\x00x\x00"))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := ParseSentencePiece(data)
		if err != nil {
			return
		}
		text := "ab  船\xff ▁"
		ids := tok.Encode(text)
		if _, err := tok.Decode(ids); err != nil {
			t.Error(err)
		}
		if again := reread(t, tok); tok.Kind() == Unigram && !slices.Equal(again.Encode(text), ids) {
			t.Errorf("read again: %v, want %v", again.Encode(text), ids)
		}
	})
}
